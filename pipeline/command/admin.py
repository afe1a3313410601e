"""`touchline worker`, `topics`, `migrate`, `offsets`, `release`, `config`: running and keeping a deployment."""

from __future__ import annotations

from typing import Annotated

import typer

from pipeline.command.guarding import guarded as guarded
from pipeline.command.output import Exit, emit, emit_json, note

app = typer.Typer(rich_markup_mode=None, no_args_is_help=True)
topics = typer.Typer(rich_markup_mode=None, help="Topics on the broker.", no_args_is_help=True)
offsets = typer.Typer(rich_markup_mode=None, help="Positions and epochs.", no_args_is_help=True)
config = typer.Typer(rich_markup_mode=None, help="The settings.", no_args_is_help=True)
app.add_typer(topics, name="topics")
app.add_typer(offsets, name="offsets")
app.add_typer(config, name="config")

AsJson = Annotated[bool, typer.Option("--json", help="one JSON document on standard output")]


@app.command()
def worker() -> None:
    """Run one worker until SIGTERM; any number may run."""
    import os
    import sys

    # Not imported: what is below the agents must not know them.
    os.execv(sys.executable, [sys.executable, "-m", "agents"])


@topics.command("apply")
def apply(json: AsJson = False) -> None:
    """Create missing topics and set configurations that differ; partition counts are never changed."""

    def work() -> int:
        import asyncio

        from pipeline.settings import load_settings
        from pipeline.topics import Topics

        async def go() -> list[str]:
            async with Topics(load_settings()) as admin:
                return await admin.apply()

        done = asyncio.run(go())
        if json:
            emit_json({"done": done})
        else:
            for line in done or ["topics are as they should be"]:
                emit(line)
        return Exit.OK

    guarded(work)


@topics.command("diff")
def diff(json: AsJson = False) -> None:
    """What differs between the broker and the topic table; exit 3 when something does."""

    def work() -> int:
        import asyncio

        from pipeline.settings import load_settings
        from pipeline.topics import Difference, Topics

        async def go() -> list[Difference]:
            async with Topics(load_settings()) as admin:
                return await admin.diff()

        found = asyncio.run(go())
        if json:
            emit_json(
                [
                    {
                        "topic": d.topic,
                        "what": d.what,
                        "wanted": d.wanted,
                        "found": d.found,
                        "wrong": d.wrong,
                        "fix": d.fix,
                    }
                    for d in found
                ]
            )
        else:
            for difference in found:
                emit(f"{difference}: {difference.fix}")
            note(f"{len(found)} differences")
        return Exit.DIFFERENCE if found else Exit.OK

    guarded(work)


@app.command()
def migrate(
    unlock: Annotated[bool, typer.Option(help="take the lock of a migration that was killed")] = False,
    json: AsJson = False,
) -> None:
    """Apply the numbered SQL files that ClickHouse does not have yet."""

    def work() -> int:
        from pipeline.clickhouse import ClickHouse
        from pipeline.customers.registry import DEFAULT_PATH
        from pipeline.customers.unit_rows import write_units
        from pipeline.customers.watcher import read_registry
        from pipeline.ledger.migrate import migrate as run
        from pipeline.scores.defined import definitions_of, write_definitions
        from pipeline.settings import load_settings

        settings = load_settings()
        definitions = definitions_of(settings)
        client = ClickHouse(settings)
        done = [f"{m.number:04d}_{m.name}" for m in run(client, settings, unlock=unlock)]
        if write_definitions(client, definitions):
            done.append("definitions of scores")
        if write_units(client, read_registry(settings.registry or DEFAULT_PATH).units):
            done.append("units of the registry")
        if json:
            emit_json({"applied": done})
        else:
            for name in done or ["nothing to do"]:
                emit(name)
        return Exit.OK

    guarded(work)


@offsets.command("reset")
def reset(topic: Annotated[str, typer.Option(help="plain name: touchpoints, feedback, history or profiles")]) -> None:
    """Begin a new epoch: the topic was deleted and made again, its offsets start anew; the old epoch's rows stay."""

    def work() -> int:
        from pipeline.clickhouse import ClickHouse
        from pipeline.ledger.epochs import begin_next
        from pipeline.settings import load_settings

        settings = load_settings()
        epoch = begin_next(ClickHouse(settings), settings, topic)
        emit(f"{topic}: epoch {epoch} begins; restart the workers")
        return Exit.OK

    guarded(work)


@app.command()
def release(
    topic: Annotated[str, typer.Option(help="plain name of the topic")],
    partition: Annotated[int, typer.Option(min=0)],
) -> None:
    """Let a partition go on that stands still because too many of its events were bad."""

    def work() -> int:
        from pipeline.clickhouse import ClickHouse
        from pipeline.ledger.requests import ask
        from pipeline.settings import load_settings
        from pipeline.slices import Partition

        ask(ClickHouse(load_settings()), Partition(topic, partition), "release")
        emit(f"{topic}[{partition}]: its owner releases it within a few seconds")
        return Exit.OK

    guarded(work)


@config.command("show")
def show(
    redacted: Annotated[bool, typer.Option("--redacted", help="the only way there is: secrets are never shown")] = True,
    json: AsJson = False,
) -> None:
    """All settings with their values; of a secret only whether it is set."""

    def work() -> int:
        from pipeline.settings import load_settings

        shown = load_settings().redacted()
        if json:
            emit_json(shown)
        else:
            for name, value in shown.items():
                emit(f"TOUCHLINE_{name.upper()}={value}")
        return Exit.OK

    guarded(work)


@config.command("check")
def check() -> None:
    """Whether the settings are complete and hang together; every mistake at once."""

    def work() -> int:
        from pipeline.alerts.routing import read_routes
        from pipeline.customers.registry import DEFAULT_PATH
        from pipeline.customers.watcher import read_registry
        from pipeline.intake.webhooks import load_options
        from pipeline.scores.defined import definitions_of
        from pipeline.settings import load_settings
        from pipeline.texts.declared import read_taxonomy

        settings = load_settings()
        settings.require_keys()
        read_taxonomy(settings.taxonomy)
        read_registry(settings.registry or DEFAULT_PATH)
        definitions_of(settings)
        read_routes(settings)
        load_options(settings.integrations)
        emit("settings are fine")
        return Exit.OK

    guarded(work)
