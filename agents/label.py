"""Label: language, sentiment and topics of every text. A model that raises or hangs never stops the stream."""

from __future__ import annotations

from typing import Any

import faust
import polars as pl

from pipeline import blanks
from pipeline.desk import Desk
from pipeline.slices import LABELLED, TOPICS, Slice

#: A partition this many records behind is catching up: the static model labels until it has.
_BACKLOG = 2_000

#: What label adds, by column, and its value where there is no text.
_ADDED: dict[str, pl.DataType] = {**LABELLED, **TOPICS}
_UNLABELLED: dict[str, str | int] = {name: "" if dtype == pl.String else 0 for name, dtype in _ADDED.items()}


def attach(app: faust.App, desk: Desk, reads: Any, writes: Any) -> None:
    """Adds language, label, confidence, tier, model and topics to every row with a text."""

    @desk.agent(app, reads, "label")
    async def label(stream: Any) -> None:
        async for piece in stream:
            desk.look_at_taxonomy()
            if desk.custody.holds(piece):
                with desk.step("label", piece.rows.height):
                    labelled = await with_labels(desk, piece)
                await writes.send(value=labelled)


async def with_labels(desk: Desk, piece: Slice) -> Slice:
    """The slice with the columns of LABELLED and TOPICS; rows without a text keep them empty."""
    height = piece.rows.height
    blank = piece.rows.hstack(
        [blanks.blank(value, _ADDED[name], height).alias(name) for name, value in _UNLABELLED.items()]
    )
    where = (piece.rows["text"] != "").arg_true()
    if where.is_empty():
        return piece.with_rows(blank)
    texts = piece.rows["text"].gather(where)
    stated = piece.rows["language"].gather(where)
    burst = piece.partition.topic == "history" or piece.behind + piece.rows.height > _BACKLOG
    labels = await desk.labeller.label(texts, stated, burst=burst)
    labels = labels.with_columns(desk.topics_of(texts, labels["language"]))
    desk.telemetry.count("touchline_texts_with_topic_total", int((labels["topics"] != "").sum()))
    desk.telemetry.count("touchline_texts_truncated_total", int(piece.rows["truncated"].gather(where).sum()))
    columns = ["language", *_ADDED]
    filled = [blank[name].clone().scatter(where, labels[name].cast(blank.schema[name])) for name in columns]
    for tier, count in labels.group_by("tier").len().iter_rows():
        desk.telemetry.count("touchline_texts_total", count, tier=tier)
    return piece.with_rows(blank.with_columns(filled))
