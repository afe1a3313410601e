"""`touchline rejects` and `touchline producers`: what was rejected, why, whose it was, and sending it again mended."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.command.admin import AsJson, guarded
from pipeline.command.output import Exit, emit, emit_json, note
from pipeline.errors import UsageError
from pipeline.moments import iso

if TYPE_CHECKING:
    from pipeline.clickhouse import ClickHouse
    from pipeline.intake.rejects import Filter
    from pipeline.intake.replaying import Outcome, Replay
    from pipeline.settings import Settings

app = typer.Typer(rich_markup_mode=None, no_args_is_help=True)
rejects = typer.Typer(rich_markup_mode=None, help="What was rejected, kept for 30 days.", no_args_is_help=True)
app.add_typer(rejects, name="rejects")

Reasons = Annotated[list[str], typer.Option("--reason", help="e.g. out_of_range; repeatable")]
Stages = Annotated[list[str], typer.Option("--stage", help="decode, validate, accept, ...; repeatable")]
Producers = Annotated[list[str], typer.Option("--producer", help="as `touchline producers` names it; repeatable")]
Topics = Annotated[list[str], typer.Option("--topic", help="plain name; repeatable")]
Since = Annotated[str, typer.Option("--from", help="ISO time (UTC unless it says so), -24h or now")]
Until = Annotated[str, typer.Option("--to", help="likewise; the end is not included")]
Ids = Annotated[list[str] | None, typer.Argument(help="ids as `rejects list` shows them: topic/epoch/partition/offset")]
Sets = Annotated[
    list[str],
    typer.Option("--set", help="field=value; `field=` takes it away; event_id=@origin makes an id of where it lies"),
]
Maps = Annotated[list[str], typer.Option("--map", help="field=theirs: take our field from the one so named")]

#: Reasons that a person is shown one by one.
_NAMED = 12


@rejects.command("list")
def list_(
    reason: Reasons = [],  # noqa: B006
    stage: Stages = [],  # noqa: B006
    producer: Producers = [],  # noqa: B006
    topic: Topics = [],  # noqa: B006
    since: Since = "-24h",
    until: Until = "now",
    limit: Annotated[int, typer.Option(min=1, max=100_000)] = 50,
    json: AsJson = False,
) -> None:
    """The newest rejects: id, when, stage, reason, path, producer, and whether they were replayed."""

    def work(client: ClickHouse, _: Settings) -> int:
        from pipeline.intake import rejects as table

        wanted = _filter(since, until, reason, stage, producer, topic)
        rows = [_document(row) for row in table.found(client, wanted, limit).iter_rows(named=True)]
        if json:
            emit_json(rows)
            return Exit.OK
        for row in rows:
            tried = f"  {row['replay']}" if row["replay"] else ""
            emit(
                f"{row['id']:<24} {row['at']}  {row['stage']:<8} {row['reason']} at {row['path']}"
                f"  {row['producer']}{tried}"
            )
        note(f"{len(rows)} shown" + ("; more with --limit" if len(rows) == limit else ""))
        return Exit.OK

    _with_tables("rejects list", work)


@rejects.command("show")
def show(ids: Ids, json: AsJson = False) -> None:
    """Open rejects with the deployment's key: all that is known, and the bytes with personal data masked."""

    def work(client: ClickHouse, settings: Settings) -> int:
        from pipeline.customers.redacting import redacted
        from pipeline.customers.sealing import Sealer
        from pipeline.intake import rejects as table
        from pipeline.intake.places import Place, place_of

        settings.require_keys()
        places = [place_of(text) for text in ids or []]
        if not places:
            raise UsageError("name one or more ids; `touchline rejects list` shows them")
        rows = table.found(client, table.Filter(0, 2**62, places=places), len(places))
        sealed = table.sealed_of(client, places)
        sealer = Sealer(settings.seal_key_id, settings.seal_bytes)
        for row in rows.iter_rows(named=True):
            place = Place(row["topic"], row["epoch"], row["part"], row["off"])
            text = redacted(table.opened(sealer, place, sealed[place]))
            shown = _document(row) | {"detail": row["detail"], "value": text}
            if json:
                emit_json(shown)
            else:
                emit("\n".join(f"{name:<9} {value}" for name, value in shown.items() if name != "value"))
                emit(text + "\n")
        missing = {place.text for place in places} - {_id(row) for row in rows.iter_rows(named=True)}
        if missing:
            note(f"no such reject (or its 30 days are over): {', '.join(sorted(missing))}")
            return Exit.FAILURE
        return Exit.OK

    _with_tables("rejects show", work)


