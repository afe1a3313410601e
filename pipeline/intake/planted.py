"""Bad events on purpose: what a broken producer sends, so that a demo and tests can see it rejected. Pure, seeded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import orjson

from pipeline.intake.encoding import Encoded

#: How far back a repeated event is taken from, in events of the same topic.
BACK = 500


def plant(rng: np.random.Generator, share: float, events: Encoded, answers: bool) -> tuple[Encoded, dict[str, int]]:
    """Puts a bad event in the place of `share` of the events; also says how many of each kind there are.

    The kinds are those of KINDS (each a dead letter), `duplicate` and `conflict` (an earlier event again, as it was
    or changed). `answers` says that the events are feedback: only those can have a wrong score. The number of
    events stays as it is.
    """
    size = len(events.values)
    places = np.flatnonzero(rng.random(size) < share).tolist()
    if not places:
        return events, {}
    keys, values = list(events.keys), list(events.values)
    names = [*(kind for kind in KINDS if answers or kind not in OF_ANSWERS), "duplicate", "conflict"]
    done: Counter[str] = Counter()
    bad = set(places)
    for place in places:
        kind = names[int(rng.integers(len(names)))]
        earlier = place - 1 - int(rng.integers(BACK))
        if kind not in KINDS and (earlier < 0 or earlier in bad):
            kind = "broken_json"
        if kind in KINDS:
            values[place] = KINDS[kind](values[place])
        else:
            keys[place] = keys[earlier]
            values[place] = values[earlier] if kind == "duplicate" else _changed(values[earlier])
        done[kind] += 1
    return Encoded(keys, values, events.times), dict(done)


def _broken(value: bytes) -> bytes:
    return value[: len(value) // 2]


def _eleven(value: bytes) -> bytes:
    return _with(value, metric="nps", score=11, scale_min=0, scale_max=10)


def _score_as_text(value: bytes) -> bytes:
    return _with(value, metric="nps", score="9", scale_min=0, scale_max=10)


def _next_year(value: bytes) -> bytes:
    return _with(value, occurred_at=f"{int(orjson.loads(value)['occurred_at'][:4]) + 1}-06-01T12:00:00.000Z")


def _unknown_channel(value: bytes) -> bytes:
    return _with(value, channel="pigeon")


def _changed(value: bytes) -> bytes:
    """The same event id with other content."""
    document = orjson.loads(value)
    if document.get("score") is not None:
        low = document["scale_min"]
        return _with(value, score=low if document["score"] != low else low + 1)
    return _with(value, campaign="changed-afterwards")


def _with(value: bytes, **fields: Any) -> bytes:
    return orjson.dumps({**orjson.loads(value), **fields})


#: Each makes a dead letter of a good event.
KINDS: dict[str, Callable[[bytes], bytes]] = {
    "broken_json": _broken,
    "nps_11": _eleven,
    "score_as_text": _score_as_text,
    "next_year": _next_year,
    "unknown_channel": _unknown_channel,
}
#: These make sense in feedback only; a touchpoint has no score.
OF_ANSWERS = ("nps_11", "score_as_text")
