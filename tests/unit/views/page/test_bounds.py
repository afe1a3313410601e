"""What the server holds is bounded: 100,000 scores, 4,000 viewers however slow, 200 views, a ring for each."""

from __future__ import annotations

import tracemalloc

import pytest

from pipeline.customers.watcher import read_registry
from pipeline.errors import Unavailable
from pipeline.settings import load_settings
from pipeline.views.page.board import MOST_KEYS, Board
from pipeline.views.page.live import MOST_VIEWERS, MOST_VIEWS, Live
from pipeline.views.page.streams import RING, Viewer
from pipeline.views.page.view import View
from schemas.outgoing import Score

START = "2026-05-01T08:00:00Z"
KNOWN = Score(
    scope={},
    metric="nps",
    scale="0-10",
    start=START,
    seconds=300,
    n=10,
    score=0.0,
    low=-1.0,
    high=1.0,
    unit="points",
    method="adjusted_wald",
    status="ok",
    histogram=[1] * 10 + [0],
    revision=0,
    final=False,
    reason=None,
    ver=1,
    as_of=START,
)


def score(number: int) -> Score:
    """One of many: ten windows, places without end."""
    fields = {name: getattr(KNOWN, name) for name in KNOWN.__struct_fields__}
    place = {"brand": "b", "channel": "web", "touchpoint": f"t{number // 10}"}
    return Score(**{**fields, "scope": place, "start": f"2026-05-01T08:{number % 10 * 5:02}:00Z"})


def test_the_board_holds_a_hundred_thousand_scores_and_no_more() -> None:
    board = Board()
    for number in range(MOST_KEYS + 15_000):
        board.take(score(number))
    assert MOST_KEYS == 100_000
    assert 0.8 * MOST_KEYS <= len(board) <= MOST_KEYS
    assert board.dropped >= 15_000
    assert board.frame().height == len(board)


def live() -> Live:
    return Live(load_settings(), read_registry())


def test_four_thousand_slow_viewers_hold_a_frame_a_section_and_the_next_one_is_refused() -> None:
    server, view = live(), View.of("1h", {})
    viewers = [Viewer() for _ in range(MOST_VIEWERS)]
    for viewer in viewers:
        server.join(view, viewer, "")
    with pytest.raises(Unavailable, match="4000 viewers"):
        server.join(view, Viewer(), "")
    channel = server._channels[view].channel
    channel.say("tiles", b"0" * 1_000)
    channel.say("line", b"0" * 1_000)
    tracemalloc.start()
    for turn in range(5):
        channel.say("tiles", b"%d" % turn * 10_000)
        channel.say("line", b"%d" % turn * 10_000)
    grown, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    # Ten frames of 10 kB with their chunks, held by 4,000 viewers by reference.
    assert grown < 2_000_000
    assert {viewer.waiting for viewer in viewers} == {2}
    for viewer in viewers:
        server.leave(view, viewer)
    server.join(view, Viewer(), "")
    assert server.viewers == 1


def test_so_many_views_and_no_more_but_one_that_nobody_looks_at_makes_room() -> None:
    server = live()
    viewers = [Viewer() for _ in range(MOST_VIEWS)]
    views = [View.of("1h", {"touchpoint": (f"t{i}",)}) for i in range(MOST_VIEWS + 1)]
    for view, viewer in zip(views, viewers, strict=False):
        server.join(view, viewer, "")
    with pytest.raises(Unavailable, match="200 different views"):
        server.join(views[-1], Viewer(), "")
    server.leave(views[0], viewers[0])
    server.join(views[-1], Viewer(), "")
    assert len(server._channels) == MOST_VIEWS


def test_what_was_said_is_kept_for_a_while_and_no_longer() -> None:
    server, view = live(), View.of("1h", {})
    server.join(view, Viewer(), "")
    channel = server._channels[view].channel
    for number in range(10 * RING):
        channel.say("tiles", b"%d" % number)
    assert len(channel.ring) == RING
