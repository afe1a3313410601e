"""Who sent how much [I/O]: arrivals by producer, counted after the ledger, read back as each producer's attendance.

The counts serve to see that somebody went wrong, not to prove anything: a worker that is killed between the ledger and
these rows loses some seconds of them. What is proved stands in the ledger.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import astuple, dataclass, field
from typing import Any

import polars as pl

from pipeline.arrival.senders import MAX_PRODUCER, resolved
from pipeline.clickhouse import ClickHouse
from pipeline.customers.masking import mask_addresses
from pipeline.ledger.attendance import BAD, SILENT, STEP_MS, Attendance, Recent, Usual, gone, judged, usual_of
from pipeline.moments import iso
from pipeline.slices import Partition
from pipeline.telemetry import log
from schemas.vocabulary import Disposition

#: Producers that a worker counts by name: the names are the producers' own, and each becomes a label.
MOST_PRODUCERS = 200
#: Where the events of all further ones are counted.
OTHERS = "others"
#: Of who has fewer rows than this in so many days, the gaps of all these days count. The table forgets after 35.
SELDOM, SELDOM_DAYS = 2_000, 34
#: Habits are looked up again after so long, ms.
HABITS_MS = 600_000
_KEYS = ("bucket", "producer", "topic", "reason")
#: What rows are tallied by, beside the time.
_TOLD = ("disposition", "reason", "failed_at", "producer", "channel")

_log = log("touchline.producers")


def tallied(slices: Iterable[pl.DataFrame]) -> pl.DataFrame:
    """How many rows of some slices are alike: _TOLD, bucket (seconds, of STEP_MS), n, last_ms.

    Most of these columns hold one word from top to bottom: rows are told apart by the others alone.
    """
    rows = pl.concat(each.select(*_TOLD, "ingest_ms") for each in slices)
    bucket = (rows["ingest_ms"] // STEP_MS * (STEP_MS // 1000)).cast(pl.UInt32).alias("bucket")
    keys = [*(rows[name] for name in _TOLD), bucket]
    same = {key.name: pl.lit(key[0], key.dtype) for key in keys if rows.height and (key == key[0]).all()}
    grouped = pl.DataFrame([*(key for key in keys if key.name not in same), rows["ingest_ms"]])
    told = [pl.len().cast(pl.UInt64).alias("n"), pl.col("ingest_ms").max().alias("last_ms")]
    tally = grouped.group_by(pl.exclude("ingest_ms")).agg(told) if grouped.width > 1 else grouped.select(told)
    return tally.with_columns(**same).select(*_TOLD, "bucket", "n", "last_ms")


@dataclass(slots=True)
class Rollcall:
    """Counts of one worker until they are written: `add` after each batch, `taken` every few seconds."""

    names: set[str] = field(default_factory=set)
    waiting: list[pl.DataFrame] = field(default_factory=list)

    def add(self, topic: str, tally: pl.DataFrame) -> pl.DataFrame:
        """Counts what was tallied of a batch; gives: producer, topic, reason ("" of what is no dead letter), n."""
        dead = pl.col("disposition") == Disposition.DEAD_LETTER
        counts = (
            tally.group_by(
                "bucket",
                resolved(pl.col("producer"), pl.col("channel")).alias("producer"),
                pl.when(dead).then(pl.col("reason")).otherwise(pl.lit("")).alias("reason"),
            )
            .agg(pl.col("n").sum(), pl.col("last_ms").max())
            .with_columns(pl.lit(topic).alias("topic"))
        )
        named = {name: self._named(name) for name in counts["producer"].unique().to_list()}
        counts = counts.with_columns(pl.col("producer").replace(named))
        self.waiting.append(counts)
        return counts

    def taken(self) -> pl.DataFrame:
        """Everything counted since the last time, one row a key; the counts begin anew."""
        if not self.waiting:
            return pl.DataFrame()
        counts, self.waiting = pl.concat(self.waiting), []
        return counts.group_by(_KEYS).agg(pl.col("n").sum(), pl.col("last_ms").max())

    def _named(self, name: str) -> str:
        name = mask_addresses(name)[:MAX_PRODUCER]
        if name in self.names or len(self.names) < MOST_PRODUCERS:
            self.names.add(name)
            return name
        return OTHERS


@dataclass(slots=True)
class Muster:
    """What the owner of `ticks` remembers between two looks: habits, log ends, since when each is as it is."""

    habits: Mapping[str, Usual] = field(default_factory=dict)
    habits_at_ms: int = 0
    since: dict[str, tuple[str, int]] | None = None
    ends: Mapping[Partition, int] = field(default_factory=dict)

    def look(self, client: ClickHouse, now_ms: int, ends: Mapping[Partition, int]) -> list[Attendance]:
        """Everybody's attendance at broker time `now_ms`, written to the table `producers`; the log says what changed.

        `ends` are the log ends of the live topics now: nobody is silent while those of the look before are not read.
        """
        if now_ms - self.habits_at_ms >= HABITS_MS:
            self.habits, self.habits_at_ms = habits(client, now_ms), now_ms
        ready, self.ends = bool(self.ends) and read_up_to(client, self.ends), ends
        found = [
            judged(one, self.habits.get(one.producer, Usual()), now_ms, caught_up=ready)
            for one in recent(client, now_ms)
            if not gone(one, self.habits.get(one.producer, Usual()), now_ms)
        ]
        if self.since is None:
            self.since = {row["producer"]: (row["state"], row["since_ms"]) for row in attendance(client)}
        changed = [one for one in found if self.since.get(one.producer, ("", 0))[0] != one.state]
        for one in changed:
            was, _ = self.since.get(one.producer, ("", 0))
            self.since[one.producer] = (one.state, now_ms)
            if one.state in (BAD, SILENT):
                _log.error(f"producer {one.state}", producer=one.producer, reason=one.why)
            elif was in (BAD, SILENT):
                _log.info("producer is right again", producer=one.producer, was=was)
        rows = [(*astuple(one), self.since[one.producer][1], now_ms) for one in found]
        client.insert("producers", pl.DataFrame(rows, schema=_PRODUCERS, orient="row"))
        return found


#: Columns of the table `producers`, in the order of Attendance and what Watch adds.
_PRODUCERS = {
    "producer": pl.String,
    "state": pl.String,
    "why": pl.String,
    "arrived": pl.UInt64,
    "rejected": pl.UInt64,
    "share": pl.Float64,
    "last_ms": pl.Int64,
    "gap_ms": pl.Int64,
    "since_ms": pl.Int64,
    "looked_ms": pl.Int64,
}


def attendance(client: ClickHouse) -> list[dict[str, Any]]:
    """Each producer as the worker saw it last (columns of the table `producers`), the troubled ones first.

    Who was not there at the last look is gone (see `attendance.gone`).
    """
    rows = client.query(
        "SELECT * FROM producers FINAL WHERE looked_ms = (SELECT max(looked_ms) FROM producers)"
        " ORDER BY state IN ('bad', 'silent') DESC, producer"
    )
    return rows.to_dicts()


def spelled_out(row: Mapping[str, Any]) -> dict[str, Any]:
    """One of these with its times as people read them too: `last`, `since` and `looked`."""
    return {**row, **{name.removesuffix("_ms"): iso(row[name]) for name in ("last_ms", "since_ms", "looked_ms")}}


def read_up_to(client: ClickHouse, ends: Mapping[Partition, int]) -> bool:
    """Whether the workers have read every partition up to these log ends."""
    rows = client.query(
        "SELECT topic, part, argMax(settled, epoch) AS settled FROM progress FINAL GROUP BY topic, part"
    )
    settled = {Partition(row["topic"], row["part"]): row["settled"] for row in rows.iter_rows(named=True)}
    return all(settled.get(partition, -1) + 1 >= end for partition, end in ends.items())


def recent(client: ClickHouse, now_ms: int) -> list[Recent]:
    """What each producer sent on the live topics, and when last."""
    rows = client.query(_RECENT, {"now": now_ms // 1000})
    return [
        Recent(
            row["producer"],
            (row["minute"], row["minute_bad"]),
            (row["hour"], row["hour_bad"]),
            (row["week"], row["week_bad"]),
            row["last_ms"],
            row["most"],
        )
        for row in rows.iter_rows(named=True)
    ]


def habits(client: ClickHouse, now_ms: int) -> dict[str, Usual]:
    """Normal gap and usual hours of each producer, from the tables."""
    at = {"now": now_ms // 1000}
    gaps = {
        row["producer"]: row
        for sql in (_GAPS, _SELDOM_GAPS)
        for row in client.query(sql, at, long=True).iter_rows(named=True)
    }
    hours = client.query(_HOURS, at, long=True)
    found = {}
    for row in hours.iter_rows(named=True):
        seen = [hour * 1000 for hour in row["hours"]]
        known = gaps.get(row["producer"], {"gaps": [], "ends": [], "long": []})
        short = [gap * 1000 for gap in known["gaps"]]
        long = [((end - gap) * 1000, gap * 1000) for end, gap in zip(known["ends"], known["long"], strict=True)]
        found[row["producer"]] = usual_of(short, seen, row["first"] * 1000, now_ms, long)
    return found


#: Live topics and what gateways refused: an import is no producer that could fall silent. `n` counts sum since rows may
#: not be merged yet.
_LIVE = "topic IN ('feedback', 'touchpoints', 'gateway') AND bucket > toDateTime({now:UInt32}, 'UTC')"

_RECENT = f"""SELECT producer,
  sumIf(n, bucket >= toDateTime({{now:UInt32}}, 'UTC') - 60) AS minute,
  sumIf(n, bucket >= toDateTime({{now:UInt32}}, 'UTC') - 60 AND reason != '') AS minute_bad,
  sumIf(n, bucket >= toDateTime({{now:UInt32}}, 'UTC') - 3600) AS hour,
  sumIf(n, bucket >= toDateTime({{now:UInt32}}, 'UTC') - 3600 AND reason != '') AS hour_bad,
  sumIf(n, bucket > toDateTime({{now:UInt32}}, 'UTC') - 7 * 86400) AS week,
  sumIf(n, bucket > toDateTime({{now:UInt32}}, 'UTC') - 7 * 86400 AND reason != '') AS week_bad,
  max(last_ms) AS last_ms,
  topKWeightedIf(1)(reason, n, reason != '' AND bucket >= toDateTime({{now:UInt32}}, 'UTC') - 3600) AS most
