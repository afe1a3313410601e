"""The answer to a question with everything that is wanted beside it [I/O]."""

from __future__ import annotations

from dataclasses import replace

import polars as pl

from pipeline.clickhouse import ClickHouse
from pipeline.errors import UsageError
from pipeline.scores import compared, reading, tree
from pipeline.scores.definitions import Definitions
from pipeline.scores.reading import Question
from pipeline.scores.spans import zone
from pipeline.views import beside
from pipeline.views.answered import Answer, More
from pipeline.views.score_lines import Extra


def answer(client: ClickHouse, question: Question, more: More, known: Definitions) -> Answer:
    """Reads what was asked. Raises UsageError for what does not fit together, Unavailable."""
    if more.tree is not None:
        if more.compare or more.rank or more.voices or more.beside:
            raise UsageError("--tree shows the units as they add up, without --compare, --rank, --voices and --beside")
        return _tree(client, question, more)
    led, by_voice = beside.weighs_voices(question), question
    if more.voices or led:
        by_voice = replace(question, one_voice=True)
    if more.compare or more.rank:
        compared.comparable(question, groups=more.rank)
    counted = reading.counted(client, question)
    rows = reading.with_detectable(question, reading.scored(question, counted))
    extras = _seen(question)
    if more.beside:
        rows = beside.add_version(rows, question, counted, known.find(more.beside))
        extras += beside.version_columns(more.beside)
    if by_voice.one_voice:
        rows = beside.add_voices(rows, question, reading.read_scores(client, by_voice))
        extras += beside.VOICES if not led else beside.LEADING
    if led:
        rows = beside.add_leading(rows, reading.closed_until(client, question.as_of_ms))
    if more.compare:
        rows = compared.compare(client, question, rows, zone(more.tz))
        extras += beside.CHANGES
    if more.rank:
        rows = compared.rank(question, rows)
        extras += beside.RANKING
    return Answer(question, rows.to_dicts(), extras)


def led(client: ClickHouse, question: Question) -> pl.DataFrame:
    """Scores as `read_scores` has them; where the definition weighs customers, with the columns of `beside.LEADING`."""
    rows = reading.read_scores(client, question)
    if not beside.weighs_voices(question):
        return rows
    rows = beside.add_voices(rows, question, reading.read_scores(client, replace(question, one_voice=True)))
    return beside.add_leading(rows, reading.closed_until(client, question.as_of_ms))


def _tree(client: ClickHouse, question: Question, more: More) -> Answer:
    """The units summed up to their parents; an answer's own unit is a row under its parent as well."""
    if question.gap_s is not None or question.step_s is not None:
        raise UsageError("a tree of units has plain windows: without --session and --hop")
    if "unit" in question.filters or more.tree is None:
        raise UsageError("a tree shows every unit: leave the filter on unit out")
    units = tree.Tree(places(client))
    edges = question.edges or tree.plain_edges(question.first, question.last, question.seconds)
    others = tuple(name for name in question.by if name != "unit")
    leaves = replace(question, by=(*others, "unit"), edges=tree.finer(edges, units))
    rolled = tree.rolled_up(reading.counted(client, leaves), edges, units, others, more.tree)
    shown = replace(question, by=(*others, "unit"), edges=edges)
    rows = reading.with_detectable(shown, reading.scored(shown, rolled)).sort("start", *others, "path", "scale")
    extras = [*_seen(shown), Extra("under", lambda row: row["parent"] or "-", ("parent", "depth"))]
    return Answer(shown, rows.drop("path").to_dicts(), extras)


def _seen(question: Question) -> list[Extra]:
    """A count is exact, and a session as wide as it happens to be: there is nothing to be seen in time."""
    return [] if question.defined.form == "count" or question.gap_s is not None else [beside.SEEN]


def places(client: ClickHouse) -> list[tree.Place]:
    """Who stands under whom, as the registry was last written to the table `units`."""
    rows: pl.DataFrame = client.query("SELECT unit, parent, valid_from, valid_to FROM units FINAL ORDER BY ALL")
    return [tree.Place(*row) for row in rows.iter_rows()]
