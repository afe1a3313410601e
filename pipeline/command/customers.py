"""`touchline merge` and `touchline erase`: two customers who are one, and one who asks to be forgotten."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.command.admin import AsJson, guarded
from pipeline.command.customer import pseudonym
from pipeline.command.output import Exit, emit, emit_json, note

if TYPE_CHECKING:
    from pipeline.clickhouse import ClickHouse
    from pipeline.ledger.identities import Identity
    from pipeline.settings import Settings

app = typer.Typer(rich_markup_mode=None, help="Customers who are one, or who ask to be forgotten.")

Look = Annotated[bool, typer.Option("--look", help="only show what would be done")]
Wait = Annotated[float, typer.Option(help="seconds to wait for the owners of the partitions", min=1)]


@app.command("merge")
def merge(
    who: Annotated[str, typer.Argument(metavar="ID", help="the customer that is another one: id or pseudonym")],
    into: Annotated[str, typer.Argument(metavar="INTO", help="the customer that both are from now on")],
    look: Look = False,
    wait: Wait = 600.0,
    json: AsJson = False,
) -> None:
    """Make two customers one: what the first did and said becomes the other's, with the other's segments as of then.

    Counts stay; segments and one voice per customer change, with the reason `merged`. What comes under the first id
    later stands for itself: merge again, or send one id. Exit codes: 0 done, 2 usage, 4 no worker runs.
    """

    def work() -> int:
        from pipeline.clickhouse import ClickHouse
        from pipeline.errors import SettingsError
        from pipeline.ledger.identities import MERGE, body_of, partitions_of
        from pipeline.settings import load_settings

        settings = load_settings()
        one, other = _named(who, settings), _named(into, settings)
        if one == other:
            raise SettingsError("touchline merge: both names are of the same customer")
        client = ClickHouse(settings)
        places = partitions_of(client, one).rows()
        rows = sum(place[3] for place in places)
        if places and not look:
            _ask(settings, client, MERGE, body_of(one, other), places, wait)
        found = {"kind": MERGE, "rows": rows, "partitions": len(places), "done": bool(places) and not look}
        said = "are the other's now" if found["done"] else "would be the other's; nothing was changed"
        line = f"{rows} events {said}" if rows else "nothing is known of the first customer: nothing to do"
        emit_json(found) if json else emit(line)
        return Exit.OK

    guarded(work)


@app.command("erase")
def erase(
    who: Annotated[str, typer.Argument(metavar="ID", help="the customer: id or pseudonym")],
    look: Look = False,
    wait: Wait = 600.0,
    json: AsJson = False,
) -> None:
    """Forget a customer: events become nobody's and still count, texts and profile are deleted; says how many.

    Kafka keeps what it was sent until the retention of its topics ends. May be run again. Exit codes: 0 done, 2 usage,
    4 no worker runs, or something did not answer in time.
    """

    def work() -> int:
        from pipeline.clickhouse import ClickHouse
        from pipeline.ledger.identities import ERASE, body_of, forget, partitions_of, profiles_of
        from pipeline.settings import load_settings

        settings = load_settings()
        one = _named(who, settings)
        client = ClickHouse(settings)
        places, profiles = partitions_of(client, one).rows(), profiles_of(client, one)
        found: dict[str, Any] = {"kind": ERASE, "rows": sum(place[3] for place in places), "done": not look}
        if not look:
            if profiles:
                _take_back(settings, client, who, one, wait)
            if places:
                _ask(settings, client, ERASE, body_of(one), places, wait)
            found["deleted"] = forget(client, one)
        if json:
            emit_json(found)
            return Exit.OK
        for line in lines(found, profiles):
            emit(line)
        return Exit.OK

    guarded(work)


def lines(found: dict[str, Any], profiles: int) -> list[str]:
    """What was erased, for people: the receipt."""
    if not found["done"]:
        return [f"{found['rows']} events and {profiles} rows of the profile would be erased; nothing was changed"]
    deleted = ", ".join(f"{n} of {table}" for table, n in found["deleted"].items())
    return [
        f"{found['rows']} events are nobody's now and still count",
        f"rows deleted: {deleted}",
        "Kafka keeps the events as they were sent until the retention of its topics ends",
    ]


def _named(identity: str, settings: Settings) -> Identity:
    from pipeline.errors import SettingsError, UsageError

    try:
        return pseudonym(identity, settings)
    except UsageError as error:
        raise SettingsError(str(error)) from None


def _ask(
    settings: Settings, client: ClickHouse, kind: str, body: str, places: list[tuple[Any, ...]], wait: float
) -> None:
    """Lets the owners of the customer's partitions rewrite the rows."""
    from pipeline.ledger.requests import ask_and_wait
    from pipeline.slices import Partition

    _need_workers(settings)
    note(f"the owners of {len(places)} partitions rewrite {sum(place[3] for place in places)} rows")
    partitions = [Partition(place[0], place[2]) for place in places]
    ask_and_wait(client, partitions, kind, wait, body, [place[1] for place in places])


def _need_workers(settings: Settings) -> None:
    import asyncio

    from pipeline.errors import Unavailable
    from pipeline.ledger.rebuild import members

    if not asyncio.run(members(settings)):
        raise Unavailable("no worker runs, and only the owner of a partition rewrites it: start `touchline worker`")


def _take_back(settings: Settings, client: ClickHouse, who: str, one: Identity, wait: float) -> None:
    """The profile goes from the topic and out of the workers' memory; returns when the table has seen it."""
    import asyncio
    import time

    from pipeline.customers.pseudonyms import written
    from pipeline.errors import SettingsError, Unavailable
    from pipeline.intake.producing import Producer, is_pseudonym
    from pipeline.ledger.identities import is_taken_back

    if settings.customer_form == "plain" and is_pseudonym(who):
        raise SettingsError("the topic `profiles` is keyed by plain ids here: name the customer by the plain id")
    key = written(*one) if settings.customer_form == "pseudonym" else who
    _need_workers(settings)

    async def send() -> None:
        async with Producer(settings) as producer:
            await producer.take_back(key)

    asyncio.run(send())
    deadline = time.monotonic() + wait
    while not is_taken_back(client, one):
        if time.monotonic() > deadline:
            raise Unavailable(f"no worker took the profile back within {wait:.0f} s: see /readyz, then run it again")
        time.sleep(0.5)
