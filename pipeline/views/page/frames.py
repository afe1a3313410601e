"""What a page shows, computed from histograms: big numbers, time line, heat map, headline. Pure.

Cells are frames with the columns start, metric, scale, some dimensions and b0..b10. Scores come from summed histograms
by pipeline/scores/meters.py, the one place with formulas; a number without its n and interval never leaves here.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from pipeline.scores.intervals import Sample, Z, difference, mean_and_variance, sample_of
from pipeline.scores.meters import ENOUGH, FORMS, bounds, lower_is_better, moments, net_of, read, top_box
from pipeline.views.page.board import BINS

#: The big numbers, in their order.
MEASURES: Final = ("nps", "csat", "ces", "sentiment")
#: Under this a difference is called real: the usual 5 %.
_REAL_P: Final = 0.05
_WEEK_S: Final = 7 * 86_400


@dataclass(frozen=True, slots=True)
class Cells:
    """What one view counts: `line` by start, `heat` by touchpoint and channel, `before` without either."""

    line: pl.DataFrame
    heat: pl.DataFrame
    before: pl.DataFrame


def summed(cells: pl.DataFrame, by: Sequence[str]) -> pl.DataFrame:
    """Histograms summed by metric, scale and `by`, in their order."""
    return cells.group_by("metric", "scale", *by).agg(pl.sum(*BINS)).sort("metric", "scale", *by)


def from_rows(metric: str, rows: pl.DataFrame, by: Sequence[str]) -> pl.DataFrame:
    """The answer of read_scores as cells."""
    counts = np.array(rows["histogram"].to_list(), dtype=np.int64).reshape(rows.height, len(BINS))
    heads = [pl.lit(metric).alias("metric"), pl.col("scale").cast(pl.String), pl.col("start").cast(pl.Int64)]
    named = rows.select(*heads, *(pl.col(name).cast(pl.String) for name in by))
    return named.with_columns(pl.Series(name, counts[:, i]) for i, name in enumerate(BINS))


def chosen_scales(line: pl.DataFrame) -> dict[str, str]:
    """The scale of each measure with the most answers: it leads, the others stand beside it; they never meet."""
    found: dict[str, tuple[int, str]] = {}
    for metric, scale, *bins in summed(line, ()).iter_rows():
        n = sum(bins)
        if metric in MEASURES and n > found.get(metric, (0, ""))[0]:
            found[metric] = (n, scale)
    return {metric: found[metric][1] for metric in MEASURES if metric in found}


def tiles(cells: Cells) -> list[dict[str, Any]]:
    """The big numbers: a reading, the change against before, a spark line, and the other scales of the measure."""
    scales = chosen_scales(cells.line)
    whole, before = summed(cells.line, ()), summed(cells.before, ())
    found = []
    for metric in MEASURES:
        unit = FORMS[metric][0]
        if metric not in scales:
            found.append({"metric": metric, "scale": "", "unit": unit, **_nothing(), "change": None, "also": []})
            continue
        scale = scales[metric]
        counts = _of(whole, metric, scale)
        also = [
            {"scale": other, **_reading(metric, other, _of(whole, metric, other))}
            for other in whole.filter(pl.col("metric") == metric)["scale"].to_list()
            if other != scale
        ]
        reading = _reading(metric, scale, counts)
        changed = change(metric, scale, _of(before, metric, scale), counts)
        found.append({"metric": metric, "scale": scale, "unit": unit, **reading, "change": changed, "also": also})
    return found


def change(metric: str, scale: str, before: pl.DataFrame, now: pl.DataFrame) -> dict[str, Any] | None:
    """Now minus before with its 95 % interval and whether chance explains it; None under ten answers on either side."""
    first, second = _sample(metric, scale, before), _sample(metric, scale, now)
    if first is None or second is None:
        return None
    times = 100.0 if FORMS[metric][0] == "points" else 1.0
    with np.errstate(divide="ignore", invalid="ignore"):
        found = difference(first, second)
    value, error, p = (float(x[0]) for x in (found.difference, found.error, found.p_change))
    half = Z * error * times
    # Two samples without any spread: what differs differs for certain.
    p = (1.0 if value == 0.0 else 0.0) if math.isnan(p) else p
    worse = value > 0 if lower_is_better(metric, scale) else value < 0
    verdict = "steady" if p >= _REAL_P else "worse" if worse else "better"
    return {
        "value": value * times,
        "low": value * times - half,
        "high": value * times + half,
        "p": p,
        "verdict": verdict,
        "n": int(first.n[0]),
    }


def line(cells: Cells, first: int, grain: int, until: int, scales: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Each measure's series, one point a step from `first`; a step without enough answers has n and no score.

    `scales` is what the big numbers chose, where they count a part of it.
    """
    steps = list(range(first, until, grain))
    place = {start: i for i, start in enumerate(steps)}
    series: dict[str, Any] = {}
    for metric, scale in (chosen_scales(cells.line) if scales is None else scales).items():
        rows = _of(summed(cells.line, ("start",)), metric, scale)
        columns: dict[str, list[Any]] = {name: [None] * len(steps) for name in ("score", "low", "high")}
        columns["n"] = [0] * len(steps)
        for start, reading in zip(rows["start"].to_list(), _readings(metric, scale, rows), strict=True):
            at = place.get(start)
            if at is not None:
                for name, values in columns.items():
                    values[at] = reading[name]
        series[metric] = {"scale": scale, "unit": FORMS[metric][0], **columns}
    return {"first": first, "grain": grain, "steps": len(steps), "series": series}


def slot(second: int, width: int) -> int:
    """The part of the week that a moment lies in, in seconds from the week's begin (Thursday 00:00 UTC)."""
    return second % _WEEK_S // width * width


