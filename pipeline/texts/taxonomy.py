"""Topics of texts: a declared taxonomy of words and phrases, found in a whole column at once (pure).

A taxonomy is read as a whole or not at all: every mistake is named in one SettingsError. Texts and words are folded
alike (capitals, accents and signs between words do not matter); then one automaton looks for all words of all topics in
one pass over a text, however many there are.
"""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from pipeline.errors import SettingsError

#: The taxonomy that comes with the package.
DEFAULT_PATH: Final = Path(__file__).with_name("taxonomy.toml")
#: The key of words that belong to no language: names of firms, words that all languages share.
ANY: Final = "any"
#: One bit each where topics are told apart (journeys/mentions.py); a person does not overlook more either.
MOST_TOPICS: Final = 63
#: Words of all topics together: the automaton is built anew for each slice, 1 ms for so many.
MOST_WORDS: Final = 5_000
#: Characters of a word or phrase.
LONGEST_WORD: Final = 80
#: Letters beside a star: "a*" is in every text.
LEAST_STEM: Final = 3

_TOPIC: Final = ("name", "words", "except")
_ID: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")
_LANGUAGE: Final = re.compile(r"[a-z]{2,3}")
#: Links, names and what stands for masked numbers are no words of the customer's.
_NO_WORDS: Final = r"(?i:https?://|www\.)\S+|@\w+|\[(?:email|phone|card|iban|id)\]"
_BETWEEN_WORDS: Final = r"[^\p{L}\p{M}\p{N}]+"
#: Stands where an exception stood, so that no phrase reaches over it.
_CUT: Final = " | "


#: One bit a topic.
Bits = NDArray[np.uint64]


class Word(NamedTuple):
    """A word or phrase as it is looked for in a folded text, where each word has one blank before and one behind.

    `topic` is its number; `excepted` ones take away what of the topic stands inside them.
    """

    pattern: str
    topic: int
    language: str
    excepted: bool


