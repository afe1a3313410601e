"""Enrich: each slice gets profile, stage, owner and pseudonym; nothing plain goes on."""

from __future__ import annotations

import asyncio
from functools import partial

import polars as pl
import pytest

from agents import score
from pipeline.clickhouse import ClickHouse
from pipeline.customers.naming import Naming
from pipeline.desk import Desk
from pipeline.gauges import gauges
from pipeline.ledger.custody import fence
from pipeline.ledger.epochs import begin_next
from pipeline.ledger.rebuild import compare
from pipeline.scores.recompute import Part
from pipeline.slices import COUNTED, Partition, Record
from schemas.vocabulary import Stage
from tests.chaos.generator import moment
from tests.stages.flow import accepted, enriched, recorded
from tests.stages.records import FEEDBACK, NOW_MS, answer, answers
from tests.stages.worker import REGISTRY, Members, closed, desk_of, poll_of

pytestmark = [pytest.mark.kafka, pytest.mark.clickhouse]

Bench = tuple[Desk, Members]
PROFILES = Partition("profiles", 1)


def profile(offset: int, valid_from_ms: int, segment: str) -> Record:
    value = f'{{"customer":"customer-4711","valid_from":"{moment(valid_from_ms)}","segments":["{segment}"]}}'
    return Record(offset, NOW_MS, b"customer-4711", value.encode(), ())


async def test_a_slice_gets_the_registrys_stage_and_owner_and_loses_the_customers_id(bench: Bench) -> None:
    desk, _ = bench
    records = [answer(0), answer(1, touchpoint="order.delivered"), answer(2, touchpoint="nobody.knows")]
    piece = await enriched(desk, await accepted(desk, FEEDBACK, records))
    assert piece.rows.select("stage", "owner").rows() == [("buy", "shop"), ("receive", "care"), ("unknown", "care")]
    assert "customer_id" not in piece.rows.columns
    assert piece.rows["customer"].n_unique() == 1
    assert desk.unknown.names == ["nobody.knows"]
    assert "customer-4711" not in str(piece.rows.to_dicts())


async def test_the_segments_are_those_of_the_events_own_time(bench: Bench) -> None:
    desk, _ = bench
    changed = [profile(0, NOW_MS - 3_600_000, "new"), profile(1, NOW_MS - 60_000, "gold")]
    assert await desk.following.follow(poll_of(PROFILES, changed), fence(0, 1))
    records = [answer(0, occurred_at=moment(NOW_MS + shift)) for shift in (-7_200_000, -1_800_000, -30_000)]
    records = [each._replace(offset=offset, value=each.value) for offset, each in enumerate(records)]
    piece = await enriched(desk, await accepted(desk, FEEDBACK, records))
    assert piece.rows["segments"].to_list() == ["", "new", "gold"]
    other, next_one = desk_of(desk.settings)  # the next owner knows them from the table
    next_one.present = 2
    again = await enriched(other, await accepted(other, FEEDBACK, records))
    await closed(other)
    assert again.rows["segments"].to_list() == ["", "new", "gold"]


async def test_profiles_that_the_table_lost_are_read_again_before_later_ones_are_taken(bench: Bench) -> None:
    desk, members = bench
    records = [profile(offset, NOW_MS - 3_600_000, f"s{offset}") for offset in range(6)]
    overtaken = poll_of(PROFILES, records[4:])  # was on its way from the committed offset when the place was sought
    assert await desk.following.follow(overtaken, fence(0, 1))
    assert members.sought == [(PROFILES, 0), (PROFILES, 0)]
    assert desk.following.positions() == {}
    assert await desk.following.follow(poll_of(PROFILES, records), fence(0, 1))
    assert desk.following.positions() == {PROFILES: 5}
    client = ClickHouse(desk.settings)
    assert client.query("SELECT count() AS n FROM profiles")["n"][0] == 6
    client.close()


async def test_profiles_made_again_stand_still_until_an_operator_begins_an_epoch_and_then_win(bench: Bench) -> None:
    desk, members = bench
    old = [profile(offset, NOW_MS - 3_600_000, "gold") for offset in range(3)]
    assert await desk.following.follow(poll_of(PROFILES, old), fence(0, 1))
    members.ends[PROFILES] = 2
    new = poll_of(PROFILES, [profile(offset, NOW_MS - 3_600_000, "silver") for offset in range(2)])
    assert await desk.following.follow(new, fence(0, 1))  # while it is followed: its end falls
    assert "offsets reset --topic profiles" in desk.following.troubles()[PROFILES.part]
    members.present = 2  # and at the next assignment
    await desk.following.keep([PROFILES.part], 2)
    again = poll_of(PROFILES, list(new.records), generation=2)
    assert await desk.following.follow(again, fence(0, 2))
    assert desk.following.positions() == {}
    gauges(desk)
    assert desk.telemetry.registry.get_sample_value("touchline_profiles_recreated") == 1
    client = ClickHouse(desk.settings)
    assert await asyncio.to_thread(begin_next, client, desk.settings, "profiles") == 2
    client.close()
    await desk.following.keep([PROFILES.part], 2)
    assert desk.following.troubles() == {}
    assert members.sought[-1] == (PROFILES, 0)
    assert await desk.following.follow(again, fence(0, 2))
    assert desk.following.positions() == {PROFILES: 1}
    piece = await enriched(desk, await accepted(desk, FEEDBACK, answers(1)))
    assert piece.rows["segments"].to_list() == ["silver"]


