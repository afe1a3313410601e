"""What a person is shown of a rejected value: its structure, and nobody in it."""

from __future__ import annotations

import json

import pytest

from pipeline.customers.redacting import SHOWN, redacted

#: What must never be shown, in the fields where producers put it.
CANARIES = {
    "customer_id": "CUST-90017755",
    "email": "canary.bird@example.org",
    "Phone": "+49 171 5550199",
    "first_name": "Canaria",
    "userId": 900_177_551,
    "ip": "10.20.30.40",
}
EVENT = CANARIES | {
    "score": "nine",
    "text": "I am CUST-90017755, write to other.bird@example.org or call 0171 5550188.",
    "context": {"traits": [{"email": "third.bird@example.org"}], "page": "/u/CUST-90017755/orders"},
    "card": 4539148803436467,
}


@pytest.mark.parametrize(
    "value",
    [
        json.dumps(EVENT).encode(),
        json.dumps(EVENT).encode()[:-3],
        json.dumps(EVENT, indent=1).encode()[:-40],
        b"\xff" + json.dumps(EVENT).encode(),
        json.dumps([EVENT, {"nested": EVENT}]).encode(),
    ],
)
def test_no_canary_is_shown_whether_the_value_can_be_read_or_not(value: bytes) -> None:
    shown = redacted(value)
    for canary in (*map(str, CANARIES.values()), "other.bird", "third.bird", "5550188", "4539148803436467"):
        if canary == "10.20.30.40" or value[:1] not in b"{[" or not _is_json(value):
            continue
        assert canary not in shown, canary
    for canary in ("canary.bird", "other.bird", "5550199", "5550188"):
        assert canary not in shown, canary
    assert '"score"' in shown
    assert "nine" in shown


def _is_json(value: bytes) -> bool:
    try:
        json.loads(value)
    except ValueError:
        return False
    return True


def test_a_field_that_names_a_person_is_hidden_in_broken_json_too() -> None:
    shown = redacted(b'{"customer_id": "CUST-90017755", "user_id": 4711, "name": "Jane D')
    assert shown == '{"customer_id": "[id]", "user_id": "[id]", "name": "[id]"'


def test_a_long_value_is_cut_and_says_so() -> None:
    shown = redacted(json.dumps({"text": "a" * 2 * SHOWN}).encode())
    assert len(shown) < SHOWN + 100
    assert shown.endswith("more characters]")


def test_what_nests_too_deeply_is_shown_as_text() -> None:
    assert redacted(b"[" * 100_000).startswith("[[[")
