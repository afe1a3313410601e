"""Reads one customer [I/O]: everything that happened across channels in order, the index point by point, last scores.

It reads the ledger itself, so an event is here as soon as it is recorded. Customers are pseudonyms; texts are masked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
import orjson
import polars as pl

from pipeline.customers.profiles import TOMBSTONE_MS
from pipeline.customers.pseudonyms import written
from pipeline.errors import SettingsError, UsageError
from pipeline.journeys.facts import DAY_S, SETTINGS, Database
from pipeline.journeys.index import OUTCOMES, Account, Definition, account, worth

#: The definition that comes with the package.
BUNDLED: Final = Path(__file__).with_name("index.toml")
#: How far back is looked: after twelve half-lives of 30 days an experience weighs 1/4,000.
DAYS = 365
#: The newest events of a customer that are read; what lies before them is counted in `older`.
MOST_EVENTS = 10_000
_KEY = ("topic", "epoch", "part", "off")


@dataclass(frozen=True, slots=True)
class CustomerQuestion:
    """One customer by pseudonym (`key_id` and 64-bit number), as of `now_ms`; the newest `limit` events are shown."""

    key_id: int
    customer: int
    now_ms: int
    days: int = DAYS
    limit: int = 50

    def __post_init__(self) -> None:
        if not (0 < self.key_id < 256 and 0 < self.customer < 2**64):
            raise UsageError("a customer is a key from 1 to 255 and a number of 64 bits that is not 0")
        if not 0 <= self.limit <= MOST_EVENTS:
            raise UsageError(f"a limit of {self.limit} events; it must be from 0 to {MOST_EVENTS}")
        if not 1 <= self.days <= 36_500:
            raise UsageError(f"{self.days} days back; it must be from 1 to 36500")


@dataclass(frozen=True, slots=True)
class Customer:
    """What is known of one customer; records as they are shown, times in ISO 8601 (UTC)."""

    question: CustomerQuestion
    profile: dict[str, Any] | None
    indexes: dict[str, Any]
    last_scores: list[dict[str, Any]]
    timeline: list[dict[str, Any]]
    events: int
    older: int

    def document(self) -> dict[str, Any]:
        """The answer as one JSON document."""
        return {
            "customer": written(self.question.key_id, self.question.customer),
            "as_of": _iso(self.question.now_ms),
            "profile": self.profile,
            "index": self.indexes,
            "last_scores": self.last_scores,
            "events": self.events,
            "older": self.older,
            "timeline": self.timeline,
        }


def read_definition(path: Path | None = None) -> Definition:
    """The index definition of a file, the bundled one by default; raises SettingsError with every mistake."""
    source = path or BUNDLED
    try:
        return Definition.parse(source.read_text(encoding="utf-8"), str(source))
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"the index definition {source} cannot be read: {error}") from error


def read_customer(client: Database, question: CustomerQuestion, definition: Definition) -> Customer:
    """Timeline, index and last scores of one customer; without an event all are empty."""
    rows, older = _events(client, question)
    known = rows.filter(pl.col("disposition") == "aggregated")
    superseded = known.filter(pl.col("old_off") >= 0).select("topic", "epoch", "part", pl.col("old_off").alias("off"))
    rows = rows.with_columns(_counted(rows, superseded))
    counted = rows.filter("counts")
    values = worth(counted, definition)
    apart = counted["relationship"].to_numpy()
    accounts = {
        name: account(np.where(mine, values, 0.0), counted["occurred_ms"].to_numpy(), question.now_ms, definition)
        for name, mine in (("transactions", ~apart), ("relationship", apart))
    }
    timeline = _timeline(client, question, rows, values, accounts)
    return Customer(
        question=question,
        profile=_profile(client, question),
        indexes=_indexes(definition, counted, accounts),
        last_scores=_last_scores(counted),
        timeline=timeline,
        events=rows.height,
        older=older,
    )


def _counted(rows: pl.DataFrame, superseded: pl.DataFrame) -> list[pl.Series]:
    """`counts`: aggregated and not replaced by a later revision; `relationship`: an answer about the brand itself."""
    old = rows.select(_KEY).join(superseded.with_columns(pl.lit(True).alias("old")), on=list(_KEY), how="left")["old"]
    counts = (rows["disposition"] == "aggregated") & ~old.fill_null(False)
    whole = (rows["metric"] != "volume") & (rows["touchpoint"] == "")
    return [counts.alias("counts"), whole.alias("relationship")]


def _events(client: Database, question: CustomerQuestion) -> tuple[pl.DataFrame, int]:
    """The newest ledger rows of the customer in order of time, and how many lie before them.

    First without FINAL, which would merge all that others did; a row counts in its highest version only.
    """
    given = {
        "customer": question.customer,
        "key_id": question.key_id,
        "begin_ms": question.now_ms - question.days * DAY_S * 1000,
        "now_ms": question.now_ms,
        "most": MOST_EVENTS,
    }
    mine = "customer = {customer:UInt64} AND key_id = {key_id:UInt8} AND disposition IN ('aggregated', 'late')"
    found = client.query(
        f"""SELECT {", ".join(_SELECTED)}, count() OVER () AS every FROM (
            SELECT * FROM ledger
            WHERE (topic, epoch, part, off) IN (SELECT {", ".join(_KEY)} FROM ledger PREWHERE {mine})
            ORDER BY ver DESC LIMIT 1 BY {", ".join(_KEY)})
        WHERE {mine} AND occurred_ms >= {{begin_ms:Int64}} AND occurred_ms <= {{now_ms:Int64}}
        ORDER BY occurred_ms DESC, topic DESC, off DESC LIMIT {{most:UInt32}}""",
        given,
        SETTINGS,
        long=True,
    )
    if not found.height:
        return pl.DataFrame(schema={name: _NUMBERS.get(name, pl.String()) for name in _SELECTED}), 0
    words = [pl.col(name).cast(pl.String) for name in _SELECTED if name not in _NUMBERS]
    numbers = [pl.col(name).cast(dtype) for name, dtype in _NUMBERS.items()]
    return found.select(*words, *numbers).reverse(), int(found["every"][0]) - found.height


_NUMBERS: dict[str, pl.DataType] = {
    "epoch": pl.Int64(),
    "part": pl.Int64(),
    "off": pl.Int64(),
    "occurred_ms": pl.Int64(),
    "ingest_ms": pl.Int64(),
    "answer": pl.Int64(),
    "bin": pl.Int64(),
    "p": pl.Int64(),
    "old_off": pl.Int64(),
    "value": pl.Float64(),
}
_SELECTED = (
    *("topic", "disposition", "metric", "scale", "source", "brand", "unit", "channel", "touchpoint", "stage"),
    *("product", "label", "tier", "currency", "reason"),
    *_NUMBERS,
)


def _profile(client: Database, question: CustomerQuestion) -> dict[str, Any] | None:
    found = client.query(
        """SELECT valid_from_ms, segments, toString(unit) AS unit, attributes FROM profiles FINAL
        WHERE customer = {customer:UInt64} AND key_id = {key_id:UInt8} ORDER BY part, off""",
        {"customer": question.customer, "key_id": question.key_id},
    )
    valid = None
    for row in found.to_dicts():
        if row["valid_from_ms"] == TOMBSTONE_MS:
            valid = None
        elif row["valid_from_ms"] <= question.now_ms and (
            valid is None or row["valid_from_ms"] >= valid["valid_from_ms"]
        ):
            valid = row
    if valid is None:
        return None
    return {
        "valid_from": _iso(valid["valid_from_ms"]),
        "segments": [name for name in valid["segments"].split(",") if name],
        "unit": valid["unit"],
        "attributes": orjson.loads(valid["attributes"] or "{}"),
    }


def _indexes(definition: Definition, counted: pl.DataFrame, accounts: dict[str, Account]) -> dict[str, Any]:
    points = accounts["transactions"].points
    parts = counted.select("brand", "product").with_columns(pl.Series("points", points, dtype=pl.Float64))
    return {
        "definition": definition.id,
        "version": definition.version,
        "half_life_days": definition.half_life_days,
        **{
            name: {
                "value": found.index,
                "n": found.n,
                "points": float(found.points.sum()),
                "peak": found.peak,
                "end": found.end,
            }
            for name, found in accounts.items()
        },
        **{
            f"points_by_{name}": dict(
                parts.filter(pl.col(name) != "").group_by(name).agg(pl.sum("points")).sort(name).iter_rows()
            )
            for name in ("brand", "product")
        },
    }


def _last_scores(counted: pl.DataFrame) -> list[dict[str, Any]]:
    """The last answer of each metric and scale, about the brand and about touchpoints apart; the newest first."""
    answers = counted.filter((pl.col("metric") != "volume") & (pl.col("bin") >= 0))
    last = (
        answers.group_by("relationship", "metric", "scale", maintain_order=True)
        .last()
        .sort("occurred_ms", descending=True)
    )
    return [
        {
            "kind": "relationship" if row["relationship"] else "transaction",
            **{name: row[name] for name in ("metric", "scale", "answer", "touchpoint", "channel")},
            "at": _iso(row["occurred_ms"]),
        }
        for row in last.sort("occurred_ms", descending=True).to_dicts()
    ]


def _timeline(
    client: Database, question: CustomerQuestion, rows: pl.DataFrame, values: np.ndarray, accounts: dict[str, Account]
) -> list[dict[str, Any]]:
    """The newest events, newest first, each with what it adds to its index."""
    place = np.cumsum(rows["counts"].to_numpy()) - 1
    texts = _texts(client, rows.tail(question.limit)) if question.limit else {}
    found = []
    for at in range(rows.height - 1, max(rows.height - question.limit, 0) - 1, -1):
        row = rows.row(at, named=True)
        entry: dict[str, Any] = {
            "at": _iso(row["occurred_ms"]),
            "event": f"{row['topic']}/{row['epoch']}/{row['part']}/{row['off']}",
            "kind": "touchpoint" if row["metric"] == "volume" else "feedback",
            **{name: row[name] for name in ("channel", "touchpoint", "stage", "brand", "unit", "product")},
            **_said(row),
            **texts.get(tuple(row[name] for name in _KEY), _NO_TEXT),
            "disposition": row["disposition"] if row["counts"] or row["disposition"] == "late" else "superseded",
        }
        if row["counts"]:
            own = "relationship" if row["relationship"] else "transactions"
            entry |= {"index": own, **_points(accounts[own], int(place[at]), float(values[place[at]]))}
        found.append(entry)
    return found


def _said(row: dict[str, Any]) -> dict[str, Any]:
    if row["metric"] == "volume":
        outcome = OUTCOMES[row["bin"]] if 0 <= row["bin"] < len(OUTCOMES) else OUTCOMES[0]
        return {"outcome": outcome, "value": row["value"], "currency": row["currency"]}
    answered = row["bin"] >= 0
    return {
        "metric": row["metric"],
        "scale": row["scale"],
        "answer": row["answer"] if answered else None,
        "label": row["label"],
    }


def _points(found: Account, place: int, worth_: float) -> dict[str, Any]:
    return {
        "worth": worth_,
        "weight": float(found.weight[place]),
        "points": float(found.points[place]),
        "is_peak": place == found.peak_at,
        "is_end": place == found.end_at,
    }


_NO_TEXT: Final[Mapping[str, Any]] = {"text": "", "truncated": False}


def _texts(client: Database, rows: pl.DataFrame) -> dict[tuple[Any, ...], Mapping[str, Any]]:
    """Masked texts of these rows by their place in the log; a text has a retention of its own and may be gone."""
    said = rows.filter(pl.col("metric") != "volume")
    if not said.height:
        return {}
    keys = {f"{name}s": said[name].to_list() for name in _KEY}
    found = client.query(
        """SELECT toString(topic) AS topic, toInt64(epoch) AS epoch, toInt64(part) AS part, off, text, truncated
        FROM texts FINAL
        WHERE (toString(topic), toInt64(epoch), toInt64(part), off) IN (
            SELECT k.1, k.2, k.3, k.4 FROM (SELECT arrayJoin(arrayZip(
                {topics:Array(String)}, {epochs:Array(Int64)}, {parts:Array(Int64)}, {offs:Array(Int64)})) AS k))
            AND off IN {offs:Array(Int64)} AND topic IN {topics:Array(String)}""",
        keys,
        SETTINGS,
    )
    return {row[:4]: {"text": row[4], "truncated": bool(row[5])} for row in found.rows()} if found.height else {}


def _iso(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
