"""Customers in the ledger [I/O]: two that are found to be one, and one who asks to be forgotten.

What was answered stays and counts either way. Merging keeps what the rows said before, so that "as known then" can
still tell; erasing keeps nothing: the customer leaves ledger, texts, profiles and the notes of earlier rewritings.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import orjson
import polars as pl

from pipeline.clickhouse import FINAL_BY_DAY, ClickHouse
from pipeline.customers.profiles import TOMBSTONE_MS
from pipeline.errors import UsageError
from pipeline.ledger.rewriting import Rewritten, erased, merged, rewritten
from pipeline.scores.recompute import Part
from schemas.vocabulary import Reason

#: The kinds of requests.
MERGE: Final = "merge"
ERASE: Final = "erase"

#: One customer: number of the key, and 64 bits.
Identity = tuple[int, int]

_MINE = "topic = {topic:String} AND epoch = {epoch:UInt16} AND part = {part:UInt16} AND off <= {up_to:Int64}"
_THEIRS = "customer = {customer:UInt64} AND key_id = {key_id:UInt8}"
#: Physical deletions wait until they are done, on every replica.
_AT_ONCE: Final[dict[str, Any]] = {"mutations_sync": 2, "allow_nondeterministic_mutations": 1}


def body_of(who: Identity, into: Identity | None = None) -> str:
    """What a request says: whom, and for a merge into whom."""
    return orjson.dumps({"who": who, "into": into}).decode()


def _named(body: str) -> tuple[Identity, Identity | None]:
    try:
        found = orjson.loads(body)
        who, into = found["who"], found["into"]
        return (int(who[0]), int(who[1])), None if into is None else (int(into[0]), int(into[1]))
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise UsageError("a request about a customer names none") from error


def changed(client: ClickHouse, where: Part, request: Mapping[str, Any]) -> Rewritten | None:
    """The customer's rows of one partition as they are to be; None when there are none (any more)."""
    who, into = _named(str(request["body"]))
    given = {**_names(where), **_given(who)}
    before = client.query(
        f"SELECT * FROM ledger FINAL WHERE {_MINE} AND {_THEIRS} ORDER BY off", given, FINAL_BY_DAY, long=True
    )
    if before.is_empty():
        return None
    if request["kind"] == ERASE:
        return rewritten(before, erased(before), before.clear(), Reason.ERASED)
    if into is None:
        raise UsageError("a request to merge names nobody to merge into")
    # What takes these rows back is an answer to the same question of the same submission; usually theirs as well.
    later = client.query(
        f"""SELECT * FROM ledger FINAL WHERE {_MINE} AND disposition = 'aggregated' AND old_off IN (
            SELECT off FROM ledger FINAL WHERE {_MINE} AND {_THEIRS})""",
        given,
        FINAL_BY_DAY,
        long=True,
    )
    after = merged(before, into, _profile(client, into))
    return rewritten(before, after, later if later.width else before.clear(), Reason.MERGED)


def _profile(client: ClickHouse, who: Identity) -> pl.DataFrame:
    """What is known of a customer's segments, by time: of one moment the newest, behind the last tombstone."""
    rows = client.query(
        f"SELECT off, valid_from_ms, segments FROM profiles FINAL WHERE {_THEIRS} ORDER BY part, off",
        _given(who),
    )
    if rows.is_empty():
        return pl.DataFrame(schema={"valid_from_ms": pl.Int64, "segments": pl.String})
    last = rows.filter(pl.col("valid_from_ms") == TOMBSTONE_MS)["off"].max()
    kept = rows if last is None else rows.filter(pl.col("off") > last)
    return kept.unique("valid_from_ms", keep="last", maintain_order=True).select("valid_from_ms", "segments")


def partitions_of(client: ClickHouse, who: Identity) -> pl.DataFrame:
    """Where the customer's ledger rows lie: topic, epoch, part, n."""
    return client.query(
        f"""SELECT topic, epoch, part, count() AS n FROM ledger FINAL WHERE {_THEIRS}
        GROUP BY topic, epoch, part ORDER BY topic, epoch, part""",
        _given(who),
        FINAL_BY_DAY,
        long=True,
    )


