"""What one worker has on its desk [I/O]: connections, memories and counters, handed to each agent.

Also the worker's edge: whatever an agent does not expect stops the process, loudly and without committing.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import faust
import polars as pl
from aiokafka.errors import KafkaError

from pipeline import memory
from pipeline.alerts.calling import Caller
from pipeline.alerts.loading import load_rules
from pipeline.alerts.posting import Posting
from pipeline.alerts.routing import read_routes
from pipeline.alerts.watching import Watch
from pipeline.app import Group, emptied
from pipeline.arrival.accept import Arrival, Memory
from pipeline.arrival.rules import ArrivalRules
from pipeline.clickhouse import Pool
from pipeline.customers.enrich import Knowledge, Origin, enrich
from pipeline.customers.following import Following
from pipeline.customers.naming import Naming
from pipeline.customers.pseudonyms import Pseudonyms
from pipeline.customers.registry import DEFAULT_PATH, Unknown
from pipeline.customers.sealing import Sealer, context
from pipeline.customers.unit_rows import write_units
from pipeline.customers.watcher import Watcher
from pipeline.errors import Stuck, TouchlineError, Unavailable
from pipeline.followed import Followed
from pipeline.gauges import gauges, tell_folded, tell_retries
from pipeline.health import Health
from pipeline.isolation import Step, isolate
from pipeline.ledger.crashes import Crashes
from pipeline.ledger.custody import Custody, Holding
from pipeline.ledger.keeper import Keeper
from pipeline.ledger.outbox import Outbox
from pipeline.ledger.rollcall import Muster, Rollcall
from pipeline.ledger.watchdog import LOOKS, Watchdog
from pipeline.ledger.writer import Writer
from pipeline.scores.defined import definitions_of
from pipeline.scores.folding import Folder, Ours
from pipeline.scores.hours import Roller
from pipeline.scores.publishing import Publisher
from pipeline.settings import Settings
from pipeline.slices import Partition, Slice
from pipeline.telemetry import Telemetry, log
from pipeline.texts.declared import read_taxonomy
from pipeline.texts.labeller import Labeller, Options
from pipeline.texts.taxonomy import DEFAULT_PATH as TAXONOMY
from pipeline.texts.taxonomy import Taxonomy
from schemas.codec import Rejection
from schemas.topics import LEDGER_TOPICS
from schemas.vocabulary import Reason, Stage

#: Exit status after something unexpected: distinguishable from a clean stop and from a signal.
CRASHED = 70
#: The loop standing still for half of the session means that the group may soon have given our partitions away.
_STALL_SHARE = 2
#: How often Kafka's committed offset follows the ledger, seconds.
_COMMIT_S = 1.0
#: How often the loop says that it is alive, seconds.
_BEAT_S = 0.1
#: How often it is looked whether the flow is empty, seconds.
_CALM_S = 0.02

_log = log("touchline.worker")


class Desk:
    """One worker's shared things. Built once in agents/__main__.py."""

    def __init__(self, app: faust.App, settings: Settings) -> None:
        self.settings = settings
        self.telemetry = Telemetry()
        self.pool = Pool(settings)
        self.group = Group(app, settings)
        self.custody = Custody(self.group.generation, time.monotonic, settings.session_timeout_s / _STALL_SHARE)
        self.keeper = Keeper(self.pool, self.group, self.custody)
        self.crashes = Crashes(settings.state_dir)
        self.rules = ArrivalRules(
            form=settings.customer_form, ids_limit=settings.ids_remembered, lateness_ms=settings.lateness_s * 1000
        )
        self.memory = Memory.within(self.rules)
        self.arrivals: dict[Partition, tuple[int, Arrival]] = {}
        #: The attempt of each partition whose ids and answers are in the memory.
        self.recalled: dict[Partition, int] = {}
        self.refused: dict[Partition, dict[int, Rejection]] = {}
        self.pseudonyms = Pseudonyms(settings.pseudonym_key_id, settings.pseudonym_bytes)
        self.sealer = Sealer(settings.seal_key_id, settings.seal_bytes)
        self.following = Following(self.pool, self.group, self.pseudonyms, settings.profiles_held)
        self.registry = Watcher(settings.registry or DEFAULT_PATH)
        self.taxonomy = Followed(settings.taxonomy or TAXONOMY, read_taxonomy)
        self.alert_rules = load_rules(settings)
        self._troubles: dict[str, str] = {}
        self._units_of = 0
        self.unknown = Unknown()
        self.naming = Naming(self.pool, settings.names_kept)
        self.labeller = Labeller(Options(classifier=settings.classifier, limit_s=settings.label_limit_s))
        self.outbox = Outbox(settings)
        self.writer = Writer(self.pool, self.outbox, self.custody, self._seal, asyncio.sleep)
        self.folder = Folder(self.pool, settings.hot_rows, self._holds)
        self.folding = asyncio.Lock()
        self.roller = Roller(self.pool, self.folder, self.folding)
        self.publisher = Publisher(
            self.pool, self.outbox.send, self.group.log_ends, settings.topic_partitions, definitions_of(settings)
        )
        routes = read_routes(settings)
        self.posting = Posting(routes.allowed_hosts, routes.link)
        self.caller = Caller(self.pool, self.outbox.send, routes, self.posting)
        # One fence for what is found and what follows from it.
        self.watch = Watch(self.pool, self.alert_rules, lambda: self.caller.ver)
        self.health = Health(
            self.telemetry,
            {
                "group": self._without_group,
                "partitions": self._without_partitions,
                "breaker": self._paused,
                "profiles": lambda: "; ".join(self.following.troubles().values()) or None,
                "progress": lambda: self.watchdog.trouble or None,
            },
            lambda: gauges(self),
        )
        self.watchdog = Watchdog(settings, lambda: self.group, lambda: self.custody, lambda: self.writer.retries)
        self.queues: dict[str, Any] = {}
        self.retries_told = (0, 0.0)
        self.rollcall = Rollcall()
        self.muster = Muster()
        self.broker_ms = 0
        self._ending = False
        self.ticks = 0
        self.tick_fence = 0
        self.now_ms = 0
        self.calling: set[asyncio.Task[int]] = set()

    def attach(self, app: faust.App) -> None:
        """What runs beside the agents: the heartbeat, committing, health, and a clean end."""

        app.task(self.beat)
        app.task(self.serve)

        @self.timer(app, _COMMIT_S, "commit")
        async def commit() -> None:
            held = self.custody.holdings()
            positions = {partition: holding.position for partition, holding in held.items() if holding.position >= 0}
            for partition, position in positions.items():
                self.crashes.passed(partition, position)
            await self.group.commit(positions | self.following.positions())
            tell_retries(self)

        @self.timer(app, self.settings.stuck_after_s / LOOKS, "watchdog")
        async def watchdog() -> None:
            await self.watched(time.monotonic())

        @self.timer(app, memory.TRIM_S, "trim")
        async def trim() -> None:
            await asyncio.to_thread(memory.trim)

        @emptied(app)
        def _() -> None:
            self.custody.release(list(self.custody.holdings()))

        @app.on_partitions_revoked.connect
        async def revoked(*_: object, **__: object) -> None:
            self.custody.release(list(self.custody.holdings()))

        @app.on_before_shutdown.connect
        async def ending(*_: object, **__: object) -> None:
            self._ending = True
            await self.labeller.stop()
            await self.health.stop()
            for task in self.calling:
                task.cancel()  # what it was saying is said again by the next owner, under the same id
            await self.posting.close()
            await self.outbox.close()
            self.pool.close()

    def agent(self, app: faust.App, channel: Any, name: str) -> Callable[[Any], Any]:
        """Attaches a function as the agent of a step; what it lets escape stops the process."""

        def decorate(work: Callable[[Any], Awaitable[None]]) -> Any:
            async def guarded(stream: Any) -> None:
                self.queues[name] = stream.channel
                try:
                    # Nothing is acknowledged to Faust, on any topic: the position lives in the ledger.
                    await work(stream.noack())
                except asyncio.CancelledError:
                    if not app.should_stop:
                        # Faust would start a second actor beside the stream of this one.
                        self.stop(name, Unavailable("cancelled while the worker runs"))
                    raise
                # The worker's edge: nothing unexpected may be swallowed, and nothing may be committed after it.
                except Exception as error:  # noqa: BLE001
                    self.stop(name, error)

            return app.agent(channel, name=name, concurrency=1)(guarded)

        return decorate

    def timer(self, app: faust.App, seconds: float, name: str) -> Callable[[Any], Any]:
        """Attaches a function that runs every so often while partitions are ours."""

        def decorate(work: Callable[[], Awaitable[None]]) -> Any:
            async def guarded() -> None:
                while not app.should_stop:
                    await asyncio.sleep(seconds)
                    if app.consumer_generation_id and not self.group.rebalancing() and self.custody.alive():
                        try:
                            await work()
                        except asyncio.CancelledError:
                            raise
                        except Unavailable as error:
                            _log.warning("not answered, tried again", task=name, reason=str(error))
                        # The worker's edge, as above.
                        except Exception as error:  # noqa: BLE001
                            self.stop(name, error)

            return app.task(guarded)

        return decorate

    def stop(self, step: str, error: Exception) -> None:
        """Ends the process at once: a graceful stop would commit. The next start reads again from the ledger."""
        if self._ending:
            _log.info("a step was broken off by the end", step=step, error=type(error).__name__)
            return
        _log.critical("worker stops", step=step, error=type(error).__name__, exc_info=error)
        # A broker or database in trouble says nothing about the events in flight.
        if not isinstance(error, TouchlineError | KafkaError | OSError):
            held = self.custody.holdings().items()
            self.crashes.note({p: (h.position + 1, h.taken) for p, h in held if h.taken > h.position})
        try:
            self.group.leave()
        finally:  # whatever that raises, a process that does not end would go on committing
            os._exit(CRASHED)

    async def watched(self, now_s: float) -> None:
        """Says that nothing moves where nothing explains it; said twice in a row, the process ends."""
        before, trouble = self.watchdog.trouble, await self.watchdog.look(self.pool, now_s)
        self.telemetry.set("touchline_stuck_partitions", self.watchdog.partitions)
        if trouble and before:
            self.stop("watchdog", Stuck(trouble))
        elif trouble:
            _log.error("nothing moves; the worker ends itself if that stays so", reason=trouble)

    async def torn(self, step: str, partitions: Collection[Partition]) -> None:
        """Slices of these partitions got lost on the way to a step: their flow begins anew from the ledger."""
        if partitions:
            _log.warning("slices got lost on the way; read again", step=step, partitions=sorted(partitions))
            self.telemetry.count("touchline_dropped_slices_total", len(partitions), step=step)
            await self.keeper.rewind(sorted(partitions))

    async def calm(self, partition: Partition, holding: Holding) -> bool:
        """Waits until nothing of this worker is between accept and the ledger; False when the partition was lost."""
        while self.custody.holding(partition) is holding:
            if all(held.taken <= held.position for held in self.custody.holdings().values()):
                return True
            await asyncio.sleep(_CALM_S)
        return False

    async def serve(self) -> None:
        """Starts what answers others: health, and the labelling process ahead of its first text."""
        await self.health.start(self.settings.web_host, self.settings.web_port)
        _log.info("worker serves", port=self.health.port)
        await self.labeller.start()

    async def beat(self) -> None:
        """Says ten times a second that the loop is alive; after a freeze, waits until the group has spoken."""
        self.custody.beat()
        self.custody.recover()
        while True:
            await asyncio.sleep(_BEAT_S)
            if self.custody.beat():
                _log.warning("the event loop stood still; everything in flight is dropped and read again")
                self.telemetry.count("touchline_stalls_total")
                await asyncio.sleep(2 * self.settings.session_timeout_s / 10)
                await self.keeper.rewind(list(self.custody.holdings()))
                self.custody.recover()

    @contextmanager
    def step(self, name: str, events: int) -> Iterator[None]:
        """Measures one piece of work of a step."""
        began = time.perf_counter()
        self.telemetry.count("touchline_events_in_total", events, step=name)
        yield
        self.telemetry.count("touchline_events_out_total", events, step=name)
        self.telemetry.observe("touchline_step_seconds", time.perf_counter() - began, step=name)

    def enriched(self, piece: Slice, rows: pl.DataFrame) -> pl.DataFrame:
        """The pure column step of enrich with what this worker knows."""
        knowledge = Knowledge(
            self.pseudonyms,
            self.following.profiles,
            self.registry.registry,
            self.sealer,
            self.unknown,
            self.settings.plain_agents,
            self.naming.names,
        )
        return enrich(rows, Origin(piece.partition.topic, piece.epoch, piece.partition.part), knowledge)

    async def columns(self, piece: Slice, stage: Stage, step: Step) -> pl.DataFrame | None:
        """A column step over a slice. None when rows of it are to blame: then accept rejects them and reads again."""
        try:
            return step(piece.rows)
        # Whatever a row makes a column step raise is that row's fault; without such a row it is ours, and we stop.
        except Exception:
            faulty = isolate(piece.rows, step)
            if not faulty:
                raise
            refused = self.refused.setdefault(piece.partition, {})
            refused |= {off: Rejection(stage, Reason.STEP_FAILED, "$", kind) for off, kind in faulty.items()}
            _log.warning("rows rejected", step=str(stage), topic=piece.partition.topic, offsets=sorted(faulty)[:10])
            await self.keeper.rewind([piece.partition])
            return None

    def look_at_registry(self) -> None:
        """A changed registry takes effect without a restart; one that does not hold is reported and left out."""
        if self.registry.check(time.monotonic()):
            _log.info("registry changed", touchpoints=len(self.registry.registry.touchpoints))
        self._told("registry", self.registry.trouble)

    def tell_unknown(self) -> None:
        """Names each touchpoint that the registry does not have once, the first MOST_NAMES; `doctor` names them too."""
        for name in self.unknown.news():
            _log.warning("touchpoint not in the registry, see `touchline doctor`", touchpoint=name)

    def look_at_taxonomy(self) -> None:
        """The same for the taxonomy: the next texts are read with it; those of the past stay as they are."""
        if self.taxonomy.check(time.monotonic()):
            held: Taxonomy = self.taxonomy.held
            _log.info("taxonomy changed", topics=len(held.topics), version=held.version)
        self._told("taxonomy", self.taxonomy.trouble)

    def topics_of(self, texts: pl.Series, languages: pl.Series) -> list[pl.Series]:
        """The columns of TOPICS of masked texts in their languages."""
        held = self.taxonomy.held
        return [held.found(texts, languages), pl.Series("taxonomy", [held.version]).new_from_index(0, len(texts))]

    def _told(self, name: str, trouble: str) -> None:
        if trouble and trouble != self._troubles.get(name):
            _log.error(f"{name} not taken", reason=trouble)
        self._troubles[name] = trouble

    async def tables_follow(self) -> None:
        """The table `units` follows the registry; called by the owner of `ticks` alone."""
        self.look_at_registry()
        if self._units_of != self.registry.loads:
            units = self.registry.registry.units
            await self.pool.call(lambda client: write_units(client, units))
            self._units_of = self.registry.loads

    async def release(self, partition: Partition, holding: Holding) -> None:
        """An operator lets a paused partition go on: the breaker counts anew from here."""
        _, arrival = self.arrivals.get(partition, (0, None))
        if arrival is not None:
            arrival.release()
        holding.paused = ""
        await self.group.resume(partition, holding.next_off)
        self.telemetry.set("touchline_breaker_open", 0, topic=partition.topic, partition=str(partition.part))

    def folded(self, slices: Sequence[Slice]) -> None:
        """What to remember and to show after a fold."""
        for piece in slices:
            self.custody.folded(piece)
            tell_folded(self, piece)

    def _without_group(self) -> str | None:
        return None if self.group.generation() else "not a member of the consumer group yet"

    def _without_partitions(self) -> str | None:
        waiting = [
            f"{p.topic}[{p.part}]"
            for p in self.group.assigned()
            if p.topic in LEDGER_TOPICS and not self.custody.holding(p)
        ]
        return f"being taken over: {', '.join(sorted(waiting)[:5])}" if waiting else None

    def _paused(self) -> str | None:
        paused = [f"{p.topic}[{p.part}]: {h.paused}" for p, h in self.custody.holdings().items() if h.paused]
        return f"paused, see `touchline release`: {'; '.join(paused)}" if paused else None

    def _holds(self, partition: Partition, ours: Ours) -> bool:
        holding = self.custody.holding(partition)
        return self.custody.alive() and holding is not None and holding.attempt == ours.attempt

    def _seal(self, piece: Slice, offset: int) -> tuple[int, bytes]:
        raw = piece.values[offset - piece.lo] or b""
        where = context(piece.partition.topic, piece.epoch, piece.partition.part, offset)
        sealed: bytes = self.sealer.seal([raw], [where])[0]
        return self.sealer.key_id, sealed
