"""Where a partition stands: gaps count only where they join on to what is stored."""

from __future__ import annotations

from pipeline.ledger.positions import beyond


def test_gaps_that_follow_the_stored_rows_move_the_position() -> None:
    assert beyond(4, [(5, 6)]) == 6
    assert beyond(4, [(5, 6), (7, 9)]) == 9
    assert beyond(4, []) == 4


def test_a_gap_found_while_rows_below_it_were_on_their_way_moves_nothing() -> None:
    assert beyond(4, [(10, 11)]) == 4
    assert beyond(4, [(5, 6), (8, 9)]) == 6


def test_gaps_that_overlap_count_to_the_farthest() -> None:
    assert beyond(-1, [(0, 9), (2, 3), (8, 12)]) == 12
