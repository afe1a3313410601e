"""Events to columns: the one place that reads attributes of events, one attribute of a whole slice at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from operator import attrgetter
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from pipeline.arrival.fingerprints import Hashes, Ints, joint_fingerprints, text_fingerprints
from pipeline.blanks import blank
from pipeline.slices import ACCEPTED
from schemas.feedback import Feedback
from schemas.touchpoint import Touchpoint

#: Columns that come from the event's own fields; the rest of ACCEPTED is decided by accept.
OWN: tuple[str, ...] = (
    "customer_id",
    "source",
    "metric",
    "scale",
    "answer",
    "bin",
    "brand",
    "unit",
    "channel",
    "touchpoint",
    "stage",
    "product",
    "agent",
    "language",
    "device",
    "campaign",
    "value",
    "currency",
    "duration_ms",
    "text",
    "truncated",
)

#: Column and attribute, where a word of the event is a column of ours as it stands.
_SHARED_WORDS: dict[str, str] = {
    "customer_id": "customer_id",
    "brand": "brand",
    "unit": "unit",
    "channel": "channel",
    "touchpoint": "touchpoint",
    "stage": "stage",
    "product": "product",
    "agent": "agent_id",
    "language": "language",
    "device": "device",
    "campaign": "campaign",
}
_TOUCHPOINT_WORDS = {**_SHARED_WORDS, "currency": "currency"}
_FEEDBACK_WORDS = {**_SHARED_WORDS, "source": "source", "metric": "metric", "text": "text"}

_WORD = pl.String()
_FLAG = pl.UInt8()
#: Bins of a touchpoint's outcome.
_OUTCOMES: dict[str, int] = {"": 0, "ok": 1, "fail": 2, "abandon": 3}

#: What a column holds where there is no event.
BLANKS: dict[str, Any] = {
    name: "" if dtype == pl.String() else -1 if name == "bin" else 0 for name, dtype in ACCEPTED.items() if name in OWN
}


class Columns(NamedTuple):
    """The columns OWN of some events, their event times in ms and hashes; `answer_hash` is 0 without a submission."""

    own: dict[str, pl.Series]
    occurred: Ints
    event_hash: Hashes
    answer_hash: Hashes
    revision: Ints


def joined(parts: Sequence[Columns]) -> Columns:
    """The columns of consecutive events, one part after the other."""
    own = {name: pl.concat([part.own[name] for part in parts], rechunk=True) for name in parts[0].own}
    numbers = (np.concatenate([part[at] for part in parts]) for at in range(1, len(Columns._fields)))
    return Columns(own, *numbers)


#: Stands for "not given" among the steps of scales, which go from -100 to 100.
NO_STEP = -128


class Scores(NamedTuple):
    """Answers as they came: NO_STEP where the event names none."""

    score: Ints
    low: Ints
    high: Ints


def of_touchpoints(events: Sequence[Touchpoint]) -> Columns:
    """Columns of touchpoints; metric `volume` on the scale `outcome`."""
    count = len(events)
    own = {column: words(events, attribute) for column, attribute in _TOUCHPOINT_WORDS.items()}
    own["source"] = _constant("", count)
    own["metric"] = _constant("volume", count)
    own["scale"] = _constant("outcome", count)
    own["answer"] = _constant(0, count, pl.Int16())
    own["bin"] = words(events, "outcome").replace_strict(_OUTCOMES, return_dtype=pl.Int8())
    own["value"] = _numbers(events, "value", pl.Float64())
    own["duration_ms"] = _numbers(events, "duration_ms", pl.Int64())
    own["text"] = _constant("", count)
    own["truncated"] = _constant(0, count, _FLAG)
    nothing = np.zeros(count, dtype=np.uint64)
    return Columns(own, moments(events), _ids(events), nothing, np.zeros(count, dtype=np.int64))


def of_feedback(events: Sequence[Feedback]) -> tuple[Columns, Scores]:
    """Columns of feedback but for scale, answer and bin, which checks.py makes of the scores."""
    count = len(events)
    own = {column: words(events, attribute) for column, attribute in _FEEDBACK_WORDS.items()}
    own["value"] = _numbers(events, "reach", pl.Float64())
    own["currency"] = _constant("", count)
    own["duration_ms"] = _constant(0, count, pl.Int64())
    own["truncated"] = _flags(events, "truncated")
    revision = np.fromiter(map(attrgetter("revision"), events), dtype=np.int64, count=count)
    return Columns(own, moments(events), _ids(events), _answers(events, own), revision), scores_of(events)


def scores_of(events: Sequence[Feedback]) -> Scores:
    """The answers of events and the bounds of their scales."""
    return Scores(*(_steps(events, name) for name in ("score", "scale_min", "scale_max")))


def _steps(events: Sequence[Any], attribute: str) -> Ints:
    values = list(map(attrgetter(attribute), events))
    missing = values.count(None)
    if missing == len(values):
        return np.full(len(values), NO_STEP, dtype=np.int64)
    if missing:
        values = [NO_STEP if value is None else value for value in values]
    return np.fromiter(values, dtype=np.int64, count=len(values))


def words(events: Sequence[Any], attribute: str) -> pl.Series:
    """One optional word of each event, empty where there is none."""
    values = list(map(attrgetter(attribute), events))
    # Most columns hold no word or one word: seen by comparing, without a string for each row.
    if values and values[0] == values[-1] and values.count(values[0]) == len(values):
        return _constant(values[0] or "", len(values))
    series = pl.Series(values, dtype=pl.String())
    return series.fill_null("") if series.null_count() else series


def _constant(value: str | float | None, count: int, dtype: pl.DataType = _WORD) -> pl.Series:
    if not value:
        return blank(value, dtype, count)
    return pl.Series([value], dtype=dtype).new_from_index(0, count)


def _numbers(events: Sequence[Any], attribute: str, dtype: pl.DataType) -> pl.Series:
    """One optional number of each event, 0 where there is none."""
    values = list(map(attrgetter(attribute), events))
    missing = values.count(None)
    if missing == len(values):
        return _constant(0, len(values), dtype)
    series = pl.Series(values, dtype=dtype)
    return series.fill_null(0) if missing else series


def _flags(events: Sequence[Any], attribute: str) -> pl.Series:
    values = list(map(attrgetter(attribute), events))
    return pl.Series(values, dtype=pl.Boolean()).cast(_FLAG) if True in values else _constant(0, len(values), _FLAG)


def moments(events: Sequence[Any]) -> Ints:
    """Event times in ms since 1970, parts of a ms cut off. By way of whole microseconds: x.123 s is no exact float."""
    stamps = map(datetime.timestamp, map(attrgetter("occurred_at"), events))
    seconds = np.fromiter(stamps, dtype=np.float64, count=len(events))
    moments: Ints = np.rint(seconds * 1e6).astype(np.int64) // 1000
    return moments


def _ids(events: Sequence[Any]) -> Hashes:
    return text_fingerprints(list(map(attrgetter("event_id"), events)))


def _answers(events: Sequence[Feedback], own: Mapping[str, pl.Series]) -> Hashes:
    """Hash of (brand, source, submission, question) of each event; never 0 for one that has a submission."""
    found = np.zeros(len(events), dtype=np.uint64)
    submissions = list(map(attrgetter("submission_id"), events))
    if not any(submissions):
        return found
    rows = [row for row, submission in enumerate(submissions) if submission is not None]
    submission = text_fingerprints([submissions[row] for row in rows])
    brand, source, question = (
        _few(column)[rows] for column in (own["brand"], own["source"], words(events, "question_id"))
    )
    found[rows] = np.maximum(joint_fingerprints(brand, source, submission, question), np.uint64(1))
    return found


def _few(column: pl.Series) -> Hashes:
    """The hash of each word of a column that has few different ones."""
    different = column.unique()
    hashes: Hashes = column.replace_strict(different, pl.Series(text_fingerprints(different.to_list()))).to_numpy()
    return hashes
