"""Who may look: sealed sessions, short tickets, hosts, grants that only ever narrow, views that are told apart."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import pytest

from pipeline.errors import UsageError
from pipeline.views.page.entry import HEADERS, OPERATOR, SESSION_S, TICKET_S, Seals, asked_for, form_at, hosts, is_ours
from pipeline.views.page.view import EVERYTHING, Grant, View

NOW = 1_777_622_400
SEALS = Seals(b"k" * 32)


def test_a_session_opens_for_its_time_and_no_longer() -> None:
    cookie = SEALS.session("tl_key", NOW)
    assert "tl_key" not in cookie
    assert SEALS.reader(cookie, NOW + SESSION_S - 1) == "tl_key"
    assert SEALS.reader(cookie, NOW + SESSION_S) is None


def test_a_ticket_is_short_and_is_no_session() -> None:
    ticket = SEALS.ticket(NOW)
    assert SEALS.redeemed(ticket, NOW + TICKET_S - 1) == OPERATOR
    assert SEALS.redeemed(ticket, NOW + TICKET_S) is None
    assert SEALS.reader(ticket, NOW) is None
    assert SEALS.redeemed(SEALS.session("x", NOW), NOW) is None


@pytest.mark.parametrize("text", ["", "a", "!!", "A" * 100, "tl_key", "é"])
def test_what_we_did_not_seal_opens_nothing(text: str) -> None:
    assert SEALS.reader(text, NOW) is None


def test_a_seal_that_was_touched_or_made_with_another_key_opens_nothing() -> None:
    cookie = SEALS.session("tl_key", NOW)
    turned = cookie[:20] + ("A" if cookie[20] != "A" else "B") + cookie[21:]
    assert SEALS.reader(turned, NOW) is None
    assert Seals(b"l" * 32).reader(cookie, NOW) is None


@pytest.mark.parametrize("host", ["localhost", "localhost:6080", "127.0.0.1:1", "[::1]:6080", "cx.example.com:443"])
def test_our_own_names_are_ours(host: str) -> None:
    assert is_ours(host, hosts("cx.example.com, other"))


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "", "127.0.0.1.evil", "[", "a@localhost.x"])
def test_other_names_are_not(host: str) -> None:
    assert not is_ours(host, hosts("cx.example.com"))


@pytest.mark.parametrize(
    "address",
    ["/", "/?brand=aurora&span=24h", "/alerts/466745975a894de2-1795653383", "/customer?id=feedback%3A1%3A0%3A7"],
)
def test_a_login_leads_to_the_page_that_was_asked_for(address: str) -> None:
    assert asked_for(address) == address
    assert parse_qs(urlsplit(form_at(address)).query).get("to", ["/"]) == [address]


@pytest.mark.parametrize(
    "address",
    [
        "",
        "//evil.example",
        "/\\evil.example",
        "https://evil.example",
        "/alerts/../x",
        "/?a\r\nSet-Cookie: x",
        "/login",
        "/?é",
    ],
)
def test_a_login_leads_nowhere_else(address: str) -> None:
    assert asked_for(address) == "/"


def test_the_policy_loads_nothing_from_elsewhere_and_no_inline_code() -> None:
    policy = HEADERS["Content-Security-Policy"]
    assert policy.startswith("default-src 'self';")
    assert "unsafe" not in policy
    assert "http" not in policy


def test_a_grant_only_ever_narrows() -> None:
    grant = Grant("k", brands=("aurora",), units=("u1", "u2"))
    assert grant.within({}) == {"brand": ("aurora",), "unit": ("u1", "u2")}
    assert grant.within({"unit": ("u2", "u9")}) == {"brand": ("aurora",), "unit": ("u2",)}
    assert grant.within({"brand": ("birch",)}) is None
    assert grant.within({"unit": ("u9",)}) is None
    assert EVERYTHING.within({"brand": ("x",)}) == {"brand": ("x",)}


def test_a_narrow_grant_sees_no_wide_scope() -> None:
    grant = Grant("k", brands=("aurora",))
    assert grant.sees({"brand": "aurora", "channel": "web"})
    assert not grant.sees({"brand": "birch"})
    assert not grant.sees({})
    assert EVERYTHING.sees({})


def test_equal_choices_are_one_view_and_a_narrow_reader_has_another() -> None:
    one = View.of("1h", {"channel": ("web", "app"), "brand": ("b",)})
    assert one == View.of("1h", {"brand": ("b",), "channel": ("app", "web", "app")})
    assert one != View.of("1h", {"channel": ("web", "app"), "brand": ("b",)}, narrow=True)


@pytest.mark.parametrize(("span", "filters"), [("2h", {}), ("1h", {"agent": ("x",)}), ("1h", {"brand": ("x",) * 51})])
def test_a_view_that_does_not_exist_is_refused_with_a_sentence(span: str, filters: dict[str, tuple[str, ...]]) -> None:
    with pytest.raises(UsageError, match=r"there is no span|has no filter|at most"):
        View.of(span, filters)


def test_the_last_hour_has_twelve_steps_with_the_open_one() -> None:
    view = View.of("1h", {})
    assert view.first(NOW) == NOW + 300 - 3600
    assert view.first(NOW + 299) == view.first(NOW)
    assert view.earliest(NOW) == view.first(NOW) - 2 * 3600
    assert View.of("24h", {}).earliest(NOW) == View.of("24h", {}).first(NOW)
    assert view.live
    assert not View.of("1h", {"unit": ("u",)}).live
