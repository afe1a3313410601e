"""Events into Kafka [I/O]: the producer helper for channels written in Python, and the fast way for many values.

    async with Producer(load_settings()) as producer:
        await producer.send(Feedback(event_id=..., occurred_at=..., channel=Channel.WEB, metric=Metric.NPS, score=9))

The helper checks an event before it is sent, makes the customer's pseudonym where the deployment wants it, and sets
the key, so that all events of a customer lie in one partition. Everything is acknowledged by all replicas, once.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Self, TypeVar

import msgspec
import numpy as np
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from pipeline.customers.cleaning import cleaned
from pipeline.customers.pseudonyms import FORM, Pseudonyms
from pipeline.errors import UsageError
from pipeline.intake.partitioning import partitions_of
from pipeline.settings import Settings
from pipeline.topics import unreachable
from schemas.codec import check, check_size, decode_record, encode
from schemas.explain import Rejection
from schemas.feedback import Feedback
from schemas.profile import Profile
from schemas.touchpoint import Touchpoint

#: Bytes of one batch before compression: a few thousand events, far below the broker's 1 MiB for the compressed one.
BATCH_BYTES = 512 * 1024
#: aiokafka packs lz4 at its slowest level: 3.1 us an event of 270 bytes; zstd takes 0.6 and a quarter fewer bytes.
COMPRESSION = "zstd"
#: How long a single event waits for company.
LINGER_MS = 5
#: Sent and not yet acknowledged runs of `send_many`: enough to keep the broker busy, little to hold in memory.
RUNS_IN_FLIGHT = 3

is_pseudonym = re.compile(FORM).search
Event = Touchpoint | Feedback | Profile
Same = TypeVar("Same", bound=Event)


class Producer:
    """An open connection. Raises Unavailable when no broker answers, UsageError when an event is not valid."""

    def __init__(self, settings: Settings, compression: str = COMPRESSION) -> None:
        self._settings = settings
        self._compression = compression
        self._pseudonyms = pseudonyms_of(settings)
        self._flying: list[asyncio.Future[Any]] = []
        self._lock = asyncio.Lock()

    async def __aenter__(self) -> Self:
        self._kafka = AIOKafkaProducer(
            bootstrap_servers=self._settings.bootstrap_servers,
            acks="all",
            enable_idempotence=True,
            compression_type=self._compression,
            max_batch_size=BATCH_BYTES,
            linger_ms=LINGER_MS,
            **self._settings.kafka_security(),
        )
        try:
            await self._kafka.start()
        except (KafkaError, OSError) as error:
            await self._kafka.stop()
            raise unreachable(self._settings, error) from error
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                await self.flush()
        finally:
            await self._kafka.stop()

    async def send(self, event: Event, *, history: bool = False) -> None:
        """Check and send one event to its topic (`history` for imports); returns when it is queued.

        `flush`, or leaving the `async with`, waits for the acknowledgements and raises when one failed.
        """
        topic = _TOPIC_OF[type(event)]
        if history and topic != "profiles":
            topic = "history"
        rejection = check_size(event) if isinstance(event, Feedback) else None
        event = anonymous(event, self._pseudonyms)
        value = encode(event)
        rejection = rejection or refusal(event, value)
        if rejection is not None:
            raise UsageError(f"{topic}: {rejection.reason.value} at {rejection.path}: {rejection.detail}")
        try:
            future = await self._kafka.send(self._settings.topic(topic), key=key_of(event), value=value)
        except KafkaError as error:
            raise unreachable(self._settings, error) from error
        self._flying.append(future)
        if len(self._flying) > 10_000:
            await self._settle(len(self._flying) // 2)

    async def take_back(self, customer: str) -> None:
        """A record without a value on `profiles` under the customer's key: what was known of them is taken back."""
        try:
            await self._kafka.send_and_wait(self._settings.topic("profiles"), key=customer.encode(), value=None)
        except KafkaError as error:
            raise unreachable(self._settings, error) from error

    async def send_many(
        self,
        topic: str,
        keys: Sequence[bytes],
        values: Sequence[bytes],
        headers: Sequence[tuple[str, bytes]] = (),
    ) -> None:
        """Send values as they are, unchecked, to a topic of schemas/topics.py; every key is not empty.

        All bear the same `headers`. Order is kept by key. Returns when the values are on their way and earlier runs are
        acknowledged.
        """
        name = self._settings.topic(topic)
        async with self._lock:
            try:
                count = len(await self._kafka.partitions_for(name))
                places = partitions_of(keys, count)
                order = np.argsort(places, kind="stable")
                cuts = np.searchsorted(places[order], np.arange(count + 1))
                runs = [order[low:high].tolist() for low, high in pairwise(cuts)]
                sent = await asyncio.gather(
                    *(
                        self._send_run((name, part, list(headers)), keys, values, rows)
                        for part, rows in enumerate(runs)
                        if rows
                    )
                )
            except KafkaError as error:
                raise unreachable(self._settings, error) from error
            self._flying.extend(future for futures in sent for future in futures)
            await self._settle(RUNS_IN_FLIGHT * count)

    def flying(self) -> list[asyncio.Future[Any]]:
        """What has been sent and is not known to be acknowledged; see `arrived`."""
        return list(self._flying)

    async def arrived(self, sent: Sequence[asyncio.Future[Any]]) -> None:
        """Wait until these are acknowledged, while later ones are on their way; raises Unavailable."""
        try:
            await asyncio.gather(*sent)
        except KafkaError as error:
            raise unreachable(self._settings, error) from error

    async def flush(self) -> None:
        """Wait until everything sent so far is acknowledged; raises Unavailable when something was not."""
        await self._settle(0)

    async def _send_run(
        self,
        where: tuple[str, int, list[tuple[str, bytes]]],
        keys: Sequence[bytes],
        values: Sequence[bytes],
        rows: list[int],
    ) -> list[asyncio.Future[Any]]:
        """Values of one partition, in batches built here: five times as fast as one `send` an event."""
        futures = []
        name, part, headers = where
        batch = self._kafka.create_batch()
        append = batch.append
        # The topics' times are the broker's (LogAppendTime); the client must send some.
        now = int(time.time() * 1000)
        for row in rows:
            if append(key=keys[row], value=values[row], timestamp=now, headers=headers) is None:
                futures.append(await self._kafka.send_batch(batch, name, partition=part))
                batch = self._kafka.create_batch()
                append = batch.append
                append(key=keys[row], value=values[row], timestamp=now, headers=headers)
        futures.append(await self._kafka.send_batch(batch, name, partition=part))
        return futures

    async def _settle(self, most: int) -> None:
        """Wait for acknowledgements until at most `most` are open."""
        while len(self._flying) > most:
            settled, self._flying = self._flying[: len(self._flying) - most], self._flying[len(self._flying) - most :]
            try:
                await asyncio.gather(*settled)
            except KafkaError as error:
                raise unreachable(self._settings, error) from error


