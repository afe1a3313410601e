"""Topics on the broker [I/O]: what schemas/topics.py asks for against what is there."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, for_code

from pipeline.errors import NotReady, Unavailable
from pipeline.settings import Settings
from schemas.topics import TOPICS, Topic

#: Configurations that must be as asked; others are the operator's business.
_CHECKED = ("message.timestamp.type", "cleanup.policy")

#: Kafka's number for "this topic says so itself" as the source of a configuration (DYNAMIC_TOPIC_CONFIG).
_SET_ON_TOPIC = 1
APPLY = "touchline topics apply"
_ANEW = "make them again with equal counts, then `touchline offsets reset` for each"


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing about one topic that is not as it should be and what mends it; `wrong`: a worker must not start."""

    topic: str
    what: str
    wanted: str
    found: str
    wrong: bool
    fix: str = APPLY

    def __str__(self) -> str:
        return f"{self.topic}: {self.what} should be {self.wanted}, is {self.found}"


def wanted_config(topic: Topic) -> dict[str, str]:
    """The topic's configuration: the broker stamps the time, since it is the reference of every time rule."""
    config = {"message.timestamp.type": "LogAppendTime", "cleanup.policy": "compact" if topic.compacted else "delete"}
    if topic.retention_ms is not None:
        config["retention.ms"] = str(topic.retention_ms)
    return config


