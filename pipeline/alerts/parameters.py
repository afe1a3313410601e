"""The parameters of each detector: defaults, limits, and why a value could never fire (pure)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

#: From mild to severe.
SEVERITIES: Final = ("info", "warning", "error", "critical")


@dataclass(frozen=True, slots=True)
class Parameter:
    """One number of a detector: its default and the range in which it can do anything."""

    default: float
    low: float
    high: float
    about: str


_POINTS = "points below the baseline"
#: Detector -> its numbers. Windows are five minutes, so times are not below them; trailing sums reach back a day.
DETECTORS: Final[Mapping[str, Mapping[str, Parameter]]] = {
    "drop": {
        "small": Parameter(10.0, 4.0, 100.0, f"the smaller drop that is looked for, {_POINTS}"),
        "large": Parameter(20.0, 4.0, 100.0, f"the larger drop, {_POINTS}"),
        "dead_band": Parameter(2.0, 0.0, 50.0, "shifts below it harm nobody, points"),
    },
    "guarantee": {"dead_band": Parameter(3.0, 0.0, 50.0, "shifts below it harm nobody, points")},
    "below": {
        "contract": Parameter(0.0, -99.0, 100.0, "the score that was promised, points"),
        "window_minutes": Parameter(1_440.0, 5.0, 1_440.0, "answers of how long"),
        "min_n": Parameter(30.0, 10.0, 1e6, "fewest answers"),
        "pending_minutes": Parameter(30.0, 0.0, 1_440.0, "how long it must last before it fires"),
    },
    "change": {
        "window_hours": Parameter(24.0, 1.0, 168.0, "answers of how long"),
        "period_hours": Parameter(168.0, 1.0, 600.0, "how long before is compared with"),
        "min_points": Parameter(5.0, 0.0, 199.0, "smallest fall that matters"),
        "alpha": Parameter(0.0001, 1e-12, 0.2, "chance of it without a change, one-sided"),
        "min_n": Parameter(30.0, 10.0, 1e6, "fewest answers on both sides"),
    },
    "silence": {
        "gaps": Parameter(10.0, 1.0, 1_000.0, "times the scope's own mean gap between answers"),
        "least_minutes": Parameter(360.0, 5.0, 43_200.0, "never earlier than this"),
    },
    "volume": {
        "share": Parameter(0.5, 0.01, 0.99, "of the usual number for the hours, below which it is a drop"),
        "window_minutes": Parameter(60.0, 5.0, 1_440.0, "answers of how long"),
        "alpha": Parameter(1e-6, 1e-12, 0.2, "chance of it without a change (Poisson)"),
    },
    "rejects": {
        "share": Parameter(0.05, 0.0, 0.99, "of the events, above which it fires"),
        "window_minutes": Parameter(5.0, 5.0, 1_440.0, "events of how long"),
        "min_n": Parameter(20.0, 1.0, 1e9, "fewest rejected events"),
    },
    "restated": {
        "share": Parameter(0.05, 0.0, 0.99, "of the answers that came, above which it fires"),
        "window_minutes": Parameter(1_440.0, 5.0, 1_440.0, "answers of how long"),
        "min_n": Parameter(50.0, 1.0, 1e9, "fewest corrected answers"),
    },
    "event": {"negative": Parameter(1.0, 0.0, 1.0, "1: every negative answer counts, 0: only the words and segments")},
    "burst": {
        "times": Parameter(3.0, 1.01, 1_000.0, "times the usual number of negative ones for the hours"),
        "window_minutes": Parameter(60.0, 5.0, 1_440.0, "answers of how long"),
        "min_n": Parameter(10.0, 2.0, 1e9, "fewest negative ones"),
        "alpha": Parameter(1e-6, 1e-12, 0.2, "chance of it without a change (Poisson)"),
    },
}
#: Detectors of a share of all events, whatever was answered: they work on nothing else.
BY_SHARE: Final = ("rejects", "restated")
#: Lists of words that a detector takes beside its numbers.
WORDS: Final[Mapping[str, tuple[str, ...]]] = {
    "event": ("words", "segments"),
    "burst": ("channels",),
    "restated": ("reasons",),
}
#: Channels where others can read along.
PUBLIC: Final = ("review", "social")
#: Why a closed window changes although nothing was delayed; what is on its way for hours (surveys by mail) is usual.
CORRECTED: Final = ("revised", "restated", "relabelled", "merged", "erased", "same_event", "conflict")
_USUAL: Final[Mapping[str, tuple[str, ...]]] = {"channels": PUBLIC, "reasons": CORRECTED}


def read_parameters(detector: str, table: object, where: str, wrong: list[str]) -> dict[str, Any]:
    """All parameters of a detector, defaults filled in; a sentence for each that is unknown or can never fire."""
    if not isinstance(table, dict):
        wrong.append(f"{where}: parameters must be a table")
        return {}
    numbers, words = DETECTORS[detector], WORDS.get(detector, ())
    for key in table:
        if key not in numbers and key not in words:
            wrong.append(f"{where}: {detector} has no parameter {key!r}; it has {', '.join((*numbers, *words))}")
    found: dict[str, Any] = {}
    for key, parameter in numbers.items():
        value = table.get(key, parameter.default)
        if isinstance(value, bool) or not isinstance(value, int | float):
            wrong.append(f"{where}: {key} must be a number ({parameter.about})")
        elif not parameter.low <= value <= parameter.high:
            limits = f"{parameter.low:g} to {parameter.high:g}"
            wrong.append(f"{where} can never fire as it should: {key} is {value:g}, it must be {limits}")
        found[key] = value
    for key in words:
        value = table.get(key, list(_USUAL.get(key, ())))
        if not isinstance(value, list) or not all(isinstance(word, str) and word for word in value):
            wrong.append(f"{where}: {key} must be a list of texts")
            value = []
        found[key] = tuple(word.lower() for word in value)
    wrong += [f"{where} can never fire: {why}" for why in _never(detector, found)] if not wrong else []
    return found


def _never(detector: str, found: Mapping[str, Any]) -> list[str]:
    if detector == "drop" and found["dead_band"] >= found["small"]:
        return [f"the dead-band of {found['dead_band']:g} points swallows the drop of {found['small']:g}"]
    if detector == "drop" and found["small"] > found["large"]:
        return ["small is above large"]
    if detector == "event" and not (found["negative"] or found["words"] or found["segments"]):
        return ["it looks for no negative answer, no word and no segment"]
    if detector == "burst" and not found["channels"]:
        return ["it watches no channel"]
    if detector == "restated" and not found["reasons"]:
        return ["it counts no reason"]
    if detector == "restated" and (strange := set(found["reasons"]) - {*CORRECTED, "delayed"}):
        return [f"{', '.join(sorted(strange))} is no reason of a change; there are delayed, {', '.join(CORRECTED)}"]
    return []
