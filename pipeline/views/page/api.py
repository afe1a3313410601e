"""The reading API under /v1 [I/O]: scores, their history, the evidence behind them, single events, alerts."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any, Final

import orjson
from aiohttp import web

from pipeline.errors import Unavailable, UsageError
from pipeline.ledger.rollcall import attendance
from pipeline.scores.backlog import catching_up
from pipeline.scores.defined import definitions_of
from pipeline.scores.definitions import Definition, Definitions
from pipeline.scores.meters import FORMS
from pipeline.scores.reading import Question, read_scores
from pipeline.settings import Settings
from pipeline.views.answers import led
from pipeline.views.page import answers, readings
from pipeline.views.page.acting import Acting
from pipeline.views.page.alert_api import AlertApi
from pipeline.views.page.document import document
from pipeline.views.page.experience import Experience
from pipeline.views.page.items import shown
from pipeline.views.page.kept import Kept
from pipeline.views.page.live import Live
from pipeline.views.page.questions import Asked, asked, event_place, filters
from pipeline.views.page.sharing import Sharing
from pipeline.views.page.view import FILTERS, Grant
from pipeline.views.score_lines import entry, iso

GrantOf = Callable[[web.Request], Awaitable[Grant]]
#: Feedback is looked for in the last week, this much of it at once.
_FEEDBACK_S: Final = 7 * 86_400
_FEEDBACK: Final = 60


class Api:
    """The handlers; `grant_of` says what a request may see, or raises HTTPUnauthorized."""

    def __init__(self, live: Live, grant_of: GrantOf, experience: Experience, settings: Settings) -> None:
        self._known = definitions_of(settings)
        self._least_by_agent = settings.agent_answers
        self._live = live
        self._experience = experience
        self._grant_of = grant_of
        self._sharing = Sharing()
        self._acting = Acting(live)
        self._kept = Kept(time.monotonic)

    def routes(self) -> list[web.RouteDef]:
        """Everything under /v1 but the stream."""
        return [
            web.get("/v1/openapi.json", self._openapi),
            web.get("/v1/scores", self._guarded(self._scores)),
            web.get("/v1/scores/history", self._guarded(self._history)),
            web.get("/v1/scores/evidence", self._guarded(self._evidence)),
            web.get("/v1/journeys", self._guarded(self._document(self._experience.journeys, kept=True))),
            web.get("/v1/drivers", self._guarded(self._document(self._experience.drivers, kept=True))),
            web.get("/v1/consistency", self._guarded(self._document(self._experience.consistency, kept=True))),
            web.get("/v1/customers/{id}", self._guarded(self._document(self._experience.customer))),
            web.get("/v1/feedback", self._guarded(self._feedback)),
            web.get("/v1/events/{id}", self._guarded(self._event)),
            web.get("/v1/alerts", self._guarded(self._alerts)),
            web.post("/v1/alerts/{id}/ack", self._guarded(self._acting.acknowledge)),
            web.get("/v1/producers", self._guarded(self._producers)),
            *AlertApi(self._live).routes(self._guarded),
            web.get("/v1/values", self._guarded(self._values)),
        ]

    def _guarded(
        self, handler: Callable[[web.Request, Grant], Awaitable[web.Response]]
    ) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def guarded(request: web.Request) -> web.StreamResponse:
            try:
                return await handler(request, await self._grant_of(request))
            except UsageError as error:
                return refused(400, "usage", str(error))
            except Unavailable as error:
                return refused(503, "unavailable", str(error))

        return guarded

    def _document(
        self, read: Callable[[web.Request, Grant, str], Awaitable[bytes | None]], *, kept: bool = False
    ) -> Callable[[web.Request, Grant], Awaitable[web.Response]]:
        async def answered(request: web.Request, grant: Grant) -> web.Response:
            kind = answers.preferred(request.headers.get("Accept", ""))
            if kind is None:
                return _no_form()
            question = (request.path_qs, grant, kind)

            def work() -> Awaitable[bytes | None]:
                return read(request, grant, kind)

            body = await (self._kept.answer(question, work) if kept else work())
            return outside(grant) if body is None else tagged(request, body, answers.CONTENT[kind])

        return answered

    def _asked(self, request: web.Request, grain: str) -> Asked:
        """The question as the deployment's definitions and its limit for single employees have it."""
        found = asked(list(request.query.items()), datetime.now(UTC), grain, self._known)
        return replace(found, question=replace(found.question, least_by_agent=self._least_by_agent))

    async def _openapi(self, request: web.Request) -> web.Response:
        return tagged(request, orjson.dumps(document(version("touchline"))), answers.JSON)

    async def _scores(self, request: web.Request, grant: Grant) -> web.Response:
        return await self._read(request, grant, "all", history=False)

    async def _history(self, request: web.Request, grant: Grant) -> web.Response:
        return await self._read(request, grant, "1h", history=True)

    async def _read(self, request: web.Request, grant: Grant, grain: str, *, history: bool) -> web.Response:
        kind = answers.preferred(request.headers.get("Accept", ""))
        if kind is None:
            return _no_form()
        found = self._asked(request, grain)
        question = _within(grant, found.question)
        if question is None:
            return outside(grant)
        rows = await self._sharing.answer(
            _words(question), lambda: self._live.call(lambda client: led(client, question))
        )
        if rows.height > found.limit:
            raise UsageError(
                f"the answer has {rows.height:,} rows, the limit is {found.limit:,}: group by less, take a wider grain"
                " or less time, or raise limit"
            )
        if kind == answers.ARROW:
            return tagged(request, answers.as_arrow(rows), kind)
        listed = rows.to_dicts()
        if kind == answers.CSV:
            return tagged(request, answers.as_csv(question, listed), answers.CONTENT[kind])
        more: dict[str, Any] = {"catching_up": await self._live.call(catching_up)}
        if history and not (question.filters or question.by):
            span = (question.first, question.last, question.seconds)
            changes = await self._live.call(lambda client: readings.changed(client, span))
            more["restated"] = {iso(start): why for start, why in changes.items()}
        return tagged(request, answers.as_json(question, listed, more), kind)

    async def _evidence(self, request: web.Request, grant: Grant) -> web.Response:
        question = _within(grant, self._asked(request, "all").question)
        if question is None:
            return outside(grant)
        if question.by:
            raise UsageError("evidence is of one number: filter instead of grouping")
        if any(name not in FILTERS for name in question.filters):
            raise UsageError(f"evidence is filtered by {', '.join(FILTERS)}")
        kept = dict(question.filters)
        span = (question.first, question.last)
        rows = await self._live.call(lambda client: read_scores(client, question))
        windows = replace(question, start=span[0], end=span[1], grain_s=300)
        parts = await self._live.call(lambda client: read_scores(client, windows)) if _short(question) else rows.clear()
        events = await self._live.call(lambda client: readings.behind(client, question.defined.metric, span, kept))
        content = {
            "definition": _defined(question.defined),
            "as_of": iso(int(time.time())),
            "windows": [entry(windows, row) for row in parts.to_dicts()],
            "events": [shown(event) for event in events],
        }
        if not kept:
            changes = await self._live.call(lambda client: readings.changed(client, (*span, 300)))
            content["restated"] = {iso(start): why for start, why in changes.items()}
        return tagged(request, answers.as_json(question, rows.to_dicts(), content), answers.JSON)

    async def _feedback(self, request: web.Request, grant: Grant) -> web.Response:
        kept = grant.within(filters(list(request.query.items()), FILTERS))
        if kept is None:
            return outside(grant)
        since = int(time.time()) - _FEEDBACK_S
        rows = await self._live.call(lambda client: readings.feedback_of(client, kept, since, _FEEDBACK))
        return tagged(request, orjson.dumps({"feedback": [shown(row) for row in rows]}), answers.JSON)

    async def _event(self, request: web.Request, grant: Grant) -> web.Response:
        topic, place = event_place(request.match_info["id"])
        found = await self._live.call(lambda client: readings.event(client, topic, place))
        if found is None or not grant.sees(found):
            return refused(404, "unknown", "there is no such event")
        return tagged(request, orjson.dumps(_explained(found, self._known)), answers.JSON)

    async def _alerts(self, request: web.Request, grant: Grant) -> web.Response:
        found = self._live.alarms.newest(time.time())
        return tagged(
            request, orjson.dumps({"alerts": [alert for alert in found if grant.sees(alert["scope"])]}), answers.JSON
        )

    async def _producers(self, request: web.Request, grant: Grant) -> web.Response:
        if grant.narrow:  # a producer sends for every brand: its counts are nobody's own
            return outside(grant)
        since = int(time.time() * 1000) - 3_600_000
        found = await self._live.call(attendance)
        reasons = await self._live.call(lambda client: readings.rejected(client, since))
        return tagged(request, orjson.dumps({"producers": found, "rejected": reasons}), answers.JSON)

    async def _values(self, request: web.Request, grant: Grant) -> web.Response:
        since = int(time.time()) - 28 * 86_400
        found = await self._live.call(lambda client: readings.values(client, since))
        for name, allowed in (grant.within({}) or {}).items():
            found[name] = [value for value in found.get(name, []) if value in allowed]
        return tagged(request, orjson.dumps(found), answers.JSON)


