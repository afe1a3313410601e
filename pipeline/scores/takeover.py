"""What a worker does for the windows of partitions that it takes over [I/O]: all of a topic are asked for together.

ClickHouse plans such a question for 40 ms of CPU however little it then reads. Twelve partitions asked one by one, in
thirds of half an hour, were 3 s of it; together they are a tenth, and the partitions of a killed worker go on sooner.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import polars as pl

from pipeline.clickhouse import ClickHouse
from pipeline.scores import recompute
from pipeline.scores.kept import DAY_S
from pipeline.scores.recompute import Part

#: Minutes kept hot after a partition was taken over: answers of the last half hour arrive in memory.
_WARM_S = 30 * 60
#: Window rows taken over at once: all of a busy half hour together would be the greatest thing in memory.
_ROWS = 80_000
#: Window rows that an offset makes at most, as far as it matters here: its cuts, and those of what it takes back.
_ROWS_AN_OFFSET = 8
#: Minutes in one query; beyond it the whole partition is recomputed at once.
MANY_MINUTES = 2_000


class Plan(NamedTuple):
    """What one partition needs.

    `where` with the days kept by the hour; settled offset and clock as they stand; the newest cold minute; minutes
    (seconds) to hold in memory, cold ones that the ledger has touched since, and about how many rows the hot ones have.
    """

    where: Part
    settled: int
    clock_ms: int
    floor: int
    hot: list[int]
    cold: list[int]
    rows: int


class Portion(NamedTuple):
    """Work for one question: the hot minutes of partitions together, or minutes (None: all) of a single one."""

    plans: Sequence[Plan]
    minutes: list[int] | None = None
    together: bool = False


def plans(client: ClickHouse, wheres: Sequence[Part]) -> list[Plan]:
    """What each of these partitions of one topic and epoch needs."""
    parameters = {"topic": wheres[0].topic, "epoch": wheres[0].epoch, "parts": [where.part for where in wheres]}

    def asked(columns: str, rest: str) -> dict[int, tuple[Any, ...]]:
        rows = client.query(f"SELECT part, {columns} FROM {rest}", parameters)
        return {part: tuple(values) for part, *values in rows.iter_rows()} if rows.width else {}

    ours = "topic = {topic:String} AND epoch = {epoch:UInt16} AND part IN {parts:Array(UInt16)}"
    rolled = asked("groupUniqArray(day)", f"rolled WHERE {ours} GROUP BY part")
    stands = asked("settled, clock_ms", f"progress FINAL WHERE {ours}")
    newest = asked("max(minute)", f"windows WHERE {ours} GROUP BY part")
    wheres = [replace(each, rolled=frozenset(*rolled.get(each.part, ()))) for each in wheres]
    touched = recompute.touched(client, [(where, stands.get(where.part, (-1, 0))[0]) for where in wheres])
    made: list[Plan] = []
    for where in wheres:
        beyond = touched.get(where.part, [])
        last = max([newest.get(where.part, (0,))[0], *beyond])
        floor = floor_of(last, where.rolled)
        hot = list(range(max(floor + 60, 0), last + 60, 60)) if last else []
        cold = sorted(set(beyond).difference(hot))
        settled, clock_ms = stands.get(where.part, (-1, 0))
        made.append(Plan(where, settled, clock_ms, floor, hot, cold, 0))
    # Of each partition from its own first minute: one that was quiet for days must not make the others look great.
    begun = " OR ".join(f"(part = {plan.where.part} AND minute >= {plan.hot[0]})" for plan in made if plan.hot)
    stored = asked("count()", f"windows WHERE {ours} AND ({begun}) GROUP BY part") if begun else {}
    return [_weighed(plan, stored.get(plan.where.part, (0,))[0]) for plan in made]


def _weighed(plan: Plan, stored: int) -> Plan:
    return plan._replace(rows=stored + _ROWS_AN_OFFSET * max(0, plan.where.up_to - plan.settled))


def floor_of(newest: int, rolled: Collection[int]) -> int:
    """The newest cold minute: half an hour before the newest, and whatever is kept by the hour."""
    return max(newest - _WARM_S, (max(rolled, default=-1) + 1) * DAY_S - 60)


def portions(plans: Sequence[Plan], *, everything: bool) -> Iterator[Portion]:
    """The questions to ask, each for about `_ROWS` rows of hot minutes; `everything` recomputes whole partitions."""
    some: list[Plan] = []
    for plan in plans:
        if everything or len(plan.cold) > MANY_MINUTES:
            yield Portion([plan])
            continue
        if plan.cold:
            yield Portion([plan], plan.cold)
        if plan.rows > _ROWS:
            size = max(1, len(plan.hot) * _ROWS // plan.rows)
            for at in range(0, len(plan.hot), size):
                yield Portion([plan._replace(hot=plan.hot[at : at + size])], together=True)
        elif plan.hot:
            if sum(each.rows for each in some) + plan.rows > _ROWS:
                yield Portion(some, together=True)
                some = []
            some.append(plan)
    if some:
        yield Portion(some, together=True)


def compared(client: ClickHouse, portion: Portion) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Window rows of a portion: what they should be by the ledger, and what the table has."""
    if portion.together:
        return recompute.together(client, [(plan.where, plan.hot[0], plan.hot[-1]) for plan in portion.plans])
    (plan,) = portion.plans
    fresh = recompute.recompute(client, plan.where, portion.minutes)
    return fresh, recompute.stored(client, plan.where, portion.minutes)
