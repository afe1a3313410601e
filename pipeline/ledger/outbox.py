"""The topic `rejected` [I/O]: one message per dead letter, acknowledged before its ledger row is written."""

from __future__ import annotations

import asyncio
import base64

import polars as pl
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from pipeline.errors import Unavailable
from pipeline.settings import Settings
from schemas.codec import encode
from schemas.outgoing import Rejected
from schemas.vocabulary import Reason, Stage

#: Sealed bytes beyond this stay in the table `sealed` alone: as base64 they would not fit a message of a megabyte.
_LARGEST_SEALED = 700_000


class Outbox:
    """Our own producer: idempotent, acks=all. Also carries scores, ticks and alerts."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._producer: AIOKafkaProducer | None = None

    async def publish(self, rows: pl.DataFrame) -> None:
        """Sends one message per row; returns when all are acknowledged. Raises Unavailable."""
        messages = [
            (f"{row['topic']}:{row['epoch']}:{row['part']}:{row['off']}".encode(), *_message(row))
            for row in rows.iter_rows(named=True)
        ]
        await self.send("rejected", messages)

    async def send(self, topic: str, messages: list[tuple[bytes, bytes, list[tuple[str, bytes]]]]) -> int:
        """Sends (key, value, headers); the broker's append time of the last in ms. Raises Unavailable."""
        try:
            producer = await self._started()
            name = self._settings.topic(topic)
            futures = [
                await producer.send(name, key=key, value=value, headers=headers) for key, value, headers in messages
            ]
            done = await asyncio.gather(*futures)
        except (KafkaError, OSError) as error:
            raise Unavailable(f"Kafka did not take messages for {topic}: {type(error).__name__}") from error
        return int(done[-1].timestamp) if done else 0

    async def close(self) -> None:
        """Lets the connection go."""
        if self._producer is not None:
            await self._producer.stop()
            self._producer = None

    async def _started(self) -> AIOKafkaProducer:
        if self._producer is None:
            producer = AIOKafkaProducer(
                bootstrap_servers=self._settings.bootstrap_servers,
                acks="all",
                enable_idempotence=True,
                linger_ms=5,
                request_timeout_ms=10_000,
                **self._settings.kafka_security(),
            )
            try:
                await producer.start()
            except BaseException:
                await producer.stop()
                raise
            self._producer = producer
        return self._producer


def _message(row: dict[str, object]) -> tuple[bytes, list[tuple[str, bytes]]]:
    sealed = row["sealed"] if isinstance(row["sealed"], bytes) else b""
    large = len(sealed) > _LARGEST_SEALED
    record = Rejected(
        topic=str(row["topic"]),
        epoch=int(str(row["epoch"])),
        partition=int(str(row["part"])),
        offset=int(str(row["off"])),
        stage=Stage(str(row["failed_at"])),
        reason=Reason(str(row["reason"])),
        path=str(row["path"]),
        detail=str(row["detail"]),
        sealed="" if large else base64.b64encode(sealed).decode(),
        key_id=int(str(row["key_id"])),
        producer=str(row["producer"]),
    )
    return encode(record), record.headers + ([("touchline_sealed_in", b"table sealed")] if large else [])
