"""Drawn events as bytes: every field is a table of ready JSON fragments, a line is their concatenation. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from pipeline.intake.cast import CHANNELS, METRICS, OUTCOMES, SOURCES, STORIES, TOUCHPOINTS, Columns
from pipeline.intake.wording import Occasion, texts
from pipeline.intake.world import BRANDS, DEVICES, LANGUAGES, PRODUCTS, UNITS, World, customer_name, people_of

#: Touchpoints about one product; the others carry none.
_WITH_PRODUCT = ("page_viewed", "order_placed", "delivery", "return_parcel")
#: Lowest step of a scale by its highest.
_LOWEST = {10: 0, 7: 1, 5: 1, 1: 0}
#: Agents of ours; 0 stands for none.
_AGENTS = 90

Numbers = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Encoded:
    """Events of one topic in order: Kafka key, value, event time in ms."""

    keys: list[bytes]
    values: list[bytes]
    times: list[int]


class Encoder:
    """Tables of one world. `salt` tells runs apart: the same world at another time has other event ids."""

    def __init__(self, world: World, salt: int) -> None:
        self._salt = salt
        people = people_of(world.seed, world.customers)
        self._people = people
        self._nobody = world.customers
        name_of = world.name or (lambda plain: plain)
        names = [name_of(customer_name(number)) for number in range(world.customers)]
        self._keys: list[bytes] = [name.encode() for name in names] + [b""] * len(UNITS)
        known = [
            f'","customer_id":"{name}","brand":"{BRANDS[brand]}","unit":"{UNITS[unit]}","language":"{LANGUAGES[language]}"'
            for name, brand, unit, language in zip(
                names, people.brand.tolist(), people.unit.tolist(), people.language.tolist(), strict=True
            )
        ]
        unknown = [f'","brand":"{BRANDS[number % 2]}","unit":"{unit}"' for number, unit in enumerate(UNITS)]
        self._persons = pl.Series(known + unknown)
        self._contacts = pl.Series([_contact(*code) for code in np.ndindex(_CONTACT_SHAPE)])
        self._remarks = pl.Series([_remark(*code) for code in np.ndindex(_REMARK_SHAPE)])
        self._scores = pl.Series([_score(steps, score) for steps in range(11) for score in range(-1, 11)])
        self._products = pl.Series(["", *(f',"product":"p{number:02d}"' for number in range(len(PRODUCTS)))])
        self._devices = pl.Series(["", *(f',"device":"{device}"' for device in DEVICES)])
        self._agents = pl.Series(["", *(f',"agent_id":"a{number:02d}"' for number in range(1, _AGENTS + 1))])
        self._has_product = np.array([touch in _WITH_PRODUCT for touch in TOUCHPOINTS])

    def touchpoints(self, columns: Columns) -> Encoded:
        """The touchpoints among drawn events, in their order."""
        rows = _rows(columns, columns["metric"] < 0)
        codes = (rows["channel"], rows["touch"], rows["outcome"], rows["story"])
        person = self._person(rows)
        parts = [
            *self._head(rows, person),
            _gather(self._contacts, np.ravel_multi_index(codes, _CONTACT_SHAPE)),
            self._product(rows),
            self._device(rows, person),
            _gather(self._agents, rows["agent"]),
            _patched(rows["value"], ',"value":{:.2f},"currency":"EUR"', 100.0),
            _patched(rows["duration"], ',"duration_ms":{:.0f}', 1.0),
        ]
        ids = parts[1]
        return self._finish(parts, person, ids, rows)

    def feedback(self, columns: Columns, rng: np.random.Generator) -> Encoded:
        """The feedback among drawn events, in their order; texts are drawn from `rng`."""
        rows = _rows(columns, columns["metric"] >= 0)
        codes = (rows["channel"], rows["touch"], rows["source"], rows["metric"])
        person = self._person(rows)
        submissions = _hex(_mixed(rows["number"], self._salt ^ 0x5C5C5C5C), 12)
        parts = [
            *self._head(rows, person),
            _gather(self._remarks, np.ravel_multi_index(codes, _REMARK_SHAPE)),
            _gather(self._scores, rows["steps"] * 12 + rows["score"] + 1),
            pl.lit(',"submission_id":"', pl.String),
            submissions,
            _gather(pl.Series(['"', '","revision":1']), rows["revision"]),
            self._product(rows),
            self._texts(rows, person, rng),
        ]
        return self._finish(parts, person, submissions, rows)

    def _head(self, rows: dict[str, Numbers], person: Numbers) -> list[pl.Series | pl.Expr]:
        numbers = rows["number"] * 2 + rows["revision"]
        times = pl.Series(rows["time"]).cast(pl.Datetime("ms")).dt.to_string("%Y-%m-%dT%H:%M:%S%.3fZ")
        return [
            pl.lit('{"event_id":"', pl.String),
            _hex(_mixed(numbers, self._salt), 16),
            pl.lit('","occurred_at":"', pl.String),
            times,
            _gather(self._persons, person),
        ]

    def _person(self, rows: dict[str, Numbers]) -> Numbers:
        """Place in the tables of persons: customers first, then the nameless by unit (customer = -1 - unit)."""
        customer = rows["customer"]
        return np.where(customer >= 0, customer, self._nobody - 1 - customer)

    def _product(self, rows: dict[str, Numbers]) -> pl.Series:
        return _gather(self._products, np.where(self._has_product[rows["touch"]], rows["product"] + 1, 0))

    def _device(self, rows: dict[str, Numbers], person: Numbers) -> pl.Series:
        """Only the web tells a device, and only of people we know."""
        known = (person < self._nobody) & (rows["channel"] == CHANNELS.index("web"))
        device = self._people.device[np.where(known, person, 0)]
        return _gather(self._devices, np.where(known, device + 1, 0))

    def _texts(self, rows: dict[str, Numbers], person: Numbers, rng: np.random.Generator) -> pl.Series:
        written = np.flatnonzero(rows["topic"] >= 0)
        who = person[written]
        known = who < self._nobody
        customer = np.where(known, who, 0)
        about = Occasion(
            language=np.where(known, self._people.language[customer], 0).astype(np.int64),
            topic=rows["topic"][written],
            mood=rows["mood"][written],
            product=rows["product"][written],
            town=np.where(known, self._people.unit[customer], who - self._nobody).astype(np.int64),
        )
        lines = [""] * len(person)
        for row, text in zip(written.tolist(), texts(rng, about) if len(written) else [], strict=True):
            lines[row] = f',"text":"{text}"'
        return pl.Series(lines, dtype=pl.String)

    def _finish(
        self,
        parts: Sequence[pl.Series | pl.Expr],
        person: Numbers,
        nameless: pl.Series | pl.Expr,
        rows: dict[str, Numbers],
    ) -> Encoded:
        """Concatenates; the key is the customer, else `nameless` (submission or event id)."""
        if not len(person):
            return Encoded([], [], [])
        lines = pl.select(pl.concat_str([*parts, pl.lit("}")])).to_series().cast(pl.Binary).to_list()
        keys = [self._keys[number] for number in person.tolist()]
        assert isinstance(nameless, pl.Series)
        for row in np.flatnonzero(person >= self._nobody).tolist():
            keys[row] = nameless[row].encode()
        return Encoded(keys, lines, rows["time"].tolist())


_CONTACT_SHAPE = (len(CHANNELS), len(TOUCHPOINTS), len(OUTCOMES), len(STORIES))
_REMARK_SHAPE = (len(CHANNELS), len(TOUCHPOINTS), len(SOURCES), len(METRICS))


def _contact(channel: int, touch: int, outcome: int, story: int) -> str:
    ended = f',"outcome":"{OUTCOMES[outcome]}"' if OUTCOMES[outcome] else ""
    return f',"channel":"{CHANNELS[channel]}","touchpoint":"{TOUCHPOINTS[touch]}","journey":"{STORIES[story]}"{ended}'


def _remark(channel: int, touch: int, source: int, metric: int) -> str:
    where = f',"channel":"{CHANNELS[channel]}","touchpoint":"{TOUCHPOINTS[touch]}"'
    return f'{where},"source":"{SOURCES[source]}","metric":"{METRICS[metric]}"'


def _score(steps: int, score: int) -> str:
    if steps not in _LOWEST or score < 0:
        return ""
    return f',"score":{score},"scale_min":{_LOWEST[steps]},"scale_max":{steps}'


def _rows(columns: Columns, mask: npt.NDArray[np.bool_]) -> dict[str, Numbers]:
    """Those rows, every column as 64-bit integers (indexes and codes are computed from them)."""
    return {name: column[mask].astype(np.int64) for name, column in columns.items()}


def _gather(table: pl.Series, index: npt.NDArray[np.integer]) -> pl.Series:
    return table.gather(pl.Series(index.astype(np.uint32)))


def _patched(amounts: Numbers, form: str, unit: float) -> pl.Series:
    """A fragment for each amount above zero, else nothing."""
    lines = [""] * len(amounts)
    for row in np.flatnonzero(amounts).tolist():
        lines[row] = form.format(amounts[row] / unit)
    return pl.Series(lines, dtype=pl.String)


def _mixed(numbers: Numbers, salt: int) -> npt.NDArray[np.uint64]:
    """64 well-mixed bits a number (splitmix64): different numbers stay different, all ids look alike."""
    mixed = numbers.view(np.uint64) + np.uint64(salt & 0xFFFFFFFFFFFFFFFF)
    with np.errstate(over="ignore"):
        mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))


def _hex(numbers: npt.NDArray[np.uint64], digits: int) -> pl.Series:
    """Each number as `digits` hex digits."""
    text = numbers.astype(">u8").tobytes().hex()
    return pl.Series([text[at : at + digits] for at in range(0, len(text), 16)], dtype=pl.String)
