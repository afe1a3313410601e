"""Topics as drivers [I/O]: whose last answer says something about a topic, against all others who wrote.

Who wrote nothing, or whose text nobody has looked at (erased, older than its retention), is on neither side: those who
write are not those who do not, and a topic is not to be blamed for that.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import polars as pl

from pipeline.journeys import answers
from pipeline.journeys.facts import SETTINGS, Database, between, days, kept, parameters
from pipeline.journeys.impacts import Exposed

if TYPE_CHECKING:
    from pipeline.journeys.drivers import DriverQuestion

#: Topics that are told apart: one bit each, and one bit stays free. A taxonomy has no more.
MOST: Final = 63
#: The same for all: which texts are meant, and the place of each in the log.
_LOOKED_AT: Final = "taxonomy != ''"
_PLACE: Final = "topic, epoch, part, off"


def mentions(client: Database, question: DriverQuestion) -> Exposed:
    """The last answer of each customer, where it has a text: one row for each set of topics and answer."""
    given = parameters(question.start, question.end, question.filters) | {"metric": question.metric}
    names = _names(client, given)
    found = client.query(
        _sql(question), given | {"nodes": names, "places": list(range(len(names)))}, SETTINGS, long=True
    )
    if not names or found.is_empty():
        return Exposed.nothing()
    by_scale: Counter[str] = Counter()
    for scale, n in found.select("scale_", "n").iter_rows():
        by_scale[scale] += n
    scale = max(by_scale, key=lambda name: (by_scale[name], name))
    mine = found.filter(pl.col("scale_") == scale).sort("met", "bin_")
    met = (mine["met"].to_numpy()[:, None] >> np.arange(len(names), dtype=np.uint64)[None, :]) & np.uint64(1)
    some = np.flatnonzero(met.any(axis=0))
    return Exposed(
        scale,
        tuple(names[at] for at in some),
        met[:, some].astype(np.int64),
        mine["bin_"].to_numpy(),
        mine["n"].to_numpy().astype(np.int64),
        True,
        {name: n for name, n in by_scale.most_common() if name != scale},
    )


def _names(client: Database, given: dict[str, Any]) -> list[str]:
    """The topics of the window's texts, the most frequent first."""
    found = client.query(
        f"""SELECT arrayJoin(splitByChar(',', toString(topics))) AS word, count() AS n FROM texts FINAL
        WHERE {_LOOKED_AT} AND topics != '' AND {days()} GROUP BY word ORDER BY n DESC, word LIMIT {MOST}""",
        given,
        SETTINGS,
        long=True,
    )
    return [str(word) for word in found["word"]] if found.height else []


def _sql(question: DriverQuestion) -> str:
    """The last answer of each customer on each scale, beside the bits of the topics that its text has."""
    scale, bin_, counted = answers.columns(question.metric)
    last = f"""SELECT scale_, argMax((bin_, {_PLACE}), (occurred_ms, revision)) AS last FROM (
            SELECT brand, customer, occurred_ms, revision, {_PLACE}, {scale} AS scale_, {bin_} AS bin_ FROM ledger FINAL
            WHERE {counted} AND {between()}{kept(question.filters)})
        GROUP BY brand, customer, scale_"""
    bits = f"""arrayReduce('groupBitOr', arrayMap(word -> bitShiftLeft(toUInt64(1),
            transform(word, {{nodes:Array(String)}}, {{places:Array(UInt16)}}, toUInt16({MOST}))),
            splitByChar(',', toString(topics))))"""
    texts = f"SELECT {_PLACE}, {bits} AS met FROM texts FINAL WHERE {_LOOKED_AT} AND {days()}"
    return f"""SELECT l.scale_ AS scale_, t.met AS met, toInt64(l.bin_) AS bin_, count() AS n
        FROM (SELECT scale_, last.1 AS bin_, last.2 AS topic, last.3 AS epoch, last.4 AS part, last.5 AS off
            FROM ({last})) AS l
        INNER JOIN ({texts}) AS t USING ({_PLACE})
        GROUP BY scale_, met, bin_"""
