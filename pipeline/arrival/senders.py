"""Who sent a record: the producer's name as far as the record says it. Pure.

The first that is there: the header `touchline_producer` (the gateway and our own clients set it), the CloudEvents
source (`ce_source`), else `/channels/<channel>` of the event. Of an event that cannot be read the channel is looked for
in its bytes; `unknown` is left where nothing says anything. Anybody who may write to a topic may write any name: it
serves to find a producer that went wrong, not to prove who it was.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from operator import attrgetter
from typing import Final

import polars as pl

from pipeline.slices import Record
from schemas.envelopes import Headers
from schemas.vocabulary import Channel

#: The header by which a client of ours says who it is.
PRODUCER_HEADER: Final = "touchline_producer"
#: The header that counts how often an event was replayed.
ATTEMPT_HEADER: Final = "touchline_attempt"
#: Characters of a name that are kept: it becomes a label of metrics.
MAX_PRODUCER: Final = 80
#: What stands where nothing says who it was.
UNKNOWN: Final = "unknown"
_NAMES: Final = (PRODUCER_HEADER, "ce_source", "ce-source")
#: Bytes of a broken value that are searched for its channel.
_LOOKED_AT: Final = 4_096
_CHANNEL: Final = re.compile(rb'"channel"\s*:\s*"([a-z]{1,10})"')
_CHANNELS: Final = frozenset(channel.value for channel in Channel)
_HEADERS: Final = attrgetter("headers")
_WORD: Final = re.compile(r"[^\w./:@ -]")


def producers(records: Sequence[Record], dead: Collection[int]) -> pl.Series:
    """Column `producer` (String): as the headers say; "" means the event's own channel. Of `dead` rows never empty."""
    named = dict[int, str]()
    if any(map(_HEADERS, records)):
        named = {row: name for row, record in enumerate(records) if (name := _named(record.headers))}
    for row in dead:
        if row not in named:
            named[row] = _looked_for(records[row].value)
    column = pl.Series("producer", [""], dtype=pl.String).new_from_index(0, len(records))
    return column.scatter(list(named), list(named.values())) if named else column


def attempts(records: Sequence[Record], dead: Collection[int]) -> pl.Series:
    """Column `attempt` (UInt8): how often a dead letter had been replayed when it came; 0 of all others."""
    column = pl.Series("attempt", [0], dtype=pl.UInt8).new_from_index(0, len(records))
    tried = {row: n for row in dead if (n := _number(dict(records[row].headers).get(ATTEMPT_HEADER, b"")))}
    return column.scatter(list(tried), list(tried.values())) if tried else column


def resolved(producer: pl.Expr, channel: pl.Expr) -> pl.Expr:
    """The name by which a row's producer is counted: `/channels/<channel>` where it gave none."""
    own = pl.when(channel != "").then(pl.lit("/channels/") + channel).otherwise(pl.lit(UNKNOWN))
    return pl.when(producer != "").then(producer).otherwise(own)


def _named(headers: Headers) -> str:
    found = {name.lower(): value for name, value in headers if name.lower() in _NAMES}
    for name in _NAMES:
        if text := found.get(name, b"").decode("utf-8", "replace").strip():
            return _WORD.sub("?", text)[:MAX_PRODUCER]
    return ""


def _looked_for(value: bytes | None) -> str:
    found = _CHANNEL.search((value or b"")[:_LOOKED_AT])
    channel = found[1].decode() if found else ""
    return f"/channels/{channel}" if channel in _CHANNELS else UNKNOWN


def _number(text: bytes) -> int:
    return min(255, int(text)) if re.fullmatch(rb"[0-9]{1,3}", text) else 0
