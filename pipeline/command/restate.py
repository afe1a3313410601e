"""`touchline restate`: late answers counted after all, doubles taken out, by the owners of the partitions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.command.admin import AsJson, guarded
from pipeline.command.output import Exit, emit, emit_json, note

if TYPE_CHECKING:
    from pipeline.clickhouse import ClickHouse
    from pipeline.settings import Settings

app = typer.Typer(rich_markup_mode=None)


@app.command("restate")
def restate(
    since: Annotated[str, typer.Option("--from", help="event time: ISO (UTC unless it says so), -30d or now")] = "-30d",
    until: Annotated[str, typer.Option("--to", help="likewise; the end is not included")] = "now",
    duplicates: Annotated[bool, typer.Option("--duplicates", help="take out what `audit --deep` found")] = False,
    look: Annotated[bool, typer.Option("--look", help="only show what would be done")] = False,
    wait: Annotated[float, typer.Option(help="seconds to wait for the owners of the partitions", min=1)] = 600.0,
    json: AsJson = False,
) -> None:
    """Count events of a span that came too late (over 24 h), or take doubles out; workers must run.

    Scores of the past change; `touchline scores --why` says why, `--as-of` gives what they were.
    Exit codes: 0 done, 2 usage, 4 no worker runs, or something did not answer in time.
    """
    guarded(lambda: _run((since, until), duplicates, look, wait, json))


def _run(span: tuple[str, str], duplicates: bool, look: bool, wait: float, json: bool) -> int:
    from pipeline.clickhouse import ClickHouse
    from pipeline.settings import load_settings

    settings = load_settings()
    client = ClickHouse(settings)
    found = _doubles(client) if duplicates else _late(client, span)
    if not look and found["partitions"]:
        _ask(settings, client, found, wait)
        found["done"] = True
    if json:
        emit_json({name: value for name, value in found.items() if name != "body"})
    else:
        for line in lines(found):
            emit(line)
    return Exit.OK


def _late(client: ClickHouse, span: tuple[str, str]) -> dict[str, Any]:
    from datetime import UTC, datetime

    from pipeline.command.typed import moment
    from pipeline.errors import SettingsError, UsageError
    from pipeline.ledger.restating import RESTATE, body_of, late_by_lag

    now = datetime.now(UTC)
    try:
        start, end = (moment(text, now) * 1000 for text in span)
    except UsageError as error:
        raise SettingsError(f"touchline restate: {error}") from None
    rows = late_by_lag(client, start, end)
    lags: dict[str, int] = {}
    for row in rows.iter_rows(named=True):
        lags[row["lag"]] = lags.get(row["lag"], 0) + row["n"]
    return {
        "kind": RESTATE,
        "rows": sum(lags.values()),
        "by_lag": lags,
        "partitions": sorted({(row["topic"], row["part"]) for row in rows.iter_rows(named=True)}),
        "body": body_of(start, end),
        "done": False,
    }


def _doubles(client: ClickHouse) -> dict[str, Any]:
    from pipeline.ledger.positions import epoch_of
    from pipeline.ledger.restating import DUPLICATES, count_doubles
    from schemas.topics import LEDGER_TOPICS

    counts = {
        (topic, part): n
        for topic in LEDGER_TOPICS
        for part, n in count_doubles(client, topic, epoch_of(client, topic)).items()
    }
    rows = sum(counts.values())
    return {"kind": DUPLICATES, "rows": rows, "by_lag": {}, "partitions": sorted(counts), "body": "", "done": False}


def _ask(settings: Settings, client: ClickHouse, found: dict[str, Any], wait: float) -> None:
    import asyncio

    from pipeline.errors import Unavailable
    from pipeline.ledger.rebuild import members
    from pipeline.ledger.requests import ask_and_wait
    from pipeline.slices import Partition

    if not asyncio.run(members(settings)):
        raise Unavailable("no worker runs, and only the owner of a partition rewrites it: start `touchline worker`")
    note(f"the owners of {len(found['partitions'])} partitions rewrite {found['rows']} rows")
    ask_and_wait(client, [Partition(*each) for each in found["partitions"]], found["kind"], wait, found["body"])


def lines(found: dict[str, Any]) -> list[str]:
    """What was found and done, for people."""
    what = "late events" if found["kind"] == "restate" else "doubles"
    if not found["rows"]:
        return [f"no {what}: nothing to do"]
    lags = ", ".join(f"{n} after {lag}" for lag, n in found["by_lag"].items())
    fate = ("counted" if found["kind"] == "restate" else "taken out") if found["done"] else "found"
    done = "" if found["done"] else "; nothing was changed"
    return [
        f"{found['rows']} {what} {fate} in {len(found['partitions'])} partitions{f' ({lags})' if lags else ''}{done}"
    ]
