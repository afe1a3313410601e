"""POST /v1/in/{integration}/{key} [I/O]: the formats of other tools, each acknowledged as it wants it.

A delivery is answered with 2xx once Kafka has its events and its body is kept; also when some of them are refused: the
tool cannot mend them, it would come again for days and then give up on us. What was refused can be mapped anew for
seven days. 503 says "come again", and nothing is answered with 404 or 410 but a word that is no integration: some tools
would never come again.

The answer comes before the tool has lost its patience. By then Kafka must have the events, else it is 503. The body
must be kept by then if it is all there is of a refused event; if all its events are in, 2xx is given without it, and
what could not be kept in the end is counted and logged.
"""

from __future__ import annotations

import asyncio
import time
import tomllib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import TypeVar

from aiohttp import web

from pipeline.access.keys import Grant, Right
from pipeline.errors import SettingsError, Unavailable
from pipeline.intake import answers
from pipeline.intake.admission import Judged, Rules, Unknown, judge_events
from pipeline.intake.bodies import Refused
from pipeline.intake.deliveries import Deliveries, Delivery
from pipeline.intake.gateway import AGAIN_S, Gateway, Shed
from pipeline.intake.integrations import integrations
from pipeline.intake.integrations.contract import Event, Options
from pipeline.intake.integrations.receiving import Unread, kept, receive
from pipeline.telemetry import log
from schemas.explain import Rejection

_log = log("touchline.webhooks")
Answer = TypeVar("Answer")
_LATE = "Kafka has not acknowledged in time"

_OPTIONS = {"secrets": list, "fields": dict, "questions": dict, "touchpoints": dict}


class Webhooks:
    """The webhook routes of a gateway. `options` are those of `load_options`, `now_ms` tells the broker's time."""

    def __init__(
        self, gateway: Gateway, options: Mapping[str, Options], deliveries: Deliveries, now_ms: Callable[[], int]
    ) -> None:
        self._gateway = gateway
        self._options = options
        self._deliveries = deliveries
        self._now_ms = now_ms

    def routes(self) -> list[web.RouteDef]:
        """The routes; a GET or HEAD is how some tools ask whether anybody is there."""

        async def here(_: web.Request) -> web.Response:
            return web.Response(text="ok\n")

        path = "/v1/in/{integration}/{key}"
        return [web.post(path, self._gateway.guarded(self._take)), web.get(path, here)]

    async def _take(self, request: web.Request) -> web.Response:
        began = asyncio.get_running_loop().time()
        gateway, name = self._gateway, request.match_info["integration"]
        integration = integrations().get(name)
        if integration is None:
            detail = f"no integration of that name; there are {', '.join(sorted(integrations()))}"
            return gateway.refuse(None, Refused(HTTPStatus.NOT_FOUND, "not_found", detail))
        deadline = began + integration.patience_s
        grant = await self._within(deadline, ("", 1, "keys"), gateway.grant(request.match_info["key"]))
        if grant is None:
            return gateway.unauthorized()
        if not grant.may(Right.WRITE):
            return gateway.refuse(grant, Refused(HTTPStatus.FORBIDDEN, "forbidden", "this key has no right to write"))
        body = await gateway.body(request)
        if isinstance(body, Refused):
            return gateway.refuse(grant, body)
        options = options_of(self._options, name, gateway.rules.unknown)
        found = receive(integration, request.headers, body, options, time.time())
        if isinstance(found, Unread) and found.status == HTTPStatus.UNAUTHORIZED:
            return gateway.unauthorized(grant, found.error)
        if isinstance(found, Unread):
            refusing = gateway.refuse_kept(grant, Refused(*found), body)
            return await self._within(deadline, (grant.name, 1, "kafka"), refusing)
        gateway.limit(grant, max(1, len(found)))
        judged = judged_of(found, grant, gateway.rules, self._now_ms())
        delivery = _delivery(name, grant, judged, kept(request.headers), body)
        keeping = asyncio.create_task(self._deliveries.keep(delivery), name="body")
        keeping.add_done_callback(partial(self._told, delivery))
        admitting = gateway.admit(grant, _pointing(judged, delivery), name)
        answer = await self._within(deadline, (grant.name, len(judged), "kafka"), admitting)
        await asyncio.wait([keeping], timeout=max(0.0, deadline - asyncio.get_running_loop().time()))
        if answer.rejected and (not keeping.done() or keeping.exception() is not None):
            # The body is all there is of what was refused: the tool is to bring it again.
            raise Shed(HTTPStatus.SERVICE_UNAVAILABLE, AGAIN_S, "unavailable", "the body could not be kept")
        return web.Response(status=integration.answer, body=answers.encode(answer), content_type="application/json")

    async def _within(self, deadline: float, counted: tuple[str, int, str], work: Awaitable[Answer]) -> Answer:
        """What comes of `work` before the deadline; else raises Shed, counted as (producer, events, cause)."""
        try:
            async with asyncio.timeout_at(deadline):
                return await work
        except TimeoutError as error:
            self._gateway.counts.shed(*counted)
            detail = "ClickHouse has not told in time whose key it is" if counted[2] == "keys" else _LATE
            raise Shed(HTTPStatus.SERVICE_UNAVAILABLE, AGAIN_S, "unavailable", detail) from error

    def _told(self, delivery: Delivery, keeping: asyncio.Task[None]) -> None:
        """Says when a body is not kept, also after its tool was answered."""
        error = None if keeping.cancelled() else keeping.exception()
        if error is not None:
            self._gateway.counts.unkept(delivery.integration)
            _log.warning(
                "a body is not kept",
                integration=delivery.integration,
                delivery=delivery.name,
                events=delivery.events,
                rejected=delivery.rejected,
                error=str(error) if isinstance(error, Unavailable) else type(error).__name__,
            )


