"""What lies behind the scores, for programs [I/O]: GET /v1/journeys, /v1/drivers, /v1/consistency, /v1/customers/{id}.

The documents are those of `touchline journeys|drivers|consistency|customer --json`, the tables those of `--csv`.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from aiohttp import web

from pipeline.customers.pseudonyms import Pseudonyms
from pipeline.customers.registry import Registry
from pipeline.errors import UsageError
from pipeline.journeys.customer import CustomerQuestion, read_customer, read_definition
from pipeline.journeys.drivers import WITHIN_DAYS, DriverQuestion, read_drivers
from pipeline.journeys.evenness import EvennessQuestion, read_evenness
from pipeline.journeys.facts import Filters
from pipeline.journeys.ways import JourneyQuestion, read_journeys
from pipeline.scores.reading import DIMENSIONS
from pipeline.settings import Settings
from pipeline.views import flat
from pipeline.views.page import readings
from pipeline.views.page.answers import formed
from pipeline.views.page.live import Live
from pipeline.views.page.questions import (
    CONSISTENCY,
    CUSTOMER,
    DRIVERS,
    JOURNEYS,
    Parameter,
    duration,
    event_place,
    filters,
    given_once,
    moment,
)
from pipeline.views.page.view import Grant

_DAY: Final = 86_400


class Experience:
    """Reads for the handlers of api.py; a Grant has been found for the request already."""

    def __init__(self, live: Live, settings: Settings, registry: Registry) -> None:
        self._live = live
        self._registry = registry
        self._settings = settings
        self._definition = read_definition(settings.experience_index)

    async def journeys(self, request: web.Request, grant: Grant, kind: str) -> bytes | None:
        """The document; None when nothing of what is asked may be seen."""
        once, kept = _selected(request, grant, JOURNEYS)
        if kept is None:
            return None
        flat.check_shown(once["show"] or "ways")
        declared, now = self._registry.journey, datetime.now(UTC)
        question = JourneyQuestion(
            start=moment(once["from"] or "-30d", now),
            end=moment(once["to"] or "now", now),
            of=once["of"] or "stage",
            metric=once["metric"] or "nps",
            arrived=declared.arrived,
            silence_days=_days(once["silence"]) if once["silence"] else declared.silence_days,
            filters=kept,
        )
        found = await self._live.call(lambda client: read_journeys(client, question, self._registry))
        return formed(kind, found.document(), flat.journeys(found, once["show"] or "ways"))

    async def drivers(self, request: web.Request, grant: Grant, kind: str) -> bytes | None:
        """The document; None when nothing of what is asked may be seen."""
        once, kept = _selected(request, grant, DRIVERS)
        if kept is None:
            return None
        now = datetime.now(UTC)
        question = DriverQuestion(
            moment(once["from"] or "-30d", now),
            moment(once["to"] or "now", now),
            metric=once["metric"] or "nps",
            of=once["of"] or "touchpoint",
            within_days=_days(once["within"]) if once["within"] else WITHIN_DAYS,
            filters=kept,
            least_by_agent=self._settings.agent_answers,
        )
        found = await self._live.call(lambda client: read_drivers(client, question))
        return formed(kind, found.document(), flat.drivers(found))

    async def consistency(self, request: web.Request, grant: Grant, kind: str) -> bytes | None:
        """The document; None when nothing of what is asked may be seen."""
        once, kept = _selected(request, grant, CONSISTENCY)
        if kept is None:
            return None
        now = datetime.now(UTC)
        question = EvennessQuestion(
            moment(once["from"] or "-30d", now),
            moment(once["to"] or "now", now),
            by=once["by"] or "unit",
            metric=once["metric"] or "nps",
            filters=kept,
            least_by_agent=self._settings.agent_answers,
        )
        found = await self._live.call(lambda client: read_evenness(client, question))
        return formed(kind, found.document(), flat.consistency(found))

    async def customer(self, request: web.Request, grant: Grant, kind: str) -> bytes | None:
        """The document; None for a reader of some brands, units or channels: a customer's life crosses them."""
        once = given_once(list(request.query.items()), CUSTOMER[1:])
        if grant.narrow:
            return None
        key_id, number = await self._named(request.match_info["id"])
        limit = once["limit"] or "50"
        if not limit.isdecimal() or len(limit) > 6:
            raise UsageError("limit is a number of events")
        days = _days(once["back"] or "365d")
        question = CustomerQuestion(key_id, number, int(time.time() * 1000), days, int(limit))
        found = await self._live.call(lambda client: read_customer(client, question, self._definition))
        return formed(kind, found.document(), flat.customer(found))

    async def _named(self, text: str) -> tuple[int, int]:
        """Whom an id means: a customer's own one, a pseudonym, or an event of theirs. Raises UsageError."""
        if text.count(":") == 3:
            topic, place = event_place(text)
            found: tuple[int, int] | None = await self._live.call(lambda c: readings.customer_of(c, topic, place))
            if found is None:
                raise UsageError("there is no such event, or it names no customer")
            return found
        return Pseudonyms(self._settings.pseudonym_key_id, self._settings.pseudonym_bytes).named(text)


def _selected(
    request: web.Request, grant: Grant, parameters: Sequence[Parameter]
) -> tuple[dict[str, str], Filters | None]:
    """The parameters that were given, and what is read within the reader's scope: None where that is nothing."""
    given = list(request.query.items())
    return given_once(given, parameters), grant.within(filters(given, DIMENSIONS))


def _days(text: str) -> int:
    days, rest = divmod(duration(text), _DAY)
    if rest or not days:
        raise UsageError(f"{text} is not a whole number of days; write 14d or the like")
    return days
