"""Where long texts end: never within a character, never with half of what had to be masked, the same however often."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from pipeline.customers.cleaning import cleaned, cut
from pipeline.customers.cutting import cut as ended
from pipeline.customers.enrich import Knowledge, enrich
from pipeline.customers.masking import mask_text
from pipeline.customers.profiles import Profiles
from pipeline.customers.watcher import read_registry
from schemas.feedback import Feedback
from schemas.limits import MAX_TEXT
from schemas.vocabulary import Channel, Metric
from tests.unit.customers.test_enrich import HERE, ID, PSEUDONYMS, SEALER, accepted

#: What must not be left over in part, each with what stands for it.
SECRETS = {
    "4111 1111 1111 1111": "[card]",
    "DE89 3704 0044 0532 0130 00": "[iban]",
    "jane.doe@example.org": "[email]",
    "+49 171 5550199": "[phone]",
    ID: "[id]",
}


@pytest.fixture
def knowledge() -> Knowledge:
    return Knowledge(PSEUDONYMS, Profiles(), read_registry(), SEALER)


def event(text: str) -> Feedback:
    """An answer of the customer with this text."""
    at = datetime(2026, 11, 25, tzinfo=UTC)
    return Feedback(
        event_id="e", occurred_at=at, channel=Channel.EMAIL, metric=Metric.CSAT, score=3, customer_id=ID, text=text
    )


def text_with(secret: str, before: int) -> str:
    """A long text in which so many of the secret's characters stand before the 10,000th."""
    return "." * (MAX_TEXT - before - 1) + " " + secret + " and so on" * 2_000


@pytest.mark.parametrize("secret", SECRETS)
def test_nothing_of_a_number_or_an_address_at_the_cut_is_left_over(knowledge: Knowledge, secret: str) -> None:
    for before in range(1, len(secret)):
        text = text_with(secret, before)
        row = enrich(accepted({"customer_id": ID, "text": text}), HERE, knowledge).row(0, named=True)
        assert (row["truncated"], len(row["text"])) == (1, MAX_TEXT)
        masked = row["text"].lstrip(". ")
        assert (SECRETS[secret] + " and so on").startswith(masked[: len(SECRETS[secret])])
        assert not set(masked) & set("0123456789@")


def test_a_gateway_and_a_worker_cut_at_the_same_place(knowledge: Knowledge) -> None:
    """And a text that a gateway has cut stays what it is in the worker."""
    texts = [text_with(secret, before) for secret in SECRETS for before in (1, 7, 16, 60)]
    # A run of 17 digits is no card; cut after the sixteenth it looks like one.
    texts += ["." * (MAX_TEXT - 17) + " 41111111111111111" + "." * 20, "a@b.co " * 1_500, "é" * 20_000, "\0" * 10_001]
    for text in texts:
        raw = enrich(accepted({"customer_id": ID, "text": text}), HERE, knowledge).row(0, named=True)
        door = cleaned(event(text))
        assert (door.text, door.truncated) == (raw["text"], True)
        again = {"customer_id": ID, "text": door.text, "truncated": 1}
        assert enrich(accepted(again), HERE, knowledge).row(0, named=True)["text"] == door.text
        assert cleaned(door) is door
        assert len(door.text or "") <= MAX_TEXT
        assert mask_text(door.text or "") == door.text


def test_a_text_of_just_as_many_characters_is_whole(knowledge: Knowledge) -> None:
    for text in ("x" * MAX_TEXT, "😀" * 5_000, "配" * MAX_TEXT, ""):
        row = enrich(accepted({"text": text}), HERE, knowledge).row(0, named=True)
        assert (row["text"], row["truncated"]) == (text, 0)
        assert cleaned(event(text)).truncated is False


def test_who_has_cut_a_text_may_say_so(knowledge: Knowledge) -> None:
    row = enrich(accepted({"text": "the beginning", "truncated": 1}), HERE, knowledge).row(0, named=True)
    assert (row["text"], row["truncated"]) == ("the beginning", 1)


@pytest.mark.parametrize(
    "part", ["e\u0301", "👍🏽", "👩\u200d👩\u200d👧", "❤\ufe0f", "न\u093f", "ש\u05b8\u05c1"], ids=ascii
)
def test_a_character_is_not_torn_from_what_belongs_to_it(part: str) -> None:
    for shift in range(len(part)):
        kept = cut("." * shift + part * MAX_TEXT, "")
        assert (len(kept) - shift) % len(part) == 0
        assert MAX_TEXT - len(part) < len(kept) <= MAX_TEXT


def test_heaps_of_marks_are_cut_all_the_same() -> None:
    assert len(ended("e" + "\u0301" * 200_000, str)) == MAX_TEXT
