"""Sealing: opens with the same key at the same place, and nowhere else."""

from __future__ import annotations

import polars as pl
import pytest

from pipeline.customers.sealing import Sealer, context
from pipeline.errors import DifferenceFound, SettingsError

KEY = bytes(range(32))
HERE = context("feedback", 1, 3, 77)


def test_what_was_sealed_opens_to_the_same_bytes() -> None:
    sealer = Sealer(1, KEY)
    column = sealer.seal([b"raw", None, b""], [HERE, HERE, HERE])
    assert column.dtype == pl.Binary
    assert column[1] is None
    assert [sealer.open(column[0], HERE), sealer.open(column[2], HERE)] == [b"raw", b""]


def test_the_same_bytes_sealed_twice_differ() -> None:
    column = Sealer(1, KEY).seal([b"raw", b"raw"], [HERE, HERE])
    assert column[0] != column[1]
    assert b"raw" not in column[0]


@pytest.mark.parametrize("other", [("feedback", 2, 3, 77), ("feedback", 1, 4, 77), ("feedback", 1, 3, 78)])
def test_sealed_bytes_of_another_offset_do_not_open(other: tuple[str, int, int, int]) -> None:
    sealer = Sealer(1, KEY)
    with pytest.raises(DifferenceFound, match="feedback"):
        sealer.open(sealer.seal([b"raw"], [HERE])[0], context(*other))


@pytest.mark.parametrize("sealer", [Sealer(2, KEY), Sealer(1, KEY[::-1])])
def test_another_key_or_key_id_does_not_open(sealer: Sealer) -> None:
    with pytest.raises(DifferenceFound):
        sealer.open(Sealer(1, KEY).seal([b"raw"], [HERE])[0], HERE)


def test_bytes_sealed_under_a_former_id_of_the_key_open_under_the_id_that_stands_beside_them() -> None:
    sealed = Sealer(1, KEY).seal([b"raw"], [HERE])[0]
    assert Sealer(2, KEY).open(sealed, HERE, 1) == b"raw"
    with pytest.raises(DifferenceFound, match="key 3"):
        Sealer(2, KEY).open(sealed, HERE, 3)


def test_altered_or_cut_bytes_do_not_open() -> None:
    sealer = Sealer(1, KEY)
    sealed = bytearray(sealer.seal([b"raw"], [HERE])[0])
    sealed[-1] ^= 1
    for wrong in (bytes(sealed), b"", bytes(sealed[:20])):
        with pytest.raises(DifferenceFound):
            sealer.open(wrong, HERE)


def test_a_key_of_the_wrong_size_is_refused_and_no_repr_shows_one() -> None:
    with pytest.raises(SettingsError, match="32"):
        Sealer(1, KEY[:16])
    assert repr(Sealer(5, KEY)) == "Sealer(key_id=5)"
