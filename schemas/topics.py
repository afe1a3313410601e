"""The topic table: name, record, key, partitions, retention, who produces and who consumes."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from schemas.feedback import Feedback
from schemas.outgoing import Alert, Rejected, Score, Tick
from schemas.profile import Profile
from schemas.touchpoint import Touchpoint

_DAY_MS = 24 * 3600 * 1000


@dataclass(frozen=True, slots=True)
class Topic:
    """One topic: `records` are the types a value may have; `partitions` None means the deployment's number."""

    name: str
    records: tuple[type[msgspec.Struct], ...]
    key: str
    partitions: int | None
    retention_ms: int | None
    compacted: bool
    producer: str
    consumer: str
    about: str


TOPICS: tuple[Topic, ...] = (
    Topic(
        "touchpoints",
        (Touchpoint,),
        "customer",
        None,
        30 * _DAY_MS,
        False,
        "channels",
        "worker",
        "what customers did",
    ),
    Topic(
        "feedback",
        (Feedback,),
        "customer",
        None,
        30 * _DAY_MS,
        False,
        "channels",
        "worker",
        "what customers said",
    ),
    Topic(
        "history",
        (Touchpoint, Feedback),
        "customer",
        None,
        30 * _DAY_MS,
        False,
        "import",
        "worker",
        "imported events: no age or lateness rule, quiet",
    ),
    Topic(
        "profiles",
        (Profile,),
        "customer",
        None,
        None,
        True,
        "profile owners",
        "worker",
        "segments and attributes of customers, newest kept",
    ),
    Topic(
        "scores",
        (Score,),
        "scope",
        None,
        7 * _DAY_MS,
        False,
        "worker",
        "readers",
        "live scores with n and interval",
    ),
    Topic("alerts", (Alert,), "alert", None, 90 * _DAY_MS, False, "worker", "readers", "the life of alerts"),
    Topic(
        "rejected",
        (Rejected,),
        "origin",
        None,
        30 * _DAY_MS,
        False,
        "worker",
        "operators",
        "rejected events with reason and sealed bytes",
    ),
    Topic("ticks", (Tick,), "none", 1, _DAY_MS, False, "worker", "worker", "one heartbeat a second"),
)

#: Topics whose records get one ledger row per offset.
LEDGER_TOPICS: tuple[str, ...] = ("touchpoints", "feedback", "history")

BY_NAME: dict[str, Topic] = {topic.name: topic for topic in TOPICS}