def _words(question: Question) -> str:
    """A question in words: equal ones are answered alike, whichever second of a window their ends lie in."""
    kept = sorted((name, sorted(values)) for name, values in question.filters.items())
    windows = (question.first, question.last, question.seconds, question.step_s, question.gap_s, question.edges)
    rest = (question.one_voice, question.as_of_ms, question.least_by_agent)
    return repr((question.defined.name, question.by, kept, windows, rest))


def tagged(request: web.Request, body: bytes, kind: str) -> web.Response:
    """An answer with an ETag, or 304 when the reader has it."""
    tag = f'"{hashlib.blake2b(body, digest_size=12).hexdigest()}"'
    headers = {"ETag": tag, "Cache-Control": "private, no-cache", "Vary": "Accept, Authorization, Cookie"}
    if tag in (part.strip() for part in request.headers.get("If-None-Match", "").split(",")):
        return web.Response(status=304, headers=headers)
    return web.Response(body=body, headers={**headers, "Content-Type": kind})


def refused(status: int, error: str, detail: str) -> web.Response:
    """An error as every answer of ours has it."""
    return web.json_response({"error": error, "detail": detail}, status=status)


def _no_form() -> web.Response:
    return refused(406, "form", f"there are {answers.JSON}, {answers.CSV} and {answers.ARROW}")


