"""The simulator: exact, in order, the same bytes for the same seed, valid, and answers follow what happened."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import datetime
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.intake.cast import TOUCHPOINTS
from pipeline.intake.simulator import Batch, simulate_history, simulate_live, simulate_profiles
from pipeline.intake.world import UNITS, Incident, Trouble, World
from schemas.codec import check, decode, decode_profile
from schemas.explain import Rejection
from schemas.feedback import Feedback

DAY = 86_400_000
NOW = 1_795_000_000_000
#: Two weeks, enough answers in every part for the comparisons below to be far from chance.
BIG = 150_000


def events(batches: Iterable[Batch]) -> list[dict[str, Any]]:
    return [orjson.loads(value) for batch in batches for value in batch.values]


@pytest.fixture(scope="module")
def fortnight() -> list[dict[str, Any]]:
    late = Incident(Trouble.LATE_DELIVERY, NOW - 5 * DAY, region="north")
    return events(simulate_history(World(bad=0.0, incidents=(late,)), NOW - 14 * DAY, NOW, BIG))


def nps(answers: Iterable[dict[str, Any]]) -> float:
    scores: list[int] = [answer["score"] for answer in answers if answer.get("metric") == "nps"]
    assert len(scores) > 100
    return 100 * (sum(s >= 9 for s in scores) - sum(s <= 6 for s in scores)) / len(scores)


@settings(max_examples=8, deadline=None)
@given(
    seed=st.integers(0, 1_000),
    count=st.integers(1, 3_000),
    customers=st.integers(1, 2_000),
    hours=st.integers(1, 24 * 8),
)
def test_a_history_has_exactly_the_events_asked_for_in_order_of_time(
    seed: int, count: int, customers: int, hours: int
) -> None:
    start = NOW - hours * 3_600_000 - 12_345
    world = World(seed=seed, customers=customers)
    batches = list(simulate_history(world, start, NOW, count))
    assert sum(len(batch.values) for batch in batches) == count
    for topic in ("touchpoints", "feedback"):
        times = [time for batch in batches if batch.topic == topic for time in batch.times]
        assert times == sorted(times)
        assert all(start <= time < NOW for time in times)
    assert batches == list(simulate_history(world, start, NOW, count))


def test_another_seed_or_another_start_gives_other_events() -> None:
    def ids(seed: int, start: int) -> set[str]:
        return {event["event_id"] for event in events(simulate_history(World(seed=seed, bad=0), start, NOW, 2_000))}

    first = ids(1, NOW - DAY)
    assert len(first) == 2_000
    assert not first & ids(2, NOW - DAY)
    assert not first & ids(1, NOW - DAY - 1)


def test_every_event_that_was_not_planted_is_one_that_the_worker_takes() -> None:
    for batch in simulate_history(World(bad=0.0), NOW - 3 * DAY, NOW, 20_000):
        found = decode(batch.topic, batch.values, [()] * len(batch.values))
        assert not found.rejections
        assert not [event for event in found.events if isinstance(event, Feedback) and check(event) is not None]


def test_the_planted_events_are_as_many_as_the_batches_say() -> None:
    refused = said = 0
    for batch in simulate_history(World(bad=0.02), NOW - 3 * DAY, NOW, 20_000):
        found = decode(batch.topic, batch.values, [()] * len(batch.values))
        refused += len(found.rejections)
        refused += sum(isinstance(event, Feedback) and check(event) is not None for event in found.events)
        quiet = ("duplicate", "conflict", "next_year")
        said += sum(n for kind, n in batch.planted.items() if kind not in quiet)
    assert refused == said > 100


def test_the_key_is_the_customer_or_for_the_nameless_the_submission_or_event() -> None:
    nameless = 0
    for batch in simulate_history(World(bad=0.0), NOW - DAY, NOW, 10_000):
        for key, value in zip(batch.keys, batch.values, strict=True):
            event = orjson.loads(value)
            nameless += "customer_id" not in event
            assert key.decode() == (event.get("customer_id") or event.get("submission_id") or event["event_id"])
    assert nameless > 50


def test_channels_touchpoints_units_and_shares_are_as_promised(fortnight: list[dict[str, Any]]) -> None:
    feedback = [event for event in fortnight if "metric" in event]
    texts = [event["text"] for event in feedback if "text" in event]
    assert 0.3 < len(feedback) / BIG < 0.45
    assert 0.2 < len(texts) / len(feedback) < 0.32
    assert len(set(texts)) / len(texts) > 0.9
    assert {event["touchpoint"] for event in fortnight} == set(TOUCHPOINTS)
    assert len({event["channel"] for event in fortnight}) >= 6
    assert {event["unit"] for event in fortnight} == set(UNITS)
    assert {event["brand"] for event in fortnight} == {"aurora", "birch"}
    assert {event["metric"] for event in feedback} == {"nps", "csat", "ces", "rating", "sentiment_only"}
    assert {event.get("language") for event in fortnight} >= {"en", "de", "fr", "es"}


def test_late_delivery_lowers_nps_and_a_solved_ticket_lifts_satisfaction(fortnight: list[dict[str, Any]]) -> None:
    after: dict[str, list[dict[str, Any]]] = defaultdict(list)
    last: dict[str, str] = {}
    for event in fortnight:
        customer = event.get("customer_id")
        if customer is None:
            continue
        if event["touchpoint"] == "delivery" and "metric" not in event:
            last[customer] = event["outcome"]
        elif event["touchpoint"] == "delivery" and customer in last:
            after[last[customer]].append(event)
    assert nps(after["ok"]) - nps(after["fail"]) > 60

    def top(touch: str) -> float:
        scores: list[float] = [
            event["score"] / event["scale_max"]
            for event in fortnight
            if event["touchpoint"] == touch and event.get("metric") == "csat"
        ]
        return sum(scores) / len(scores)

    assert top("ticket_solved") > top("support_call") + 0.1


def test_a_failed_checkout_makes_the_effort_high(fortnight: list[dict[str, Any]]) -> None:
    failed = {
        event["customer_id"]
        for event in fortnight
        if event["touchpoint"] == "checkout" and event.get("outcome") == "fail"
    }
    by: dict[bool, list[int]] = {True: [], False: []}
    for event in fortnight:
        if event["touchpoint"] == "checkout" and event.get("metric") == "ces":
            by[event.get("customer_id") in failed].append(event["score"])
    assert sum(by[False]) / len(by[False]) - sum(by[True]) / len(by[True]) > 0.7


def test_an_incident_is_seen_in_its_region_and_time_only(fortnight: list[dict[str, Any]]) -> None:
    begin = "2026-11-13T11:06:40"

    def part(north: bool, after: bool) -> list[dict[str, Any]]:
        units = UNITS[:10] if north else UNITS[10:]
        return [event for event in fortnight if event["unit"] in units and (event["occurred_at"] > begin) == after]

    assert nps(part(True, False)) - nps(part(True, True)) > 25
    assert abs(nps(part(False, False)) - nps(part(False, True))) < 8


def test_nights_are_quiet_and_evenings_busy(fortnight: list[dict[str, Any]]) -> None:
    hours = [event["occurred_at"][11:13] for event in fortnight]
    assert hours.count("19") > 3 * hours.count("03")


def test_saturdays_are_busy_and_sundays_quiet(fortnight: list[dict[str, Any]]) -> None:
    begun = [event["occurred_at"] for event in fortnight if event.get("touchpoint") == "page_viewed"]
    days = Counter(datetime.fromisoformat(moment).weekday() for moment in begun)
    assert days[5] > 1.3 * days[6]
    assert days[5] > 1.1 * days[2]


def test_edited_answers_keep_their_submission_and_have_an_id_of_their_own(fortnight: list[dict[str, Any]]) -> None:
    first = {event["submission_id"]: event for event in fortnight if "metric" in event and "revision" not in event}
    edited = [event for event in fortnight if event.get("revision") == 1]
    assert len(edited) > 50
    both = [(event, first[event["submission_id"]]) for event in edited if event["submission_id"] in first]
    assert len(both) > 0.9 * len(edited)
    assert all(new["event_id"] != old["event_id"] and new["metric"] == old["metric"] for new, old in both)


def test_live_events_end_now_follow_the_rate_and_repeat_for_the_same_clock() -> None:
    def run() -> list[tuple[str, bytes, bytes]]:
        following = simulate_live(World(bad=0.0, customers=5_000), 200.0)
        return [event for tick in range(100) for event in following(NOW + 50 * tick, 10)]

    live = run()
    assert len(live) == 1_000
    assert live == run()
    decoded = [orjson.loads(value) for _, _, value in live]
    assert len({event["event_id"] for event in decoded}) == 1_000
    assert max(event["occurred_at"] for event in decoded) == "2026-11-18T11:06:44.950Z"
    assert min(event["occurred_at"] for event in decoded) >= "2026-11-18T11:06:39.950Z"


def test_a_live_incident_is_felt_within_half_a_minute() -> None:
    incident = Incident(Trouble.LATE_DELIVERY, NOW + 20_000, region="")
    following = simulate_live(World(bad=0.0, incidents=(incident,)), 500.0)
    before: list[dict[str, Any]] = []
    after: list[dict[str, Any]] = []
    for tick in range(300):
        part = before if tick < 100 else after
        made = following(NOW + 200 * tick, 100)
        if tick < 100 or tick > 150:
            part.extend(orjson.loads(value) for _, _, value in made)
    assert nps(before) - nps(after) > 25


def test_profiles_are_valid_one_a_customer_and_in_the_deployments_form() -> None:
    world = World(customers=500, bad=0.0, name=lambda plain: plain.upper())
    keys: list[bytes] = []
    for batch in simulate_profiles(world, NOW):
        keys += batch.keys
        for key, value in zip(batch.keys, batch.values, strict=True):
            profile = decode_profile(value)
            assert not isinstance(profile, Rejection)
            assert profile.customer.encode() == key
    assert len(set(keys)) == 500
    known = {key for batch in simulate_history(world, NOW - DAY, NOW, 2_000) for key in batch.keys}
    assert len(known & set(keys)) > 100


@pytest.mark.parametrize(("end", "count"), [(NOW - DAY, 10), (NOW, 0)])
def test_an_empty_history_is_refused(end: int, count: int) -> None:
    with pytest.raises(ValueError, match="at least one event"):
        next(simulate_history(World(customers=10), NOW - DAY, end, count))
