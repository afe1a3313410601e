"""Numbered events from a seed: mostly good, some bad, doubled, delayed, late, revised, with a text, from history."""

from __future__ import annotations

import json
import random
from collections import deque
from datetime import UTC, datetime
from typing import Any, NamedTuple

CHANNELS = ("web", "app", "store", "call", "email", "chat")
TOUCHPOINTS = ("checkout", "delivery", "support_call", "app_session", "not_in_the_registry")
UNITS = ("berlin", "paris", "online")
OUTCOMES = (None, "ok", "fail", "abandon")
#: Answers of three metrics: name, lowest, highest.
METRICS = (("nps", 0, 10), ("csat", 1, 5), ("ces", 1, 7))
TEXTS = (
    "The delivery was late and nobody answered the phone.",
    "Very friendly staff, I will come back.",
    "The parcel came on Tuesday.",
    "Die Rechnung war falsch und niemand hat geholfen.",
    "Great service, quick and easy!",
)
#: Values that are no events, whatever the rules of time say.
BROKEN = (b"\xff\xfe", b"{", b"", b"[]", b'{"event_id":"x"}', b"null")
#: Customers: few enough for every one to come again, many enough to fill all partitions.
CUSTOMERS = 500


class Event(NamedTuple):
    """What to produce: `topic` is a plain name."""

    topic: str
    key: bytes
    value: bytes | None


class Generator:
    """An endless, seeded stream of events. The moment of each call is an argument, milliseconds since 1970."""

    def __init__(self, seed: int, *, texts: float = 0.05, bad: float = 0.02, history: float = 0.04) -> None:
        self._dice = random.Random(seed)
        self._seed = seed
        self._texts, self._bad, self._history = texts, bad, history
        self._recent: deque[Event] = deque(maxlen=400)
        self._answers: deque[tuple[dict[str, Any], bytes]] = deque(maxlen=400)
        self.number = 0

    def next(self, now_ms: int) -> Event:
        """The next event."""
        dice = self._dice
        self.number += 1
        roll = dice.random()
        if roll < self._bad:
            return self._broken(now_ms)
        if roll < self._bad + 0.025 and self._recent:
            return self._double()
        if roll < self._bad + 0.05 and self._answers:
            return self._revision(now_ms)
        if roll < self._bad + 0.052:
            return Event("feedback", self._customer(), None)
        event = self._good(now_ms)
        self._recent.append(event)
        return event

    def _customer(self) -> bytes:
        return f"customer-{self._dice.randrange(CUSTOMERS)}".encode()

    def _good(self, now_ms: int) -> Event:
        roll = self._dice.random()
        if roll < self._history:
            return self._event("history", now_ms - self._dice.randrange(40 * 86_400_000))
        if roll < self._history + 0.02:  # its minute has passed
            return self._event("feedback", now_ms - self._dice.randrange(5 * 60_000, 20 * 3_600_000))
        if roll < self._history + 0.035:  # beyond the lateness allowed
            return self._event("feedback", now_ms - self._dice.randrange(25 * 3_600_000, 29 * 86_400_000))
        topic = "touchpoints" if self._dice.random() < 0.25 else "feedback"
        return self._event(topic, now_ms - self._dice.randrange(20_000))

    def _event(self, topic: str, occurred_ms: int) -> Event:
        customer = self._customer()
        body: dict[str, Any] = {
            "event_id": f"{self._seed}-{self.number}",
            "occurred_at": moment(occurred_ms),
            "channel": self._dice.choice(CHANNELS),
            "touchpoint": self._dice.choice(TOUCHPOINTS),
            "customer_id": customer.decode(),
            "unit": self._dice.choice(UNITS),
        }
        if topic == "touchpoints":
            outcome = self._dice.choice(OUTCOMES)
            body |= {"outcome": outcome} if outcome else {}
        else:
            metric, low, high = self._dice.choice(METRICS)
            body |= {"metric": metric, "score": self._dice.randint(low, high)}
            if self._dice.random() < 0.2:
                body |= {"product": self._dice.choice(("basic", "plus"))}
            if self._dice.random() < self._texts:
                body["text"] = self._dice.choice(TEXTS)
            if self._dice.random() < 0.3:
                body |= {"submission_id": f"s-{self._seed}-{self.number}", "revision": 1}
                self._answers.append((body, customer))
        return Event(topic, customer, json.dumps(body).encode())

    def _double(self) -> Event:
        event = self._dice.choice(self._recent)
        if event.value is None or self._dice.random() < 0.8:
            return event
        return event._replace(value=event.value.replace(b'"channel": ', b'"channel":  '))

    def _revision(self, now_ms: int) -> Event:
        body, customer = self._dice.choice(self._answers)
        _, low, high = next(each for each in METRICS if each[0] == body["metric"])
        changed = body | {
            "event_id": f"{self._seed}-{self.number}",
            "occurred_at": moment(now_ms - self._dice.choice((1_000, 1_000, 1_000, 3 * 3_600_000, 26 * 3_600_000))),
            "revision": body["revision"] + self._dice.choice((1, 1, 1, 2, 0, -1)),
            "score": self._dice.randint(low, high),
        }
        changed["revision"] = max(0, changed["revision"])
        self._answers.append((changed, customer))
        return Event("feedback", customer, json.dumps(changed).encode())

    def _broken(self, now_ms: int) -> Event:
        if self._dice.random() < 0.5:
            return Event("feedback", self._customer(), self._dice.choice(BROKEN))
        good = self._event("feedback", now_ms)
        body = json.loads(good.value or b"")
        body |= self._dice.choice(
            (
                {"score": 11},
                {"score": "9"},
                {"score": 7.5},
                {"channel": "pigeon"},
                {"occurred_at": moment(now_ms + 366 * 86_400_000)},
                {"occurred_at": moment(now_ms - 31 * 86_400_000)},
                {"occurred_at": "2026-01-01T00:00:00"},
                {"event_id": ""},
            )
        )
        return Event("feedback", good.key, json.dumps(body).encode())


def moment(at_ms: int) -> str:
    """RFC 3339 with milliseconds."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds")
