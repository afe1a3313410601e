"""Definitions of scores: a reading of answer histograms, with a version, as scores.toml says (pure).

A file is read as a whole or not at all: every mistake is named in one SettingsError. Two versions of a score may stand
side by side; one of them is in force. The functions tl_defined_* in SQL say the same, operation for operation.
"""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike

from pipeline.errors import SettingsError, UsageError
from pipeline.scores.intervals import (
    Counts,
    Floats,
    Interval,
    Net,
    Sample,
    adjusted_wald,
    mean_and_variance,
    net_score,
    normal,
    sample_of,
    wilson,
)
from pipeline.scores.meters import ENOUGH, FORMS, Method, Readings, Unit, bounds, histograms_of, moments
from schemas.feedback import SCALES
from schemas.vocabulary import Metric

Form = Literal["net", "share", "mean", "count"]
Weighting = Literal["raw", "one_voice"]
Better = Literal["higher", "lower"]

#: The scale that stands for every scale of a metric.
ANY: Final = "any"
#: Scores that the stream publishes and others look up by name: each must have a version in force.
NEEDED: Final = tuple(FORMS)
#: What a form is measured in and the one interval that fits it.
_OF_FORM: Final[Mapping[str, tuple[Unit, Method, str]]] = {
    "net": ("points", "adjusted_wald", "adjusted_wald"),
    "share": ("share", "wilson", "wilson"),
    "mean": ("mean", "normal", "normal"),
    "count": ("count", "count", "none"),
}
#: Boxes that a form needs.
_BOXES: Final = {"net": ("top", "bottom"), "share": ("top",), "mean": (), "count": ()}
#: Labels of texts as answers: bins 0, 1, 2 are -1, 0, 1.
_LABELS: Final = (-1, 1)
_KEYS: Final = (
    *("id", "version", "about", "metric", "form", "interval", "weighting", "minimum_n", "in_force", "scales"),
)


@dataclass(frozen=True, slots=True)
class Boxes:
    """Of one scale: bins (answer less lowest answer) of the top and the bottom box, and which way is better."""

    top: tuple[int, ...] = ()
    bottom: tuple[int, ...] = ()
    better: Better = "higher"


@dataclass(frozen=True, slots=True)
class Definition:
    """One version of one score. `scales` holds boxes by scale, under "any" those of every other scale."""

    id: str
    version: int
    metric: str
    form: Form
    scales: Mapping[str, Boxes]
    weighting: Weighting = "raw"
    minimum_n: int = ENOUGH
    about: str = ""

    @property
    def name(self) -> str:
        """How people name it: `nps@1`."""
        return f"{self.id}@{self.version}"

    @property
    def unit(self) -> Unit:
        """What the score is measured in."""
        return _OF_FORM[self.form][0]

    @property
    def method(self) -> Method:
        """How its interval is made."""
        return _OF_FORM[self.form][1]

    def boxes(self, scale: str) -> Boxes | None:
        """The boxes of a scale; None for a scale that this score does not read."""
        return self.scales.get(scale, self.scales.get(ANY))

    def read(self, scale: str, histograms: ArrayLike) -> Readings:
        """Scores, intervals and n of many histograms of one scale. Raises UsageError for a scale it does not read."""
        counts = histograms_of(histograms)
        n = counts.sum(axis=1)
        with np.errstate(divide="ignore", invalid="ignore"):
            score, interval = self._score(scale, counts)
        enough = (n >= self.minimum_n) | (self.form == "count")
        score, low, high = (np.where(enough, values, np.nan) for values in (score, interval.low, interval.high))
        return Readings(score, n, low, high, enough, self.unit, self.method, counts)

    def sample(self, scale: str, histograms: ArrayLike) -> Sample:
        """Mean, variance and size, as fractions: what comparing two windows needs. Of counts there is none."""
        counts = histograms_of(histograms)
        with np.errstate(divide="ignore", invalid="ignore"):
            if self.form == "net":
                return sample_of(self._net(scale, counts))
            if self.form == "share":
                hits, n = self._hits(scale, counts)
                share = hits / n
                return Sample(share, share * (1.0 - share), n)
            if self.form == "mean":
                return mean_and_variance(moments(scale, counts))
        raise UsageError(f"{self.name} is a count: it has no sample to compare")

    def _score(self, scale: str, counts: Counts) -> tuple[Floats, Interval]:
        if self.form == "net":
            net = self._net(scale, counts)
            low, high = adjusted_wald(net)
            return 100.0 * net_score(net), Interval(np.maximum(100.0 * low, -100.0), np.minimum(100.0 * high, 100.0))
        if self.form == "share":
            hits, n = self._hits(scale, counts)
            return hits / n, wilson(hits, n)
        if self.form == "mean":
            lowest, highest = bounds(scale)
            sample = mean_and_variance(moments(scale, counts))
            low, high = normal(sample)
            return sample.mean, Interval(np.maximum(low, float(lowest)), np.minimum(high, float(highest)))
        n = counts.sum(axis=1).astype(np.float64)
        return n, Interval(np.full_like(n, np.nan), np.full_like(n, np.nan))

    def _net(self, scale: str, counts: Counts) -> Net:
        boxes = self._known(scale)
        sums = (counts[:, list(boxes.bottom)].sum(axis=1), counts[:, list(boxes.top)].sum(axis=1), counts.sum(axis=1))
        return Net(*(each.astype(np.float64) for each in sums))

    def _hits(self, scale: str, counts: Counts) -> tuple[Floats, Floats]:
        top = list(self._known(scale).top)
        return counts[:, top].sum(axis=1).astype(np.float64), counts.sum(axis=1).astype(np.float64)

    def _known(self, scale: str) -> Boxes:
        boxes = self.boxes(scale)
        if boxes is None:
            raise UsageError(f"{self.name} does not read the scale {scale!r}; it reads {', '.join(self.scales)}")
        return boxes


