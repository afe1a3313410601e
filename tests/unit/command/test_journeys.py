"""`touchline journeys`, `drivers`, `consistency`, `waits`, `gap`, `customer`: how they refuse and how they fail."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from pipeline.command import customer, drivers, journeys, responses
from pipeline.command.tables import columns, csv_table
from pipeline.customers.pseudonyms import Pseudonyms
from pipeline.errors import SettingsError, UsageError
from pipeline.settings import load_settings
from pipeline.views.figures import harmless

#: A port that nothing listens on.
NOWHERE = {"TOUCHLINE_CLICKHOUSE_URL": "http://127.0.0.1:9", "TOUCHLINE_INSECURE_KEYS": "true"}
#: A well-formed call of each command.
CALLS = [
    (journeys.app, []),
    (drivers.app, ["drivers"]),
    (drivers.app, ["drivers", "--outcomes", "--from", "-60d", "--to", "-30d"]),
    (drivers.app, ["consistency"]),
    (responses.app, ["waits", "survey_sent", "feedback"]),
    (responses.app, ["gap", "290/362"]),
    (customer.app, ["c-1"]),
]


@pytest.mark.parametrize(("app", "arguments"), CALLS)
def test_an_unreachable_clickhouse_is_named_with_what_to_do(app: object, arguments: list[str]) -> None:
    result = CliRunner().invoke(app, arguments, env=NOWHERE)  # type: ignore[arg-type]
    assert result.exit_code == 4
    assert "touchline up" in result.stderr
    assert result.stdout == ""


@pytest.mark.parametrize(
    ("app", "arguments", "words"),
    [
        (journeys.app, ["--of", "mood"], "no steps by 'mood'"),
        (journeys.app, ["--metric", "joy"], "no score 'joy'"),
        (journeys.app, ["--from", "now", "--to", "-1d"], "start must lie before the end"),
        (journeys.app, ["--silence", "90m"], "not a whole number of days"),
        (journeys.app, ["--silence", "400d"], "it must be from 1 to 365"),
        (journeys.app, ["--where", "colour=red"], "no dimension 'colour'"),
        (journeys.app, ["--json", "--csv"], "exclude each other"),
        (journeys.app, ["--show", "all"], "there are ways and steps"),
        (drivers.app, ["drivers", "--of", "answer.mood"], "no dimension 'mood'"),
        (drivers.app, ["drivers", "--within", "0d"], "is not a duration"),
        (drivers.app, ["drivers", "--outcomes", "--left", "sadness", "--to", "-30d"], "not left by 'sadness'"),
        (drivers.app, ["consistency", "--by", "mood"], "no dimension 'mood'"),
        *(
            (each, [*words, "--where", "agent=a1"], "single employees")
            for each, words in (
                (journeys.app, []),
                (drivers.app, ["drivers"]),
                (drivers.app, ["consistency"]),
                (responses.app, ["waits", "a", "b"]),
            )
        ),
        (responses.app, ["waits", "a", "a"], "another thing that ends it"),
        (responses.app, ["waits", "a", "b", "--cohort", "moon"], "no cohort 'moon'"),
        (responses.app, ["gap", "5/4"], "5 of 4 cannot believe"),
        (responses.app, ["gap", "many"], "is no share"),
        (customer.app, ["c-1", "--limit", "-1"], "it must be from 0"),
    ],
)
def test_what_cannot_be_asked_is_refused_with_a_sentence(app: object, arguments: list[str], words: str) -> None:
    result = CliRunner().invoke(app, arguments, env=NOWHERE)  # type: ignore[arg-type]
    assert (result.exit_code, result.stdout) == (2, ""), result.output
    assert words in result.stderr


def test_a_plain_id_needs_the_key_and_a_pseudonym_does_not() -> None:
    keyless, keyed = load_settings(insecure_keys=False), load_settings(insecure_keys=True, pseudonym_key_id=3)
    assert customer.pseudonym("k1:00c0ffee00c0ffee", keyless) == (1, 0x00C0FFEE00C0FFEE)
    with pytest.raises(SettingsError, match="TOUCHLINE_PSEUDONYM_KEY"):
        customer.pseudonym("c-1", keyless)
    expected = int(Pseudonyms(3, keyed.pseudonym_bytes).hashes(["c-1"])[0])
    assert customer.pseudonym("c-1", keyed) == (3, expected)
    with pytest.raises(UsageError, match="empty"):
        customer.pseudonym("", keyed)


def test_a_cell_that_a_spreadsheet_would_run_is_made_harmless(capsys: pytest.CaptureFixture[str]) -> None:
    assert [harmless(cell) for cell in ("=1+1", "-x", "@a", "checkout", -1.5, None)] == [
        "'=1+1", "'-x", "'@a", "checkout", -1.5, None,
    ]  # fmt: skip
    csv_table(("name", "n"), [("=cmd()", 3)])
    columns(("name", "n"), [("a", "1"), ("bc", "20")])
    assert capsys.readouterr().out == "name,n\n'=cmd(),3\nname   n\na      1\nbc    20\n"
