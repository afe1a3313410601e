"""Whether a customer may be asked for an opinion: one policy over all surveys. Pure; times in ms.

The first rule that forbids it is the reason: the customer opted out; consent is needed and was not given (or was
withdrawn); an invitation was sent within the quiet period, whatever survey it was for; too many were within a year.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple

_DAY_MS = 86_400_000
_YEAR_MS = 365 * _DAY_MS


class Choice(StrEnum):
    """What a customer chose last."""

    CONSENT = "consent"
    WITHDRAWN = "withdrawn"
    OPT_OUT = "opt_out"


class Policy(NamedTuple):
    """Days between two invitations, invitations in a year, and whether consent must have been given."""

    quiet_days: int = 30
    in_a_year: int = 6
    consent: bool = False


class Decision(NamedTuple):
    """Whether to invite; else the reason, and from when on it may be asked again (0: only after another choice)."""

    allowed: bool
    reason: str = ""
    again_ms: int = 0


def wanted(policy: Policy, choice: Choice | None) -> Decision:
    """The decision as far as it is the customer's own."""
    if choice is Choice.OPT_OUT:
        return Decision(False, "opted_out")
    if choice is Choice.WITHDRAWN or (policy.consent and choice is not Choice.CONSENT):
        return Decision(False, "no_consent")
    return Decision(True)


def decide(policy: Policy, invited_ms: Sequence[int], choice: Choice | None, now_ms: int) -> Decision:
    """The decision about a customer who was invited at these moments and chose this last."""
    if not (chosen := wanted(policy, choice)).allowed:
        return chosen
    past = sorted(moment for moment in invited_ms if moment > now_ms - _YEAR_MS)
    quiet_until = past[-1] + policy.quiet_days * _DAY_MS if past else 0
    if now_ms < quiet_until:
        return Decision(False, "quiet_period", quiet_until)
    if len(past) >= policy.in_a_year:
        return Decision(False, "too_many", past[-policy.in_a_year] + _YEAR_MS if policy.in_a_year else 0)
    return Decision(True)
