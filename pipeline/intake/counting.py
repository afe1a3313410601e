"""What the gateway counts of requests and their events [I/O]: received = accepted + rejected + shed.

What nearly every request has (its status, an event that was accepted) is added up in plain numbers and told when
somebody reads the metrics: a counter of the library costs a request of one event as much as reading its body.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

from aiohttp.web import UrlMappingMatchInfo

from pipeline.intake.admission import Judged
from pipeline.telemetry import Telemetry


class Counts:
    """The counts of one gateway; `tell` brings them into its metrics."""

    def __init__(self, telemetry: Telemetry) -> None:
        self._telemetry = telemetry
        self._answers: defaultdict[tuple[str, int], int] = defaultdict(int)
        self._accepted: defaultdict[str, int] = defaultdict(int)

    def answer(self, matched: UrlMappingMatchInfo, status: int, seconds: float) -> None:
        """One request has its answer, after so many seconds."""
        route = matched.route.resource
        self._answers[route.canonical if route else "", status] += 1
        self._telemetry.observe("touchline_gateway_request_seconds", seconds)

    def accepted(self, producer: str, count: int) -> None:
        """Events that came and are acknowledged by Kafka."""
        self._accepted[producer] += count

    def rejected(self, producer: str, reason: str, count: int, schema: str = "") -> None:
        """Events that came and are refused for good; `schema` as far as it can be told."""
        self._telemetry.count("touchline_gateway_received_total", count, producer=producer)
        self._telemetry.count(
            "touchline_gateway_rejected_total", count, producer=producer, schema=schema, reason=reason
        )

    def shed(self, producer: str, count: int, cause: str) -> None:
        """Events that came and are to come again, or could not be kept."""
        self._telemetry.count("touchline_gateway_received_total", count, producer=producer)
        self._telemetry.count("touchline_gateway_shed_total", count, producer=producer, cause=cause)

    def unkept(self, integration: str) -> None:
        """A body of a webhook could not be kept."""
        self._telemetry.count("touchline_gateway_unkept_bodies_total", integration=integration)

    def judged(self, producer: str, judged: Sequence[Judged], accepted: int, beyond: int) -> None:
        """The events of a request; of the refused ones the last `beyond` are not kept: they count as shed."""
        if accepted:
            self.accepted(producer, accepted)
        if accepted == len(judged):
            return
        refused = [
            (each.rejection.reason.value, _schema_of(each.value)) for each in judged if each.rejection is not None
        ]
        for (reason, schema), count in Counter(refused[: len(refused) - beyond]).items():
            self.rejected(producer, reason, count, schema)
        if beyond:
            self.shed(producer, beyond, "unkept")

    def tell(self) -> None:
        """Brings what was added up since the last time into the metrics."""
        answers, self._answers = self._answers, defaultdict(int)
        accepted, self._accepted = self._accepted, defaultdict(int)
        for (route, status), count in answers.items():
            self._telemetry.count("touchline_gateway_requests_total", count, route=route, status=str(status))
        for producer, count in accepted.items():
            self._telemetry.count("touchline_gateway_received_total", count, producer=producer)
            self._telemetry.count("touchline_gateway_accepted_total", count, producer=producer)


def _schema_of(value: bytes) -> str:
    """The record that a refused value was to be, by the fields that only one of them must have."""
    return "feedback.v1" if b'"metric"' in value else "touchpoint.v1" if b'"touchpoint"' in value else ""
