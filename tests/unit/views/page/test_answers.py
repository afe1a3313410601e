"""The reading API's questions and answers: parameters only, limits with a sentence, forms, formula guard."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime
from typing import Any

import orjson
import polars as pl
import pytest

from pipeline.errors import UsageError
from pipeline.scores.defined import read_definitions
from pipeline.scores.reading import DIMENSIONS, Question
from pipeline.views.figures import harmless
from pipeline.views.page.answers import ARROW, CSV, JSON, as_arrow, as_csv, as_json, preferred
from pipeline.views.page.document import document
from pipeline.views.page.questions import SCORES, asked
from pipeline.views.score_lines import csv_rows

NOW = datetime(2026, 5, 1, 8, tzinfo=UTC)
QUESTION = Question("nps", 1_777_622_400, 1_777_626_000, 3600, ("touchpoint",))


def row(touchpoint: str, score: float | None = -12.5) -> dict[str, Any]:
    figures = {"n": 20, "score": score, "low": -30.25, "high": 5.125, "score_unit": "points", "method": "adjusted_wald"}
    rest = {"status": "ok", "histogram": [1] * 11, "s1": 0, "s2": 0, "detectable": 7.75}
    return {"start": 1_777_622_400, "seconds": 3600, "touchpoint": touchpoint, "scale": "0-10", **figures, **rest}


def ask(*pairs: tuple[str, str], grain: str = "all") -> Question:
    return asked(pairs, NOW, grain).question


def test_a_question_is_read_from_parameters() -> None:
    found = ask(
        ("metric", "nps"), ("by", "channel,touchpoint"), ("from", "-2h"), ("channel", "web,app"), ("brand", "b")
    )
    assert found.by == ("channel", "touchpoint")
    assert found.filters == {"channel": ("web", "app"), "brand": ("b",)}
    assert (found.end - found.start, found.grain_s) == (7200, None)


def test_scores_mean_what_the_definitions_of_the_deployment_say_and_the_past_can_be_asked() -> None:
    known = read_definitions()
    pairs = [("metric", "ces_net"), ("as_of", "-1h")]
    found = asked(pairs, NOW, "all", known).question
    assert found.defined is known.find("ces_net")
    assert found.as_of_ms == (int(NOW.timestamp()) - 3600) * 1000
    with pytest.raises(UsageError, match="there is no score 'nps@9'"):
        asked([("metric", "nps@9")], NOW, "all", known)


@pytest.mark.parametrize(
    ("pairs", "sentence"),
    [
        ([], "metric is missing"),
        ([("metric", "happiness")], "there is no score"),
        ([("metric", "nps"), ("metric", "csat")], "given 2 times"),
        ([("metric", "nps"), ("colour", "red")], "there is no parameter 'colour'"),
        ([("metric", "nps"), ("by", "customer")], "there is no dimension"),
        ([("metric", "nps"), ("by", "channel) FROM ledger --")], "there is no dimension"),
        ([("metric", "nps"), ("from", "yesterday")], "is not a time"),
        ([("metric", "nps"), ("from", "now"), ("to", "-1h")], "before the end"),
        ([("metric", "nps"), ("grain", "1 OR 1=1")], "is not a duration"),
        ([("metric", "nps"), ("grain", "1m"), ("from", "-30d")], "windows are asked for"),
        ([("metric", "nps"), ("limit", "0")], "limit is a number"),
        ([("metric", "nps"), ("limit", "1e9")], "limit is a number"),
        ([("metric", "nps"), ("channel", "x" * 201)], "longer than"),
        ([("metric", "nps"), ("channel", ",".join("x" * 100))], None),
        ([("metric", "nps"), *[("channel", "a,b")] * 60], "at most 100"),
    ],
)
def test_what_cannot_be_asked_is_refused_with_a_sentence(pairs: list[tuple[str, str]], sentence: str | None) -> None:
    if sentence is None:
        ask(*pairs)
        return
    with pytest.raises(UsageError, match=sentence):
        ask(*pairs)


@pytest.mark.parametrize(
    ("accept", "form"),
    [
        ("", JSON),
        ("*/*", JSON),
        ("text/csv", CSV),
        ("text/html, text/csv;q=0.5, */*;q=0.1", CSV),
        (ARROW, ARROW),
        ("application/json;q=0.2, text/csv;q=0.9", CSV),
        ("image/png", None),
        ("text/csv;q=0", None),
    ],
)
def test_the_form_follows_accept(accept: str, form: str | None) -> None:
    assert preferred(accept) == form


@pytest.mark.parametrize("text", ["=HYPERLINK(1)", "+1", "-1", "@x", "\tx", "\rx", "\nx", "\x00x"])
def test_a_word_that_a_spreadsheet_would_run_gets_a_sign_before_it(text: str) -> None:
    """For the API and every command: there is one guard."""
    assert harmless(text) == "'" + text
    assert harmless("web" + text) == "web" + text
    command = list(csv_rows(QUESTION, [row(text)]))[1]
    assert command[3:5] == ["'" + text, "0-10"]
    assert -12.5 in command, "numbers are numbers"


def test_csv_guards_words_leaves_numbers_and_reads_back_the_same() -> None:
    """T39."""
    rows = [row('=1+1,"x"'), row("pläin\nline"), row("", None)]
    text = as_csv(QUESTION, rows).decode()
    found = list(csv.DictReader(io.StringIO(text, newline="")))
    assert [one["touchpoint"] for one in found] == ['\'=1+1,"x"', "pläin\nline", ""]
    assert [one["score"] for one in found] == ["-12.5", "-12.5", ""]
    assert float(found[0]["low"]) == -30.25


def test_json_csv_and_arrow_have_the_same_digits() -> None:
    third = row("a", 100 / 3)
    document_ = orjson.loads(as_json(QUESTION, [third], {}))["scores"][0]
    line = next(csv.DictReader(io.StringIO(as_csv(QUESTION, [third]).decode(), newline="")))
    arrow = pl.read_ipc_stream(io.BytesIO(as_arrow(pl.DataFrame([third])))).row(0, named=True)
    assert document_["score"] == float(line["score"]) == arrow["score"] == 100 / 3
    assert document_["detectable"] == float(line["detectable"]) == arrow["detectable"] == 7.75


def test_the_document_names_every_parameter_that_is_read_and_no_other() -> None:
    found = document("1.2.3")
    names = [parameter["name"] for parameter in found["paths"]["/v1/scores"]["get"]["parameters"]]
    assert names == [parameter.name for parameter in SCORES]
    assert set(DIMENSIONS) <= set(names)
    assert found["info"]["version"] == "1.2.3"
    for path, methods in found["paths"].items():
        assert {"200", "401", "503"} <= set(next(iter(methods.values()))["responses"]), path
