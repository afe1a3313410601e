"""Label: texts get language, label, tier and model; rows without a text and texts that cannot be labelled go on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from agents import label
from pipeline.desk import Desk
from pipeline.followed import Followed
from pipeline.slices import LABELLED, Partition
from pipeline.texts.declared import read_taxonomy
from pipeline.texts.labeller import Labeller, Options
from tests.stages.flow import accepted, enriched, labelled
from tests.stages.records import FEEDBACK, answer, answers
from tests.stages.worker import Members

pytestmark = [pytest.mark.kafka, pytest.mark.clickhouse]

Bench = tuple[Desk, Members]
ENGLISH = "The delivery was quick and everybody was friendly."


async def test_a_text_gets_its_labels_and_a_row_without_one_keeps_them_empty(bench: Bench) -> None:
    desk, _ = bench
    piece = await labelled(desk, FEEDBACK, [answer(0), answer(1, text=ENGLISH)])
    assert piece.rows.select("label", "tier", "language").rows() == [("", "", ""), ("positive", "minilm", "en")]
    assert piece.rows["p"].to_list() == [0, 6000]
    assert piece.rows["model"].to_list() == ["", "minilm-of-test"]
    assert {name: piece.rows.schema[name] for name in LABELLED} == LABELLED
    assert (piece.lo, piece.hi, piece.rows.height) == (0, 1, 2)
    assert piece.rows.select("topics", "taxonomy").rows() == [("", ""), ("delivery", desk.taxonomy.held.version)]


async def test_a_changed_taxonomy_takes_effect_with_the_next_slice_and_a_wrong_one_not_at_all(bench: Bench) -> None:
    desk, _ = bench
    file = desk.settings.state_dir / "taxonomy.toml"
    file.write_text('[topics.speed.words]\nen = ["quick"]')
    desk.taxonomy = Followed(file, read_taxonomy)
    piece = await enriched(desk, await accepted(desk, FEEDBACK, [answer(0, text=ENGLISH)]))
    assert (await label.with_labels(desk, piece)).rows["topics"].to_list() == ["speed"]
    for text in ('[topics.kind.words]\nen = ["friendly"]', "[topics]"):
        file.write_text(text)
        desk.taxonomy._next = 0.0
        desk.look_at_taxonomy()
        assert (await label.with_labels(desk, piece)).rows["topics"].to_list() == ["kind"]
    assert "there is no topic" in desk.taxonomy.trouble


async def test_a_language_that_the_model_does_not_know_is_unscored_and_never_neutral(bench: Bench) -> None:
    desk, _ = bench
    piece = await labelled(desk, FEEDBACK, [answer(0, text="ĉio bone", language="eo")])
    assert piece.rows.select("label", "p", "tier").row(0) == ("unscored", 0, "none")


async def test_a_partition_that_lags_and_every_import_get_the_static_model(bench: Bench) -> None:
    desk, _ = bench
    piece = await enriched(desk, await accepted(desk, FEEDBACK, [answer(0, text=ENGLISH)]))
    behind = replace(piece, log_end=piece.hi + 1 + 5_000)
    assert (await label.with_labels(desk, piece)).rows["tier"][0] == "minilm"
    assert (await label.with_labels(desk, behind)).rows["tier"][0] == "static"
    imported = await labelled(desk, Partition("history", 1), [answer(0, text=ENGLISH)])
    assert imported.rows["tier"][0] == "static"


@pytest.mark.parametrize("fault", ["raises", "not_a_number", "hangs", "killed"])
async def test_a_model_that_fails_leaves_a_marked_fallback_and_the_stream_goes_on(bench: Bench, fault: str) -> None:
    desk, _ = bench
    options = Options(classifier=f"tests.unit.texts.faulty_models:{fault}", folder=Path.cwd(), limit_s=1.0)
    desk.labeller = Labeller(options)
    piece = await labelled(desk, FEEDBACK, [*answers(2), answer(2, text=ENGLISH)])
    assert piece.rows.select("label", "tier").rows() == [("", ""), ("", ""), ("positive", "fallback")]
    assert desk.labeller.fallbacks == 1
