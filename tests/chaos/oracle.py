"""The independent oracle: what must have become of every offset, from the Kafka log alone, one event after the other.

It imports nothing of ours and shares no code with it: the rules of docs/design.md (time, duplicates, revisions) written
down a second time, slowly. What a model decided (label, its p, its tier) and what came from reference data (segments,
language, stage) is taken from the ledger row, since everything after it must be a pure function of it.
"""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

MINUTE_MS = 60_000
DAY_MS = 24 * 60 * MINUTE_MS
AHEAD_MS = 5 * MINUTE_MS
AGE_MS = 30 * DAY_MS
LAG_MS = MINUTE_MS

CHANNELS = frozenset({"web", "app", "store", "call", "email", "chat", "survey", "review", "social"})
SOURCES = frozenset({"survey", "review", "social", "call", "chat", "email", "text"})
SCALES: dict[str, tuple[tuple[int, int], ...]] = {
    "nps": ((0, 10),),
    "csat": ((1, 5), (1, 7), (1, 10), (0, 1)),
    "ces": ((1, 7), (1, 5)),
    "rating": ((1, 5), (0, 10), (1, 10), (0, 5), (1, 3), (1, 4), (1, 6), (1, 7)),
    "sentiment_only": (),
}
OUTCOMES = {None: 0, "ok": 1, "fail": 2, "abandon": 3}
LABELS = {"negative": 0, "neutral": 1, "positive": 2}
BINS = 11
CORE = ("brand", "unit", "channel", "touchpoint")
FURTHER = ("segments", "product", "agent", "language", "device", "campaign", "stage")
COUNTS = (*(f"b{i}" for i in range(BINS)), "s1", "s2")
WINDOW = ("topic", "part", "cut", "metric", "scale", *CORE, "dim", "minute")
DISPOSITIONS = ("aggregated", "late", "duplicate", "dead_letter", "ignored")

_RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)")

#: (topic, partition, offset)
Place = tuple[str, int, int]
Row = Mapping[str, Any]


class Logged(NamedTuple):
    """One record of the log as a plain consumer reads it; `at_ms` is the broker's append time."""

    topic: str
    part: int
    off: int
    at_ms: int
    key: bytes | None
    value: bytes | None


class Fact(NamedTuple):
    """A valid event: what it says, with defaults filled in."""

    event_id: str
    occurred_ms: int
    metric: str
    scale: str
    bin: int
    brand: str
    unit: str
    channel: str
    touchpoint: str
    answer: tuple[str, str, str, str] | None
    revision: int


class Verdict(NamedTuple):
    """What an offset must be. `reason` None: the oracle does not say; `old`: the offset that a revision takes back."""

    place: Place
    disposition: str
    reason: str | None
    fact: Fact | None = None
    old: int = -1


class Bad(Exception):
    """The value is no event."""


def judge(log: Iterable[Logged], known: Mapping[Place, tuple[str, str]] | None = None) -> list[Verdict]:
    """Verdicts in order of the log. `known` are offsets whose fate a test brought about (a planted crash)."""
    parts: dict[tuple[str, int], list[Logged]] = defaultdict(list)
    for record in log:
        parts[record.topic, record.part].append(record)
    verdicts = []
    for key in sorted(parts):
        verdicts.extend(_partition(sorted(parts[key], key=lambda r: r.off), known or {}))
    return verdicts


