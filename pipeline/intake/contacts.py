"""Routes of the gateway beside events [I/O]: who sends and how well, may a customer be asked, what did they choose.

GET  /v1/producers     the roll call, as `touchline producers` shows it (right: read, of everything)
POST /v1/invitations   may this customer be surveyed; a yes is written down (right: contact)
POST /v1/choices       a customer opted out, gave or withdrew consent (right: contact, of everything)
POST /v1/bounces       an invitation did not arrive (right: contact)

A producer has no brand, and a choice holds for all of them: a key with a scope may neither see the one nor make the
other. A key that only writes may stand in a web page for all to read, so it has no say here.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from http import HTTPStatus
from typing import Annotated, Any, TypeVar

import msgspec
from aiohttp import web

from pipeline.access.keys import Grant, Right
from pipeline.clickhouse import ClickHouse, Pool
from pipeline.customers.contact import Choice, Policy
from pipeline.errors import Unavailable
from pipeline.intake import answers
from pipeline.intake.bodies import Refused
from pipeline.intake.gateway import AGAIN_S, Gateway, Handler, Shed
from pipeline.intake.inviting import Asked, Invitations
from pipeline.intake.replies import problem
from pipeline.ledger.rollcall import attendance, spelled_out
from pipeline.moments import iso
from pipeline.settings import Settings
from schemas.explain import DECODE_ERRORS, explain
from schemas.limits import MAX_NAME
from schemas.vocabulary import Channel

Named = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_NAME)]
Body = TypeVar("Body", bound=msgspec.Struct)
Result = TypeVar("Result")


class Asking(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """May this customer be invited? The same `invitation` asked again gets the same answer while its
    reasons hold; `dry_run` only looks.
    """

    customer_id: Named
    survey: Named
    invitation: Named | None = None
    channel: Channel | None = None
    brand: Named = "default"
    dry_run: bool = False


class Invited(msgspec.Struct, frozen=True, kw_only=True):
    """The answer; a no has a reason and, where time alone ends it, from when on it may be asked again."""

    invitation: str
    allowed: bool
    reason: str
    again: str | None


class Chosen(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a customer chose, over all surveys; the last choice holds."""

    customer_id: Named
    choice: Choice


class Bounced(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An invitation that did not arrive: it does not count, and the customer may be asked anew."""

    customer_id: Named
    invitation: Named


class Producer(msgspec.Struct, frozen=True, kw_only=True):
    """One producer as a worker saw it last; numbers are of the last hour, times in UTC."""

    producer: str
    state: str
    why: str
    arrived: int
    rejected: int
    share: float
    gap_ms: int
    last: str
    since: str
    looked: str


class Contacts:
    """The routes; `policy` says how often a customer may be asked."""

    def __init__(self, gateway: Gateway, pool: Pool, settings: Settings) -> None:
        self._gateway = gateway
        self._pool = pool
        self._settings = settings
        self._policy = Policy(settings.invite_quiet_days, settings.invite_in_a_year, settings.invite_consent)

    def routes(self) -> list[web.RouteDef]:
        """The four of them."""
        guarded = self._gateway.guarded
        return [
            web.get("/v1/producers", guarded(self._for(Right.READ, self._producers, whole=True))),
            web.post("/v1/invitations", guarded(self._for(Right.CONTACT, self._invite))),
            web.post("/v1/choices", guarded(self._for(Right.CONTACT, self._choose, whole=True))),
            web.post("/v1/bounces", guarded(self._for(Right.CONTACT, self._bounce))),
        ]

    def _for(self, right: Right, handle: Callable[[web.Request, Grant], Any], *, whole: bool = False) -> Handler:
        """A handler for keys with this right; `whole`: and with every channel, brand and unit."""

        async def handler(request: web.Request) -> web.Response:
            grant = await self._gateway.bearer(request)
            if grant is None:
                return self._gateway.unauthorized()
            if not grant.may(right):
                detail = f"this key has no right to {right.value}"
                return problem(HTTPStatus.FORBIDDEN, "forbidden", detail)
            if whole and not grant.unbounded:
                return problem(HTTPStatus.FORBIDDEN, "forbidden", "this key is for some channels, brands or units only")
            self._gateway.limit(grant, 1)
            response: web.Response = await handle(request, grant)
            return response

        return handler

    async def _producers(self, _: web.Request, grant: Grant) -> web.Response:
        rows = await self._asked(attendance)
        return _answer([msgspec.convert(spelled_out(row), Producer) for row in rows])

    async def _invite(self, request: web.Request, grant: Grant) -> web.Response:
        asked = await self._read(request, Asking)
        if isinstance(asked, Refused):
            return problem(*asked)
        channel = asked.channel.value if asked.channel else ""
        if outside := grant.outside(channel, asked.brand, None):
            return problem(HTTPStatus.FORBIDDEN, "forbidden", f"the key is not for this {outside}")
        name = asked.invitation or uuid.uuid4().hex
        wanted = Asked(asked.customer_id, asked.survey, name, channel, asked.brand)
        found = await self._booked(lambda book: book.ask(wanted, _now(), only_look=asked.dry_run))
        again = iso(found.again_ms) if found.again_ms else None
        return _answer(Invited(invitation=name, allowed=found.allowed, reason=found.reason, again=again))

    async def _choose(self, request: web.Request, grant: Grant) -> web.Response:
        asked = await self._read(request, Chosen)
        if isinstance(asked, Refused):
            return problem(*asked)
        await self._booked(lambda book: book.choose(asked.customer_id, asked.choice, _now()))
        return web.Response(status=HTTPStatus.NO_CONTENT)

    async def _bounce(self, request: web.Request, grant: Grant) -> web.Response:
        asked = await self._read(request, Bounced)
        if isinstance(asked, Refused):
            return problem(*asked)

        def within(channel: str, brand: str) -> bool:
            return grant.outside(channel, brand, None) is None

        if await self._booked(lambda book: book.bounced(asked.customer_id, asked.invitation, within)):
            return web.Response(status=HTTPStatus.NO_CONTENT)
        return problem(HTTPStatus.NOT_FOUND, "not_found", "no such invitation of this customer")

    async def _read(self, request: web.Request, kind: type[Body]) -> Body | Refused:
        body = await self._gateway.body(request)
        if isinstance(body, Refused):
            return body
        try:
            return msgspec.json.decode(body, type=kind)
        except DECODE_ERRORS as error:
            wrong = explain(error, body)
            return Refused(HTTPStatus.BAD_REQUEST, wrong.reason.value, f"{wrong.path}: {wrong.detail}")

    async def _booked(self, work: Callable[[Invitations], Result]) -> Result:
        return await self._asked(lambda client: work(Invitations(client, self._settings, self._policy)))

    async def _asked(self, work: Callable[[ClickHouse], Result]) -> Result:
        try:
            return await self._pool.call(work)
        except Unavailable as error:
            raise Shed(HTTPStatus.SERVICE_UNAVAILABLE, AGAIN_S, "unavailable", str(error)) from error


def _answer(document: Any) -> web.Response:
    return web.Response(body=answers.encode(document), content_type="application/json")


def _now() -> int:
    return time.time_ns() // 1_000_000
