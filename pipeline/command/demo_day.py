"""The last hours of the demo [I/O]: told as live events at a tempo, with an incident that is found and passes.

Deliveries of one region go wrong from 90 to 60 minutes before now. All event times are true; the day is told within
seconds, its last two hours slowly enough to watch the alert open and end.
"""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec

from pipeline.alerts.entries import Account, Notice
from pipeline.alerts.messages import account
from pipeline.alerts.reading import read_book
from pipeline.alerts.receivers.wording import lines, title
from pipeline.clickhouse import ClickHouse
from pipeline.intake.loading import Telling
from pipeline.intake.retelling import Tempo
from pipeline.intake.world import Incident, Trouble, World
from pipeline.settings import Settings

if TYPE_CHECKING:
    from pipeline.command.demo import Plan

_MINUTE_MS = 60_000
REGION = "north"
#: Minutes before now: the incident, and from where on the day is told slowly.
_BEGAN, _ENDED, _SLOW_FROM = 90, 60, 120
#: The day waits for its alert so many minutes after the end of the incident: its windows are closed by then.
_AFTER = 3
#: Where the incident is.
_TOUCHPOINT = "delivery"
#: Nine of ten deliveries of the region are late; three weeks of a million events can show no less in half an hour.
_SHARE = 0.9
#: Answers come within minutes instead of hours: in half an hour of trouble nobody would have said a word yet.
_PACE = 1 / 24
#: Seconds to draw the day before it begins to be told: so many events a second, twice that on a quiet machine.
_DRAWN_S, _LEAST_DRAW_S = 20_000, 3.0
#: The book is read this often, seconds.
_LOOK_S = 1.0
#: What the routes of the demo say: nobody waits half a minute for more of the same.
ROUTES = """# Written by `touchline demo`: alerts are lines on the workers' standard output (their logs), at once.
[receivers.terminal]
type = "stdout"

[routes.default]
receivers = ["terminal"]
group_wait_s = 1
"""


def day_of(plan: Plan, now_ms: int) -> Telling:
    """The day that ends when it has been told; it waits after its incident until somebody was called."""
    draw_s = max(_LEAST_DRAW_S, plan.day / _DRAWN_S)
    quick_s, slow_s = plan.telling
    end_ms = now_ms + int(1000 * (draw_s + quick_s + slow_s))
    incident = Incident(
        Trouble.LATE_DELIVERY, end_ms - _BEGAN * _MINUTE_MS, end_ms - _ENDED * _MINUTE_MS, REGION, share=_SHARE
    )
    world = World(customers=plan.customers, bad=plan.bad, incidents=(incident,), pace=_PACE, cycle=False)
    tempo = Tempo(
        start_ms=end_ms - plan.hours * 60 * _MINUTE_MS,
        slow_from_ms=end_ms - _SLOW_FROM * _MINUTE_MS,
        end_ms=end_ms,
        quick_s=quick_s,
        slow_s=slow_s,
        watch_ms=end_ms - (_ENDED - _AFTER) * _MINUTE_MS,
    )
    return Telling(world, plan.day, tempo)


@dataclass(slots=True)
class Alarms:
    """What became of alerts, read from their book: each incident as a receiver is told of it, when it opens and ends.

    `link` is the address of an incident with `{incident}` in it. `told` has the state said last of each incident.
    """

    settings: Settings
    link: str = ""
    told: dict[str, str] = field(default_factory=dict)
    accounts: dict[str, Account] = field(default_factory=dict)
    _client: ClickHouse | None = None
    _next: float = 0.0
    _changed: float = 0.0

    def look(self) -> list[str]:
        """New lines since the last look; blocking. Raises Unavailable."""
        if time.monotonic() < self._next:
            return []
        self._next = time.monotonic() + _LOOK_S
        self._client = self._client or ClickHouse(self.settings)
        book, said = read_book(self._client), []
        for incident in book.incidents.values():
            # Of those that nobody is called for (a part of another one explains them) nothing is said.
            seen = account(book, incident)
            word = "firing" if incident.open else "resolved"
            if not seen.parts or (incident.open and not incident.told_ms):
                continue
            self.accounts[incident.id] = seen
            if self.told.get(incident.id) != word:
                # One that came and went between two looks, as on a slow machine, has both said of it.
                words = [word] if incident.open or incident.id in self.told else ["firing", word]
                self.told[incident.id] = word
                self._changed = time.monotonic()
                said += [line for each in words for line in text(seen, each, int(time.time() * 1000), self.link)]
        return said

    def close(self) -> None:
        """Lets the connection go."""
        if self._client is not None:
            self._client.close()

    @property
    def opened(self) -> bool:
        """Whether somebody was called because of deliveries."""
        return any(
            dict(part.finding.scope).get("touchpoint") == _TOUCHPOINT
            for each in self.accounts.values()
            for part in each.parts
        )

    def over(self, still_s: float = float("inf")) -> bool:
        """Whether something fired and all that fired has ended, or some of it and nothing changed for `still_s`."""
        ended = [state == "resolved" for state in self.told.values()]
        return bool(ended) and (all(ended) or (any(ended) and time.monotonic() - self._changed > still_s))

    def documents(self) -> list[dict[str, Any]]:
        """Every incident for `--json`."""
        return [
            {
                "incident": each.id,
                "state": str(each.state),
                "severity": each.severity,
                "owner": each.owner,
                "alerts": [{"id": part.id, "scope": dict(part.finding.scope)} for part in each.parts],
            }
            for each in self.accounts.values()
        ]

    def summary(self) -> str:
        """One line for the end."""
        states = Counter(self.told.values())
        owners = ", ".join(sorted({each.owner for each in self.accounts.values()})) or "nobody"
        return f"alerts    {len(self.told)} incidents: " + (
            ", ".join(f"{n} {state}" for state, n in sorted(states.items())) + f"; called: {owners}"
            if self.told
            else "none"
        )


def text(seen: Account, word: str, now_ms: int, link: str) -> list[str]:
    """An incident as a receiver is told of it: title, owner, numbers, evidence; of its end when it was over."""
    hidden = max(len(seen.parts) - 1, 0)
    one = msgspec.structs.replace(seen, parts=seen.parts[:1], truncated=seen.truncated + hidden)
    notice = Notice(fingerprint=seen.key, state=word, revision=0, receiver="demo", at_ms=now_ms, accounts=[one])
    return [title(notice), *(f"  {line}" for line in lines(notice, link))]
