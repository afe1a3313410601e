"""Two parts of the weekly report: why (what goes along with the score) and what was done (alerts and answers). Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from html import escape
from statistics import median
from typing import Any, Final

from pipeline.alerts.book import Step
from pipeline.alerts.entries import Incident
from pipeline.views.figures import difference, number

#: Drivers that are listed: those that pull most.
MOST_DRIVERS: Final = 8
#: Alerts that are listed; the sentence above them counts all.
MOST_DEEDS: Final = 40
#: What tells where an alert is; owner, route and the like stand in columns of their own.
_PLACES: Final = ("brand", "unit", "channel", "touchpoint", "segment", "product", "mode", "stage")


@dataclass(frozen=True, slots=True)
class Deed:
    """One alert's week: where, who acts, when it began, who answered after how long and with which words, its end."""

    where: str
    metric: str
    owner: str
    opened_ms: int
    answered_by: str = ""
    answered_ms: int = 0
    words: str = ""
    ended_ms: int = 0


def deeds_of(steps: Iterable[Step]) -> list[Deed]:
    """What became of each incident in some steps, oldest first."""
    found: dict[str, Deed] = {}
    for step in sorted(steps, key=lambda step: (step.at_ms, step.entry.revision)):
        one = step.entry
        if not isinstance(one, Incident):
            continue
        where = ", ".join(one.labels[name] for name in _PLACES if one.labels.get(name)) or "everywhere"
        fresh = Deed(where, one.labels.get("metric", ""), one.owner, one.since_ms)
        deed = found.get(one.id, fresh)
        if deed.opened_ms != one.since_ms:  # opened again: what counts is the answer to the newest trouble
            deed = fresh
        if step.step == "acknowledged":
            deed = replace(deed, answered_by=step.by, answered_ms=step.at_ms, words=step.why)
        found[one.id] = replace(deed, ended_ms=0 if one.open else one.resolved_ms or step.at_ms)
    return sorted(found.values(), key=lambda deed: deed.opened_ms)


def why(document: Mapping[str, Any] | None, name: str) -> str:
    """The part about drivers, from the document of `touchline drivers --json`."""
    known = [one for one in (document or {}).get("drivers", []) if one["impact"]["status"] == "ok"]
    head = f"<h2>Why: what goes along with {escape(name)}</h2>"
    if document is None or not known:
        return head + '<p class="few">too few answers of people who met something before</p>'
    known.sort(key=lambda one: -abs(one["impact"]["value"]))
    unit = document["whole"]["unit"]
    rows = []
    for one in known[:MOST_DRIVERS]:
        pull, met = one["impact"], one["met"]
        sure = pull["low"] > 0 or pull["high"] < 0
        ends = f"{difference(pull['low'], unit)} to {difference(pull['high'], unit)}"
        score = "too few answers" if met["score"] is None else f"{number(met['score'], unit)} (n {met['n']:,})"
        reach = f"{100 * one['reach']['value']:.0f} %"
        verdict = "" if sure else "within chance"
        rows.append(
            (str(one["driver"]).replace("_", " "), reach, score, difference(pull["value"], unit), ends, verdict)
        )
    heads = ("Met before", "By", "Score of these", "Pull", "95 % interval", "")
    said = (
        f"<p>Customers' last answers, n {document['whole']['n']:,}. The pull is by how much the score would differ "
        "without those who met it. What goes along with a score need not be its cause.</p>"
    )
    return head + said + table(heads, rows)


def done(deeds: Sequence[Deed]) -> str:
    """The part about alerts: how many, how soon they were answered, and each of them."""
    head = "<h2>What was done</h2>"
    if not deeds:
        return head + '<p class="few">No alert was raised.</p>'
    answered = [deed for deed in deeds if deed.answered_by]
    over = sum(deed.ended_ms > 0 for deed in deeds)
    waits = [deed.answered_ms - deed.opened_ms for deed in answered]
    after = f", half of them within {_lasted(int(median(waits)))}" if waits else ""
    said = f"<p>{len(deeds)} alerts; {len(answered)} were answered by a person{after}; {over} are over.</p>"
    rows = [
        (
            f"{deed.where} ({_NAMES.get(deed.metric, deed.metric)})" if deed.metric else deed.where,
            deed.owner,
            _moment(deed.opened_ms),
            f"{deed.answered_by} after {_lasted(deed.answered_ms - deed.opened_ms)}"
            + (f": {deed.words}" if deed.words else "")
            if deed.answered_by
            else "nobody",
            f"after {_lasted(deed.ended_ms - deed.opened_ms)}" if deed.ended_ms else "still open",
        )
        for deed in deeds[:MOST_DEEDS]
    ]
    more = f"<p>and {len(deeds) - MOST_DEEDS} more</p>" if len(deeds) > MOST_DEEDS else ""
    return head + said + table(("Alert", "Who acts", "Since (UTC)", "Answered", "Over"), rows) + more


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of texts, every one of them escaped."""
    top = "".join(f"<th>{escape(text)}</th>" for text in heads)
    body = "".join("<tr>" + "".join(f"<td>{escape(text)}</td>" for text in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>"


def _moment(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%a %d %b %H:%M")


def _lasted(ms: int) -> str:
    minutes = max(0, ms) // 60_000
    if minutes < 60:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min" if minutes < 2 * 1440 else f"{minutes // 1440} days"


_NAMES: Final = {"nps": "NPS", "csat": "CSAT", "ces": "CES", "sentiment": "net sentiment"}
