"""Streams: encoded once, bounded for each viewer, nothing lost without a word, nothing twice."""

from __future__ import annotations

import re

from pipeline.views.page.streams import BEAT, RING, Channel, Viewer, parsed


def sections(wire: bytes) -> list[str]:
    return re.findall(r"^event: (\w+)$", wire.decode(), re.MULTILINE)


class Line:
    """A connection that keeps what it is given; without room it takes nothing."""

    def __init__(self) -> None:
        self.wires: list[bytes] = []
        self.chunks: list[bytes] = []
        self.open = True
        self.gone = False

    def room(self) -> bool:
        return self.open and not self.gone

    def write(self, wire: bytes, packed: bytes) -> None:
        self.wires.append(wire)
        self.chunks.append(packed)


def fetched(viewer: Viewer) -> bytes:
    """What has waited for a viewer that is slow to connect."""
    line = Line()
    viewer.attach(line, lambda: None)
    viewer._sink = None
    return b"".join(line.wires)


def last_id(wire: bytes) -> str:
    return str(re.findall(r"^id: (\S+)$", wire.decode(), re.MULTILINE)[-1])


def test_all_viewers_get_the_very_same_bytes() -> None:
    channel, viewers = Channel(era=1), [Viewer() for _ in range(3)]
    for viewer in viewers:
        channel.join(viewer)
    channel.say("tiles", b'{"a":1}')
    wires = [fetched(viewer) for viewer in viewers]
    assert wires[0] == b'id: 1-1\nevent: tiles\ndata: {"a":1}\n\n'
    assert len(set(wires)) == 1


def test_what_did_not_change_is_not_said_again() -> None:
    channel = Channel(era=1)
    assert channel.say("tiles", b"1")
    assert not channel.say("tiles", b"1")
    assert channel.number == 1


def test_a_slow_viewer_gets_the_newest_of_each_section_and_nothing_piles_up() -> None:
    channel, viewer = Channel(era=1), Viewer()
    channel.join(viewer)
    for i in range(1000):
        channel.say("tiles", b"%d" % i)
        channel.say("line", b"%d" % i)
    wire = fetched(viewer)
    assert sections(wire) == ["tiles", "line"]
    assert b"data: 999" in wire
    assert len(wire) < 200


def test_a_slow_viewer_that_missed_feedback_is_told() -> None:
    channel, viewer = Channel(era=1), Viewer()
    channel.join(viewer)
    channel.say("feedback", b"[1]")
    channel.say("feedback", b"[2]")
    wire = fetched(viewer)
    assert sections(wire) == ["gap", "feedback"]
    assert b"[2]" in wire
    assert viewer.gaps == 1


def test_who_comes_back_in_time_gets_what_was_missed_and_no_gap() -> None:
    channel, viewer = Channel(era=1), Viewer()
    channel.join(viewer)
    channel.say("tiles", b"1")
    channel.say("feedback", b"[1]")
    seen = last_id(fetched(viewer))
    channel.viewers.discard(viewer)
    channel.say("tiles", b"2")
    channel.say("feedback", b"[2]")
    channel.say("feedback", b"[3]")
    again = Viewer()
    assert channel.join(again, seen)
    wire = fetched(again)
    assert wire.count(b"event: feedback") == 2
    assert b"[2]" in wire
    assert b"[3]" in wire
    assert b"data: 2" in wire
    assert again.gaps == 0


def test_who_was_away_for_too_long_is_told_and_gets_everything_whole() -> None:
    channel, viewer = Channel(era=1), Viewer()
    channel.join(viewer)
    channel.say("status", b"0")
    seen = last_id(fetched(viewer))
    channel.say("line", b"7")
    for i in range(RING + 5):
        channel.say("tiles", b"%d" % i)
    again = Viewer()
    assert not channel.join(again, seen)
    assert set(sections(fetched(again))) == {"status", "line", "tiles"}


def test_an_id_of_an_earlier_server_is_a_gap_and_a_first_visit_is_none() -> None:
    channel = Channel(era=2)
    channel.say("tiles", b"1")
    assert not channel.join(Viewer(), "1-1")
    assert channel.join(Viewer(), "")
    assert channel.join(Viewer(), "2-1")


def test_silence_is_a_beat_and_talk_is_none() -> None:
    channel, viewer, line = Channel(era=1), Viewer(), Line()
    channel.join(viewer)
    viewer.attach(line, lambda: None)
    for _ in range(5):
        viewer.beat(5)
    assert line.wires == [BEAT]
    assert line.chunks == [b"16\r\n" + BEAT + b"\r\n"]
    channel.say("tiles", b"1")
    for _ in range(4):
        viewer.beat(5)
    assert sections(b"".join(line.wires)) == ["beat", "tiles"]


def test_every_connection_refers_to_the_same_bytes() -> None:
    channel, lines = Channel(era=1), [Line() for _ in range(3)]
    for line in lines:
        viewer = Viewer()
        channel.join(viewer)
        viewer.attach(line, lambda: None)
    channel.say("tiles", b"1")
    assert lines[0].wires[0] is lines[2].wires[0]
    assert lines[0].chunks[0] is lines[2].chunks[0]


def test_a_connection_without_room_keeps_one_frame_a_section_until_there_is_some() -> None:
    channel, viewer, line = Channel(era=1), Viewer(), Line()
    channel.join(viewer)
    viewer.attach(line, lambda: None)
    line.open = False
    for i in range(1000):
        channel.say("tiles", b"%d" % i)
        channel.say("feedback", b"[%d]" % i)
    assert viewer.waiting == 3
    assert line.wires == []
    line.open = True
    viewer.beat(5)
    assert sections(b"".join(line.wires)) == ["tiles", "gap", "feedback"]
    assert viewer.waiting == 0
    channel.say("tiles", b"x")
    assert b"data: x" in line.wires[-1]


def test_a_connection_that_is_gone_ends_at_the_next_word() -> None:
    channel, viewer, line = Channel(era=1), Viewer(), Line()
    channel.join(viewer)
    ended: list[int] = []
    viewer.attach(line, lambda: ended.append(1))
    line.gone = True
    viewer.beat(5)
    viewer.beat(5)
    channel.say("tiles", b"1")
    assert ended == [1]


def test_only_ids_of_ours_are_believed() -> None:
    assert parsed("12-3") == (12, 3)
    for text in ("", "12", "a-1", "1-", "1-2-3", "-1-2", "9" * 50 + "-1"):
        assert parsed(text) is None
