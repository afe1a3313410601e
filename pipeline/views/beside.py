"""Further figures beside each score: another version of it, one voice per customer (pure)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from pipeline.errors import UsageError
from pipeline.scores.definitions import Definition
from pipeline.scores.reading import Question, matrix
from pipeline.views.figures import difference, number
from pipeline.views.score_lines import Extra


def add_version(rows: pl.DataFrame, question: Question, counted: pl.DataFrame, other: Definition) -> pl.DataFrame:
    """The same histograms read by another definition: `other_score`, `other_low`, `other_high`, `other_difference`.

    A scale that the other one does not read has none. Raises UsageError when it reads other answers.
    """
    if other.metric != question.defined.metric:
        raise UsageError(f"{other.name} reads answers of {other.metric}, not of {question.defined.metric}")
    keys = ["start", *question.by, "scale"]
    parts = []
    for (scale,), part in counted.group_by("scale", maintain_order=True):
        if other.boxes(str(scale)) is None:
            continue
        found = other.read(str(scale), matrix(part))
        parts.append(
            part.select(keys).with_columns(
                pl.Series(f"other_{name}", values).fill_nan(None)
                for name, values in (("score", found.score), ("low", found.low), ("high", found.high))
            )
        )
    empty = {name: rows.schema[name] for name in keys} | {f"other_{n}": pl.Float64() for n in ("score", "low", "high")}
    joined = rows.join(pl.concat([pl.DataFrame(schema=empty), *parts]), on=keys, how="left")
    same = other.unit == question.defined.unit
    change = pl.col("other_score") - pl.col("score") if same else pl.lit(None, pl.Float64)
    return joined.with_columns(
        change.alias("other_difference"), pl.lit(other.name).alias("other"), pl.lit(other.unit).alias("other_unit")
    ).sort(keys)


def version_columns(name: str) -> list[Extra]:
    """The columns of `add_version`."""

    def score(row: Mapping[str, Any]) -> str:
        return "" if row["other_score"] is None else number(row["other_score"], row["other_unit"])

    def change(row: Mapping[str, Any]) -> str:
        return "" if row["other_difference"] is None else difference(row["other_difference"], row["score_unit"])

    keys = ("other", "other_score", "other_low", "other_high", "other_difference")
    return [Extra(name, score, keys), Extra("difference", change)]


def add_voices(rows: pl.DataFrame, question: Question, voices: pl.DataFrame) -> pl.DataFrame:
    """One voice per customer beside every answer: `voice_n`, `voice_score`, `voice_low`, `voice_high`."""
    keys = ["start", *question.by, "scale"]
    beside = voices.select(*keys, *(pl.col(name).alias(f"voice_{name}") for name in ("n", "score", "low", "high")))
    return rows.join(beside, on=keys, how="left").sort(keys)


def _voice(row: Mapping[str, Any]) -> str:
    return "insufficient" if row["voice_score"] is None else number(row["voice_score"], row["score_unit"])


#: The columns of `add_voices`.
VOICES = [
    Extra("one voice", _voice, ("voice_n", "voice_score", "voice_low", "voice_high")),
    Extra("customers", lambda row: str(row["voice_n"] or 0)),
]


def weighs_voices(question: Question) -> bool:
    """Whether the definition weighs customers and not answers; sessions and several employees have no voices."""
    apart = question.gap_s is not None or (question.chosen_agents and len(question.filters["agent"]) > 1)
    return question.defined.weighting == "one_voice" and not apart


def add_leading(rows: pl.DataFrame, closed_s: int) -> pl.DataFrame:
    """Which figure is the score of record, `leads`: live every answer counts, in windows that were closed by then (Unix
    seconds) the definition's one voice per customer."""
    closed = pl.col("start") + pl.col("seconds") <= closed_s
    return rows.with_columns(pl.when(closed).then(pl.lit("one_voice")).otherwise(pl.lit("raw")).alias("leads"))


#: The columns of `add_voices` and `add_leading`, where a definition weighs so.
LEADING = [
    *VOICES,
    Extra("leads", lambda row: "one voice" if row["leads"] == "one_voice" else "every answer", ("leads",)),
]


def _change(name: str) -> Extra:
    def text(row: Mapping[str, Any]) -> str:
        if row[f"{name}_change"] is None:
            return "-"
        unit = row["score_unit"]
        ends = (difference(row[f"{name}_{end}"], unit) for end in ("low", "high"))
        # Marked where chance alone would hardly do it.
        sure = " *" if row[f"{name}_p"] < _UNLIKELY else ""
        return f"{difference(row[f'{name}_change'], unit)} [{' .. '.join(ends)}]{sure}"

    keys = ("score", "n", "change", "low", "high", "p")
    heads = {"previous": "since the window before", "week": "since last week"}
    return Extra(heads[name], text, tuple(f"{name}_{key}" for key in keys))


def _trend(row: Mapping[str, Any]) -> str:
    if row["trend"] is None:
        return "-"
    ends = (difference(row[f"trend_{end}"], row["score_unit"]) for end in ("low", "high"))
    return f"{difference(row['trend'], row['score_unit'])} [{' .. '.join(ends)}]"


def _detectable(row: Mapping[str, Any]) -> str:
    return "-" if row["detectable"] is None else difference(row["detectable"], row["score_unit"]).lstrip("+")


def _ranked_as(row: Mapping[str, Any]) -> str:
    return "-" if row["ranked_as"] is None else number(row["ranked_as"], row["score_unit"])


#: p under which a change is marked.
_UNLIKELY = 0.05
#: The columns of pipeline/scores/compared.py.
CHANGES = [
    _change("previous"),
    _change("week"),
    Extra("trend per window", _trend, ("trend", "trend_low", "trend_high")),
]
#: What a window of so many answers can show at all: beside every score.
SEEN = Extra("smallest drop seen", _detectable, ("detectable",))
#: The columns of a ranking.
RANKING = [
    Extra("rank", lambda row: str(row["rank"] or "-"), ("rank",)),
    Extra("ranked as", _ranked_as, ("ranked_as",)),
]
