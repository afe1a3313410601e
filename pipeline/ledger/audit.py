"""The proof [I/O]: every offset has exactly one ledger row, no row was altered, and windows equal the ledger.

`hi - lo + 1 = aggregated + late + duplicate + dead_letter + ignored + gaps` for each topic, epoch and partition.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any

import polars as pl

from pipeline.clickhouse import FINAL_BY_DAY, ClickHouse
from pipeline.ledger.epochs import bounds_of
from pipeline.ledger.migrate import FOLDER
from pipeline.ledger.positions import epoch_of
from pipeline.ledger.requests import waiting
from pipeline.ledger.restating import KINDS, count_doubles
from pipeline.scores.recompute import ROW, Part, differing, fingerprints, nonzero, recompute, stored
from pipeline.scores.rolling import leftovers, rolled_days
from pipeline.scores.windows import COUNTS
from pipeline.settings import Settings
from schemas.topics import LEDGER_TOPICS
from schemas.vocabulary import Disposition

#: While events flow a window may be ahead of what its owner has said: it is looked at again, seconds apart, before it
#: counts, and for so long at most.
_WAIT_S, _LONGEST_S = 0.4, 30.0
#: What stands still for so long will not change: nobody is at work on it. Where the ledger has rows that no window has
#: yet, somebody may be, on a busy machine with seconds between two folds.
_STILL_S, _WAITED_S = 0.8, 6.0
#: Minutes that one query names; of more, everything is looked at.
_FEW = 2_000


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
    differ: bool = False
    ahead: int = 0
    wrong: list[str] = field(default_factory=list)

    @property
    def key(self) -> tuple[str, int]:
        """Topic and partition."""
        return self.topic, self.part

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


def audit(settings: Settings, *, deep: bool = False) -> Audit:
    """Looks at everything; `deep` also for doubles beyond what a worker remembers. Raises Unavailable when Kafka or
    ClickHouse cannot be reached."""
    client = ClickHouse(settings)
    epochs = client.query(
        """SELECT topic, epoch, part, lo FROM epochs FINAL WHERE topic IN {topics:Array(String)}
        ORDER BY topic, epoch, part""",
        {"topics": list(LEDGER_TOPICS)},
    )
    accounts: list[Account] = []
    for (topic, epoch), parts in epochs.group_by("topic", "epoch", maintain_order=True):
        where = {"topic": str(topic), "epoch": int(str(epoch))}
        present = str(topic) in LEDGER_TOPICS and epoch == epoch_of(client, str(topic))
        ends = partial(_log_ends, settings, str(topic)) if present else dict
        mine = _accounts(client, where, dict(zip(parts["part"], parts["lo"], strict=True)), ends)
        _check_windows(client, where, mine)
        _check_fences(client, where, mine)
        if deep:
            _check_doubles(client, where, mine)
        accounts.extend(mine)
    return Audit(accounts, _strays(client, accounts))


def _log_ends(settings: Settings, topic: str) -> dict[int, tuple[int, int]]:
    return asyncio.run(bounds_of(settings, topic))


def _accounts(
    client: ClickHouse,
    where: Mapping[str, Any],
    los: Mapping[int, int],
    log_bounds: Callable[[], Mapping[int, tuple[int, int]]],
) -> list[Account]:
    """One account a partition of one epoch, with everything but the windows checked."""
    # Asked first: windows are settled behind the ledger, so what is read later must reach at least as far.
    settled = _settled(client, where)
    counted = client.query(_COUNTS, where, FINAL_BY_DAY, long=True)
    gaps = {row["part"]: row for row in client.query(_GAPS, where).iter_rows(named=True)}
    odd = {row["part"]: row for row in client.query(_odd_rows(), where, long=True).iter_rows(named=True)}
    # Asked last: while events flow the log grows, and the ledger may not be beyond what was seen of it.
    bounds = log_bounds()
    accounts = []
    for part, lo in los.items():
        rows = list(counted.filter(pl.col("part") == part).iter_rows(named=True))
        gap = gaps.get(part, {"n": 0, "top": lo - 1})
        account = Account(
            topic=where["topic"],
            epoch=where["epoch"],
            part=part,
            lo=lo,
            hi=max(lo - 1, gap["top"], *(row["top"] for row in rows)) if rows else max(lo - 1, gap["top"]),
            dispositions={str(d): 0 for d in Disposition} | {row["disposition"]: int(row["n"]) for row in rows},
            gaps=int(gap["n"]),
            settled=settled.get(part, lo - 1),
            log_end=bounds[part][1] if part in bounds else None,
        )
        _check_rows(account, min((row["bottom"] for row in rows), default=lo), odd.get(part, {}))
        accounts.append(account)
    return accounts


def _check_rows(account: Account, lowest: int, odd: Mapping[str, int]) -> None:
    span = account.hi - account.lo + 1
    found = sum(account.dispositions.values()) + account.gaps
    if span != found:
        account.wrong.append(f"{span} offsets, but {found} accounted for ({found - span:+d})")
    if lowest < account.lo:
        account.wrong.append(f"a row below the epoch's first offset: {lowest} < {account.lo}")
    if account.log_end is not None and account.hi >= account.log_end:
        account.wrong.append(f"the ledger holds offset {account.hi}, the log ends at {account.log_end}")
    if account.settled > account.hi:
        account.wrong.append(
            f"windows were settled up to {account.settled}, but the ledger ends at {account.hi}: rows are missing"
        )
    unknown = set(account.dispositions) - {str(d) for d in Disposition}
    if unknown:
        account.wrong.append(f"unknown dispositions {sorted(unknown)}")
    for name, sentence in _ODD.items():
        if odd.get(name):
            account.wrong.append(f"{odd[name]} {sentence}")
    account.ahead = odd.get("beyond", 0)


#: What is odd about rows, by the columns of `_odd_rows`.
_ODD = {
    "altered": "ledger rows do not match their own hash",
    "twofold": "offsets have two different rows under one fence",
}


def _check_windows(client: ClickHouse, where: Mapping[str, Any], accounts: list[Account]) -> None:
    """Windows against the ledger up to the settled offset; looked at again while owners are at work."""
    settled = _settled(client, where)
    for account in accounts:
        account.settled = settled.get(account.part, account.settled)
    prints = fingerprints(client, where["topic"], where["epoch"], {a.part: a.settled for a in accounts})
    found = {row["part"]: row for row in prints.iter_rows(named=True)}
    for account in accounts:
        row = found.get(account.part, {"n": 0, "n_": 0, "print": 0, "print_": 0})
        account.windows = int(row["n_"])
        account.differ = (row["n"], row["print"]) != (row["n_"], row["print_"])
    open_ = [account for account in accounts if account.differ or account.pending]
    suspects = _until_still(client, open_)
    open_ = [account for account in open_ if account.differ or account.pending]
    late = leftovers(client, where["topic"], where["epoch"])
    for account in accounts:
        if n := late.get(account.part, 0):
            account.wrong.append(
                f"{n} rows of minutes in days that are kept by the hour: written late, read by nobody; "
                "`touchline rebuild` takes them out"
            )
    for account in open_:
        if account.differ:
            account.wrong.append(_difference(client, account, suspects[account.part]) + _asked(client, account))
        if account.pending:
            account.wrong.append(f"windows are settled up to {account.settled}, {account.pending} offsets are pending")


def _check_fences(client: ClickHouse, where: Mapping[str, Any], accounts: list[Account]) -> None:
    """Fences that no owner has had. Rows of an attempt that has just begun come before its owner says so."""
    ahead, began = [account for account in accounts if account.ahead], time.monotonic()
    while ahead and time.monotonic() - began < _WAITED_S:
        time.sleep(_WAIT_S)
        rows = client.query(_AHEAD, {**where, "parts": [account.part for account in ahead]}, long=True)
        left = dict(rows.iter_rows()) if rows.width else {}
        for account in ahead:
            account.ahead = left.get(account.part, 0)
        ahead = [account for account in ahead if account.ahead]
    for account in ahead:
        account.wrong.append(f"{account.ahead} ledger rows bear a fence that no owner has had")


def _check_doubles(client: ClickHouse, where: Mapping[str, Any], accounts: list[Account]) -> None:
    doubles = count_doubles(client, where["topic"], where["epoch"])
    for account in accounts:
        if n := doubles.get(account.part, 0):
            account.wrong.append(
                f"{n} events are there twice, further apart than a worker remembers: "
                "`touchline restate --duplicates` takes them out"
            )


def _until_still(client: ClickHouse, open_: list[Account]) -> dict[int, list[int] | None]:
    """Looks at partitions whose windows are not the ledger's until they are or nobody is at work on them any more; by
    partition the minutes that differ, None for all."""
    suspects: dict[int, list[int] | None] = {}
    began = moved = time.monotonic()
    before: list[object] = []
    while open_:
        behind = False
        for account in open_:
            suspects[account.part] = _look_again(client, account, suspects.get(account.part))
            behind |= _top(client, account) > account.settled
        open_ = [account for account in open_ if account.differ or account.pending]
        look: list[object] = [(account.part, account.settled, suspects[account.part]) for account in open_]
        now = time.monotonic()
        if look != before:
            before, moved = look, now
        if now - moved >= (_WAITED_S if behind else _STILL_S) or now - began >= _LONGEST_S:
            break
        if open_:
            time.sleep(_WAIT_S)
    return suspects


def _top(client: ClickHouse, account: Account) -> int:
    """The last offset that stands in the ledger by now."""
    rows = client.query(
        """SELECT max(off) AS top FROM ledger
        WHERE topic = {topic:String} AND epoch = {epoch:UInt16} AND part = {part:UInt16}""",
        {"topic": account.topic, "epoch": account.epoch, "part": account.part},
    )
    return int(rows["top"][0])


def _look_again(client: ClickHouse, account: Account, suspects: list[int] | None) -> list[int] | None:
    """Looks at the rows that differed so far (None: all) as they stand now; what is left of them.

    An owner at work is always a little ahead with the minutes that it is writing. A row that was equal once, at an
    offset settled then, is proved: so only the others are looked at again, and that takes a moment.
    """
    account.settled = _settled(client, {"topic": account.topic, "epoch": account.epoch}).get(
        account.part, account.settled
    )
    found = differing(client, _part(client, account), _few(suspects))
    account.differ = bool(found)
    return None if account.pending else found


def _part(client: ClickHouse, account: Account) -> Part:
    rolled = rolled_days(client, account.topic, account.epoch, account.part)
    return Part(account.topic, account.epoch, account.part, account.settled, rolled)


def _few(suspects: list[int] | None) -> list[int] | None:
    """Minutes to name in a query, None for everything."""
    return suspects if suspects is not None and len(suspects) <= _FEW else None


def _difference(client: ClickHouse, account: Account, suspects: list[int] | None) -> str:
    """How many window rows differ, and in how many minutes."""
    part, few = _part(client, account), _few(suspects)
    columns = [*ROW, *COUNTS]
    there = stored(client, part, few).select(columns)
    fresh = nonzero(recompute(client, part, few)).select(columns)
    rows = pl.concat(
        [
            there.join(fresh, on=columns, how="anti").select(ROW),
            fresh.join(there, on=columns, how="anti").select(ROW),
        ]
    ).unique()
    return f"{rows.height} window rows in {rows['minute'].unique().len()} minutes differ from the ledger"


def _asked(client: ClickHouse, account: Account) -> str:
    """What was asked of the partition's owner and is not finished, or nothing."""
    rows = waiting(client, (*KINDS, "rebuild"))
    mine = [row["kind"] for row in rows.iter_rows(named=True) if (row["topic"], row["part"]) == account.key]
    return f"; its owner has still to finish: {', '.join(mine)}" if mine else ""


