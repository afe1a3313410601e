"""The writer of the record: batches of slices into ClickHouse, each offset once, whatever happens in between.

No Faust here: a simulator drives it through thousands of crash, freeze and rebalance schedules. The order of a
write is `texts`, `sealed`, the topic `rejected`, `ledger`: what lies before the ledger is readable only through it.
"""

from __future__ import annotations

import random
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import polars as pl

from pipeline.errors import RefusedRows, Unavailable
from pipeline.slices import LEDGER, TOPICS, Slice
from schemas.vocabulary import Disposition, Reason, Stage

#: First and longest wait between two tries of the same insert, seconds; below the poll interval, so the group keeps us.
BACKOFF_S = (0.2, 2.0)

_DAY_MS = 86_400_000


class Sink(Protocol):
    """Where rows go. An insert is stored whole or not at all; the same token again changes nothing."""

    async def insert(self, table: str, rows: pl.DataFrame, token: str) -> None:
        """Stores one block. Raises Unavailable (may have landed all the same) or RefusedRows (never will)."""


class Outbox(Protocol):
    """The topic `rejected`."""

    async def publish(self, rows: pl.DataFrame) -> None:
        """Returns when the broker has acknowledged every row. Raises Unavailable."""


class Guard(Protocol):
    """Whether a slice is still ours: the loop is alive, the generation unchanged, the partition and attempt current."""

    def holds(self, piece: Slice) -> bool:
        """Called right before every write; never blocks."""


class Seal(Protocol):
    """Seals the bytes of a row that ClickHouse itself refused."""

    def __call__(self, piece: Slice, offset: int) -> tuple[int, bytes]:
        """The key's id and the sealed original bytes of one offset."""


class Lost(Exception):
    """The batch is no longer ours: everything in flight for these slices is to be dropped, nothing is let go."""

    def __init__(self, slices: Sequence[Slice]) -> None:
        super().__init__(f"{len(slices)} slices are no longer ours")
        self.slices = tuple(slices)


@dataclass(frozen=True, slots=True)
class Block:
    """One immutable insert: a retry sends the same rows under the same token."""

    table: str
    token: str
    rows: pl.DataFrame


class Writer:
    """Writes batches of slices of one topic. `write` returns when all of it is stored, or raises Lost."""

    def __init__(
        self, sink: Sink, outbox: Outbox, guard: Guard, seal: Seal, wait: Callable[[float], Awaitable[None]]
    ) -> None:
        self._sink = sink
        self._outbox = outbox
        self._guard = guard
        self._seal = seal
        self._wait = wait
        self.retries = 0
        self.bisected = 0

    async def write(self, batch: Sequence[Slice]) -> tuple[Slice, ...]:
        """Stores slices (in order of offset within each partition); returns them as they stand in the ledger."""
        rows = ledger_rows(batch)
        token = token_of(batch)
        for block in side_blocks(rows, token):
            await self._insert(block, batch)
        await self._publish(rows, batch)
        refused: list[pl.DataFrame] = []
        for block in ledger_blocks(rows, token):
            try:
                await self._insert(block, batch)
            except RefusedRows as error:
                refused.extend(await self._bisect(block, batch, str(error)))
        if not refused:
            return tuple(batch)
        return tuple(_replace_rows(piece, refused) for piece in batch)

    async def _insert(self, block: Block, batch: Sequence[Slice]) -> None:
        wait = BACKOFF_S[0]
        while True:
            self._check(batch)
            try:
                await self._sink.insert(block.table, block.rows, block.token)
                return
            except Unavailable:
                self.retries += 1
                # Jitter, so that workers do not come back all at once.
                await self._wait(wait * random.uniform(0.5, 1.0))
                wait = min(wait * 2, BACKOFF_S[1])

    async def _publish(self, rows: pl.DataFrame, batch: Sequence[Slice]) -> None:
        if not (rows["disposition"] == Disposition.DEAD_LETTER).any():
            return
        rejected = rows.filter(pl.col("disposition") == Disposition.DEAD_LETTER)
        wait = BACKOFF_S[0]
        while True:
            self._check(batch)
            try:
                await self._outbox.publish(rejected)
                return
            except Unavailable:
                self.retries += 1
                await self._wait(wait * random.uniform(0.5, 1.0))
                wait = min(wait * 2, BACKOFF_S[1])

    async def _bisect(self, block: Block, batch: Sequence[Slice], detail: str) -> list[pl.DataFrame]:
        """A block known to hold a refused row: its rows one way or the other, in order; the dead letters made."""
        if block.rows.height == 1:
            dead = await self._bury(block, batch, detail)
            return [dead]
        half = block.rows.height // 2
        refused: list[pl.DataFrame] = []
        left = Block(block.table, block.token + "<", block.rows[:half])
        right = Block(block.table, block.token + ">", block.rows[half:])
        self.bisected += 1
        try:
            await self._insert(left, batch)
        except RefusedRows as error:
            refused.extend(await self._bisect(left, batch, str(error)))
            try:
                await self._insert(right, batch)
            except RefusedRows as again:
                refused.extend(await self._bisect(right, batch, str(again)))
        else:
            # The left half is fine, so the refused row is on the right: no need to try it whole again.
            refused.extend(await self._bisect(right, batch, detail))
        return refused

    async def _bury(self, block: Block, batch: Sequence[Slice], detail: str) -> pl.DataFrame:
        topic, part, off = block.rows.select("topic", "part", "off").row(0)
        piece = next(p for p in batch if p.partition == (topic, part) and p.lo <= off <= p.hi)
        # The ledger's block has not all columns of the slice: text, path, detail and sealed lie in other tables.
        row = ledger_rows([piece]).filter(pl.col("off") == off)
        dead = dead_letter(row, Reason.REFUSED_BY_SINK, Stage.RECORD, _without_values(detail), self._seal(piece, off))
        for side in side_blocks(dead, block.token + "!"):
            await self._insert(side, batch)
        await self._publish(dead, batch)
        # If even a dead letter is refused the table itself is wrong: RefusedRows goes up and the process stops.
        await self._insert(Block("ledger", block.token + "!", dead.select(_LEDGER_COLUMNS)), batch)
        return dead

    def _check(self, batch: Sequence[Slice]) -> None:
        if not all(self._guard.holds(piece) for piece in batch):
            raise Lost(batch)


