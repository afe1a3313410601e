"""Alerts for programs [I/O]: the story of one, and what people do about it; each act leaves an audit row.

`GET /v1/alerts/{id}`, `GET /v1/alerts/orders`, `POST /v1/alerts/{id}/unack|resolve|unsilence`,
`POST /v1/alerts/silences`. A key sees and answers what lies within its brands, units and channels, nothing else.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import orjson
from aiohttp import web

from pipeline.alerts import asking
from pipeline.alerts.book import Book
from pipeline.alerts.entries import Alert
from pipeline.alerts.orders import incident_of
from pipeline.alerts.reading import alert_document, history, incident_document, orders, read_book, whole_id
from pipeline.alerts.records import iso
from pipeline.alerts.silences import matcher
from pipeline.clickhouse import ClickHouse
from pipeline.errors import UsageError
from pipeline.moments import duration
from pipeline.views.page.acting import act_of, person
from pipeline.views.page.answers import JSON
from pipeline.views.page.live import Live
from pipeline.views.page.view import Grant

#: The owner of the book looks for orders each second; nobody waits longer than this for the answer.
_WAIT_S: Final = 5.0
_LOOK_S: Final = 0.2
_LONGEST_COMMENT = 500
_ACTS: Final = ("unack", "resolve", "unsilence")

Handler = Callable[[web.Request, Grant], Awaitable[web.Response]]
Guarded = Callable[[Handler], Callable[[web.Request], Awaitable[web.StreamResponse]]]


@dataclass(frozen=True, slots=True)
class AlertApi:
    """The handlers; a Grant has been found for the request already."""

    live: Live

    def routes(self, guarded: Guarded) -> list[web.RouteDef]:
        """Its routes, behind what finds a Grant and answers errors."""
        return [
            web.get("/v1/alerts/orders", guarded(self._orders)),
            web.get("/v1/alerts/{id}", guarded(self._show)),
            web.post("/v1/alerts/silences", guarded(self._silence)),
            web.post(f"/v1/alerts/{{id}}/{{act:{'|'.join(_ACTS)}}}", guarded(self._act)),
        ]

    async def _show(self, request: web.Request, grant: Grant) -> web.Response:
        name = request.match_info["id"]
        found = await self.live.call(lambda client: _story(client, name, grant))
        return _unknown() if found is None else _said(200, found)

    async def _orders(self, _: web.Request, grant: Grant) -> web.Response:
        if grant.narrow:  # who asked for what concerns everybody
            return _said(403, {"error": "scope", "detail": f"the key {grant.name} sees only a part"})
        return _said(200, {"orders": await self.live.call(orders)})

    async def _act(self, request: web.Request, grant: Grant) -> web.Response:
        kind, name, given = request.match_info["act"], request.match_info["id"], await act_of(request)
        by = person(given, grant)
        if kind == "unsilence" and grant.narrow:
            return _said(403, {"error": "scope", "detail": f"the key {grant.name} sees only a part"})
        comment = str(given.get("comment", ""))[:_LONGEST_COMMENT]

        def ask(client: ClickHouse) -> str | None:
            book = read_book(client)
            target = _whole(book, name, grant)
            if target not in book.silences and not _sees(book, target, grant):
                return None
            return asking.ask(client, kind, target, by, {"comment": comment})

        order = await self.live.call(ask)
        return _unknown() if order is None else await self._answered(order)

    async def _silence(self, request: web.Request, grant: Grant) -> web.Response:
        given = await act_of(request)
        by = person(given, grant)
        texts, comment = given.get("matchers"), str(given.get("comment", ""))[:_LONGEST_COMMENT]
        if not isinstance(texts, list) or not texts or not all(isinstance(text, str) for text in texts):
            raise UsageError('`matchers` is a list like ["owner=logistics", "brand=acme"], all must match')
        if not comment:
            raise UsageError("`comment` is missing: others will want to know why it is silent")
        matchers = [matcher(text) for text in texts]
        exact = {each.name: each.value for each in matchers if each.op == "="}
        if not grant.sees(exact):
            return _said(403, {"error": "scope", "detail": f"the key {grant.name} may silence its own part only"})
        lasting = duration(str(given.get("for", "2h")))
        body = {
            "matchers": [msgspec.to_builtins(each) for each in matchers],
            "end_ms": int(time.time() * 1000) + lasting * 1000,
            "comment": comment,
        }
        return await self._answered(await self.live.call(lambda client: asking.ask(client, "silence", "", by, body)))

    async def _answered(self, order: str) -> web.Response:
        """200 with what the owner answered; 202 when it has not yet: the order stays and is carried out later."""
        deadline = asyncio.get_running_loop().time() + _WAIT_S
        while asyncio.get_running_loop().time() < deadline:
            said = await self.live.call(lambda client: asking.answered(client, order))
            if said is not None:
                return _said(200, {"order": order, "said": said})
            await asyncio.sleep(_LOOK_S)
        return _said(202, {"order": order, "said": "asked; no worker has carried it out yet"})


def _story(client: ClickHouse, name: str, grant: Grant) -> dict[str, Any] | None:
    """An incident or alert with its steps, the document of `touchline alerts show --json`; None when it is hidden."""
    book = read_book(client)
    full = _whole(book, name, grant)
    if not _sees(book, full, grant):
        return None
    incident, alert = incident_of(book, full), book.alerts.get(full)
    members = [alert] if alert else _members(book, full)
    keys = [each.id for each in members] + ([incident.key] if incident and not alert else [])
    steps = [
        {"at": iso(s.at_ms), "kind": s.kind, "step": s.step, "by": s.by, "why": s.why, "revision": s.entry.revision}
        for s in history(client, keys)
        if s.step != "seen"
    ]
    head = incident_document(book, incident) if incident and not alert else {}
    return {**head, "alerts": [alert_document(each) for each in members], "steps": steps}


def _whole(book: Book, name: str, grant: Grant) -> str:
    """The id that begins so, "" where a narrow key would learn from the refusal which other ids there are."""
    try:
        return whole_id(book, name)
    except UsageError:
        if grant.narrow:
            return ""
        raise


def _members(book: Book, name: str) -> list[Alert]:
    incident = incident_of(book, name)
    return [book.alerts[each] for each in incident.members if each in book.alerts] if incident else []


def _sees(book: Book, name: str, grant: Grant) -> bool:
    """Whether everything that an id stands for lies within the grant."""
    shown = [book.alerts[name]] if name in book.alerts else _members(book, name)
    return bool(shown) and all(grant.sees(dict(alert.evidence.scope)) for alert in shown)


def _unknown() -> web.Response:
    return _said(404, {"error": "unknown", "detail": "there is no such alert"})


def _said(status: int, content: Mapping[str, Any]) -> web.Response:
    return web.Response(status=status, body=orjson.dumps(content), content_type=JSON)
