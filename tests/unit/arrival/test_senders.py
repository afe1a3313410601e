"""Who sent a record: headers first, then the CloudEvents source, then the event's channel, even in broken bytes."""

from __future__ import annotations

import polars as pl
import pytest

from pipeline.arrival.senders import MAX_PRODUCER, attempts, producers, resolved
from pipeline.slices import Record


def record(value: bytes | None, *headers: tuple[str, bytes]) -> Record:
    return Record(0, 0, b"k", value, headers)


@pytest.mark.parametrize(
    ("headers", "name"),
    [
        ([("touchline_producer", b"till-7")], "till-7"),
        ([("ce_source", b"/channels/store/till"), ("touchline_producer", b"till-7")], "till-7"),
        ([("ce_source", b"/channels/store/till")], "/channels/store/till"),
        ([("CE-Source", b"https://shop.example")], "https://shop.example"),
        ([("touchline_producer", b"")], ""),
        ([("traceparent", b"00-1")], ""),
        ([("touchline_producer", b'\xff"\n{x}')], "????x?"),
        ([("touchline_producer", b"a" * 500)], "a" * MAX_PRODUCER),
    ],
)
def test_a_header_names_the_producer(headers: list[tuple[str, bytes]], name: str) -> None:
    assert producers([record(b"{}"), record(b"{}", *headers)], ()).to_list() == ["", name]


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (b'{"channel": "store", "sc', "/channels/store"),
        (b'{"channel":"pigeon"}', "unknown"),
        (b"\xff\xfe", "unknown"),
        (None, "unknown"),
        (b" " * 5_000 + b'"channel":"web"', "unknown"),
    ],
)
def test_of_a_dead_letter_the_channel_is_looked_for_in_its_bytes(value: bytes | None, name: str) -> None:
    assert producers([record(value)], (0,)).to_list() == [name]


def test_an_event_that_names_nobody_is_counted_under_its_channel() -> None:
    rows = pl.DataFrame({"producer": ["till-7", "", ""], "channel": ["store", "web", ""]})
    found = rows.select(resolved(pl.col("producer"), pl.col("channel"))).to_series().to_list()
    assert found == ["till-7", "/channels/web", "unknown"]


def test_the_tries_of_a_dead_letter_are_read_and_those_of_others_are_not() -> None:
    tried = ("touchline_attempt", b"3")
    found = attempts([record(b"", tried), record(b"", tried), record(b"", ("touchline_attempt", b"-1"))], (1, 2))
    assert found.to_list() == [0, 3, 0]
