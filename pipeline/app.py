"""The Faust application [I/O]: built, never global; and the few things of Faust that the flow needs.

Two extension points make it fast: a consumer scheduler that yields one item per partition and fetch, and a schema
that hands the agents that whole run of records as a `Poll`. Nothing is ever acknowledged to Faust: the position lives
in the ledger, and Kafka's committed offset follows it.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import faust
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import IllegalStateError, KafkaError
from aiokafka.protocol.group import LeaveGroupRequest
from faust.transport.utils import DefaultSchedulingStrategy
from faust.types import TP

from pipeline.errors import Unavailable
from pipeline.fetching import PatientConsumer
from pipeline.settings import Settings
from pipeline.slices import Partition, Poll

#: Items a stream may hold before the fetcher waits: an item is a whole poll of a partition, not a record.
_STREAM_ITEMS = 4
#: Slices between two steps: one in work, one waiting. More would only be memory.
_CHANNEL_ITEMS = 2
#: Records of one poll: enough for columns to pay, and the consumer's thread is back for its heartbeat in milliseconds.
#: Without it one poll hands out all that was fetched: 36 partitions of packed megabytes took longer than a session.
#: Of 20,000 a worker on a backlog was a tenth faster, and larger than the 500 MB it may have.
_POLL_RECORDS = 12_000
#: Bytes fetched ahead for each partition, as packed by the producer: a poll's worth of records of about 300 bytes.
_FETCH_BYTES = 1 << 20
#: Heartbeats per session: three may get lost before the group believes us dead.
_HEARTBEATS = 10
#: Longest wait for one record when a hole in the offsets is looked at, milliseconds.
_READ_MS = 5_000
#: Longest wait for the broker to hear that this member is gone, seconds.
_LEAVE_S = 2.0
#: Faust drops an item whose offset lies below one that it delivered before. A seek back may be overtaken by a fetch
#: that began before it, so items bear numbers of our own, above every offset; the records in them keep theirs.
_NUMBERS = itertools.count(1 << 62)


class SliceScheduler(DefaultSchedulingStrategy):
    """Yields each partition's whole fetch as one item, partitions of all topics in turn."""

    def iterate(self, records: Mapping[TP, list[Any]]) -> Iterator[tuple[TP, Any]]:
        """One (partition, run of records) per partition of a fetch."""
        fetched_at = time.monotonic()
        for partition, run in records.items():
            if run:
                yield partition, _run_item(partition, run, fetched_at)


def _run_item(partition: TP, run: list[Any], fetched_at: float) -> SimpleNamespace:
    """Looks like a record to Faust; its value is the run."""
    first = run[0]
    return SimpleNamespace(
        topic=partition.topic,
        partition=partition.partition,
        offset=next(_NUMBERS),
        timestamp=first.timestamp,
        timestamp_type=first.timestamp_type,
        headers=(),
        key=None,
        value=(run, fetched_at),
        checksum=None,
        serialized_key_size=0,
        serialized_value_size=0,
    )


class PollSchema(faust.Schema[Any, Any]):
    """Hands the run of records to the agent as a `Poll`; decoding is accept's business."""

    prefix: str = ""

    def loads_key(self, app: Any, message: Any, **_: Any) -> None:
        """A run has no key of its own."""

    def loads_value(self, app: Any, message: Any, **_: Any) -> Poll:
        """The run with the group's generation and the broker's log end."""
        run, fetched_at = message.value
        return Poll(
            partition=Partition(message.topic.removeprefix(self.prefix), message.partition),
            generation=message.generation_id,
            fetched_at=fetched_at,
            log_end=app.consumer.highwater(message.tp) or run[-1].offset + 1,
            records=run,
        )


