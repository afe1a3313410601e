"""Pseudonyms: keyed, stable, never zero, and parsed where they already are one."""

from __future__ import annotations

import hashlib

import polars as pl
import pytest

from pipeline.customers.pseudonyms import Pseudonyms, is_form, parse, written
from pipeline.errors import SettingsError

KEY = bytes(range(32))


def test_the_hash_is_keyed_blake2b_of_eight_bytes_read_as_little_endian() -> None:
    digest = hashlib.blake2b(b"c-1", digest_size=8, key=KEY).digest()
    assert Pseudonyms(1, KEY).hashes(["c-1"]).tolist() == [int.from_bytes(digest, "little")]


def test_no_id_is_zero_and_only_no_id() -> None:
    hashes = Pseudonyms(1, KEY).hashes(["", None, "a", "ä"]).tolist()
    assert hashes[:2] == [0, 0]
    assert all(hashes[2:])
    assert len(set(hashes[2:])) == 2


def test_another_key_gives_another_pseudonym() -> None:
    assert Pseudonyms(1, KEY).hashes(["a"])[0] != Pseudonyms(1, KEY[::-1]).hashes(["a"])[0]


def test_the_text_form_is_parsed_back_and_not_hashed_again() -> None:
    pseudonyms = Pseudonyms(7, KEY)
    form = pseudonyms.text("c-1")
    customer, key_id = pseudonyms.customers(pl.Series([form, "c-1", "", None], dtype=pl.String))
    assert customer.to_list() == [int(pseudonyms.hashes(["c-1"])[0])] * 2 + [0, 0]
    assert key_id.to_list() == [7, 7, 0, 0]
    assert customer.dtype == pl.UInt64
    assert key_id.dtype == pl.UInt8


def test_a_pseudonym_of_a_former_key_keeps_that_keys_id() -> None:
    customer, key_id = Pseudonyms(7, KEY).customers(pl.Series([written(3, 2**64 - 1)]))
    assert (customer.to_list(), key_id.to_list()) == ([2**64 - 1], [3])


@pytest.mark.parametrize(
    "odd", ["k0:0123456789abcdef", "k256:0123456789abcdef", "k1:0123456789ABCDEF", "k01:" + "0" * 16]
)
def test_what_only_resembles_a_pseudonym_is_hashed_like_any_id(odd: str) -> None:
    assert not is_form(pl.Series([odd])).any()
    assert parse(pl.Series([odd]))[0].to_list() == [0]
    pseudonyms = Pseudonyms(1, KEY)
    assert pseudonyms.customers(pl.Series([odd]))[0].to_list() == pseudonyms.hashes([odd]).tolist()


def test_an_employee_and_a_customer_with_one_id_do_not_link() -> None:
    pseudonyms = Pseudonyms(1, KEY)
    agents = pseudonyms.agents(pl.Series(["x-17", "", "x-17"]))
    assert agents[0] == agents[2]
    assert agents[1] == ""
    assert agents[0].startswith("a:")
    assert agents[0][2:] != pseudonyms.text("x-17")[3:]


def test_hiding_an_employee_twice_is_hiding_once() -> None:
    pseudonyms = Pseudonyms(1, KEY)
    once = pseudonyms.agents(pl.Series(["x-17", "y"]))
    assert pseudonyms.agents(once).to_list() == once.to_list()


@pytest.mark.parametrize(("key_id", "key"), [(0, KEY), (256, KEY), (1, b"short"), (1, b"\0" * 32), (1, KEY * 3)])
def test_a_key_that_can_be_guessed_or_stored_wrongly_is_refused(key_id: int, key: bytes) -> None:
    with pytest.raises(SettingsError):
        Pseudonyms(key_id, key)


def test_the_key_is_not_in_the_repr() -> None:
    assert repr(Pseudonyms(9, KEY)) == "Pseudonyms(key_id=9)"
