"""`touchline import`: a file becomes history, mapped by options, a TOML file or a guess that a person has seen."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.command.output import note
from pipeline.command.telling import exits, finish, watched
from pipeline.errors import UsageError

if TYPE_CHECKING:
    from pipeline.intake.feeding import Position, TableImport
    from pipeline.intake.mappings import Mapping
    from pipeline.intake.sources import Layout
    from pipeline.intake.verdicts import Tally

#: Rows looked at for a guess.
_GUESSED_FROM = 200

AsJson = Annotated[bool, typer.Option("--json", help="one JSON document a row and a summary, on standard output")]
Mapped = Annotated[list[str], typer.Option("--map", help="field=column, or field==constant for all rows")]


def import_(
    file: Annotated[Path, typer.Argument(help="CSV, NDJSON (.ndjson, .jsonl) or Parquet")],
    mapping: Mapped = [],  # noqa: B006
    mapped_by: Annotated[Path | None, typer.Option("--mapping", help="a TOML file that says what --map would")] = None,
    known_as: Annotated[str, typer.Option("--as", help="an export we know, e.g. trustpilot; see docs/files.md")] = "",
    time_column: Annotated[str, typer.Option("--time", help="the column with the event's time")] = "",
    at: Annotated[str, typer.Option(help="one time for all rows, ISO 8601 with zone")] = "",
    zone: Annotated[str, typer.Option(help="zone of times without one, e.g. Europe/Berlin")] = "",
    time_format: Annotated[str, typer.Option(help="strptime format, e.g. '%d.%m.%Y %H:%M'; or unix, 'unix ms'")] = "",
    day_first: Annotated[bool, typer.Option("--day-first", help="03.04.2026 is the third of April")] = False,
    month_first: Annotated[bool, typer.Option("--month-first", help="3/4/2026 is the fourth of March")] = False,
    decimal_comma: Annotated[bool, typer.Option("--decimal-comma", help="1.234,50 is a number")] = False,
    separator: Annotated[str, typer.Option(help="one character, or tab; else read off the first line")] = "",
    columns: Annotated[str, typer.Option(help="names of the columns, a,b,c, where the file has no header")] = "",
    quote: Annotated[str, typer.Option(help="quote character; none for files that do not quote")] = "",
    encoding: Annotated[str, typer.Option(help="e.g. latin-1; else UTF-8, or UTF-16 by its mark")] = "",
    form: Annotated[str, typer.Option("--format", help="csv, ndjson or parquet; else by the file's name")] = "",
    live: Annotated[bool, typer.Option(help="to the live topics: may alert, times of the last 30 days only")] = False,
    again: Annotated[bool, typer.Option(help="from the first row, whatever earlier runs sent")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="take the guessed mapping without asking")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="check only, send nothing")] = False,
    json: AsJson = False,
) -> None:
    """Import a table as quiet history (no alerts). A killed import goes on where it was; doubles never count.

    Without --map, --mapping or --as the mapping is guessed from the columns' names, shown, and used when you agree.
    """
    with exits("import"):
        from pipeline.intake.mappings import FOLDER, Mapping, known, load, of_options
        from pipeline.intake.moments import DAY_FIRST, MONTH_FIRST

        if day_first and month_first:
            raise UsageError("--day-first and --month-first exclude each other")
        written = DAY_FIRST if day_first else MONTH_FIRST if month_first else time_format
        said = of_options(mapping).over(
            Mapping(time=time_column, at=at, zone=zone, form=written, decimal="comma" if decimal_comma else "")
        )
        if known_as and known_as not in known():
            _documents(file, known_as, (live, again, dry_run), json)
            return
        paths = [FOLDER / f"{known_as}.toml"] if known_as else []
        for path in [*paths, *([mapped_by] if mapped_by else [])]:
            said = said.over(load(path))
        layout = _layout(file, said, (separator, quote, encoding, form, columns))
        if not said.columns:
            said = _guessed(file, layout, said, agreed=yes)
        said = _asked(file, layout, said)
        _run(file, layout, said, (live, again, dry_run), json)


def _run(file: Path, layout: Layout, said: Mapping, how: tuple[bool, bool, bool], json: bool) -> None:
    from pipeline.intake.feeding import TableImport
    from pipeline.settings import load_settings

    live, again, dry_run = how
    table = TableImport(file, layout, said.plan(), load_settings().state_dir)
    topic = ("feedback" if table.plan.record.__name__ == "Feedback" else "touchpoints") if live else "history"
    finish(asyncio.run(_import(table, topic, (again, dry_run), json)), json)


async def _import(table: TableImport, topic: str, how: tuple[bool, bool], json: bool) -> Tally:
    from pipeline.intake.feeding import Target
    from pipeline.intake.producing import Producer, pseudonyms_of
    from pipeline.settings import load_settings

    again, dry_run = how
    settings = load_settings()
    pseudonyms = pseudonyms_of(settings)
    before = _earlier(table.position(topic), (again, dry_run))
    with watched(json, table.rows_about(), before.rows) as watch:
        if dry_run:
            return await table.run(Target(None, topic, pseudonyms), before, watch)
        async with Producer(settings) as producer:
            return await table.run(Target(producer, topic, pseudonyms), before, watch)


def _earlier(position: Position, how: tuple[bool, bool]) -> Tally:
    """What earlier runs have sent, unless it is to be sent or looked at again."""
    from pipeline.intake.verdicts import Tally

    again, dry_run = how
    before = None if again or dry_run else position.read()
    if before is None:
        return Tally()
    note(f"earlier runs went through {before.rows:,} rows; going on after them (--again begins anew)")
    return before


def _documents(file: Path, name: str, how: tuple[bool, bool, bool], json: bool) -> None:
    """A file of a tool's own JSON: one document, or one a line, mapped as its webhook would be."""
    from pipeline.intake.feeding import Position, Target, digest_of, feed_events
    from pipeline.intake.integrations import integrations
    from pipeline.intake.integrations.documents import documents_about, events_in
    from pipeline.intake.mappings import known
    from pipeline.intake.producing import Producer, pseudonyms_of
    from pipeline.intake.webhooks import load_options, options_of
    from pipeline.settings import load_settings

    if name not in integrations():
        raise UsageError(f"--as {name}: known are {', '.join([*known(), *sorted(integrations())])}")
    settings = load_settings()
    live, again, dry_run = how
    options = options_of(load_options(settings.integrations), name, settings.unknown_fields)
    events = events_in(file, integrations()[name], options)
    topic, pseudonyms = None if live else "history", pseudonyms_of(settings)
    said = [options.fields, options.questions, options.touchpoints, options.unknown]
    position = Position(settings.state_dir, [name, digest_of(file), topic, settings.topic_prefix, *said])
    before = _earlier(position, (again, dry_run))

    async def go() -> Tally:
        with watched(json, documents_about(file), before.rows) as watch:
            if dry_run:
                return await feed_events(Target(None, topic, pseudonyms), events, watch)
            async with Producer(settings) as producer:
                return await feed_events(Target(producer, topic, pseudonyms), events, watch, before, position)

    finish(asyncio.run(go()), json)


