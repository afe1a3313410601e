"""The simulated world: its customers, units, brands, products and what goes wrong in it. Pure and seeded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from functools import lru_cache

import numpy as np
import numpy.typing as npt

REGIONS: tuple[str, ...] = ("north", "east", "south", "west")
BRANDS: tuple[str, ...] = ("aurora", "birch")
#: 40 units, ten a region: u01-u10 north, u11-u20 east, u21-u30 south, u31-u40 west. Each stands in a town of its own.
TOWNS: tuple[str, ...] = (
    *("Alderby", "Birkholm", "Corvik", "Dunmoor", "Elsund", "Farhaven", "Grimsdal", "Holmby", "Isberg", "Kaldvik"),
    *("Lindow", "Marwitz", "Neudorf", "Ostrava Mill", "Pleskow", "Quarnstedt", "Rovin", "Seldin", "Tarnau", "Uckro"),
    *("Valdoro", "Avesta", "Bellmare", "Castelro", "Dorava", "Esperia", "Fontanel", "Giralda", "Horta", "Ilmena"),
    *(
        "Jarrow Bay",
        "Kenmouth",
        "Larne Hill",
        "Morvan",
        "Northgate",
        "Oakbury",
        "Penrose",
        "Ravenport",
        "Stowe",
        "Trevane",
    ),
)
UNITS: tuple[str, ...] = tuple(f"u{number:02d}" for number in range(1, len(TOWNS) + 1))
#: Units a region.
PER_REGION = len(UNITS) // len(REGIONS)
PRODUCTS: tuple[str, ...] = (
    *("kettle", "toaster", "desk lamp", "office chair", "backpack", "rain jacket", "coffee maker", "bicycle helmet"),
    *("headphones", "tent", "suitcase", "blender", "vacuum cleaner", "hair dryer", "running shoes", "winter coat"),
    *(
        "bookshelf",
        "mattress",
        "garden hose",
        "cordless drill",
        "paint roller",
        "frying pan",
        "knife set",
        "alarm clock",
    ),
    *("radio", "tablet", "keyboard", "printer", "baby monitor", "high chair", "board game", "football"),
    *("yoga mat", "water bottle", "sleeping bag", "electric shaver", "scale", "mirror", "curtain", "rug"),
)
LANGUAGES: tuple[str, ...] = ("en", "de", "fr", "es")
#: About 3 % of customers write in another language than English.
LANGUAGE_SHARES: tuple[float, ...] = (0.97, 0.01, 0.01, 0.01)
DEVICES: tuple[str, ...] = ("phone", "desktop", "tablet")
SEGMENTS: tuple[str, ...] = ("new", "loyal", "premium", "business", "student")
SEGMENT_SHARES: tuple[float, ...] = (0.25, 0.35, 0.12, 0.10, 0.15)

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


class Trouble(StrEnum):
    """What a planted incident does."""

    LATE_DELIVERY = "late_delivery"
    FAILED_CHECKOUT = "failed_checkout"
    SLOW_SUPPORT = "slow_support"


@dataclass(frozen=True, slots=True)
class Incident:
    """From `start_ms` on (until `end_ms`), `share` of what `trouble` concerns fails in `region` ("" = everywhere)."""

    trouble: Trouble
    start_ms: int
    end_ms: int | None = None
    region: str = "north"
    share: float = 0.7


@dataclass(frozen=True, slots=True)
class World:
    """Parameters of a simulation. The same world gives the same bytes, run by run.

    `bad` is the share of planted bad events; `pace` shortens the waits inside a journey (1 = as in life, 1/4000 =
    a journey of days passes in about a minute); `cycle` switches the daily and weekly rhythm on. `name` turns a
    customer's plain name into the form of the deployment's topics (a pseudonym where they carry pseudonyms).
    """

    seed: int = 7
    customers: int = 100_000
    bad: float = 0.002
    incidents: tuple[Incident, ...] = ()
    pace: float = 1.0
    cycle: bool = True
    name: Callable[[str], str] | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class People:
    """Arrays by customer number. `temper` shifts every answer of a customer: some are hard to please for ever."""

    unit: npt.NDArray[np.int8]
    brand: npt.NDArray[np.int8]
    language: npt.NDArray[np.int8]
    device: npt.NDArray[np.int8]
    temper: Floats
    segments: npt.NDArray[np.bool_]


@lru_cache(maxsize=2)
def people_of(seed: int, customers: int) -> People:
    """The customers of a world: drawn once, the same for history and live."""
    rng = np.random.default_rng([seed, 1])
    unit = rng.choice(len(UNITS), customers, p=_unit_shares()).astype(np.int8)
    segments = rng.random((customers, len(SEGMENTS))) < np.array(SEGMENT_SHARES)
    temper = rng.normal(0.0, 0.45, customers)
    return People(
        unit=unit,
        brand=(rng.random(customers) < 0.4).astype(np.int8),
        language=rng.choice(len(LANGUAGES), customers, p=LANGUAGE_SHARES).astype(np.int8),
        device=rng.choice(len(DEVICES), customers, p=(0.6, 0.3, 0.1)).astype(np.int8),
        temper=temper + 0.25 * segments[:, SEGMENTS.index("loyal")],
        segments=segments,
    )


def customer_name(number: int) -> str:
    """The plain name of a customer."""
    return f"c{number:07d}"


def region_of(unit: npt.NDArray[np.int8]) -> npt.NDArray[np.int8]:
    """Region number of each unit number."""
    return unit // np.int8(PER_REGION)


def struck(world: World, trouble: Trouble, unit: npt.NDArray[np.int8], time: Ints) -> Floats:
    """Share of things that go wrong by an incident, for each (unit, time in ms); 0 where there is none."""
    shares = np.zeros(len(time))
    for incident in world.incidents:
        if incident.trouble is not trouble:
            continue
        hit = time >= incident.start_ms
        if incident.end_ms is not None:
            hit &= time < incident.end_ms
        if incident.region:
            hit &= region_of(unit) == REGIONS.index(incident.region)
        shares[hit] = np.maximum(shares[hit], incident.share)
    return shares


_AGO = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}


def parse_time(text: str, now_ms: int) -> int:
    """ms of `+30s`, `-7d` (from now; s, m, h, d) or of an ISO 8601 time (UTC unless it says else); else ValueError."""
    if text[:1] in ("+", "-") and text[-1:] in _AGO and text[1:-1].isdecimal():
        return now_ms + int(text[:-1]) * _AGO[text[-1]]
    moment = datetime.fromisoformat(text)
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)


def parse_incident(text: str, now_ms: int) -> Incident:
    """An incident as the command line names it: TROUBLE@WHEN[/REGION], e.g. `late_delivery@+30s/north`.

    Without a region it strikes everywhere; see parse_time for WHEN. Raises ValueError for anything else.
    """
    trouble, _, rest = text.partition("@")
    when, _, region = rest.partition("/")
    if trouble not in list(Trouble):
        raise ValueError(f"no trouble {trouble!r}; one of {', '.join(Trouble)}")
    if region and region not in REGIONS:
        raise ValueError(f"no region {region!r}; one of {', '.join(REGIONS)}")
    return Incident(Trouble(trouble), parse_time(when, now_ms), region=region)


def _unit_shares() -> Floats:
    """Units differ in size: the largest has about five times the customers of the smallest."""
    weights = 1.0 + 4.0 * ((np.arange(len(UNITS)) * 17) % len(UNITS)) / len(UNITS)
    shares: Floats = weights / weights.sum()
    return shares
