"""The producer helper without a broker: keys, pseudonyms, the check before sending."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from pipeline.customers.pseudonyms import Pseudonyms
from pipeline.errors import SettingsError
from pipeline.intake.producing import key_of, pseudonyms_of, refusal, with_pseudonym
from pipeline.settings import load_settings
from schemas.codec import encode
from schemas.feedback import Feedback
from schemas.profile import Profile
from schemas.vocabulary import Channel, Metric, Reason

AT = datetime(2026, 1, 31, 12, tzinfo=UTC)


def answer(**fields: object) -> Feedback:
    given = {"event_id": "e1", "occurred_at": AT, "channel": Channel.WEB, "metric": Metric.NPS, "score": 9, **fields}
    return Feedback(**given)  # type: ignore[arg-type]


def test_the_key_is_the_customer_then_the_submission_then_the_event() -> None:
    assert key_of(answer(customer_id="c1", submission_id="s1")) == b"c1"
    assert key_of(answer(submission_id="s1")) == b"s1"
    assert key_of(answer()) == b"e1"
    assert key_of(Profile(customer="c1", valid_from=AT)) == b"c1"


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"score": 11}, Reason.OUT_OF_RANGE),
        ({"score": "9"}, Reason.WRONG_TYPE),
        ({"score": None}, Reason.MISSING_FIELD),
        ({"occurred_at": datetime(2026, 1, 31, 12)}, Reason.BAD_TIME),  # noqa: DTZ001
        ({"event_id": ""}, None),
        ({"scale_min": 1, "scale_max": 5}, Reason.BAD_SCALE),
    ],
)
def test_an_event_that_the_worker_would_reject_is_refused_before_it_is_sent(
    fields: dict[str, object], reason: Reason | None
) -> None:
    event = answer(**fields)
    rejection = refusal(event, encode(event))
    assert rejection is not None
    assert reason is None or rejection.reason is reason


def test_a_valid_event_is_not_refused() -> None:
    assert refusal(answer(), encode(answer())) is None


def test_a_pseudonym_takes_the_place_of_the_plain_id_once() -> None:
    pseudonyms = Pseudonyms(3, bytes(range(32)))
    hidden = with_pseudonym(answer(customer_id="c1"), pseudonyms)
    assert isinstance(hidden, Feedback)
    assert hidden.customer_id == pseudonyms.text("c1")
    assert with_pseudonym(hidden, pseudonyms) == hidden
    assert with_pseudonym(answer(), pseudonyms) == answer()
    profile = with_pseudonym(Profile(customer="c1", valid_from=AT), pseudonyms)
    assert key_of(profile) == key_of(hidden)


def test_only_a_pseudonym_deployment_makes_pseudonyms_and_it_needs_a_key() -> None:
    assert pseudonyms_of(load_settings()) is None
    with pytest.raises(SettingsError, match="PSEUDONYM_KEY"):
        pseudonyms_of(load_settings(customer_form="pseudonym", insecure_keys=False, pseudonym_key=""))