def build_app(settings: Settings) -> faust.App:
    """A new application from settings; starts nothing."""
    security = settings.kafka_security()
    settings.state_dir.mkdir(parents=True, exist_ok=True)
    credentials: Any = None
    if security["security_protocol"].startswith("SASL"):
        credentials = faust.SASLCredentials(
            username=security["sasl_plain_username"],
            password=security["sasl_plain_password"],
            mechanism=security["sasl_mechanism"],
            ssl_context=security.get("ssl_context"),
        )
    elif security["security_protocol"] == "SSL":
        credentials = faust.SSLCredentials(context=security["ssl_context"])
    app = faust.App(
        settings.group,
        broker=[f"aiokafka://{server.strip()}" for server in settings.bootstrap_servers.split(",")],
        broker_credentials=credentials,
        ConsumerScheduler=SliceScheduler,
        value_serializer="raw",
        key_serializer="raw",
        datadir=settings.state_dir / "faust",  # Faust insists on a folder; nothing of ours lies there
        store="memory://",  # no tables: they over-count after a crash
        web_enabled=False,  # its pages show internals on all interfaces; ours are in pipeline/health.py
        topic_allow_declare=False,  # `touchline topics apply` makes topics, a worker never
        topic_disable_leader=True,
        stream_wait_empty=False,  # waiting hangs SIGTERM and rebalances while ClickHouse is down
        stream_buffer_maxsize=_STREAM_ITEMS,
        stream_recovery_delay=0.0,
        broker_session_timeout=settings.session_timeout_s,
        broker_heartbeat_interval=settings.session_timeout_s / _HEARTBEATS,
        broker_rebalance_timeout=max(settings.session_timeout_s, 10.0),
        broker_request_timeout=max(settings.session_timeout_s * 1.5, 30.0),
        broker_max_poll_records=_POLL_RECORDS,
        consumer_max_fetch_size=_FETCH_BYTES,
        broker_commit_interval=3600.0,  # nothing is acknowledged, so there is nothing to commit
        broker_commit_livelock_soft_timeout=1e9,  # same: its warnings would be false
        stream_processing_timeout=1e9,
        producer_request_timeout=30.0,
        producer_acks=-1,
        consumer_auto_offset_reset="earliest",
        worker_redirect_stdouts=False,
        autodiscover=False,
    )
    transport: Any = app.transport
    transport.Consumer = PatientConsumer
    return app


def input_channel(app: faust.App, settings: Settings, *names: str) -> Any:
    """A channel of `Poll`s of these topics (plain names)."""
    schema = PollSchema(key_serializer="raw", value_serializer="raw", allow_empty=True)
    schema.prefix = settings.topic_prefix
    return app.topic(*(settings.topic(name) for name in names), schema=schema, acks=False, internal=False)


def step_channel(app: faust.App) -> Any:
    """A bounded in-memory channel between two steps."""
    return app.channel(maxsize=_CHANNEL_ITEMS)


@contextmanager
def answered(what: str) -> Iterator[None]:
    """Turns the errors of a broker that does not answer into Unavailable: the same call may go through later."""
    try:
        yield
    except (KafkaError, TimeoutError, OSError) as error:
        raise Unavailable(f"Kafka did not answer {what}: {type(error).__name__}") from error


def emptied(app: faust.App) -> Callable[[Callable[[], None]], Callable[[], None]]:
    """Decorates what is to be called whenever Faust means to empty all queues, of polls and slices alike.

    It does so around a rebalance, and at times once more when the flow already runs again in the same generation. It
    would also cancel every agent that waits for room in a queue; Faust then starts another actor beside the old one's
    stream, and each gets half of the slices. So the queues stay as they are: what is called makes their content void.
    """

    def decorate(tell: Callable[[], None]) -> Callable[[], None]:
        control: Any = app.flow_control
        control.clear = tell
        return tell

    return decorate