class Topics:
    """An admin connection, `async with Topics(settings) as topics`; raises Unavailable when no broker answers."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    async def __aenter__(self) -> Topics:
        self._admin = AIOKafkaAdminClient(
            bootstrap_servers=self._settings.bootstrap_servers,
            request_timeout_ms=15_000,
            **self._settings.kafka_security(),
        )
        try:
            await self._admin.start()
        except (KafkaError, OSError) as error:
            await self._admin.close()
            raise unreachable(self._settings, error) from error
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._admin.close()

    async def diff(self) -> list[Difference]:
        """What is missing or otherwise than asked, in order of the topic table."""
        found = await self._described()
        differences = []
        for topic in TOPICS:
            name = self._settings.topic(topic.name)
            if name not in found:
                differences.append(Difference(name, "topic", "present", "missing", True))
                continue
            partitions, config, _ = found[name]
            wanted = self._partitions(topic)
            if partitions != wanted:
                differences.append(self._count_differs(topic, wanted, partitions))
            differences.extend(
                Difference(name, key, value, config.get(key, "unset"), key in _CHECKED)
                for key, value in wanted_config(topic).items()
                if config.get(key) != value
            )
        if len({there.partitions for name, there in found.items() if name in self._flow()}) > 1:
            flow = "touchpoints, feedback, history, profiles"
            differences.append(Difference(flow, "partitions", "equal", "unequal", True, _ANEW))
        return differences

    async def apply(self) -> list[str]:
        """Creates what is missing and sets configurations that differ; never changes a partition count. What it did."""
        found = await self._described()
        done: list[str] = []
        missing = [topic for topic in TOPICS if self._settings.topic(topic.name) not in found]
        if missing:
            await self._create(missing)
            done.extend(f"created {self._settings.topic(topic.name)}" for topic in missing)
        for topic in TOPICS:
            name = self._settings.topic(topic.name)
            if name in found and any(found[name].config.get(k) != v for k, v in wanted_config(topic).items()):
                # The request replaces all that was ever set on the topic, so the operator's own settings go along.
                asked = ConfigResource(ConfigResourceType.TOPIC, name, configs=found[name].own | wanted_config(topic))
                for answer in await self._admin.alter_configs([asked]):
                    _require_done((named, code, said) for code, said, _, named in answer.resources)
                done.append(f"configured {name}")
        return done

    def _count_differs(self, topic: Topic, wanted: int, found: int) -> Difference:
        """The publisher waits for every partition that the settings name and sums over no other: both must be one."""
        name = self._settings.topic(topic.name)
        wrong = topic.partitions is not None or name in self._flow()
        fix = f"set TOUCHLINE_TOPIC_PARTITIONS={found}" if wrong else "it may stay so"
        if topic.partitions is not None:
            fix = f"delete {name}, then {APPLY}"
        return Difference(name, "partitions", str(wanted), str(found), wrong, fix)

    def _flow(self) -> set[str]:
        return {self._settings.topic(name) for name in ("touchpoints", "feedback", "history", "profiles")}

    def _partitions(self, topic: Topic) -> int:
        return topic.partitions or self._settings.topic_partitions

    async def _create(self, missing: list[Topic]) -> None:
        asked = [
            NewTopic(
                name=self._settings.topic(topic.name),
                num_partitions=self._partitions(topic),
                replication_factor=self._settings.topic_replication,
                topic_configs=wanted_config(topic),
            )
            for topic in missing
        ]
        try:
            answer = await self._admin.create_topics(asked)
        except KafkaError as error:
            raise unreachable(self._settings, error) from error
        _require_done(answer.topic_errors)

    async def _described(self) -> dict[str, _There]:
        names = [self._settings.topic(topic.name) for topic in TOPICS]
        present = set(await self._admin.list_topics()) & set(names)
        if not present:
            return {}
        described = await self._admin.describe_topics(sorted(present))
        answers = await self._admin.describe_configs(
            [ConfigResource(ConfigResourceType.TOPIC, name) for name in sorted(present)]
        )
        configs: dict[str, dict[str, str]] = {}
        own: dict[str, dict[str, str]] = {}
        for answer in answers:
            for _, _, _, name, entries in answer.resources:
                configs[name] = {key: value for key, value, *_ in entries}
                own[name] = {key: value for key, value, _, source, *_ in entries if source == _SET_ON_TOPIC}
        return {
            item["topic"]: _There(len(item["partitions"]), configs.get(item["topic"], {}), own.get(item["topic"], {}))
            for item in described
        }


class _There(NamedTuple):
    """A topic as it is: its whole configuration, and the part that was set on the topic itself."""

    partitions: int
    config: dict[str, str]
    own: dict[str, str]


def _require_done(answers: Iterable[tuple[str, int, str | None]]) -> None:
    """Raises NotReady with what the broker refused and why; aiokafka hands an error code back as an answer."""
    refused = [
        f"{name}: {said or for_code(code).__name__}"
        for name, code, said in answers
        if code not in (0, TopicAlreadyExistsError.errno)
    ]
    if refused:
        raise NotReady("the broker refuses " + "; ".join(refused))


def unreachable(settings: Settings, error: BaseException) -> Unavailable:
    """The sentence for a broker that does not answer: with security on it may be a password or an authority."""
    hint = ""
    if settings.kafka_security_protocol != "PLAINTEXT":
        hint = " (or refuses us: wrong user, password or certificate authority look the same from here)"
    return Unavailable(
        f"Kafka at {settings.bootstrap_servers} does not answer{hint}: {type(error).__name__}; see `touchline doctor`"
    )


async def partitions_of(consumer: AIOKafkaConsumer, name: str) -> list[TopicPartition]:
    """The partitions of a topic, none when it does not exist; a consumer that has just started knows of no topic."""
    if consumer.partitions_for_topic(name) is None:
        await consumer._client.force_metadata_update()
    return [TopicPartition(name, part) for part in sorted(consumer.partitions_for_topic(name) or ())]


async def stopped(consumer: AIOKafkaConsumer) -> None:
    """Stops a consumer; aiokafka 0.14 lets the cancellation of a task of its own escape when that never ran."""
    try:
        await consumer.stop()
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
        # It escaped before the rest was closed: connections and tasks would stay for ever.
        for part in (consumer._fetcher, consumer._client):
            if part is not None:
                with contextlib.suppress(asyncio.CancelledError):
                    await part.close()


async def require_topics(settings: Settings) -> None:
    """Raises NotReady with the command that fixes it when a worker would meet missing or wrong topics."""
    async with Topics(settings) as topics:
        wrong = [difference for difference in await topics.diff() if difference.wrong]
    if wrong:
        fixes = "; ".join(dict.fromkeys(difference.fix for difference in wrong))
        raise NotReady(f"topics are not as they must be ({'; '.join(map(str, wrong))}); what mends them: {fixes}")
