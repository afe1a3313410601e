"""Checks that types cannot make, over columns: the scale of an answer, the form of a customer's id.

A column step only finds the rows that fail; what is wrong with each is said by `schemas.codec.check`, which judges
single events by the same table of scales.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import polars as pl

from pipeline.arrival.columns import NO_STEP, Scores
from pipeline.arrival.fingerprints import Flags, Ints
from pipeline.arrival.rules import HISTORY, ArrivalRules, Form
from schemas.codec import Rejection, check
from schemas.feedback import SCALES, Feedback
from schemas.vocabulary import Metric, Reason, Stage

_METRICS = pl.Enum([metric.value for metric in Metric])
_PSEUDONYM = r"^k[0-9]+:[0-9a-f]{16}$"


def _code(metric: int, low: int, high: int) -> int:
    """One number for a metric on a scale; `low` and `high` between -128 and 127."""
    return (metric << 16) + ((low + 128) << 8) + high + 128


def _known() -> list[tuple[int, str, int, int]]:
    """Code, label, lowest and highest step of each scale an event may name, the unnamed default among them."""
    rows: list[tuple[int, str, int, int]] = []
    for number, metric in enumerate(Metric):
        scales = SCALES[metric]
        if not scales:
            rows.append((_code(number, NO_STEP, NO_STEP), "", 0, -1))
            continue
        rows.append((_code(number, NO_STEP, NO_STEP), _label(*scales[0]), *scales[0]))
        rows.extend((_code(number, low, high), _label(low, high), low, high) for low, high in scales)
    return sorted(rows)


def _label(low: int, high: int) -> str:
    return f"{low}-{high}"


_CODES = np.array([row[0] for row in _known()], dtype=np.int64)
_LABELS = pl.Series([row[1] for row in _known()], dtype=pl.String())
_LOWEST = np.array([row[2] for row in _known()], dtype=np.int64)
_HIGHEST = np.array([row[3] for row in _known()], dtype=np.int64)


class Scaled(NamedTuple):
    """Columns scale, answer and bin, and the rows whose answer does not fit."""

    scale: pl.Series
    answer: pl.Series
    bin: pl.Series
    unfit: Ints


def scaled(metric: pl.Series, text: pl.Series, scores: Scores) -> Scaled:
    """Fit answers to their scales. A text without a score (`sentiment_only`) has scale "", answer 0 and bin -1."""
    numbers = metric.cast(_METRICS).to_physical().to_numpy().astype(np.int64)
    score, low, high = scores
    codes = (numbers << 16) + ((low + 128) << 8) + high + 128
    at = np.minimum(np.searchsorted(_CODES, codes), len(_CODES) - 1)
    lowest, highest = _LOWEST[at], _HIGHEST[at]
    wordless = highest < lowest
    fits = (_CODES[at] == codes) & np.where(wordless, score == NO_STEP, (score >= lowest) & (score <= highest))
    if wordless.any():
        fits &= ~wordless | (text != "").to_numpy()
    bins = np.where(wordless, -1, score - lowest)
    answer = np.where(wordless, 0, score)
    unfit = np.flatnonzero(~fits)
    answer[unfit], bins[unfit] = 0, -1
    return Scaled(_LABELS.gather(at), pl.Series(answer, dtype=pl.Int16()), pl.Series(bins, dtype=pl.Int8()), unfit)


def unfit(events: Sequence[Feedback], rows: Ints) -> dict[int, Rejection]:
    """What is wrong with each of these rows."""
    found = ((row, check(events[row])) for row in rows.tolist())
    return {row: rejection for row, rejection in found if rejection is not None}


def other_form(customers: pl.Series, form: Form) -> Flags:
    """Rows whose customer has the form that this deployment does not take."""
    pseudonym = customers.str.contains(_PSEUDONYM)
    wrong = pseudonym if form == "plain" else ~pseudonym & (customers != "")
    flags: Flags = wrong.to_numpy()
    return flags


def wrong_form(form: Form) -> Rejection:
    """The rejection of such a row."""
    expected = "a plain id" if form == "plain" else "a pseudonym like k1:0123456789abcdef"
    return Rejection(Stage.ACCEPT, Reason.WRONG_KEY_FORM, "$.customer_id", f"this deployment takes {expected}")


def bad_time(topic: str, rules: ArrivalRules) -> Rejection:
    """The rejection of an event whose time cannot be true."""
    oldest = "1970" if topic == HISTORY else f"{rules.max_age_ms // 86_400_000} days before"
    detail = f"not between {oldest} and {rules.max_ahead_ms // 60_000} minutes after its arrival"
    return Rejection(Stage.ACCEPT, Reason.BAD_TIME, "$.occurred_at", detail)
