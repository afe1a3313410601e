"""A mapping guessed from the names of the columns and the first rows: shown to a person, never used unasked. Pure.

Only what is plain is guessed: a name that we know, values that fit. A time is a column whose every cell reads as one;
its zone is never guessed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, NamedTuple

from pipeline.intake.moments import DAY_FIRST, MONTH_FIRST, moment_of
from schemas.vocabulary import Metric

#: Our field -> names under which it comes, in lower case with single spaces.
_NAMES: Final[dict[str, tuple[str, ...]]] = {
    "event_id": ("event id", "eventid", "message id", "messageid"),
    "submission_id": (
        "submission id",
        "response id",
        "responseid",
        "review id",
        "reviewid",
        "survey response id",
        "id",
    ),
    "customer_id": (
        "customer id",
        "customerid",
        "customer",
        "user id",
        "userid",
        "person id",
        "contact id",
        "account id",
    ),
    "score": (
        "score",
        "rating",
        "stars",
        "star rating",
        "review stars",
        "nps",
        "nps score",
        "csat",
        "csat score",
        "ces",
        "ces score",
    ),
    "text": ("text", "comment", "comments", "feedback", "review", "review text", "review content", "body", "answer"),
    "language": ("language", "lang", "locale", "reviewer language"),
    "brand": ("brand",),
    "unit": ("unit", "store", "branch", "location", "region"),
    "product": ("product", "product id", "sku"),
    "agent_id": ("agent id", "agent", "assignee"),
    "device": ("device", "device type"),
    "campaign": ("campaign", "utm campaign"),
    "channel": ("channel",),
    "touchpoint": ("touchpoint", "event", "event name"),
    "metric": ("metric", "survey type"),
    "source": ("source",),
    "outcome": ("outcome",),
    "value": ("value", "amount", "revenue", "total"),
    "currency": ("currency",),
    "scale_min": ("scale min",),
    "scale_max": ("scale max",),
    "question_id": ("question id",),
    "revision": ("revision",),
    "journey": ("journey",),
    "stage": ("stage",),
    "duration_ms": ("duration ms",),
    "ref.order": ("order", "order id", "order number"),
    "ref.ticket": ("ticket", "ticket id"),
}
_TIMES: Final = (
    *("occurred at", "time", "timestamp", "date", "created at", "submitted at", "completed at", "updated at", "when"),
    *("response date", "review date", "review created (utc)", "datum", "zeit"),
)
#: A score column of that name says what is measured.
_METRICS: Final = (
    ("nps", Metric.NPS),
    ("csat", Metric.CSAT),
    ("ces", Metric.CES),
    ("star", Metric.RATING),
    ("rating", Metric.RATING),
)
_MONTHS_AND_DAYS: Final = ("", DAY_FIRST, MONTH_FIRST)


class Guess(NamedTuple):
    """Field -> column, field -> constant, the column of the time ("" none) and how its dates are written."""

    columns: dict[str, str]
    constants: dict[str, str]
    time: str
    form: str


def guessed(header: Sequence[str], rows: Sequence[Sequence[str]]) -> Guess:
    """What a table seems to hold, from its header and some of its rows."""
    plain = {
        name: " ".join(re.split(r"[\s_.\-]+", re.sub(r"([a-z])([A-Z])", r"\1 \2", name))).strip().lower()
        for name in header
    }
    columns: dict[str, str] = {}
    for field, names in _NAMES.items():
        found = next((column for known in names for column in header if plain[column] == known), None)
        if found is not None and found not in columns.values():
            columns[field] = found
    constants: dict[str, str] = {}
    cells = {name: [row[place] for row in rows if len(row) == len(header)] for place, name in enumerate(header)}
    if "metric" not in columns and "score" in columns:
        constants["metric"] = _metric(plain[columns["score"]], cells[columns["score"]])
    elif "metric" not in columns and "text" in columns:
        constants["metric"] = Metric.SENTIMENT_ONLY.value
    if "channel" not in columns:
        constants["channel"] = "review" if any("review" in name for name in plain.values()) else "survey"
    if constants.get("channel") == "review" and "source" not in columns and "metric" in {*columns, *constants}:
        constants["source"] = "review"
    time, form = _time(plain, cells)
    if time in columns.values():
        columns = {field: column for field, column in columns.items() if column != time}
    return Guess(columns, constants, time, form)


def _metric(name: str, cells: Sequence[str]) -> str:
    """By the column's name, else by its values: beyond 5 it can only be an NPS answer."""
    by_name = next((metric for word, metric in _METRICS if word in name), None)
    if by_name is not None:
        return by_name.value
    numbers = [int(cell) for cell in cells if re.fullmatch(r"\d{1,2}", cell)]
    return (Metric.NPS if not numbers or max(numbers) > 5 or min(numbers) == 0 else Metric.CSAT).value


def _time(plain: dict[str, str], cells: dict[str, list[str]]) -> tuple[str, str]:
    """The first column, known names first, whose every cell reads as a time in one way; no way if two would do."""
    order = sorted(plain, key=lambda name: _TIMES.index(plain[name]) if plain[name] in _TIMES else len(_TIMES))
    for name in order:
        told = [cell for cell in cells[name] if cell]
        ways = [form for form in _MONTHS_AND_DAYS if told and all(moment_of(cell, form) is not None for cell in told)]
        if ways and (plain[name] in _TIMES or any(not cell.isdigit() for cell in told)):
            # 03.04.2026 reads both ways: nobody but the person knows.
            return name, ways[0] if len(ways) == 1 or ways[0] == "" else ""
        if plain[name] in _TIMES and told:
            return name, ""
    return "", ""
