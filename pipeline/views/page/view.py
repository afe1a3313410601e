"""What a viewer looks at: a span of time and filters, and what the viewer may see of it. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from pipeline.errors import UsageError
from pipeline.slices import CORE

_DAY: Final = 86_400


@dataclass(frozen=True, slots=True)
class Span:
    """A length of time: shown in steps of `grain_s`, compared with `back_s` before, made anew every `every_s`."""

    seconds: int
    grain_s: int
    back_s: int
    every_s: float

    @property
    def usual_s(self) -> int:
        """Width of the slots of the week that say what is to be expected: weeks that are over are kept by the hour."""
        return max(self.grain_s, 3600)


#: The spans of the page, by the word in its address. A week before has the same hour of the same weekday.
SPANS: Final[Mapping[str, Span]] = {
    "1h": Span(3600, 300, 7 * _DAY, 0.5),
    "24h": Span(_DAY, 900, 7 * _DAY, 10.0),
    "7d": Span(7 * _DAY, 3600, 7 * _DAY, 30.0),
    "28d": Span(28 * _DAY, 6 * 3600, 28 * _DAY, 60.0),
}

#: What the page filters by; the reading API takes every dimension.
FILTERS: Final = CORE
#: Values of one filter: a page address has room for a handful, and each value costs a parameter.
MOST_VALUES: Final = 50

#: The last hour of a unit comes from ClickHouse: eight questions, so not twice a second.
ASKED_S: Final = 3.0

#: The line of the live hour begins so much earlier when an alert's trouble began there: who opens the page sees it.
EARLIER_S: Final = 2 * 3600

Filters = tuple[tuple[str, tuple[str, ...]], ...]


@dataclass(frozen=True, slots=True)
class Grant:
    """What a reader may see: every brand, unit and channel where the tuple is empty, else only these."""

    name: str
    brands: tuple[str, ...] = ()
    units: tuple[str, ...] = ()
    channels: tuple[str, ...] = ()

    @property
    def _bounds(self) -> tuple[tuple[str, tuple[str, ...]], ...]:
        return (("brand", self.brands), ("unit", self.units), ("channel", self.channels))

    @property
    def narrow(self) -> bool:
        """Whether something is hidden from this reader."""
        return any(allowed for _, allowed in self._bounds)

    def within(self, filters: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]] | None:
        """The filters with what the grant asks for added; None when nothing is left that may be seen."""
        found = dict(filters)
        for name, allowed in self._bounds:
            if not allowed:
                continue
            asked = found.get(name)
            found[name] = allowed if asked is None else tuple(value for value in asked if value in allowed)
            if not found[name]:
                return None
        return found

    def sees(self, scope: Mapping[str, str]) -> bool:
        """Whether a scope lies inside the grant; a scope that names no brand covers all of them."""
        return all(not allowed or scope.get(name, "") in allowed for name, allowed in self._bounds)


#: Who looks at an embedded stack on its own machine.
EVERYTHING: Final = Grant("everything")


@dataclass(frozen=True, slots=True)
class View:
    """One thing to look at: all viewers of equal views get the same bytes. `filters` are sorted by name."""

    span: str
    filters: Filters = ()
    narrow: bool = False

    @classmethod
    def of(cls, span: str, filters: Mapping[str, Sequence[str]], narrow: bool = False) -> View:
        """Raises UsageError for a span or a filter that does not exist."""
        if span not in SPANS:
            raise UsageError(f"there is no span {span!r}; there are {', '.join(SPANS)}")
        for name, values in filters.items():
            if name not in FILTERS:
                raise UsageError(f"the page has no filter {name!r}; it has {', '.join(FILTERS)}")
            if len(values) > MOST_VALUES:
                raise UsageError(f"{len(values)} values of {name}: at most {MOST_VALUES}")
        kept = tuple(sorted((name, tuple(sorted(set(values)))) for name, values in filters.items() if values))
        return cls(span, kept, narrow)

    @property
    def of_span(self) -> Span:
        """Its span."""
        return SPANS[self.span]

    @property
    def chosen(self) -> dict[str, tuple[str, ...]]:
        """Its filters by name."""
        return dict(self.filters)

    def first(self, now: int) -> int:
        """Begin of what is shown at `now`: whole steps, the open one included."""
        span = self.of_span
        return now // span.grain_s * span.grain_s + span.grain_s - span.seconds

    def earliest(self, now: int) -> int:
        """The first step that its line may begin with."""
        return self.first(now) - EARLIER_S if self.live else self.first(now)

    @property
    def live(self) -> bool:
        """Whether the board answers it; else only ClickHouse can: other spans, and units (not in the board's cut)."""
        return self.span == "1h" and "unit" not in dict(self.filters)

    @property
    def every_s(self) -> float:
        """How often it is made anew at most."""
        return self.of_span.every_s if self.live or self.span != "1h" else ASKED_S
