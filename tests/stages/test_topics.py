"""Topics that are otherwise than asked: a worker does not start on them, and says what mends them."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from pipeline.errors import NotReady
from pipeline.settings import Settings, load_settings
from pipeline.stack.launch import Stack
from pipeline.topics import Difference, Topics, require_topics
from tests.integration.gateway_place import eventually

pytestmark = pytest.mark.kafka


@pytest.fixture
async def settings(stack: Stack, topic_prefix: str) -> Settings:
    """Topics of one test, as they are asked."""
    made = load_settings(bootstrap_servers=stack.bootstrap, topic_prefix=topic_prefix, topic_partitions=2)
    await applied(made)
    return made


@pytest.fixture
async def admin(settings: Settings) -> AsyncIterator[AIOKafkaAdminClient]:
    """Who changes topics behind our back."""
    made = AIOKafkaAdminClient(bootstrap_servers=settings.bootstrap_servers)
    await made.start()
    yield made
    await made.close()


async def applied(settings: Settings) -> list[str]:
    async with Topics(settings) as topics:
        return await topics.apply()


async def differing(settings: Settings) -> list[Difference]:
    async with Topics(settings) as topics:
        return await topics.diff()


async def refusal(settings: Settings) -> str:
    """What a worker that would start now says, as soon as the broker shows what was changed."""

    async def refused() -> str:
        try:
            await require_topics(settings)
        except NotReady as error:
            return str(error)
        return ""

    return await eventually(refused)


async def test_partitions_are_as_the_settings_say_or_a_worker_does_not_start(
    settings: Settings, admin: AIOKafkaAdminClient
) -> None:
    """With too small a number windows would close without the rest, with too large a one they never would."""
    await require_topics(settings)
    for asked in (1, 3):
        said = await refusal(settings.model_copy(update={"topic_partitions": asked}))
        assert f"{settings.topic('feedback')}: partitions should be {asked}, is 2" in said
        assert said.endswith("what mends them: set TOUCHLINE_TOPIC_PARTITIONS=2")
    await grown(settings, admin, "scores")
    (difference,) = await differing(settings)
    assert (difference.what, difference.wrong) == ("partitions", False)
    await require_topics(settings)
    await grown(settings, admin, "feedback")
    assert "touchpoints, feedback, history, profiles: partitions should be equal" in await refusal(settings)
    await grown(settings, admin, "ticks")
    assert f"delete {settings.topic('ticks')}, then touchline topics apply" in await refusal(settings)


async def test_a_topic_with_the_producers_times_is_refused_until_apply_and_what_an_operator_set_stays(
    settings: Settings, admin: AIOKafkaAdminClient
) -> None:
    name = settings.topic("feedback")
    by_others = {"message.timestamp.type": "CreateTime", "max.message.bytes": "2000000"}
    await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, name, configs=by_others)])
    said = await refusal(settings)
    assert "message.timestamp.type should be LogAppendTime, is CreateTime" in said
    assert said.endswith("touchline topics apply")
    assert f"configured {name}" in await applied(settings)
    assert await differing(settings) == []
    (answer,) = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name)])
    ((_, _, _, _, entries),) = answer.resources
    assert {key: value for key, value, *_ in entries}["max.message.bytes"] == "2000000"


async def test_what_the_broker_refuses_is_said_and_not_called_done(stack: Stack, topic_prefix: str) -> None:
    alone = load_settings(bootstrap_servers=stack.bootstrap, topic_prefix=topic_prefix, topic_replication=3)
    with pytest.raises(NotReady, match=r"refuses .*feedback: .*replication factor"):
        await applied(alone)


async def grown(settings: Settings, admin: AIOKafkaAdminClient, name: str) -> None:
    """One partition more."""
    await admin.create_partitions({settings.topic(name): NewPartitions(total_count=3)})

    async def seen() -> bool:
        return any(each.topic == settings.topic(name) for each in await differing(settings))

    await eventually(seen)
