"""From the topic `rejected` into the table `refused` [I/O]: what gateways refused, kept once, whatever ends in between.

Every gateway is a member of one consumer group. Rows are written before offsets are committed and a message always
makes the same row, so one that is read twice is still one row. ClickHouse may be away for as long as it likes: the
topic keeps the messages as long as the table keeps its rows. Rejects of the worker go by: it keeps them itself.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
from collections.abc import Iterable
from typing import Any

import msgspec
import polars as pl
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError

from pipeline.clickhouse import Pool
from pipeline.errors import RefusedRows, Unavailable
from pipeline.intake.places import GATEWAY
from pipeline.intake.refusals import Refusals
from pipeline.settings import Settings
from pipeline.tasks import ended
from pipeline.telemetry import log
from pipeline.topics import stopped
from schemas.explain import DECODE_ERRORS
from schemas.outgoing import Rejected

#: Messages read at once: some megabytes at most, each a sealed event.
_AT_ONCE = 200
#: How long a read waits for the first message.
_WAIT_MS = 1_000
#: Counts of refused events go into the table so often: a producer that turned bad is named within a minute.
_COUNTS_S = 5.0
#: The last counts may take so long at the end.
_LAST_S = 2.0
#: Waits between attempts to reach Kafka or ClickHouse.
_RETRY_S = (0.5, 1.0, 2.0, 5.0)

_log = log("touchline.keeping")
_rejected = msgspec.json.Decoder(Rejected).decode
_ORIGIN = ("touchline_origin_topic", GATEWAY.encode())

_REFUSED = {
    "topic": pl.String,
    "epoch": pl.UInt16,
    "part": pl.UInt16,
    "off": pl.Int64,
    "ingest_ms": pl.Int64,
    "failed_at": pl.String,
    "reason": pl.String,
    "path": pl.String,
    "detail": pl.String,
    "key_id": pl.UInt8,
    "sealed": pl.Binary,
    "producer": pl.String,
}
_ARRIVALS = {
    "bucket": pl.UInt32,
    "producer": pl.String,
    "topic": pl.String,
    "reason": pl.String,
    "n": pl.UInt64,
    "last_ms": pl.Int64,
}


class Keeping:
    """The task of one gateway: start it, stop it."""

    def __init__(self, settings: Settings, pool: Pool, refusals: Refusals) -> None:
        self._settings = settings
        self._pool = pool
        self._refusals = refusals
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begins to read; Kafka and ClickHouse may come later."""
        self._tasks = [
            asyncio.create_task(self._live(), name="keeping"),
            asyncio.create_task(self._tell(), name="counts of refused events"),
        ]

    async def stop(self) -> None:
        """Ends; what was not written is read again by the next gateway."""
        await ended(self._tasks)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LAST_S):
                await self._count()

    async def _live(self) -> None:
        attempt = 0
        while True:
            consumer = AIOKafkaConsumer(
                self._settings.topic("rejected"),
                bootstrap_servers=self._settings.bootstrap_servers,
                group_id=f"{self._settings.group}-refused",
                enable_auto_commit=False,
                auto_offset_reset="earliest",
                **self._settings.kafka_security(),
            )
            try:
                await consumer.start()
                while True:
                    await self._keep(consumer)
                    attempt = 0
            except (KafkaError, OSError, Unavailable) as error:
                _log.warning("refused events wait on their topic", error=type(error).__name__)
            finally:
                with contextlib.suppress(KafkaError, OSError):
                    await stopped(consumer)
            await asyncio.sleep(_RETRY_S[min(attempt, len(_RETRY_S) - 1)])
            attempt += 1

    async def _keep(self, consumer: AIOKafkaConsumer) -> None:
        """One read: rows, then the commit. Raises Unavailable: all since the last commit is read again."""
        found = await consumer.getmany(timeout_ms=_WAIT_MS, max_records=_AT_ONCE)
        if not found:
            return
        rows = rows_of(message for messages in found.values() for message in messages)
        if not rows.is_empty():
            try:
                await self._pool.insert("refused", rows)
            except RefusedRows as error:  # they stay on the topic; to read them for ever would help nobody
                _log.error("ClickHouse refused the rows of refused events", rows=rows.height, error=str(error)[:200])
        await consumer.commit()

    async def _tell(self) -> None:
        while True:
            await asyncio.sleep(_COUNTS_S)
            await self._count()

    async def _count(self) -> None:
        """Refused events are arrivals too: else a producer of nothing but bad ones would never be named."""
        if counts := self._refusals.taken():
            rows = [
                (count.bucket, count.producer, GATEWAY, count.reason, n, count.bucket * 1000)
                for count, n in counts.items()
            ]
            try:
                await self._pool.insert("arrivals", pl.DataFrame(rows, schema=_ARRIVALS, orient="row"))
            except Unavailable:
                self._refusals.put_back(counts)


def rows_of(messages: Iterable[Any]) -> pl.DataFrame:
    """Rows of the table `refused` of those messages that a gateway wrote. Each has value, headers and timestamp."""
    rows = []
    for message in messages:
        if _ORIGIN not in message.headers:
            continue
        try:
            record = _rejected(message.value)
            sealed = base64.b64decode(record.sealed)
        except DECODE_ERRORS:
            continue  # not written by us
        place = (record.topic, record.epoch, record.partition, record.offset)
        why = (record.stage.value, record.reason.value, record.path, record.detail)
        rows.append((*place, message.timestamp, *why, record.key_id, sealed, record.producer))
    return pl.DataFrame(rows, schema=_REFUSED, orient="row")
