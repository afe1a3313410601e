"""Which windows a look counts: the open ones, what was noted, in turn the rest; everything after a takeover."""

from __future__ import annotations

from pipeline.scores.publishing import wanted

#: 2026-05-01 08:00 UTC, the oldest window that is published.
SINCE = 1_777_622_400
EVERY = [SINCE + i * 300 for i in range(14)]


def test_after_a_takeover_every_window_is_counted() -> None:
    assert wanted(SINCE, None, [], None) == EVERY


def test_else_those_that_were_open_at_the_last_look() -> None:
    closed = SINCE + 3600  # the window that ends then was closed in the last look: its final score is said
    assert wanted(SINCE, closed, [], None) == [SINCE + 3600, SINCE + 3900]
    assert wanted(SINCE, closed - 300, [], None) == [SINCE + 3300, SINCE + 3600, SINCE + 3900]


def test_and_those_whose_change_was_noted_but_none_that_is_too_old() -> None:
    noted = [SINCE + 600, SINCE - 300]
    assert wanted(SINCE, SINCE + 3600, noted, None) == [SINCE + 600, SINCE + 3600, SINCE + 3900]


def test_every_window_has_its_turn() -> None:
    seen = {start for turn in range(100, 100 + len(EVERY)) for start in wanted(SINCE, SINCE + 3600, [], turn)}
    assert seen == set(EVERY)
    assert len(wanted(SINCE, SINCE + 3600, [], 0)) == 3
