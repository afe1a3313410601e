"""The parent of the models' process: tiers, cache, and every way in which a model goes wrong (T7)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from time import monotonic

import polars as pl
import pytest

from pipeline.texts.labeller import LONGEST_PAUSE, Labeller, Options, Pause
from pipeline.texts.labels import COLUMNS

ROOT = Path(__file__).parents[3]
LATE = "The parcel is late."


@asynccontextmanager
async def labelling(factory: str, limit_s: float = 30.0, pause_s: float = 0.0) -> AsyncIterator[Labeller]:
    name = f"tests.unit.texts.faulty_models:{factory}"
    labeller = Labeller(Options(classifier=name, folder=ROOT, limit_s=limit_s, pause_s=pause_s))
    try:
        yield labeller
    finally:
        await labeller.stop()


async def labels(
    labeller: Labeller, *texts: str | None, stated: str | None = None, burst: bool = False
) -> pl.DataFrame:
    return await labeller.label(texts, [stated] * len(texts), burst)


async def test_the_bundled_models_label_through_the_child() -> None:
    labeller = Labeller(Options(folder=ROOT))
    try:
        texts = [
            "I love it, thank you so much!",
            "Nie wieder, sehr schlechter Service!",
            "",
            "Very bad, my money is gone.",
        ]
        first = await labels(labeller, *texts)
        burst = await labels(labeller, *texts, burst=True)
    finally:
        await labeller.stop()
    assert first.schema == burst.schema == COLUMNS
    for rows, tier in ((first, "minilm"), (burst, "static")):
        assert rows["label"].to_list() == ["positive", "unscored", "", "negative"]
        assert rows["language"].to_list() == ["en", "de", "", "en"]
        assert rows["tier"].to_list() == [tier, "none", "", tier]
        assert [len(model) for model in rows["model"]] == [12, 0, 0, 12]
    assert (labeller.restarts, labeller.fallbacks) == (0, 0)


async def test_a_stated_language_is_trusted() -> None:
    async with labelling("healthy") as labeller:
        german = await labels(labeller, "All good", stated="de-AT")
        english = await labels(labeller, "Sehr gut", stated="en")
    assert german.row(0) == ("de", "unscored", 0, 0, "none", "")
    assert english.row(0)[:2] == ("en", "positive")


async def test_a_repeated_text_is_asked_for_once_per_tier() -> None:
    async with labelling("healthy") as labeller:
        once = await labels(labeller, LATE, LATE, LATE)
        assert labeller.cache_hits == 0
        again = await labels(labeller, LATE, LATE)
        assert labeller.cache_hits == 2
        assert (await labels(labeller, LATE, burst=True))["tier"].item() == "static"
        assert labeller.cache_hits == 2
    assert once["label"].to_list() == ["positive"] * 3
    assert again.row(0) == again.row(1) == once.row(0)


async def test_many_texts_come_back_in_their_order() -> None:
    async with labelling("healthy") as labeller:
        texts = [None if n % 7 == 0 else "x" * (n % 50) + f" parcel {n} is late" for n in range(1_000)]
        rows = await labels(labeller, *texts, stated="en")
    assert rows["label"].to_list() == ["" if text is None else "positive" for text in texts]


async def test_cut_texts_are_counted() -> None:
    async with labelling("healthy") as labeller:
        await labels(labeller, "good " * 2_000, LATE)
    assert labeller.truncated == 1


async def test_what_a_library_prints_does_not_disturb_the_answers() -> None:
    async with labelling("talkative") as labeller:
        assert (await labels(labeller, LATE))["tier"].item() == "minilm"


@pytest.mark.parametrize("fault", ["raises", "not_a_number", "too_few", "killed"])
async def test_a_failing_model_means_a_marked_fallback(fault: str) -> None:
    async with labelling(fault) as labeller:
        rows = await labels(labeller, LATE, "Danke, sehr gut gemacht", "")
        assert rows.row(0) == ("en", "positive", 6000, 7000, "fallback", "static-of-test")
        assert rows["label"].to_list() == ["positive", "unscored", ""]
        assert labeller.restarts == 1
        assert (await labels(labeller, LATE, burst=True))["tier"].item() == "static"


async def test_a_hang_is_cut_at_the_limit() -> None:
    async with labelling("hangs", limit_s=0.5) as labeller:
        await labeller.start()
        start = monotonic()
        assert (await labels(labeller, LATE))["tier"].item() == "fallback"
        assert 0.5 <= monotonic() - start < 20  # the limit and one start of a child, on a busy machine
        assert (labeller.restarts, labeller.fallbacks) == (1, 1)


async def test_a_fallback_is_not_remembered() -> None:
    async with labelling("raises") as labeller:
        await labels(labeller, LATE)
        await labels(labeller, LATE)
        assert (labeller.cache_hits, labeller.fallbacks) == (0, 2)


async def test_when_both_tiers_fail_a_text_is_unscored_and_marked() -> None:
    async with labelling("both_hang", limit_s=0.2) as labeller:
        rows = await labels(labeller, LATE, LATE)
        assert rows.rows() == [("und", "unscored", 0, 0, "fallback", "")] * 2
        assert labeller.fallbacks == 2


async def test_a_tier_that_keeps_failing_is_left_out_for_a_while() -> None:
    async with labelling("raises", pause_s=60) as labeller:
        await labels(labeller, LATE)
        await labels(labeller, LATE)
        restarts = labeller.restarts
        assert (await labels(labeller, LATE))["tier"].item() == "fallback"
        assert labeller.restarts == restarts == 2


async def test_a_child_that_does_not_start_holds_nothing_up() -> None:
    async with labelling("never_starts", pause_s=60) as labeller:
        assert (await labels(labeller, LATE)).row(0) == ("und", "unscored", 0, 0, "fallback", "")
        restarts = labeller.restarts
        assert (await labels(labeller, LATE))["label"].item() == "unscored"
        assert labeller.restarts == restarts


async def test_a_cancelled_call_leaves_no_answer_for_the_next() -> None:
    async with labelling("hangs") as labeller:
        await labeller.start()
        task = asyncio.ensure_future(labels(labeller, LATE))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(task, 0.2)
        assert (await labels(labeller, LATE, burst=True))["tier"].item() == "static"


def test_pauses_double_up_to_the_longest() -> None:
    pause, lengths = Pause(1.0), []
    for _ in range(9):
        pause.failed(100.0)
        lengths.append(max(0.0, pause.until - 100))
    assert lengths == [0, 1, 2, 4, 8, 16, 32, LONGEST_PAUSE, LONGEST_PAUSE]
    pause.worked()
    assert (pause.failures, pause.until) == (0, 0.0)
