"""What must hold for every histogram: intervals around scores, order-free merging, exact retraction."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.scores import meters
from pipeline.scores.meters import Tally

MEASURES = [
    ("nps", "0-10", 11),
    ("csat", "1-5", 5),
    ("csat", "0-1", 2),
    ("ces", "1-7", 7),
    ("ces", "1-5", 5),
    ("rating", "1-10", 10),
    ("sentiment", "minilm", 3),
]
counts = st.lists(st.integers(0, 10**6), min_size=11, max_size=11)


def tally_of(answers: Sequence[tuple[int, int]]) -> Tally:
    tally = Tally.zero()
    for bin_, p in answers:
        tally = tally.add(bin_, p)
    return tally


answers = st.lists(st.tuples(st.integers(0, 10), st.integers(-10_000, 10_000)), max_size=30)


@given(counts, st.sampled_from(MEASURES))
def test_an_interval_lies_inside_the_scale_and_around_the_score(
    histogram: list[int], measure: tuple[str, str, int]
) -> None:
    metric, scale, bins = measure
    reading = meters.read(metric, scale, [histogram[:bins] + [0] * (11 - bins)]).row(0)
    low, high = {"points": (-100, 100), "share": (0, 1)}.get(reading.unit, meters.bounds(scale))
    if reading.n < 10:
        assert (reading.status, reading.score, reading.low, reading.high) == ("insufficient", None, None, None)
        return
    assert reading.score is not None
    assert reading.low is not None
    assert reading.high is not None
    slack = 1e-9
    assert low - slack <= reading.low <= reading.score + slack
    assert reading.score - slack <= reading.high <= high + slack


@given(answers, answers, answers)
def test_merging_is_order_free(a: list[tuple[int, int]], b: list[tuple[int, int]], c: list[tuple[int, int]]) -> None:
    x, y, z = tally_of(a), tally_of(b), tally_of(c)
    whole = tally_of([*a, *b, *c])
    assert x.merge(y).merge(z) == z.merge(x.merge(y)) == whole


@given(answers, st.tuples(st.integers(0, 10), st.integers(-10_000, 10_000)))
def test_what_is_taken_back_was_never_there(before: list[tuple[int, int]], answer: tuple[int, int]) -> None:
    tally = tally_of(before)
    assert tally.add(*answer).add(*answer, times=-1) == tally


@settings(max_examples=50)
@given(st.lists(counts, min_size=1, max_size=20))
def test_many_at_once_read_as_one_by_one(histograms: list[list[int]]) -> None:
    together = meters.read("nps", "0-10", histograms)
    assert [together.row(i) for i in range(len(together))] == [
        meters.read("nps", "0-10", [histogram]).row(0) for histogram in histograms
    ]


@given(counts)
def test_mirrored_answers_give_the_mirrored_net_score(histogram: list[int]) -> None:
    three = [*histogram[:3], *[0] * 8]
    mirrored = [*reversed(histogram[:3]), *[0] * 8]
    one, other = (meters.read("sentiment", "static", [h]) for h in (three, mirrored))
    assert np.array_equal(one.score, -other.score, equal_nan=True)
    assert np.array_equal(one.low, -other.high, equal_nan=True)
