"""Bodies of webhooks, sealed and kept for seven days [I/O]: written in company, read back to be mapped anew."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec
import polars as pl

from pipeline.clickhouse import ClickHouse, Pool
from pipeline.customers.sealing import Sealer
from pipeline.errors import Unavailable

#: Deliveries wait so long for company: each insert is a part of the table.
_LINGER_S = 0.25
#: Deliveries that wait for ClickHouse at most; beyond it they are refused, and their tools come again.
_MOST_WAITING = 2_000

_COLUMNS = {
    "integration": pl.String,
    "delivery": pl.String,
    "received_ms": pl.Int64,
    "producer": pl.String,
    "events": pl.UInt16,
    "rejected": pl.UInt16,
    "reason": pl.String,
    "key_id": pl.UInt8,
    "sealed": pl.Binary,
}


class Delivery(NamedTuple):
    """One body as it came. `reason` is that of its first rejected event, "" when all are fine."""

    integration: str
    received_ms: int
    producer: str
    events: int
    rejected: int
    reason: str
    headers: dict[str, str]
    body: bytes

    @property
    def name(self) -> str:
        """The same for the same body: a tool that delivers twice is kept once."""
        return hashlib.blake2b(self.body, digest_size=12, person=self.integration.encode()[:16]).hexdigest()


class Deliveries:
    """Keeps bodies: `keep` returns when it is stored. Many at once share an insert."""

    def __init__(self, pool: Pool, sealer: Sealer) -> None:
        self._pool = pool
        self._sealer = sealer
        self._waiting: list[tuple[Delivery, asyncio.Future[None]]] = []
        self._writing: asyncio.Task[None] | None = None

    async def keep(self, delivery: Delivery) -> None:
        """Stores one. Raises Unavailable when ClickHouse does not take it."""
        if len(self._waiting) >= _MOST_WAITING:
            raise Unavailable("too many deliveries wait for ClickHouse")
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((delivery, future))
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write(), name="deliveries")
        await future

    async def _write(self) -> None:
        while self._waiting:
            await asyncio.sleep(_LINGER_S)
            batch, self._waiting = self._waiting, []
            try:
                await self._pool.insert("deliveries", self._rows([delivery for delivery, _ in batch]))
            except Unavailable as error:
                for _, future in batch:
                    if not future.done():
                        future.set_exception(Unavailable(str(error)))
            else:
                for _, future in batch:
                    if not future.done():
                        future.set_result(None)

    def _rows(self, deliveries: Sequence[Delivery]) -> pl.DataFrame:
        coded = [msgspec.json.encode([each.headers, base64.b64encode(each.body).decode()]) for each in deliveries]
        sealed = self._sealer.seal(coded, [_context(each.integration, each.name) for each in deliveries])
        rows = [
            (each.integration, each.name, *each[1:6], self._sealer.key_id, bits)
            for each, bits in zip(deliveries, sealed.to_list(), strict=True)
        ]
        return pl.DataFrame(rows, schema=_COLUMNS, orient="row")


def listed(client: ClickHouse, integration: str, since_ms: int, *, rejected: bool, limit: int) -> list[dict[str, Any]]:
    """Deliveries, newest first, without their bodies."""
    rows = client.query(
        """SELECT integration, delivery, received_ms, producer, events, rejected, reason FROM deliveries FINAL
        WHERE received_ms >= {since:Int64} AND ({name:String} = '' OR integration = {name:String})
        AND (NOT {bad:UInt8} OR rejected > 0) ORDER BY received_ms DESC LIMIT {limit:UInt32}""",
        {"since": since_ms, "name": integration, "bad": int(rejected), "limit": limit},
    )
    return rows.to_dicts()


def opened(client: ClickHouse, sealer: Sealer, integration: str, delivery: str) -> tuple[dict[str, str], bytes]:
    """Headers and body of one; raises DifferenceFound when it does not open, KeyError when it is not there."""
    rows = client.query(
        "SELECT key_id, base64Encode(sealed) AS coded FROM deliveries FINAL"
        " WHERE integration = {name:String} AND delivery = {id:String}",
        {"name": integration, "id": delivery},
    )
    if rows.is_empty():
        raise KeyError(delivery)
    sealed = base64.b64decode(rows["coded"][0])
    headers, body = msgspec.json.decode(sealer.open(sealed, _context(integration, delivery), rows["key_id"][0]))
    return headers, base64.b64decode(body)


def _context(integration: str, delivery: str) -> bytes:
    return f"delivery/{integration}/{delivery}".encode()
