"""What a gateway refuses: a place by its bytes, sealed, and no more of it than a key may have kept."""

from __future__ import annotations

import base64
import json

import pytest

from pipeline.access.keys import Grant
from pipeline.arrival.rules import ArrivalRules
from pipeline.customers.sealing import Sealer, context
from pipeline.intake.admission import Judged, Rules, judge
from pipeline.intake.bodies import Items
from pipeline.intake.places import Place, place_of
from pipeline.intake.refusals import Refusals, shown
from pipeline.intake.refusals import place_of as place_of_bytes
from schemas.explain import reject
from schemas.limits import MAX_VALUE_BYTES
from schemas.vocabulary import Reason

SEALER = Sealer(1, bytes(range(32)))
SHOP, TILL = Grant("k1", "shop", frozenset()), Grant("k2", "till", frozenset())
FINE = Judged("feedback", b"k", b"v", "e0", None)
NOW = 1_800_000_000_000


def bad(value: bytes) -> Judged:
    return Judged("", b"", value, "", reject(Reason.OUT_OF_RANGE, "$.score", "Expected `int` <= 10"))


def test_the_same_bytes_of_a_producer_have_one_place_and_others_have_others() -> None:
    places = {place_of_bytes("shop", b"x"), place_of_bytes("shop", b"y"), place_of_bytes("till", b"x")}
    assert len(places) == 3
    assert place_of_bytes("shop", b"x") in places
    assert all(place[:3] == ("gateway", 0, 0) and place.off >= 0 for place in places)
    assert {place_of(place.text) for place in places} == places


def test_a_refused_event_is_a_message_that_opens_at_its_place_only() -> None:
    (parcel,), beyond = Refusals(SEALER).kept(SHOP, [FINE, bad(b'{"score": 11}')], NOW)
    record = json.loads(parcel.value)
    place = Place(record["topic"], record["epoch"], record["partition"], record["offset"])
    assert (parcel.topic, beyond, place) == ("rejected", 0, place_of_bytes("shop", b'{"score": 11}'))
    sealed = base64.b64decode(record["sealed"])
    assert SEALER.open(sealed, context(*place)) == b'{"score": 11}'
    assert b"11" not in sealed
    assert (record["reason"], record["path"], record["producer"]) == ("out_of_range", "$.score", "shop")
    assert ("touchline_origin_topic", b"gateway") in parcel.headers


def test_beyond_the_bound_of_a_key_and_minute_nothing_is_kept_and_others_are_not_touched() -> None:
    refusals = Refusals(SEALER, most=3)
    events = [bad(b"%d" % number) for number in range(5)]
    kept, beyond = refusals.kept(SHOP, [FINE, *events], NOW)
    assert (len(kept), beyond) == (3, 2)
    assert (len(refusals.kept(SHOP, events[:1], NOW)[0]), len(refusals.kept(TILL, events[:1], NOW)[0])) == (0, 1)
    assert len(refusals.kept(SHOP, events[:1], NOW + 60_000)[0]) == 1


def test_bytes_are_bounded_too_and_a_long_body_is_cut() -> None:
    refusals = Refusals(SEALER, most_bytes=MAX_VALUE_BYTES)
    (parcel,), beyond = refusals.kept(SHOP, [bad(b"x" * (MAX_VALUE_BYTES + 1)), bad(b"y")], NOW)
    assert beyond == 1
    assert f"the first {MAX_VALUE_BYTES} are kept" in json.loads(parcel.value)["detail"]


def test_every_refused_event_is_counted_as_an_arrival_also_one_that_is_not_kept() -> None:
    refusals = Refusals(SEALER, most=1)
    refusals.kept(SHOP, [bad(b"1"), FINE, bad(b"2")], NOW + 12_345)
    counts = refusals.taken()
    assert counts == {((NOW + 10_000) // 1000, "shop", "out_of_range"): 2}
    assert not refusals.taken()
    refusals.put_back(counts)
    assert refusals.taken() == counts


@pytest.mark.parametrize(
    "fields",
    [
        {"score": "canary@example.org"},
        {"channel": "canary@example.org"},
        {"canary@example.org": {"nested": 1}},
        {"attributes": {"canary@example.org": [1]}},
        {"ref": {"canary@example.org": 1}},
        {"event_id": "canary@example.org" * 20},
    ],
)
def test_nothing_of_a_customer_stands_open_in_what_is_kept(fields: dict[str, object]) -> None:
    known = {"event_id": "e1", "occurred_at": "2027-01-15T08:00:00Z", "channel": "web", "metric": "nps", "score": 9}
    value = json.dumps({**known, "customer_id": "canary-77", "text": "canary@example.org", **fields}).encode()
    rules = Rules(ArrivalRules(), unknown="refuse")
    judged = judge(Items([value], [()]), SHOP, rules, NOW)
    assert judged[0].rejection is not None
    (parcel,), _ = Refusals(SEALER).kept(SHOP, judged, NOW)
    assert b"canary" not in parcel.value + parcel.key + b"".join(text for _, text in parcel.headers)


def test_a_path_in_our_own_words_is_shown_and_one_in_theirs_is_not() -> None:
    ours = ["$", "$.score", "$.attributes[...]", "$.ref.order", "headers.ce-type", "$.type"]
    assert [shown(path) for path in ours] == ours
    assert {shown(path) for path in ("$.jane", "$.ref.jane", "$.a@b.org", "$.score.jane")} == {"$[...]"}
