"""Which of several alerts speaks: a drop shows in a whole and in its parts, and one of them says it all (pure).

Downwards: a parent mutes a child whose own estimate lies within the parent's interval; the whole fell, the child only
with it. Upwards: a child that explains its parent (without it the parent's drop is within the dead-band) mutes the
parent instead; then only the child's owner is called. Never are all of them mute: an explaining child always speaks,
unless a child of its own explains it, and only a parent that speaks mutes others.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import combinations

from pipeline.alerts.entries import Alert, State
from pipeline.alerts.finding import Finding

#: A remainder within 3 points is normal day-to-day drift: the detectors' own dead-band (scores.md 3.2).
DEAD_BAND = 0.03


def inhibited(alerts: Iterable[Alert]) -> dict[str, str]:
    """Of the alerts that fire, those that keep silent, and the id of the one that speaks for each."""
    firing = {alert.id: alert for alert in alerts if alert.state in (State.FIRING, State.RECOVERING)}
    families: dict[tuple[object, ...], list[Alert]] = {}
    for alert in firing.values():
        families.setdefault(_place(alert), []).append(alert)
    explained: dict[str, str] = {}
    pairs = [
        (parent, child)
        for child in sorted(firing.values(), key=lambda one: one.id)
        for place in _above(child)
        for parent in families.get(place, ())
    ]
    for parent, child in pairs:
        if explains(child.evidence, parent.evidence):
            explained.setdefault(parent.id, child.id)
    speakers = set(explained.values())
    mute = dict(explained)
    for parent, child in sorted(pairs, key=lambda pair: (len(pair[0].evidence.scope), pair[0].id)):
        free = child.id not in speakers and child.id not in mute and parent.id not in mute
        if free and within(child.evidence, parent.evidence):
            mute[child.id] = parent.id
    return mute


def within(child: Finding, parent: Finding) -> bool:
    """Whether the child's estimated drop lies within the interval of the parent's: it fell only with the whole."""
    if child.size is None or parent.size is None:
        return False
    return parent.size.low <= child.size.value <= parent.size.high


def explains(child: Finding, parent: Finding) -> bool:
    """Whether the parent would be normal without the child: what is left of its drop is within the dead-band.

    By the share that the parent's detector gives to the child where it names it, else by the answers of both.
    """
    if parent.size is None or child.size is None or parent.size.value >= -DEAD_BAND:
        return False
    own = dict(child.scope.items() - parent.scope.items())
    for part in parent.contributions:
        if own == {part.dimension: part.value}:
            return abs(parent.size.value * (1 - part.share)) <= DEAD_BAND
    rest = parent.size.n - child.size.n
    if rest <= 0:
        return False
    remainder = (parent.size.value * parent.size.n - child.size.value * child.size.n) / rest
    return remainder >= -DEAD_BAND


def _place(alert: Alert) -> tuple[object, ...]:
    evidence = alert.evidence
    return (evidence.metric, evidence.scale, frozenset(evidence.scope.items()))


def _above(alert: Alert) -> Iterator[tuple[object, ...]]:
    """Where parents of an alert stand: the same metric, a part of its scope, never its own place."""
    evidence = alert.evidence
    items = sorted(evidence.scope.items())
    for size in range(len(items)):
        for chosen in combinations(items, size):
            yield (evidence.metric, evidence.scale, frozenset(chosen))
