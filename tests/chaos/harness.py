"""What the chaos tests stand on [I/O]: workers as real processes, a feed of numbered events, waiting by condition.

    with deployed(Case(stack.bootstrap, stack.clickhouse_url, folder)) as case:
        worker = case.worker("one")
        with case.feed(rate=2_000, seed=1) as feed:
            case.in_flight()
            worker.kill()
        case.worker("two")
        case.verify()          # waits until all is settled; the equation and the independent oracle

Each case has a topic prefix, a consumer group and a database of its own, so cases can share a stack.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import typer
from aiokafka import AIOKafkaProducer
from typer.testing import CliRunner, Result

from pipeline.clickhouse import ClickHouse
from pipeline.command.main import COMMANDS
from pipeline.settings import Settings, load_settings
from pipeline.topics import Topics
from tests.chaos import evidence, oracle
from tests.chaos.generator import Event, Generator
from tests.chaos.processes import Worker, eventually, pauses
from tests.tables import make_tables

#: The shortest session that the settings allow.
SESSION_S = 6
#: Partitions of each topic of a case.
PARTITIONS = 4
#: How often a feed sends, seconds.
_BEAT_S = 0.05


class Feed:
    """Produces a generator's events at a rate from a thread; `with` it, or `start` and `stop`."""

    def __init__(self, bootstrap: str, prefix: str, events: Callable[[int], Event], rate: float) -> None:
        self._bootstrap, self._prefix, self._events, self._rate = bootstrap, prefix, events, rate
        self._ending = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._produce()), daemon=True)
        self._limit: int | None = None
        self._trouble: BaseException | None = None
        self.sent = 0
        self.acknowledged = 0

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop(silent=kind is not None)

    def start(self, limit: int | None = None) -> Self:
        """Begins; ends by itself after `limit` events."""
        self._limit = limit
        self._thread.start()
        return self

    def stop(self, *, silent: bool = False) -> None:
        """Ends after what was sent is acknowledged."""
        self._ending.set()
        self.join(silent=silent)

    def join(self, *, silent: bool = False) -> None:
        """Waits for the end of a feed with a limit."""
        self._thread.join(120)
        if not silent and self._trouble is not None:
            raise self._trouble

    async def _produce(self) -> None:
        producer = AIOKafkaProducer(
            bootstrap_servers=self._bootstrap,
            acks="all",
            enable_idempotence=True,
            linger_ms=5,
            request_timeout_ms=30_000,
        )
        try:
            await producer.start()
            await self._go_on(producer)
        except BaseException as error:  # noqa: BLE001
            self._trouble = error
        finally:
            await producer.stop()

    async def _go_on(self, producer: AIOKafkaProducer) -> None:
        began = time.monotonic()
        futures = []
        while not self._ending.is_set() and (self._limit is None or self.sent < self._limit):
            due = int((time.monotonic() - began) * self._rate)
            due = due if self._limit is None else min(due, self._limit)
            now_ms = time.time_ns() // 1_000_000
            while self.sent < due:
                event = self._events(now_ms)
                futures.append(await producer.send(self._prefix + event.topic, value=event.value, key=event.key))
                self.sent += 1
            self.acknowledged += sum(future.done() for future in futures)
            futures = [future for future in futures if not future.done()]
            await asyncio.sleep(_BEAT_S)
        for future in futures:
            await future
            self.acknowledged += 1


