"""What is reachable, right and ready [I/O]: one finding a line, each with the command that fixes it. Writes nothing."""

from __future__ import annotations

import asyncio
import os
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from pipeline.clickhouse import FINAL_BY_DAY, ClickHouse
from pipeline.customers.registry import DEFAULT_PATH
from pipeline.customers.watcher import read_registry
from pipeline.errors import NotReady, SettingsError, TouchlineError, Unavailable
from pipeline.ledger.migrate import load, pending
from pipeline.ledger.rebuild import members
from pipeline.settings import Settings, load_settings
from pipeline.topics import Difference, Topics

#: Unknown touchpoints that are named, those with the most events first.
_MOST_NAMED = 10
_UNLISTED = """SELECT touchpoint, events, count() OVER () AS names FROM (
    SELECT toString(touchpoint) AS touchpoint, count() AS events FROM ledger FINAL
    WHERE day >= toDate(now() - INTERVAL 1 DAY, 'UTC') AND ingest_ms >= toUnixTimestamp64Milli(now64(3)) - 86400000
        AND disposition IN ('aggregated', 'late') AND touchpoint != '' AND NOT has({known:Array(String)}, touchpoint)
    GROUP BY touchpoint
) ORDER BY events DESC, touchpoint LIMIT {most:UInt32}"""
#: Oldest ClickHouse whose functions and settings the SQL of deploy/migrations was tried with (major, minor).
_CLICKHOUSE = (25, 3)
#: State is small, but a full disk stops imports and crash counts; bytes.
_DISK_WARN, _DISK_FAIL = 1_000_000_000, 50_000_000
#: Time rules use the broker's clock; a difference beyond these shows in logs, then in what producers send; seconds.
_CLOCK_WARN_S, _CLOCK_FAIL_S = 2.0, 300.0


class State(StrEnum):
    """How a thing is."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line: what was looked at, how it is, what was seen, and the fix (empty where nothing is wrong)."""

    name: str
    state: State
    seen: str
    fix: str = ""
    unreachable: bool = False

    @property
    def line(self) -> str:
        """For people."""
        return f"{self.state:<4}  {self.name:<11}  {self.seen}" + (
            f"\n                   fix: {self.fix}" if self.fix else ""
        )

    def document(self) -> dict[str, Any]:
        """For `--json`."""
        return asdict(self)


def examine() -> Iterator[Finding]:
    """Looks at one thing after another, the cheap ones first; without valid settings at nothing else."""
    try:
        settings = load_settings()
    except SettingsError as error:
        yield Finding("settings", State.FAIL, str(error), "set them right, then `touchline config check`")
        return
    yield Finding("settings", State.OK, "complete and consistent")
    yield _keys(settings)
    yield _registry(settings)
    yield _disk(settings.state_dir)
    yield from _kafka(settings)
    yield from _clickhouse(settings)


def _first(error: Exception) -> str:
    """The sentence without the advice to run this command, and without the client's inner workings."""
    return str(error).partition("; see ")[0].partition("(Caused by")[0].strip()


def _keys(settings: Settings) -> Finding:
    if settings.insecure_keys:
        fix = "for real customers: TOUCHLINE_INSECURE_KEYS=false, and two keys from `openssl rand -hex 32`"
        return Finding("keys", State.WARN, "the well-known ones: good for demos and tests only", fix)
    try:
        settings.require_keys()
    except SettingsError as error:
        fix = "TOUCHLINE_PSEUDONYM_KEY and TOUCHLINE_SEAL_KEY from `openssl rand -hex 32`, the same for all workers"
        return Finding("keys", State.FAIL, str(error), fix)
    return Finding(
        "keys", State.OK, f"pseudonym key {settings.pseudonym_key_id} and seal key {settings.seal_key_id} are set"
    )


def _registry(settings: Settings) -> Finding:
    path = settings.registry or DEFAULT_PATH
    try:
        found = read_registry(path)
    except TouchlineError as error:
        return Finding("registry", State.FAIL, str(error), f"correct {path}, or unset TOUCHLINE_REGISTRY")
    which = "bundled" if settings.registry is None else str(path)
    many = "1 touchpoint, with" if len(found.touchpoints) == 1 else f"{len(found.touchpoints):,} touchpoints, each with"
    return Finding("registry", State.OK, f"{many} an owner ({which})")


def _disk(folder: Path) -> Finding:
    there = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    if not os.access(there, os.W_OK):
        fix = f"make {there} writable, or set TOUCHLINE_STATE_DIR to another folder"
        return Finding("disk", State.FAIL, f"{there} cannot be written", fix)
    free = shutil.disk_usage(there).free
    state = State.FAIL if free < _DISK_FAIL else State.WARN if free < _DISK_WARN else State.OK
    fix = "" if state is State.OK else f"make room on the disk of {there}, or set TOUCHLINE_STATE_DIR"
    return Finding("disk", state, f"{free / 1e9:,.1f} GB free at {there}", fix)


