"""Texts that a new model or taxonomy is to read, and the rows that get what it finds [I/O]; both stand in a worker.

A worker asks for a portion of texts, labels them, and gives the labels to `carry_out` of restating: so a range of any
length costs the memory of one portion.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson
import polars as pl

from pipeline.clickhouse import FINAL_BY_DAY, ClickHouse
from pipeline.errors import UsageError
from pipeline.ledger.identities import forget_texts
from pipeline.ledger.rewriting import Rewritten, relabelled, rewritten
from pipeline.scores.recompute import Part
from pipeline.slices import LABELLED
from schemas.vocabulary import Reason, Tier

#: The kinds of request: label anew (and find topics anew), or only find topics anew.
RELABEL: Final = "relabel"
TOPICS: Final = "topics"
#: Tiers that a person may ask for: what labels live texts, and what labels imports and backlogs.
TIERS: Final = (Tier.MINILM.value, Tier.STATIC.value)
#: Texts labelled before their rows are rewritten: half a minute of the transformer, and some megabytes.
PORTION: Final = 20_000
_DAY_MS: Final = 86_400_000

_MINE = "topic = {topic:String} AND epoch = {epoch:UInt16} AND part = {part:UInt16} AND off <= {up_to:Int64}"
_LABELLED = f"""{_MINE} AND off > {{after:Int64}} AND disposition IN ('aggregated', 'late') AND label != ''
    AND occurred_ms >= {{from_ms:Int64}} AND occurred_ms < {{to_ms:Int64}}"""


@dataclass(frozen=True, slots=True)
class Wish:
    """What a request asks for: a span of event time (ms) and the tier, "" where the labels stay as they are."""

    from_ms: int
    to_ms: int
    tier: str

    def body(self) -> str:
        """As a request says it."""
        return orjson.dumps({"from_ms": self.from_ms, "to_ms": self.to_ms, "tier": self.tier}).decode()

    @classmethod
    def of(cls, body: str) -> Wish:
        """What a request says. Raises UsageError."""
        try:
            found = orjson.loads(body)
            wish = cls(int(found["from_ms"]), int(found["to_ms"]), str(found["tier"]))
        except (ValueError, KeyError, TypeError) as error:
            raise UsageError(f"a request to relabel says no span and tier: {body[:100]!r}") from error
        if wish.tier not in ("", *TIERS):
            raise UsageError(f"there is no tier {wish.tier!r} to label with; there are {', '.join(TIERS)}")
        return wish


def portion(client: ClickHouse, where: Part, wish: Wish, after: int) -> tuple[pl.DataFrame, int | None]:
    """Texts behind an offset (off, language, text), oldest first, and the offset to go on behind; None: no more.

    A text whose retention is over is not there any more: its row keeps the label that it has.
    """
    given = {**_names(where), "after": after, "from_ms": wish.from_ms, "to_ms": wish.to_ms}
    rows = client.query(
        f"SELECT off, toString(language) AS language FROM ledger FINAL WHERE {_LABELLED} ORDER BY off LIMIT {PORTION}",
        given,
        FINAL_BY_DAY,
        long=True,
    )
    if rows.is_empty():
        return pl.DataFrame(schema={"off": pl.Int64, "language": pl.String, "text": pl.String}), None
    last = int(rows["off"][-1])
    texts = client.query(
        f"SELECT off, text FROM texts FINAL WHERE {_MINE} AND off > {{after:Int64}} AND text != '' ORDER BY off",
        {**given, "up_to": last},
        FINAL_BY_DAY,
        long=True,
    )
    found = rows.join(texts, on="off", how="inner").sort("off") if texts.width else rows.clear()
    return found, last if rows.height == PORTION else None


def relabel(client: ClickHouse, where: Part, request: Mapping[str, Any], labels: pl.DataFrame) -> Rewritten | None:
    """The rows of a portion under the labels (`off` and LABELLED) that their texts have now; None: none differs."""
    if labels.is_empty():
        return None
    wish, low, high = Wish.of(str(request["body"])), int(str(labels["off"].min())), int(str(labels["off"].max()))
    given = {**_names(where), "after": low - 1, "up_to": min(high, where.up_to)}
    given |= {"from_ms": wish.from_ms, "to_ms": wish.to_ms}
    before = client.query(f"SELECT * FROM ledger FINAL WHERE {_LABELLED} ORDER BY off", given, FINAL_BY_DAY, long=True)
    if before.is_empty():
        return None
    changed = relabelled(before, labels.select("off", *LABELLED))
    later = client.query(
        f"""SELECT * FROM ledger FINAL WHERE {_MINE} AND disposition = 'aggregated'
            AND old_off >= {{low:Int64}} AND old_off <= {{high:Int64}} ORDER BY off""",
        {**_names(where), "low": low, "high": high},
        FINAL_BY_DAY,
        long=True,
    )
    found = rewritten(before, changed, later if later.width else before.clear(), Reason.RELABELLED)
    return found if found.rows.height else None


def retold(client: ClickHouse, where: Part, ver: int, found: pl.DataFrame) -> int:
    """Gives texts the topics that were `found` (off, topics, taxonomy); how many rows say something new.

    Of what was erased meanwhile nothing comes back: a text is written as it stands now, and deleted after all where
    its customer was erased between reading and writing.
    """
    bounds = {"low": int(str(found["off"].min())), "high": int(str(found["off"].max()))}
    now = client.query(
        f"SELECT * EXCEPT (day) FROM texts FINAL WHERE {_MINE} AND off >= {{low:Int64}} AND off <= {{high:Int64}}",
        {**_names(where), **bounds},
        FINAL_BY_DAY,
        long=True,
    )
    if now.is_empty():
        return 0
    fresh = now.drop("topics", "taxonomy").join(found.select("off", "topics", "taxonomy"), on="off")
    fresh = fresh.join(now.select("off", "topics", "taxonomy"), on=["off", "topics", "taxonomy"], how="anti")
    # Of two rows with one version the later one holds. A token of its own: an earlier taxonomy may be back.
    newer = pl.max_horizontal("ver", pl.lit(ver, pl.UInt64)).alias("ver")
    for _, day in fresh.with_columns(newer).group_by(pl.col("ingest_ms") // _DAY_MS, maintain_order=True):
        client.insert("texts", day, f"topics:{uuid.uuid4()}")
    forget_texts(client, where.topic, where.epoch, where.part, (bounds["low"], bounds["high"]))
    return fresh.height


def count_labelled(client: ClickHouse, from_ms: int, to_ms: int, tier: str) -> pl.DataFrame:
    """Per topic, epoch and partition, how many labelled texts a span of event time has, and how many of other tiers."""
    return client.query(
        """SELECT topic, epoch, part, count() AS n, countIf(tier != {tier:String}) AS other FROM ledger FINAL
        WHERE disposition IN ('aggregated', 'late') AND label != ''
            AND occurred_ms >= {from_ms:Int64} AND occurred_ms < {to_ms:Int64}
        GROUP BY topic, epoch, part ORDER BY topic, epoch, part""",
        {"from_ms": from_ms, "to_ms": to_ms, "tier": tier},
        FINAL_BY_DAY,
        long=True,
    )


def _names(where: Part) -> dict[str, Any]:
    return {"topic": where.topic, "epoch": where.epoch, "part": where.part, "up_to": where.up_to}