_TOPIC_OF: dict[type[msgspec.Struct], str] = {Touchpoint: "touchpoints", Feedback: "feedback", Profile: "profiles"}


def pseudonyms_of(settings: Settings) -> Pseudonyms | None:
    """What makes pseudonyms, where the deployment's topics carry them; else None."""
    if settings.customer_form != "pseudonym":
        return None
    settings.require_keys()
    return Pseudonyms(settings.pseudonym_key_id, settings.pseudonym_bytes)


def key_of(event: Event) -> bytes:
    """The Kafka key: the customer, else the submission, else the event itself."""
    if isinstance(event, Profile):
        return event.customer.encode()
    if event.customer_id:
        return event.customer_id.encode()
    submission = event.submission_id if isinstance(event, Feedback) else None
    return (submission or event.event_id).encode()


def with_pseudonym(event: Same, pseudonyms: Pseudonyms | None) -> Same:
    """The event with the customer's pseudonym for the plain id; as it is where none is wanted or it has one."""
    if pseudonyms is None:
        return event
    field = "customer" if isinstance(event, Profile) else "customer_id"
    plain = getattr(event, field)
    if not plain or is_pseudonym(plain):
        return event
    return msgspec.structs.replace(event, **{field: pseudonyms.text(plain)})


def anonymous(event: Same, pseudonyms: Pseudonyms | None) -> Same:
    """The event as it may stand on a topic: texts masked, its own id out of them, then the pseudonym for the id.

    In this order: behind a pseudonym nobody knows any more what is to be taken out. An event with nothing to mask
    and no pseudonym to make is given back itself.
    """
    known = event if isinstance(event, Profile) else cleaned(event)
    return with_pseudonym(known, pseudonyms)


def refusal(event: Event, value: bytes) -> Rejection | None:
    """Why the worker would refuse this event, None when it is valid. `value` is the encoded event."""
    read = decode_record(type(event), value)
    if isinstance(read, Rejection):
        return read
    return check(read) if isinstance(read, Feedback) else None
