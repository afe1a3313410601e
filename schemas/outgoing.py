"""Records that Touchline writes for others: scores, alerts, rejected events, ticks."""

from __future__ import annotations

import msgspec

from schemas.vocabulary import Reason, Stage


class Score(msgspec.Struct, frozen=True, kw_only=True):
    """One score of one scope and window: the whole score over all partitions, never a partial.

    Readers keep the highest (`ver`, `revision`) of a (`scope`, `metric`, `scale`, `start`, `seconds`). `score` and the
    interval are None while `status` is "insufficient" (n < 10). `final` says that every partition has passed its end.
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


class Alert(msgspec.Struct, frozen=True, kw_only=True):
    """One step in the life of an alert; the id is deterministic, so a repeated message is recognised."""

    alert_id: str
    state: str
    rule: str
    scope: dict[str, str]
    owner: str
    revision: int
    at: str


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


class Tick(msgspec.Struct, frozen=True, kw_only=True):
    """One heartbeat a second from the owner of the topic `ticks`; its append time is "now"."""

    ver: int
    number: int
