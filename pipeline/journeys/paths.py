"""Paths as a Markov chain: how often one step follows another, who arrives, what a step is worth. Pure, numpy.

Counts are integers and add up over days and partitions. A step's removal effect says which share of the arrivals would
be lost if every way through it were: an association, not a cause.
Source: 8139causal.github.io, serhiipuzyrov.com; the closed form below is the one of absorbing chains.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipeline.errors import UsageError
from pipeline.journeys.refusing import Refusal
from pipeline.scores.intervals import Counts, Floats
from pipeline.scores.meters import ENOUGH

#: Draws of the parametric bootstrap: ends of the interval move by about 0.1 standard errors between seeds.
DRAWS = 1_000
#: The same data give the same interval, today and tomorrow.
_SEED = 36


@dataclass(frozen=True, slots=True)
class Chain:
    """Transition counts of closed paths: rows are the start and the `nodes`, columns the nodes, arrived, lost."""

    nodes: tuple[str, ...]
    counts: Counts

    def __post_init__(self) -> None:
        size = len(self.nodes)
        if self.counts.shape != (size + 1, size + 2):
            raise UsageError(f"{size} nodes need counts of {size + 1} x {size + 2}, not {self.counts.shape}")

    @property
    def paths(self) -> int:
        """Closed paths."""
        return int(self.counts[0].sum())

    def merge(self, other: Chain) -> Chain:
        """Both together; the nodes must be the same."""
        if self.nodes != other.nodes:
            raise UsageError("chains of different nodes do not add up")
        return Chain(self.nodes, self.counts + other.counts)


@dataclass(frozen=True, slots=True)
class Removal:
    """What each node is worth: `effect` is its removal effect with a 95 % interval, `share` its part of their sum."""

    nodes: tuple[str, ...]
    conversion: float
    effect: Floats
    low: Floats
    high: Floats
    share: Floats
    passed: Counts
    paths: int


def conversion(chain: Chain) -> float:
    """The chance of arriving from the start: the start's row of (I - Q)^-1 R."""
    return float(_arrivals(chain.counts[None].astype(np.float64))[0][0, 0])


def removal(chain: Chain) -> Removal | Refusal:
    """The removal effect of every node, or a Refusal under ten paths or when none arrives."""
    if chain.paths < ENOUGH:
        return Refusal(f"{chain.paths} closed paths are too few", chain.paths, ENOUGH)
    if not chain.counts[:, -2].any():
        return Refusal("no path arrives, so there is nothing that a step could take away", chain.paths)
    counts = chain.counts[None].astype(np.float64)
    effect = effects(counts)[0]
    low, high = np.nanquantile(effects(_drawn(chain)), (0.025, 0.975), axis=0)
    total = effect.sum()
    return Removal(
        nodes=chain.nodes,
        conversion=conversion(chain),
        effect=effect,
        low=np.minimum(low, effect),
        high=np.maximum(high, effect),
        share=effect / total if total > 0 else np.zeros_like(effect),
        passed=chain.counts[:, : len(chain.nodes)].sum(axis=0),
        paths=chain.paths,
    )


def effects(counts: Floats) -> Floats:
    """Removal effects [draws, nodes] of counts [draws, nodes + 1, nodes + 2].

    With N = (I - Q)^-1 and b = N R the arrivals without node k are b0 - (N0k / Nkk) bk: those that never meet it.
    """
    arrivals, visits = _arrivals(counts)
    own = np.diagonal(visits, axis1=1, axis2=2)[:, 1:]
    met = visits[:, 0, 1:] / own
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(met * arrivals[:, 1:] / arrivals[:, :1])


def _arrivals(counts: Floats) -> tuple[Floats, Floats]:
    """Chance of arriving [draws, 1 + nodes] from each row, and the expected visits N [draws, 1 + nodes, 1 + nodes]."""
    size = counts.shape[1]
    totals = counts.sum(axis=2, keepdims=True)
    shares = np.divide(counts, totals, out=np.zeros_like(counts), where=totals > 0)
    moves = np.zeros((len(counts), size, size))
    moves[:, :, 1:] = shares[:, :, : size - 1]
    visits: Floats = np.asarray(np.linalg.inv(np.eye(size) - moves), dtype=np.float64)
    return (visits @ shares[:, :, -2:-1])[:, :, 0], visits


def _drawn(chain: Chain) -> Floats:
    """Counts as they might have come: each row drawn anew from its own shares; a row nobody leaves stays empty."""
    random = np.random.default_rng(_SEED)
    drawn = np.zeros((DRAWS, *chain.counts.shape))
    for row, counts in enumerate(chain.counts):
        total = int(counts.sum())
        if total:
            drawn[:, row] = random.multinomial(total, counts / total, size=DRAWS)
    # A draw may leave a loop without a way out, whose matrix has no inverse: a trace of each way that was seen stays.
    return np.asarray(drawn + 1e-9 * (chain.counts > 0))
