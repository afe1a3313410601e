"""The questions of the reading API: parameters in, a Question out; the OpenAPI document has the same table. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from pipeline.errors import UsageError
from pipeline.moments import duration as duration
from pipeline.moments import moment as moment
from pipeline.scores.definitions import Definitions
from pipeline.scores.meters import FORMS
from pipeline.scores.reading import DIMENSIONS, Question

#: Windows of one question: a week of single minutes.
MOST_WINDOWS: Final = 10_080
#: Rows of one answer; more than a page or a spreadsheet shows, less than what fills a memory.
MOST_ROWS: Final = 100_000
ROWS: Final = 10_000
#: Longest text of one value, and values of one filter.
_LONGEST: Final = 200
_MOST_VALUES: Final = 100


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a question, for reading it and for the document."""

    name: str
    about: str
    example: str
    required: bool = False


_METRIC: Final = Parameter(
    "metric", f"one of {', '.join(FORMS)}, or another score of the definitions, as nps@2", "nps", required=True
)
_BY: Final = Parameter("by", "dimensions to group by, commas between: " + ", ".join(DIMENSIONS), "channel,touchpoint")
_FROM: Final = Parameter("from", "begin: ISO time (UTC unless it says so), -24h or now", "-24h")
_TO: Final = Parameter("to", "end, not included; likewise", "now")
_GRAIN: Final = Parameter("grain", "width of a window: 1m, 5m, 1h, 1d; `all` for one window", "1h")
_AS_OF: Final = Parameter("as_of", "as it was known at a moment: what was counted then", "-1h")
_LIMIT: Final = Parameter("limit", f"rows at most, 1 to {MOST_ROWS}; an answer with more is refused", str(ROWS))
_ONLY: Final = tuple(
    Parameter(name, f"only these values of {name}, commas between or repeated", "web" if name == "channel" else "...")
    for name in DIMENSIONS
)

#: Where answers stand beside what customers did: no single employees.
_FEWER: Final = tuple(parameter for parameter in _ONLY if parameter.name != "agent")

SCORES: Final = (_METRIC, _BY, _FROM, _TO, _GRAIN, _AS_OF, _LIMIT, *_ONLY)

_SINCE: Final = Parameter("from", _FROM.about, "-30d")
_NPS: Final = Parameter("metric", _METRIC.about + "; nps where none is given", "nps")
JOURNEYS: Final = (
    Parameter("of", "steps by stage, touchpoint, channel or mode", "stage"),
    _NPS,
    _SINCE,
    _TO,
    Parameter("show", "the table of CSV and Arrow: ways or steps", "ways"),
    Parameter("silence", "what ends a journey; the registry's by default", "14d"),
    *_FEWER,
)
DRIVERS: Final = (
    _NPS,
    Parameter(
        "of",
        "touchpoint, moment, stage, channel, mode (met before); topic (of its text); answer.unit ...",
        "touchpoint",
    ),
    _SINCE,
    _TO,
    Parameter("within", "how long before the answer something was met", "30d"),
    *_FEWER,
)
CONSISTENCY: Final = (
    Parameter("by", "between what: unit, channel, product or any other dimension", "unit"),
    _NPS,
    _SINCE,
    _TO,
    *_FEWER,
)
CUSTOMER: Final = (
    Parameter("id", "a plain id, a pseudonym, or the id of one of the customer's events", "k1:00c0ffee", required=True),
    Parameter("limit", "events of the timeline, the newest ones", "50"),
    Parameter("back", "how far back is looked", "365d"),
)


@dataclass(frozen=True, slots=True)
class Asked:
    """A question and how many rows of an answer are wanted at most."""

    question: Question
    limit: int


def given_once(given: Sequence[tuple[str, str]], table: Sequence[Parameter]) -> dict[str, str]:
    """The value of each parameter that is no filter, "" where none is given. Raises UsageError: it says what may be."""
    known = {parameter.name for parameter in table}
    for name, value in given:
        if name not in known:
            raise UsageError(f"there is no parameter {name[:40]!r}; there are {', '.join(sorted(known))}")
        if len(value) > _LONGEST:
            raise UsageError(f"{name} is longer than {_LONGEST} characters")
    return {name: _only(given, name) for name in known.difference(DIMENSIONS)}


def asked(given: Sequence[tuple[str, str]], now: datetime, grain: str, known: Definitions | None = None) -> Asked:
    """The question in a query string's pairs; `grain` where none is given. `known` says what scores mean, the bundled
    definitions else. Raises UsageError."""
    once = given_once(given, SCORES)
    if not once["metric"]:
        raise UsageError(f"metric is missing: one of {', '.join(FORMS)}")
    width = once["grain"] or grain
    question = Question(
        metric=once["metric"],
        start=moment(once["from"] or "-24h", now),
        end=moment(once["to"] or "now", now),
        grain_s=None if width == "all" else duration(width),
        by=_listed(once["by"]),
        filters=filters(given, DIMENSIONS),
        definition=None if known is None else known.find(once["metric"]),
        as_of_ms=moment(once["as_of"], now) * 1000 if once["as_of"] else None,
    )
    windows = (question.last - question.first) // question.seconds
    if windows > MOST_WINDOWS:
        raise UsageError(
            f"{windows:,} windows are asked for, at most {MOST_WINDOWS:,}: take a wider grain or less time"
        )
    return Asked(question, _limit(once["limit"]))


def filters(given: Sequence[tuple[str, str]], names: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Values of each filter: repeated or with commas between. Raises UsageError for too many."""
    found: dict[str, tuple[str, ...]] = {}
    for name, value in given:
        if name in names:
            found[name] = found.get(name, ()) + tuple(part.strip() for part in value.split(","))
    for name, values in found.items():
        if len(values) > _MOST_VALUES:
            raise UsageError(f"{len(values)} values of {name}: at most {_MOST_VALUES}")
    return found


def event_place(text: str) -> tuple[str, tuple[int, int, int]]:
    """Topic and (epoch, partition, offset) of an event's id. Raises UsageError."""
    topic, _, rest = text.partition(":")
    places = rest.split(":")
    small = all(place.isdecimal() and len(place) <= 18 for place in places)
    if topic not in ("feedback", "touchpoints", "history") or len(places) != 3 or not small:
        raise UsageError("the id of an event is topic:epoch:partition:offset, e.g. feedback:1:3:1042")
    epoch, part, off = map(int, places)
    return topic, (epoch, part, off)


def _only(given: Sequence[tuple[str, str]], name: str) -> str:
    values = [value for key, value in given if key == name]
    if len(values) > 1 and name != "by":
        raise UsageError(f"{name} is given {len(values)} times")
    return ",".join(values)


def _listed(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _limit(text: str) -> int:
    if not text:
        return ROWS
    if not text.isdecimal() or not 1 <= int(text[:9]) <= MOST_ROWS:
        raise UsageError(f"limit is a number from 1 to {MOST_ROWS}")
    return int(text)