class Group:
    """The consumer group as the flow sees it: generation, assignment, seeking, committing."""

    def __init__(self, app: faust.App, settings: Settings) -> None:
        self._app = app
        self._settings = settings

    def generation(self) -> int:
        """The group's present generation."""
        return int(self._app.consumer_generation_id or 0)

    def now(self) -> float:
        """Monotonic seconds, the clock of `Poll.fetched_at`."""
        return time.monotonic()

    def rebalancing(self) -> bool:
        """Whether the group is changing hands."""
        return bool(self._app.rebalancing)

    def assigned(self) -> set[Partition]:
        """Partitions that are ours, plain topic names."""
        return {
            Partition(tp.topic.removeprefix(self._settings.topic_prefix), tp.partition)
            for tp in self._consumer.assignment()
        }

    async def seek(self, partition: Partition, offset: int) -> None:
        """The next fetch of the partition begins at `offset`."""
        tp = self._tp(partition)
        thread = self._consumer._thread

        async def seek() -> None:
            thread._ensure_consumer().seek(TopicPartition(tp.topic, tp.partition), offset)

        # In the consumer's own thread: a seek beside a fetch leaves its buffers in two minds and ends the worker.
        # Taken from us meanwhile: whoever has it next begins at the ledger's position.
        with contextlib.suppress(IllegalStateError):
            await thread.call_thread(seek)

    async def first_offsets(self, partitions: set[Partition]) -> dict[Partition, int]:
        """The oldest offset of each partition that the broker still has."""
        with answered("its first offsets"):
            firsts = await self._consumer.earliest_offsets(*(self._tp(partition) for partition in partitions))
        return {partition: int(firsts[self._tp(partition)]) for partition in partitions}

    async def log_ends(self, partitions: set[Partition]) -> dict[Partition, int]:
        """The offset after the newest record of each partition."""
        if not partitions:
            return {}
        with answered("its log ends"):
            ends = await self._consumer.highwaters(*(self._tp(partition) for partition in partitions))
        return {partition: int(ends[self._tp(partition)]) for partition in partitions}

    async def first_record(self, partition: Partition, offset: int) -> int:
        """The smallest offset at or above `offset` that holds a record, as a reader of its own finds it.

        Raises Unavailable when the broker does not show one in time.
        """
        tp = TopicPartition(self._settings.topic(partition.topic), partition.part)
        reader = AIOKafkaConsumer(
            bootstrap_servers=self._settings.bootstrap_servers,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            max_partition_fetch_bytes=1,
            **self._settings.kafka_security(),
        )
        try:
            await reader.start()
            reader.assign([tp])
            reader.seek(tp, offset)
            found = await reader.getmany(tp, timeout_ms=_READ_MS, max_records=1)
        except (KafkaError, OSError) as error:
            raise Unavailable(f"Kafka did not show {tp.topic}[{tp.partition}]: {type(error).__name__}") from error
        finally:
            await reader.stop()
        if not found.get(tp):
            raise Unavailable(f"Kafka showed no record of {tp.topic}[{tp.partition}] from offset {offset} on")
        return int(found[tp][0].offset)

    async def commit(self, positions: Mapping[Partition, int]) -> None:
        """Lets Kafka's offset follow the ledger: `positions` are the last offsets stored."""
        mine = self._consumer.assignment()
        offsets = {self._tp(partition): position + 1 for partition, position in positions.items()}
        offsets = {tp: offset for tp, offset in offsets.items() if tp in mine}
        if offsets:
            # Not Faust's own `_commit`: it stops the worker when the broker does not answer.
            thread = self._consumer._thread
            with answered("a commit"):
                await thread.call_thread(
                    thread._ensure_consumer().commit,
                    {TopicPartition(tp.topic, tp.partition): offset for tp, offset in offsets.items()},
                )

    def pause(self, partition: Partition) -> None:
        """No more fetches of the partition until a rebalance or a restart."""
        self._consumer.pause_partitions({self._tp(partition)})

    async def resume(self, partition: Partition, offset: int) -> None:
        """Fetches the partition again, from `offset`."""
        await self.seek(partition, offset)
        self._consumer.resume_partitions({self._tp(partition)})

    def leave(self) -> None:
        """Says to the broker that this member is gone: to be called once, when the process ends in the next moment.

        Without it the group waits for a whole session before anybody has its partitions. Waits two seconds at most;
        where the broker does not answer, the session ends by itself.
        """
        thread = self._consumer._thread

        async def gone() -> None:
            coordinator = thread._ensure_consumer()._coordinator
            await coordinator._send_req(LeaveGroupRequest(coordinator.group_id, coordinator.member_id))

        # Not aiokafka's own way: that would join again at once.
        with contextlib.suppress(KafkaError, TimeoutError):
            asyncio.run_coroutine_threadsafe(gone(), thread.thread_loop).result(_LEAVE_S)

    @property
    def _consumer(self) -> Any:
        # Any: `_read_offset` and `_commit` are Faust's own, not in its published types.
        return self._app.consumer

    def _tp(self, partition: Partition) -> TP:
        return TP(self._settings.topic(partition.topic), partition.part)
