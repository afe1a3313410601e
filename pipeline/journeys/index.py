"""The experience index of a customer: a sum that fades, with a term for the peak and one for the end. Pure.

Each experience is worth -1..1 (the definition says how much) and halves with every half-life. The strongest and the
latest count once more by a share. Answers about one touchpoint and what happened there make the `transactions`; answers
about the brand as a whole (without a touchpoint) make the `relationship`; the two never meet in one number.
An index is an account of what happened to one customer, not an estimate: it has n, and no interval.
"""

from __future__ import annotations

import math
import tomllib
from dataclasses import dataclass

import numpy as np
import polars as pl

from pipeline.errors import SettingsError
from pipeline.scores.intervals import P_UNIT, Floats
from pipeline.scores.meters import bounds, lower_is_better

_DAY_MS = 86_400_000.0
#: Words of the table `outcomes` in the order of the ledger's bins.
OUTCOMES = ("unknown", "ok", "fail", "abandon")
_METRICS = ("nps", "csat", "ces", "rating")


@dataclass(frozen=True, slots=True)
class Definition:
    """One version of the index; `outcomes` by bin, `answers` by metric."""

    id: str
    version: int
    half_life_days: float
    peak: float
    end: float
    outcomes: tuple[float, ...]
    answers: dict[str, float]
    sentiment: float

    @classmethod
    def parse(cls, text: str, source: str = "index") -> Definition:
        """The definition that a TOML text describes; raises SettingsError with every mistake."""
        try:
            document = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise SettingsError(f"the index definition {source} is not valid TOML: {error}") from error
        wrong: list[str] = []
        flat = {key: value for key, value in document.items() if not isinstance(value, dict)}
        names = {"outcomes": OUTCOMES, "answers": _METRICS, "texts": ("sentiment",)}
        wrong += [f"unknown key {key!r}" for key in document if key not in _RANGES and key not in (*names, "id")]
        for key, (low, high) in _RANGES.items():
            wrong += _outside(key, flat.get(key), low, high)
        if not isinstance(flat.get("id"), str) or not flat.get("id"):
            wrong.append("id must be a word")
        if not isinstance(flat.get("version"), int):
            wrong.append("version must be a whole number")
        tables = {name: document.get(name, {}) for name in names}
        for name, keys in names.items():
            table = tables[name] if isinstance(tables[name], dict) else {}
            wrong += [f"[{name}] has an unknown key {key!r}" for key in table if key not in keys]
            for key in keys:
                wrong += _outside(f"{name}.{key}", table.get(key), -1.0 if name == "outcomes" else 0.0, 1.0)
        if wrong:
            raise SettingsError(f"the index definition {source} does not hold: " + "; ".join(wrong))
        return cls(
            id=flat["id"],
            version=flat["version"],
            half_life_days=float(flat["half_life_days"]),
            peak=float(flat["peak"]),
            end=float(flat["end"]),
            outcomes=tuple(float(tables["outcomes"][word]) for word in OUTCOMES),
            answers={metric: float(tables["answers"][metric]) for metric in _METRICS},
            sentiment=float(tables["texts"]["sentiment"]),
        )


#: Numbers of a definition and the least and most they may be. A half-life of 100 years is: nothing fades.
_RANGES: dict[str, tuple[float, float]] = {
    "version": (1, 1_000_000),
    "half_life_days": (0.01, 36_500),
    "peak": (0, 10),
    "end": (0, 10),
}


def _outside(key: str, value: object, low: float, high: float) -> list[str]:
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        return [f"{key} is {value!r}, it must be a number from {low:g} to {high:g}"]
    return []


@dataclass(frozen=True, slots=True)
class Account:
    """An index explained: `worth` x `weight` of each experience, then the peak's and the end's further share.

    `index` is the sum of `points`, `peak` and `end`, in points (100 for one best experience of this moment). `peak_at`
    and `end_at` are the places of the experiences that count once more, -1 where there is none.
    """

    index: float
    points: Floats
    weight: Floats
    peak: float
    peak_at: int
    end: float
    end_at: int
    n: int


def account(worth: Floats, times_ms: np.ndarray, now_ms: int, definition: Definition) -> Account:
    """The index of experiences worth -1..1 at `times_ms`, as of `now_ms`; later ones count nothing yet.

    Time passing alone makes every part smaller by the same factor: 2^(-days / half-life).
    """
    age = (now_ms - np.asarray(times_ms, dtype=np.float64)) / _DAY_MS
    weight = np.where(age >= 0, np.exp2(-np.maximum(age, 0.0) / definition.half_life_days), 0.0)
    points = 100.0 * worth * weight
    counted = np.flatnonzero((age >= 0) & (worth != 0))
    if not len(counted):
        return Account(0.0, points, weight, 0.0, -1, 0.0, -1, 0)
    peak_at = int(counted[np.argmax(np.abs(points[counted]))])
    # Of experiences at the same moment the last one given is the end.
    end_at = int(counted[len(counted) - 1 - np.argmin(age[counted][::-1])])
    peak, end = definition.peak * float(points[peak_at]), definition.end * float(points[end_at])
    index = math.fsum([*points.tolist(), peak, end])
    return Account(index, points, weight, peak, peak_at, end, end_at, len(counted))


def worth(rows: pl.DataFrame, definition: Definition) -> Floats:
    """What each ledger row is worth: columns metric, scale, bin, label, p. Rows that say nothing are worth 0."""
    found = np.zeros(rows.height)
    for (metric, scale), part in rows.with_row_index("at").group_by("metric", "scale"):
        at, bins = part["at"].to_numpy(), part["bin"].to_numpy()
        found[at] = _worth(str(metric), str(scale), bins, part["p"].to_numpy(), definition)
    return found


def _worth(metric: str, scale: str, bins: np.ndarray, p: np.ndarray, definition: Definition) -> Floats:
    if metric == "volume":
        found: Floats = np.asarray(definition.outcomes, dtype=np.float64)[np.clip(bins, 0, len(OUTCOMES) - 1)]
        return found
    if metric in definition.answers:
        low, high = bounds(scale)
        if high <= low:
            return np.zeros(len(bins))
        place = 2.0 * bins / (high - low) - 1.0
        signed = -place if lower_is_better(metric, scale) else place
        return np.where(bins >= 0, definition.answers[metric] * signed, 0.0)
    return np.asarray(definition.sentiment * p.astype(np.float64) / P_UNIT)