FROM arrivals WHERE {_LIVE} - {SELDOM_DAYS} * 86400 GROUP BY producer ORDER BY producer"""


def _gaps(days: int, most: int, having: str = "") -> str:
    """Gaps (s) of so many days: those below an hour; of the others the length, and when each ended."""
    return f"""WITH arraySort(groupUniqArray({most})(toInt64(toUnixTimestamp(bucket)))) AS at,
  arrayDifference(at) AS between
SELECT producer, arrayFilter(gap -> gap > 0 AND gap < 3600, between) AS gaps,
  arrayFilter((end, gap) -> gap >= 3600, at, between) AS ends, arrayFilter(gap -> gap >= 3600, between) AS long
FROM arrivals WHERE {_LIVE} - {days} * 86400 GROUP BY producer {having}"""


_GAPS = _gaps(7, 200_000)
_SELDOM_GAPS = _gaps(SELDOM_DAYS, SELDOM, f"HAVING count() < {SELDOM}")

_HOURS = f"""SELECT producer, toInt64(toUnixTimestamp(min(bucket))) AS first,
  groupUniqArray(toInt64(toUnixTimestamp(toStartOfHour(bucket)))) AS hours
FROM arrivals WHERE {_LIVE} - 28 * 86400 GROUP BY producer"""
