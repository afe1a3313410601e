"""`touchline invitations`: may a customer be asked, what did they choose, how many answer."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.command.admin import AsJson, guarded
from pipeline.command.output import Exit, emit, emit_json, note
from pipeline.moments import iso

if TYPE_CHECKING:
    from pipeline.intake.inviting import Invitations

app = typer.Typer(rich_markup_mode=None, no_args_is_help=True)
invitations = typer.Typer(rich_markup_mode=None, help="One contact policy over all surveys.", no_args_is_help=True)
app.add_typer(invitations, name="invitations")

#: Under so many invitations a rate is not shown.
_FEW = 10
_BY = ("survey", "channel", "brand", "day")

Customer = Annotated[str, typer.Argument(help="the customer's id, as events carry it")]


@invitations.command("check")
def check(
    customer: Customer,
    survey: Annotated[str, typer.Option(help="name of the survey")],
    invitation: Annotated[str, typer.Option(help="name of this invitation; the same one gets the same answer")] = "",
    channel: Annotated[str, typer.Option(help="by which way it goes out")] = "",
    brand: Annotated[str, typer.Option()] = "default",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="only look, write nothing down")] = False,
    json: AsJson = False,
) -> None:
    """May this customer be invited? A yes is written down as an invitation. Exit codes: 0 yes, 3 no."""

    def work(book: Invitations) -> int:
        from pipeline.intake.inviting import Asked

        asked = Asked(customer, survey, invitation or uuid.uuid4().hex, channel, brand)
        found = book.ask(asked, _now(), only_look=dry_run)
        again = iso(found.again_ms) if found.again_ms else ""
        told = {"invitation": asked.invitation, "allowed": found.allowed, "reason": found.reason, "again": again}
        if json:
            emit_json(told)
        else:
            why = f"no: {found.reason}" + (f", again from {again}" if again else "")
            emit(f"yes, as invitation {asked.invitation}" if found.allowed else why)
        return Exit.OK if found.allowed else Exit.DIFFERENCE

    _with_book(work)


@invitations.command("choose")
def choose(customer: Customer, choice: Annotated[str, typer.Argument(help="consent, withdrawn or opt_out")]) -> None:
    """Write down what a customer chose; the last choice holds, over all surveys."""

    def work(book: Invitations) -> int:
        from pipeline.customers.contact import Choice

        if choice not in set(Choice):
            note(f"touchline invitations: {choice}: one of {', '.join(Choice)}")
            return Exit.USAGE
        book.choose(customer, Choice(choice), _now())
        return Exit.OK

    _with_book(work)


@invitations.command("bounced")
def bounced(customer: Customer, invitation: Annotated[str, typer.Argument(help="name of the invitation")]) -> None:
    """An invitation did not arrive: it does not count, and the customer may be asked anew."""

    def work(book: Invitations) -> int:
        if book.bounced(customer, invitation):
            return Exit.OK
        note("no such invitation of this customer")
        return Exit.FAILURE

    _with_book(work)


@invitations.command("rates")
def rates(
    by: Annotated[str, typer.Option(help="of survey, channel, brand, day; commas between")] = "survey",
    days: Annotated[int, typer.Option(min=1, max=400, help="invitations of so many days")] = 90,
    horizon: Annotated[int, typer.Option(min=1, max=90, help="days that an answer may take")] = 7,
    json: AsJson = False,
) -> None:
    """How many of those invited answered, by cohort, with a 95 % interval; the youngest are left out."""

    def work() -> int:
        from pipeline.clickhouse import ClickHouse
        from pipeline.intake.inviting import rates as read
        from pipeline.scores.intervals import wilson
        from pipeline.settings import load_settings

        names = [name.strip() for name in by.split(",") if name.strip()]
        if unknown := [name for name in names if name not in _BY]:
            note(f"touchline invitations: --by {','.join(unknown)}: it may be {', '.join(_BY)}")
            return Exit.USAGE
        now_ms = _now()
        rows = read(ClickHouse(load_settings()), names, now_ms - days * 86_400_000, horizon, now_ms)
        for row in rows:
            low, high = wilson(row["answered"], row["invited"])
            enough = row["invited"] >= _FEW
            row["rate"] = row["answered"] / row["invited"] if enough else None
            row["low"], row["high"] = (float(low), float(high)) if enough else (None, None)
            row["status"] = "ok" if enough else "insufficient"
        if json:
            emit_json(rows)
            return Exit.OK
        for row in rows:
            said = "  ".join(f"{row[name]:<16}" for name in names)
            rate = (
                f"{row['rate']:.1%} [{row['low']:.1%}, {row['high']:.1%}]"
                if row["rate"] is not None
                else "insufficient"
            )
            emit(f"{said}  {rate}  n = {row['invited']:,}")
        note(f"answers within {horizon} days; invitations of the last {horizon} days are not in it yet")
        return Exit.OK

    guarded(work)


def _with_book(work: Callable[[Invitations], int]) -> None:
    def go() -> int:
        from pipeline.clickhouse import ClickHouse
        from pipeline.customers.contact import Policy
        from pipeline.intake.inviting import Invitations
        from pipeline.settings import load_settings

        settings = load_settings()
        settings.require_keys()
        policy = Policy(settings.invite_quiet_days, settings.invite_in_a_year, settings.invite_consent)
        return int(work(Invitations(ClickHouse(settings), settings, policy)))

    guarded(go)


def _now() -> int:
    return int(datetime.now(UTC).timestamp() * 1000)
