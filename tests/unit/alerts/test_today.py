"""On the day on which the cycle of all scopes grows its evening is expected, and no drop passes for it."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import polars as pl
import pytest

from pipeline.alerts.baselines import DAYS, Baseline, learn
from pipeline.alerts.classes import Counts, net
from pipeline.alerts.finding import Finding, Verdict
from pipeline.alerts.judging import Judge
from pipeline.alerts.keeping import pack, unpack
from pipeline.alerts.rules import parse
from pipeline.alerts.scopes import DIMS, HOURS, Level
from pipeline.alerts.today import HOURS_BACK, stronger
from pipeline.alerts.trials import hourly
from pipeline.alerts.worlds import DAY, HOUR, Drop, World
from pipeline.customers.registry import DEFAULT_PATH as REGISTRY
from pipeline.customers.registry import Registry
from pipeline.scores.windows import BINS

MONDAY = 4 * 86_400
#: The Monday after the four weeks that are learned.
TODAY = MONDAY + DAYS * 86_400
K = 40
WORLD = World.drawn("strong-cycle", K, 5)
EASY = replace(WORLD, kind="day-effects")


class Learned(NamedTuple):
    """Four weeks by hour [k, 672, 3], and what is normal after them."""

    hours: Counts
    baseline: Baseline


@pytest.fixture(scope="module")
def learned() -> Learned:
    hours = hourly(EASY.answers(9, DAYS * DAY))
    return Learned(hours, learn(hours, MONDAY))


def by_hour(learned: Learned, days: Counts) -> list[float]:
    """By how much the cycle is found to be stronger in each hour of these days, given as windows."""
    hours = np.concatenate([learned.hours, hourly(days)], axis=1)
    found = []
    for now in range(HOURS, hours.shape[1]):
        of_week = (now + np.arange(-HOURS_BACK, 1)) % 168
        found.append(stronger(hours[:, now - HOURS_BACK : now], np.arange(K), learned.baseline, of_week[None, :]))
    return found


def test_a_cycle_that_doubles_is_known_in_its_first_evening_from_its_morning_on(learned: Learned) -> None:
    """Its bad half begins at two in the afternoon; few hours of it later both halves of forty scopes have spoken."""
    found = by_hour(learned, WORLD.answers(8, DAY))
    assert found[:15] == [0.0] * 15
    assert all(0.6 < each < 1.2 for each in found[18:])


def test_a_cycle_that_becomes_weaker_is_known_as_well(learned: Learned) -> None:
    strong = hourly(WORLD.answers(9, DAYS * DAY))
    found = by_hour(Learned(strong, learn(strong, MONDAY)), EASY.answers(8, DAY))
    assert all(-0.7 < each < -0.3 for each in found[17:])


@pytest.mark.parametrize("share", [0.1, 0.3, 1.0])
@pytest.mark.parametrize("hour", [0, 3, 8, 14, 18])
def test_neither_a_usual_day_nor_a_drop_of_few_or_all_is_a_stronger_cycle(
    learned: Learned, share: float, hour: int
) -> None:
    """A tenth of the cycle is half a point in the worst hour."""
    start = np.where(np.arange(K) % 10 < 10 * share, float(hour * HOUR), np.inf)
    for size in (0.0, 0.10, 0.20):
        assert max(by_hour(learned, EASY.answers(8, 2 * DAY, Drop(size, start)))) < 0.1


def test_one_scope_with_most_of_the_answers_and_a_few_scopes_prove_nothing(learned: Learned) -> None:
    changed = WORLD.answers(8, DAY)
    one = EASY.answers(8, DAY)
    one[:, 0] = 200 * changed[:, 0]
    assert max(map(abs, by_hour(learned, one))) < 0.1
    few = changed * (np.arange(K) < 9)[:, None]
    assert by_hour(learned, few) == [0.0] * 24


def test_nobody_is_held_to_more_than_what_is_usual(learned: Learned) -> None:
    baseline = learned.baseline
    morning, evening = (baseline.beneath(hour, 1.0) for hour in (8, 20))
    assert (morning == baseline.shares[:, 8]).all()
    assert (net(evening) < net(baseline.shares[:, 20])).all()
    assert (evening == baseline.in_cycle(2.0 * baseline.cycle)[:, 20]).all()
    each = baseline.beneath(np.where(np.arange(K) < 5, 8, 20), 1.0)
    assert (each == np.where((np.arange(K) < 5)[:, None], morning, evening)).all()
    assert (baseline.beneath(20, -0.5) == baseline.shares[:, 20]).all()


def judge_of(learned: Learned) -> Judge:
    """Everything, a brand and its units, four false alarms in 30 days over all of them."""
    judge = Judge(
        parse(
            """fallback_owner = "customer-experience"
            [[rules]]
            id = "r"
            metric = "nps"
            detector = "drop"
            scope = ["total", "brand", "brand,unit"]
            severity = { warning = 0 }
            route = "default"
            runbook = "docs/alerts.md"
            """,
            Registry.parse(REGISTRY.read_text()),
        )
    )
    unit = pl.concat(rows(learned.hours[:, at]).with_columns(hour=MONDAY + at * 3_600) for at in range(HOURS))
    by_level: dict[Level, pl.DataFrame] = {("brand", "unit"): unit}
    for level in ((), ("brand",)):
        keys = ("metric", "scale", "hour", *level)
        by_level[level] = unit.group_by(keys).agg(pl.col(*BINS).sum()).sort(*keys)
    judge.learn(by_level, TODAY)
    return judge


def rows(counts: Counts) -> pl.DataFrame:
    """Counts [k, 3] as those of units of one brand."""
    dims = {name: [""] * len(counts) for name in DIMS}
    dims |= {"brand": ["acme"] * len(counts), "unit": [f"u{at:02d}" for at in range(len(counts))]}
    bins = np.zeros((len(counts), len(BINS)), dtype=np.int64)
    bins[:, [0, 7, 10]] = counts
    named = {name: bins[:, at] for at, name in enumerate(BINS)}
    return pl.DataFrame({"metric": ["nps"] * len(counts), "scale": ["0-10"] * len(counts), **dims, **named})


def raised(found: list[Finding]) -> set[str]:
    return {each.scope.get("unit", "all") for each in found if each.verdict == Verdict.RAISED}


def judged(judge: Judge, day: Counts, first: int = 0) -> list[Finding]:
    return [finding for at in range(first, len(day)) for finding in judge.step(rows(day[at]), TODAY + (at + 1) * 300)]


def test_its_first_evening_raises_nothing_and_a_region_that_falls_in_it_is_found(learned: Learned) -> None:
    day = WORLD.answers(8, DAY)
    assert raised(judged(judge_of(learned), day)) == set()
    region = np.where(WORLD.rate > 200, 17.0 * HOUR, np.inf)
    fallen = judged(judge_of(learned), WORLD.answers(8, DAY, Drop(0.20, region)))
    assert raised(fallen) - {"all"} == {f"u{at:02d}" for at in np.flatnonzero(WORLD.rate > 200)}
    sizes = [each.size.value for each in fallen if each.size is not None and each.verdict == Verdict.RAISED]
    assert -0.3 < np.median(sizes) < -0.15


def test_a_judge_taken_up_in_that_evening_goes_on_to_the_last_bit_also_with_a_scope_that_is_new(
    learned: Learned,
) -> None:
    day = WORLD.answers(8, DAY)
    new = np.concatenate([day, np.ones((DAY, 1, 3), dtype=day.dtype)], axis=1)
    whole, stop = judge_of(learned), 17 * HOUR + 7
    first = pack(whole.dump_learned())
    day = np.where(np.arange(DAY)[:, None, None] >= stop - 4, new, np.concatenate([day, np.zeros_like(new[:, :1])], 1))
    judged(whole, day[:stop])
    other = Judge(whole.rules)
    other.load_learned(unpack(first))
    for at in range(stop):
        other.fill(rows(day[at]), TODAY + (at + 1) * 300)
    other.load(unpack(pack(whole.dump())))
    for judge in (whole, other):
        judged(judge, day[: 19 * HOUR], stop)
    (group,) = whole.groups.values()
    assert group.stronger(TODAY + 19 * 3_600) > 0.7
    assert pack(other.dump()) == pack(whole.dump())