@dataclass(frozen=True, slots=True)
class Definitions:
    """All definitions of a file, in its order; `leading` is the version in force of each score."""

    every: tuple[Definition, ...]
    leading: Mapping[str, Definition] = field(repr=False)

    def find(self, name: str) -> Definition:
        """The version in force of `nps`, or the one that `nps@2` names. Raises UsageError."""
        id_, at, version = name.partition("@")
        if not at and id_ in self.leading:
            return self.leading[id_]
        for each in self.every:
            if each.name == f"{id_}@{version}":
                return each
        names = self.leading if not at else [each.name for each in self.every]
        raise UsageError(f"there is no score {name!r}; there are {', '.join(names)}")

    def versions(self, id_: str) -> tuple[Definition, ...]:
        """Every version of one score, oldest first."""
        return tuple(sorted((each for each in self.every if each.id == id_), key=lambda each: each.version))

    @classmethod
    def parse(cls, text: str, source: str = "scores.toml") -> Definitions:
        """The definitions of a TOML text; `source` names it in errors."""
        try:
            document = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise SettingsError(f"the definitions of scores {source} are not valid TOML: {error}") from error
        wrong = [f"unknown key {key!r}" for key in document if key != "scores"]
        entries = document.get("scores")
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            wrong.append("there is no score: head each with [[scores]]")
            entries = []
        found = [(_definition(entry, number, wrong), entry) for number, entry in enumerate(entries, 1)]
        whole = [(each, entry) for each, entry in found if each is not None]
        leading = _leading(whole, wrong)
        if wrong:
            raise SettingsError(f"the definitions of scores {source} do not hold: " + "; ".join(wrong))
        return cls(tuple(each for each, _ in whole), leading)


def _leading(found: list[tuple[Definition, dict[str, object]]], wrong: list[str]) -> dict[str, Definition]:
    """The version in force of each score; complains of doubles, of none and of more than one."""
    twice = Counter(each.name for each, _ in found)
    wrong += [f"{name} is defined {count} times" for name, count in twice.items() if count > 1]
    leading = {}
    for id_ in dict.fromkeys(each.id for each, _ in found):
        mine = [(each, entry) for each, entry in found if each.id == id_]
        if len(mine) == 1:
            leading[id_] = mine[0][0]
            continue
        chosen = [each for each, entry in mine if entry.get("in_force") is True]
        if len(chosen) != 1:
            names = ", ".join(each.name for each, _ in mine)
            wrong.append(f"{len(chosen)} of {names} say in_force = true; exactly one version leads")
        else:
            leading[id_] = chosen[0]
    missing = [id_ for id_ in NEEDED if not any(each.id == id_ for each, _ in found)]
    if not wrong:  # else what is missing is what does not hold
        wrong += [f"{id_} is not defined; every file defines {', '.join(NEEDED)}" for id_ in missing]
    wrong += [
        f"{each.name} reads the answers of {each.metric}, but {each.id} is the name of another metric"
        for each, _ in found
        if each.id in NEEDED and each.metric != each.id
    ]
    return leading


