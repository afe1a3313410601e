"""Accept's questions to the ledger [I/O]: a partition's memory on assignment, and what the memory has lost since."""

from __future__ import annotations

from typing import Any

import numpy as np

from pipeline.arrival import recall
from pipeline.arrival.accept import Known, Questions
from pipeline.arrival.identities import Firsts
from pipeline.arrival.recall import Recalled
from pipeline.arrival.revisions import Standing
from pipeline.arrival.rules import ArrivalRules
from pipeline.clickhouse import FINAL_BY_DAY, ClickHouse
from pipeline.slices import Partition


def recollect(client: ClickHouse, partition: Partition, epoch: int, next_off: int, rules: ArrivalRules) -> Recalled:
    """What the ledger knows of a partition below the offset that is taken next. Raises Unavailable."""
    where = _where(partition, epoch, next_off)
    times = client.query(recall.TIMES_SQL, where, FINAL_BY_DAY, long=True)
    firsts = client.query(recall.FIRSTS_SQL, {**where, "limit": rules.ids_limit}, FINAL_BY_DAY, long=True)
    standing = client.query(recall.STANDING_SQL, {**where, "limit": rules.answers_limit}, FINAL_BY_DAY, long=True)
    released = int(client.query(recall.RELEASED_SQL, where)["released"][0] or 0)
    newest = {**where, "limit": rules.breaker_window, "released": released}
    invalid = client.query(recall.INVALID_SQL, newest, FINAL_BY_DAY)
    firsts, standing, invalid = firsts.reverse(), standing.reverse(), invalid.reverse()
    return Recalled(
        moved_ms=int(times["moved_ms"][0] or 0) if times.height else 0,
        ingest_ms=int(times["latest_ms"][0] or 0) if times.height else 0,
        firsts=Firsts(*(firsts[name].to_numpy() for name in ("event_hash", "off", "payload_hash"))),
        firsts_ingest_ms=firsts["ingest_ms"].to_numpy(),
        standing=Standing(*(standing[name].to_numpy() for name in ("answer_hash", "greatest", "stands"))),
        invalid=invalid["invalid"].to_numpy().astype(np.bool_),
        whole_ids=firsts.height < rules.ids_limit,
        whole_answers=standing.height < rules.answers_limit,
    )


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
