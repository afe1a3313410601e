"""`touchline scores`: what a person may type, what is shown, and how it fails."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from pipeline.command import scores, typed
from pipeline.command.guarding import fix
from pipeline.errors import UsageError
from pipeline.scores.reading import Question
from pipeline.views import score_lines

NOW = datetime(2026, 5, 1, 12, 0, 30, tzinfo=UTC)
NOON = 1_777_636_800
#: A port that nothing listens on.
NOWHERE = {"TOUCHLINE_CLICKHOUSE_URL": "http://127.0.0.1:9"}


def row(**other: Any) -> dict[str, Any]:
    known = {"start": NOON, "seconds": 3600, "scale": "0-10", "n": 40, "score": 50.0, "low": 20.6, "high": 72.4}
    return {**known, "score_unit": "points", "method": "adjusted_wald", "status": "ok", "channel": "web", **other}


QUESTION = Question("nps", NOON, NOON + 3600, 3600, ("channel",))


@pytest.mark.parametrize(
    ("text", "second"),
    [
        ("now", NOON + 30),
        ("-24h", NOON + 30 - 86_400),
        ("-90m", NOON + 30 - 5_400),
        ("2026-05-01T12:00", NOON),
        ("2026-05-01T12:00:00Z", NOON),
        ("2026-05-01T14:00+02:00", NOON),
        ("2026-05-01", NOON - 43_200),
    ],
)
def test_a_time_is_iso_relative_or_now(text: str, second: int) -> None:
    assert typed.moment(text, NOW) == second


@pytest.mark.parametrize("text", ["yesterday", "-24", "-h", "2026-13-01", ""])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is not a"):
        typed.moment(text, NOW)


def test_a_duration_has_a_number_and_a_unit() -> None:
    assert [typed.duration(text) for text in ("90s", "5m", "1h", "7d", "2w")] == [90, 300, 3600, 604_800, 1_209_600]
    for wrong in ("0h", "1", "h", "1.5h", "-1h"):
        with pytest.raises(UsageError, match="is not a duration"):
            typed.duration(wrong)


def test_conditions_of_one_name_add_up() -> None:
    assert typed.conditions(["channel=web,app", "channel=call", "brand=a=b"]) == {
        "channel": ("web", "app", "call"),
        "brand": ("a=b",),
    }
    with pytest.raises(UsageError, match="has no value"):
        typed.conditions(["channel"])


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"metric": "mood"}, "no score 'mood'"),
        ({"by": ("colour",)}, "no dimension 'colour'"),
        ({"by": ("brand", "brand")}, "named twice"),
        ({"filters": {"minute": ("1",)}}, "no dimension 'minute'"),
        ({"grain_s": 90}, "not a whole number of minutes"),
        ({"grain_s": 0}, "not a whole number of minutes"),
        ({"end": NOON}, "start must lie before the end"),
    ],
)
def test_what_cannot_be_asked_is_refused(given: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        Question(**{"metric": "nps", "start": NOON, "end": NOON + 1, **given})


def test_a_question_finds_the_cut_that_answers_it() -> None:
    def cut(*by: str, **filters: tuple[str, ...]) -> str | None:
        return Question("nps", NOON, NOON + 1, None, by, filters).cut

    assert cut() == cut("channel", "mode", brand=("b",)) == "core"
    assert cut("segment") == cut(segment=("a",)) == "segments"
    assert cut("brand", "product") == "product"
    assert cut("product", channel=("web",)) is None
    assert cut("product", "device") is None
    assert cut("segment", mode=("human",)) is None


def test_insufficient_is_shown_as_such_with_n_and_no_number() -> None:
    few = row(n=9, score=None, low=None, high=None, status="insufficient")
    (line,) = score_lines.lines(QUESTION, [few])
    assert line.cells == ("2026-05-01 12:00", "web", "0-10", "insufficient", "9", "")
    assert score_lines.picture(line, plain=True) == ""


def test_the_picture_spans_the_interval_and_marks_the_score() -> None:
    (line,) = score_lines.lines(QUESTION, [row(score=0.0, low=-100.0, high=50.0)])
    assert score_lines.picture(line, plain=True) == "------------o------......"
    assert score_lines.picture(line, plain=False) == "━━━━━━━━━━━━●━━━━━━······"


@pytest.mark.parametrize(
    ("unit", "scale", "value", "text"),
    [
        ("points", "0-10", -12.34, "-12.3"),
        ("points", "0-10", -0.04, "+0.0"),
        ("share", "1-5", 0.84, "84.0 %"),
        ("mean", "1-7", 4.75, "4.75"),
        ("count", "outcome", 12.0, "12"),
    ],
)
def test_each_unit_has_its_form(unit: str, scale: str, value: float, text: str) -> None:
    (line,) = score_lines.lines(QUESTION, [row(score_unit=unit, scale=scale, score=value, low=None, high=None)])
    assert line.cells[3] == text


def test_plain_lines_stand_under_each_other() -> None:
    shown = score_lines.lines(QUESTION, [row(), row(channel="")])
    head, first, second = score_lines.aligned(score_lines.heads(QUESTION), shown)
    assert head.index("channel") == first.index("web") == second.index("- ", 16)
    assert len(head) == len(first) == len(second)


def test_clickhouse_that_does_not_answer_is_exit_4_with_what_to_do() -> None:
    result = CliRunner().invoke(scores.app, ["--metric", "nps", "--from", "-24h"], env=NOWHERE)
    assert result.exit_code == 4
    assert "touchline up" in result.stderr
    assert result.stdout == ""


@pytest.mark.parametrize(
    "wrong",
    [
        ["--metric", "mood"],
        ["--metric", "nps", "--by", "colour"],
        ["--metric", "nps", "--grain", "soon"],
        ["--metric", "nps", "--json", "--csv"],
        ["--metric", "nps", "--from", "now", "--to", "-1h"],
        [],
        ["--metric", "volume", "--compare"],
        ["--metric", "nps", "--session", "30m", "--compare"],
        ["--metric", "nps", "--rank"],
        ["--metric", "nps", "--tree", "soon"],
        ["--metric", "nps", "--tree", "now", "--compare"],
        ["--metric", "nps", "--tree", "now", "--hop", "15m"],
        ["--metric", "nps", "--tree", "now", "--where", "unit=u1"],
        ["--metric", "nps", "--hop", "7m"],
        ["--metric", "nps", "--hop", "15m", "--tz", "UTC"],
        ["--metric", "nps", "--tz", "Mars"],
        ["--metric", "nps", "--day-begins", "25:00"],
        ["--metric", "nps", "--session", "30m", "--voices"],
        ["--metric", "nps", "--session", "30m", "--hop", "15m"],
        ["--metric", "nps", "--why", "--by", "agent"],
        ["--metric", "nps", "--why", "--voices", "--hop", "15m"],
        ["--metric", "nps@9"],
        ["--metric", "nps", "--as-of", "lately"],
    ],
)
def test_wrong_usage_is_exit_2(wrong: list[str]) -> None:
    result = CliRunner().invoke(scores.app, wrong, env=NOWHERE)
    assert result.exit_code == 2
    assert result.stderr


def test_missing_functions_are_told_from_an_engine_that_is_down() -> None:
    assert "touchline migrate" in fix("Code: 46. DB::Exception: Function with name `tl_n` does not exist")
    assert "touchline up" in fix("connection refused")


def test_windows_are_typed_as_people_say_them() -> None:
    span = (NOON, NOON + 7200)
    assert typed.Windows("1h").fields(span) == {"grain_s": 3600}
    assert typed.Windows("all").fields(span) == {"grain_s": None}
    assert typed.Windows("1h", hop="15m").fields(span) == {"grain_s": 3600, "step_s": 900}
    assert typed.Windows(session="30m").fields(span) == {"gap_s": 1800}
    day = typed.Windows("1d", tz="Europe/Berlin", day_begins="04:00").fields(span)["edges"]
    assert day == (NOON - 10 * 3600, NOON + 14 * 3600)
    assert typed.names(" channel, unit ,") == ("channel", "unit")


def test_definitions_are_listed_without_a_database() -> None:
    result = CliRunner().invoke(scores.app, ["--definitions"], env=NOWHERE)
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0].startswith("nps@1, in force: net of nps in points; interval adjusted_wald")
    assert "    scale 1-5; lower is better" in lines
    assert "    scale any; top 1; bottom -1" in lines


def test_definitions_that_contradict_are_exit_2_with_every_mistake(tmp_path: Path) -> None:
    own = tmp_path / "scores.toml"
    own.write_text('[[scores]]\nid = "nps"\nversion = 1\nmetric = "nps"\nform = "net"\ninterval = "wilson"\n')
    result = CliRunner().invoke(scores.app, ["--metric", "nps"], env={**NOWHERE, "TOUCHLINE_SCORES": str(own)})
    assert result.exit_code == 2
    assert "interval 'wilson' does not fit the form net" in result.stderr