def judged_of(found: Sequence[Event | Rejection], grant: Grant, rules: Rules, now_ms: int) -> list[Judged]:
    """Verdicts of what a mapper gave, in its order, as the gateway gives them of any event."""
    events = iter(judge_events([each for each in found if not isinstance(each, Rejection)], grant, rules, now_ms))
    return [Judged("", b"", b"", "", each) if isinstance(each, Rejection) else next(events) for each in found]


def _pointing(judged: Sequence[Judged], delivery: Delivery) -> list[Judged]:
    """Of what the mapper could not make an event from, a reject says in which kept body it stands."""
    where = {"integration": delivery.integration, "delivery": delivery.name}
    return [
        each._replace(value=answers.encode(where | {"index": index}))
        if each.rejection is not None and not each.value
        else each
        for index, each in enumerate(judged)
    ]


def options_of(options: Mapping[str, Options], name: str, unknown: Unknown) -> Options:
    """What is said of one integration, with the deployment's policy for fields that are none of ours."""
    return replace(options.get(name, Options()), unknown=unknown)


def load_options(path: Path | None) -> dict[str, Options]:
    """What the deployment says of its integrations (TOML, one table each); SettingsError names what is wrong."""
    if path is None:
        return {}
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"TOUCHLINE_INTEGRATIONS: {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"TOUCHLINE_INTEGRATIONS: {path}: no TOML: {error}") from error
    found = {}
    for name, table in document.items():
        if name not in integrations() or not isinstance(table, dict):
            raise SettingsError(f"{path}: [{name}]: integrations are {', '.join(sorted(integrations()))}")
        wrong = [key for key, value in table.items() if not isinstance(value, _OPTIONS.get(key, type(None)))]
        if wrong:
            raise SettingsError(
                f"{path}: {name}.{wrong[0]}: there are secrets (a list), fields, questions, touchpoints"
            )
        found[name] = Options(**{**table, "secrets": tuple(map(str, table.get("secrets", ())))})
    return found


def _delivery(name: str, grant: Grant, judged: Sequence[Judged], headers: dict[str, str], body: bytes) -> Delivery:
    refused = [each.rejection.reason.value for each in judged if each.rejection is not None]
    reason = refused[0] if refused else ""
    now_ms = time.time_ns() // 1_000_000
    return Delivery(name, now_ms, grant.name, len(judged), len(refused), reason, headers, body)
