"""The gateway's requests [I/O]: POST /v1/events takes events in any form and answers with a verdict for each.

Nothing is answered with 202 before Kafka has acknowledged it with acks=all. Every event that came is counted once:
received = accepted + rejected + shed; a request that could not be cut into events counts as one. What is rejected is
kept (sealed, on the topic `rejected`) before its verdict is given; beyond a bound by key it is not, and counts as shed.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus

from aiohttp import web

from pipeline.access.keys import UNAUTHORIZED, Grant, Right, presented
from pipeline.access.verifier import Verifier
from pipeline.errors import Unavailable
from pipeline.intake import answers, bodies
from pipeline.intake.admission import Judged, Rules, judge
from pipeline.intake.bodies import MAX_BODY_BYTES, MAX_EVENTS, Items, Refused
from pipeline.intake.counting import Counts
from pipeline.intake.idempotency import MAX_HEADER, Sent, event_ids
from pipeline.intake.pipe import Parcel, Pipe
from pipeline.intake.rates import Rates
from pipeline.intake.refusals import Refusals
from pipeline.intake.replies import ANY_ORIGIN, json_reply, problem, verdicts
from pipeline.intake.unpacking import ENCODINGS, Broken, TooLarge, unpacked
from pipeline.telemetry import Telemetry, log
from schemas.explain import reject
from schemas.limits import MAX_VALUE_BYTES
from schemas.vocabulary import Reason

#: Bytes of all bodies that are being read; beyond it requests are asked to come again.
MOST_READING = 64 * 1024 * 1024
#: When to come again while Kafka does not answer.
AGAIN_S = 5
#: Who sent it and by which way, for whoever reads the topic; the worker names producers by the first.
PRODUCER_HEADER, SOURCE_HEADER = "touchline_producer", "touchline_source"

#: Of bodies that are no events: what was sent is worth a look. Too large, empty or cut off is not.
_KEPT = frozenset({Reason.NOT_JSON.value, Reason.BAD_ENVELOPE.value})
_UNAUTHORIZED = answers.encode(UNAUTHORIZED)
_CONTENT_TYPES = [
    *("application/json", "application/x-ndjson"),
    *("application/cloudevents+json", "application/cloudevents-batch+json"),
]
_PREFLIGHT = {
    **ANY_ORIGIN,
    "Access-Control-Allow-Methods": "POST, OPTIONS",
    "Access-Control-Allow-Headers": "authorization, content-type, content-encoding, idempotency-key",
    "Access-Control-Max-Age": "86400",
    "Allow": "POST, OPTIONS",
}
_log = log("touchline.gateway")

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Shed(Exception):
    """The request is to come again: status 429 or 503, seconds to wait, one word, a sentence."""

    def __init__(self, status: HTTPStatus, wait_s: float, error: str, detail: str) -> None:
        super().__init__(detail)
        self.status, self.wait_s, self.error, self.detail = status, wait_s, error, detail


@dataclass(frozen=True, slots=True)
class Policy:
    """What a gateway takes: rules of events, events a second (0: no limit), seconds that a body may take."""

    rules: Rules
    key_rate: float
    rate: float
    patience_s: float

    @property
    def limits(self) -> answers.Limits:
        """What GET /v1/limits tells."""
        return answers.Limits(
            max_events=MAX_EVENTS,
            max_bytes=MAX_BODY_BYTES,
            max_event_bytes=MAX_VALUE_BYTES,
            read_timeout_s=self.patience_s,
            content_types=_CONTENT_TYPES,
            content_encodings=list(ENCODINGS),
            events_per_second=answers.Rate(key=self.key_rate, all=self.rate),
        )


class Gateway:
    """What takes events by HTTP. `routes` are added to an application; webhooks and others use `admit`."""

    def __init__(
        self, verifier: Verifier, pipe: Pipe, telemetry: Telemetry, policy: Policy, refusals: Refusals
    ) -> None:
        self._verifier = verifier
        self._refusals = refusals
        self._pipe = pipe
        self.counts = Counts(telemetry)
        self._rates = Rates(policy.key_rate, policy.rate, MAX_EVENTS)
        self._policy = policy
        self._sent = Sent()
        self._reading = 0
        self.rules = policy.rules

    def routes(self) -> list[web.RouteDef]:
        """The routes of the API."""
        told = answers.encode(self._policy.limits)
        rate = str(math.floor(self._policy.key_rate * 60)) if self._policy.key_rate else "*"

        async def limits_told(_: web.Request) -> web.Response:
            return json_reply(HTTPStatus.OK, told)

        async def handshake(request: web.Request) -> web.Response:
            """CloudEvents' webhook handshake, and what browsers ask before they send to another origin."""
            headers = dict(_PREFLIGHT)
            if (origin := request.headers.get("WebHook-Request-Origin", "")) and origin.isascii():
                headers |= {"WebHook-Allowed-Origin": origin, "WebHook-Allowed-Rate": rate}
            return web.Response(status=HTTPStatus.OK, headers=headers)

        return [
            web.post("/v1/events", self.guarded(self._events)),
            web.options("/v1/events", handshake),
            web.get("/v1/limits", limits_told),
        ]

    def guarded(self, handle: Handler) -> Handler:
        """A handler with its time and status counted, whose `Shed` and defects become answers."""

        async def guard(request: web.Request) -> web.StreamResponse:
            began = time.monotonic()
            response: web.StreamResponse
            try:
                crowded = bodies.crowded(request.raw_headers)
                response = self.refuse(None, crowded) if crowded else await handle(request)
            except Shed as shed:
                response = problem(shed.status, shed.error, shed.detail)
                response.headers["Retry-After"] = str(max(1, math.ceil(shed.wait_s)))
            except ConnectionError:
                raise  # the client is gone: there is nobody to answer
            except Exception as error:  # noqa: BLE001 - the server's edge: a defect must not look like an acceptance
                _log.error("a request failed", error=type(error).__name__, exc_info=error)
                self.counts.shed("", 1, "internal")
                response = problem(HTTPStatus.INTERNAL_SERVER_ERROR, "internal", "a defect of the gateway; come again")
            self.counts.answer(request.match_info, response.status, time.monotonic() - began)
            return response

        return guard

    async def grant(self, token: str) -> Grant | None:
        """Who bears this token; raises Shed when the keys cannot be read."""
        try:
            return await self._verifier.grant(token)
        except Unavailable as error:
            self.counts.shed("", 1, "keys")
            raise Shed(HTTPStatus.SERVICE_UNAVAILABLE, AGAIN_S, "unavailable", str(error)) from error

    async def bearer(self, request: web.Request) -> Grant | None:
        """Who sends. A page that is being closed can set no header: a key that only writes may stand in the URL."""
        authorization = request.headers.get("Authorization")
        if authorization is not None and (known := self._verifier.known(presented(authorization))):
            return known  # nearly always: nothing to wait for
        if authorization is None and (token := request.query.get("key")):
            grant = await self.grant(token)
            return grant if grant is not None and grant.rights == {Right.WRITE} else None
        return await self.grant(presented(authorization or ""))

    async def admit(self, grant: Grant, judged: Sequence[Judged], source: str = "http") -> answers.Answer:
        """Sends the valid ones of events, keeps the others; returns when Kafka has acknowledged both. Raises Shed."""
        parcels = self._parcels(grant, judged, source)
        accepted, beyond = len(parcels), 0
        if accepted < len(judged):
            kept, beyond = self._refusals.kept(grant, judged, self._pipe.now_ms())
            parcels += kept
        if parcels:
            try:
                await self._pipe.put(parcels)
            except Unavailable as error:
                self.counts.shed(grant.name, len(judged), "kafka")
                raise Shed(HTTPStatus.SERVICE_UNAVAILABLE, AGAIN_S, "unavailable", str(error)) from error
        self.counts.judged(grant.name, judged, accepted, beyond)
        return answers.answer_of(judged)

    def limit(self, grant: Grant, count: int) -> None:
        """Raises Shed when the key, or all together, have sent too much."""
        wait = self._rates.admit(grant.key_id, count, time.monotonic())
        if wait > 0:
            self.counts.shed(grant.name, count, "rate")
            raise Shed(HTTPStatus.TOO_MANY_REQUESTS, wait, "too_many_requests", "over the limit of events a second")

    async def body(self, request: web.Request) -> bytes | Refused:
        """The body of a request, unpacked. Raises Shed when too much is being read at once."""
        length = request.content_length
        if length is not None and length > MAX_BODY_BYTES:
            return bodies.too_large(MAX_BODY_BYTES)
        raw = await self._read(request)
        named = request.headers.get("Content-Encoding")
        if named is None or isinstance(raw, Refused):
            return raw
        encoding = named.strip().lower()
        if encoding in ("", "identity"):
            return raw
        if encoding not in ENCODINGS:
            detail = f"Content-Encoding may be {' or '.join(ENCODINGS)}"
            return Refused(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "unsupported_encoding", detail)
        try:
            return unpacked(raw, encoding, MAX_BODY_BYTES)
        except TooLarge:
            return bodies.too_large(MAX_BODY_BYTES)
        except Broken:
            return Refused(HTTPStatus.BAD_REQUEST, "bad_encoding", f"the body is not {encoding}, or cut off")

    def refuse(self, grant: Grant | None, refused: Refused, count: int = 1) -> web.Response:
        """The answer to a request that is not looked at, counted."""
        self.counts.rejected(grant.name if grant else "", refused.error, count)
        return problem(refused.status, refused.error, refused.detail)

    async def refuse_kept(self, grant: Grant, refused: Refused, body: bytes) -> web.Response:
        """The same of a body that a known key sent and nobody can read as events: it is kept like a bad event."""
        if refused.error not in _KEPT:
            return self.refuse(grant, refused)
        whole = Judged("", b"", body, "", reject(Reason(refused.error), "$", refused.detail))
        await self.admit(grant, [whole])
        return problem(refused.status, refused.error, refused.detail)

    def unauthorized(self, grant: Grant | None = None, why: str = "unauthorized") -> web.Response:
        """The one answer to whoever has no valid key or signature; what is wrong is counted and not told."""
        self.refuse(grant, Refused(HTTPStatus.UNAUTHORIZED, why, ""))
        return json_reply(HTTPStatus.UNAUTHORIZED, _UNAUTHORIZED, {"WWW-Authenticate": "Bearer"})

    # --- inside ----------------------------------------------------------------------------------
    async def _events(self, request: web.Request) -> web.StreamResponse:
        grant = await self.bearer(request)
        if grant is None:
            return self.unauthorized()
        if not grant.may(Right.WRITE):
            return self.refuse(grant, Refused(HTTPStatus.FORBIDDEN, "forbidden", "this key has no right to write"))
        form = bodies.form_of(request.headers.get("Content-Type", ""), request.raw_headers)
        if isinstance(form, Refused):
            return self.refuse(grant, form)
        body = await self.body(request)
        if isinstance(body, Refused):
            return self.refuse(grant, body)
        items = bodies.items_of(form, body, request.raw_headers)
        if isinstance(items, Refused):
            return await self.refuse_kept(grant, items, body)
        self.limit(grant, len(items.values))
        named = self._named(grant, request.headers, items, body)
        if isinstance(named, Refused):
            return self.refuse(grant, named, len(items.values))
        answer = await self.admit(grant, judge(named, grant, self.rules, self._pipe.now_ms()))
        return verdicts(request, answers.status_of(answer), answers.encode(answer))

    def _named(self, grant: Grant, headers: Mapping[str, str], items: Items, body: bytes) -> Items | Refused:
        """The items, each with a name where the request has an Idempotency-Key."""
        header = headers.get("Idempotency-Key", "").strip()
        if not header:
            return items
        if len(header) > MAX_HEADER or not header.isprintable():
            detail = f"Idempotency-Key has at most {MAX_HEADER} printable signs"
            return Refused(HTTPStatus.BAD_REQUEST, "bad_idempotency_key", detail)
        if self._sent.differs(grant.key_id, header, body):
            detail = "another body came under this Idempotency-Key before"
            return Refused(HTTPStatus.UNPROCESSABLE_ENTITY, "idempotency_key_reused", detail)
        if any(items.headers):  # a CloudEvent has its own id
            return items
        return Items(bodies.numbered(items.values, event_ids(grant.key_id, header, len(items.values))), items.headers)

    async def _read(self, request: web.Request) -> bytes | Refused:
        if request.content.is_eof() and request.content.exception() is None:
            # It came with the headers, as small ones do: nothing to wait for.
            whole = request.content.read_nowait(-1)
            return whole if len(whole) <= MAX_BODY_BYTES else bodies.too_large(MAX_BODY_BYTES)
        parts: list[bytes] = []
        size = 0
        try:
            async with asyncio.timeout(self._policy.patience_s):
                while part := await request.content.readany():
                    parts.append(part)
                    size += len(part)
                    self._reading += len(part)
                    if size > MAX_BODY_BYTES:
                        return bodies.too_large(MAX_BODY_BYTES)
                    if self._reading > MOST_READING:
                        self.counts.shed("", 1, "memory")
                        raise Shed(HTTPStatus.SERVICE_UNAVAILABLE, 1, "overloaded", "too many bodies at once")
        except TimeoutError:
            return Refused(HTTPStatus.REQUEST_TIMEOUT, "timeout", f"not here after {self._policy.patience_s:g} s")
        except web.RequestPayloadError:
            return Refused(HTTPStatus.BAD_REQUEST, "broken_body", "the body ended too early")
        finally:
            self._reading -= size
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _parcels(self, grant: Grant, judged: Sequence[Judged], source: str) -> list[Parcel]:
        headers = [(PRODUCER_HEADER, grant.name.encode()), (SOURCE_HEADER, source.encode())]
        return [Parcel(each.topic, each.key, each.value, headers) for each in judged if each.rejection is None]