def _definition(entry: dict[str, object], number: int, wrong: list[str]) -> Definition | None:
    """One definition; None, and a sentence for each mistake, when it does not hold."""
    id_, version = entry.get("id"), entry.get("version")
    name = f"{id_}@{version}" if id_ else f"score {number}"
    said = [f"unknown key {key!r}" for key in entry if key not in _KEYS]
    if not isinstance(id_, str) or not id_.replace("_", "a").isalnum() or not id_.islower():
        said.append("id must be lower-case letters, digits and _")
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        said.append("version must be a whole number from 1")
    metric, form = entry.get("metric"), entry.get("form")
    if metric not in FORMS:
        said.append(f"metric {metric!r} is none of {', '.join(FORMS)}")
    if form not in _OF_FORM:
        said.append(f"form {form!r} is none of {', '.join(_OF_FORM)}")
    elif (metric == "volume") != (form == "count"):
        said.append(f"form {form} does not fit the metric {metric}: volume is counted, and only volume is")
    elif entry.get("interval") != _OF_FORM[str(form)][2]:
        said.append(
            f"interval {entry.get('interval')!r} does not fit the form {form}: that has {_OF_FORM[str(form)][2]}"
        )
    weighting, minimum = entry.get("weighting", "raw"), entry.get("minimum_n", ENOUGH)
    if weighting not in get_args(Weighting):
        said.append(f"weighting {weighting!r} is none of {', '.join(get_args(Weighting))}")
    if not isinstance(minimum, int) or minimum < ENOUGH:
        said.append(f"minimum_n {minimum!r} must be a whole number from {ENOUGH}: below, no interval keeps its promise")
    if not isinstance(entry.get("in_force", False), bool):
        said.append("in_force must be true or false")
    scales = {} if said else _scales(entry.get("scales"), str(metric), str(form), said)
    wrong += [f"{name}: {sentence}" for sentence in said]
    if said:
        return None
    chosen: tuple[Form, Weighting] = (form, weighting)  # type: ignore[assignment]  # checked above
    rest = (int(str(minimum)), str(entry.get("about", "")))
    return Definition(str(id_), int(str(version)), str(metric), chosen[0], scales, chosen[1], *rest)


def _scales(table: object, metric: str, form: str, said: list[str]) -> dict[str, Boxes]:
    if not isinstance(table, dict) or not table:
        said.append('it reads no scale: write [scores.scales."1-5"] or [scores.scales.any]')
        return {}
    numbered = metric in {str(each) for each in Metric} and metric != "volume"
    known = [f"{low}-{high}" for low, high in SCALES[Metric(metric)]] if numbered else []
    found: dict[str, Boxes] = {}
    for scale, entry in table.items():
        if scale != ANY and scale not in known:
            said.append(f"the scale {scale!r} is none of {', '.join([*known, ANY])} that {metric} has")
        elif not isinstance(entry, dict):
            said.append(f"scale {scale} must be a table")
        elif scale == ANY and numbered and _BOXES[form]:
            said.append(f"scale any has no box: {form} needs one for each scale of {metric}")
        else:
            found[scale] = _boxes(scale, entry, (metric, form), said)
    return found


def _boxes(scale: str, entry: dict[str, object], of: tuple[str, str], said: list[str]) -> Boxes:
    metric, form = of
    lowest, highest = _LABELS if metric == "sentiment" else bounds(scale)
    said += [f"scale {scale} has an unknown key {key!r}" for key in entry if key not in ("top", "bottom", "better")]
    boxes: dict[str, tuple[int, ...]] = {"top": (), "bottom": ()}
    for side in boxes:
        answers = entry.get(side, [])
        if not isinstance(answers, list) or not all(type(each) is int for each in answers):
            said.append(f"{side} of scale {scale} must be a list of answers")
        elif bool(answers) != (side in _BOXES[form]):
            said.append(f"{form} on scale {scale} {'needs a' if side in _BOXES[form] else 'has no'} {side} box")
        elif outside := [each for each in answers if not lowest <= each <= highest]:
            said.append(f"{side} box {outside} of scale {scale}: its answers are {lowest} to {highest}")
        else:
            boxes[side] = tuple(sorted({each - lowest for each in answers}))
    if both := set(boxes["top"]) & set(boxes["bottom"]):
        said.append(f"{sorted(each + lowest for each in both)} of scale {scale} are in the top and the bottom box")
    better = entry.get("better", "higher")
    if better not in get_args(Better):
        said.append(f"better of scale {scale} is {better!r}, it must be higher or lower")
    return Boxes(boxes["top"], boxes["bottom"], "lower" if better == "lower" else "higher")
