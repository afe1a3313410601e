"""`touchline restate`: late answers counted, doubles taken out, texts read anew, by the partitions' owners."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.command.admin import AsJson, guarded
from pipeline.command.output import Exit, emit, emit_json, note
from pipeline.errors import SettingsError

if TYPE_CHECKING:
    from pipeline.clickhouse import ClickHouse
    from pipeline.settings import Settings

app = typer.Typer(rich_markup_mode=None)


@app.command("restate")
def restate(
    since: Annotated[str, typer.Option("--from", help="event time: ISO (UTC unless it says so), -30d or now")] = "-30d",
    until: Annotated[str, typer.Option("--to", help="likewise; the end is not included")] = "now",
    duplicates: Annotated[bool, typer.Option("--duplicates", help="take out what `audit --deep` found")] = False,
    relabel: Annotated[
        bool, typer.Option("--relabel", help="label the texts of the span by the model of today")
    ] = False,
    topics: Annotated[bool, typer.Option("--topics", help="find the texts' topics by the taxonomy of today")] = False,
    tier: Annotated[str, typer.Option(help="with --relabel: minilm, or static (as imports are labelled)")] = "minilm",
    look: Annotated[bool, typer.Option("--look", help="only show what would be done")] = False,
    wait: Annotated[float, typer.Option(help="seconds to wait for the owners of the partitions", min=1)] = 600.0,
    json: AsJson = False,
) -> None:
    """Count events of a span that came too late (over 24 h), take doubles out, or read texts anew; workers must run.

    Rows of epochs that are over are restated too. Labelling goes on beside the live texts and takes its time: the
    reason is `relabelled`, and sentiment of another tier is another scale.

    Scores of the past change; `touchline scores --why` says why, `--as-of` gives what they were.
    Exit codes: 0 done, 2 usage, 4 no worker runs, or something did not answer in time.
    """

    def find(client: ClickHouse) -> dict[str, Any]:
        if relabel + duplicates + topics > 1:
            raise SettingsError(
                "touchline restate: --relabel (which finds topics too), --topics, --duplicates: ask for one"
            )
        if duplicates:
            return _doubles(client)
        span = _span(since, until)
        return _labelled(client, span, tier if relabel else "") if relabel or topics else _late(client, span)

    guarded(lambda: _run(find, look, wait, json))


def _run(find: Callable[[ClickHouse], dict[str, Any]], look: bool, wait: float, json: bool) -> int:
    from pipeline.clickhouse import ClickHouse
    from pipeline.settings import load_settings

    settings = load_settings()
    client = ClickHouse(settings)
    found = find(client)
    if not look and found["partitions"]:
        _ask(settings, client, found, wait)
        found["done"] = True
    if json:
        emit_json({name: value for name, value in found.items() if name != "body"})
    else:
        for line in lines(found):
            emit(line)
    return Exit.OK


def _span(since: str, until: str) -> tuple[int, int]:
    """The span that was typed, ms."""
    from datetime import UTC, datetime

    from pipeline.command.typed import moment
    from pipeline.errors import UsageError

    now = datetime.now(UTC)
    try:
        return moment(since, now) * 1000, moment(until, now) * 1000
    except UsageError as error:
        raise SettingsError(f"touchline restate: {error}") from None


def _found(kind: str, rows: int, partitions: Iterable[tuple[str, int, int]], body: str) -> dict[str, Any]:
    """What a command says of what is to be done; `partitions` are (topic, epoch, partition)."""
    places = sorted(set(partitions))
    return {"kind": kind, "rows": rows, "by_lag": {}, "partitions": places, "body": body, "done": False}


def _late(client: ClickHouse, span: tuple[int, int]) -> dict[str, Any]:
    from pipeline.ledger.restating import RESTATE, body_of, late_by_lag

    rows = list(late_by_lag(client, *span).iter_rows(named=True))
    lags: dict[str, int] = {}
    for row in rows:
        lags[row["lag"]] = lags.get(row["lag"], 0) + row["n"]
    places = ((row["topic"], row["epoch"], row["part"]) for row in rows)
    return _found(RESTATE, sum(lags.values()), places, body_of(*span)) | {"by_lag": lags}


def _doubles(client: ClickHouse) -> dict[str, Any]:
    from pipeline.ledger.restating import DUPLICATES, count_doubles

    epochs = client.query("SELECT DISTINCT topic, epoch FROM epochs ORDER BY topic, epoch").rows()
    counts = {
        (topic, epoch, part): n for topic, epoch in epochs for part, n in count_doubles(client, topic, epoch).items()
    }
    return _found(DUPLICATES, sum(counts.values()), counts, "")


def _labelled(client: ClickHouse, span: tuple[int, int], tier: str) -> dict[str, Any]:
    from pipeline.ledger.relabelling import RELABEL, TIERS, TOPICS, Wish, count_labelled

    if tier not in ("", *TIERS):
        raise SettingsError(f"touchline restate: there is no tier {tier!r} to label with; there are {', '.join(TIERS)}")
    rows = list(count_labelled(client, *span, tier).iter_rows(named=True))
    places = ((row["topic"], row["epoch"], row["part"]) for row in rows)
    return _found(RELABEL if tier else TOPICS, sum(row["n"] for row in rows), places, Wish(*span, tier).body())


def _ask(settings: Settings, client: ClickHouse, found: dict[str, Any], wait: float) -> None:
    import asyncio

    from pipeline.errors import Unavailable
    from pipeline.ledger.rebuild import members
    from pipeline.ledger.requests import ask_and_wait
    from pipeline.slices import Partition

    if not asyncio.run(members(settings)):
        raise Unavailable("no worker runs, and only the owner of a partition rewrites it: start `touchline worker`")
    note(f"the owners of {len(found['partitions'])} partitions rewrite {found['rows']} rows")
    partitions = [Partition(topic, part) for topic, _, part in found["partitions"]]
    epochs = [epoch for _, epoch, _ in found["partitions"]]
    ask_and_wait(client, partitions, found["kind"], wait, found["body"], epochs)


#: By kind: what was found, and what became of it.
_WORDS = {
    "restate": ("late events", "counted"),
    "duplicates": ("doubles", "taken out"),
    "relabel": ("labelled texts", "labelled anew"),
    "topics": ("labelled texts", "looked through for topics"),
}


def lines(found: dict[str, Any]) -> list[str]:
    """What was found and done, for people."""
    what, fate = _WORDS[found["kind"]]
    if not found["rows"]:
        return [f"no {what}: nothing to do"]
    lags = ", ".join(f"{n} after {lag}" for lag, n in found["by_lag"].items())
    said = fate if found["done"] else "found"
    done = "" if found["done"] else "; nothing was changed"
    where = f"in {len(found['partitions'])} partitions{f' ({lags})' if lags else ''}"
    return [f"{found['rows']} {what} {said} {where}{done}"]
