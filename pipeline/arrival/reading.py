"""The first half of accept: everything about a run of records that needs no memory of earlier ones.

Decoded, checked, hashed, timed; invalid rows have their rejection, and where the breaker opens the run ends. Nothing
here changes state, so a run that raises can be halved and read again until the record at fault is found.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from pipeline.arrival import breaker, checks, columns, senders, times
from pipeline.arrival.breaker import Breaker
from pipeline.arrival.columns import BLANKS, OWN, Columns
from pipeline.arrival.fingerprints import Flags, Hashes, Ints, fingerprints
from pipeline.arrival.rules import ArrivalRules
from pipeline.slices import ACCEPTED, Record
from schemas.codec import Rejection, decode
from schemas.envelopes import Headers
from schemas.feedback import Feedback
from schemas.touchpoint import Touchpoint

#: About so many records are decoded and put into columns at a time: their objects stay in the processor's cache.
#: Of 20,000 at once an event costs 0.3 us more, of 1,000 as well (each column has a price of its own).
_TOGETHER = 4_000
_OWN_TYPES: dict[str, pl.DataType] = {name: ACCEPTED[name] for name in OWN}


class Before(NamedTuple):
    """What reading needs of the partition's state: it is not changed."""

    topic: str
    ingest_ms: int
    breaker: Breaker


@dataclass(frozen=True, slots=True)
class Reading:
    """A run of records in columns, in order of offset. `alive` rows are events; the others are dead or tombstones.

    `own` has the columns OWN, blank where a row is not alive. `dead` names rows by number.
    """

    offsets: Ints
    ingest: Ints
    occurred: Ints
    event_hash: Hashes
    payload_hash: Hashes
    answer_hash: Hashes
    revision: Ints
    own: pl.DataFrame
    alive: Flags
    dead: Mapping[int, Rejection]
    producer: pl.Series
    attempt: pl.Series
    values: Sequence[bytes | None]
    breaker: Breaker


def read(before: Before, records: Sequence[Record], rules: ArrivalRules, refused: Mapping[int, Rejection]) -> Reading:
    """Read consecutive records of one partition. `refused` (by offset) are dead letters whatever they hold, unread."""
    topic = before.topic
    offsets = np.fromiter(map(attrgetter("offset"), records), dtype=np.int64, count=len(records))
    appended = np.fromiter(map(attrgetter("timestamp"), records), dtype=np.int64, count=len(records))
    values = [record.value for record in records]
    turned_away = (
        {row: refused[offset] for row, offset in enumerate(offsets.tolist()) if offset in refused} if refused else {}
    )
    facts, rejections, tombstones = _found(topic, _without(values, turned_away), [record.headers for record in records])
    dead = {**rejections, **turned_away}
    alive = np.ones(len(records), dtype=bool)
    alive[[*dead, *tombstones]] = False
    ingest = times.ingest_times(appended, before.ingest_ms)
    bad = alive & times.absurd(topic, facts.occurred, ingest, rules)
    dead.update(dict.fromkeys(np.flatnonzero(bad).tolist(), checks.bad_time(topic, rules)))
    alive &= ~bad
    wrong = alive & checks.other_form(facts.own["customer_id"], rules.form)
    dead.update(dict.fromkeys(np.flatnonzero(wrong).tolist(), checks.wrong_form(rules.form)))
    alive &= ~wrong
    invalid = np.zeros(len(records), dtype=bool)
    invalid[list(dead)] = True
    count, after = breaker.judge(before.breaker, invalid, rules)
    own = pl.DataFrame(facts.own)
    if not alive.all():
        own = own.with_columns(_blanked(alive))
    return Reading(
        offsets=offsets[:count],
        ingest=ingest[:count],
        occurred=facts.occurred[:count],
        event_hash=facts.event_hash[:count],
        payload_hash=_payloads(values)[:count],
        answer_hash=np.where(alive, facts.answer_hash, np.uint64(0))[:count],
        revision=np.where(alive, facts.revision, 0)[:count],
        own=own.head(count),
        alive=alive[:count],
        dead={row: rejection for row, rejection in dead.items() if row < count},
        producer=senders.producers(records, dead)[:count],
        attempt=senders.attempts(records, dead)[:count],
        values=values[:count],
        breaker=after,
    )


def _without(values: list[bytes | None], rows: Mapping[int, Rejection]) -> list[bytes | None]:
    """The values with nothing to decode in these rows."""
    return [b"" if row in rows else value for row, value in enumerate(values)] if rows else values


