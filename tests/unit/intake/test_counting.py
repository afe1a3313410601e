"""What the gateway counts of refused events: by producer, by the record they were to be, and by reason."""

from __future__ import annotations

from typing import Any

from pipeline.intake.admission import Judged
from pipeline.intake.counting import Counts
from pipeline.telemetry import GATEWAY_METRICS, Telemetry
from schemas.explain import reject
from schemas.vocabulary import Reason


def refused(value: bytes, reason: Reason) -> Judged:
    return Judged("", b"", value, "", reject(reason, "$", ""))


def counted(telemetry: Telemetry, name: str) -> dict[tuple[Any, ...], float]:
    return {
        tuple(sample.labels.values()): sample.value
        for family in telemetry.registry.collect()
        for sample in family.samples
        if sample.name == name
    }


def test_refused_events_are_counted_by_producer_record_and_reason_and_those_beyond_are_shed() -> None:
    telemetry = Telemetry(GATEWAY_METRICS)
    counts = Counts(telemetry)
    judged = [
        Judged("feedback", b"k", b"{}", "e", None),
        refused(b'{"metric": "nps", "score": 11}', Reason.OUT_OF_RANGE),
        refused(b'{"metric": "nps", "score": 12}', Reason.OUT_OF_RANGE),
        refused(b'{"touchpoint": 1}', Reason.OUT_OF_RANGE),
        refused(b"{", Reason.NOT_JSON),
        refused(b"}", Reason.NOT_JSON),
    ]
    counts.judged("shop", judged, accepted=1, beyond=1)
    counts.rejected("", "unauthorized", 1)
    counts.tell()
    assert counted(telemetry, "touchline_gateway_rejected_total") == {
        ("shop", "feedback.v1", "out_of_range"): 2,
        ("shop", "touchpoint.v1", "out_of_range"): 1,
        ("shop", "", "not_json"): 1,
        ("", "", "unauthorized"): 1,
    }
    assert sum(counted(telemetry, "touchline_gateway_received_total").values()) == 7
    assert counted(telemetry, "touchline_gateway_shed_total") == {("shop", "unkept"): 1}