def profiles_of(client: ClickHouse, who: Identity) -> int:
    """How many rows of the table `profiles` are the customer's."""
    return int(client.query(f"SELECT count() AS n FROM profiles FINAL WHERE {_THEIRS}", _given(who))["n"][0])


def is_taken_back(client: ClickHouse, who: Identity) -> bool:
    """Whether the newest row of the customer's profile is a tombstone."""
    rows = client.query(f"SELECT argMax(valid_from_ms, off) AS last FROM profiles FINAL WHERE {_THEIRS}", _given(who))
    return bool(rows["last"][0] == TOMBSTONE_MS)


def forget_texts(client: ClickHouse, topic: str, epoch: int, part: int, offsets: tuple[int, int]) -> None:
    """Deletes the texts of erased rows of one partition, from one offset to another one, where there are any."""
    given = {"topic": topic, "epoch": epoch, "part": part, "low": offsets[0], "high": offsets[1]}
    mine = "topic = {topic:String} AND epoch = {epoch:UInt16} AND part = {part:UInt16}"
    mine += " AND off >= {low:Int64} AND off <= {high:Int64}"
    erased = f"off IN (SELECT off FROM changes WHERE {mine} AND reason = 'erased')"
    which = f"off IN (SELECT off FROM ledger FINAL WHERE {mine} AND customer = 0 AND {erased})"
    if client.query(f"SELECT count() AS n FROM texts WHERE {mine} AND {which}", given, long=True)["n"][0]:
        client.command(f"ALTER TABLE texts DELETE WHERE {mine} AND {which}", given, _AT_ONCE)


def forget(client: ClickHouse, who: Identity) -> dict[str, int]:
    """Deletes what still names a customer whose ledger rows are nobody's already; how many rows of each table.

    Texts go of every row that was ever erased, whoever it was about. May be run again.
    """
    given = _given(who)
    # Not by who they were: ClickHouse may have merged the older versions of these rows away. What has come since is the
    # customer's still, and the only row of its offset: it is erased when asked for again.
    noted = "(topic, epoch, part, off) IN (SELECT topic, epoch, part, off FROM changes WHERE reason = 'erased')"
    places = f"SELECT topic, epoch, part, off FROM ledger FINAL WHERE customer = 0 AND {noted}"
    keys = f"(topic, epoch, part, off) IN ({places})"
    _neutral_profiles(client, given)
    found: dict[str, int] = {}
    # Of the ledger also what those rows were before an earlier merge.
    old = f"customer != 0 AND {keys}"
    for table, which in (("texts", keys), ("rewrites", keys), ("profiles", _THEIRS), ("ledger", old)):
        found[table] = int(client.query(f"SELECT count() AS n FROM {table} WHERE {which}", given, long=True)["n"][0])
        if found[table]:
            client.command(f"ALTER TABLE {table} DELETE WHERE {which}", given, _AT_ONCE)
    requests = "kind IN ('merge', 'erase') AND (position(body, {plain:String}) > 0)"
    plain = {"plain": f"[{who[0]},{who[1]}]"}
    found["requests"] = int(client.query(f"SELECT count() AS n FROM requests WHERE {requests}", plain)["n"][0])
    if found["requests"]:
        client.command(f"ALTER TABLE requests DELETE WHERE {requests}", plain, _AT_ONCE)
    return found


def _neutral_profiles(client: ClickHouse, given: Mapping[str, Any]) -> None:
    """A row of nobody at the offset of the customer's last profile: the table's highest offset is a position."""
    client.command(
        f"""INSERT INTO profiles (part, off, ver, key_id, customer, valid_from_ms, segments, unit, attributes)
        SELECT part, max(off), max(profiles.ver), 0, 0, {TOMBSTONE_MS + 1}, '', '', '' FROM profiles FINAL
        WHERE {_THEIRS} GROUP BY part""",
        given,
    )


def _names(where: Part) -> dict[str, Any]:
    return {"topic": where.topic, "epoch": where.epoch, "part": where.part, "up_to": where.up_to}


def _given(who: Identity) -> dict[str, int]:
    return {"key_id": who[0], "customer": who[1]}
