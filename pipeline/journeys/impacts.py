"""From what customers met and answered to a ranked list of drivers, with what to do first. Pure, numpy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.errors import UsageError
from pipeline.journeys.answers import factor, worth
from pipeline.journeys.contrasts import Lift, lifts
from pipeline.journeys.facts import share
from pipeline.journeys.refusing import Refusal
from pipeline.journeys.weights import TOO_ALIKE, Weights, relative_weights
from pipeline.scores.intervals import Counts
from pipeline.scores.meters import Reading, lower_is_better, read
from schemas.limits import MAX_BINS

if TYPE_CHECKING:
    from pipeline.journeys.drivers import DriverQuestion

#: Drivers that get a relative weight: those whose reach is nearest to one half. A weight of more is hardly readable.
MOST_WEIGHED = 16


@dataclass(frozen=True, slots=True)
class Exposed:
    """Answers on one `scale`: `times` customers with the same `met` [rows, names] (0 or 1) gave the answer `bins`.

    `inside` and `outside` are the histograms [names, bins] of those who met a thing and of the others. `joint` is False
    when only those are known. `left_out` are answers on other scales.
    """

    scale: str
    names: tuple[str, ...]
    met: Counts
    bins: Counts
    times: Counts
    joint: bool
    left_out: Mapping[str, int] = field(default_factory=dict)
    histograms: tuple[Counts, Counts] | None = None

    @classmethod
    def nothing(cls) -> Exposed:
        """No answer at all."""
        none = np.zeros(0, dtype=np.int64)
        return cls("", (), np.zeros((0, 0), dtype=np.int64), none, none, False)

    @classmethod
    def of_histograms(
        cls, scale: str, names: tuple[str, ...], inside: Counts, total: Counts, left_out: Mapping[str, int]
    ) -> Exposed:
        """From the histogram of each name [names, bins] and that of all answers [bins]."""
        none = np.zeros(0, dtype=np.int64)
        empty = np.zeros((0, len(names)), dtype=np.int64)
        return cls(scale, names, empty, none, none, False, left_out, (inside, total[None, :] - inside))

    def apart(self) -> tuple[Counts, Counts]:
        """Histograms of those who met each thing, and of the others."""
        if self.histograms is not None:
            return self.histograms
        spread = np.zeros((len(self.bins), MAX_BINS), dtype=np.int64)
        spread[np.arange(len(self.bins)), self.bins] = self.times
        inside = self.met.T @ spread
        return inside, spread.sum(axis=0)[None, :] - inside


@dataclass(frozen=True, slots=True)
class Drivers:
    """Drivers in records, the strongest first; `whole` is the score of all these answers."""

    question: DriverQuestion
    scale: str
    whole: dict[str, Any]
    drivers: list[dict[str, Any]]
    weights: Refusal | None
    r_squared: float | None
    left_out: Mapping[str, int]

    def document(self) -> dict[str, Any]:
        """The answer as one JSON document."""
        question = self.question
        return {
            "from": question.start,
            "to": question.end,
            "metric": question.metric,
            "scale": self.scale,
            "of": question.of,
            "within_days": question.within_days,
            "where": {name: list(values) for name, values in question.filters.items()},
            "whole": self.whole,
            "drivers": self.drivers,
            "weights": self.weights.document() if self.weights else {"status": "ok", "r_squared": self.r_squared},
            "answers_on_other_scales": dict(self.left_out),
        }


def drivers_of(exposed: Exposed, question: DriverQuestion) -> Drivers:
    """Everything that can be said of the exposures."""
    if not exposed.names:
        nothing = Refusal("no answer in this time, or nothing was met before it", 0)
        return Drivers(question, exposed.scale, {"n": 0, "status": "insufficient"}, [], nothing, None, exposed.left_out)
    inside, outside = exposed.apart()
    found = lifts(inside, outside, worth(question.metric, exposed.scale))
    weights, alike = _weights(exposed, question, found)
    whole = read(question.metric, exposed.scale, (inside + outside)[:1]).row(0)
    rows = _rows(exposed, question, found, whole)
    if isinstance(weights, Weights):
        _weighed(rows, weights)
    for name, other in alike.items():
        rows[name]["goes_along_with"] = other
    down = lower_is_better(question.metric, exposed.scale)
    _judged(rows, question, whole, down)
    ordered = sorted(rows.values(), key=lambda row: (-(row["weight"]["value"] or 0), -abs(row["impact"]["value"] or 0)))
    return Drivers(
        question=question,
        scale=exposed.scale,
        whole=_shown(whole),
        drivers=ordered,
        weights=weights if isinstance(weights, Refusal) else None,
        r_squared=weights.r_squared if isinstance(weights, Weights) else None,
        left_out=exposed.left_out,
    )


def _weights(exposed: Exposed, question: DriverQuestion, found: Lift) -> tuple[Weights | Refusal, dict[str, str]]:
    """Relative weights, and the drivers left out of them because another one says the same."""
    if not exposed.joint:
        return Refusal("an answer has one value of this dimension, so there is nothing to tell apart", 0), {}
    reach = found.met.n / (found.met.n + found.others.n)
    spread = np.where(found.enough, reach * (1.0 - reach), 0.0)
    candidates = [int(place) for place in np.argsort(-spread, kind="stable") if spread[place] > 0]
    kept, alike = _told_apart(exposed, candidates)
    if not kept:
        return Refusal(
            "nothing was met by some and not by others, ten of each at least", int(exposed.times.sum())
        ), alike
    x = exposed.met[:, kept].astype(np.float64)
    y = worth(question.metric, exposed.scale)[exposed.bins]
    try:
        return relative_weights(tuple(exposed.names[place] for place in kept), x, y, exposed.times), alike
    except UsageError as error:
        return Refusal(str(error), int(exposed.times.sum())), alike


def _told_apart(exposed: Exposed, candidates: list[int]) -> tuple[list[int], dict[str, str]]:
    """The first of any that go along with each other, at most MOST_WEIGHED."""
    x, n = exposed.met.astype(np.float64), exposed.times / exposed.times.sum()
    means = n @ x
    products = (x * n[:, None]).T @ x - np.outer(means, means)
    kept: list[int] = []
    alike: dict[str, str] = {}
    for place in candidates:
        scale = np.sqrt(np.maximum(products[place, place] * np.diagonal(products), 0.0))
        twin = next((other for other in kept if abs(products[place, other]) > TOO_ALIKE * scale[other]), None)
        if twin is not None:
            alike[exposed.names[place]] = exposed.names[twin]
        elif len(kept) < MOST_WEIGHED:
            kept.append(place)
    return kept, alike


def _rows(exposed: Exposed, question: DriverQuestion, found: Lift, whole: Reading) -> dict[str, dict[str, Any]]:
    inside, outside = exposed.apart()
    met, others = (read(question.metric, exposed.scale, side) for side in (inside, outside))
    unit = factor(question.metric)
    rows: dict[str, dict[str, Any]] = {}
    for place, name in enumerate(exposed.names):
        enough = bool(found.enough[place])
        values = (found.lift, found.lift_low, found.lift_high), (found.impact, found.impact_low, found.impact_high)
        lift, impact = (_figure([unit * float(v[place]) for v in three], whole.n, enough) for three in values)
        rows[name] = {
            "driver": name,
            "reach": share(int(found.met.n[place]), whole.n),
            "met": _shown(met.row(place)),
            "others": _shown(others.row(place)),
            "lift": lift,
            "impact": impact,
            "weight": _figure([0.0, 0.0, 0.0], whole.n, False),
            "goes_along_with": None,
            "quadrant": None,
            "critical": False,
            "pain": False,
        }
    return rows


def _figure(values: list[float], n: int, enough: bool) -> dict[str, Any]:
    value, low, high = values if enough else (None, None, None)
    return {"value": value, "low": low, "high": high, "n": n, "status": "ok" if enough else "insufficient"}


def _shown(reading: Reading) -> dict[str, Any]:
    names = ("score", "n", "low", "high", "unit", "method", "status")
    return {name: getattr(reading, name) for name in names}


def _weighed(rows: dict[str, dict[str, Any]], weights: Weights) -> None:
    for place, name in enumerate(weights.names):
        values = [float(column[place]) for column in (weights.weight, weights.low, weights.high)]
        rows[name]["weight"] = _figure(values, weights.n, True)


def _judged(rows: dict[str, dict[str, Any]], question: DriverQuestion, whole: Reading, down: bool) -> None:
    """Quadrants by medians, critical and painful ones (scores.md 5); `down` where lower scores are better."""
    sign = -1.0 if down else 1.0
    known = [row for row in rows.values() if row["impact"]["value"] is not None and row["met"]["score"] is not None]
    if not known or whole.score is None:
        return
    mean = sign * whole.score
    strength = [_strength(row, rows) for row in known]
    performance = [sign * row["met"]["score"] for row in known]
    losses = [max(0.0, (mean - value) * row["met"]["n"]) for row, value in zip(known, performance, strict=True)]
    middle = float(np.median(strength)), float(np.median(performance))
    ranks, worst = _ranks(strength), _ranks(losses)
    for place, row in enumerate(known):
        wide = row["reach"]["value"] is not None and row["reach"]["value"] >= question.critical_reach
        sure = row["lift"]["low"] > 0 or row["lift"]["high"] < 0
        quadrant = _QUADRANTS[strength[place] >= middle[0], performance[place] >= middle[1]]
        row["quadrant"] = quadrant if sure else "unclear"
        row["critical"] = bool(ranks[place] < question.critical_top and wide and sure)
        best = row["met"]["low"] if down else row["met"]["high"]
        below = best is not None and sign * best < mean
        row["pain"] = bool(below and losses[place] > 0 and worst[place] < question.critical_top)


def _strength(row: dict[str, Any], rows: dict[str, dict[str, Any]]) -> float:
    """The weight, or that of the driver it goes along with; where nothing has a weight, the size of the impact."""
    if all(other["weight"]["value"] is None for other in rows.values()):
        return abs(float(row["impact"]["value"]))
    weighed = rows.get(row["goes_along_with"] or "", row)
    return float(weighed["weight"]["value"] or 0.0)


def _ranks(values: list[float]) -> np.ndarray:
    """0 for the largest value, and so on; equal values in their order."""
    return np.argsort(np.argsort([-value for value in values], kind="stable"), kind="stable")


#: (strong, good) -> what to do, where the lift is surely not zero.
_QUADRANTS = {(True, False): "fix first", (True, True): "keep up", (False, False): "watch", (False, True): "fine"}
