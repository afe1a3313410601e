"""Reads journeys from the ledger [I/O]: who goes where, how long it takes, where they stop, what a step is worth.

A journey is what one customer of one brand did, in order of event time; a silence ends it. It counts where it began.
Repeats are collapsed, so a way leads from one step to another one. ClickHouse walks every journey and gives back
counts: what comes here does not grow with the events, and a customer who never stops fills no more than MOST_EVENTS.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl

from pipeline.customers.declared import MOST_SILENCE_DAYS, SILENCE_DAYS
from pipeline.customers.registry import Registry
from pipeline.errors import UsageError
from pipeline.journeys.facts import (
    DAY_S,
    SETTINGS,
    Database,
    Filters,
    between,
    check_filters,
    column,
    kept,
    parameters,
    place,
)
from pipeline.journeys.flows import END, OPEN, Counted, Journeys, journeys_of
from pipeline.scores.meters import FORMS
from pipeline.scores.reading import Question, read_scores

#: What the steps of a journey may be.
KINDS: tuple[str, ...] = ("stage", "touchpoint", "channel", "mode")
#: The first events of a customer in the window that are walked; who has more is named in `cut`.
MOST_EVENTS = 5_000
#: Steps that are told apart; the rarer ones are one step, `other`.
MOST_NODES = 60
OTHER = "other"


@dataclass(frozen=True, slots=True)
class JourneyQuestion:
    """Which journeys: those that began in [start, end) (Unix seconds), as known at the end.

    `arrived` are the touchpoints at which a journey has arrived, `silence_days` what ends one; both as the registry
    declares them unless said otherwise (`of_registry`). `filters` choose events. Raises UsageError.
    """

    start: int
    end: int
    of: str = "stage"
    metric: str = "nps"
    arrived: tuple[str, ...] = ()
    silence_days: int = SILENCE_DAYS
    filters: Filters = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.of not in KINDS:
            raise UsageError(f"a journey has no steps by {self.of!r}; it has by {', '.join(KINDS)}")
        if self.metric not in FORMS:
            raise UsageError(f"there is no score {self.metric!r}; there are {', '.join(FORMS)}")
        if not 0 <= self.start < self.end:
            raise UsageError("the start must lie before the end")
        if not 1 <= self.silence_days <= MOST_SILENCE_DAYS:
            raise UsageError(f"a silence of {self.silence_days} days; it must be from 1 to {MOST_SILENCE_DAYS}")
        check_filters(self.filters)


def read_journeys(client: Database, question: JourneyQuestion, registry: Registry) -> Journeys:
    """The journeys asked for: steps with reach, score, drop-off and removal effect, ways with their times."""
    nodes = _nodes(client, question, registry)
    facts = _walked(client, question, nodes) if nodes else pl.DataFrame()
    return journeys_of(
        _counted(question, nodes, facts), _declared(question, registry, nodes), _scores(client, question)
    )


def _parameters(question: JourneyQuestion) -> dict[str, Any]:
    # One silence before the start is read too: a journey that was on its way then did not begin in the window.
    begin = max(question.start - question.silence_days * DAY_S, 0)
    return parameters(begin, question.end, question.filters) | {
        "start_ms": question.start * 1000,
        "silence_ms": question.silence_days * DAY_S * 1000,
        "arrived": list(question.arrived),
    }


def _nodes(client: Database, question: JourneyQuestion, registry: Registry) -> list[str]:
    """Names of the steps: stages in the journey's order, others by how often they are met; at most MOST_NODES."""
    found = client.query(
        f"""SELECT {column(question.of)} AS node, count() AS n FROM ledger FINAL
        WHERE metric = 'volume' AND {between()}{kept(question.filters)} GROUP BY node ORDER BY n DESC, node""",
        _parameters(question),
        SETTINGS,
        long=True,
    )
    names = found["node"].to_list() if found.width else []
    shown = names[:MOST_NODES]
    if question.of == "stage":
        order = {stage: place for place, stage in enumerate(registry.stages)}
        shown.sort(key=lambda name: order.get(name, len(order)))
    return [*shown, OTHER] if len(names) > MOST_NODES else shown


def _walked(client: Database, question: JourneyQuestion, nodes: list[str]) -> pl.DataFrame:
    """Columns kind, a, b, n, middle, most (seconds: median and nine of ten); see `_FACTS` for the kinds."""
    given = _parameters(question) | {"nodes": nodes, "places": list(range(1, len(nodes) + 1)), "last": len(nodes)}
    return client.query(_sql(question), given, SETTINGS, long=True)


#: One event as a number: its time, its step, whether it is an arrival. Sorting the numbers sorts the events.
_CODE = (
    "bitShiftLeft(toUInt64(occurred_ms), 16) + toUInt64({node}) * 2 "
    "+ (touchpoint IN {{arrived:Array(String)}} AND bin NOT IN (2, 3))"
)


def _fact(kind: int, one: str, other: str = "0", seconds: str = "0") -> str:
    return f"(toUInt8({kind}), toUInt16({one}), toUInt16({other}), toInt64({seconds}))"


