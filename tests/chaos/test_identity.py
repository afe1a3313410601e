"""Who a customer is stays with the producer: canaries are nowhere afterwards. And an event is known again, always."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import pytest

from tests.chaos import probe
from tests.chaos.generator import Event
from tests.chaos.harness import Case
from tests.chaos.probe import feedback, unique
from tests.chaos.processes import eventually

pytestmark = [pytest.mark.kafka, pytest.mark.clickhouse, pytest.mark.slow]

CUSTOMER, EMPLOYEE = "CUST-90017755", "EMP-4711-QX"
EMAIL, PHONE = "canary.bird@example.org", "+49 171 5550199"
CARD, IBAN = "4539 1488 0343 6467", "DE89 3704 0044 0532 0130 00"
#: What is searched for: the longest run that no masking may leave, with and without the spaces.
CANARIES = (CUSTOMER, EMPLOYEE, "canary.bird", "5550199", "0343 6467", "03436467", "0532 0130", "05320130")
PLANTED = f"I am {CUSTOMER}, write to {EMAIL}, call {PHONE}, my card is {CARD} and my account {IBAN}. The rest is fine."


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def planted() -> list[Event]:
    """Good and bad events with canaries wherever a producer can put them."""
    at_ms = now_ms()
    full = {
        "agent_id": EMPLOYEE,
        "text": PLANTED,
        "campaign": f"mail to {EMAIL}",
        "product": CUSTOMER,
        "attributes": {"note": PLANTED},
        "ref": {"ticket": CUSTOMER},
    }
    good = [feedback(unique("good"), at_ms, customer=CUSTOMER, **full)]
    good += [feedback(unique("good"), at_ms, customer=CUSTOMER, text=PLANTED, metric="sentiment_only", score=None)]
    good += [feedback(f"{CUSTOMER}-{EMAIL}", at_ms, customer=CUSTOMER, submission_id=EMAIL, revision=1)]
    touchpoint = feedback(unique("touch"), at_ms, customer=CUSTOMER, metric=None, score=None, touchpoint=EMAIL)
    good.append(touchpoint._replace(topic="touchpoints"))
    bad = [
        feedback(unique("bad"), at_ms, customer=CUSTOMER, **(full | {"score": 11})),
        feedback(unique("bad"), at_ms, customer=CUSTOMER, **(full | {"channel": EMAIL})),
        feedback(unique("bad"), at_ms, customer=CUSTOMER, **(full | {"metric": PHONE})),
        feedback(unique("bad"), at_ms, customer=CUSTOMER, **(full | {"source": CARD})),
        feedback(unique("bad"), at_ms, customer=CUSTOMER, **(full | {"occurred_at": IBAN})),
        feedback(unique("bad"), at_ms, customer=CUSTOMER, **(full | {"score": EMAIL})),
        feedback(unique("bad"), at_ms - 365 * 86_400_000, customer=CUSTOMER, **full),
        Event("feedback", CUSTOMER.encode(), PLANTED.encode()),
        Event("feedback", CUSTOMER.encode(), json.dumps([PLANTED]).encode()),
        Event("feedback", CUSTOMER.encode(), json.dumps({PLANTED: PLANTED, EMAIL: {CUSTOMER: 1}}).encode()),
        Event("feedback", CUSTOMER.encode(), None),
    ]
    profile = {"customer": CUSTOMER, "valid_from": "2026-01-01T00:00:00Z", "segments": ["gold"]}
    profiles = [
        Event("profiles", CUSTOMER.encode(), json.dumps(profile | {"attributes": {"mail": EMAIL}}).encode()),
        Event("profiles", CUSTOMER.encode(), json.dumps(profile | {"segments": PLANTED}).encode()),
    ]
    return [*profiles, *good, *bad]


def hits(case: Case) -> Iterator[str]:
    """Every place that holds a canary: tables, topics that we write, logs, metrics."""
    columns = case.rows(
        "SELECT table, name, type FROM system.columns WHERE database = currentDatabase() AND type LIKE '%String%'"
    )
    assert len({column["table"] for column in columns}) > 8
    for column in columns:
        name = f"toString({column['name']})"
        found = " OR ".join(f"position({name}, '{canary}') > 0" for canary in CANARIES)
        (count,) = case.rows(f"SELECT count() AS n, countIf({found}) AS hits FROM {column['table']}")
        if count["hits"]:
            yield f"{column['table']}.{column['name']}: {count['hits']} of {count['n']} rows"
    for topic in ("rejected", "scores", "alerts", "ticks"):
        for place, part in [(topic, part) for record in probe.records(case, topic) for part in record]:
            if any(canary.encode() in part for canary in CANARIES):
                yield f"topic {place}: {part[:200]!r}"
    for worker in case.workers:
        texts = {"log": worker.log.read_text(errors="replace")}
        if worker.running:
            texts |= {path: worker.page(path)[1] for path in ("/metrics", "/readyz")}
        for place, text in texts.items():
            for canary in CANARIES:
                if canary in text:
                    yield f"{worker.name} {place}: {canary}"


def test_nothing_plain_is_left_in_tables_topics_logs_and_metrics(case: Case) -> None:
    """T41."""
    worker = case.worker("one", LOG_LEVEL="DEBUG")
    events = planted()
    places = probe.send(case, events)
    case.settle()
    assert case.command("audit").returncode == 0  # the oracle knows nothing of masked dimensions
    rows = probe.ledger(case)
    dead = [place for place in places if place in rows and rows[place]["disposition"] == "dead_letter"]
    assert len(dead) == 10
    assert [rows[place]["disposition"] for place in places[2:6]] == ["aggregated"] * 4
    eventually(lambda: probe.records(case, "scores"), "scores are published", 20)
    texts = case.rows("SELECT text FROM texts FINAL")
    assert len(texts) == 2
    assert all("[email]" in row["text"] and "[id]" in row["text"] for row in texts)
    assert list(hits(case)) == []
    worker.terminate()


def test_the_search_finds_a_canary_that_is_there(case: Case) -> None:
    """The case that makes the test above fail."""
    case.worker("one")
    probe.send(case, [feedback(unique("good"), now_ms(), customer="somebody", touchpoint=f"shop {CUSTOMER}")])
    case.settle()
    found = list(hits(case))
    assert [each.partition(":")[0] for each in found if each.startswith("ledger.")] == ["ledger.touchpoint"]


@pytest.mark.parametrize("bystander", [False, True], ids=["kill", "rebalance"])
def test_events_that_were_seen_before_a_kill_or_a_rebalance_are_all_duplicates_after_it(
    case: Case, bystander: bool
) -> None:
    count = 2_000
    at_ms = now_ms()
    events = [feedback(f"known-{number}", at_ms, customer=f"customer-{number % 97}") for number in range(count)]
    events += [event._replace(topic="history") for event in events[:500]]
    full = {"IDS_REMEMBERED": str(len(events))}  # no more than there are: all must be known again
    worker = case.worker("one", **full)
    probe.send(case, events)
    if bystander:  # the partitions change hands while the first ones are on their way
        case.flowing(1)
        case.worker("two", **full)
    else:
        case.settle()
        worker.kill()
        case.worker("two", **full)
    probe.send(case, events)
    case.settle()
    if bystander:
        worker.kill()
        probe.send(case, events)
    found = case.verify()
    assert found.dispositions["aggregated"] == len(events)
    assert found.reasons["same_event"] == len(events) * (2 if bystander else 1)
