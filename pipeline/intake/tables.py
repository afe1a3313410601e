"""Rows of a table (CSV, TSV) as events: which field comes from which column. Pure.

Every cell is text. A cell becomes a number only where the field is one and the text is exactly one; "7.5" or "nine"
for a score is refused, never rounded. A time without a zone needs one from the plan; nothing is guessed.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from functools import cached_property
from typing import Any

import msgspec
import orjson

from pipeline.errors import UsageError
from pipeline.intake.moments import looks_written, moment_of
from schemas.codec import decode_record
from schemas.explain import Rejection, reject
from schemas.feedback import Feedback
from schemas.touchpoint import Touchpoint
from schemas.vocabulary import Reason

_WHOLE = re.compile(r"(-?\d{1,18})(?:\.0{1,6})?\Z")
_DECIMAL = re.compile(r"-?\d+(\.\d+)?\Z")
#: Fields that are numbers; the others are texts, but for one.
_INTEGERS = frozenset({"score", "scale_min", "scale_max", "revision", "duration_ms", "version"})
_FLOATS = frozenset({"value"})
_YES_OR_NO = {"true": True, "false": False}
_NUMBERS = _INTEGERS | _FLOATS
_GROUPED = re.compile(r"-?\d{1,3}(?:[.\u00a0\u202f' ]\d{3})*(?:,\d+)?|-?\d+(?:,\d+)?")
#: Fields below others: `--map ref.order=Order`, `--map attributes.rating=Rating`.
_NESTED = ("ref", "attributes")
_REF = frozenset({"ticket", "order", "survey"})
_KNOWN = frozenset(name.name for record in (Touchpoint, Feedback) for name in msgspec.structs.fields(record))


@dataclass(frozen=True, slots=True)
class When:
    """Where an event's time comes from: a column, or one time for all.

    `form` is a strptime format, a word of moments.py, or "" for ISO 8601.
    """

    column: str = ""
    at: datetime | None = None
    zone: tzinfo | None = None
    form: str = ""


@dataclass(frozen=True)
class Plan:
    """How a table becomes events: `columns` field -> column, `constants` field -> text.

    Events with a `metric` are feedback, others touchpoints. Raises UsageError for a field that no event has.
    """

    columns: dict[str, str]
    constants: dict[str, str]
    when: When
    digest: str = field(default="")
    decimal_comma: bool = False

    def __post_init__(self) -> None:
        for name in (*self.columns, *self.constants):
            if not known_field(name):
                raise UsageError(f"--map {name}: no such field; fields are {', '.join(sorted(_KNOWN))}")
        if "occurred_at" in self.columns or "occurred_at" in self.constants:
            raise UsageError("--map occurred_at: name the time with --time COLUMN or --at TIME")
        if bool(self.when.column) == (self.when.at is not None):
            raise UsageError("name the time of the events: --time COLUMN, or --at 2026-01-31T12:00:00Z for all")

    @cached_property
    def record(self) -> type[Touchpoint] | type[Feedback]:
        """What the rows become."""
        return Feedback if "metric" in self.columns or "metric" in self.constants else Touchpoint

    def started(self) -> dict[str, Any]:
        """A row's fields as far as all rows have the same."""
        same = self._same
        return {name: dict(value) if isinstance(value, dict) else value for name, value in same.items()}

    @cached_property
    def _same(self) -> dict[str, Any]:
        document: dict[str, Any] = {}
        for name, text in self.constants.items():
            put(document, name, text)
        return document

    @cached_property
    def sign(self) -> bytes:
        """Differs when the file or the mapping does: two answers in one row (two imports) get two event ids."""
        text = orjson.dumps([self.digest, sorted(self.columns.items()), sorted(self.constants.items())])
        return hashlib.blake2b(text, digest_size=16).digest()


def known_field(name: str) -> bool:
    """Whether events have a field of that name: a plain one, `ref.order` or `attributes.anything`."""
    head, _, rest = name.partition(".")
    if head in _NESTED:
        return bool(rest) and (head != "ref" or rest in _REF)
    return name in _KNOWN


def places_of(plan: Plan, header: Sequence[str]) -> dict[str, int]:
    """Field -> place of its column (`occurred_at` for the time); raises UsageError when a column is missing."""
    wanted = dict(plan.columns)
    if plan.when.column:
        wanted["occurred_at"] = plan.when.column
    missing = sorted({column for column in wanted.values() if column not in header})
    if missing:
        there = ", ".join(map(repr, header))
        raise UsageError(f"no column {', '.join(map(repr, missing))} in the file; it has {there}")
    return {name: list(header).index(column) for name, column in wanted.items()}


def event_of(
    plan: Plan, places: dict[str, int], width: int, number: int, cells: Sequence[str]
) -> Touchpoint | Feedback | Rejection:
    """Row `number` (from 1) as an event, or why it is none. `width` is the number of columns."""
    if len(cells) != width:
        return reject(Reason.MISSING_FIELD, "$", f"{len(cells)} cells, the table has {width} columns")
    document = plan.started()
    for name, place in places.items():
        if cells[place] != "" and name != "occurred_at":
            text = cells[place]
            if plan.decimal_comma and name in _NUMBERS:
                text = _with_point(text)
            put(document, name, text)
    moment = _moment(plan.when, cells[places["occurred_at"]] if plan.when.column else "")
    if isinstance(moment, Rejection):
        return moment
    document["occurred_at"] = moment
    if "event_id" not in document:
        document["event_id"] = event_id(plan, number)
    try:
        return decode_record(plan.record, orjson.dumps(document))
    except orjson.JSONEncodeError:
        return reject(Reason.NOT_UTF8, "$", "a cell is not in the file's encoding; see --encoding")


def event_id(plan: Plan, number: int) -> str:
    """The id of a row: the same in every run, so that a repeated import counts nothing twice."""
    return "i" + hashlib.blake2b(number.to_bytes(8, "big"), digest_size=12, key=plan.sign).hexdigest()


def put(document: dict[str, Any], name: str, text: str) -> None:
    """Sets one field from text, nested where its name says so; exact numbers become numbers where the field is one."""
    if "." in name:
        head, _, rest = name.partition(".")
        document.setdefault(head, {})[rest] = text
    elif name in _INTEGERS and (whole := _WHOLE.match(text)):
        document[name] = int(whole[1])
    elif name in _FLOATS and _DECIMAL.match(text):
        document[name] = float(text)
    elif name == "truncated":
        document[name] = _YES_OR_NO.get(text.lower(), text)
    else:
        document[name] = text


def _with_point(text: str) -> str:
    """A number as German and French spreadsheets write it ("1.234,50", "8,0"), with a point; anything else as it is."""
    if not _GROUPED.fullmatch(text):
        return text
    return re.sub(r"[.\u00a0\u202f' ]", "", text).replace(",", ".")


def _moment(when: When, text: str) -> datetime | Rejection:
    """The time of a row in UTC."""
    if when.at is not None:
        moment = when.at
    else:
        read = moment_of(text, when.form)
        if read is None:
            ask = "day or month first? say --day-first or --month-first" if looks_written(text) else "see --time-format"
            return reject(Reason.BAD_TIME, "$.occurred_at", f"cannot be read as a time; {ask}")
        moment = read
    if moment.tzinfo is None:
        if when.zone is None:
            return reject(Reason.BAD_TIME, "$.occurred_at", "a time without a zone; add --zone, such as --zone UTC")
        moment = moment.replace(tzinfo=when.zone)
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        return reject(Reason.BAD_TIME, "$.occurred_at", "a time beyond the calendar")
