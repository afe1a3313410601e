"""What people ask of the owners of partitions [I/O]: commands leave a row, the owner carries it out."""

from __future__ import annotations

import time
import uuid
from collections.abc import Sequence

import polars as pl

from pipeline.clickhouse import ClickHouse
from pipeline.errors import TouchlineError, Unavailable
from pipeline.slices import Partition

#: Begins the body of a request that its owner could not carry out.
FAILED = "failed"

_COLUMNS = {
    "request_id": pl.String,
    "asked_ms": pl.Int64,
    "topic": pl.String,
    "epoch": pl.UInt16,
    "part": pl.UInt16,
    "kind": pl.String,
    "body": pl.String,
    "done_ms": pl.Int64,
    "ver": pl.UInt64,
}


def ask(client: ClickHouse, partition: Partition, kind: str, body: str = "", epoch: int = 0) -> str:
    """Leaves a request for the partition's owner; its id. `epoch` 0 is the present one, whichever that is."""
    now = client.query("SELECT toUnixTimestamp64Milli(now64(3)) AS ms")["ms"][0]
    request = str(uuid.uuid4())
    client.insert("requests", _row((request, now, partition.topic, epoch, partition.part, kind, body, 0, 0)))
    return request


def ask_and_wait(
    client: ClickHouse,
    partitions: Sequence[Partition],
    kind: str,
    wait_s: float,
    body: str = "",
    epochs: Sequence[int] = (),
) -> None:
    """Leaves a request for each partition (of the present epoch, or of these `epochs`) and waits until all are carried
    out; raises Unavailable after `wait_s`."""
    of = epochs or [0] * len(partitions)
    asked = {ask(client, partition, kind, body, epoch) for partition, epoch in zip(partitions, of, strict=True)}
    deadline = time.monotonic() + wait_s
    while asked & set(waiting(client, [kind])["request_id"].to_list()):
        if time.monotonic() > deadline:
            raise Unavailable(f"owners did not carry out {kind} within {wait_s:.0f} s: see their logs, or /readyz")
        time.sleep(0.5)
    failed = client.query(
        "SELECT topic, part FROM requests FINAL "
        "WHERE request_id IN {ids:Array(String)} AND startsWith(body, {f:String})",
        {"ids": sorted(asked), "f": FAILED},
    )
    if failed.height:
        where = ", ".join(f"{topic}[{part}]" for topic, part in failed.iter_rows())
        raise TouchlineError(f"{kind} failed for {where}: the log of its worker says why; then `touchline rebuild`")


def waiting(client: ClickHouse, kinds: Sequence[str]) -> pl.DataFrame:
    """Requests of these kinds that nobody has carried out yet, oldest first."""
    return client.query(
        "SELECT * FROM requests FINAL WHERE kind IN {kinds:Array(String)} AND done_ms = 0 ORDER BY asked_ms",
        {"kinds": list(kinds)},
    )


def done(client: ClickHouse, request: dict[str, object], ver: int, body: str = "") -> None:
    """The owner has carried a request out; `body` is what it has to say of it (a release: epoch and offset)."""
    finished = {**request, "done_ms": max(1, int(str(request["asked_ms"]))), "ver": ver, "body": body}
    client.insert("requests", _row(tuple(finished[name] for name in _COLUMNS)))


def _row(values: tuple[object, ...]) -> pl.DataFrame:
    return pl.DataFrame([values], schema=_COLUMNS, orient="row")
