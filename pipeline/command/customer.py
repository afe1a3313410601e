"""`touchline customer`: one customer's events across channels, the experience index explained, the last scores."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.command.guarding import answering
from pipeline.command.journeys import connected, whole_days
from pipeline.command.output import emit, emit_json, note
from pipeline.command.tables import columns, csv_table
from pipeline.command.watching import Lasts, Watch, repeated
from pipeline.views import flat

if TYPE_CHECKING:
    from pipeline.journeys.customer import Customer
    from pipeline.settings import Settings

app = typer.Typer(rich_markup_mode=None, help="Read one customer.", no_args_is_help=False)


@app.command("customer")
def customer(
    identity: Annotated[str, typer.Argument(metavar="ID", help="A plain id, or a pseudonym: k1:00c0ffee00c0ffee.")],
    limit: Annotated[int, typer.Option(help="Events to show, the newest ones.")] = 50,
    back: Annotated[str, typer.Option(help="How far back is looked.")] = "365d",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document with every field.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="The timeline as comma-separated values.")] = False,
    watch: Watch = False,
    lasts: Lasts = 1e9,
) -> None:
    """Read one customer: timeline across channels, experience index point by point, last scores.

    A plain id is made a pseudonym with the deployment's key here and goes no further. Exit codes: 0 read (also when
    nothing is known), 2 usage, 4 ClickHouse did not answer.
    """
    from pipeline.journeys.customer import CustomerQuestion, read_customer, read_definition
    from pipeline.settings import load_settings

    with answering("customer", as_json, as_csv):
        settings = load_settings()
        key_id, number = pseudonym(identity, settings)
        definition, days = read_definition(settings.experience_index), whole_days(back)

        def look() -> None:
            now_ms = int(datetime.now(UTC).timestamp() * 1000)
            with connected(settings) as client:
                found = read_customer(client, CustomerQuestion(key_id, number, now_ms, days, limit), definition)
            if as_json:
                emit_json(found.document())
            elif as_csv:
                csv_table(*flat.customer(found))
            else:
                _show(found)

        repeated(look, lasts) if watch else look()


def pseudonym(identity: str, settings: Settings) -> tuple[int, int]:
    """Key and number of a customer named by a plain id or by the text form of a pseudonym."""
    import polars as pl

    from pipeline.customers.pseudonyms import Pseudonyms, is_form

    if not is_form(pl.Series([identity], dtype=pl.String))[0]:
        settings.require_keys()
    return Pseudonyms(settings.pseudonym_key_id, settings.pseudonym_bytes).named(identity)


def _show(found: Customer) -> None:
    document = found.document()
    if not found.events:
        note(f"nothing is known of {document['customer']} in the last {found.question.days} days")
        return
    profile = document["profile"]
    about = f", segments {', '.join(profile['segments']) or 'none'}" if profile else ""
    emit(
        f"{document['customer']}: {found.events:,} events{about}" + (f"; {found.older:,} older" if found.older else "")
    )
    index = document["index"]
    for name in ("transactions", "relationship"):
        part = index[name]
        things = "experience adds up" if part["n"] == 1 else "experiences add up"
        sums = f"{part['points']:+.1f} of their own, {part['peak']:+.1f} for the peak, {part['end']:+.1f} for the end"
        emit(
            f"{name}: {part['n']:,} {things} to {part['value']:+.1f} points ({sums})"
            if part["n"]
            else f"{name}: none yet"
        )
    emit(
        f"(an account of points and no score: index {index['definition']} v{index['version']}, an experience "
        f"is worth -100 to +100 points and halves every {index['half_life_days']:g} days)"
    )
    for score in found.last_scores:
        emit(f"last {score['metric']} ({score['kind']}): {score['answer']} of {score['scale']}, {_minute(score['at'])}")
    emit("")
    rows = [
        [_minute(entry["at"]), entry["channel"], entry["touchpoint"] or "-", _what(entry), _worth(entry)]
        for entry in found.timeline
    ]
    if rows:
        columns(("when (UTC)", "channel", "touchpoint", "what", "points = worth x weight"), rows, left=4)


def _minute(iso: str) -> str:
    return iso[:16].replace("T", " ")


def _what(entry: Mapping[str, Any]) -> str:
    if entry["kind"] == "touchpoint":
        spent = f", {entry['value']:.2f} {entry['currency']}".rstrip() if entry["value"] else ""
        return f"{entry['outcome']}{spent}"
    words = [f"{entry['metric']} {entry['answer']} of {entry['scale']}" if entry["answer"] is not None else "text"]
    words += [entry["label"]] if entry["label"] else []
    words += [entry["disposition"]] if entry["disposition"] != "aggregated" else []
    return ", ".join(words)


def _worth(entry: Mapping[str, Any]) -> str:
    if "points" not in entry:
        return ""
    marks = "".join(f" {word}" for word in ("peak", "end") if entry[f"is_{word}"])
    return f"{entry['points']:+.1f} = {100 * entry['worth']:+.0f} x {entry['weight']:.3f}{marks}"