def outside(grant: Grant) -> web.Response:
    """Nothing of what was asked may be seen."""
    return refused(403, "scope", f"the key {grant.name} may not see that: its scope is narrower")


def _within(grant: Grant, question: Question) -> Question | None:
    kept = grant.within(question.filters)
    if kept is None:
        return None
    return replace(question, filters=kept)


def _short(question: Question) -> bool:
    """Whether its five-minute windows can be listed: a day of them."""
    return question.last - question.first <= 86_400


def _defined(definition: Definition) -> dict[str, Any]:
    """What a score means: which version of its definition, and how sure it is said."""
    return {
        "metric": definition.metric,
        "name": definition.name,
        "version": definition.version,
        "about": definition.about,
        "unit": definition.unit,
        "method": definition.method,
        "least": definition.minimum_n,
        "confidence": 0.95,
    }


def _explained(row: Mapping[str, Any], known: Definitions) -> dict[str, Any]:
    """An event, what became of it, which revision of an answer it is, and which minute of which scores it counts in."""
    counted = row["disposition"] == "aggregated"
    minute = row["occurred_ms"] // 60_000 * 60
    metrics = [name for name in (row["metric"],) if name in FORMS and row["answer"] >= 0]
    metrics += ["sentiment"] if row["label"] in ("negative", "neutral", "positive") else []
    return {
        **shown(row),
        "disposition": row["disposition"],
        "reason": row["reason"],
        "arrived_ms": row["ingest_ms"],
        "revision": row["revision"],
        "replaces": f"{row['topic']}:{row['epoch']}:{row['part']}:{row['old_off']}" if row["old_off"] >= 0 else None,
        "counts_in": [
            {
                "metric": name,
                "scale": row["tier"] if name == "sentiment" else row["scale"],
                "minute": iso(minute),
                "definition": known.leading[name].name if name in known.leading else None,
            }
            for name in metrics
            if counted
        ],
    }