async def test_a_change_of_the_registry_takes_effect_with_the_next_slice(bench: Bench) -> None:
    desk, _ = bench
    copy = desk.settings.state_dir / "registry.toml"
    copy.write_text(REGISTRY.read_text())
    desk.registry = type(desk.registry)(copy)
    before = await enriched(desk, await accepted(desk, FEEDBACK, answers(1)))
    copy.write_text(REGISTRY.read_text().replace('owner = "shop"', 'owner = "care"') + "\n")
    desk.look_at_registry()
    after = await enriched(desk, await accepted(desk, FEEDBACK, answers(1, first=1)))
    assert (before.rows["owner"][0], after.rows["owner"][0]) == ("shop", "care")
    copy.write_text("this is no registry")
    desk.registry._next = 0.0
    desk.look_at_registry()
    kept = await enriched(desk, await accepted(desk, FEEDBACK, answers(1, first=2)))
    assert kept.rows["owner"][0] == "care"


async def test_a_row_that_makes_the_step_raise_is_handed_back_to_accept_and_its_neighbours_go_on(bench: Bench) -> None:
    desk, members = bench
    piece = await accepted(desk, FEEDBACK, answers(5))

    def step(rows: pl.DataFrame) -> pl.DataFrame:
        if 3 in rows["off"]:
            raise ZeroDivisionError
        return rows

    assert await desk.columns(piece, Stage.ENRICH, step) is None
    assert members.sought[-1] == (FEEDBACK, 0)
    again = await enriched(desk, await accepted(desk, FEEDBACK, answers(5)))
    assert again.rows["disposition"].to_list() == ["aggregated"] * 3 + ["dead_letter", "aggregated"]
    assert again.rows["failed_at"][3] == "enrich"
    assert again.rows["sealed"][3]


async def test_a_step_that_raises_whatever_the_rows_is_our_fault_and_goes_up(bench: Bench) -> None:
    desk, _ = bench
    piece = await accepted(desk, FEEDBACK, answers(4))
    calls = []

    def step(rows: pl.DataFrame) -> pl.DataFrame:
        calls.append(rows.height)
        if rows.height == 4:
            raise ZeroDivisionError
        return rows

    with pytest.raises(ZeroDivisionError):
        await desk.columns(piece, Stage.ENRICH, partial(step))
    assert calls == [4, 2, 2]


async def test_a_name_that_has_a_place_at_one_worker_has_it_at_all_and_after_a_restart(bench: Bench) -> None:
    desk, _ = bench
    one, two = Naming(desk.pool, 2), Naming(desk.pool, 2)
    await two.ensure()
    assert fallen(one, "a") == [0]
    await one.exchange()
    assert fallen(two, "b") == [0]
    await two.exchange()
    await one.exchange()
    restarted = Naming(desk.pool, 2)
    await restarted.ensure()
    touchpoint = 1 << COUNTED.index("touchpoint")
    for worker in (one, two, restarted):
        assert fallen(worker, "a", "b", "c") == [0, 0, touchpoint]


def fallen(worker: Naming, *touchpoints: str) -> list[int]:
    """What the worker decides of events with these touchpoints."""
    rows = pl.DataFrame({"touchpoint": touchpoints, **dict.fromkeys(set(COUNTED) - {"touchpoint"}, "")})
    return worker.names.decide(rows.with_columns(pl.lit(NOW_MS, pl.Int64).alias("ingest_ms")), {}).to_list()


async def test_a_row_with_a_name_too_many_keeps_it_and_says_so_and_its_edit_takes_back_what_was_counted(
    bench: Bench,
) -> None:
    desk, _ = bench
    desk.naming.names.most = 1
    edited = {"submission_id": "s1", "question_id": "q1"}
    first = [answer(0, touchpoint="page.a"), answer(1, touchpoint="page.b", revision=0, **edited)]
    await score.fold(desk, [await recorded(desk, FEEDBACK, first)])
    after = [answer(2, touchpoint="page.a", revision=1, **edited)]
    await score.fold(desk, [await recorded(desk, FEEDBACK, after)])
    client = ClickHouse(desk.settings)
    rows = client.query("SELECT touchpoint, others, old_touchpoint, old_others FROM ledger FINAL ORDER BY off")
    counted = client.query("SELECT touchpoint, b9 FROM windows FINAL WHERE cut = 'core' ORDER BY touchpoint")
    found = compare(client, Part(FEEDBACK.topic, 1, FEEDBACK.part, 2), 0)
    client.close()
    bit = 1 << COUNTED.index("touchpoint")
    assert rows.rows() == [("page.a", 0, "", 0), ("page.b", bit, "", 0), ("page.a", 0, "page.b", bit)]
    assert counted.rows() == [("other", 0), ("page.a", 2)]
    assert found.equal
