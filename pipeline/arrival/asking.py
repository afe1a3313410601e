"""Accept's questions to the ledger [I/O]: a partition's memory on assignment, and what the memory has lost since."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from pipeline.arrival import recall
from pipeline.arrival.accept import Known, Questions
from pipeline.arrival.fingerprints import Ints
from pipeline.arrival.identities import Firsts, Ids
from pipeline.arrival.newest import Columns, Newest
from pipeline.arrival.recall import Kept, Recalled
from pipeline.arrival.revisions import Standing
from pipeline.arrival.ring import NO_NUMBERS, Numbers
from pipeline.arrival.rules import ArrivalRules
from pipeline.clickhouse import FINAL_BY_DAY, ClickHouse
from pipeline.slices import Partition

_STANDING = pl.Schema({"answer_hash": pl.UInt64, "greatest": pl.Int64, "stands": pl.Int64, "newest_ms": pl.Int64})


class Place(NamedTuple):
    """Where a partition stands: only what lies below `next_off` is known."""

    epoch: int
    next_off: int


def recollect(client: ClickHouse, partition: Partition, epoch: int, next_off: int, rules: ArrivalRules) -> Recalled:
    """What the ledger knows of a partition below the offset that is taken next. Raises Unavailable."""
    where = _where(partition, epoch, next_off)
    times = client.query(recall.TIMES_SQL, where, FINAL_BY_DAY, long=True)
    released = int(client.query(recall.RELEASED_SQL, where)["released"][0] or 0)
    newest = {**where, "limit": rules.breaker_window, "released": released}
    invalid = client.query(recall.INVALID_SQL, newest, FINAL_BY_DAY)
    invalid = invalid.reverse()
    return Recalled(
        moved_ms=int(times["moved_ms"][0] or 0) if times.height else 0,
        ingest_ms=int(times["latest_ms"][0] or 0) if times.height else 0,
        invalid=invalid["invalid"].to_numpy().astype(np.bool_),
    )


def remembered(client: ClickHouse, places: Mapping[Partition, Place], ids: int, answers: int) -> Kept:
    """The newest `ids` event ids and `answers` answers of these partitions together. Raises Unavailable."""
    whole_ids, found = _newest_ids(client, places, ids)
    whole_answers, which, standing, newest_ms = _newest_answers(client, places, answers)
    return Kept(whole_ids, found, whole_answers, which, standing, newest_ms)


def _newest_ids(
    client: ClickHouse, places: Mapping[Partition, Place], wanted: int
) -> tuple[dict[Partition, bool], list[Ids]]:
    newest = _newest(client, recall.FIRSTS_SQL, places, wanted)
    found: list[Ids] = []
    left: set[int] = set()
    for which, columns in newest.batches():
        seconds = (columns["ingest_ms"] // 1000).astype(np.uint32)
        payloads = columns["payload_hash"].astype(np.uint32)
        some = Ids(which, columns["event_hash"], columns["off"], payloads, seconds)
        found.append(some.part(slice(wanted)))
        left.update(which[wanted:].tolist())
        wanted -= len(found[-1].which)
        if wanted == 0:
            break
    left |= newest.left()
    return {partition: number not in left for number, partition in enumerate(places)}, found


def _newest_answers(
    client: ClickHouse, places: Mapping[Partition, Place], wanted: int
) -> tuple[dict[Partition, bool], Numbers, Standing, Ints]:
    """What stands of the answers with the newest rows, whatever else they have: an answer may have several."""
    newest = _newest(client, recall.ANSWERS_SQL, places, wanted)
    lowest, left = _reach(newest, wanted)
    which, parts = [NO_NUMBERS], [pl.DataFrame(schema=_STANDING)]
    for number, (partition, place) in enumerate(places.items()):
        if number in lowest:
            where = _where(partition, *place) | {"low": lowest[number]}
            parts.append(client.query(recall.STANDING_SQL, where, FINAL_BY_DAY, long=True).cast(_STANDING))
            which.append(np.full(parts[-1].height, number, dtype=np.uint16))
    rows = pl.concat(parts)
    whole = {partition: number not in left for number, partition in enumerate(places)}
    standing = Standing(*(rows[name].to_numpy() for name in ("answer_hash", "greatest", "stands")))
    return whole, np.concatenate(which), standing, rows["newest_ms"].to_numpy()


def _reach(newest: Newest, wanted: int) -> tuple[dict[int, int], set[int]]:
    """By the number of a partition the offset from which on its answers are among the `wanted` newest ones; and the
    numbers of those that may have older ones."""
    pages: list[pl.DataFrame] = []
    rows, enough = 0, wanted
    for which, columns in newest.batches():
        pages.append(pl.DataFrame({"which": which, "hash": columns["answer_hash"], "off": columns["off"]}))
        rows += len(which)
        if rows >= enough:
            pages = [pl.concat(pages).unique(("which", "hash"), keep="first", maintain_order=True)]
            if pages[0].height >= wanted:
                break
            enough = rows + wanted - pages[0].height
    answers = pl.concat(pages).unique(("which", "hash"), keep="first", maintain_order=True) if pages else None
    if answers is None:
        return {}, newest.left()
    taken, rest = answers.head(wanted), answers.slice(wanted)
    lowest = dict(taken.group_by("which").agg(pl.col("off").min()).iter_rows())
    return lowest, newest.left() | set(rest["which"].unique().to_list())


def _newest(client: ClickHouse, sql: str, places: Mapping[Partition, Place], wanted: int) -> Newest:
    listed = list(places.items())

    def ask(number: int, low: int, below: int, limit: int) -> Columns:
        partition, place = listed[number]
        page = {**_where(partition, place.epoch, below), "low": low, "limit": limit}
        rows = client.query(sql, page, FINAL_BY_DAY, long=True)
        return {name: rows[name].to_numpy() for name in rows.columns}

    return Newest([place.next_off for place in places.values()], wanted, ask)


def answer(client: ClickHouse, partition: Partition, epoch: int, next_off: int, questions: Questions) -> Known:
    """What the ledger knows of events and answers that the memory may have lost. Raises Unavailable."""
    where = _where(partition, epoch, next_off)
    firsts, standing = Firsts(), Standing()
    if len(questions.ids):
        rows = client.query(recall.KNOWN_IDS_SQL, {**where, "hashes": questions.ids.tolist()}, FINAL_BY_DAY, long=True)
        firsts = Firsts(*(rows[name].to_numpy() for name in ("event_hash", "first", "payload")))
    if len(questions.answers):
        asked = {**where, "hashes": questions.answers.tolist()}
        rows = client.query(recall.KNOWN_ANSWERS_SQL, asked, FINAL_BY_DAY, long=True)
        standing = Standing(*(rows[name].to_numpy() for name in ("answer_hash", "greatest", "stands")))
    return Known(firsts, standing)


def _where(partition: Partition, epoch: int, next_off: int) -> dict[str, Any]:
    return {"topic": partition.topic, "epoch": epoch, "part": partition.part, "next_off": next_off}
