"""Written texts of the simulator: templates of phrases.toml, filled in columns. Seeded [I/O]."""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.intake.cast import MOODS, TOPICS
from pipeline.intake.world import LANGUAGES, PRODUCTS, TOWNS

_SLOT = re.compile(r"\{(\w+)\}")
#: Characters that would need escaping in JSON; the texts go out as they stand.
_FORBIDDEN = re.compile(r'["\\\x00-\x1f]')
#: Shares of texts with a sentence before, a sentence after, of one word only, and with personal data.
BEFORE_SHARE, AFTER_SHARE, SHORT_SHARE, PERSONAL_SHARE = 0.5, 0.7, 0.02, 0.004
#: A template with fewer fillings always gets the sentences before and after, so that few texts are alike.
FEW_FILLINGS = 15_000

Numbers = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Template:
    """One sentence: a %-format, the names of its slots in order, and whether it has few fillings."""

    form: str
    slots: tuple[str, ...]
    sparse: bool


@dataclass(frozen=True, slots=True)
class Phrases:
    """All templates as one list, and where each kind stands in it: (first, count) by name, such as `en.delivery.0`."""

    templates: tuple[Template, ...]
    ranges: dict[str, tuple[int, int]]
    slots: dict[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Occasion:
    """What a column of texts is about: numbers into LANGUAGES, TOPICS, MOODS, PRODUCTS, TOWNS."""

    language: Numbers
    topic: Numbers
    mood: Numbers
    product: Numbers
    town: Numbers


@lru_cache(maxsize=1)
def phrases() -> Phrases:
    """The bundled sentences; raises ValueError when one could not stand in JSON or has an unknown slot."""
    document = tomllib.loads(files("pipeline.intake").joinpath("phrases.toml").read_text("utf-8"))
    slots: dict[str, tuple[str, ...]] = {
        **{name: tuple(values) for name, values in document["slots"].items()},
        "days": tuple(str(n) for n in range(2, 13)),
        "minutes": tuple(str(n) for n in range(3, 60)),
        "years": tuple(str(n) for n in range(2, 15)),
        "people": tuple(str(n) for n in range(3, 10)),
        "price": tuple(f"{n * 1.37 + 2.5:.2f} euros" for n in range(1, 700)),
        "order": tuple(str(10007 + 89 * n) for n in range(1000)),
        "order3": tuple(f"{n:03d}" for n in range(100, 200)),
        "product": PRODUCTS,
        "town": TOWNS,
    }
    templates: list[Template] = []
    ranges: dict[str, tuple[int, int]] = {}
    for name, sentences in _kinds(document):
        ranges[name] = (len(templates), len(sentences))
        templates.extend(_template(sentence, slots) for sentence in sentences)
    return Phrases(tuple(templates), ranges, slots)


def texts(rng: np.random.Generator, about: Occasion) -> list[str]:
    """One text an occasion, ready to stand between the quotes of a JSON string."""
    size = len(about.mood)
    chosen = _pick_main(rng, about)
    main = _fill(rng, chosen, about)
    sparse = np.array([template.sparse for template in phrases().templates])[chosen]
    english = about.language == 0
    short = rng.random(size) < SHORT_SHARE
    before = _fill(rng, _pick(rng, ["en.before"], np.where(sparse | (rng.random(size) < BEFORE_SHARE), 0, -1)), about)
    closers = np.where(sparse | (rng.random(size) < AFTER_SHARE), about.mood, -1)
    after = _fill(rng, _pick(rng, [f"en.after.{mood}" for mood in range(len(MOODS))], closers), about)
    personal = np.flatnonzero(rng.random(size) < PERSONAL_SHARE)
    bare = (~english) | short
    lines = [
        m if b else " ".join(filter(None, (x, m, y))) for m, x, y, b in zip(main, before, after, bare, strict=True)
    ]
    whole = np.full(size, -1)
    whole[short] = about.mood[short]
    words = _fill(rng, _pick(rng, [f"short.{mood}" for mood in range(len(MOODS))], whole), about)
    lines = [word or line for word, line in zip(words, lines, strict=True)]
    data = np.full(size, -1)
    data[personal] = 0
    extra = _fill(rng, _pick(rng, ["personal"], data), about)
    for index in personal.tolist():
        lines[index] += " " + extra[index]
    return lines


def _kinds(document: dict[str, Any]) -> list[tuple[str, list[str]]]:
    """(name of the kind, its sentences) in a fixed order."""
    kinds: list[tuple[str, list[str]]] = [("en.before", document["en"]["before"]["any"])]
    kinds.append(("personal", document["personal"]["any"]))
    for number, mood in enumerate(MOODS):
        kinds.append((f"en.after.{number}", document["en"]["after"][mood]))
        kinds.append((f"short.{number}", document["short"][mood]))
        kinds += [(f"en.{topic}.{number}", document["en"][topic][mood]) for topic in TOPICS]
        kinds += [(f"{language}.{number}", document[language]["any"][mood]) for language in LANGUAGES[1:]]
    return kinds


def _template(sentence: str, slots: dict[str, tuple[str, ...]]) -> Template:
    if _FORBIDDEN.search(sentence) or "%" in sentence:
        raise ValueError(f"a sentence must not hold quotes, backslashes, control characters or %: {sentence}")
    names = tuple(_SLOT.findall(sentence))
    unknown = sorted(set(names) - set(slots))
    if unknown:
        raise ValueError(f"unknown slots {unknown} in: {sentence}")
    return Template(_SLOT.sub("%s", sentence), names, math.prod(len(slots[name]) for name in names) < FEW_FILLINGS)


def _pick_main(rng: np.random.Generator, about: Occasion) -> Numbers:
    """Template number of each text's main sentence."""
    kinds = [f"en.{topic}.{mood}" for topic in TOPICS for mood in range(len(MOODS))]
    kinds += [f"{language}.{mood}" for language in LANGUAGES[1:] for mood in range(len(MOODS))]
    english = about.topic * len(MOODS) + about.mood
    abroad = len(TOPICS) * len(MOODS) + (about.language - 1) * len(MOODS) + about.mood
    return _pick(rng, kinds, np.where(about.language == 0, english, abroad))


def _pick(rng: np.random.Generator, kinds: Sequence[str], which: Numbers) -> Numbers:
    """A template number for each entry of `which` (a number into `kinds`); -1 stays -1."""
    ranges = np.array([phrases().ranges[kind] for kind in kinds])
    first, count = ranges[which, 0], ranges[which, 1]
    return np.where(which < 0, -1, first + (rng.random(len(which)) * count).astype(np.int64))


def _fill(rng: np.random.Generator, numbers: Numbers, about: Occasion) -> list[str]:
    """The filled template of each number; "" for -1. Templates are filled one by one, each for all its rows."""
    known = phrases()
    lines = [""] * len(numbers)
    order = np.argsort(numbers, kind="stable")
    order = order[np.searchsorted(numbers[order], 0) :]
    cuts = np.flatnonzero(np.diff(numbers[order])) + 1
    for rows in np.split(order, cuts) if len(order) else []:
        template = known.templates[int(numbers[rows[0]])]
        columns = [_values(rng, slot, rows, about) for slot in template.slots]
        filled = map(template.form.__mod__, zip(*columns, strict=True)) if columns else [template.form] * len(rows)
        for row, line in zip(rows.tolist(), filled, strict=True):
            lines[row] = line
    return lines


def _values(rng: np.random.Generator, slot: str, rows: Numbers, about: Occasion) -> list[str]:
    """What a slot holds in each row: the event's own product and town, else drawn."""
    values = phrases().slots[slot]
    if slot == "product":
        picked = about.product[rows]
    elif slot == "town":
        picked = about.town[rows]
    else:
        picked = rng.integers(0, len(values), len(rows))
    return [values[index] for index in picked.tolist()]