def _partition(records: Sequence[Logged], known: Mapping[Place, tuple[str, str]]) -> list[Verdict]:
    verdicts = []
    ingest = clock = 0
    seen: dict[str, bytes] = {}
    greatest: dict[tuple[str, ...], int] = {}
    stands: dict[tuple[str, ...], int] = {}
    for record in records:
        place = (record.topic, record.part, record.off)
        ingest = max(ingest, record.at_ms)
        if place in known:
            verdicts.append(Verdict(place, *known[place]))
            continue
        if record.value is None:
            verdicts.append(Verdict(place, "ignored", "tombstone"))
            continue
        try:
            fact = read(record.topic, record.value)
        except Bad as bad:
            verdicts.append(Verdict(place, "dead_letter", str(bad) or None))
            continue
        history = record.topic == "history"
        oldest = 0 if history else ingest - AGE_MS
        if not oldest <= fact.occurred_ms <= ingest + AHEAD_MS:
            verdicts.append(Verdict(place, "dead_letter", "bad_time"))
            continue
        before = clock
        if not history:
            clock = max(clock, min(fact.occurred_ms, ingest) - LAG_MS)
        if fact.event_id in seen:
            same = seen[fact.event_id] == record.value
            verdicts.append(Verdict(place, "duplicate", "same_event" if same else "conflict", fact))
            continue
        seen[fact.event_id] = record.value
        late = not history and fact.occurred_ms < before - DAY_MS
        passed = not history and (fact.occurred_ms // MINUTE_MS + 1) * MINUTE_MS <= before
        if fact.answer is not None:
            if fact.revision <= greatest.get(fact.answer, -1):
                verdicts.append(Verdict(place, "ignored", "superseded", fact))
                continue
            greatest[fact.answer] = fact.revision
        if late:
            verdicts.append(Verdict(place, "late", "beyond_lateness", fact))
            continue
        old = -1
        if fact.answer is not None:
            old = stands.get(fact.answer, -1)
            stands[fact.answer] = record.off
        reason = "revised" if old >= 0 else "delayed" if passed else ""
        verdicts.append(Verdict(place, "aggregated", reason, fact, old))
    return verdicts


# --- one event ---------------------------------------------------------------------------------------------------
def read(topic: str, value: bytes) -> Fact:
    """A bare JSON event. Raises Bad."""
    try:
        event = json.loads(value.decode("utf-8"), parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise Bad from error
    if not isinstance(event, dict):
        raise Bad
    if topic == "feedback" or (topic == "history" and "metric" in event):
        return _feedback(event)
    return _touchpoint(event)


def _no_constant(word: str) -> None:
    raise ValueError(word)


def _touchpoint(event: Row) -> Fact:
    outcome = event.get("outcome")
    if outcome is not None and outcome not in OUTCOMES:
        raise Bad
    touchpoint = _word(event, "touchpoint")
    return _fact(event, ("volume", "outcome", OUTCOMES[outcome]), touchpoint, None, 0)


def _feedback(event: Row) -> Fact:
    metric = event.get("metric")
    if metric not in SCALES:
        raise Bad
    score, low, high = (_step(event, name) for name in ("score", "scale_min", "scale_max"))
    text = event.get("text")
    if text is not None and (not isinstance(text, str) or len(text) > 10_000):
        raise Bad
    measure = _measure(str(metric), score, (low, high), bool(text))
    source = event.get("source", "survey")
    if source not in SOURCES:
        raise Bad
    submission = _word(event, "submission_id", optional=True)
    revision = event.get("revision", 0)
    if type(revision) is not int or not 0 <= revision < 2**63:
        raise Bad
    question = _word(event, "question_id", default="q1")
    brand = _word(event, "brand", default="default")
    answer = (brand, source, submission, question) if submission else None
    return _fact(event, measure, _word(event, "touchpoint", optional=True), answer, revision)


def _measure(metric: str, score: int | None, bounds: tuple[int | None, int | None], text: bool) -> tuple[str, str, int]:
    if not SCALES[metric]:
        if score is not None or bounds != (None, None) or not text:
            raise Bad
        return metric, "", -1
    if bounds == (None, None):
        bounds = SCALES[metric][0]
    low, high = bounds
    if low is None or high is None or (low, high) not in SCALES[metric] or score is None or not low <= score <= high:
        raise Bad
    return metric, f"{low}-{high}", score - low


def _fact(
    event: Row,
    measure: tuple[str, str, int],
    touchpoint: str,
    answer: tuple[str, str, str, str] | None,
    revision: int,
) -> Fact:
    if event.get("channel") not in CHANNELS:
        raise Bad
    version = event.get("version", 1)
    if type(version) is not int or version != 1:
        raise Bad
    for name in ("customer_id", "product", "agent_id", "device", "campaign", "language", "stage"):
        _word(event, name, optional=True)
    return Fact(
        _word(event, "event_id"),
        _moment(event.get("occurred_at")),
        *measure,
        _word(event, "brand", default="default"),
        _word(event, "unit", optional=True),
        event["channel"],
        touchpoint,
        answer,
        revision,
    )


def _word(event: Row, name: str, *, default: str = "", optional: bool = False) -> str:
    value = event.get(name, default or None)
    if value is None and optional:
        return ""
    if not isinstance(value, str) or not 1 <= len(value) <= 200:
        raise Bad
    return value


def _step(event: Row, name: str) -> int | None:
    value = event.get(name)
    if value is not None and (type(value) is not int or not -100 <= value <= 100):
        raise Bad
    return value


def _moment(value: Any) -> int:
    if not isinstance(value, str) or not _RFC3339.fullmatch(value):
        raise Bad
    try:
        moment = datetime.fromisoformat(value.upper())
    except ValueError as error:
        raise Bad from error
    since = moment - datetime.fromisoformat("1970-01-01T00:00:00+00:00")
    return (since.days * 86_400 + since.seconds) * 1000 + since.microseconds // 1000


# --- what the tables must hold ------------------------------------------------------------------------------------
def ledger_differences(verdicts: Sequence[Verdict], rows: Sequence[Row]) -> list[str]:
    """Where the ledger (FINAL) is not one row per verdict that says the same. Empty when it is."""
    found: dict[Place, Row] = {}
    wrong = []
    for row in rows:
        place = (row["topic"], row["part"], row["off"])
        if place in found:
            wrong.append(f"{place}: twice in the ledger")
        found[place] = row
    for verdict in verdicts:
        there = found.pop(verdict.place, None)
        if there is None:
            wrong.append(f"{verdict.place}: not in the ledger, should be {verdict.disposition}")
            continue
        wrong.extend(f"{verdict.place}: {text}" for text in _row_differences(verdict, there))
    wrong.extend(f"{place}: in the ledger, not in the log" for place in found)
    return wrong


def _row_differences(verdict: Verdict, row: Row) -> list[str]:
    said: dict[str, Any] = {"disposition": verdict.disposition}
    if verdict.reason is not None:
        said["reason"] = verdict.reason
    if verdict.disposition == "aggregated" and verdict.fact is not None:
        names = ("occurred_ms", "metric", "scale", "bin", *CORE)
        said |= {name: getattr(verdict.fact, name) for name in names} | {"old_off": verdict.old}
    return [f"{name} is {row[name]!r}, should be {value!r}" for name, value in said.items() if row[name] != value]


def windows(verdicts: Sequence[Verdict], rows: Sequence[Row]) -> dict[tuple[Any, ...], list[int]]:
    """The window rows (WINDOW -> COUNTS, none that is all zero) that must stand after these verdicts."""
    ledger = {(row["topic"], row["part"], row["off"]): row for row in rows}
    facts = {verdict.place: verdict.fact for verdict in verdicts if verdict.fact is not None}
    counts: dict[tuple[Any, ...], list[int]] = defaultdict(lambda: [0] * len(COUNTS))
    for verdict in verdicts:
        if verdict.disposition != "aggregated":
            continue
        signed = [(verdict.place, 1)]
        if verdict.old >= 0:
            signed.append(((*verdict.place[:2], verdict.old), -1))
        for place, sign in signed:
            if place in ledger:
                _count(counts, place, facts[place], (ledger[place], sign))
    return {key: value for key, value in counts.items() if any(value)}


def _count(counts: dict[tuple[Any, ...], list[int]], place: Place, fact: Fact, labelled: tuple[Row, int]) -> None:
    row, sign = labelled
    minute = fact.occurred_ms // MINUTE_MS * 60
    told = {name: getattr(fact, name) for name in CORE} | {name: row[name] for name in FURTHER}
    counted = {name: "other" if row["others"] >> bit & 1 else value for bit, (name, value) in enumerate(told.items())}
    keys = [("core", tuple(counted[name] for name in CORE), "")]
    keys += [(name, (counted["brand"], "", "", ""), counted[name]) for name in FURTHER if row[name]]
    for cut, dims, dim in keys:
        if fact.bin >= 0:
            counts[(*place[:2], cut, fact.metric, fact.scale, *dims, dim, minute)][fact.bin] += sign
        if row["label"] in LABELS:
            cell = counts[(*place[:2], cut, "sentiment", row["tier"], *dims, dim, minute)]
            cell[LABELS[row["label"]]] += sign
            cell[BINS] += sign * row["p"]
            cell[BINS + 1] += sign * ((row["p"] ** 2 + 5_000) // 10_000)


def window_differences(expected: Mapping[tuple[Any, ...], Sequence[int]], rows: Sequence[Row]) -> list[str]:
    """Where the windows (FINAL, all-zero rows aside) are not the expected ones. Empty when they are."""
    wrong = []
    found: dict[tuple[Any, ...], list[int]] = {}
    for row in rows:
        key = tuple(row[name] for name in WINDOW)
        if key in found:
            wrong.append(f"{key}: twice in the windows")
        found[key] = [row[name] for name in COUNTS]
    found = {key: value for key, value in found.items() if any(value)}
    for key in sorted(set(expected) | set(found), key=str):
        should, there = list(expected.get(key, [0] * len(COUNTS))), found.get(key, [0] * len(COUNTS))
        if should != there:
            wrong.append(f"window {key}: is {there}, should be {should}")
    return wrong


class Bounds(NamedTuple):
    """First and last offset of a partition that must be accounted for."""

    lo: int
    hi: int


def equation_differences(
    bounds: Mapping[tuple[str, int], Bounds], rows: Sequence[Row], gaps: Sequence[Row]
) -> list[str]:
    """Where `hi - lo + 1 = aggregated + late + duplicate + dead_letter + ignored + gaps` does not hold."""
    sums: dict[tuple[str, int], Counter[str]] = defaultdict(Counter)
    for row in rows:
        sums[row["topic"], row["part"]][row["disposition"]] += 1
    for gap in gaps:
        sums[gap["topic"], gap["part"]]["gaps"] += gap["hi"] - gap["lo"] + 1
    wrong = []
    for part in sorted(set(bounds) | set(sums)):
        lo, hi = bounds.get(part, Bounds(0, -1))
        terms = sums[part]
        right = sum(terms[name] for name in (*DISPOSITIONS, "gaps"))
        if hi - lo + 1 != right or set(terms) - {*DISPOSITIONS, "gaps"}:
            wrong.append(
                f"{part}: {hi} - {lo} + 1 = {hi - lo + 1}, but the dispositions are {dict(terms)}, in all {right}"
            )
    return wrong


class Summary(NamedTuple):
    """What the oracle expected: so many offsets, by disposition and by reason."""

    offsets: int
    dispositions: Counter[str]
    reasons: Counter[str]


def summary(verdicts: Sequence[Verdict]) -> Summary:
    """The verdicts, counted: a test asks it whether it met what it meant to meet."""
    return Summary(
        len(verdicts),
        Counter(verdict.disposition for verdict in verdicts),
        Counter(verdict.reason or "" for verdict in verdicts),
    )
