"""`touchline schema`: the JSON Schemas and the AsyncAPI document of our records, written out or checked for drift."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipeline.command.output import Exit, emit, emit_json, note

app = typer.Typer(
    rich_markup_mode=None,
    help="The contracts of the topics: JSON Schemas and the AsyncAPI document.",
    no_args_is_help=True,
)

_Json = Annotated[bool, typer.Option("--json", help="One JSON document.")]


@app.command("export")
def export(
    folder: Annotated[Path, typer.Argument(help="Where to write; made when it is not there.")] = Path(
        "touchline-schemas"
    ),
    as_json: _Json = False,
) -> None:
    """Write json/<record>.v1.schema.json and asyncapi.json under a folder; prints each path."""
    from schemas.generate import write

    try:
        written = [str(path) for path in write(folder)]
    except OSError as error:
        note(f"cannot write to {folder}: {error.strerror}; name a folder that you may write to")
        raise typer.Exit(Exit.FAILURE) from None
    if as_json:
        emit_json({"written": written})
        return
    for path in written:
        emit(path)


@app.command("check")
def check(
    folder: Annotated[Path | None, typer.Argument(help="The folder to check; by default the committed files.")] = None,
    as_json: _Json = False,
) -> None:
    """Compare the generated files with the records, and the records with what was published.

    A folder of an earlier `schema export` is compared for what would break whoever was given it, too.
    Exit codes: 0 the same or only added to, 3 drift or a break.
    """
    from schemas.compatibility import PUBLISHED, broken
    from schemas.generate import HERE, drift

    place = HERE if folder is None else folder
    lines = drift(place)
    wrong = broken(PUBLISHED if folder is None else folder / "json")
    if as_json:
        emit_json({"folder": str(place), "drift": lines, "broken": wrong})
    else:
        for line in [*lines, *wrong]:
            emit(line)
    if wrong:
        note(f"{len(wrong)} promise(s) of a published schema broken: add fields with a default, leave the others alone")
    if lines:
        fix = "python -m schemas.generate" if folder is None else f"touchline schema export {folder}"
        note(f"{len(lines)} generated file(s) under {place} differ from the records; run: {fix}")
    if lines or wrong:
        raise typer.Exit(Exit.DIFFERENCE)
    note(f"{place}: all generated files match the records")
