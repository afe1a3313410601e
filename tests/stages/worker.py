"""A worker's desk without a group: every part is the real one, but partitions come from a plain object in memory.

The group's generation, assignment and seeks are fields that a test sets and looks at; the broker's times are the
timestamps of the records that it makes up. ClickHouse is the engine of the stack, Kafka takes the rejected ones.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from pipeline.app import Group, build_app
from pipeline.clickhouse import Pool
from pipeline.customers.following import Following
from pipeline.desk import Desk
from pipeline.errors import Unavailable
from pipeline.ledger.custody import Custody
from pipeline.ledger.keeper import Keeper
from pipeline.ledger.writer import Writer
from pipeline.scores.defined import read_definitions
from pipeline.scores.publishing import Publisher
from pipeline.settings import Settings, load_settings
from pipeline.slices import Partition, Poll, Record
from pipeline.texts.labeller import Labeller, Options

REGISTRY = Path(__file__).with_name("registry.toml")
#: Not that of the pseudonyms: what is taken for the other shows.
SEAL_KEY_ID = 7
#: Labels everything as positive, the same on every machine.
CLASSIFIER = "tests.unit.texts.faulty_models:healthy"


@dataclass
class Members:
    """The group as one member sees it."""

    present: int = 1
    mine: set[Partition] = field(default_factory=set)
    ends: dict[Partition, int] = field(default_factory=dict)
    firsts: dict[Partition, int] = field(default_factory=dict)
    sought: list[tuple[Partition, int]] = field(default_factory=list)
    paused: set[Partition] = field(default_factory=set)
    markers: set[Partition] = field(default_factory=set)

    def generation(self) -> int:
        """The present generation."""
        return self.present

    def now(self) -> float:
        """Monotonic seconds."""
        return time.monotonic()

    def rebalancing(self) -> bool:
        """Never while a test looks."""
        return False

    def assigned(self) -> set[Partition]:
        """What is ours."""
        return self.mine

    async def seek(self, partition: Partition, offset: int) -> None:
        """Noted, for the test to look at."""
        self.sought.append((partition, offset))

    async def first_offsets(self, partitions: set[Partition]) -> dict[Partition, int]:
        """What the test set, else 0."""
        return {partition: self.firsts.get(partition, 0) for partition in partitions}

    async def log_ends(self, partitions: set[Partition]) -> dict[Partition, int]:
        """What the test set, else a little more than any test sends."""
        return {partition: self.ends.get(partition, 1_000) for partition in partitions}

    async def first_record(self, partition: Partition, offset: int) -> int:
        """No holes but those that the test set; of partitions that end with markers no record."""
        if partition in self.markers:
            raise Unavailable("no record was shown")
        return max(offset, self.firsts.get(partition, 0))

    def pause(self, partition: Partition) -> None:
        """Noted."""
        self.paused.add(partition)

    async def resume(self, partition: Partition, offset: int) -> None:
        """Noted."""
        self.paused.discard(partition)
        await self.seek(partition, offset)


def settings_of(folder: Path, **more: Any) -> Settings:
    """Settings that need no environment: well-known keys, the registry and the classifier of these tests."""
    keys = {"insecure_keys": True, "pseudonym_key_id": 1, "seal_key_id": SEAL_KEY_ID}
    return load_settings(**keys, registry=REGISTRY, classifier=CLASSIFIER, state_dir=folder, **more)


def desk_of(settings: Settings) -> tuple[Desk, Members]:
    """A desk whose group is `Members`. Call it while a loop runs."""
    desk, members = Desk(build_app(settings), settings), Members()
    group = cast(Group, members)
    desk.group = group
    desk.custody = Custody(members.generation, time.monotonic, 1e9)
    desk.keeper = Keeper(desk.pool, group, desk.custody)
    desk.following = Following(desk.pool, group, desk.pseudonyms)
    desk.writer = Writer(desk.pool, desk.outbox, desk.custody, desk._seal, asyncio.sleep)
    desk.publisher = Publisher(
        desk.pool, desk.outbox.send, group.log_ends, settings.topic_partitions, read_definitions()
    )
    desk.labeller = Labeller(Options(classifier=settings.classifier, folder=Path.cwd(), limit_s=settings.label_limit_s))
    return desk, members


async def closed(desk: Desk) -> None:
    """Everything that the desk opened is let go."""
    await desk.labeller.stop()
    await desk.posting.close()
    await desk.outbox.close()
    desk.pool.close()
    _close_clients(desk.pool)


def _close_clients(pool: Pool) -> None:
    """The clients of the pool's threads are closed with their threads."""
    pool._executor.shutdown(wait=True)


def poll_of(partition: Partition, records: list[Record], *, generation: int = 1, log_end: int = 0) -> Poll:
    """One fetch."""
    return Poll(partition, generation, time.monotonic(), log_end or records[-1].offset + 1, records)
