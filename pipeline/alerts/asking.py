"""What people ask of alerts [I/O]: a command leaves a row with who and when; the owner of the book carries it out.

The row is the audit row as well: it stays, with when it was done and what was answered.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping
from typing import Any

import msgspec
import polars as pl

from pipeline.alerts.orders import KINDS, Order
from pipeline.clickhouse import ClickHouse
from pipeline.errors import Unavailable, UsageError

_COLUMNS = {
    "order_id": pl.String,
    "asked_ms": pl.Int64,
    "who": pl.String,
    "kind": pl.String,
    "target": pl.String,
    "body": pl.String,
    "done_ms": pl.Int64,
    "said": pl.String,
    "ver": pl.UInt64,
}
#: How often the answer is looked for while a person waits, seconds.
_LOOK_S = 0.2


def ask(client: ClickHouse, kind: str, target: str, by: str, body: Mapping[str, Any] | None = None) -> str:
    """Leaves an order; its id. Raises UsageError for a kind there is not or without a name, Unavailable."""
    if kind not in KINDS:
        raise UsageError(f"nobody can {kind}: one of {', '.join(KINDS)}")
    if not by.strip():
        raise UsageError("who asks? name yourself with --by: it stands in the audit row")
    now = int(client.query("SELECT toUnixTimestamp64Milli(now64(3)) AS ms")["ms"][0])
    order = Order(id=f"o-{uuid.uuid4().hex[:12]}", asked_ms=now, by=by.strip(), kind=kind, target=target)
    order = msgspec.structs.replace(order, body=dict(body or {}))
    client.insert("alert_orders", _frame(order, 0, "", 0))
    return order.id


def answer(client: ClickHouse, order_id: str, wait_s: float) -> str:
    """What the owner answered; raises Unavailable when it has not within `wait_s` (it will all the same)."""
    deadline = time.monotonic() + wait_s
    while True:
        said = answered(client, order_id)
        if said is not None:
            return said
        if time.monotonic() > deadline:
            raise Unavailable(f"order {order_id} is not carried out within {wait_s:.0f} s: does a worker run? /readyz")
        time.sleep(_LOOK_S)


def answered(client: ClickHouse, order_id: str) -> str | None:
    """What the owner answered; None when it has not yet."""
    rows = client.query(
        "SELECT said FROM alert_orders FINAL WHERE order_id = {id:String} AND done_ms > 0", {"id": order_id}
    )
    return str(rows["said"][0]) if rows.height else None


def waiting(client: ClickHouse) -> list[Order]:
    """Orders that nobody has carried out yet, oldest first."""
    rows = client.query("SELECT * FROM alert_orders FINAL WHERE done_ms = 0 ORDER BY asked_ms, order_id")
    return [
        Order(
            id=row["order_id"],
            asked_ms=row["asked_ms"],
            by=row["who"],
            kind=row["kind"],
            target=row["target"],
            body=msgspec.json.decode(row["body"] or "{}", type=dict[str, Any]),
        )
        for row in rows.iter_rows(named=True)
    ]


def done(client: ClickHouse, orders: list[Order], said: Mapping[str, str], now_ms: int, ver: int) -> None:
    """The owner has carried these out; what it answered stays with them."""
    if orders:
        client.insert("alert_orders", pl.concat([_frame(o, max(now_ms, 1), said[o.id], max(ver, 1)) for o in orders]))


def _frame(order: Order, done_ms: int, said: str, ver: int) -> pl.DataFrame:
    body = msgspec.json.encode(order.body).decode()
    row = (order.id, order.asked_ms, order.by, order.kind, order.target, body, done_ms, said, ver)
    return pl.DataFrame([row], schema=_COLUMNS, orient="row")
