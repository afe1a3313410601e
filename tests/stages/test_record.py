"""Record: a slice stands in the ledger, whole and once, before its offsets are let go."""

from __future__ import annotations

import asyncio
import json

import pytest

from agents import record
from pipeline.clickhouse import ClickHouse
from pipeline.customers.sealing import context
from pipeline.desk import Desk
from tests.chaos import evidence
from tests.stages import records
from tests.stages.flow import labelled, recorded
from tests.stages.records import FEEDBACK, TOUCHPOINTS, answer, answers
from tests.stages.worker import SEAL_KEY_ID, Members

pytestmark = [pytest.mark.kafka, pytest.mark.clickhouse]

Bench = tuple[Desk, Members]


def stored(desk: Desk, columns: str, table: str = "ledger") -> list[tuple[object, ...]]:
    client = ClickHouse(desk.settings)
    found = client.query(f"SELECT {columns} FROM {table} FINAL ORDER BY topic, part, off").rows()
    client.close()
    return found


async def test_every_offset_has_one_row_and_the_position_follows(bench: Bench) -> None:
    desk, _ = bench
    piece = await recorded(desk, FEEDBACK, [*answers(3), records.record(3, b"{"), records.record(4, None)])
    assert stored(desk, "part, off, disposition") == [
        (1, 0, "aggregated"),
        (1, 1, "aggregated"),
        (1, 2, "aggregated"),
        (1, 3, "dead_letter"),
        (1, 4, "ignored"),
    ]
    holding = desk.custody.holding(FEEDBACK)
    assert holding is not None
    assert holding.position == piece.hi == 4


async def test_the_same_slice_written_again_changes_nothing(bench: Bench) -> None:
    desk, _ = bench
    piece = await labelled(desk, FEEDBACK, answers(5))
    for _ in range(2):
        await record.write(desk, [piece])
    client = ClickHouse(desk.settings)
    assert client.query("SELECT count() AS n FROM ledger")["n"][0] == 5
    client.close()


async def test_a_slice_of_an_earlier_attempt_or_generation_is_not_written(bench: Bench) -> None:
    desk, members = bench
    piece = await labelled(desk, FEEDBACK, answers(5))
    await desk.keeper.rewind([FEEDBACK])
    assert await record.write(desk, [piece]) == ()
    piece = await labelled(desk, FEEDBACK, answers(5))
    members.present = 2
    assert await record.write(desk, [piece]) == ()
    assert stored(desk, "off") == []


async def test_slices_of_several_partitions_go_in_one_insert(bench: Bench) -> None:
    desk, _ = bench
    one = await labelled(desk, FEEDBACK, answers(3))
    two = await labelled(desk, FEEDBACK._replace(part=0), answers(2))
    assert len(await record.write(desk, [one, two])) == 2
    assert stored(desk, "part, off") == [(0, 0), (0, 1), (1, 0), (1, 1), (1, 2)]


async def test_a_rejected_event_is_sealed_and_told_on_the_topic_rejected_before_its_ledger_row(bench: Bench) -> None:
    desk, _ = bench
    raw = answer(0, score=11).value
    piece = await recorded(desk, FEEDBACK, [answer(0, score=11)])
    ((sealed, reason, path, key_id),) = stored(desk, "hex(sealed), reason, path, key_id", "sealed")
    assert (reason, path, key_id) == ("out_of_range", "$.score", SEAL_KEY_ID)
    where = context("feedback", piece.epoch, 1, 0)
    assert desk.sealer.open(bytes.fromhex(str(sealed)), where) == raw
    broker, prefix = desk.settings.bootstrap_servers, desk.settings.topic_prefix
    log = await asyncio.to_thread(evidence.read_log, broker, prefix, ("rejected",))
    (message,) = [json.loads(each.value or b"") for each in log]
    assert (message["topic"], message["partition"], message["offset"]) == ("feedback", 1, 0)
    assert (message["reason"], message["key_id"]) == ("out_of_range", SEAL_KEY_ID)


async def test_texts_stand_beside_the_ledger_and_never_in_it(bench: Bench) -> None:
    desk, _ = bench
    await recorded(desk, FEEDBACK, [answer(0, text="The parcel is late. Mail jane.doe@example.org please.")])
    known = ("delivery", desk.taxonomy.held.version)
    assert stored(desk, "text, topics, taxonomy", "texts") == [("The parcel is late. Mail [email] please.", *known)]
    client = ClickHouse(desk.settings)
    row = str(client.query("SELECT * FROM ledger").to_dicts())
    client.close()
    assert "The parcel" not in row


async def test_a_revised_answer_carries_what_its_predecessor_counted(bench: Bench) -> None:
    desk, _ = bench
    first = {"submission_id": "s1", "revision": 1, "score": 2, "event_id": "r1"}
    again = {"submission_id": "s1", "revision": 2, "score": 10, "event_id": "r2"}
    await recorded(desk, FEEDBACK, [answer(0, **first)])
    piece = await recorded(desk, FEEDBACK, [answer(1, **again), answer(2, **first | {"event_id": "r0", "revision": 0})])
    assert piece.rows.select("disposition", "reason", "old_off", "old_bin").rows() == [
        ("aggregated", "revised", 0, 2),
        ("ignored", "superseded", -1, -1),
    ]


async def test_a_predecessor_is_found_in_a_slice_that_is_written_with_it(bench: Bench) -> None:
    desk, _ = bench
    fields = {"submission_id": "s1", "score": 2}
    one = await labelled(desk, FEEDBACK, [answer(0, **fields, revision=1)])
    two = await labelled(desk, FEEDBACK, [answer(1, **fields, revision=2)])
    _, piece = await record.write(desk, [one, two])
    assert piece.rows.select("old_off", "old_bin").row(0) == (0, 2)


async def test_touchpoints_are_recorded_as_volume(bench: Bench) -> None:
    desk, _ = bench
    value = answer(0).value or b""
    event = {name: each for name, each in json.loads(value).items() if name not in ("metric", "score")}
    piece = await recorded(desk, TOUCHPOINTS, [records.record(0, json.dumps(event | {"outcome": "fail"}).encode())])
    assert piece.rows.select("metric", "scale", "bin").row(0) == ("volume", "outcome", 2)
