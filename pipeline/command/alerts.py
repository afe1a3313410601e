"""`touchline alerts`: what fires, its story, and what a person can do about it; each human step leaves an audit row."""

from __future__ import annotations

import os
import pwd
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.command.admin import AsJson, guarded
from pipeline.command.output import Exit, emit, emit_json, note
from pipeline.errors import UsageError

if TYPE_CHECKING:
    from pipeline.alerts.routes import Routes
    from pipeline.clickhouse import ClickHouse

app = typer.Typer(rich_markup_mode=None, no_args_is_help=True, help="What fires and who is called.")

#: The owner of the book looks for orders each second; longer means that no worker runs.
_WAIT_S = 15.0

By = Annotated[str, typer.Option("--by", help="Who you are; stands in the audit row. Your login name by default.")]
Comment = Annotated[str, typer.Option("--comment", help="Why; shown to everybody.")]
Id = Annotated[str, typer.Argument(help="Incident or alert, as `alerts list` shows it; the first characters will do.")]


@app.command("list")
def list_(
    everything: Annotated[bool, typer.Option("--all", help="Also what has ended within a day, and silences.")] = False,
    json: AsJson = False,
) -> None:
    """Incidents that are open, worst first."""

    def work(client: ClickHouse) -> int:
        from pipeline.alerts.entries import rank
        from pipeline.alerts.reading import incident_document, read_book

        book = read_book(client)
        found = [incident for incident in book.incidents.values() if everything or incident.open]
        found.sort(key=lambda incident: (not incident.open, -rank(incident.severity), incident.opened_ms))
        documents = [incident_document(book, incident) for incident in found]
        if json:
            emit_json(documents)
            return Exit.OK
        for document in documents:
            _overview(document)
        for silence in book.silences.values() if everything else ():
            said = " ".join(f"{m.name}{m.op}{m.value}" for m in silence.matchers)
            emit(f"silence {silence.id}  {said}  by {silence.by}: {silence.comment}")
        note(f"{len(documents)} incidents" + ("" if documents else ": nothing fires"))
        return Exit.OK

    _with_client(work)


@app.command("show")
def show(name: Id, json: AsJson = False) -> None:
    """One incident or alert: evidence and story, step by step."""

    def work(client: ClickHouse) -> int:
        import msgspec

        from pipeline.alerts.orders import incident_of
        from pipeline.alerts.reading import alert_document, history, incident_document, read_book, whole_id
        from pipeline.alerts.records import iso

        book = read_book(client)
        full = whole_id(book, name)
        incident, alert = incident_of(book, full), book.alerts.get(full)
        members = [book.alerts[each] for each in incident.members if each in book.alerts] if incident else []
        shown = [alert] if alert else members
        story = history(client, [a.id for a in shown] + ([incident.key] if incident and not alert else []))
        steps = [
            {"at": iso(s.at_ms), "kind": s.kind, "step": s.step, "by": s.by, "why": s.why, "revision": s.entry.revision}
            for s in story
            if s.step != "seen"
        ]
        if json:
            head = incident_document(book, incident) if incident and not alert else {}
            own = [alert_document(a) for a in shown]
            emit_json({**head, "alerts": own, "steps": msgspec.to_builtins(steps)})
            return Exit.OK
        if incident:
            _overview(incident_document(book, incident))
        for each in shown:
            _evidence(each)
        for step in steps:
            who = f" by {step['by']}" if step["by"] else ""
            why = f": {step['why']}" if step["why"] else ""
            emit(f"  {step['at']}  {step['kind']:<8} {step['step']}{who}{why}")
        return Exit.OK

    _with_client(work)


@app.command("ack")
def ack(name: Id, by: By = "", comment: Comment = "", json: AsJson = False) -> None:
    """Say that you take care of it: no repeats, nobody else is called; it goes on until it is over."""
    _ask("ack", name, by, {"comment": comment}, json)


@app.command("unack")
def unack(name: Id, by: By = "", json: AsJson = False) -> None:
    """Take an answer back: repeats and calls go on."""
    _ask("unack", name, by, {}, json)


@app.command("resolve")
def resolve(name: Id, by: By = "", comment: Comment = "", json: AsJson = False) -> None:
    """End it by hand; it stays ended until its detector was calm once, a day at most."""
    _ask("resolve", name, by, {"comment": comment}, json)


@app.command("silence")
def silence(
    matchers: Annotated[list[str], typer.Argument(help="name=value, !=, =~ pattern, !~ pattern; all must match.")],
    lasting: Annotated[str, typer.Option("--for", help="How long: 30m, 2h, 1d.")] = "2h",
    by: By = "",
    comment: Comment = "",
    json: AsJson = False,
) -> None:
    """Say nothing about alerts that match; their states move on, and what still fires afterwards is said."""

    def body(client: ClickHouse) -> dict[str, Any]:
        import msgspec

        from pipeline.alerts.silences import matcher
        from pipeline.command.typed import duration

        made = [msgspec.to_builtins(matcher(text)) for text in matchers]
        if not comment:
            raise UsageError("--comment is missing: others will want to know why it is silent")
        now = int(client.query("SELECT toUnixTimestamp64Milli(now64(3)) AS ms")["ms"][0])
        return {"matchers": made, "end_ms": now + duration(lasting) * 1000, "comment": comment}

    _order("silence", lambda client: "", by, body, json)