#: What one journey adds, as (kind, from, to, seconds): 0 a way, the begin (0) and the end of it; 1 a way until the
#: arrival or the end, of journeys that are over or have arrived; 2 a step met, by what became of the journey; 3 the
#: journey itself with its duration; 4 its number of steps; 5 a journey of a customer who has more events than are read.
_FACTS = f"""arrayConcat(
    arrayMap((a, b, t, u) -> {_fact(0, "a", "b", "intDiv(u - t, 1000)")},
        arrayPopBack(nodes), arrayPopFront(nodes), arrayPopBack(times), arrayPopFront(times)),
    [{_fact(0, "0", "nodes[1]")}, {_fact(0, "nodes[-1]", f"if(open, {OPEN}, {END})")}],
    arrayFilter(way -> fate != 2, arrayConcat(
        [{_fact(1, "0", "head[1]")}, {_fact(1, "head[-1]", f"if(fate = 1, {END}, {OPEN})")}],
        arrayMap((a, b) -> {_fact(1, "a", "b")}, arrayPopBack(head), arrayPopFront(head)))),
    arrayMap(a -> {_fact(2, "a", "if(fate = 0 AND a = nodes[-1], 3, fate)")}, arrayDistinct(nodes)),
    [{_fact(3, "fate", "0", "intDiv(ended - began, 1000)")}, {_fact(4, "fate", "0", "length(nodes)")}],
    arrayFilter(one -> cut, [{_fact(5, "0")}]))"""


def _sql(question: JourneyQuestion) -> str:
    code = _CODE.format(node=place(question.of, "{last:UInt16}"))
    events = f"""SELECT groupArraySorted({MOST_EVENTS})({code}) AS codes, count() > {MOST_EVENTS} AS cut
            FROM ledger FINAL WHERE metric = 'volume' AND {between()}{kept(question.filters)}
            GROUP BY brand, customer"""
    journeys = f"""SELECT cut, arrayJoin(arraySplit((code, new) -> new, codes, arrayMap(
                (code, before) -> bitShiftRight(code, 16) - bitShiftRight(before, 16) > {{silence_ms:UInt64}},
                codes, arrayPushFront(arrayPopBack(codes), codes[1])))) AS journey
            FROM ({events})"""
    steps = f"""SELECT cut, bitShiftRight(journey[1], 16) AS began, bitShiftRight(journey[-1], 16) AS ended,
                arrayFilter((code, before) -> bitAnd(code, 65534) != bitAnd(before, 65534), journey,
                    arrayPushFront(arrayPopBack(journey), toUInt64(65534))) AS kept,
                arrayMap(code -> intDiv(bitAnd(code, 65534), 2), kept) AS nodes,
                arrayMap(code -> bitShiftRight(code, 16), kept) AS times,
                arrayFirst(code -> bitAnd(code, 1) = 1, journey) AS arrival,
                ended > {{finish_ms:UInt64}} - {{silence_ms:UInt64}} AS open,
                multiIf(arrival > 0, 1, open, 2, 0) AS fate,
                if(arrival > 0, arraySlice(nodes, 1, arrayCount(code -> code <= arrival, kept)), nodes) AS head
            FROM ({journeys}) WHERE began >= {{start_ms:UInt64}}"""
    return f"""SELECT fact.1 AS kind, fact.2 AS a, fact.3 AS b, count() AS n,
            toFloat64(quantileExactLow(0.5)(fact.4)) AS middle, toFloat64(quantileExactLow(0.9)(fact.4)) AS most
        FROM (SELECT arrayJoin({_FACTS}) AS fact FROM ({steps})) GROUP BY kind, a, b ORDER BY kind, a, b"""


def _counted(question: JourneyQuestion, nodes: list[str], facts: pl.DataFrame) -> Counted:
    def of(kind: int) -> list[dict[str, Any]]:
        return facts.filter(pl.col("kind") == kind).to_dicts() if facts.width else []

    size = len(nodes)
    chain = np.zeros((size + 1, size + 2), dtype=np.int64)
    for row in of(1):
        to = {END: size, OPEN: size + 1}.get(row["b"], row["b"] - 1)
        chain[row["a"], to] = row["n"]
    met = np.zeros((size, 4), dtype=np.int64)
    for row in of(2):
        met[row["a"] - 1, row["b"]] = row["n"]
    return Counted(question, tuple(nodes), of(0), chain, met, of(3), of(4), sum(row["n"] for row in of(5)))


def _declared(question: JourneyQuestion, registry: Registry, nodes: list[str]) -> set[tuple[str, str]] | None:
    """The declared ways between the steps asked for; None where the registry declares none of that kind."""
    ways = registry.journey.ways
    if not ways or question.of not in ("stage", "touchpoint"):
        return None
    if question.of == "stage":
        return {(stage, following) for stage, all_ in ways.items() for following in all_}
    stages = {name: registry.touchpoints[name].stage for name in nodes if name in registry.touchpoints}
    return {
        (one, other)
        for one, stage in stages.items()
        for other, following in stages.items()
        if one != other and (stage == following or following in ways.get(stage, ()))
    }


def _scores(client: Database, question: JourneyQuestion) -> list[dict[str, Any]]:
    asked = Question(
        metric=question.metric, start=question.start, end=question.end, by=(question.of,), filters=question.filters
    )
    return read_scores(client, asked).to_dicts()
