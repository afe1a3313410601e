"""A rejected event mended: what a change may do, and that nothing is guessed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pipeline.customers.pseudonyms import Pseudonyms
from pipeline.errors import UsageError
from pipeline.intake.repair import Edits, Mended, edits_of, mended
from schemas.explain import Rejection

GOOD: dict[str, Any] = {
    "event_id": "e1",
    "occurred_at": "2026-11-18T11:00:00Z",
    "channel": "web",
    "metric": "nps",
    "score": 9,
    "customer_id": "c1",
    "theirs": {"deep": 1},
}


def outcome(changed: dict[str, Any], *edits: str, maps: tuple[str, ...] = (), **more: Any) -> Mended | Rejection:
    return mended("feedback", json.dumps(GOOD | changed).encode(), "feedback/1/2/3", edits_of(edits, maps), **more)


def test_what_is_fine_goes_on_as_the_bytes_it_was() -> None:
    found = outcome({})
    assert isinstance(found, Mended)
    assert (found.key, json.loads(found.value)) == (b"c1", GOOD)


@pytest.mark.parametrize(
    ("changed", "sets", "maps"),
    [
        ({"score": 11}, ["score=10"], []),
        ({"score": "9"}, [], ["score=score"]),
        ({"score": None, "rating": 9}, [], ["score=rating"]),
        ({"score": 9, "scale_min": 1}, ["scale_min="], []),
        ({"version": 99}, ["version=1"], []),
        ({"ref": {"order": 5}}, ["ref="], []),
        ({"attributes": {"deep": {}}}, ["attributes.deep="], []),
        ({"event_id": ""}, ["event_id=@origin"], []),
    ],
)
def test_a_change_mends_one_field(changed: dict[str, Any], sets: list[str], maps: list[str]) -> None:
    assert isinstance(outcome(changed), Rejection)
    assert isinstance(outcome(changed, *sets, maps=tuple(maps)), Mended)


def test_an_id_of_the_origin_is_the_same_each_time() -> None:
    found = [outcome({"event_id": 4}, "event_id=@origin") for _ in range(2)]
    assert [each.event.event_id for each in found if isinstance(each, Mended)] == ["replay:feedback/1/2/3"] * 2


@pytest.mark.parametrize("value", [b"{", b"[1]", b"", b"\xff", b'"text"'])
def test_what_is_no_object_stays_rejected_whatever_is_set(value: bytes) -> None:
    for edits in (Edits(), Edits({"score": "9"})):
        assert isinstance(mended("feedback", value, "o", edits), Rejection)


def test_a_structured_envelope_is_opened_for_a_change() -> None:
    inside = {name: value for name, value in GOOD.items() if name not in ("event_id", "theirs")} | {"score": 12}
    cloud = {"specversion": "1.0", "id": "c-1", "type": "touchline.feedback.v1", "source": "/x", "data": inside}
    value = json.dumps(cloud).encode()
    assert isinstance(mended("feedback", value, "o", Edits()), Rejection)
    found = mended("feedback", value, "o", Edits({"score": "9"}))
    assert isinstance(found, Mended)
    assert found.event.event_id == "c-1"


def test_where_the_deployment_wants_pseudonyms_the_mended_event_has_one() -> None:
    pseudonyms = Pseudonyms(1, bytes(range(32)))
    found = outcome({}, pseudonyms=pseudonyms)
    assert isinstance(found, Mended)
    assert found.key == pseudonyms.text("c1").encode()


@pytest.mark.parametrize(
    ("sets", "maps"), [(["score"], []), (["scor=9"], []), (["=9"], []), ([], ["score="]), (["ref.nothing=1"], [])]
)
def test_a_change_that_makes_no_sense_is_refused(sets: list[str], maps: list[str]) -> None:
    with pytest.raises(UsageError):
        edits_of(sets, maps)