def _parts(count: int) -> Iterator[slice]:
    """So many rows in parts of one size, about _TOGETHER; one empty part of none."""
    size = math.ceil(count / max(1, round(count / _TOGETHER))) or 1
    return (slice(first, first + size) for first in range(0, count or 1, size))


def _payloads(values: Sequence[bytes | None]) -> Hashes:
    return np.concatenate([fingerprints([value or b"" for value in values[part]]) for part in _parts(len(values))])


class _Found(NamedTuple):
    """What stands in a run of values: columns, blank where there is no event, and the rows that are none and why."""

    facts: Columns
    rejections: dict[int, Rejection]
    tombstones: list[int]


def _found(topic: str, values: Sequence[bytes | None], headers: Sequence[Headers]) -> _Found:
    """Decoded and put into columns, so many at a time that the events are still in the processor's cache."""
    parts = [(rows.start, _part(topic, values[rows], headers[rows])) for rows in _parts(len(values))]
    if len(parts) == 1:
        return parts[0][1]
    rejections = {first + row: why for first, part in parts for row, why in part.rejections.items()}
    tombstones = [first + row for first, part in parts for row in part.tombstones]
    return _Found(columns.joined([part.facts for _, part in parts]), rejections, tombstones)


def _part(topic: str, values: Sequence[bytes | None], headers: Sequence[Headers]) -> _Found:
    decoded = decode(topic, values, headers)
    facts, unfit = _facts(topic, decoded.events, whole=not decoded.rejections and not decoded.tombstones)
    return _Found(facts, {**decoded.rejections, **unfit}, decoded.tombstones)


def _facts(topic: str, events: Sequence[Any], *, whole: bool) -> tuple[Columns, dict[int, Rejection]]:
    """The columns of all rows, blank where there is no event, and the rejections of answers that fit no scale.

    `whole` says that every row has an event.
    """
    if whole and topic == "touchpoints":
        return columns.of_touchpoints(events), {}
    if whole and topic == "feedback":
        return _feedback(events)
    said = [row for row, event in enumerate(events) if type(event) is Feedback]
    did = [row for row, event in enumerate(events) if type(event) is Touchpoint]
    feedback, unfit = _feedback([events[row] for row in said])
    touchpoints = columns.of_touchpoints([events[row] for row in did])
    facts = _woven(len(events), ((said, feedback), (did, touchpoints)))
    return facts, {said[row]: rejection for row, rejection in unfit.items()}


def _feedback(events: Sequence[Feedback]) -> tuple[Columns, dict[int, Rejection]]:
    facts, scores = columns.of_feedback(events)
    fitted = checks.scaled(facts.own["metric"], facts.own["text"], scores)
    facts.own.update(scale=fitted.scale, answer=fitted.answer, bin=fitted.bin)
    return facts, checks.unfit(events, fitted.unfit)


def _woven(count: int, parts: Sequence[tuple[list[int], Columns]]) -> Columns:
    """Columns of some rows each, put together in order; rows in no part are blank."""
    rest = np.ones(count, dtype=bool)
    for rows, _ in parts:
        rest[rows] = False
    blank = np.flatnonzero(rest)
    order = np.argsort(np.concatenate([*(np.array(rows, dtype=np.int64) for rows, _ in parts), blank]))
    frames = [pl.DataFrame(part.own).select(OWN) for _, part in parts]
    own = pl.concat([*frames, _blanks(len(blank))])[order]
    return Columns(
        own.to_dict(as_series=True),
        _scattered(count, [(rows, part.occurred) for rows, part in parts]),
        _scattered(count, [(rows, part.event_hash) for rows, part in parts]),
        _scattered(count, [(rows, part.answer_hash) for rows, part in parts]),
        _scattered(count, [(rows, part.revision) for rows, part in parts]),
    )


def _scattered(count: int, parts: Sequence[tuple[list[int], np.ndarray]]) -> Any:
    whole = np.zeros(count, dtype=parts[0][1].dtype)
    for rows, values in parts:
        whole[rows] = values
    return whole


def _blanks(count: int) -> pl.DataFrame:
    return pl.DataFrame(
        {name: pl.repeat(BLANKS[name], count, dtype=dtype, eager=True) for name, dtype in _OWN_TYPES.items()}
    )


def _blanked(alive: Flags) -> list[pl.Expr]:
    """Every own column, blank where a row is not alive: of a rejected event only the sealed bytes are kept."""
    keep = pl.lit(pl.Series(alive))
    return [
        pl.when(keep).then(pl.col(name)).otherwise(pl.lit(BLANKS[name], dtype=dtype)).alias(name)
        for name, dtype in _OWN_TYPES.items()
    ]