def _settled(client: ClickHouse, where: Mapping[str, Any]) -> dict[int, int]:
    rows = client.query(_SETTLED, where)
    return dict(zip(rows["part"].to_list(), rows["settled"].to_list(), strict=True)) if rows.width else {}


def _strays(client: ClickHouse, accounts: list[Account]) -> list[str]:
    """Rows of partitions that no epoch knows."""
    known = {(account.topic, account.epoch, account.part) for account in accounts}
    found: list[str] = []
    for table in ("ledger", "windows", "windows_1h", "gaps"):
        rows = client.query(f"SELECT DISTINCT topic, epoch, part FROM {table}", long=True)
        found.extend(
            f"{table} has rows of {row[0]} epoch {row[1]} partition {row[2]}, which no epoch begins"
            for row in rows.iter_rows()
            if tuple(row) not in known
        )
    return found


def _odd_rows() -> str:
    """Rows that are not what was written: the hash is that of the table's own definition, and of 0021_names.sql."""
    text = (FOLDER / "0001_record.sql").read_text()
    matched = re.search(r"row_hash UInt64 DEFAULT (cityHash64\(.*?\))\n\)", text, re.S)
    assert matched is not None, "0001_record.sql defines row_hash"
    whole = f"if(others = 0 AND old_others = 0, {matched[1]}, cityHash64(others, old_others, {matched[1]}))"
    return f"""
    SELECT part, sum(bad) AS altered, sum(kinds > 1) AS twofold, sum(ver > owner) AS beyond FROM (
        SELECT part, off, ver, uniqExact(row_hash) AS kinds, sum(row_hash != {whole}) AS bad
        FROM ledger {_WHERE} GROUP BY part, off, ver
    ) AS rows
    LEFT JOIN (SELECT part, max(ver) AS owner FROM progress {_WHERE} GROUP BY part) AS owners USING (part)
    GROUP BY part"""


_WHERE = "WHERE topic = {topic:String} AND epoch = {epoch:UInt16}"

_AHEAD = f"""SELECT part, sum(ver > owner) AS beyond
FROM (SELECT DISTINCT part, off, ver FROM ledger {_WHERE} AND part IN {{parts:Array(UInt16)}}) AS rows
LEFT JOIN (SELECT part, max(ver) AS owner FROM progress {_WHERE} GROUP BY part) AS owners USING (part)
GROUP BY part"""

_COUNTS = f"""SELECT part, disposition, count() AS n, max(off) AS top, min(off) AS bottom FROM ledger FINAL {_WHERE}
GROUP BY part, disposition ORDER BY part, disposition"""

_GAPS = (
    f"SELECT part, toInt64(intervalLengthSum(lo, hi + 1)) AS n, max(hi) AS top FROM gaps FINAL {_WHERE} GROUP BY part"
)

_SETTLED = f"SELECT part, settled FROM progress FINAL {_WHERE}"
