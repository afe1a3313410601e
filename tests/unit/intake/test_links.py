"""Links: sealed, so that nobody can read, alter or make one; an answer is a revision of the same submission."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import UsageError
from pipeline.intake.links import Asked, Links, answer_of, scale_of
from schemas.codec import check
from schemas.vocabulary import Channel, Metric

NOW = 1_764_000_000_000
LINKS = Links(bytes(range(32)))
ASKED = Asked(
    submission_id="l-1", metric=Metric.NPS, scale_min=0, scale_max=10, ends_ms=NOW + 1_000, customer_id="customer-4711"
)


def test_a_link_opens_until_it_ends_and_shows_nothing_of_whom_it_is_for() -> None:
    token = LINKS.token(ASKED)
    assert LINKS.opened(token, NOW) == ASKED
    assert LINKS.opened(token, NOW + 1_000) is None
    assert b"customer" not in base64.urlsafe_b64decode(token + "==")
    assert LINKS.token(ASKED) != token
    assert Links(bytes(range(1, 33))).opened(token, NOW) is None


def test_no_sign_of_a_token_can_be_changed() -> None:
    token = LINKS.token(ASKED)
    for place in range(len(token) - 1):
        other = token[:place] + ("A" if token[place] != "A" else "B") + token[place + 1 :]
        assert LINKS.opened(other, NOW) is None
        assert LINKS.opened(token[:place], NOW) is None


@given(st.text(max_size=300))
def test_whatever_stands_in_the_path_is_no_question_and_raises_nothing(token: str) -> None:
    assert LINKS.opened(token, NOW) is None


def test_a_later_answer_is_a_higher_revision_of_the_same_submission_under_another_name() -> None:
    first, again = answer_of(ASKED, 9, "", NOW), answer_of(ASKED, 9, "Quick.", NOW + 5_000)
    assert check(first) is None
    assert (first.submission_id, first.customer_id, first.channel) == ("l-1", "customer-4711", Channel.EMAIL)
    assert (first.text, again.text) == (None, "Quick.")
    assert again.submission_id == first.submission_id
    assert again.revision > first.revision
    assert again.event_id != first.event_id
    assert answer_of(ASKED, 9, "", NOW) == first  # the same post again is the same event


def test_a_scale_is_one_that_the_metric_has() -> None:
    assert scale_of(Metric.CES, None, None) == (1, 7)
    assert scale_of(Metric.CSAT, 0, 1) == (0, 1)
    for metric, low, high in ((Metric.NPS, 0, 5), (Metric.NPS, None, 10), (Metric.SENTIMENT_ONLY, None, None)):
        with pytest.raises(UsageError):
            scale_of(metric, low, high)