def _layout(file: Path, said: Mapping, options: tuple[str, str, str, str, str]) -> Layout:
    from pipeline.intake.sources import Layout, layout_of

    separator, quote, encoding, form, columns = options
    separator, quote, encoding = separator or said.separator, quote or said.quote or '"', encoding or said.encoding
    if form not in ("", "csv", "ndjson", "parquet"):
        raise UsageError(f"--format {form}: csv, ndjson or parquet")
    given = Layout(
        separator="\t" if separator in ("tab", "\\t") else separator,
        columns=tuple(columns.split(",")) if columns else (),
        quote="" if quote == "none" else quote,
        encoding=encoding,
        form=form,
    )
    if len(given.separator) > 1 or len(given.quote) > 1:
        raise UsageError("--separator is one character or `tab`, --quote one character or `none`")
    return layout_of(file, given)


def _guessed(file: Path, layout: Layout, said: Mapping, *, agreed: bool) -> Mapping:
    """The mapping with what the columns' names tell, once a person has seen it or said --yes."""
    from itertools import islice

    from pipeline.intake.guessing import guessed
    from pipeline.intake.mappings import of_guess
    from pipeline.intake.sources import header_of, rows_of

    header = header_of(file, layout)
    rows = list(islice(rows_of(file, layout), _GUESSED_FROM))
    found = said.over(of_guess(guessed(header, rows)))
    note(f"the columns of {file.name} look like this:\n\n{found.text()}\n")
    if not found.columns:
        raise UsageError(f"nothing in {', '.join(header)} is known; say --map field=column")
    if not agreed:
        if not sys.stdin.isatty():
            raise UsageError("nobody to ask here: add --yes, or keep that in a file and say --mapping FILE")
        typer.confirm("import it like this?", abort=True, err=True)
    return found


def _asked(file: Path, layout: Layout, said: Mapping) -> Mapping:
    """The mapping with the column of the time and its zone, asked for where a person is there and did not say."""
    from dataclasses import replace
    from itertools import islice

    from pipeline.intake.moments import DAY_FIRST, MONTH_FIRST, looks_written, moment_of
    from pipeline.intake.sources import header_of, rows_of

    if said.at or not sys.stdin.isatty():
        return said
    header = header_of(file, layout)
    if not said.time:
        said = replace(said, time=typer.prompt(f"which column is the time? {', '.join(header)}", err=True))
    place = header.index(said.time) if said.time in header else -1
    first = next((row[place] for row in islice(rows_of(file, layout), _GUESSED_FROM) if row and row[place]), "")
    if place >= 0 and not said.form and looks_written(first):
        day = typer.confirm(f"{first}: does the day stand first?", err=True)
        said = replace(said, form=DAY_FIRST if day else MONTH_FIRST)
    moment = moment_of(first, said.form)
    if not said.zone and moment is not None and moment.tzinfo is None:
        said = replace(said, zone=typer.prompt(f"{first}: in which zone, such as Europe/Berlin or UTC?", err=True))
    return said
