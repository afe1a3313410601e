"""What a rule's detector says of one scope after one closed window: the word between detecting and alerting (pure)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum


class Verdict(StrEnum):
    """What a detector says. The life of an alert is made from these and from time alone."""

    LEARNING = "learning"
    """Too little history to judge: nothing is raised by it."""
    CALM = "calm"
    """The statistic is at or below the level at which a firing alert resolves (h/2 for a CUSUM)."""
    UNDECIDED = "undecided"
    """Between the two levels: what fires goes on firing, what does not stays quiet."""
    RAISED = "raised"
    """At or above the threshold."""
    NO_DATA = "no_data"
    """No final window with answers for longer than the scope's own gap allows."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number with its 95 % interval and the count behind it; in the unit of the metric (NPS: fractions)."""

    value: float
    low: float
    high: float
    n: int


@dataclass(frozen=True, slots=True)
class Contribution:
    """What one touchpoint, unit or topic adds to a drop: `share` of the drop (0..1, may be negative).

    Of a topic it is the share of the drop among those who wrote something; a text may have several.
    """

    dimension: str
    value: str
    share: float
    now: Estimate
    before: float


@dataclass(frozen=True, slots=True)
class Finding:
    """One verdict of one rule on one scope.

    `scope` names dimensions and values (empty: everything), `metric` and `scale` what was scored. `window_end` is the
    end of the closed window that was judged, Unix seconds. `statistic` and `threshold` are the detector's own. `began`
    is the estimated start of the drop, `size` its estimated size (negative: a drop) against `baseline`, `score` the
    score since it began. `revision` is that of the score it saw. `contributions` and `verbatims` are filled for raised
    ones only. `learning` says that the baseline rests on less than its 28 days; `detectable` is the smallest drop (in
    the unit of the metric, positive) that a day's answers of this scope can show. `pending_s` is how long a raised
    verdict must last before it fires (0 for sequential tests: they have waited already), `keep_s` how long calm must
    last before it resolves. `event` names the one event that a single-event rule saw, as "topic:epoch:part:offset";
    the same event again counts once, and such a finding is never too old.
    """

    rule: str
    rule_version: int
    scope: Mapping[str, str]
    metric: str
    scale: str
    window_end: int
    verdict: Verdict
    statistic: float
    threshold: float
    severity: str
    owner: str
    route: str
    runbook: str
    began: int | None = None
    baseline: float | None = None
    score: Estimate | None = None
    size: Estimate | None = None
    revision: int = 0
    contributions: Sequence[Contribution] = field(default=())
    verbatims: Sequence[str] = field(default=())
    shadow: bool = False
    learning: bool = False
    detectable: float | None = None
    pending_s: int = 0
    keep_s: int = 0
    event: str = ""
