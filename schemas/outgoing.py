"""Records that Touchline writes for others: scores, alerts, rejected events, ticks."""

from __future__ import annotations

import msgspec

from schemas.vocabulary import Reason, Stage


class Score(msgspec.Struct, frozen=True, kw_only=True):
    """One score of one scope and window: the whole score over all partitions, never a partial.

    Readers keep the highest (`ver`, `revision`) of a (`scope`, `metric`, `scale`, `start`, `seconds`). `score` and the
    interval are None while `status` is "insufficient" (n < 10). `final` says that every partition has passed its end;
    `reason` why a final window changed (delayed, revised, restated, relabelled, merged, erased, same_event; several
    with commas between). `behind` counts the events that had arrived and were not counted yet: in the thousands the
    stream is catching up after an outage, and the score will change.
    """

    scope: dict[str, str]
    metric: str
    scale: str
    start: str
    seconds: int
    n: int
    score: float | None
    low: float | None
    high: float | None
    unit: str
    method: str
    status: str
    histogram: list[int]
    revision: int
    final: bool
    reason: str | None
    ver: int
    as_of: str
    behind: int = 0


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """A number with its 95 % interval and the answers behind it, in the unit of its metric (NPS: fractions)."""

    value: float
    low: float
    high: float
    n: int


class Alert(msgspec.Struct, frozen=True, kw_only=True):
    """One step in the life of an alert, an incident or a silence (`kind`); a repeated message is recognised by its id.

    Readers keep the highest (`ver`, `revision`) of an `alert_id`. An incident gathers the alerts that one owner is
    called for; alerts name it by its key (`incident`), which stays when it is opened again. `score` is that of the last
    look, `size` the estimated drop against `baseline` since `began`; each is None where fewer than 10 answers stand
    behind it. `step` says what happened, `by` who did it when it was a person, `why` what they said.
    """

    alert_id: str
    state: str
    rule: str
    scope: dict[str, str]
    owner: str
    revision: int
    at: str
    kind: str = "alert"
    step: str = ""
    by: str = ""
    why: str = ""
    incident: str = ""
    severity: str = ""
    metric: str = ""
    scale: str = ""
    window_end: str = ""
    began: str = ""
    score: Reading | None = None
    size: Reading | None = None
    baseline: float | None = None
    count: int = 0
    reopened: int = 0
    acked_by: str = ""
    level: int = 0
    silenced: str = ""
    inhibited: str = ""
    shadow: bool = False
    runbook: str = ""
    ver: int = 0


class Rejected(msgspec.Struct, frozen=True, kw_only=True):
    """One rejected event: the sealed original bytes and where they came from; the reason also in the headers."""

    topic: str
    epoch: int
    partition: int
    offset: int
    stage: Stage
    reason: Reason
    path: str
    detail: str
    sealed: str
    key_id: int
    producer: str = ""

    @property
    def headers(self) -> list[tuple[str, bytes]]:
        """Kafka headers of the message: what can be looked for without opening it."""
        return [
            ("touchline_error", self.reason.encode()),
            ("touchline_error_stage", self.stage.encode()),
            ("touchline_path", self.path.encode()),
            ("touchline_producer", self.producer.encode()),
            ("touchline_origin_topic", self.topic.encode()),
            ("touchline_origin_partition", str(self.partition).encode()),
            ("touchline_origin_offset", str(self.offset).encode()),
        ]


class Tick(msgspec.Struct, frozen=True, kw_only=True):
    """One heartbeat a second from the owner of the topic `ticks`; its append time is "now"."""

    ver: int
    number: int