@rejects.command("stats")
def stats(
    by: Annotated[str, typer.Option(help="of reason, stage, producer, topic, path; commas between")] = "reason",
    reason: Reasons = [],  # noqa: B006
    stage: Stages = [],  # noqa: B006
    producer: Producers = [],  # noqa: B006
    topic: Topics = [],  # noqa: B006
    since: Since = "-24h",
    until: Until = "now",
    json: AsJson = False,
) -> None:
    """How many were rejected, by reason or by whatever is asked for, and when the first and the last came."""

    def work(client: ClickHouse, _: Settings) -> int:
        from pipeline.intake import rejects as table

        names = [name.strip() for name in by.split(",") if name.strip()]
        wanted = _filter(since, until, reason, stage, producer, topic)
        rows = table.counted(client, wanted, names).to_dicts()
        for row in rows:
            row["first"], row["last"] = iso(row.pop("first_ms")), iso(row.pop("last_ms"))
        if json:
            emit_json(rows)
            return Exit.OK
        for row in rows:
            said = "  ".join(f"{row[name]:<16}" for name in names)
            emit(f"{row['n']:>9,}  {said}  {row['first']} to {row['last']}")
        note(f"{sum(row['n'] for row in rows):,} rejected")
        return Exit.OK

    _with_tables("rejects stats", work)


@rejects.command("replay")
def replay(
    ids: Ids = None,
    sets: Sets = [],  # noqa: B006
    maps: Maps = [],  # noqa: B006
    reason: Reasons = [],  # noqa: B006
    stage: Stages = [],  # noqa: B006
    producer: Producers = [],  # noqa: B006
    topic: Topics = [],  # noqa: B006
    since: Since = "-30d",
    until: Until = "now",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="say what would be done, send nothing")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="do not ask")] = False,
    json: AsJson = False,
) -> None:
    """Send rejects again, mended; each counts once however often this runs. Says first what it would do, and asks.

    What is older than a day goes to `history`, where it counts without alerts. After five tries one is given up.
    """

    def work(client: ClickHouse, settings: Settings) -> int:
        from pipeline.intake.places import place_of
        from pipeline.intake.repair import edits_of
        from pipeline.intake.replaying import Outcome, Replay

        settings.require_keys()
        now_ms = int(datetime.now(UTC).timestamp() * 1000)
        wanted = _filter(since, until, reason, stage, producer, topic, [place_of(text) for text in ids or []])
        plan = Replay(client, settings, wanted, edits_of(sets, maps), now_ms)
        outcome = Outcome()
        for steps in plan.steps():
            for step in steps:
                outcome.add(step)
        _tell(outcome, "would be ", json and dry_run)
        if dry_run or not outcome.verdicts["sent"]:
            if json and not dry_run:
                _tell(outcome, "", as_json=True)
            return Exit.OK
        if not yes and not _agreed(outcome.verdicts["sent"]):
            return Exit.USAGE
        _tell(_sent(plan, settings), "", json)
        return Exit.OK

    _with_tables("rejects replay", work)


