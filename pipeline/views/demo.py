"""What the demo shows, read from the running system [I/O]: scores, how far the windows are, what was rejected."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from pipeline.clickhouse import FINAL_BY_DAY, ClickHouse
from pipeline.scores.meters import read
from pipeline.scores.reading import Question, read_scores
from pipeline.settings import Settings
from pipeline.slices import Partition
from pipeline.topics import stopped, unreachable
from pipeline.views.live import Row
from schemas.topics import LEDGER_TOPICS

#: What the demo shows, in this order.
METRICS = ("nps", "csat", "ces", "sentiment")
HOUR_S = 3600
_DAY_S = 86_400

#: Answers by (metric, scale, channel).
Counts = dict[tuple[str, str, str], np.ndarray[tuple[int, ...], np.dtype[np.int64]]]


class LogEnds:
    """The offset after the newest record of every partition that has a ledger; `async with`."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    async def __aenter__(self) -> LogEnds:
        self._consumer = AIOKafkaConsumer(
            bootstrap_servers=self._settings.bootstrap_servers,
            enable_auto_commit=False,
            **self._settings.kafka_security(),
        )
        try:
            await self._consumer.start()
        except (KafkaError, OSError) as error:
            await stopped(self._consumer)
            raise unreachable(self._settings, error) from error
        return self

    async def __aexit__(self, *_: object) -> None:
        await stopped(self._consumer)

    async def read(self) -> dict[Partition, int]:
        """Log end by partition (plain topic names). Raises Unavailable."""
        names = {self._settings.topic(topic): topic for topic in LEDGER_TOPICS}
        try:
            ends = await self._consumer.end_offsets(
                [
                    TopicPartition(name, part)
                    for name in names
                    for part in sorted(self._consumer.partitions_for_topic(name) or range(self._partitions))
                ]
            )
        except (KafkaError, OSError) as error:
            raise unreachable(self._settings, error) from error
        return {Partition(names[tp.topic], tp.partition): int(end) for tp, end in ends.items()}

    @property
    def _partitions(self) -> int:
        return self._settings.topic_partitions


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the windows are: settled offsets and log ends by partition."""

    settled: Mapping[Partition, int]
    ends: Mapping[Partition, int]

    @property
    def counted(self) -> int:
        """Events in the ledger whose windows are written."""
        return sum(min(self.settled.get(partition, -1) + 1, end) for partition, end in self.ends.items())

    @property
    def behind(self) -> int:
        """Events in Kafka that the windows do not hold yet; 0 when all is settled."""
        return sum(self.ends.values()) - self.counted


class Reader:
    """Reads through one connection; blocking, for one thread at a time. All calls raise Unavailable."""

    def __init__(self, settings: Settings) -> None:
        self._client = ClickHouse(settings, timeout_s=60.0)
        self._before: Counts = {}

    def close(self) -> None:
        """Lets the connection go."""
        self._client.close()

    def progress(self, ends: Mapping[Partition, int]) -> Progress:
        """Settled offsets of the present epoch beside the log ends."""
        rows = self._client.query(
            "SELECT topic, part, argMax(settled, epoch) AS settled FROM progress FINAL GROUP BY topic, part"
        )
        settled = {Partition(row[0], row[1]): int(row[2]) for row in rows.iter_rows()}
        return Progress(settled, ends)

    def remember(self, now: float, days: int) -> None:
        """Counts the same hour of the day on each of `days` days before: what changes are measured against."""
        hour = int(now - HOUR_S // 2) // HOUR_S * HOUR_S
        first = hour - days * _DAY_S
        self._before = _summed(
            (metric, row)
            for metric in METRICS
            for row in read_scores(
                self._client, Question(metric, first, hour, grain_s=HOUR_S, by=("channel",))
            ).iter_rows(named=True)
            if (row["start"] - first) % _DAY_S == 0
        )

    def scores(self, now: float) -> list[Row]:
        """Scores of the last hour: each metric and scale, then its channels."""
        found = _summed(
            (metric, row)
            for metric in METRICS
            for row in read_scores(
                self._client, Question(metric, int(now) - HOUR_S, int(now) + 60, by=("channel",))
            ).iter_rows(named=True)
        )
        order = sorted(found, key=lambda key: (METRICS.index(key[0]), key[1], key[2]))
        return [self._row(key, found[key]) for key in order]

    def rejected(self, topics: Iterable[str] = ("touchpoints", "feedback"), since_ms: int = 0) -> Counter[str]:
        """Events that count nowhere, by reason, ingested since then."""
        return self._outcomes(topics, since_ms, "reason")

    def outcomes(self, topics: Iterable[str], since_ms: int = 0) -> Counter[str]:
        """Events by disposition, ingested since then."""
        return self._outcomes(topics, since_ms, "disposition")

    def _outcomes(self, topics: Iterable[str], since_ms: int, column: str) -> Counter[str]:
        counted = "" if column == "disposition" else "AND disposition IN ('dead_letter', 'duplicate', 'late')"
        rows = self._client.query(
            f"""SELECT toString({column}) AS what, count() AS n FROM ledger FINAL
            WHERE topic IN {{topics:Array(String)}} AND ingest_ms >= {{since:Int64}} {counted} GROUP BY what""",
            {"topics": list(topics), "since": since_ms},
            FINAL_BY_DAY,
        )
        return Counter({str(what): int(n) for what, n in rows.iter_rows()})

    def _row(self, key: tuple[str, str, str], counts: np.ndarray[tuple[int, ...], np.dtype[np.int64]]) -> Row:
        metric, scale, channel = key
        reading = read(metric, scale, [counts]).row(0)
        before = self._before.get(key)
        earlier = None if before is None else read(metric, scale, [before]).row(0).score
        change = None if reading.score is None or earlier is None else reading.score - earlier
        return Row(metric, scale, channel, reading.n, reading.score, reading.low, reading.high, reading.unit, change)


def _summed(rows: Iterable[tuple[str, Mapping[str, object]]]) -> Counts:
    """Histograms by metric, scale and channel, and over all channels; scores are never averaged."""
    found: Counts = {}
    for metric, row in rows:
        counts = np.asarray(row["histogram"], dtype=np.int64)
        for channel in {"", str(row["channel"])}:
            key = (metric, str(row["scale"]), channel)
            found[key] = found[key] + counts if key in found else counts
    return found


class Pace:
    """Events a second between two looks at a running number."""

    def __init__(self) -> None:
        self._last: tuple[float, int] | None = None

    def of(self, number: int) -> float:
        """The pace since the last look."""
        now = time.monotonic()
        before, self._last = self._last, (now, number)
        return 0.0 if before is None else max(0, number - before[1]) / max(now - before[0], 1e-6)
