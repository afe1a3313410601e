"""Events on the real Kafka: every one arrives once, where every other client would put it, and a kill repeats none."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.partitioner import murmur2
from msgspec.structs import replace
from typer.testing import CliRunner

from pipeline.command.intake import app
from pipeline.errors import Unavailable, UsageError
from pipeline.intake.feeding import TableImport, Target, feed_events, feed_lines
from pipeline.intake.integrations.cases import FOLDER
from pipeline.intake.loading import Span, load_history, load_profiles, stream_live
from pipeline.intake.mappings import Mapping
from pipeline.intake.producing import Producer, pseudonyms_of
from pipeline.intake.repair import Edits, Mended, mended
from pipeline.intake.sources import Layout
from pipeline.intake.verdicts import Tally
from pipeline.intake.world import World
from pipeline.settings import Settings, load_settings
from pipeline.stack.launch import Stack
from pipeline.topics import Topics
from schemas.codec import encode
from schemas.feedback import Feedback
from schemas.touchpoint import Touchpoint
from schemas.vocabulary import Channel, Metric

pytestmark = pytest.mark.kafka

AT = datetime(2026, 11, 1, 12, tzinfo=UTC)
#: The command line in a process of its own, as `touchline` would run it.
COMMAND = [sys.executable, "-c", "from pipeline.command.intake import app; app()"]


@pytest.fixture
async def settings(stack: Stack, topic_prefix: str) -> Settings:
    made = load_settings(bootstrap_servers=stack.bootstrap, topic_prefix=topic_prefix, topic_partitions=4)
    async with Topics(made) as topics:
        await topics.apply()
    return made


async def arrived(settings: Settings, topic: str) -> list[Any]:
    """All records of a topic, in order by partition."""
    name = settings.topic(topic)
    async with AIOKafkaConsumer(bootstrap_servers=settings.bootstrap_servers, auto_offset_reset="earliest") as consumer:
        parts = [TopicPartition(name, part) for part in range(settings.topic_partitions)]
        consumer.assign(parts)
        ends = await consumer.end_offsets(parts)
        await consumer.seek_to_beginning(*parts)
        records: list[Any] = []
        while len(records) < sum(ends.values()):
            for found in (await consumer.getmany(timeout_ms=1_000)).values():
                records += found
        return sorted(records, key=lambda record: (record.partition, record.offset))


def part_of(key: bytes) -> int:
    return int((murmur2(key) & 0x7FFFFFFF) % 4)


async def test_the_helper_checks_keys_and_sends_and_both_ways_choose_the_same_partition(settings: Settings) -> None:
    events = [
        Feedback(
            event_id=f"e{n}", occurred_at=AT, channel=Channel.WEB, metric=Metric.NPS, score=n % 11, customer_id=f"c{n}"
        )
        for n in range(200)
    ]
    async with Producer(settings) as producer:
        for event in events:
            await producer.send(event)
        await producer.send(Touchpoint(event_id="t1", occurred_at=AT, channel=Channel.APP, touchpoint="checkout"))
        with pytest.raises(UsageError, match=r"feedback: out_of_range at \$\.score"):
            await producer.send(
                Feedback(event_id="x", occurred_at=AT, channel=Channel.WEB, metric=Metric.NPS, score=11)
            )
        keys = [f"c{n}".encode() for n in range(200)]
        await producer.send_many("history", keys, keys)
    singly, at_once = await arrived(settings, "feedback"), await arrived(settings, "history")
    assert {(record.key, record.partition) for record in singly} == {(key, part_of(key)) for key in keys}
    assert {(record.key, record.partition) for record in at_once} == {(key, part_of(key)) for key in keys}
    assert [record.key for record in await arrived(settings, "touchpoints")] == [b"t1"]


CUSTOMER, EMAIL, PHONE = "CUST-90017755", "canary.bird@example.org", "+49 171 5550199"
PLANTED = f"I am {CUSTOMER}, write to {EMAIL} or call {PHONE}. The rest is fine."


@pytest.mark.parametrize("form", ["plain", "pseudonym"])
async def test_nothing_plain_comes_on_a_topic_by_file_line_replay_or_from_python(
    settings: Settings, tmp_path: Path, form: str
) -> None:
    """Where topics carry pseudonyms, nobody after this could take the plain id out of a text any more.

    Long texts are cut on all these ways (T29).
    """
    settings = settings.model_copy(update={"customer_form": form, "insecure_keys": True})
    pseudonyms = pseudonyms_of(settings)
    made = Feedback(
        event_id="python", occurred_at=AT, channel=Channel.WEB, metric=Metric.NPS, score=9, customer_id=CUSTOMER,
        text=PLANTED + " And so on." * 18_000, campaign=f"mail to {EMAIL}", attributes={"note": PLANTED},
    )  # fmt: skip
    file = tmp_path / "answers.csv"
    file.write_text(f'event_id,score,text,customer_id\nfile,9,"{PLANTED}",{CUSTOMER}\n')
    columns = {name: name for name in ("event_id", "score", "text", "customer_id")}
    mapping = Mapping(columns, {"metric": "nps", "channel": "web"}, at=AT.isoformat())
    table = TableImport(file, Layout(), mapping.plan(), tmp_path)
    async with Producer(settings) as producer:
        await producer.send(made)
        await producer.send(replace(made, event_id="quiet"), history=True)
        for topic in ("feedback", "history"):
            target = Target(producer, topic, pseudonyms)
            await table.run(target, Tally(), lambda *_: None)
            await feed_events(target, [replace(made, event_id="tool")], lambda *_: None)
            await feed_lines(target, [encode(replace(made, event_id="line"))], lambda *_: None)
            again = mended(topic, encode(replace(made, event_id="again")), "feedback/1/2/3", Edits(), pseudonyms)
            assert isinstance(again, Mended)
            await producer.send_many(topic, [again.key], [again.value])
    for topic, alone in (("feedback", "python"), ("history", "quiet")):
        records = await arrived(settings, topic)
        events = [orjson.loads(record.value) for record in records]
        assert {event["event_id"] for event in events} == {alone, "file", "tool", "line", "again"}
        cut = {event["event_id"]: (len(event["text"]), event["truncated"]) for event in events if "truncated" in event}
        assert cut == dict.fromkeys((alone, "tool", "line", "again"), (10_000, True))
        customers = {event.pop("customer_id") for event in events}
        assert {record.key.decode() for record in records} == customers
        assert customers == {CUSTOMER if pseudonyms is None else pseudonyms.text(CUSTOMER)}
        said = orjson.dumps(events).decode()
        assert not [canary for canary in (CUSTOMER, "canary.bird", "5550199") if canary in said], said
        assert said.count("The rest is fine.") == len(events) + len(events) - 1, "in texts, and in notes but the file's"


async def test_a_history_arrives_whole_in_order_by_key_and_a_live_stream_at_its_rate(settings: Settings) -> None:
    now = int(time.time() * 1000)
    world = World(customers=2_000, bad=0.0)
    async with Producer(settings) as producer:
        done = await load_history(producer, world, Span(now - 7 * 86_400_000, now, 30_000))
        assert await load_profiles(producer, world, now) == 2_000
        live = await stream_live(producer, world, rate=400, seconds=2)
    assert done.total == 30_000
    assert live.total == 800
    records = await arrived(settings, "touchpoints") + await arrived(settings, "feedback")
    assert len(records) == 30_800
    assert all(record.partition == part_of(record.key) for record in records)
    events = [orjson.loads(record.value) for record in records]
    assert len({event["event_id"] for event in events}) == 30_800
    times: dict[tuple[str, int], str] = {}
    for record, event in zip(records, events, strict=True):
        place = (record.topic, record.partition)
        assert event["occurred_at"] >= times.get(place, "")
        times[place] = event["occurred_at"]
    assert len(await arrived(settings, "profiles")) == 2_000


async def test_an_import_that_is_killed_goes_on_and_repeats_only_ids_it_has_already_used(
    settings: Settings, tmp_path: Path
) -> None:
    rows = 60_000
    file = tmp_path / "reviews.csv"
    lines = [f'{n},{n % 5 + 1},"review number {n}, with a comma"' for n in range(rows)]
    lines[7] = "7,9,too many stars"
    file.write_text("id,stars,text\n" + "\n".join(lines) + "\n", encoding="utf-8")
    environment = {
        **os.environ,
        "TOUCHLINE_BOOTSTRAP_SERVERS": settings.bootstrap_servers,
        "TOUCHLINE_TOPIC_PREFIX": settings.topic_prefix,
        "TOUCHLINE_STATE_DIR": str(tmp_path / "state"),
    }
    command = [*COMMAND, "import", str(file), "--at", "2026-01-31T12:00:00Z", "--map", "submission_id=id"]
    command += ["--map", "score=stars", "--map", "text=text", "--map", "metric==rating", "--map", "channel==review"]
    first = await asyncio.to_thread(subprocess.Popen, command, env=environment, stderr=subprocess.DEVNULL)
    state = await asyncio.to_thread(first_position, tmp_path / "state" / "imports")
    first.send_signal(signal.SIGKILL)
    await asyncio.to_thread(first.wait)
    assert 0 < state < rows
    second = await asyncio.to_thread(subprocess.run, command, env=environment, capture_output=True, text=True)
    assert second.returncode == 1
    assert "going on after them" in second.stderr
    assert "60,000 rows: 59,999 sent, 1 refused" in second.stderr
    assert "out_of_range: 1 (rows 8)" in second.stderr
    found = Counter(orjson.loads(record.value)["event_id"] for record in await arrived(settings, "history"))
    assert len(found) == rows - 1
    # What was sent and not yet written down when the kill came: at most two chunks.
    assert found.total() - len(found) <= 10_000


def first_position(folder: Path) -> int:
    """Waits for the first position that an import writes down; the rows it went through."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        for path in folder.glob("*.json"):
            return int(orjson.loads(path.read_bytes())["rows"])
        time.sleep(0.01)
    raise AssertionError("no position was written")


