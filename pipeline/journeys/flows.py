"""Counted journeys as people read them: steps, ways, what was declared and what was found. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipeline.journeys.facts import share
from pipeline.journeys.paths import Chain, Removal, removal
from pipeline.journeys.refusing import Refusal
from pipeline.scores.intervals import Counts
from pipeline.scores.meters import ENOUGH

if TYPE_CHECKING:
    from pipeline.journeys.ways import JourneyQuestion

#: Where a way may lead beside another step: the journey is over, or still on its way at the end of the window.
END, OPEN = 65_535, 65_534
#: What becomes of a journey, by number.
FATES = ("lost", "arrived", "open")


@dataclass(frozen=True, slots=True)
class Counted:
    """What ClickHouse counted. `ways` have a, b, n, middle, most; `chain` as in paths.py; `met` [node, fate].

    The fourth fate of `met` is: lost, and this was the last step. `lasted` and `lengths` are by fate.
    """

    question: JourneyQuestion
    nodes: tuple[str, ...]
    ways: list[dict[str, Any]]
    chain: Counts
    met: Counts
    lasted: list[dict[str, Any]]
    lengths: list[dict[str, Any]]
    cut: int


@dataclass(frozen=True, slots=True)
class Journeys:
    """Journeys in records. `totals` by fate; `steps` in order; `ways` by how many take them; times in seconds."""

    question: JourneyQuestion
    totals: dict[str, Any]
    steps: list[dict[str, Any]]
    ways: list[dict[str, Any]]
    removal: Refusal | None

    def document(self) -> dict[str, Any]:
        """The answer as one JSON document."""
        question = self.question
        return {
            "from": question.start,
            "to": question.end,
            "of": question.of,
            "metric": question.metric,
            "arrived_at": list(question.arrived),
            "silence_days": question.silence_days,
            "where": {name: list(values) for name, values in question.filters.items()},
            "totals": self.totals,
            "steps": self.steps,
            "ways": self.ways,
            "removal": self.removal.document() if self.removal else {"status": "ok"},
        }


def journeys_of(counted: Counted, declared: set[tuple[str, str]] | None, scores: list[dict[str, Any]]) -> Journeys:
    """Everything that can be said of counted journeys; `declared` None leaves the question of ways out."""
    worth = removal(Chain(counted.nodes, counted.chain))
    totals = _totals(counted)
    return Journeys(
        question=counted.question,
        totals=totals,
        steps=_steps(counted, worth, scores, totals["journeys"]),
        ways=_ways(counted, declared),
        removal=worth if isinstance(worth, Refusal) else None,
    )


def _totals(counted: Counted) -> dict[str, Any]:
    by_fate = {FATES[row["a"]]: row for row in counted.lasted}
    n = {fate: by_fate[fate]["n"] if fate in by_fate else 0 for fate in FATES}
    lengths = {FATES[row["a"]]: row["middle"] for row in counted.lengths}
    return {
        "journeys": sum(n.values()),
        **n,
        "arriving": share(n["arrived"], n["arrived"] + n["lost"]),
        "cut": counted.cut,
        "median_seconds": {fate: row["middle"] for fate, row in by_fate.items()},
        "median_steps": lengths,
    }


def _steps(
    counted: Counted, worth: Removal | Refusal, scores: list[dict[str, Any]], journeys: int
) -> list[dict[str, Any]]:
    found = []
    for place, node in enumerate(counted.nodes):
        lost, arrived, open_, last = (int(n) for n in counted.met[place])
        found.append(
            {
                "step": node,
                "journeys": lost + arrived + open_ + last,
                "reach": share(lost + arrived + open_ + last, journeys),
                "dropped": last,
                # Of the journeys that met this step and are decided: those that ended here without arriving.
                "drop_off": share(last, lost + arrived + last),
                "scores": [_score(row) for row in scores if row[counted.question.of] == node],
                "removal_effect": _effect(worth, place),
            }
        )
    return found


def _score(row: dict[str, Any]) -> dict[str, Any]:
    names = ("scale", "score", "n", "low", "high", "method", "status")
    return {**{name: row[name] for name in names}, "unit": row["score_unit"]}


def _effect(worth: Removal | Refusal, place: int) -> dict[str, Any]:
    nothing = {"value": None, "low": None, "high": None, "share": None}
    if isinstance(worth, Refusal):
        return {**nothing, "n": worth.n, "status": "insufficient"}
    n = int(worth.passed[place])
    if n < ENOUGH:
        return {**nothing, "n": n, "status": "insufficient"}
    found = {"value": worth.effect, "low": worth.low, "high": worth.high, "share": worth.share}
    return {**{name: float(values[place]) for name, values in found.items()}, "n": n, "status": "ok"}


def _ways(counted: Counted, declared: set[tuple[str, str]] | None) -> list[dict[str, Any]]:
    names = {0: "(begin)", END: "(end)", OPEN: "(open)", **dict(enumerate(counted.nodes, 1))}
    leaving: dict[int, int] = {}
    for row in counted.ways:
        leaving[row["a"]] = leaving.get(row["a"], 0) + row["n"]
    found = [
        {
            "from": names[row["a"]],
            "to": names[row["b"]],
            "n": row["n"],
            "share": share(row["n"], leaving[row["a"]]),
            **_times(row),
            "map": _said(names[row["a"]], names[row["b"]], row, declared),
        }
        for row in sorted(counted.ways, key=lambda row: (-row["n"], row["a"], row["b"]))
    ]
    seen = {(way["from"], way["to"]) for way in found}
    unseen = sorted(way for way in declared or () if way not in seen)
    return found + [
        {"from": one, "to": other, "n": 0, "share": share(0, 0), **_times(None), "map": "unseen"}
        for one, other in unseen
    ]


def _times(row: dict[str, Any] | None) -> dict[str, Any]:
    """Median and nine-of-ten time from the first event of one step to the first of the next; from ten ways on."""
    if row is None or row["n"] < ENOUGH or row["a"] == 0 or row["b"] in (END, OPEN):
        return {"median_seconds": None, "p90_seconds": None}
    return {"median_seconds": row["middle"], "p90_seconds": row["most"]}


def _said(one: str, other: str, row: dict[str, Any], declared: set[tuple[str, str]] | None) -> str:
    """Whether a way was declared; begin and end need no declaration."""
    if declared is None or row["a"] == 0 or row["b"] in (END, OPEN):
        return ""
    return "declared" if (one, other) in declared else "undeclared"
