"""The contact policy: over all surveys, at the bound and a step before it."""

from __future__ import annotations

import pytest

from pipeline.customers.contact import Choice, Decision, Policy, decide

DAY = 86_400_000
NOW = 20_000 * DAY
YES = Decision(True)


@pytest.mark.parametrize(
    ("policy", "days_ago", "choice", "decision"),
    [
        (Policy(), [], None, YES),
        (Policy(), [30], None, YES),
        (Policy(), [29], None, Decision(False, "quiet_period", NOW + DAY)),
        (Policy(), [200, 29], None, Decision(False, "quiet_period", NOW + DAY)),
        (Policy(quiet_days=0), [0], None, YES),
        (Policy(in_a_year=2), [364, 40], None, Decision(False, "too_many", NOW + DAY)),
        (Policy(in_a_year=2), [365, 40], None, YES),
        (Policy(in_a_year=1), [300, 200], None, Decision(False, "too_many", NOW + 165 * DAY)),
        (Policy(), [], Choice.OPT_OUT, Decision(False, "opted_out")),
        (Policy(), [1], Choice.OPT_OUT, Decision(False, "opted_out")),
        (Policy(), [], Choice.WITHDRAWN, Decision(False, "no_consent")),
        (Policy(consent=True), [], None, Decision(False, "no_consent")),
        (Policy(consent=True), [], Choice.CONSENT, YES),
        (Policy(consent=True), [1], Choice.CONSENT, Decision(False, "quiet_period", NOW + 29 * DAY)),
    ],
)
def test_the_first_rule_that_forbids_it_is_the_reason(
    policy: Policy, days_ago: list[int], choice: Choice | None, decision: Decision
) -> None:
    assert decide(policy, [NOW - days * DAY for days in days_ago], choice, NOW) == decision


@pytest.mark.parametrize("days_ago", [[5], [400, 10], [35, 40, 50, 60, 70, 80]])
def test_when_it_may_be_asked_again_it_may(days_ago: list[int]) -> None:
    invited = [NOW - days * DAY for days in days_ago]
    no = decide(Policy(), invited, None, NOW)
    assert not no.allowed
    assert decide(Policy(), invited, None, no.again_ms).allowed
    assert not decide(Policy(), invited, None, no.again_ms - 1).allowed