def _kafka(settings: Settings) -> Iterator[Finding]:
    try:
        differences, workers = asyncio.run(_asked(settings))
    except Unavailable as error:
        fix = 'start it (`touchline up`, then `eval "$(touchline env)"`), or set TOUCHLINE_BOOTSTRAP_SERVERS'
        yield Finding("kafka", State.FAIL, _first(error), fix, unreachable=True)
        return
    yield Finding("kafka", State.OK, f"answers at {settings.bootstrap_servers}")
    yield _topics(differences)
    if workers:
        yield Finding("workers", State.OK, f"{workers} in the group {settings.group}")
    else:
        yield Finding(
            "workers", State.WARN, f"none in the group {settings.group}: nothing is counted", "touchline worker"
        )


async def _asked(settings: Settings) -> tuple[list[Difference], int]:
    async with Topics(settings) as topics:
        differences = await topics.diff()
    try:
        return differences, await members(settings)
    except Unavailable:  # a broker that never had a group has nobody to ask for one
        return differences, 0


def _topics(differences: list[Difference]) -> Finding:
    if not differences:
        return Finding("topics", State.OK, "all there, as the topic table asks")
    wrong = any(difference.wrong for difference in differences)
    seen = "; ".join(str(difference) for difference in differences)
    fix = "; ".join(dict.fromkeys(difference.fix for difference in differences if difference.wrong == wrong))
    return Finding("topics", State.FAIL if wrong else State.WARN, seen, fix)


def _clickhouse(settings: Settings) -> Iterator[Finding]:
    client = ClickHouse(settings)
    try:
        before = time.time()
        row = client.query("SELECT version() AS version, toUnixTimestamp64Milli(now64(3)) AS now")
        middle = (before + time.time()) / 2
        yield _version(str(row["version"][0]))
        yield (tables := _tables(lambda: [f"{m.number:04d}_{m.name}" for m in pending(client, load())]))
        yield _clock(int(row["now"][0]) / 1000 - middle)
        if tables.state is State.OK:
            yield from unlisted(client, settings)
    except Unavailable as error:
        fix = 'start it (`touchline up`, then `eval "$(touchline env)"`), or set TOUCHLINE_CLICKHOUSE_URL'
        yield Finding("clickhouse", State.FAIL, _first(error), fix, unreachable=True)
    finally:
        client.close()


def _version(version: str) -> Finding:
    major, minor, *_ = (int(part) if part.isdigit() else 0 for part in (*version.split("."), "0"))
    if (major, minor) >= _CLICKHOUSE:
        return Finding("clickhouse", State.OK, f"answers, version {version}")
    wanted = ".".join(str(part) for part in _CLICKHOUSE)
    return Finding("clickhouse", State.WARN, f"answers, version {version}", f"use ClickHouse {wanted} or newer")


def _tables(missing: Callable[[], list[str]]) -> Finding:
    try:
        names = missing()
    except NotReady as error:
        return Finding("tables", State.FAIL, str(error), "git checkout deploy/migrations, or the newer Touchline")
    if names:
        return Finding("tables", State.FAIL, f"not applied yet: {', '.join(names)}", "touchline migrate")
    return Finding("tables", State.OK, "every migration is applied")


def unlisted(client: ClickHouse, settings: Settings) -> Iterator[Finding]:
    """Touchpoints of the last day's events that the registry does not have; nothing where there is no valid one."""
    try:
        known = list(read_registry(settings.registry or DEFAULT_PATH).touchpoints)
    except SettingsError:
        return
    rows = client.query(_UNLISTED, {"known": known, "most": _MOST_NAMED}, FINAL_BY_DAY, long=True)
    if not rows.height:
        yield Finding("touchpoints", State.OK, "those of the last day's events are all in the registry")
        return
    named = ", ".join(f"{name} ({events:,})" for name, events in rows.select("touchpoint", "events").iter_rows())
    count = int(rows["names"][0])
    more = count - rows.height
    things, are = ("touchpoint", "is") if count == 1 else ("touchpoints", "are")
    seen = f"{count:,} {things} of the last day's events {are} not in the registry: "
    own = "" if settings.registry else f"a copy of {DEFAULT_PATH.name} of your own, named by TOUCHLINE_REGISTRY: "
    fix = f"{own}add [touchpoints.NAME] with stage and owner to it; or correct what the producer sends"
    yield Finding("touchpoints", State.WARN, seen + named + (f" and {more:,} more" if more else ""), fix)


def _clock(ahead: float) -> Finding:
    seen = f"ClickHouse's clock is {abs(ahead):.1f} s {'ahead of' if ahead > 0 else 'behind'} this machine's"
    if abs(ahead) < _CLOCK_WARN_S:
        return Finding("clock", State.OK, seen)
    state = State.FAIL if abs(ahead) >= _CLOCK_FAIL_S else State.WARN
    return Finding("clock", state, seen, "let both follow an NTP server (`timedatectl set-ntp true`)")