@dataclass
class Case:
    """One deployment of a test: topics, tables, workers, and what must hold in the end.

    `bootstrap` and `url` are where the workers go; `direct_*` where the test itself reads, past any proxy.
    """

    bootstrap: str
    url: str
    folder: Path
    direct_bootstrap: str = ""
    direct_url: str = ""
    prefix: str = field(default_factory=lambda: f"c{uuid.uuid4().hex[:8]}.")
    database: str = field(default_factory=lambda: f"c{uuid.uuid4().hex[:8]}")
    group: str = field(default_factory=lambda: f"g{uuid.uuid4().hex[:8]}")
    partitions: int = PARTITIONS
    workers: list[Worker] = field(default_factory=list)
    #: Fates that a test brought about itself, for the oracle: place -> (disposition, reason).
    known: dict[oracle.Place, tuple[str, str]] = field(default_factory=dict)
    epochs: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.direct_bootstrap = self.direct_bootstrap or self.bootstrap
        self.direct_url = self.direct_url or self.url

    # --- setting up -----------------------------------------------------------------------------------------------
    @property
    def settings(self) -> Settings:
        """The settings of this case, as a command line would have them."""
        return load_settings(
            bootstrap_servers=self.direct_bootstrap,
            clickhouse_url=self.direct_url,
            clickhouse_database=self.database,
            topic_prefix=self.prefix,
            topic_partitions=self.partitions,
            group=self.group,
            insecure_keys=True,
            state_dir=self.folder / "state",
        )

    def environment(self) -> dict[str, str]:
        """The same as environment variables, through the proxies."""
        return {
            "TOUCHLINE_BOOTSTRAP_SERVERS": self.bootstrap,
            "TOUCHLINE_CLICKHOUSE_URL": self.url,
            "TOUCHLINE_CLICKHOUSE_DATABASE": self.database,
            "TOUCHLINE_TOPIC_PREFIX": self.prefix,
            "TOUCHLINE_TOPIC_PARTITIONS": str(self.partitions),
            "TOUCHLINE_GROUP": self.group,
            "TOUCHLINE_INSECURE_KEYS": "true",
            "TOUCHLINE_SESSION_TIMEOUT_S": str(SESSION_S),
            "TOUCHLINE_WEB_PORT": "0",
            "TOUCHLINE_GATEWAY_HEALTH_PORT": "0",
            "TOUCHLINE_LOG_FORMAT": "json",
        }

    def create(self) -> None:
        """Database, tables, topics."""
        evidence.command(self.direct_url, f"CREATE DATABASE {self.database}")
        client = ClickHouse(self.settings)
        make_tables(client, self.settings)
        client.close()
        self.apply_topics()

    def apply_topics(self) -> None:
        """Topics that are missing are made."""

        async def go() -> None:
            async with Topics(self.settings) as topics:
                await topics.apply()

        asyncio.run(go())

    def worker(self, name: str, program: Sequence[str] = ("-m", "agents"), **variables: str) -> Worker:
        """Starts a worker; `variables` are more settings (upper case, without the prefix)."""
        folder = self.folder / name
        more = {f"TOUCHLINE_{key}": value for key, value in variables.items()}
        environment = self.environment() | {"TOUCHLINE_STATE_DIR": str(folder / "state")} | more
        started = Worker(name, [sys.executable, *program], environment, folder)
        self.workers.append(started)
        return started

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Runs `touchline ...` against this case."""
        return subprocess.run(
            [str(Path(sys.executable).with_name("touchline")), *arguments],
            env={**os.environ, **self.environment()},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def here(self, *arguments: str) -> Result:
        """The same within this process: of a command that only asks, most of the time goes into imports."""
        app = import_module(COMMANDS[arguments[0]][0]).app
        inside = arguments[0] in getattr(typer.main.get_command(app), "commands", {})
        return CliRunner().invoke(app, arguments if inside else arguments[1:], env=self.environment())

    def feed(self, rate: float, seed: int, **mix: float) -> Feed:
        """Numbered events of a seed at a rate, straight to the broker. `mix`: see Generator."""
        return self.feed_of(Generator(seed, **mix).next, rate)

    def feed_of(self, events: Callable[[int], Event], rate: float) -> Feed:
        """Any events at a rate."""
        return Feed(self.direct_bootstrap, self.prefix, events, rate)

    def produce(self, events: Sequence[Event]) -> None:
        """These events at once, acknowledged."""
        source = iter(events)
        feed = self.feed_of(lambda _: next(source), 1e9)
        feed.start(len(events)).join()

    # --- looking --------------------------------------------------------------------------------------------------
    def rows(self, sql: str) -> list[dict[str, Any]]:
        """Rows of a SELECT in the case's database."""
        return evidence.rows(self.direct_url, self.database, sql)

    def log_bounds(self) -> dict[tuple[str, int], oracle.Bounds]:
        """First and last offset of each partition on the broker."""
        return evidence.log_bounds(self.direct_bootstrap, self.prefix)

    def positions(self) -> dict[tuple[str, int], int]:
        """The ledger's position of each partition."""
        found = self.rows(
            f"SELECT topic, part, max(off) AS position FROM ledger WHERE {self._now()} GROUP BY topic, part"
        )
        return {(row["topic"], row["part"]): row["position"] for row in found}

    def recorded(self) -> int:
        """Offsets that stand in the ledger."""
        return int(self.rows(f"SELECT uniqExact(topic, part, off) AS n FROM ledger WHERE {self._now()}")[0]["n"])

    def lag(self) -> int:
        """Offsets on the broker above the ledger's positions."""
        positions = self.positions()
        return sum(b.hi - positions.get(place, b.lo - 1) for place, b in self.log_bounds().items())

    def unsettled(self) -> list[str]:
        """Partitions whose windows have not reached the log end."""
        found = self.rows(f"SELECT topic, part, settled FROM progress FINAL WHERE {self._now()}")
        settled = {(row["topic"], row["part"]): row["settled"] for row in found}
        return [
            f"{topic}[{part}]: {settled.get((topic, part))} of {bounds.hi}"
            for (topic, part), bounds in self.log_bounds().items()
            if bounds.hi >= bounds.lo and settled.get((topic, part), -1) < bounds.hi
        ]

    def in_flight(self, *workers: Worker, deadline_s: float = 60.0) -> None:
        """Waits until each of these workers (all that run) holds records that are not in the ledger yet.

        A fault counts only then. Records that nobody has taken from Kafka are no loss to whom it hits.
        """
        hit = workers or tuple(worker for worker in self.workers if worker.running)
        eventually(lambda: hit and all(worker.in_flight for worker in hit), f"in flight\n{self.words()}", deadline_s)

    def flowing(self, more: int = 1, deadline_s: float = 60.0) -> None:
        """Waits until the ledger has grown by so many offsets."""
        before = self.recorded()
        eventually(lambda: self.recorded() >= before + more, f"{more} more ledger rows\n{self.words()}", deadline_s)

    def settle(self, deadline_s: float = 60.0) -> None:
        """Waits until every window has reached the log end. Feeds must have stopped."""
        end, between = time.monotonic() + deadline_s, pauses()
        while left := self.unsettled():
            if time.monotonic() > end:
                raise AssertionError(f"not settled within {deadline_s:.0f} s: {left}\n{self.words()}")
            time.sleep(next(between))

    def words(self) -> str:
        """Last words of all workers of the case, newest last."""
        return "\n".join(f"--- {worker.name} ({worker.log}):\n{worker.words()}" for worker in self.workers[-3:])

    # --- what must hold -------------------------------------------------------------------------------------------
    def verify(self, deadline_s: float = 60.0) -> oracle.Summary:
        """Settled, then the equation, ledger and windows against the oracle. What the oracle expected, counted."""
        self.settle(deadline_s)
        log = evidence.read_log(self.direct_bootstrap, self.prefix)
        return self.judge(log, self.log_bounds())

    def expected(self) -> list[oracle.Verdict]:
        """What the oracle says of the log as it is now."""
        return oracle.judge(evidence.read_log(self.direct_bootstrap, self.prefix), self.known)

    def judge(self, log: Sequence[oracle.Logged], bounds: Mapping[tuple[str, int], oracle.Bounds]) -> oracle.Summary:
        """The tables against a log that was read before."""
        verdicts = oracle.judge(log, self.known)
        ledger = self.rows(f"SELECT * FROM ledger FINAL WHERE {self._now()}")
        gaps = self.rows(f"SELECT * FROM gaps FINAL WHERE {self._now()}")
        windows = self.rows(f"SELECT * EXCEPT (version) FROM windows FINAL WHERE {self._now()}")
        wrong = oracle.equation_differences(bounds, ledger, gaps)
        wrong += oracle.ledger_differences(verdicts, ledger)
        wrong += oracle.window_differences(oracle.windows(verdicts, ledger), windows)
        assert not wrong, f"{len(wrong)} differences, the first: " + "\n".join(wrong[:12]) + "\n" + self.words()
        return oracle.summary(verdicts)

    def _now(self) -> str:
        """The condition of the present epoch of each topic."""
        others = [f"(topic = '{topic}' AND epoch = {epoch})" for topic, epoch in self.epochs.items()]
        names = ", ".join(f"'{topic}'" for topic in self.epochs) or "''"
        return "(" + " OR ".join([f"(topic NOT IN ({names}) AND epoch = 1)", *others]) + ")"

    def end(self) -> None:
        """Ends what still runs."""
        for worker in self.workers:
            if worker.running:
                worker.thaw()
                worker.kill()


@contextlib.contextmanager
def deployed(case: Case) -> Iterator[Case]:
    """A case with its topics and tables; its workers are gone afterwards."""
    case.create()
    try:
        yield case
    finally:
        case.end()
