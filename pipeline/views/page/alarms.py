"""The newest step of each alert of the topic `alerts`, bounded. Pure.

Fields are taken as they come: the record may gain some. An incident gathers alerts, which are then shown with it: they
hold the evidence. `since` is when the present trouble began to be told, the clock of whoever acts.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

import orjson

#: Alerts of the last week are shown.
ALARMS_S: Final = 7 * 86_400
#: Alerts that are kept; far more than people can act on.
MOST: Final = 1_000
#: States in which nothing is left to do.
OVER: Final = frozenset({"resolved", "closed", "expired"})
_SHOWN: Final = 100
#: Alerts that are shown with their incident; `count` says how many there are.
_MEMBERS: Final = 5


class Alarms:
    """Alerts by id, the highest (`ver`, `revision`) of each."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._held: dict[str, dict[str, Any]] = {}

    def take(self, value: bytes | None) -> bool:
        """Keeps a step unless a newer one of its alert is there; False when nothing changed or it is no alert."""
        try:
            step = orjson.loads(value or b"")
        except orjson.JSONDecodeError:
            return False
        if not isinstance(step, dict) or not _is_alert(step):
            return False
        name = step["alert_id"]
        held = self._held.get(name)
        if held is not None and _age(held) >= _age(step):
            return False
        began_anew = held is None or (held["state"] in OVER and step["state"] not in OVER)
        self._held.pop(name, None)
        self._held[name] = {**step, "since": step["at"] if began_anew or held is None else held["since"]}
        if len(self._held) > self._most:
            del self._held[next(iter(self._held))]
        return True

    def newest(self, now: float) -> list[dict[str, Any]]:
        """What is shown, unanswered ones first, then open, then newest: incidents, and alerts that belong to none."""
        shown = [
            step
            for step in self._held.values()
            if step.get("kind", "alert") in ("incident", "alert")
            and not (step.get("kind", "alert") == "alert" and step.get("incident"))
            and not step.get("shadow")
            and _second(step) >= now - ALARMS_S
        ]
        shown.sort(key=lambda step: (step["state"] in OVER, bool(step.get("acked_by")), -_second(step)))
        return [self._with_alerts(step) for step in shown[:_SHOWN]]

    def find(self, name: str) -> dict[str, Any] | None:
        """The newest step of one alert or incident."""
        return self._held.get(name)

    def _with_alerts(self, step: dict[str, Any]) -> dict[str, Any]:
        """An incident with its alerts, those that still fire first."""
        if step.get("kind") != "incident" or not step.get("incident"):
            return step
        members = [
            one
            for one in self._held.values()
            if one.get("kind", "alert") == "alert" and one.get("incident") == step["incident"]
        ]
        members.sort(key=lambda one: (one["state"] in OVER, -_second(one)))
        return {**step, "alerts": members[:_MEMBERS]}

    def open(self, now: float) -> int:
        """How many of them somebody has to do something about."""
        return sum(step["state"] not in OVER for step in self.newest(now))


def began(shown: Mapping[str, Any]) -> float:
    """When the trouble of what is shown began, before anybody was called: of an incident, of its first alert."""
    texts = [one["began"] for one in shown.get("alerts", [shown]) if one.get("began")]
    return min(map(_moment, texts), default=_second(shown))


def _is_alert(step: Mapping[str, Any]) -> bool:
    texts = all(isinstance(step.get(name), str) for name in ("alert_id", "state", "rule", "owner", "at"))
    return texts and isinstance(step.get("revision"), int) and isinstance(step.get("scope"), dict) and _second(step) > 0


def _age(step: Mapping[str, Any]) -> tuple[int, int]:
    return (int(step.get("ver", 0) or 0), int(step["revision"]))


def _second(step: Mapping[str, Any]) -> float:
    return _moment(step["at"])


def _moment(text: str) -> float:
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        return 0.0
