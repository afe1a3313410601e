"""`touchline deliveries`: what webhooks brought in the last seven days, and mapping it anew."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.command.admin import AsJson, guarded
from pipeline.command.output import Exit, emit, emit_json, note
from pipeline.errors import UsageError
from pipeline.moments import iso

if TYPE_CHECKING:
    from pipeline.clickhouse import ClickHouse
    from pipeline.intake.admission import Judged
    from pipeline.settings import Settings

app = typer.Typer(rich_markup_mode=None, no_args_is_help=True)
deliveries = typer.Typer(rich_markup_mode=None, help="Bodies of webhooks, kept for seven days.", no_args_is_help=True)
app.add_typer(deliveries, name="deliveries")

#: Seven days are all there is.
_DAYS = 7
#: Deliveries looked at by one command.
_MOST = 100_000

Named = Annotated[str, typer.Option("--integration", help="only of this one")]
Rejected = Annotated[bool, typer.Option("--rejected", help="only those with a refused event")]


@deliveries.command("list")
def list_(
    integration: Named = "",
    rejected: Rejected = False,
    limit: Annotated[int, typer.Option(min=1, max=_MOST)] = 50,
    json: AsJson = False,
) -> None:
    """The newest deliveries: when, whose, how many events, how many refused and why."""

    def work() -> int:
        from pipeline.clickhouse import ClickHouse
        from pipeline.intake.deliveries import listed
        from pipeline.settings import load_settings

        rows = listed(ClickHouse(load_settings()), integration, _since(), rejected=rejected, limit=limit)
        for row in rows:
            row["received"] = iso(row.pop("received_ms"))
        if json:
            emit_json(rows)
            return Exit.OK
        for row in rows:
            bad = f", {row['rejected']} refused ({row['reason']})" if row["rejected"] else ""
            emit(
                f"{row['integration']}/{row['delivery']}  {row['received']}  {row['producer']}"
                f"  {row['events']} events{bad}"
            )
        note(f"{len(rows)} shown")
        return Exit.OK

    guarded(work)


@deliveries.command("remap")
def remap(
    integration: Annotated[str, typer.Option("--integration", help="whose deliveries")],
    rejected: Rejected = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="say what would be done, send nothing")] = False,
    json: AsJson = False,
) -> None:
    """Map kept bodies anew, with the mapping as it is now, and send what has not been counted yet.

    Events older than a day go to `history`. Running it twice counts nothing twice.
    """

    def work() -> int:
        from pipeline.clickhouse import ClickHouse
        from pipeline.intake.integrations import integrations
        from pipeline.settings import load_settings

        if integration not in integrations():
            note(f"touchline deliveries: no integration {integration}; there are {', '.join(sorted(integrations()))}")
            return Exit.USAGE
        settings = load_settings()
        settings.require_keys()
        client = ClickHouse(settings)
        fine, refused = _mapped(client, settings, integration, rejected=rejected)
        new = _uncounted(client, fine)
        if new and not dry_run:
            asyncio.run(_send(settings, new))
        told = {"mapped": len(fine), "refused": refused, "counted_already": len(fine) - len(new), "sent": len(new)}
        if json:
            emit_json(told | {"dry_run": dry_run})
        else:
            note(
                f"{told['mapped']:,} events mapped, {refused:,} refused, {told['counted_already']:,} counted already,"
                f" {len(new):,} {'would be sent' if dry_run else 'sent'}"
            )
        return Exit.OK

    guarded(work)


def _mapped(client: ClickHouse, settings: Settings, name: str, *, rejected: bool) -> tuple[dict[str, Judged], int]:
    """Events of the kept bodies by id, judged as the gateway would at the time they came; how many are refused."""
    from pipeline.access import store
    from pipeline.access.keys import Grant, Right
    from pipeline.arrival.rules import ArrivalRules
    from pipeline.customers.sealing import Sealer
    from pipeline.intake.admission import Rules
    from pipeline.intake.deliveries import listed, opened
    from pipeline.intake.integrations import integrations
    from pipeline.intake.integrations.receiving import Unread
    from pipeline.intake.integrations.receiving import remap as mapped_anew
    from pipeline.intake.producing import pseudonyms_of
    from pipeline.intake.webhooks import judged_of, load_options, options_of

    sealer = Sealer(settings.seal_key_id, settings.seal_bytes)
    rules = Rules(ArrivalRules(settings.customer_form), pseudonyms_of(settings), settings.unknown_fields)
    options = options_of(load_options(settings.integrations), name, settings.unknown_fields)
    grants = store.grants(client)
    fine: dict[str, Judged] = {}
    refused = 0
    for row in listed(client, name, _since(), rejected=rejected, limit=_MOST):
        headers, body = opened(client, sealer, name, row["delivery"])
        found = mapped_anew(integrations()[name], headers, body, options)
        if isinstance(found, Unread):
            refused += 1
            continue
        producer = row["producer"] or name
        grant = grants.get(producer, Grant("", producer, frozenset({Right.WRITE})))  # its scope holds here too
        for each in judged_of(found, grant, rules, row["received_ms"]):
            if each.rejection is None:
                fine[each.event_id] = each
            else:
                refused += 1
    return fine, refused


def _uncounted(client: ClickHouse, fine: dict[str, Judged]) -> list[Judged]:
    """Those whose id the ledger has not counted."""
    from pipeline.arrival.fingerprints import text_fingerprints
    from pipeline.intake.rejects import counted_ids

    hashes = dict(zip(fine, text_fingerprints(list(fine)).tolist(), strict=True))
    counted = counted_ids(client, list(hashes.values()))
    return [each for name, each in fine.items() if hashes[name] not in counted]


async def _send(settings: Settings, events: list[Judged]) -> None:
    from pipeline.intake.producing import Producer
    from pipeline.intake.replaying import target_of
    from schemas.codec import decode

    now_ms = int(datetime.now(UTC).timestamp() * 1000)
    runs: dict[str, list[Judged]] = {}
    for each in events:
        event = decode(each.topic, [each.value], [()]).events[0]
        if event is None:
            raise UsageError(f"{each.event_id}: judged as fine and cannot be read: a defect, please report it")
        occurred_ms = int(event.occurred_at.timestamp() * 1000)
        runs.setdefault(target_of(settings, each.topic, occurred_ms, now_ms), []).append(each)
    async with Producer(settings) as producer:
        for topic, run in runs.items():
            await producer.send_many(topic, [each.key for each in run], [each.value for each in run])


def _since() -> int:
    return int((datetime.now(UTC).timestamp() - _DAYS * 86_400) * 1000)
