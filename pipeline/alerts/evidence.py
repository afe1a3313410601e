"""What lies behind an alarm [I/O]: which touchpoints, units and topics fell, and what customers wrote (masked).

Read from the ledger up to the frontier of the window that was judged: the same today as then.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from pipeline.alerts.classes import Counts, net, sides, three
from pipeline.alerts.finding import Contribution, Finding
from pipeline.alerts.recorded import Known, as_known, counted, known_at, span
from pipeline.alerts.verdicts import estimate
from pipeline.clickhouse import FINAL_BY_DAY, ClickHouse
from pipeline.scores.meters import ENOUGH
from pipeline.scores.windows import BINS

#: Dimensions whose values are ranked, and beside them what texts are about.
_RANKED = ("touchpoint", "unit")
TOPIC = "topic"
#: From this share of the drop on a topic says whose it is.
_MAIN = 0.5
#: Of each so many are named, and so many texts.
_MOST = 3
#: The drop is compared with so many seconds before it began.
_BEFORE_S = 7 * 86_400
#: Longest text of a message.
_TEXT = 280

Evidence = tuple[tuple[Contribution, ...], tuple[str, ...]]


def gathered(client: ClickHouse, finding: Finding) -> Evidence:
    """Contributions and verbatims of a raised finding."""
    began = finding.began or finding.window_end - 86_400
    known = Known(known_at(client, finding.window_end).feedback)
    found = [_ranked(client, finding, name, began, known) for name in _RANKED if name not in finding.scope]
    found.append(_topics(client, finding, began, known))
    # The strongest of each first: messages show three.
    mixed = [each[place] for place in range(_MOST) for each in found if place < len(each)]
    return tuple(mixed), tuple(_texts(client, finding, began, known))


def main_topic(contributions: Sequence[Contribution]) -> tuple[str, ...]:
    """The topic that makes at least half of the drop among those who wrote; () where there is none."""
    topics = [
        part for part in contributions if part.dimension == TOPIC and part.share >= _MAIN and part.now.n >= ENOUGH
    ]
    return tuple(part.value for part in topics[:1])


def _ranked(client: ClickHouse, finding: Finding, dimension: str, began: int, known: Known) -> list[Contribution]:
    scoped, parameters = _scoped(finding.scope)
    condition, more = as_known(known)
    columns = tuple(dict.fromkeys((dimension, *(_column(name) for name in finding.scope))))
    sums = ", ".join(f"sumIf(w, bin = {i}) AS b{i}" for i in range(len(BINS)))
    rows = client.query(
        f"""SELECT {dimension}, moment >= {{began:Int64}} AS after, {sums}
        FROM ({counted(columns, "intDiv(c_ms, 1000)")})
        WHERE metric = {{metric:String}} AND scale = {{scale:String}} AND {dimension} != '' AND {scoped} AND {condition}
        GROUP BY {dimension}, after ORDER BY {dimension}, after""",
        span(began - _BEFORE_S, finding.window_end, ("feedback", "history"))
        | {"began": began, "metric": finding.metric, "scale": finding.scale, **parameters, **more},
        FINAL_BY_DAY,
    )
    if rows.is_empty():
        return []
    values, now, before = _sides(finding, rows, dimension)
    return ranked(dimension, values, now, before)


def _topics(client: ClickHouse, finding: Finding, began: int, known: Known) -> list[Contribution]:
    """The same of topics, among the answers whose text was looked at: one with three topics stands in three of them,
    and once in all."""
    scoped, parameters = _scoped(finding.scope)
    condition, more = as_known(known)
    columns = tuple(dict.fromkeys(_column(name) for name in finding.scope))
    sums = ", ".join(f"sumIf(w, bin = {i}) AS b{i}" for i in range(len(BINS)))
    rows = client.query(
        f"""SELECT about AS {TOPIC}, moment >= {{began:Int64}} AS after, {sums} FROM (
            SELECT l.moment AS moment, l.bin AS bin, l.w AS w, t.topics AS topics FROM (
                SELECT *, if(w < 0, old_off, off) AS said
                FROM ({counted(columns, "intDiv(c_ms, 1000)", ("old_off",))})
                WHERE metric = {{metric:String}} AND scale = {{scale:String}} AND {scoped} AND {condition}
            ) AS l INNER JOIN (
                SELECT topic, epoch, part, off AS said, topics FROM texts FINAL
                WHERE topic IN {{topics:Array(String)}} AND taxonomy != ''
                    AND day >= toDate(toDateTime({{since:UInt32}}, 'UTC'))
            ) AS t USING (topic, epoch, part, said)
        ) ARRAY JOIN arrayDistinct(arrayPushBack(splitByChar(',', toString(topics)), '')) AS about
        GROUP BY {TOPIC}, after ORDER BY {TOPIC}, after""",
        span(began - _BEFORE_S, finding.window_end, ("feedback", "history"))
        | {"began": began, "metric": finding.metric, "scale": finding.scale, **parameters, **more},
        FINAL_BY_DAY,
    )
    if rows.is_empty():
        return []
    values, now, before = _sides(finding, rows, TOPIC)
    return ranked(TOPIC, values[1:], now[1:], before[1:], (now[0], before[0]))


def _sides(finding: Finding, rows: pl.DataFrame, dimension: str) -> tuple[list[str], Counts, Counts]:
    """Values in order, and their counts of three classes since the drop began and before."""
    values = sorted(set(rows[dimension]))
    sides_ = np.zeros((2, len(values), 3), dtype=np.int64)
    counts = three(finding.metric, finding.scale, rows.select(BINS).to_numpy().astype(np.int64))
    at = rows["after"].to_numpy().astype(np.int64), np.array([values.index(value) for value in rows[dimension]])
    sides_[at] = counts  # one row a value and side
    return values, sides_[1], sides_[0]


def ranked(
    dimension: str, values: Sequence[str], now: Counts, before: Counts, whole: tuple[Counts, Counts] | None = None
) -> list[Contribution]:
    """The values that add most to a drop, at most three; what each adds is its own fall and its weight's change.

    The shares of all values sum to 1, unless an answer may have several: then `whole` has the counts of all answers,
    now and before. A value without history is taken to have been like all.
    """
    all_now, all_before = whole or (now.sum(axis=0), before.sum(axis=0))
    if not all_now.sum() or not all_before.sum():
        return []
    was, total = float(net(all_before)), float(net(all_now))
    if total >= was:
        return []
    each = np.where(before.sum(axis=1) > 0, np.nan_to_num(net(before)), was)
    weight, old = now.sum(axis=1) / all_now.sum(), before.sum(axis=1) / all_before.sum()
    change = weight * (np.nan_to_num(net(now)) - each) + (weight - old) * (each - was)
    # A value that nobody answers for any more changes the mix only.
    shares = change / (total - was)
    order = [int(at) for at in np.argsort(-shares, kind="stable") if shares[at] > 0 and now[at].sum()][:_MOST]
    return [Contribution(dimension, values[at], float(shares[at]), estimate(now[at]), float(each[at])) for at in order]


def _texts(client: ClickHouse, finding: Finding, began: int, known: Known) -> list[str]:
    """Three negative texts of the scope since the drop began, newest first."""
    scoped, parameters = _scoped(finding.scope)
    condition, more = as_known(known)
    if finding.metric == "sentiment":
        answered = "label = 'negative' AND tier = {scale:String}"
    else:
        side = sides(finding.metric, finding.scale)[0]
        answered = (
            f"metric = {{metric:String}} AND scale = {{scale:String}} AND bin >= {side.start} AND bin < {side.stop}"
        )
    rows = client.query(
        f"""SELECT text FROM texts AS t FINAL INNER JOIN (
            SELECT topic, epoch, part, off, occurred_ms FROM ledger FINAL
            WHERE topic = 'feedback' AND disposition = 'aggregated' AND label != '' AND {answered} AND {scoped}
                AND occurred_ms >= {{from_ms:Int64}} AND occurred_ms < {{to_ms:Int64}}
                AND day >= toDate(toDateTime({{since:UInt32}}, 'UTC')) AND {condition}
            ORDER BY occurred_ms DESC, part, off LIMIT {4 * _MOST}
        ) AS l USING (topic, epoch, part, off)
        WHERE text != '' ORDER BY occurred_ms DESC, part, off LIMIT {_MOST}""",
        span(began, finding.window_end, ("feedback",))
        | {"began": began, "metric": finding.metric, "scale": finding.scale, **parameters, **more},
        FINAL_BY_DAY,
    )
    return [_beginning(str(text)) for text in rows["text"]] if rows.height else []


def _beginning(text: str) -> str:
    """As much of a text as fits into a message; that there is more is said."""
    return text if len(text) <= _TEXT else f"{text[: _TEXT - 1]}…"


def _column(name: str) -> str:
    return "segments" if name == "segment" else name


def _scoped(scope: Mapping[str, str]) -> tuple[str, dict[str, Any]]:
    """The condition that keeps a scope's answers, and its parameters."""
    parts = ["1"]
    for name in scope:
        if name == "segment":
            parts.append("has(splitByChar(',', toString(segments)), {scope_segment:String})")
        else:
            parts.append(f"{name} = {{scope_{name}:String}}")
    return " AND ".join(parts), {f"scope_{name}": value for name, value in scope.items()}
