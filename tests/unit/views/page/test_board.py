"""The board keeps the highest (ver, revision) of each score, sums to every wider scope, and stays bounded."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from pipeline.scores.meters import read
from pipeline.views.page.board import BINS, KEPT_S, Board
from schemas.outgoing import Score

#: 2026-05-01 08:00 UTC.
START = 1_777_622_400
ALL = {"brand": "b", "channel": "web", "touchpoint": "checkout"}


def score(counts: dict[int, int], *, start: int = START, scope: dict[str, str] | None = None, **other: Any) -> Score:
    histogram = [counts.get(i, 0) for i in range(11)]
    reading = read("nps", "0-10", [histogram]).row(0)
    fields: dict[str, Any] = {
        "scope": ALL if scope is None else scope,
        "metric": "nps",
        "scale": "0-10",
        "start": datetime.fromtimestamp(start, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "seconds": 300,
        "n": reading.n,
        "score": reading.score,
        "low": reading.low,
        "high": reading.high,
        "unit": "points",
        "method": "adjusted_wald",
        "status": reading.status,
        "histogram": histogram,
        "revision": 0,
        "final": False,
        "reason": None,
        "ver": 1,
        "as_of": "2026-05-01T08:00:01Z",
    }
    return Score(**{**fields, **other})


def counted(board: Board) -> int:
    return int(board.frame().select(BINS).to_numpy().sum())


def test_a_higher_revision_replaces_and_a_lower_one_changes_nothing() -> None:
    board = Board()
    assert board.take(score({9: 5}, revision=1))
    assert not board.take(score({9: 99}, revision=0))
    assert not board.take(score({9: 99}, revision=1))
    assert board.take(score({9: 6}, revision=2))
    assert counted(board) == 6


def test_a_new_owner_begins_with_revision_0_and_wins_and_a_frozen_one_loses() -> None:
    board = Board()
    board.take(score({9: 5}, ver=1, revision=7))
    assert board.take(score({9: 6}, ver=2, revision=0))
    assert not board.take(score({9: 50}, ver=1, revision=8))
    assert counted(board) == 6


def test_wider_scopes_are_sums_so_they_are_not_kept_twice() -> None:
    board = Board()
    for scope in ({}, {"brand": "b"}, {"brand": "b", "unit": "u"}, {"brand": "b", "channel": "web"}):
        assert not board.take(score({9: 5}, scope=scope))
    board.take(score({9: 5}))
    board.take(score({1: 2}, scope={**ALL, "channel": "app"}))
    assert counted(board) == 7


def test_windows_older_than_what_is_kept_go() -> None:
    board = Board()
    board.take(score({9: 1}))
    board.take(score({9: 2}, start=START + KEPT_S + 300))
    assert counted(board) == 2
    assert not board.take(score({9: 3}, start=START))


def test_the_board_never_holds_more_than_its_limit_and_lets_the_oldest_go() -> None:
    board = Board(most=50)
    for i in range(120):
        board.take(score({9: 1}, start=START + i // 10 * 300, scope={**ALL, "touchpoint": f"t{i % 10}"}))
        assert len(board) <= 50
    starts = board.frame()["start"].unique().to_list()
    assert max(starts) == START + 11 * 300
    assert min(starts) > START
    assert board.dropped > 0


def test_an_empty_board_is_an_empty_frame() -> None:
    assert Board().frame().height == 0