@app.command("producers")
def producers(json: AsJson = False) -> None:
    """Who sends, as the worker saw it last: state, share rejected in the last hour, newest event, normal gap.

    Exit codes: 0 all are right, 3 one is bad or silent.
    """

    def work(client: ClickHouse, _: Settings) -> int:
        from pipeline.ledger.attendance import BAD, SILENT, spelled
        from pipeline.ledger.rollcall import attendance, spelled_out

        rows = attendance(client)
        now_ms = int(datetime.now(UTC).timestamp() * 1000)
        troubled = any(row["state"] in (BAD, SILENT) for row in rows)
        if json:
            emit_json([spelled_out(row) for row in rows])
            return Exit.DIFFERENCE if troubled else Exit.OK
        for row in rows:
            gap = spelled(row["gap_ms"]) if row["gap_ms"] else "not known yet"
            emit(
                f"{row['producer']:<24} {row['state']:<6}  {row['rejected']:,} of {row['arrived']:,} bad this hour,"
                f" last {iso(row['last_ms'])}, normal gap {gap}" + (f": {row['why']}" if row["why"] else "")
            )
        if not rows:
            note("nobody has sent anything yet, or no worker has run since")
        elif (old := now_ms - max(row["looked_ms"] for row in rows)) > 60_000:
            note(f"no worker has looked for {spelled(old)}: see `touchline doctor`")
        return Exit.DIFFERENCE if troubled else Exit.OK

    _with_tables("producers", work)


def _with_tables(name: str, work: Any) -> None:
    """Runs the work of a command with a connection; errors as everywhere, wrong use as exit code 2."""

    def go() -> int:
        from pipeline.clickhouse import ClickHouse
        from pipeline.settings import load_settings

        settings = load_settings()
        client = ClickHouse(settings)
        try:
            return int(work(client, settings))
        except UsageError as error:
            note(f"touchline {name}: {error}")
            return Exit.USAGE
        finally:
            client.close()

    guarded(go)


def _filter(since: str, until: str, *words: list[Any]) -> Filter:
    from pipeline.command.typed import moment
    from pipeline.intake.rejects import Filter

    now = datetime.now(UTC)
    # A second more than "now": what was rejected while the command was typed belongs to it.
    end = moment(until, now) + (until.strip() == "now")
    return Filter(moment(since, now) * 1000, end * 1000, *words)


def _agreed(count: int) -> bool:
    if not sys.stdin.isatty():
        note("touchline rejects replay: nobody to ask here; add --yes, or --dry-run to see only")
        return False
    return bool(typer.confirm(f"send {count:,} events?", err=True))


def _sent(plan: Replay, settings: Settings) -> Outcome:
    import asyncio

    from pipeline.intake.producing import Producer

    async def go() -> Outcome:
        async with Producer(settings) as producer:
            return await plan.run(producer)

    return asyncio.run(go())


def _tell(outcome: Outcome, how: str, as_json: bool) -> None:
    """What was done, or would be."""
    if as_json:
        emit_json({"verdicts": outcome.verdicts, "targets": outcome.targets, "wrong": outcome.wrong})
        return
    for verdict, n in outcome.verdicts.most_common():
        where = ", ".join(f"{m:,} to {topic}" for topic, m in sorted(outcome.targets.items()))
        note(f"{n:>9,}  {how}{verdict}" + (f" ({where})" if verdict == "sent" else ""))
    for why, n in outcome.wrong.most_common(_NAMED):
        note(f"{n:>9,}    {why}")
    if not outcome.verdicts:
        note("nothing was rejected that fits")


def _document(row: dict[str, Any]) -> dict[str, Any]:
    replayed = "replayed" if row["done"] else f"tried {row['tries']} times" if row["tries"] else ""
    return {
        "id": _id(row),
        "at": iso(row["ingest_ms"]),
        "stage": row["failed_at"],
        "reason": row["reason"],
        "path": row["path"],
        "producer": row["producer"],
        "attempt": row["attempt"],
        "replay": replayed,
    }


def _id(row: dict[str, Any]) -> str:
    return f"{row['topic']}/{row['epoch']}/{row['part']}/{row['off']}"
