"""Planted events: each kind is refused by the codec for the reason it was made for."""

from __future__ import annotations

import numpy as np
import orjson
import pytest

from pipeline.intake.encoding import Encoded
from pipeline.intake.planted import KINDS, plant
from schemas.codec import check, decode
from schemas.feedback import Feedback
from schemas.vocabulary import Reason

GOOD = orjson.dumps(
    {
        "event_id": "e1",
        "occurred_at": "2026-11-18T11:00:00.000Z",
        "channel": "web",
        "metric": "csat",
        "score": 4,
        "scale_min": 1,
        "scale_max": 5,
    }
)


def reason_of(value: bytes) -> Reason | None:
    found = decode("feedback", [value], [()])
    if found.rejections:
        return found.rejections[0].reason
    event = found.events[0]
    assert isinstance(event, Feedback)
    wrong = check(event)
    return wrong.reason if wrong else None


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("broken_json", Reason.NOT_JSON),
        ("nps_11", Reason.OUT_OF_RANGE),
        ("score_as_text", Reason.WRONG_TYPE),
        ("unknown_channel", Reason.UNKNOWN_VALUE),
    ],
)
def test_a_planted_event_is_rejected_for_its_reason(kind: str, reason: Reason) -> None:
    assert reason_of(GOOD) is None
    assert reason_of(KINDS[kind](GOOD)) is reason


def test_an_event_of_next_year_is_well_formed_and_only_its_time_is_wrong() -> None:
    value = KINDS["next_year"](GOOD)
    assert reason_of(value) is None
    assert orjson.loads(value)["occurred_at"].startswith("2027-")


def events(size: int) -> Encoded:
    values = [GOOD.replace(b"e1", b"e%d" % number) for number in range(size)]
    return Encoded([b"c%d" % number for number in range(size)], values, list(range(size)))


def test_doubles_and_conflicts_repeat_an_earlier_id_under_the_same_key() -> None:
    before = events(5_000)
    after, planted = plant(np.random.default_rng(1), 0.05, before, answers=True)
    assert len(after.values) == len(before.values)
    assert planted["duplicate"] > 5
    assert planted["conflict"] > 5
    seen: dict[str, tuple[bytes, bytes]] = {}
    doubles = conflicts = 0
    for key, value in zip(after.keys, after.values, strict=True):
        try:
            name = orjson.loads(value)["event_id"]
        except orjson.JSONDecodeError:
            continue
        if name in seen:
            assert seen[name][0] == key
            doubles += seen[name][1] == value
            conflicts += seen[name][1] != value
        seen.setdefault(name, (key, value))
    assert (doubles, conflicts) == (planted["duplicate"], planted["conflict"])


def test_touchpoints_get_no_wrong_scores_and_a_share_of_zero_changes_nothing() -> None:
    before = events(2_000)
    _, planted = plant(np.random.default_rng(1), 0.2, before, answers=False)
    assert not {"nps_11", "score_as_text"} & set(planted)
    assert plant(np.random.default_rng(1), 0.0, before, answers=True) == (before, {})
