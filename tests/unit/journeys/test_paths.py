"""Removal effects: the worked chains, and the closed form against taking each node away for real."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from pipeline.errors import UsageError
from pipeline.journeys.paths import Chain, Removal, conversion, effects, removal
from pipeline.journeys.refusing import Refusal

#: start -> web .6 / store .4; web -> call .5 / arrived .3 / lost .2; store -> .5 / .5; call -> .4 / .6 (scores.md 5).
SERVICE = Chain(
    ("web", "store", "call"), np.array([[6, 4, 0, 0, 0], [0, 0, 5, 3, 2], [0, 0, 0, 5, 5], [0, 0, 0, 4, 6]])
)
#: Paths: twice google -> arrived, mailing -> arrived, google > mailing -> arrived, google -> lost.
PUBLISHED = Chain(("google", "mailing"), np.array([[4, 1, 0, 0], [0, 1, 2, 1], [0, 0, 2, 0]]))


def worth(chain: Chain) -> Removal:
    found = removal(Chain(chain.nodes, chain.counts * 10))
    assert isinstance(found, Removal)
    return found


def test_the_worked_chain_gives_its_removal_effects_and_shares() -> None:
    found = worth(SERVICE)
    assert f"{found.conversion:.6f}" == "0.500000"
    assert [f"{effect:.6f}" for effect in found.effect] == ["0.600000", "0.400000", "0.240000"]
    assert [f"{share:.6f}" for share in found.share] == ["0.483871", "0.322581", "0.193548"]
    assert found.passed.tolist() == [60, 40, 50]


def test_the_published_paths_give_the_published_removal_effects() -> None:
    found = worth(PUBLISHED)
    assert f"{found.conversion:.6f}" == "0.800000"
    assert [f"{effect:.6f}" for effect in found.effect] == ["0.750000", "0.500000"]


def test_the_interval_holds_the_effect_and_shrinks_with_more_paths() -> None:
    few, many = worth(SERVICE), removal(Chain(SERVICE.nodes, SERVICE.counts * 1_000))
    assert isinstance(many, Removal)
    assert np.all(few.low <= few.effect)
    assert np.all(few.effect <= few.high)
    assert np.all((many.high - many.low) < 0.2 * (few.high - few.low))
    # Normal approximation for the store: its effect is the share of the arrivals that come through it, 20 of 50.
    assert few.low[1] == pytest.approx(0.4 - 0.11, abs=0.04)


def test_too_few_paths_and_paths_that_never_arrive_are_refused_with_the_reason() -> None:
    few = removal(Chain(("a",), np.array([[4, 0, 0], [0, 2, 2]])))
    never = removal(Chain(("a",), np.array([[40, 0, 0], [0, 0, 40]])))
    assert isinstance(few, Refusal)
    assert (few.n, few.needed) == (4, 10)
    assert isinstance(never, Refusal)
    assert "no path arrives" in never.reason


def test_counts_of_two_days_add_up_to_the_chain_of_both() -> None:
    assert np.array_equal(SERVICE.merge(SERVICE).counts, 2 * SERVICE.counts)
    with pytest.raises(UsageError, match="different nodes"):
        SERVICE.merge(PUBLISHED)
    with pytest.raises(UsageError, match="need counts of"):
        Chain(("a", "b"), np.zeros((2, 3), dtype=np.int64))


def taken_away(chain: Chain, node: int) -> float:
    """The definition itself: ways into the node lead to lost; the chain is walked a thousand steps."""
    counts = chain.counts.astype(float)
    totals = counts.sum(axis=1, keepdims=True)
    shares = np.divide(counts, totals, out=np.zeros_like(counts), where=totals > 0)
    shares[:, -1] += shares[:, node]
    shares[:, node] = 0.0
    size = len(chain.nodes)
    here, arrived = np.eye(size + 1)[0], 0.0
    for _ in range(1_000):
        arrived += float(here @ shares[:, size])
        here = np.concatenate([[0.0], here @ shares[:, :size]])
    return arrived


def square(size: int) -> st.SearchStrategy[list[list[int]]]:
    row = st.lists(st.integers(0, 9), min_size=size + 2, max_size=size + 2)
    return st.lists(row, min_size=size + 1, max_size=size + 1)


@settings(deadline=None)
@given(st.integers(1, 4).flatmap(square))
def test_the_closed_form_equals_taking_each_node_away(rows: list[list[int]]) -> None:
    counts = np.array(rows)
    counts[:, -2:] += 1  # every node has a way out
    chain = Chain(tuple("abcd"[: len(rows) - 1]), counts)
    base = conversion(chain)
    assume(base > 0)
    for node, effect in enumerate(effects(counts[None].astype(float))[0]):
        assert 1.0 - taken_away(chain, node) / base == pytest.approx(effect, abs=1e-6)
