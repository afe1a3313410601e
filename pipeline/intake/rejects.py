"""What was rejected, as the tables hold it [I/O].

Rows of `sealed` whose offset the ledger calls a dead letter, and rows of `refused`: what a gateway did not let in.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from pipeline.clickhouse import FINAL_BY_DAY, ClickHouse
from pipeline.customers.sealing import Sealer, context
from pipeline.errors import UsageError
from pipeline.intake.places import Place

#: Days that sealed bytes are kept (the table's TTL): nothing older can be asked for.
KEPT_DAYS = 30
#: Rejects read at once while bytes are opened: 256 KiB each in the worst case.
PAGE = 200
_DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class Filter:
    """Which rejects: empty means all. Times are ingest times in ms, the end is not included."""

    since_ms: int
    until_ms: int
    reasons: Sequence[str] = ()
    stages: Sequence[str] = ()
    producers: Sequence[str] = ()
    topics: Sequence[str] = ()
    places: Sequence[Place] = field(default=())


def found(client: ClickHouse, wanted: Filter, limit: int, after: Place | None = None) -> pl.DataFrame:
    """Rejects, newest first; with `after` in the order of their places, beginning behind it. Without their bytes."""
    where, parameters = _condition(wanted)
    order = "ingest_ms DESC, topic, epoch, part, off DESC"
    if after is not None:
        order = "topic, epoch, part, off"
        where += " AND (topic, epoch, part, off) > ({t:String}, {e:UInt16}, {p:UInt16}, {o:Int64})"
        parameters |= dict(zip("tepo", after, strict=True))
    sql = f"""SELECT topic, epoch, part, off, ingest_ms, failed_at, reason, path, detail, key_id, producer, attempt,
    tries, done FROM ({_rows(where)}) AS rejected
    LEFT JOIN (SELECT topic, epoch, part, off, tries, done FROM replays FINAL) AS replayed
    USING (topic, epoch, part, off) ORDER BY {order} LIMIT {{limit:UInt32}}"""
    return client.query(sql, {**parameters, "limit": limit}, FINAL_BY_DAY)


def counted(client: ClickHouse, wanted: Filter, by: Sequence[str]) -> pl.DataFrame:
    """How many, and from when to when (ms), by some of the columns reason, stage, producer, topic, path."""
    columns = {"stage": "failed_at", **{name: name for name in ("reason", "producer", "topic", "path")}}
    unknown = [name for name in by if name not in columns]
    if unknown:
        raise UsageError(f"--by {','.join(unknown)}: it may be {', '.join(sorted(columns))}")
    names = ", ".join(f"{columns[name]} AS {name}" if name == "stage" else name for name in by)
    where, parameters = _condition(wanted)
    group = f" GROUP BY {', '.join(by)}" if by else ""
    sql = f"""SELECT {names}{", " if by else ""}count() AS n, min(ingest_ms) AS first_ms, max(ingest_ms) AS last_ms
    FROM ({_rows(where)}){group} ORDER BY n DESC LIMIT 1000"""
    return client.query(sql, parameters, FINAL_BY_DAY)


def pages(client: ClickHouse, wanted: Filter) -> Iterator[pl.DataFrame]:
    """All rejects, a page at a time, in the order of their places."""
    after = Place("", 0, 0, -1)
    while not (page := found(client, wanted, PAGE, after)).is_empty():
        yield page
        after = Place(*page.select("topic", "epoch", "part", "off").row(-1))


def sealed_of(client: ClickHouse, places: Sequence[Place]) -> dict[Place, tuple[int, bytes]]:
    """The sealed bytes at these places, each with the id of the key that sealed them."""
    rows = client.query(
        " UNION ALL ".join(
            f"SELECT topic, epoch, part, off, key_id, base64Encode(sealed) AS coded FROM {table} FINAL WHERE {AT}"
            for table in ("sealed", "refused")
        ),
        {"places": _text_of(places)},
        FINAL_BY_DAY,
    )
    return {
        Place(row["topic"], row["epoch"], row["part"], row["off"]): (row["key_id"], base64.b64decode(row["coded"]))
        for row in rows.iter_rows(named=True)
    }


def counted_ids(client: ClickHouse, hashes: Sequence[int]) -> set[int]:
    """Which event ids (their fingerprints) the ledger has counted, or holds as late."""
    if not hashes:
        return set()
    rows = client.query(
        "SELECT DISTINCT event_hash FROM ledger FINAL WHERE event_hash IN {hashes:Array(UInt64)}"
        " AND disposition IN ('aggregated', 'late')",
        {"hashes": list(hashes)},
        FINAL_BY_DAY,
        long=True,
    )
    return set(rows["event_hash"].to_list()) if not rows.is_empty() else set()


def opened(sealer: Sealer, place: Place, sealed: tuple[int, bytes]) -> bytes:
    """The bytes of what `sealed_of` found. DifferenceFound when another key sealed them or they were altered."""
    key_id, bits = sealed
    return sealer.open(bits, context(*place), key_id)


#: Rows of some places; their texts are one parameter, since a tuple cannot be one.
AT = "concat(topic, '/', toString(epoch), '/', toString(part), '/', toString(off)) IN {places:Array(String)}"


def _text_of(places: Sequence[Place]) -> list[str]:
    return [place.text for place in places]


_COLUMNS = "topic, epoch, part, off, ingest_ms, failed_at, reason, path, detail, key_id, producer, attempt"
#: What lies in `sealed` is readable only through the ledger: a worker may have been killed between the two.
_DEAD = (
    "(topic, epoch, part, off) IN (SELECT topic, epoch, part, off FROM ledger FINAL"
    " WHERE disposition = 'dead_letter' AND day >= toDate({first:UInt16}))"
)


def _rows(where: str) -> str:
    """Rejects of workers and of gateways."""
    dead, refused = f"sealed FINAL WHERE {where} AND {_DEAD}", f"refused FINAL WHERE {where}"
    return f"SELECT {_COLUMNS} FROM {dead} UNION ALL SELECT {_COLUMNS} FROM {refused}"


def _condition(wanted: Filter) -> tuple[str, dict[str, Any]]:
    terms = ["ingest_ms >= {since:Int64}", "ingest_ms < {until:Int64}", "day >= toDate({first:UInt16})"]
    parameters: dict[str, Any] = {
        "since": wanted.since_ms,
        "until": wanted.until_ms,
        "first": max(0, wanted.since_ms // _DAY_MS),
    }
    for column, values in (
        ("reason", wanted.reasons),
        ("failed_at", wanted.stages),
        ("producer", wanted.producers),
        ("topic", wanted.topics),
    ):
        if values:
            terms.append(f"{column} IN {{{column}s:Array(String)}}")
            parameters[f"{column}s"] = list(values)
    if wanted.places:
        terms.append(AT)
        parameters["places"] = _text_of(wanted.places)
    return " AND ".join(terms), parameters