@pytest.mark.parametrize("name", ["google_play", "app_store", "delighted"])
async def test_a_tools_own_file_comes_in_once_and_goes_on_after_what_was_sent(
    settings: Settings, tmp_path: Path, name: str
) -> None:
    payload = json.loads((FOLDER / name / "list.json").read_text())["payload"]
    file = tmp_path / "export.json"
    file.write_text("".join(json.dumps(payload) + "\n" for _ in range(2)))
    environment = {
        "TOUCHLINE_BOOTSTRAP_SERVERS": settings.bootstrap_servers,
        "TOUCHLINE_TOPIC_PREFIX": settings.topic_prefix,
        "TOUCHLINE_STATE_DIR": str(tmp_path / "state"),
    }

    async def imported(*more: str) -> tuple[int, str]:
        arguments = ["import", str(file), "--as", name, *more]
        told = await asyncio.to_thread(CliRunner().invoke, app, arguments, env=environment)
        assert told.exit_code in (0, 1), told.output
        return len(await arrived(settings, "history")), told.stderr

    nothing, _ = await imported("--dry-run")
    once, said = await imported()
    assert nothing == 0 < once
    assert "going on" not in said
    twice, said = await imported()
    assert twice == once
    assert "going on after them" in said
    again, said = await imported("--again")
    assert again == 2 * once
    assert "going on" not in said
    file.write_text(file.read_text() + json.dumps(payload) + "\n")
    more, _ = await imported()
    assert more == again + once // 2 * 3, "another file is another import; the worker drops the doubles"


