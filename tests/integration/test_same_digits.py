"""One score, one number: what the stream says, the command reads, the view shows and Python computes is the same."""

from __future__ import annotations

import contextlib
import json
import math
import random
import zlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from itertools import islice
from typing import Any

import pytest

from pipeline.clickhouse import ClickHouse
from pipeline.command.typed import moment
from pipeline.scores.defined import read_definitions
from pipeline.scores.reading import Question, read_scores
from tests.chaos import evidence
from tests.chaos.generator import Event, Generator
from tests.chaos.harness import Case
from tests.chaos.processes import eventually

pytestmark = [pytest.mark.kafka, pytest.mark.clickhouse, pytest.mark.slow]

EVENTS = 3_000
QUESTIONS = 200
FIGURES = ("n", "score", "low", "high", "unit", "method", "status", "histogram")


def branded(generator: Generator) -> Callable[[int], Event]:
    """The generator's events, each of one of two brands: twice as many scopes."""

    def following(now_ms: int) -> Event:
        event = generator.next(now_ms)
        with contextlib.suppress(ValueError, TypeError, KeyError, AttributeError):
            body = json.loads(event.value or b"")
            body["brand"] = ("acme", "bolt")[zlib.crc32(body["event_id"].encode()) % 2]
            return event._replace(value=json.dumps(body).encode())
        return event

    return following


def published(case: Case) -> dict[tuple[str, ...], dict[str, Any]]:
    """The newest message of every scope, score and window on the topic."""
    newest: dict[tuple[str, ...], dict[str, Any]] = {}
    for record in evidence.read_log(case.direct_bootstrap, case.prefix, ("scores",)):
        said = json.loads(record.value or b"{}")
        key = (json.dumps(said["scope"], sort_keys=True), said["metric"], said["scale"], said["start"])
        if key not in newest or (said["ver"], said["revision"]) >= (newest[key]["ver"], newest[key]["revision"]):
            newest[key] = said
    return newest


def asked(client: ClickHouse, said: dict[str, Any]) -> dict[str, Any]:
    """The same score as `touchline scores` reads it."""
    start = moment(said["start"], datetime.now(UTC))
    scope = {name: (value,) for name, value in said["scope"].items()}
    question = Question(said["metric"], start, start + said["seconds"], said["seconds"], (), scope)
    rows = read_scores(client, question).to_dicts()
    found = [row for row in rows if row["scale"] == said["scale"]]
    # A score whose last answer was taken back, before the stream has said so, is nowhere to be read.
    return {**found[0], "unit": found[0]["score_unit"]} if found else dict.fromkeys(FIGURES)


def viewed(client: ClickHouse, said: dict[str, Any]) -> dict[str, Any]:
    """The same score by the SQL functions over the view."""
    where = "".join(f" AND {name} = {{{name}:String}}" for name in said["scope"])
    values = {name: said[name] for name in ("metric", "scale", "start", "seconds")} | said["scope"]
    start = "toUnixTimestamp(parseDateTimeBestEffort({start:String}, 'UTC'))"
    row = client.query(
        f"""SELECT tl_n(h) AS n, tl_score({{metric:String}}, {{scale:String}}, h) AS score,
            tl_low({{metric:String}}, {{scale:String}}, h) AS low,
            tl_high({{metric:String}}, {{scale:String}}, h) AS high,
            tl_unit({{metric:String}}) AS unit, tl_method({{metric:String}}) AS method,
            tl_status({{metric:String}}, h) AS status, h AS histogram
        FROM (SELECT sumForEach(histogram) AS h FROM scores_1m
            WHERE cut = 'core' AND metric = {{metric:String}} AND scale = {{scale:String}}
                AND minute >= {start} AND minute < {start} + {{seconds:UInt32}}{where})""",
        values,
    ).to_dicts()[0]
    return dict(row)


def same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Counts and words are equal; numbers to the twelfth digit: an engine may fuse two operations on floats."""
    for name in FIGURES:
        mine, theirs = one[name], other[name]
        close = (
            isinstance(mine, float)
            and isinstance(theirs, float)
            and math.isclose(mine, theirs, rel_tol=0.0, abs_tol=1e-12)
        )
        if not close and mine != theirs:
            return False
    return True


def different(case: Case, client: ClickHouse) -> Iterator[tuple[Any, ...]]:
    """Scores that are not the same wherever they are read, and that too few were published."""
    said = sorted(published(case).items())
    chosen = random.Random(5).sample(said, min(QUESTIONS, len(said)))
    if len(chosen) < QUESTIONS:
        yield "published", len(said)
    for key, one in chosen:
        definition = read_definitions().find(one["metric"])
        python = definition.read(one["scale"], [one["histogram"]]).row(0)
        readings = {
            "command": asked(client, one),
            "view": viewed(client, one),
            "python": {name: getattr(python, name) for name in FIGURES} | {"histogram": one["histogram"]},
        }
        yield from ((key, name, one, found) for name, found in readings.items() if not same(one, found))


def test_stream_command_view_and_python_give_the_same_digits_on_two_hundred_questions(case: Case) -> None:
    case.worker("one")
    case.feed_of(branded(Generator(21, history=0.0)), 3_000).start(EVENTS).join()
    case.settle()
    client = ClickHouse(case.settings)
    try:
        # The publisher rests between two looks, so its last word comes a little after the windows.
        found: list[tuple[Any, ...]] = []

        def agreed() -> bool:
            found[:] = islice(different(case, client), 3)
            return not found

        with contextlib.suppress(AssertionError):  # what differs says more than that it took too long
            eventually(agreed, "the same digits", 60.0)
        assert found == []
        altered = next(one | {"n": one["n"] + 1} for one in published(case).values())
        assert not same(altered, asked(client, altered)), "a figure that differs would be found"
    finally:
        client.close()
