"""`touchline simulate`, `produce`, `import` without a broker: what they write, what they refuse, exit codes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import orjson
import pytest
from typer.testing import CliRunner

from pipeline.command.intake import app
from tests.terminal import talk

IMPORT = ["import", "--map", "text=text", "--map", "metric==sentiment_only", "--map", "channel==review", "--dry-run"]
SIMULATE = ["simulate", "--customers", "50", "--count", "200", "--days", "1", "--end", "2026-11-18T00:00:00Z"]


def run(*arguments: str, given: bytes = b"") -> tuple[int, str, str]:
    """Exit code, standard output, standard error."""
    result = CliRunner().invoke(app, list(arguments), input=given)
    return result.exit_code, result.stdout, result.stderr


def test_simulate_writes_the_same_lines_for_the_same_seed_and_they_can_be_produced_again() -> None:
    code, lines, _ = run(*SIMULATE, "--seed", "3", "--bad", "0")
    assert code == 0
    assert lines.count("\n") == 200
    assert run(*SIMULATE, "--seed", "3", "--bad", "0")[1] == lines
    assert run(*SIMULATE, "--seed", "4", "--bad", "0")[1] != lines
    code, _, said = run("produce", "-", "--dry-run", given=lines.encode())
    assert code == 0
    assert "200 rows: 200 sent, 0 refused" in said


def test_simulate_with_a_topic_writes_bare_events() -> None:
    _, lines, _ = run(*SIMULATE, "--topic", "feedback", "--bad", "0")
    events = [orjson.loads(line) for line in lines.splitlines()]
    assert events
    assert all("metric" in event for event in events)
    _, profiles, _ = run(*SIMULATE, "--topic", "profiles")
    assert profiles.count("\n") == 50


def test_produce_names_the_refused_row_and_exits_with_1() -> None:
    good = b'{"event_id":"e","occurred_at":"2026-11-18T11:00:00Z","channel":"web","touchpoint":"checkout"}\n'
    code, _, said = run("produce", "-", "--dry-run", given=good + good.replace(b"web", b"pigeon"))
    assert code == 1
    assert "row 2: refused, unknown_value at $.channel" in said
    code, verdicts, _ = run("produce", "-", "--dry-run", "--json", given=good)
    assert code == 0
    assert next(orjson.loads(line) for line in verdicts.splitlines()) == {"row": 1, "verdict": "accepted"}


def test_import_reads_a_tab_file_without_header_and_with_stray_quotes(tmp_path: Path) -> None:
    file = tmp_path / "snippets.txt"
    file.write_bytes(b'1_1\t-0.9\tno "picture, at all.\r\n1_2\t2.5\t"great" thing\r\n')
    layout = ["--separator", "tab", "--quote", "none", "--columns", "id,rating,text"]
    code, _, said = run(*IMPORT, str(file), *layout, "--at", "2014-06-01T12:00:00Z")
    assert code == 0
    assert "2 rows: 2 sent, 0 refused" in said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--at", "2014-06-01"], "no zone"),
        ([], "name the time"),
        (["--time", "text", "--zone", "Mars/Olympus"], "no such zone"),
        (["--time", "moment", "--zone", "UTC"], "no column 'moment'"),
        (["--at", "2014-06-01T12:00:00Z", "--map", "scor=text"], "no such field"),
        (["--at", "2014-06-01T12:00:00Z", "--map", "score"], "field=column"),
        (["--at", "2014-06-01T12:00:00Z", "--separator", "||"], "one character"),
    ],
)
def test_an_import_that_makes_no_sense_exits_with_2_and_says_why(
    tmp_path: Path, arguments: list[str], said: str
) -> None:
    file = tmp_path / "table.csv"
    file.write_text("text\nfine\n", encoding="utf-8")
    code, _, told = run(*IMPORT, str(file), *arguments)
    assert code == 2
    assert said in told


@pytest.mark.parametrize(
    "arguments",
    [
        ["simulate", "--incident", "pigeons@-1d"],
        ["simulate", "--to", "paper"],
        ["simulate", "--end", "soon"],
        ["produce", "/no/such/file"],
        ["produce", "-", "--topic", "ticks"],
    ],
)
def test_wrong_use_exits_with_2(arguments: list[str]) -> None:
    assert run(*arguments)[0] == 2


EXCEL = (
    "Datum;Bewertung;Kommentar;Bestellung\r\n31.01.2026 14:05;4;Gut;1\r\n03.02.2026 09:00;2;Zu spät;2\r\nkein;9;;3\r\n"
)


def excel(tmp_path: Path) -> str:
    file = tmp_path / "bewertungen.csv"
    file.write_bytes(EXCEL.encode("utf-8-sig"))
    return str(file)


def test_a_mapping_in_a_file_reads_what_excel_wrote_and_names_rows_by_reason(tmp_path: Path) -> None:
    mapping = tmp_path / "map.toml"
    mapping.write_text(
        '[columns]\nscore = "Bewertung"\ntext = "Kommentar"\n[constants]\nmetric = "rating"\nchannel = "review"\n'
        '[time]\ncolumn = "Datum"\nzone = "Europe/Berlin"\nformat = "day first"\n'
    )
    code, out, said = run("import", excel(tmp_path), "--mapping", str(mapping), "--dry-run", "--json")
    assert code == 1
    assert "3 rows: 2 sent, 1 refused" in said
    assert "bad_time: 1 (rows 3)" in said
    summary = orjson.loads(out.splitlines()[-1])["summary"]
    assert (summary["refused"], summary["first_rows"]) == ({"bad_time": 1}, {"bad_time": [3]})


def test_a_guess_is_shown_and_taken_only_when_somebody_agrees(tmp_path: Path) -> None:
    file = tmp_path / "answers.csv"
    file.write_text("Created At,NPS,Comment\n2026-01-31T12:00:00Z,9,fine\n", encoding="utf-8")
    code, _, said = run("import", str(file), "--dry-run")
    assert code == 2
    assert 'score = "NPS"' in said
    assert "--yes" in said
    code, _, said = run("import", str(file), "--dry-run", "--yes")
    assert code == 0
    assert "1 rows: 1 sent, 0 refused" in said


def test_an_export_that_we_know_needs_its_name_only(tmp_path: Path) -> None:
    header = (
        "Review Id,Review Created (UTC),Review Consumer User Id,Review Title,Review Content,Review Stars,Reference Id\n"
    )
    file = tmp_path / "trustpilot.csv"
    file.write_text(header + "r1,2026-01-02 10:00:00,u1,Great,Fast reply,5,o-1\n", encoding="utf-8")
    code, _, said = run("import", str(file), "--as", "trustpilot", "--dry-run")
    assert code == 0
    assert "1 rows: 1 sent, 0 refused" in said
    assert run("import", str(file), "--as", "pigeon", "--dry-run")[0] == 2


def test_at_a_terminal_the_mapping_is_confirmed_and_what_is_missing_is_asked_for(tmp_path: Path) -> None:
    """A real terminal (pty) on standard input and error: the guess, then day or month, then the zone."""
    file = tmp_path / "answers.csv"
    file.write_text("Datum;NPS;Comment\n03.04.2026 10:00;9;fine\n05.06.2026 11:00;3;slow\n", encoding="utf-8")
    ours, theirs = os.openpty()
    program = "import sys; from pipeline.command.intake import app; app(sys.argv[1:])"
    command = [sys.executable, "-c", program, "import", str(file), "--dry-run", "--json"]
    with subprocess.Popen(command, stdin=theirs, stderr=theirs, stdout=subprocess.PIPE) as process:
        os.close(theirs)
        said = talk(
            ours, [("import it like this?", "y\n"), ("does the day stand first?", "y\n"), ("in which zone", "UTC\n")]
        )
        assert process.stdout is not None
        out = process.stdout.read()
    os.close(ours)
    assert 'score = "NPS"' in said
    assert process.returncode == 0, said
    assert orjson.loads(out.splitlines()[-1])["summary"]["sent"] == 2