@app.command("unsilence")
def unsilence(
    name: Annotated[str, typer.Argument(help="The silence's id.")], by: By = "", json: AsJson = False
) -> None:
    """End a silence early."""
    _ask("unsilence", name, by, {}, json)


@app.command("enable")
def enable(
    receiver: Annotated[str, typer.Argument(help="Its name in the routes.")], by: By = "", json: AsJson = False
) -> None:
    """Let a receiver be tried again that was disabled because it said that it is gone (410)."""
    _order("enable", lambda client: receiver, by, lambda client: {}, json)


@app.command("orders")
def orders(json: AsJson = False) -> None:
    """The audit rows: who asked for what, when, and what became of it."""

    def work(client: ClickHouse) -> int:
        from pipeline.alerts.reading import orders as read
        from pipeline.alerts.records import iso

        rows = read(client)
        if json:
            emit_json(rows)
        for row in rows if not json else ():
            done = f"{iso(row['done_ms'])} {row['said']}" if row["done_ms"] else "waiting"
            emit(f"{iso(row['asked_ms'])}  {row['who']:<12} {row['kind']:<9} {row['target']:<28} {done}")
        return Exit.OK

    _with_client(work)


@app.command("test-route")
def try_route(
    route: Annotated[str, typer.Argument(help="A route's name.")] = "default",
    json: AsJson = False,
) -> None:
    """Send a message marked TEST to every receiver of a route, those of its ladder too; exit 1 when one fails."""

    def work() -> int:
        import asyncio

        from pipeline.alerts.routing import read_routes
        from pipeline.settings import load_settings

        routes = read_routes(load_settings())
        if route not in routes.routes:
            note(f"touchline alerts: there is no route {route!r}; there are {', '.join(sorted(routes.routes))}")
            return Exit.USAGE
        answers = asyncio.run(_tried(routes, route))
        if json:
            emit_json([{"receiver": name, "fate": fate, "said": said} for name, fate, said in answers])
        else:
            for name, fate, said in answers:
                emit(f"{name}: {fate} ({said})")
        return Exit.OK if all(fate == "sent" for _, fate, _ in answers) else Exit.FAILURE

    guarded(work)


async def _tried(routes: Routes, name: str) -> list[tuple[str, str, str]]:
    """Receiver, fate and answer of a test message, for all that the route can reach."""
    import time

    from pipeline.alerts.posting import Posting
    from pipeline.alerts.trying import trial

    route = routes.route(name)
    now_ms = int(time.time() * 1000)
    posting = Posting(routes.allowed_hosts, routes.link)
    try:
        found = []
        for each in dict.fromkeys((*route.receivers, *(n for level in route.ladder for n in level))):
            answer = await posting.deliver(routes.receivers[each], trial(each, route.name, now_ms), now_ms)
            found.append((each, answer.fate, answer.said))
        return found
    finally:
        await posting.close()


def _ask(kind: str, name: str, by: str, body: dict[str, Any], json: bool) -> None:
    """An order about an entry of the book."""

    def target(client: ClickHouse) -> str:
        from pipeline.alerts.reading import read_book, whole_id

        return whole_id(read_book(client), name)

    _order(kind, target, by, lambda client: body, json)


def _order(
    kind: str,
    target: Callable[[ClickHouse], str],
    by: str,
    body: Callable[[ClickHouse], dict[str, Any]],
    json: bool,
) -> None:
    """Leaves an order and waits for what the owner of the book answers."""

    def work(client: ClickHouse) -> int:
        from pipeline.alerts import asking

        order = asking.ask(client, kind, target(client), by or pwd.getpwuid(os.getuid()).pw_name, body(client))
        said = asking.answer(client, order, _WAIT_S)
        if json:
            emit_json({"order": order, "said": said})
        else:
            emit(said)
        return Exit.OK

    _with_client(work)


def _with_client(work: Callable[[ClickHouse], int]) -> None:
    def connected() -> int:
        from pipeline.clickhouse import ClickHouse
        from pipeline.settings import load_settings

        client = ClickHouse(load_settings())
        try:
            return work(client)
        except UsageError as error:
            note(f"touchline alerts: {error}")
            return Exit.USAGE
        finally:
            client.close()

    guarded(connected)


def _overview(document: dict[str, Any]) -> None:
    acked = f", acknowledged by {document['acked_by']}" if document["acked_by"] else ""
    level = f", level {document['level']}" if document["level"] else ""
    emit(f"{document['id']}  {document['severity']:<8} {document['state']:<9} {document['owner']}{acked}{level}")
    for alert in document["alerts"]:
        scope = ", ".join(f"{name} {value}" for name, value in alert["scope"].items()) or "everywhere"
        mute = " (silenced)" if alert["silenced"] else " (another speaks for it)" if alert["inhibited"] else ""
        emit(f"  {alert['id']}  {alert['state']:<9} {alert['rule']}: {alert['metric']} at {scope}{mute}")


def _evidence(alert: Any) -> None:
    from pipeline.alerts.entries import Part
    from pipeline.alerts.receivers.wording import about

    part = Part(
        id=alert.id,
        labels=alert.labels,
        state=alert.state,
        severity=alert.severity,
        finding=alert.evidence,
        now=alert.last.score,
        fired_ms=alert.fired_ms,
        resolved_ms=alert.resolved_ms,
        count=alert.count,
    )
    for line in about(part):
        emit(f"  {line}")
