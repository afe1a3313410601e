"""Streams: encoded once, bounded for each viewer, nothing lost without a word, nothing twice."""

from __future__ import annotations

import asyncio
import re

from pipeline.views.page.streams import BEAT, RING, Channel, Viewer, parsed


def sections(wire: bytes) -> list[str]:
    return re.findall(r"^event: (\w+)$", wire.decode(), re.MULTILINE)


async def fetched(viewer: Viewer) -> bytes:
    return await viewer.fetch(0.05)


def last_id(wire: bytes) -> str:
    return str(re.findall(r"^id: (\S+)$", wire.decode(), re.MULTILINE)[-1])


async def test_all_viewers_get_the_very_same_bytes() -> None:
    channel, viewers = Channel(era=1), [Viewer() for _ in range(3)]
    for viewer in viewers:
        channel.join(viewer)
    channel.say("tiles", b'{"a":1}')
    wires = [await fetched(viewer) for viewer in viewers]
    assert wires[0] == b'id: 1-1\nevent: tiles\ndata: {"a":1}\n\n'
    assert len(set(wires)) == 1


async def test_what_did_not_change_is_not_said_again() -> None:
    channel = Channel(era=1)
    assert channel.say("tiles", b"1")
    assert not channel.say("tiles", b"1")
    assert channel.number == 1


async def test_a_slow_viewer_gets_the_newest_of_each_section_and_nothing_piles_up() -> None:
    channel, viewer = Channel(era=1), Viewer()
    channel.join(viewer)
    for i in range(1000):
        channel.say("tiles", b"%d" % i)
        channel.say("line", b"%d" % i)
    wire = await fetched(viewer)
    assert sections(wire) == ["tiles", "line"]
    assert b"data: 999" in wire
    assert len(wire) < 200


async def test_a_slow_viewer_that_missed_feedback_is_told() -> None:
    channel, viewer = Channel(era=1), Viewer()
    channel.join(viewer)
    channel.say("feedback", b"[1]")
    channel.say("feedback", b"[2]")
    wire = await fetched(viewer)
    assert sections(wire) == ["gap", "feedback"]
    assert b"[2]" in wire
    assert viewer.gaps == 1


async def test_who_comes_back_in_time_gets_what_was_missed_and_no_gap() -> None:
    channel, viewer = Channel(era=1), Viewer()
    channel.join(viewer)
    channel.say("tiles", b"1")
    channel.say("feedback", b"[1]")
    seen = last_id(await fetched(viewer))
    channel.viewers.discard(viewer)
    channel.say("tiles", b"2")
    channel.say("feedback", b"[2]")
    channel.say("feedback", b"[3]")
    again = Viewer()
    assert channel.join(again, seen)
    wire = await fetched(again)
    assert wire.count(b"event: feedback") == 2
    assert b"[2]" in wire
    assert b"[3]" in wire
    assert b"data: 2" in wire
    assert again.gaps == 0


async def test_who_was_away_for_too_long_is_told_and_gets_everything_whole() -> None:
    channel, viewer = Channel(era=1), Viewer()
    channel.join(viewer)
    channel.say("status", b"0")
    seen = last_id(await fetched(viewer))
    channel.say("line", b"7")
    for i in range(RING + 5):
        channel.say("tiles", b"%d" % i)
    again = Viewer()
    assert not channel.join(again, seen)
    assert set(sections(await fetched(again))) == {"status", "line", "tiles"}


async def test_an_id_of_an_earlier_server_is_a_gap_and_a_first_visit_is_none() -> None:
    channel = Channel(era=2)
    channel.say("tiles", b"1")
    assert not channel.join(Viewer(), "1-1")
    assert channel.join(Viewer(), "")
    assert channel.join(Viewer(), "2-1")


async def test_silence_is_a_beat() -> None:
    assert await fetched(Viewer()) == BEAT


async def test_closing_ends_the_wait() -> None:
    viewer = Viewer()
    task = asyncio.create_task(viewer.fetch(60))
    await asyncio.sleep(0)
    viewer.close()
    assert await asyncio.wait_for(task, 1) == b""


def test_only_ids_of_ours_are_believed() -> None:
    assert parsed("12-3") == (12, 3)
    for text in ("", "12", "a-1", "1-", "1-2-3", "-1-2", "9" * 50 + "-1"):
        assert parsed(text) is None
