"""What stands beside each cut: changes, trends, rankings, trees of units and single employees, through the command."""

from __future__ import annotations

from typing import Any

import orjson
import polars as pl
import pytest
from typer.testing import CliRunner

from pipeline.clickhouse import ClickHouse
from pipeline.command.drivers import app as drivers_app
from pipeline.command.scores import app
from pipeline.customers.unit_rows import write_units
from pipeline.customers.units import FOR_EVER, Unit
from tests.integration.test_score_definitions import shown
from tests.integration.test_score_view import HOUR, START, settings, tables, window, written

pytestmark = pytest.mark.clickhouse

__all__ = ["settings", "tables"]  # fixtures

WEEK = 7 * 86_400
SPAN = ["--from", "2026-05-01T08:00", "--to", "2026-05-01T12:00"]


def scores(*arguments: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = shown(*arguments, "--json")["scores"]
    return found


def test_each_score_has_the_window_before_and_last_week_beside_it(tables: ClickHouse) -> None:
    written(
        tables,
        [
            window(START - WEEK, {6: 30, 8: 30, 10: 40}),
            window(START - HOUR, {6: 200, 8: 300, 10: 500}),
            window(START, {6: 30, 8: 30, 10: 40}),
            window(START + HOUR, {6: 3, 8: 3, 10: 3}),
        ],
    )
    first, second = scores("--metric", "nps", "--compare", *SPAN)
    assert (first["previous_n"], first["previous_score"], first["week_change"], first["week_p"]) == (
        1000,
        30.0,
        0.0,
        1.0,
    )
    assert (round(first["previous_change"], 6), round(first["previous_p"], 6)) == (-20.0, 0.021007)
    assert first["previous_low"] < -20 < first["previous_high"] < 0
    assert second["status"] == "insufficient"
    assert second["previous_change"] is None, "nine answers are no score, so no change either"
    assert second["detectable"] is None
    assert 5 < first["detectable"] < 200
    text = CliRunner().invoke(app, ["--metric", "nps", "--compare", *SPAN]).stdout
    assert "-20.0 [-37.0 .. -3.0] *" in text
    plain = scores("--metric", "nps", *SPAN)
    assert [row["detectable"] for row in plain] == [first["detectable"], None], "it stands beside every score"
    head, line, insufficient = CliRunner().invoke(app, ["--metric", "nps", *SPAN]).stdout.splitlines()
    assert head.endswith("smallest drop seen")
    assert line.endswith(f" {first['detectable']:.1f}")
    assert insufficient.endswith(" -")


def test_days_of_a_time_zone_compare_with_the_same_local_days(tables: ClickHouse) -> None:
    """Sunday 2026-03-29 in Berlin has 23 hours; the day before and the Sunday before have 24."""
    begin = 1_774_738_800
    written(tables, [window(begin + HOUR * i, {10: 20}) for i in range(-8 * 24, 23)])
    day = ["--grain", "1d", "--tz", "Europe/Berlin", "--from", "2026-03-29", "--to", "2026-03-30", "--compare"]
    (found,) = scores("--metric", "nps", *day)
    assert (found["n"], found["previous_n"], found["week_n"]) == (23 * 20, 24 * 20, 24 * 20)


def test_a_trend_has_an_interval(tables: ClickHouse) -> None:
    written(tables, [window(START + HOUR * i, {0: 50 - 10 * i, 10: 50 + 10 * i}) for i in range(4)])
    rows = scores("--metric", "nps", "--compare", *SPAN)
    assert {round(row["trend"], 6) for row in rows} == {20.0}
    assert all(row["trend_low"] < 20 < row["trend_high"] for row in rows)


def test_a_ranking_is_not_led_by_chance(tables: ClickHouse) -> None:
    big = {f"u{i}": {10: 260 + 12 * i, 0: 140 - 12 * i} for i in range(5)}
    written(
        tables, [window(START, bins, unit=unit) for unit, bins in {**big, "tiny": {10: 10}, "none": {10: 9}}.items()]
    )
    rows = scores("--metric", "nps", "--by", "unit", "--rank", *SPAN)
    assert [row["scope"]["unit"] for row in rows] != sorted((r["scope"]["unit"] for r in rows), reverse=True)
    assert [row["rank"] for row in rows] == [1, 2, 3, 4, 5, 6, None]
    assert (rows[-1]["scope"]["unit"], rows[-1]["ranked_as"]) == ("none", None), "nine answers have no rank"
    tiny = next(row for row in rows if row["scope"]["unit"] == "tiny")
    assert (tiny["score"], tiny["rank"] > 1) == (100.0, True)
    assert tiny["ranked_as"] < 60
    wrong = CliRunner().invoke(app, ["--metric", "nps", "--rank", *SPAN])
    assert (wrong.exit_code, "name a dimension" in wrong.stderr) == (2, True)


def test_effort_ranks_the_lowest_first(tables: ClickHouse) -> None:
    shapes = {"easy": {0: 90, 4: 10}, "hard": {0: 10, 4: 90}}
    written(tables, [window(START, bins, unit=unit, metric="ces", scale="1-5") for unit, bins in shapes.items()])
    assert [row["scope"]["unit"] for row in scores("--metric", "ces", "--by", "unit", "--rank", *SPAN)] == [
        "easy",
        "hard",
    ]


def test_units_are_summed_to_their_parents_as_then_and_as_now(tables: ClickHouse) -> None:
    moved = START + HOUR
    units = [
        Unit("u1", "north", 0, moved, "One"), Unit("u1", "south", moved, FOR_EVER, "One"),
        Unit("u2", "south", 0, FOR_EVER, "Two"), Unit("north", "", 0, FOR_EVER, "N"),
        Unit("south", "", 0, FOR_EVER, "S"),
    ]  # fmt: skip
    assert write_units(tables, units) == 5
    assert write_units(tables, units) == 0
    written(
        tables,
        [
            window(START + HOUR * i, {10: 10 + i}, unit=unit, part=p)
            for i in range(2)
            for p, unit in enumerate(("u1", "u2"))
        ],
    )
    whole = ["--metric", "nps", "--grain", "all", *SPAN]
    then = {(r["parent"], r["scope"]["unit"]): r["n"] for r in scores(*whole, "--tree", "then")}
    assert then == {("", "north"): 10, ("north", "u1"): 10, ("", "south"): 32, ("south", "u1"): 11, ("south", "u2"): 21}
    now = {(r["parent"], r["scope"]["unit"]): r["n"] for r in scores(*whole, "--tree", "now")}
    assert now == {("", "south"): 42, ("south", "u1"): 21, ("south", "u2"): 21}
    text = CliRunner().invoke(app, [*whole, "--tree", "now"]).stdout
    assert [line.split()[2] for line in text.splitlines()[1:]] == ["south", "u1", "u2"]
    # A line that the registry gives up holds for no time from then on.
    assert write_units(tables, units[1:]) == 1
    assert {r["scope"]["unit"] for r in scores(*whole, "--tree", "then")} == {"u1", "u2", "south"}


def test_nobody_with_few_answers_is_shown_alone(tables: ClickHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    other = {"cut": "agent", "unit": "", "channel": "", "touchpoint": ""}
    written(tables, [window(START, {10: n}, dim=f"a{n}", **other) for n in (4, 8, 15, 30)])
    written(tables, [window(START, {10: 57})])
    by = ["--metric", "nps", "--by", "agent", *SPAN]
    assert {r["scope"]["agent"]: r["n"] for r in scores(*by)} == {"(others)": 12, "a15": 15, "a30": 30}
    assert scores("--metric", "nps", "--where", "agent=a8", *SPAN) == []
    # Chosen beside somebody with enough: the difference to that one's own sum would be the other's.
    assert [r["n"] for r in scores("--metric", "nps", "--where", "agent=a8,a15", *SPAN)] == [15]
    chosen = ["--metric", "nps", "--where", "agent=a8,a15,a30", *SPAN]
    assert [r["n"] for r in scores(*chosen)] == [45]
    assert {r["scope"]["agent"]: r["n"] for r in scores(*chosen, "--by", "agent")} == {"a15": 15, "a30": 30}
    wrong = CliRunner().invoke(app, [*chosen, "--voices"])
    assert (wrong.exit_code, "name one" in wrong.stderr) == (2, True)
    monkeypatch.setenv("TOUCHLINE_AGENT_ANSWERS", "20")
    assert {r["scope"]["agent"]: r["n"] for r in scores(*by)} == {"(others)": 27, "a30": 30}
    for command in (["consistency", "--by", "agent"], ["drivers", "--of", "answer.agent"]):
        shown = CliRunner().invoke(drivers_app, [*command, *SPAN])
        assert shown.exit_code == 0, shown.output
        assert "a30" in shown.stdout
        assert "a15" not in shown.stdout, "the threshold of the deployment, not the one of the package"


def test_csv_guards_against_formulas_and_has_the_further_columns(tables: ClickHouse) -> None:
    written(tables, [window(START, {10: 12}, touchpoint="=HYPERLINK(1)")])
    result = CliRunner().invoke(app, ["--metric", "nps", "--by", "touchpoint", "--compare", "--csv", *SPAN])
    head, row = result.stdout.splitlines()
    assert "previous_change" in head
    assert ",'=HYPERLINK(1)," in row
    assert orjson.loads(CliRunner().invoke(app, ["--definitions", "--json"]).stdout)[0]["id"] == "nps"
    assert isinstance(pl.read_csv(result.stdout.encode())["n"][0], int)
