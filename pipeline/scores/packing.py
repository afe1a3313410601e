"""The key of a window row as one integer, and back, exactly: a fold adds sorted numbers instead of words (pure).

A dictionary only ever grows with what is seen, so it is renewed when it has grown: only what the rows in memory are
made of is kept. No number of names fills it then, and what a key stands for in the tables never depends on it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from pipeline.errors import TouchlineError
from pipeline.slices import FURTHER

#: The cuts: `core`, and brand with each further dimension.
CUTS: tuple[str, ...] = ("core", *FURTHER)

Keys = npt.NDArray[np.int64]

#: Bits of each part of a key, from the lowest, 63 in all. `place` is a unit, channel and touchpoint together in the cut
#: core, the dimension's value in each other one. Measures (metric and scale) are a closed set of some twenty.
BITS: Final = {"part": 10, "place": 22, "brand": 22, "measure": 6, "cut": 3}
_AT: Final = {name: sum(list(BITS.values())[:i]) for i, name in enumerate(BITS)}
#: Bits of unit and touchpoint in a place before it has a code; the channels are a closed set.
WIDE: Final = {"touchpoint": 29, "channel": 5, "unit": 29}
_WIDE_AT: Final = {"touchpoint": 0, "channel": 29, "unit": 34}
#: A dictionary is renewed when so much is new in it. With the rows that may be in memory and those of one fold this
#: must stay below what 22 bits can name: a test says so.
GROWTH: Final = 250_000
#: Rows that are packed at once at most, by load and by fold.
MOST_AT_ONCE: Final = 200_000


def part_of(keys: Keys) -> Keys:
    """The partitions of packed keys."""
    return _cut_out(keys, "part")


def _cut_out(keys: Keys, name: str) -> Keys:
    return keys >> _AT[name] & (1 << BITS[name]) - 1


class Names:
    """Names of one dimension and their codes, in order of first sight."""

    def __init__(self, names: Iterable[str] = (), bits: int = BITS["brand"]) -> None:
        # Polars counts the words of a category as they come: one look at a column instead of a search for its
        # distinct names and another one for their codes, half of the time.
        self._kind = pl.Categorical(pl.Categories.random())
        self._held: pl.Series | None = None
        self._bits = bits
        self._names: list[str] = []
        kept = pl.Series(list(names), dtype=pl.String)
        if kept.len():
            self.encode(kept)

    def __len__(self) -> int:
        return len(self._names)

    def encode(self, column: pl.Series) -> Keys:
        """Codes of a column of names; TouchlineError when there are more than its bits can tell apart: a bug."""
        if self._held is None:
            # A category lives as long as a column of it: without one the codes would begin anew.
            self._held = column.head(1).cast(self._kind)
        physical = column.cast(self._kind).to_physical()
        codes: Keys = physical.to_numpy().astype(np.int64)
        known = len(self._names)
        if codes.size and int(codes.max()) >= known:
            new = pl.DataFrame({"code": codes, "name": column}).filter(pl.col("code") >= known).unique("code")
            self._names += new.sort("code")["name"].to_list()
            if int(codes.max()) >= min(len(self._names), 1 << self._bits):
                raise TouchlineError(f"{len(self._names)} names in one dimension of the windows do not fit in its bits")
        return codes

    def decode(self, codes: Keys) -> pl.Series:
        """Names of codes."""
        return pl.Series(self._names, dtype=pl.String).gather(pl.Series(codes))

    def all(self) -> list[str]:
        """Every name, in the order of the codes."""
        return self._names

    def kept(self, used: Keys) -> Names:
        """Only the names of these codes (sorted, distinct), in the same order."""
        return Names(self.decode(used), self._bits)


class Places:
    """Codes of places, each a unit, channel and touchpoint: one number for all three, in order of first sight."""

    def __init__(self, wide: Keys | None = None) -> None:
        self._wide: Keys = np.empty(0, dtype=np.int64) if wide is None else wide
        self._order: Keys = np.argsort(self._wide)

    def __len__(self) -> int:
        return self._wide.size

    def encode(self, wide: Keys) -> Keys:
        """Codes of places."""
        column = pl.Series(wide)
        distinct = column.unique()
        codes = self._codes(distinct.to_numpy())
        found: Keys = column.replace_strict(distinct, pl.Series(codes), return_dtype=pl.Int64).to_numpy()
        return found

    def decode(self, codes: Keys) -> Keys:
        """Places of codes."""
        return self._wide[codes]

    def _codes(self, distinct: Keys) -> Keys:
        at, there = self._search(distinct)
        if not there.all():
            self._wide = np.concatenate([self._wide, distinct[~there]])
            if self._wide.size > 1 << BITS["place"]:
                raise TouchlineError(f"{self._wide.size} places in the windows do not fit in their bits")
            self._order = np.argsort(self._wide, kind="stable")
            at, _ = self._search(distinct)
        codes: Keys = self._order[at]
        return codes

    def _search(self, distinct: Keys) -> tuple[Keys, npt.NDArray[np.bool_]]:
        """Where each stands in the order, and whether it does."""
        if not self._wide.size:
            return np.zeros(distinct.size, dtype=np.int64), np.zeros(distinct.size, dtype=np.bool_)
        at = np.minimum(np.searchsorted(self._wide, distinct, sorter=self._order), self._wide.size - 1)
        return at, self._wide[self._order[at]] == distinct


class Dictionary:
    """All names of the windows in memory: packs a key into one integer and unpacks it again, exactly."""

    def __init__(self) -> None:
        self._measures = Names(bits=BITS["measure"])
        self._brands = Names()
        self._core = {name: Names(bits=bits) for name, bits in WIDE.items()}
        self._places = Places()
        self._dims = {cut: Names(bits=BITS["place"]) for cut in FURTHER}

    def __len__(self) -> int:
        """Names and places, of all dimensions together."""
        named = (self._brands, *self._core.values(), *self._dims.values())
        return len(self._places) + sum(len(each) for each in named)

    def base(self, frame: pl.DataFrame) -> Keys:
        """What the keys of a row have in common in all cuts: measure (metric and scale), brand, partition."""
        measure = frame.select(pl.concat_str("metric", pl.lit("|"), "scale").alias("measure"))["measure"]
        key = self._measures.encode(measure) << _AT["measure"]
        key |= self._brands.encode(frame["brand"]) << _AT["brand"]
        part: Keys = frame["part"].cast(pl.Int64).to_numpy()
        return key | part

    def core(self, base: Keys, frame: pl.DataFrame) -> Keys:
        """Keys of the cut core of rows with this base."""
        wide = np.zeros(base.size, dtype=np.int64)
        for name, names in self._core.items():
            wide |= names.encode(frame[name]) << _WIDE_AT[name]
        return base | self._places.encode(wide) << _AT["place"]

    def cut(self, cut: str, base: Keys, values: pl.Series) -> Keys:
        """Keys of another cut of rows with this base."""
        return base | CUTS.index(cut) << _AT["cut"] | self._dims[cut].encode(values) << _AT["place"]

    def unpack(self, keys: Keys) -> pl.DataFrame:
        """The columns of KEY (without minute) and part, in the order of `keys`."""
        cut = _cut_out(keys, "cut")
        measures = self._measures.decode(_cut_out(keys, "measure")).str.splitn("|", 2).struct.unnest()
        columns: dict[str, pl.Series] = {
            "cut": pl.Series(CUTS, dtype=pl.String).gather(pl.Series(cut)),
            "metric": measures.to_series(0),
            "scale": measures.to_series(1),
            "brand": self._brands.decode(_cut_out(keys, "brand")),
            **self._dimensions(cut, _cut_out(keys, "place")),
            "part": pl.Series(part_of(keys), dtype=pl.Int64).cast(pl.UInt16),
        }
        return pl.DataFrame(columns)

    def _dimensions(self, cut: Keys, places: Keys) -> dict[str, pl.Series]:
        """Each word once: rows are put together from positions in a list of all of them, of which the first is ""."""
        core = cut == 0
        wide = np.zeros(cut.size, dtype=np.int64)
        wide[core] = self._places.decode(places[core])
        columns = {}
        for name, bits in WIDE.items():
            codes = (wide >> _WIDE_AT[name] & (1 << bits) - 1) + 1
            columns[name] = _gathered(self._core[name].all(), np.where(core, codes, 0))
        further = [self._dims[name].all() for name in FURTHER]
        first = np.cumsum([1, *(len(names) for names in further)])[:-1]
        codes = np.where(core, 0, first[np.maximum(cut, 1) - 1] + places)
        return {**columns, "dim": _gathered([name for names in further for name in names], codes)}

    def renewed(self, keys: Keys) -> tuple[Dictionary, Keys]:
        """A dictionary of what these keys are made of and nothing else, and the keys in it: in the same order.

        What is kept keeps its order of first sight, so sorted keys stay sorted.
        """
        new = Dictionary()
        new._measures = self._measures
        brands, brand = np.unique(_cut_out(keys, "brand"), return_inverse=True)
        new._brands = self._brands.kept(brands)
        cut, place = _cut_out(keys, "cut"), _cut_out(keys, "place")
        for number, name in enumerate(CUTS):
            chosen = cut == number
            used, place[chosen] = np.unique(place[chosen], return_inverse=True)
            if name == "core":
                new._places = Places(self._rewired(self._places.decode(used), new))
            else:
                new._dims[name] = self._dims[name].kept(used)
        again = _cut_out(keys, "part") | place << _AT["place"] | brand.astype(np.int64) << _AT["brand"]
        return new, again | (keys >> _AT["measure"] << _AT["measure"])

    def _rewired(self, wide: Keys, new: Dictionary) -> Keys:
        """Places in the codes of the new dictionary, which learns their names."""
        found = np.zeros(wide.size, dtype=np.int64)
        for name, bits in WIDE.items():
            used, codes = np.unique(wide >> _WIDE_AT[name] & (1 << bits) - 1, return_inverse=True)
            new._core[name] = self._core[name].kept(used)
            found |= codes.astype(np.int64) << _WIDE_AT[name]
        return found


def _gathered(names: list[str], at: Keys) -> pl.Series:
    """Names by position; 0 is "", the first name 1."""
    return pl.Series(["", *names], dtype=pl.String).gather(pl.Series(at))
