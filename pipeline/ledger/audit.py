"""The proof [I/O]: every offset has exactly one ledger row, no row was altered, and windows equal the ledger.

`hi - lo + 1 = aggregated + late + duplicate + dead_letter + ignored + gaps` for each topic, epoch and partition.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import polars as pl

from pipeline.clickhouse import FINAL_BY_DAY, ClickHouse
from pipeline.ledger.epochs import bounds_of
from pipeline.ledger.migrate import FOLDER
from pipeline.ledger.positions import epoch_of
from pipeline.scores.recompute import ROW, Part, nonzero, recompute, stored
from pipeline.scores.windows import COUNTS
from pipeline.settings import Settings
from schemas.topics import LEDGER_TOPICS
from schemas.vocabulary import Disposition

#: While events flow a window may be ahead of what its owner has said; looked at again this often before it counts.
_TRIES = 8
_WAIT_S = 0.4


@dataclass(slots=True)
class Account:
    """One partition of one epoch: the terms of the equation, and what is wrong with it, in sentences."""

    topic: str
    epoch: int
    part: int
    lo: int
    hi: int
    dispositions: dict[str, int]
    gaps: int
    settled: int
    log_end: int | None
    windows: int = 0
    wrong: list[str] = field(default_factory=list)

    @property
    def lag(self) -> int:
        """Records of the log that are not in the ledger yet; 0 at rest."""
        return 0 if self.log_end is None else max(0, self.log_end - self.hi - 1)

    @property
    def pending(self) -> int:
        """Offsets in the ledger whose windows are not settled yet."""
        return max(0, self.hi - self.settled)


@dataclass(slots=True)
class Audit:
    """All accounts, and what is wrong beside them."""

    accounts: list[Account]
    strays: list[str]

    @property
    def holds(self) -> bool:
        """Whether everything that must hold does."""
        return not self.strays and not any(account.wrong for account in self.accounts)

    def total(self, disposition: str) -> int:
        """Offsets of one disposition, all partitions together."""
        return sum(account.dispositions.get(disposition, 0) for account in self.accounts)

    def document(self) -> dict[str, Any]:
        """For `--json`."""
        accounts = [{**asdict(a), "lag": a.lag, "pending": a.pending} for a in self.accounts]
        return {"holds": self.holds, "strays": self.strays, "partitions": accounts}


def audit(settings: Settings) -> Audit:
    """Looks at everything. Raises Unavailable when Kafka or ClickHouse cannot be reached."""
    client = ClickHouse(settings)
    ends = {topic: asyncio.run(bounds_of(settings, topic)) for topic in LEDGER_TOPICS}
    accounts = [
        _account(client, row, ends.get(row["topic"], {}))
        for row in client.query(_EPOCHS, settings=FINAL_BY_DAY).iter_rows(named=True)
    ]
    for account in accounts:
        _check_rows(client, account)
        _check_windows(client, account)
    return Audit(accounts, _strays(client, accounts))


def _account(client: ClickHouse, row: Mapping[str, Any], bounds: Mapping[int, tuple[int, int]]) -> Account:
    where = {"topic": row["topic"], "epoch": row["epoch"], "part": row["part"]}
    counted = client.query(_COUNTS, where, FINAL_BY_DAY, long=True)
    gaps = client.query(_GAPS, where)
    settled = client.query(_SETTLED, where)
    dispositions = dict(zip(counted["disposition"].to_list(), counted["n"].to_list(), strict=True))
    tops = [*counted["top"].to_list(), *([gaps["top"][0]] if gaps["n"][0] else []), row["lo"] - 1]
    current = row["epoch"] == epoch_of(client, row["topic"])
    account = Account(
        topic=row["topic"],
        epoch=row["epoch"],
        part=row["part"],
        lo=row["lo"],
        hi=max(tops),
        dispositions={str(d): int(dispositions.get(str(d), 0)) for d in Disposition},
        gaps=int(gaps["n"][0] or 0),
        settled=int(settled["settled"][0]) if settled.height else row["lo"] - 1,
        log_end=bounds[row["part"]][1] if current and row["part"] in bounds else None,
    )
    unknown = set(dispositions) - {str(d) for d in Disposition}
    if unknown:
        account.wrong.append(f"unknown dispositions {sorted(unknown)}")
    lowest = min(counted["bottom"].to_list(), default=account.lo)
    if lowest < account.lo:
        account.wrong.append(f"a row below the epoch's first offset: {lowest} < {account.lo}")
    return account


def _check_rows(client: ClickHouse, account: Account) -> None:
    span = account.hi - account.lo + 1
    sum_ = sum(account.dispositions.values()) + account.gaps
    if span != sum_:
        account.wrong.append(f"{span} offsets, but {sum_} accounted for ({span - sum_:+d})")
    if account.log_end is not None and account.hi >= account.log_end:
        account.wrong.append(f"the ledger holds offset {account.hi}, the log ends at {account.log_end}")
    where = {"topic": account.topic, "epoch": account.epoch, "part": account.part}
    odd = client.query(_odd_rows(), where, FINAL_BY_DAY, long=True).row(0, named=True)
    if odd["altered"]:
        account.wrong.append(f"{odd['altered']} ledger rows do not match their own hash")
    if odd["twofold"]:
        account.wrong.append(f"{odd['twofold']} offsets have two different rows under one fence")
    if odd["beyond"]:
        account.wrong.append(f"{odd['beyond']} ledger rows bear a fence that no owner has had")


def _check_windows(client: ClickHouse, account: Account) -> None:
    """Windows against the ledger up to the settled offset; looked at again while its owner is at work."""
    for attempt in range(_TRIES):
        where = Part(account.topic, account.epoch, account.part, account.settled)
        there = stored(client, where)
        fresh = nonzero(recompute(client, where))
        columns = [*ROW, *COUNTS]
        differing = pl.concat(
            [
                there.select(columns).join(fresh.select(columns), on=columns, how="anti").select(ROW),
                fresh.select(columns).join(there.select(columns), on=columns, how="anti").select(ROW),
            ]
        ).unique()
        account.windows = fresh.height
        if differing.is_empty() and account.pending == 0:
            return
        if attempt + 1 < _TRIES:
            time.sleep(_WAIT_S)
            _look_again(client, account)
    if not differing.is_empty():
        minutes = differing["minute"].unique().len()
        account.wrong.append(f"{differing.height} window rows in {minutes} minutes differ from the ledger")
    if account.pending:
        account.wrong.append(f"windows are settled up to {account.settled}, {account.pending} offsets are pending")


def _look_again(client: ClickHouse, account: Account) -> None:
    settled = client.query(_SETTLED, {"topic": account.topic, "epoch": account.epoch, "part": account.part})
    account.settled = max(account.settled, int(settled["settled"][0]) if settled.height else -1)


def _strays(client: ClickHouse, accounts: list[Account]) -> list[str]:
    """Rows of partitions that no epoch knows."""
    known = {(account.topic, account.epoch, account.part) for account in accounts}
    found: list[str] = []
    for table in ("ledger", "windows", "gaps"):
        rows = client.query(f"SELECT DISTINCT topic, epoch, part FROM {table}", long=True)
        found.extend(
            f"{table} has rows of {row[0]} epoch {row[1]} partition {row[2]}, which no epoch begins"
            for row in rows.iter_rows()
            if tuple(row) not in known
        )
    return found


def _odd_rows() -> str:
    """Rows that are not what was written: the hash expression is the one of the table's own definition."""
    text = (FOLDER / "0001_record.sql").read_text()
    matched = re.search(r"row_hash UInt64 DEFAULT (cityHash64\(.*?\))\n\)", text, re.S)
    assert matched is not None, "0001_record.sql defines row_hash"
    return f"""
    WITH mine AS (SELECT * FROM ledger {_WHERE})
    SELECT
        (SELECT count() FROM mine WHERE row_hash != {matched[1]}) AS altered,
        (SELECT count() FROM (SELECT off, ver FROM mine GROUP BY off, ver HAVING uniqExact(row_hash) > 1)) AS twofold,
        (SELECT count() FROM mine WHERE ver > (SELECT max(ver) FROM progress {_WHERE})) AS beyond"""


_EPOCHS = "SELECT topic, epoch, part, lo FROM epochs FINAL ORDER BY topic, epoch, part"

_WHERE = "WHERE topic = {topic:String} AND epoch = {epoch:UInt16} AND part = {part:UInt16}"

_COUNTS = f"""SELECT disposition, count() AS n, max(off) AS top, min(off) AS bottom FROM ledger FINAL {_WHERE}
GROUP BY disposition ORDER BY disposition"""

_GAPS = f"SELECT sum(hi - lo + 1) AS n, max(hi) AS top FROM gaps FINAL {_WHERE}"

_SETTLED = f"SELECT settled FROM progress FINAL {_WHERE}"
