"""Keys: a token proves itself and nothing else, two live while one is rotated, a revoked one never comes back."""

from __future__ import annotations

import base64
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.access.keys import Grant, Key, Right, digest_of, id_of, make, presented, rotated
from pipeline.errors import UsageError

NOW = 1_764_000_000_000
WRITE = frozenset({Right.WRITE})


def grant(**scope: frozenset[str]) -> Grant:
    return Grant("", "web-shop", WRITE, **scope)


def admitted(key: Key, token: str, now_ms: int = NOW) -> bool:
    return key.admits(digest_of(token), now_ms)


def test_only_the_digest_of_a_token_is_kept_and_only_that_token_fits() -> None:
    key, token = make(grant(), NOW, 0)
    assert token not in repr(key)
    assert id_of(token) == key.grant.key_id
    assert len(token) == 3 + 12 + 1 + 43
    assert admitted(key, token)
    for place in (3, 20, len(token) - 1):
        other = token[:place] + ("a" if token[place] != "a" else "b") + token[place + 1 :]
        assert not admitted(key, other)


def test_two_keys_never_have_the_same_token() -> None:
    tokens = {make(grant(), NOW, 0)[1] for _ in range(1_000)}
    assert len(tokens) == 1_000


def test_an_expired_key_admits_nobody() -> None:
    key, token = make(grant(), NOW, NOW + 1_000)
    assert admitted(key, token, NOW + 999)
    assert not admitted(key, token, NOW + 1_000)
    assert key.state(NOW + 1_000) == "expired"


def test_two_tokens_live_while_a_key_is_rotated_and_the_id_stays() -> None:
    first, old = make(grant(), NOW, 0)
    key, new = rotated(first, NOW, 1_000, 0)
    assert key.grant == first.grant
    assert admitted(key, old, NOW + 999)
    assert admitted(key, new, NOW + 999)
    assert key.state(NOW) == "rotating"
    assert not admitted(key, old, NOW + 1_000)
    assert admitted(key, new, NOW + 1_000)
    with pytest.raises(UsageError, match="two tokens of it live already"):
        rotated(key, NOW + 999, 1_000, 0)
    assert rotated(key, NOW + 1_000, 1_000, 0)[1] != new


def test_a_rotation_that_keeps_nothing_ends_the_old_token_at_once() -> None:
    first, old = make(grant(), NOW, 0)
    key, new = rotated(first, NOW, 0, 0)
    assert not admitted(key, old)
    assert admitted(key, new)


@pytest.mark.parametrize("ended", [{"revoked_ms": NOW}, {"expires_ms": NOW}], ids=["revoked", "expired"])
def test_what_has_ended_is_not_rotated(ended: dict[str, Any]) -> None:
    key = replace(Key(grant(), bytes(31) + b"1", NOW - 1), **ended)
    with pytest.raises(UsageError, match="create another one"):
        rotated(key, NOW, 1_000, 0)


def test_the_empty_digest_is_nobodys() -> None:
    assert not Key(grant(), bytes(31) + b"1", NOW).admits(bytes(32), NOW)


@pytest.mark.parametrize(
    ("name", "rights", "channels", "complaint"),
    [
        ("Web Shop", WRITE, frozenset(), "no name of a key"),
        ("", WRITE, frozenset(), "no name of a key"),
        ("shop", frozenset(), frozenset(), "without a right"),
        ("shop", WRITE, frozenset({"fax"}), "no channel fax"),
    ],
)
def test_a_grant_that_makes_no_sense_is_refused(
    name: str, rights: frozenset[Right], channels: frozenset[str], complaint: str
) -> None:
    with pytest.raises(UsageError, match=complaint):
        make(Grant("", name, rights, channels), NOW, 0)


def test_a_scope_names_the_first_dimension_outside() -> None:
    bounded = grant(channels=frozenset({"web"}), brands=frozenset({"a"}), units=frozenset({"u1"}))
    assert bounded.outside("web", "a", "u1") is None
    assert bounded.outside("app", "b", "u2") == "channel"
    assert bounded.outside("web", "b", "u2") == "brand"
    assert bounded.outside("web", "a", "u2") == "unit"
    assert bounded.outside("web", "a", None) == "unit"
    assert grant().outside("fax", "", None) is None
    assert grant().unbounded
    assert not bounded.unbounded


def test_admin_includes_every_right_and_write_does_not_read() -> None:
    admin = Grant("", "ops", frozenset({Right.ADMIN}))
    assert all(admin.may(right) for right in Right)
    assert [right for right in Right if grant().may(right)] == [Right.WRITE]


@given(st.text())
def test_whatever_stands_in_the_header_gives_a_text_without_raising(header: str) -> None:
    assert id_of(presented(header)) is None
    assert id_of(header) is None


def test_a_token_is_presented_as_bearer_or_as_the_user_of_basic() -> None:
    _, token = make(grant(), NOW, 0)
    basic = base64.b64encode(f"{token}:".encode()).decode()
    assert presented(f"Bearer {token}") == presented(f"bearer  {token} ") == presented(f"Basic {basic}") == token
    assert presented(token) == presented("Basic ***") == presented("Digest x") == ""