async def test_simulate_into_produce_sends_the_valid_lines_and_names_the_others(
    settings: Settings, tmp_path: Path
) -> None:
    environment = {
        **os.environ,
        "TOUCHLINE_BOOTSTRAP_SERVERS": settings.bootstrap_servers,
        "TOUCHLINE_TOPIC_PREFIX": settings.topic_prefix,
    }
    simulate = [*COMMAND, "simulate", "--count", "3000", "--days", "2", "--bad", "0.02", "--customers", "500"]
    lines = (await asyncio.to_thread(subprocess.run, simulate, capture_output=True, check=True)).stdout
    assert lines.count(b"\n") == 3_000
    produce = [*COMMAND, "produce", "-", "--json"]
    sent = await asyncio.to_thread(subprocess.run, produce, input=lines, env=environment, capture_output=True)
    verdicts = [orjson.loads(line) for line in sent.stdout.splitlines()]
    summary = verdicts.pop()["summary"]
    assert sent.returncode == 1
    assert len(verdicts) == 3_000
    assert sum(verdict["verdict"] == "refused" for verdict in verdicts) == 3_000 - summary["sent"] > 20
    records = await arrived(settings, "touchpoints") + await arrived(settings, "feedback")
    assert len(records) == summary["sent"]
    raw = await asyncio.to_thread(
        subprocess.run, [*produce[:-1], "--raw"], input=lines, env=environment, capture_output=True
    )
    assert raw.returncode == 1
    again = await arrived(settings, "touchpoints") + await arrived(settings, "feedback")
    assert len(again) == len(records) + 3_000


async def test_a_broker_that_is_not_there_is_named_with_exit_code_4(tmp_path: Path) -> None:
    nowhere = load_settings(bootstrap_servers="127.0.0.1:1")
    with pytest.raises(Unavailable, match=r"127\.0\.0\.1:1"):
        async with Producer(nowhere):
            pass
    environment = {**os.environ, "TOUCHLINE_BOOTSTRAP_SERVERS": "127.0.0.1:1"}
    simulate = [*COMMAND, "simulate", "--to", "kafka", "--customers", "10", "--count", "10"]
    refused = await asyncio.to_thread(subprocess.run, simulate, env=environment, capture_output=True, text=True)
    assert refused.returncode == 4
    assert "127.0.0.1:1" in refused.stderr
