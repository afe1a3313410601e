"""Journeys as text: each step with what is known of it, and the ways that lead on as bars. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.views.figures import number

#: Width of the bar of a way that all take, in characters.
_WIDTH = 20
#: Ways that are drawn under a step; the rest are counted in one line.
MOST_WAYS = 6


def headline(totals: Mapping[str, Any]) -> str:
    """How many journeys, and what became of them."""
    arriving = totals["arriving"]
    share = "insufficient" if arriving["value"] is None else f"{per_cent(arriving)} of {arriving['n']:,} decided"
    text = (
        f"{totals['journeys']:,} journeys: {totals['arrived']:,} arrived ({share}), {totals['lost']:,} ended without, "
    )
    text += f"{totals['open']:,} still on their way"
    return text + (f"; {totals['cut']:,} of customers with more events than are read" if totals["cut"] else "")


def drawn(steps: Sequence[Mapping[str, Any]], ways: Sequence[Mapping[str, Any]], plain: bool) -> list[str]:
    """The flow, one block a step; `plain` for terminals without UTF-8."""
    width = max((len(name) for way in ways for name in (way["from"], way["to"])), default=0)
    found = []
    for step in ({"step": "(begin)"}, *steps):
        leading = [way for way in ways if way["from"] == step["step"] and way["n"]]
        found += ["", described(step)] if "journeys" in step else [str(step["step"])]
        found += [_way(way, width, plain) for way in leading[:MOST_WAYS]]
        if len(leading) > MOST_WAYS:
            rest = leading[MOST_WAYS:]
            found.append(f"    and {len(rest)} rarer ways, {sum(way['n'] for way in rest):,} times")
    unseen = [f"{way['from']} > {way['to']}" for way in ways if way["map"] == "unseen"]
    return [*found, *(["", "declared but never taken: " + ", ".join(unseen)] if unseen else [])]


def described(step: Mapping[str, Any]) -> str:
    """One step in a line: reach, score, drop-off, removal effect."""
    parts = [f"{step['step']}: {step['journeys']:,} journeys"]
    parts += [_score(score) for score in step["scores"]]
    if step["drop_off"]["value"] is not None:
        parts.append(f"{per_cent(step['drop_off'])} stop here")
    if step["removal_effect"]["value"] is not None:
        parts.append(f"without it {per_cent(step['removal_effect'])} fewer arrive")
    return "  |  ".join(parts)


def per_cent(share: Mapping[str, Any]) -> str:
    """A share with its interval."""
    return f"{100 * share['value']:.1f} % ({100 * share['low']:.1f} .. {100 * share['high']:.1f})"


def lasting(seconds: float | None) -> str:
    """A time as people say it, in its two largest units."""
    if seconds is None:
        return ""
    left = round(seconds)
    found: list[str] = []
    for name, size in (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)):
        if left >= size or (name == "s" and not found):
            found.append(f"{left // size} {name}")
            left %= size
    return " ".join(found[:2])


def _score(score: Mapping[str, Any]) -> str:
    if score["score"] is None:
        return f"score insufficient (n {score['n']:,})"
    unit = score["unit"]
    interval = f", {number(score['low'], unit)} .. {number(score['high'], unit)}" if score["low"] is not None else ""
    return f"score {number(score['score'], unit)} (n {score['n']:,}{interval})"


def _way(way: Mapping[str, Any], width: int, plain: bool) -> str:
    value = way["share"]["value"]
    length = round(_WIDTH * value) if value is not None else 0
    bar = ("#" if plain else "█") * max(length, 1 if way["n"] else 0)
    share = "      " if value is None else f"{100 * value:5.1f} %"
    text = f"  {bar:<{_WIDTH}} {share} {way['n']:>9,}  > {way['to']:<{width}}  {lasting(way['median_seconds']):>9}"
    return f"{text}  {way['map'] if way['map'] == 'undeclared' else ''}".rstrip()
