"""What a person does on the page [I/O]: says that an alert is taken care of. Each act leaves an audit row."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import orjson
from aiohttp import web

from pipeline.alerts import asking
from pipeline.clickhouse import ClickHouse
from pipeline.errors import Unavailable, UsageError
from pipeline.views.page.answers import JSON
from pipeline.views.page.live import Live
from pipeline.views.page.view import EVERYTHING, Grant

#: The owner of the book looks for orders each second; a browser does not wait longer than this for the answer.
_WAIT_S: Final = 4.0
_LONGEST_NAME, _LONGEST_COMMENT = 60, 500


class Acting:
    """Leaves orders for the owner of the book of alerts, in the name of a person and of the key that let them in."""

    def __init__(self, live: Live) -> None:
        self._live = live

    async def acknowledge(self, request: web.Request, grant: Grant) -> web.Response:
        """200 with what the owner answered, 202 when it has not yet (it will), 404 for what the reader does not see."""
        asked = await act_of(request)
        found = self._live.alarms.find(request.match_info["id"])
        if found is None or not grant.sees(found["scope"]):
            return _said(404, {"error": "unknown", "detail": "there is no such alert"})
        by = person(asked, grant)
        comment = str(asked.get("comment", ""))[:_LONGEST_COMMENT]
        name = found["alert_id"]
        order = await self._live.call(lambda client: asking.ask(client, "ack", name, by, {"comment": comment}))

        def answer(client: ClickHouse) -> str:
            return asking.answer(client, order, _WAIT_S)

        try:
            said = await self._live.call(answer)
        except Unavailable:
            return _said(202, {"order": order, "said": "asked; no worker has carried it out yet"})
        return _said(200, {"order": order, "said": said})


async def act_of(request: web.Request) -> Mapping[str, Any]:
    """The JSON object of a request. A page of somebody else can send forms and plain text here, but not JSON."""
    if request.content_type != JSON:
        raise UsageError(f"an act is {JSON}")
    try:
        found = orjson.loads(await request.read())
    except orjson.JSONDecodeError:
        raise UsageError("this is not JSON") from None
    if not isinstance(found, dict):
        raise UsageError("an act is a JSON object: by, comment")
    return found


def person(given: Mapping[str, Any], grant: Grant) -> str:
    """Who stands in the audit row: the name that was given, and the key whoever gave it came with."""
    name = " ".join(str(given.get("by", "")).split())[:_LONGEST_NAME]
    if grant == EVERYTHING:
        if not name:
            raise UsageError("who are you? `by` stands in the audit row")
        return name
    return f"{name} (key {grant.name})" if name else f"key {grant.name}"


def _said(status: int, content: Mapping[str, str]) -> web.Response:
    return web.Response(status=status, body=orjson.dumps(content), content_type=JSON)