def expected(drawn: dict[str, Any], usual: pl.DataFrame, width: int) -> None:
    """Adds to each series of a line where its score would lie in 95 of 100 such steps, had nothing changed since.

    `usual` are cells of the weeks before, `start` being the slot of the week, `width` seconds wide. The band is the
    usual score plus and minus z times the error of the difference between n answers now and all those before: a step
    with few answers has a wide one. None under ten answers on either side.
    """
    for metric, series in drawn["series"].items():
        scale, unit = series["scale"], FORMS[metric][0]
        series["usual_low"], series["usual_high"] = [None] * drawn["steps"], [None] * drawn["steps"]
        rows = _of(usual, metric, scale) if usual.width else usual
        rows = rows.filter(pl.sum_horizontal(BINS) >= ENOUGH) if usual.width else rows
        if not rows.height:
            continue
        sample = _samples(metric, scale, rows.select(BINS).to_numpy())
        place = {start: i for i, start in enumerate(rows["start"].to_list())}
        times = 100.0 if unit == "points" else 1.0
        floor, ceiling = {"points": (-100.0, 100.0), "share": (0.0, 1.0)}.get(unit) or bounds(scale)
        for step, n in enumerate(series["n"]):
            at = place.get(slot(drawn["first"] + step * drawn["grain"], width))
            if at is None or n < ENOUGH or not sample.variance[at] > 0.0:
                continue
            middle = float(sample.mean[at]) * times
            half = Z * times * math.sqrt(float(sample.variance[at]) * (1.0 / n + 1.0 / float(sample.n[at])))
            series["usual_low"][step] = round(max(middle - half, floor), 4)
            series["usual_high"][step] = round(min(middle + half, ceiling), 4)


def heat(cells: Cells) -> dict[str, Any]:
    """Each measure by touchpoint and channel: [touchpoint, channel, n, score, low, high]."""
    scales = chosen_scales(cells.line)
    rows = summed(cells.heat, ("touchpoint", "channel"))
    return {
        metric: [
            [touchpoint, channel, reading["n"], reading["score"], reading["low"], reading["high"]]
            for touchpoint, channel, reading in _places(metric, scale, rows)
        ]
        for metric, scale in scales.items()
    }


def headline(cells: Cells, owner_of: Mapping[str, str], default_owner: str) -> dict[str, Any] | None:
    """Where it is worst and who acts: the place that pulls the leading score down most, if that is no chance.

    A place counts as reliably worse when its whole interval lies on the bad side of the score of everything; among
    those the one whose n times distance is greatest leads. None without a score.
    """
    for metric, scale in chosen_scales(cells.line).items():
        whole = _reading(metric, scale, _of(summed(cells.line, ()), metric, scale))
        if whole["score"] is None:
            continue
        turned = -1.0 if lower_is_better(metric, scale) else 1.0
        worst: dict[str, Any] | None = None
        most = 0.0
        for touchpoint, channel, reading in _places(metric, scale, summed(cells.heat, ("touchpoint", "channel"))):
            if reading["score"] is None:
                continue
            edge = reading["high"] if turned > 0 else reading["low"]
            pull = turned * (whole["score"] - reading["score"]) * reading["n"]
            if turned * (whole["score"] - edge) > 0 and pull > most:
                owner = owner_of.get(touchpoint, default_owner)
                worst, most = {"touchpoint": touchpoint, "channel": channel, "owner": owner, **reading}, pull
        return {"metric": metric, "scale": scale, "unit": FORMS[metric][0], "worst": worst}
    return None


def _places(metric: str, scale: str, rows: pl.DataFrame) -> Iterator[tuple[str, str, dict[str, Any]]]:
    mine = _of(rows, metric, scale)
    names = mine.select("touchpoint", "channel").rows()
    for (touchpoint, channel), reading in zip(names, _readings(metric, scale, mine), strict=True):
        if reading["n"] > 0:
            yield touchpoint, channel, reading


def _of(cells: pl.DataFrame, metric: str, scale: str) -> pl.DataFrame:
    return cells.filter((pl.col("metric") == metric) & (pl.col("scale") == scale))


def _reading(metric: str, scale: str, cells: pl.DataFrame) -> dict[str, Any]:
    """The reading of all rows together."""
    found = _readings(metric, scale, cells.select(pl.sum(*BINS)))
    return found[0] if cells.height else _nothing()


def _readings(metric: str, scale: str, cells: pl.DataFrame) -> list[dict[str, Any]]:
    if not cells.height:
        return []
    readings = read(metric, scale, cells.select(BINS).to_numpy())
    rows = (readings.row(i) for i in range(len(readings)))
    return [{"n": r.n, "score": r.score, "low": r.low, "high": r.high, "status": r.status} for r in rows]


def _nothing() -> dict[str, Any]:
    return {"n": 0, "score": None, "low": None, "high": None, "status": "insufficient"}


def _sample(metric: str, scale: str, cells: pl.DataFrame) -> Sample | None:
    counts = cells.select(pl.sum(*BINS)).to_numpy()
    return None if counts.sum() < ENOUGH else _samples(metric, scale, counts)


def _samples(metric: str, scale: str, counts: NDArray[np.int64]) -> Sample:
    """Mean, variance and number of the answers in each row of histograms; points as fractions of one."""
    if FORMS[metric][0] == "points":
        return sample_of(net_of(metric, counts))
    if FORMS[metric][0] == "share":
        hits, n = top_box(scale, counts)
        return Sample(hits / n, hits / n * (1.0 - hits / n), n)
    sample = mean_and_variance(moments(scale, counts))
    return Sample(sample.mean, sample.variance, sample.n.astype(np.float64))
