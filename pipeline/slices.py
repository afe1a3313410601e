"""The unit of work: a slice, the columns of a run of consecutive offsets of one partition.

Each step adds columns and never changes a row's offset. The column names here are those of the table `ledger`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import polars as pl


class Partition(NamedTuple):
    """One partition of one topic; `topic` is the plain name of schemas/topics.py, without the deployment's prefix."""

    topic: str
    part: int


class Record(NamedTuple):
    """One Kafka record as far as the flow needs it; `timestamp` is the broker's append time in ms."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]


@dataclass(frozen=True, slots=True)
class Poll:
    """What one fetch brought for one partition, in order of offset.

    `generation` is the group's at the fetch, `fetched_at` the monotonic time of it in seconds, `log_end` the
    broker's next offset as far as the consumer knows.
    """

    partition: Partition
    generation: int
    fetched_at: float
    log_end: int
    records: Sequence[Record]


@dataclass(frozen=True, slots=True)
class Slice:
    """A run of offsets `lo`..`hi` (inclusive) of one partition on its way through the flow.

    `attempt` counts how often the partition's flow was begun anew on this worker: a slice of an earlier attempt
    is dropped. `ver` is the fence on every row it writes. `clock_ms` is the partition's clock after this slice,
    `log_end` the broker's next offset at the fetch. `follows` is the last offset of the slice before it (None: not
    known): a step that finds another one has lost a slice on the way. `values` are the bytes as
    they came, kept for the rare row that must be sealed later: without the records around them, which weigh as much.
    """

    partition: Partition
    epoch: int
    generation: int
    attempt: int
    ver: int
    lo: int
    hi: int
    rows: pl.DataFrame
    clock_ms: int = 0
    log_end: int = 0
    follows: int | None = None
    values: Sequence[bytes | None] = field(default=(), repr=False)

    @property
    def behind(self) -> int:
        """Records of the partition that wait behind this slice."""
        return max(0, self.log_end - self.hi - 1)

    def with_rows(self, rows: pl.DataFrame) -> Slice:
        """The same run of offsets with other columns."""
        return replace(self, rows=rows)


#: What accept gives to enrich. `customer_id` and `text` are plain here and nowhere later; `raw` is set for
#: dead letters only, `attempt` (how often it was replayed before) too; `producer` is arrival/senders.py's, never of
#: the ledger. An empty string means "not given"; `answer` without an answer is 0 with `bin` -1.
ACCEPTED: dict[str, pl.DataType] = {
    "off": pl.Int64(),
    "ingest_ms": pl.Int64(),
    "disposition": pl.String(),
    "reason": pl.String(),
    "event_hash": pl.UInt64(),
    "payload_hash": pl.UInt64(),
    "occurred_ms": pl.Int64(),
    "customer_id": pl.String(),
    "source": pl.String(),
    "metric": pl.String(),
    "scale": pl.String(),
    "answer": pl.Int16(),
    "bin": pl.Int8(),
    "brand": pl.String(),
    "unit": pl.String(),
    "channel": pl.String(),
    "touchpoint": pl.String(),
    "stage": pl.String(),
    "product": pl.String(),
    "agent": pl.String(),
    "language": pl.String(),
    "device": pl.String(),
    "campaign": pl.String(),
    "value": pl.Float64(),
    "currency": pl.String(),
    "duration_ms": pl.Int64(),
    "answer_hash": pl.UInt64(),
    "revision": pl.Int64(),
    "old_off": pl.Int64(),
    "text": pl.String(),
    "truncated": pl.UInt8(),
    "failed_at": pl.String(),
    "path": pl.String(),
    "detail": pl.String(),
    "raw": pl.Binary(),
    "producer": pl.String(),
    "attempt": pl.UInt8(),
}

#: What enrich adds (and `customer_id`, `raw` are gone; `text` is masked).
ENRICHED: dict[str, pl.DataType] = {
    "key_id": pl.UInt8(),
    "customer": pl.UInt64(),
    "segments": pl.String(),
    "owner": pl.String(),
    "sealed": pl.Binary(),
    "others": pl.UInt16(),
}

#: What label adds: `p` is round(10,000 (P(positive) - P(negative))), `confidence` 10,000 times the highest probability.
LABELLED: dict[str, pl.DataType] = {
    "label": pl.String(),
    "p": pl.Int16(),
    "confidence": pl.Int16(),
    "tier": pl.String(),
    "model": pl.String(),
}

#: What label adds for the table `texts`: ids of the text's topics, a comma between, and the taxonomy that found them.
TOPICS: dict[str, pl.DataType] = {"topics": pl.String(), "taxonomy": pl.String()}

#: Dimensions of a row; the first four are the cut `core`, each further one makes a cut of `brand` with it.
CORE: tuple[str, ...] = ("brand", "unit", "channel", "touchpoint")
FURTHER: tuple[str, ...] = ("segments", "product", "agent", "language", "device", "campaign", "stage")

#: Dimensions, in the order of their bits in `others`, from the lowest: a bit says that the windows count the row under
#: OTHER there, whatever its name is (pipeline/customers/names.py decides).
COUNTED: tuple[str, ...] = (*CORE, *FURTHER)
OTHER = "other"

#: Columns that a superseding row carries of its predecessor, so that each fold is a function of one row.
OLD: dict[str, pl.DataType] = {
    "old_occurred_ms": pl.Int64(),
    "old_metric": pl.String(),
    "old_scale": pl.String(),
    "old_bin": pl.Int8(),
    "old_label": pl.String(),
    "old_p": pl.Int16(),
    "old_tier": pl.String(),
    **{f"old_{name}": pl.String() for name in (*CORE, *FURTHER)},
    "old_others": pl.UInt16(),
}

#: What is not kept at all, or in the tables beside the ledger.
_BESIDE = ("customer_id", "text", "truncated", "raw", "path", "detail", "producer", "attempt")

#: Columns of the table `ledger` that a worker writes, besides topic, epoch, part and ver.
LEDGER: tuple[str, ...] = (
    *(name for name in ACCEPTED if name not in _BESIDE),
    *(name for name in ENRICHED if name != "sealed"),
    *LABELLED,
    *OLD,
)