@dataclass(frozen=True, slots=True)
class Taxonomy:
    """A valid taxonomy: topics (id -> name for people) in their order, and their words."""

    topics: Mapping[str, str]
    words: tuple[Word, ...]
    version: str = field(init=False)
    _patterns: pl.Series = field(init=False, repr=False, compare=False)
    _codes: pl.Enum = field(init=False, repr=False, compare=False)
    _languages: tuple[str, ...] = field(init=False, repr=False, compare=False)
    _meant: tuple[Bits, Bits] = field(init=False, repr=False, compare=False)
    _exceptions: Mapping[int, Mapping[str, str]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        patterns = list(dict.fromkeys(word.pattern for word in self.words))
        languages = tuple(sorted({word.language for word in self.words} - {ANY}))
        # By language (the last one stands for all that no topic knows) and pattern: the topics that it speaks for, and
        # those of which it takes words away.
        meant = np.zeros((2, len(languages) + 1, len(patterns)), np.uint64)
        exceptions: dict[int, dict[str, str]] = {}
        places = {pattern: place for place, pattern in enumerate(patterns)}
        for word in self.words:
            for row, language in enumerate((*languages, ANY)):
                if ANY in (language, word.language) or language == word.language:
                    meant[int(word.excepted), row, places[word.pattern]] |= np.uint64(1 << word.topic)
            if word.excepted:
                exceptions.setdefault(word.topic, {})[word.pattern] = _CUT
        said = repr((list(self.topics), sorted(self.words)))
        object.__setattr__(self, "version", hashlib.sha256(said.encode()).hexdigest()[:12])
        object.__setattr__(self, "_patterns", pl.Series(patterns, dtype=pl.String).implode())
        object.__setattr__(self, "_codes", pl.Enum(patterns))
        object.__setattr__(self, "_languages", languages)
        object.__setattr__(self, "_meant", (meant[0], meant[1]))
        object.__setattr__(self, "_exceptions", exceptions)

    @classmethod
    def parse(cls, text: str, source: str = "taxonomy") -> Taxonomy:
        """The taxonomy that a TOML text describes; `source` names it in errors."""
        try:
            document = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise SettingsError(f"the taxonomy {source} is not valid TOML: {error}") from error
        wrong = [f"unknown key {key!r}" for key in document if key != "topics"]
        tables = document.get("topics")
        if not isinstance(tables, dict) or not tables:
            wrong.append("there is no topic: write a table [topics.<id>] for each")
            tables = {}
        if len(tables) > MOST_TOPICS:
            wrong.append(f"there are {len(tables)} topics; {MOST_TOPICS} can be told apart")
        topics = {topic: _name(topic, table, wrong) for topic, table in tables.items()}
        stated = [each for number, topic in enumerate(topics) for each in _stated(number, topic, tables[topic], wrong)]
        words = _words(stated, list(topics), wrong)
        if len(words) > MOST_WORDS:
            wrong.append(f"there are {len(words)} words; at most {MOST_WORDS} are looked for")
        if wrong:
            raise SettingsError(f"the taxonomy {source} does not hold: " + "; ".join(wrong))
        return cls(topics, tuple(words))

    def found(self, texts: pl.Series, languages: pl.Series) -> pl.Series:
        """Column `topics` (String): the ids of each text's topics in the taxonomy's order, a comma between.

        `languages` are primary subtags. A text of a language that no topic knows is read with the words of all.
        """
        read = folded(texts)
        among = dict(zip(self._languages, range(len(self._languages)), strict=True))
        of = languages.replace_strict(among, default=len(among), return_dtype=pl.Int64).to_numpy()
        bits, excepted = self._bits(read, of)
        for topic, exceptions in self._exceptions.items():
            rows = np.flatnonzero(bits & excepted & np.uint64(1 << topic))
            if len(rows):
                rest = read.gather(rows).str.replace_many(dict(exceptions), leftmost=True)
                gone = self._bits(rest, of[rows])[0] & np.uint64(1 << topic) == 0
                bits[rows[gone]] &= ~np.uint64(1 << topic)
        each, place = np.unique(bits, return_inverse=True)
        return pl.Series("topics", [self._named(int(found)) for found in each], dtype=pl.String).gather(place)

    def _named(self, bits: int) -> str:
        return ",".join(topic for place, topic in enumerate(self.topics) if bits >> place & 1)

    def _bits(self, read: pl.Series, of: NDArray[np.int64]) -> tuple[Bits, Bits]:
        """For each folded text the bits of its topics, and of the topics with an exception in it."""
        hits = read.str.extract_many(self._patterns, overlapping=True)
        times = hits.list.len().cast(pl.Int64).to_numpy()
        some = np.flatnonzero(times)
        found = np.zeros((2, len(read)), np.uint64)
        if len(some):
            codes = hits.explode(empty_as_null=False).cast(self._codes).to_physical().to_numpy()
            starts = np.cumsum(times)[some] - times[some]
            rows = np.repeat(of, times)
            for kind, meant in enumerate(self._meant):
                found[kind, some] = np.bitwise_or.reduceat(meant[rows, codes], starts)
        return found[0], found[1]


def folded(texts: pl.Series) -> pl.Series:
    """Texts as they are compared: small letters without accents, one blank before, between and behind the words."""
    read = texts.str.replace_all(_NO_WORDS, " ").str.to_lowercase()
    wide = (read.str.len_bytes() != read.str.len_chars()).arg_true()
    if len(wide):  # only texts that are not ASCII pay for it
        apart = read.gather(wide).str.normalize("NFKD").str.replace_all(r"\p{Mn}", "").str.to_lowercase()
        read = read.clone().scatter(wide, apart.str.replace_many({"ß": "ss", "ς": "σ"}))
    return " " + read.str.replace_all(_BETWEEN_WORDS, " ").str.strip_chars(" ") + " "


def _name(topic: str, table: object, wrong: list[str]) -> str:
    """The topic's name for people; what is wrong with its table as such."""
    if not _ID.fullmatch(topic):
        wrong.append(f"topic {topic!r}: an id has small letters, digits, - and _, at most 40")
    if not isinstance(table, dict):
        wrong.append(f"topic {topic} must be a table with words")
        return topic
    wrong += [
        f"topic {topic} has an unknown key {key!r}; there are {', '.join(_TOPIC)}" for key in table if key not in _TOPIC
    ]
    name = table.get("name", topic)
    if not isinstance(name, str) or not name.strip():
        wrong.append(f"topic {topic}: name must be a text")
    return str(name)


class _Stated(NamedTuple):
    """A word as the file has it."""

    topic: int
    key: str
    language: str
    word: str


def _stated(number: int, topic: str, table: object, wrong: list[str]) -> Iterator[_Stated]:
    """Every word of a topic's table, and what is wrong with its lists."""
    for key in ("words", "except"):
        lists = table.get(key, {}) if isinstance(table, dict) else {}
        if not isinstance(lists, dict):
            wrong.append(f"topic {topic}: {key} must be a table with a list for each language")
            continue
        for language, words in lists.items():
            if language != ANY and not _LANGUAGE.fullmatch(language):
                wrong.append(f"topic {topic}: {language!r} is no language: write a code such as en, or {ANY} for all")
            if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
                wrong.append(f"topic {topic}: {key}.{language} must be a list of texts")
                continue
            yield from (_Stated(number, key, language, word.strip()) for word in words)


def _words(stated: Sequence[_Stated], topics: Sequence[str], wrong: list[str]) -> list[Word]:
    """The words as they stand in folded texts: a blank at each end that has no star."""
    read = folded(pl.Series([each.word for each in stated], dtype=pl.String)).to_list()
    found: dict[Word, None] = {}
    for each, text in zip(stated, read, strict=True):
        first, last = each.word.startswith("*"), each.word.endswith("*")
        word = Word(text[first : len(text) - last], each.topic, each.language, each.key == "except")
        if (trouble := _trouble(each.word, word.pattern)) or word in found:
            where = f"topic {topics[each.topic]}: {each.word!r} in {each.key}.{each.language}"
            wrong.append(f"{where} {trouble or 'stands there twice'}")
        found[word] = None
    mine: dict[int, list[str]] = {number: [] for number in range(len(topics))}
    for word in found:
        if not word.excepted:
            mine[word.topic].append(word.pattern)
    wrong += [f"topic {topics[at]} has no words: write en = [...] under words" for at, some in mine.items() if not some]
    for word in found:
        said = word.pattern.strip()
        if word.excepted and not any(pattern in f" {said} " for pattern in mine[word.topic]):
            wrong.append(
                f"topic {topics[word.topic]}: the exception {said!r} takes nothing away, no word of the topic is in it"
            )
    return list(found)


def _trouble(word: str, pattern: str) -> str:
    """What is wrong with a word, "" for nothing."""
    letters = pattern.replace(" ", "")
    if len(word) > LONGEST_WORD:
        return f"has more than {LONGEST_WORD} characters"
    if "*" in word.strip().strip("*"):
        return "has a star inside; it may stand at the ends only"
    if not letters:
        return "has no letter"
    # Signs that are words by themselves (Chinese, Japanese) are no stems.
    if "*" in word and letters.isascii() and len(letters) < LEAST_STEM:
        return f"needs {LEAST_STEM} letters beside its star"
    return ""
