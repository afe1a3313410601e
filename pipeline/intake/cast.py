"""People at the same point of the same story: what they do, what they say, as columns. Pure.

A `Cast` is a number of journeys that stand at the same point of the same story, as arrays. A story moves a cast on
(`later`), splits it (`only`), and writes down what was done (`did`) and said (`said`). What happened changes
`feeling`, and every answer is drawn from it.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from pipeline.intake.world import Bools, Floats, Ints, People, Trouble, World, struck
from schemas.vocabulary import Channel, Metric, Source

TOUCHPOINTS: tuple[str, ...] = (
    *("page_viewed", "product_searched", "checkout", "payment", "order_placed", "store_visit", "delivery"),
    *("return_parcel", "invoice", "app_session", "support_call", "support_chat", "ticket_solved", "contract_renewal"),
)
CHANNELS: tuple[str, ...] = tuple(channel.value for channel in Channel)
SOURCES: tuple[str, ...] = tuple(source.value for source in Source)
METRICS: tuple[str, ...] = tuple(metric.value for metric in Metric)
OUTCOMES: tuple[str, ...] = ("", "ok", "fail", "abandon")
TOPICS: tuple[str, ...] = ("delivery", "checkout", "price", "staff", "app", "quality", "billing", "support")
STORIES: tuple[str, ...] = ("browse", "order", "visit", "app", "service")
MOODS: tuple[str, ...] = ("negative", "neutral", "positive")

#: Share of answers that come with a text; reviews and posts more often, see `said`.
TEXT_SHARE = 0.2
#: Share of answers that are edited later: the same submission again with revision 1.
EDITED_SHARE = 0.006

#: The columns of drawn events. `number` is unique by journey and step; `value` is in cents; `topic` -1 means no text.
COLUMNS: dict[str, type[np.signedinteger]] = {
    "time": np.int64,
    "number": np.int64,
    "customer": np.int32,
    "story": np.int8,
    "touch": np.int8,
    "channel": np.int8,
    "outcome": np.int8,
    "metric": np.int8,
    "score": np.int8,
    "steps": np.int8,
    "source": np.int8,
    "topic": np.int8,
    "mood": np.int8,
    "product": np.int8,
    "agent": np.int8,
    "value": np.int32,
    "duration": np.int32,
    "revision": np.int8,
}
Columns = dict[str, npt.NDArray[np.integer]]
Column = npt.NDArray[np.integer] | int

#: (score at a neutral feeling, steps of the score by unit of feeling, lowest, highest) by metric.
ANSWERS: dict[str, tuple[float, float, int, int]] = {
    "nps": (7.6, 1.9, 0, 10),
    "csat": (3.9, 0.95, 1, 5),
    "ces": (5.3, 1.2, 1, 7),
    "rating": (3.9, 1.05, 1, 5),
    "thumb": (0.75, 0.6, 0, 1),
}


@dataclass(slots=True)
class Draft:
    """Where casts write their events down; `steps` numbers them."""

    parts: list[dict[str, Column]] = field(default_factory=list)
    steps: int = 0


#: A journey has fewer steps than this; the factor between journey numbers and event numbers.
MOST_STEPS = 256


@dataclass(frozen=True, slots=True)
class Cast:
    """Journeys at the same point of the same story, as columns of equal length."""

    world: World
    people: People
    rng: np.random.Generator
    draft: Draft
    story: int
    number: Ints
    customer: npt.NDArray[np.int32]
    time: Ints
    feeling: Floats
    product: npt.NDArray[np.int8]
    value: npt.NDArray[np.int32]

    def only(self, mask: Bools) -> Cast:
        """Those for which `mask` holds."""
        return replace(
            self,
            number=self.number[mask],
            customer=self.customer[mask],
            time=self.time[mask],
            feeling=self.feeling[mask],
            product=self.product[mask],
            value=self.value[mask],
        )

    def in_story(self, number: int) -> Cast:
        """The same people, as the cast of a story of STORIES."""
        return replace(self, story=number)

    def later(self, low_s: float, high_s: float) -> Cast:
        """The same people, `low_s` to `high_s` seconds on (at pace 1)."""
        waits = self.rng.uniform(low_s * 1000, high_s * 1000, len(self.time)) * self.world.pace
        return replace(self, time=self.time + waits.astype(np.int64))

    def feels(self, change: float) -> Cast:
        """The same people, happier or less happy by `change`."""
        return replace(self, feeling=self.feeling + change)

    def chance(self, share: float | Floats) -> Bools:
        """True for `share` of them, by lot."""
        return self.rng.random(len(self.time)) < share

    def some(self, share: float) -> Cast:
        """`share` of them, by lot."""
        return self.only(self.chance(share))

    def split(self, share: float | Floats) -> tuple[Cast, Cast]:
        """(`share` of them by lot, the others)."""
        mask = self.chance(share)
        return self.only(mask), self.only(~mask)

    def trouble(self, kind: Trouble, usual: float) -> Floats:
        """Share that goes wrong: the usual one, or an incident's where it is larger."""
        return np.maximum(usual, struck(self.world, kind, self.people.unit[self.customer], self.time))

    def did(self, touch: str, channel: str, outcome: str = "", seconds: tuple[int, int] = (0, 0)) -> Cast:
        """All of them had this contact; `seconds` is how long it took."""
        duration: Column = 0
        if seconds[1]:
            duration = self.rng.integers(seconds[0] * 1000, seconds[1] * 1000, len(self.time))
        sale = touch in ("payment", "order_placed", "invoice")
        columns: dict[str, Column] = {
            "touch": TOUCHPOINTS.index(touch),
            "channel": CHANNELS.index(channel),
            "outcome": OUTCOMES.index(outcome),
            "metric": -1,
            "value": self.value if sale else 0,
            "duration": duration,
            "agent": self.rng.integers(1, 90, len(self.time)) if channel in ("call", "chat", "store") else 0,
        }
        self._note(columns)
        return self

    def said(
        self, touch: str, answer: str, where: tuple[str, str], topics: tuple[str, ...], share: float = 1.0
    ) -> Cast:
        """`share` of them answer when asked: `answer` is a key of ANSWERS or "text", `where` = (channel, source)."""
        voices = self.some(1.0 - (1.0 - share) ** 2)  # everybody is asked twice
        channel, source = where
        size = len(voices.time)
        temper = self.people.temper[voices.customer]
        felt = voices.feeling + temper + self.rng.normal(0.0, 0.55, size)
        open_text = answer == "text"
        texts = np.ones(size, np.bool_) if open_text else voices.chance(0.5 if source == "review" else TEXT_SHARE)
        about = self.rng.choice(np.array([TOPICS.index(topic) for topic in topics]), size)
        tone = felt + self.rng.normal(0.0, 0.2, size)
        columns: dict[str, Column] = {
            "touch": TOUCHPOINTS.index(touch),
            "channel": CHANNELS.index(channel),
            "source": SOURCES.index(source),
            "metric": METRICS.index({"thumb": "csat", "text": "sentiment_only"}.get(answer, answer)),
            "topic": np.where(texts, about, -1),
            "mood": np.where(tone < -0.45, 0, np.where(tone > 0.2, 2, 1)),
            "score": -1 if open_text else _score(answer, felt),
            "steps": 0 if open_text else ANSWERS[answer][3],
        }
        voices._note(columns)
        if not open_text and source == "survey":
            edited = voices.chance(EDITED_SHARE)
            again = {
                name: column[edited] if isinstance(column, np.ndarray) else column for name, column in columns.items()
            }
            higher = np.minimum(np.asarray(again["score"]) + 1, ANSWERS[answer][3])
            voices.only(edited).later(60, 3600)._note({**again, "score": higher, "revision": 1}, same=True)
        return self

    def _note(self, columns: dict[str, Column], *, same: bool = False) -> None:
        """Writes events down; `same` keeps the step's number (an edited answer is the same submission)."""
        if not same:
            self.draft.steps += 1
        self.draft.parts.append(
            {
                "time": self.time,
                "number": self.number * MOST_STEPS + self.draft.steps,
                "customer": self.customer,
                "story": self.story,
                "product": self.product,
                **columns,
            }
        )


def _score(answer: str, felt: Floats) -> npt.NDArray[np.int8]:
    """The step of the scale that fits a feeling."""
    middle, slope, low, high = ANSWERS[answer]
    scores: npt.NDArray[np.int8] = np.clip(np.rint(middle + slope * felt), low, high).astype(np.int8)
    return scores


def joined(parts: list[dict[str, Column]]) -> Columns:
    """One table of many parts; a column that a part does not have is 0."""
    sizes = [len(np.asarray(part["time"])) for part in parts]
    return {
        name: np.concatenate(
            [
                np.broadcast_to(np.asarray(part.get(name, 0)).astype(kind), (size,))
                for part, size in zip(parts, sizes, strict=True)
            ]
            or [np.empty(0, kind)]
        )
        for name, kind in COLUMNS.items()
    }