_CODE = re.compile(r"Code: (\d+)\.")


def _without_values(sentence: str) -> str:
    """What ClickHouse said of a row, less the row: its sentences quote the values."""
    code = _CODE.search(sentence)
    return f"ClickHouse refused the row, code {code[1]}" if code else "ClickHouse refused the row"


_IDENTITY = ("topic", "epoch", "part", "ver")
_LEDGER_COLUMNS = [*_IDENTITY, *LEDGER]
_TEXTS = [*_IDENTITY, "off", "ingest_ms", "text", *TOPICS, "truncated"]
_SEALED = [
    *_IDENTITY,
    "off",
    "ingest_ms",
    "failed_at",
    "reason",
    "path",
    "detail",
    "key_id",
    "sealed",
    "producer",
    "attempt",
]


def ledger_rows(batch: Sequence[Slice]) -> pl.DataFrame:
    """All rows of the batch with topic, epoch, part and ver, in order of (part, off)."""
    return pl.concat(
        piece.rows.with_columns(
            pl.lit(piece.partition.topic).alias("topic"),
            pl.lit(piece.epoch, pl.UInt16).alias("epoch"),
            pl.lit(piece.partition.part, pl.UInt16).alias("part"),
            pl.lit(piece.ver, pl.UInt64).alias("ver"),
        )
        for piece in sorted(batch, key=lambda p: (p.partition, p.lo))
    )


def token_of(batch: Sequence[Slice]) -> str:
    """What makes an insert the same insert: the fence and every (partition, lo, hi) inside."""
    return ";".join(
        f"{p.partition.topic}:{p.epoch}:{p.partition.part}:{p.lo}:{p.hi}:{p.ver}"
        for p in sorted(batch, key=lambda p: (p.partition, p.lo))
    )


def side_blocks(rows: pl.DataFrame, token: str) -> list[Block]:
    """The inserts that come before the ledger's: masked texts and sealed bytes, one per ingest day."""
    # Chosen before they are filtered: a filter copies every column it is given.
    return [
        Block(table, f"{token}|{day}", part)
        for table, columns, given in (
            ("texts", _TEXTS, rows["text"] != ""),
            ("sealed", _SEALED, rows["sealed"].is_not_null()),
        )
        if given.any()
        for day, part in _by_day(rows.select(columns).filter(given))
    ]


def ledger_blocks(rows: pl.DataFrame, token: str) -> list[Block]:
    """The ledger's inserts, one per ingest day, in order, so that what is stored is always a prefix."""
    return [Block("ledger", f"{token}|{day}", part) for day, part in _by_day(rows.select(_LEDGER_COLUMNS))]


def dead_letter(
    row: pl.DataFrame, reason: Reason, stage: Stage, detail: str, sealed: tuple[int, bytes]
) -> pl.DataFrame:
    """The same offset as a dead letter: every fact of the event taken back to its empty value, `key_id` the seal's."""
    kept = {*_IDENTITY, "off", "ingest_ms", "event_hash", "payload_hash", "producer", "attempt"}
    key_id, bits = sealed
    empty = [_empty(name, dtype) for name, dtype in row.schema.items() if name not in kept]
    said = {
        "disposition": str(Disposition.DEAD_LETTER),
        "reason": str(reason),
        "failed_at": str(stage),
        "path": "$",
        "detail": detail,
    }
    return row.with_columns(*empty).with_columns(
        *(pl.lit(value).alias(name) for name, value in said.items()),
        pl.lit(key_id, row.schema["key_id"]).alias("key_id"),
        pl.lit(bits, pl.Binary).alias("sealed"),
    )


#: Empty values that are not zero: no answer, no predecessor.
_EMPTY = {"bin": -1, "old_bin": -1, "old_off": -1}


def _empty(name: str, dtype: pl.DataType) -> pl.Expr:
    if dtype == pl.Binary:
        return pl.lit(None, pl.Binary).alias(name)
    return pl.lit("" if dtype == pl.String else _EMPTY.get(name, 0), dtype).alias(name)


def _by_day(rows: pl.DataFrame) -> list[tuple[int, pl.DataFrame]]:
    if rows.is_empty():
        return []
    days = (rows["ingest_ms"] // _DAY_MS).alias("day")
    found: list[int] = days.unique().sort().to_list()
    if len(found) == 1:
        return [(found[0], rows)]
    return [(day, rows.filter(days == day)) for day in found]


def _replace_rows(piece: Slice, refused: list[pl.DataFrame]) -> Slice:
    """The slice with the rows that became dead letters, for the steps after the ledger."""
    mine = [
        dead.select(piece.rows.columns)
        for dead in refused
        if dead.select("topic", "part").row(0) == piece.partition and piece.lo <= dead["off"][0] <= piece.hi
    ]
    if not mine:
        return piece
    dead = pl.concat(mine)
    kept = piece.rows.filter(~pl.col("off").is_in(dead["off"].implode()))
    return piece.with_rows(pl.concat([kept, dead]).sort("off"))
