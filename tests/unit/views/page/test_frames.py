"""What the page shows: summed histograms, no naked number, changes that are told from chance, the worst place."""

from __future__ import annotations

import polars as pl
import pytest

from pipeline.views.page.board import BINS
from pipeline.views.page.frames import Cells, change, chosen_scales, expected, headline, heat, line, slot, summed, tiles

START = 1_777_622_400
#: The oracle of scores.md 1.1: 200, 300, 500 detractors, passives, promoters against 30, 30, 40.
BEFORE, NOW = {0: 200, 7: 300, 10: 500}, {0: 30, 7: 30, 10: 40}


def cells(*rows: tuple[int, str, str, str, str, dict[int, int]]) -> pl.DataFrame:
    """(start, metric, scale, touchpoint, channel, counts by bin)."""
    heads = {"start": pl.Int64, "metric": pl.String, "scale": pl.String, "touchpoint": pl.String, "channel": pl.String}
    listed = [(*row[:5], *(row[5].get(i, 0) for i in range(11))) for row in rows]
    return pl.DataFrame(listed, schema={**heads, **dict.fromkeys(BINS, pl.Int64)}, orient="row")


def nps(counts: dict[int, int], *, start: int = START, at: str = "checkout", by: str = "web") -> pl.DataFrame:
    return cells((start, "nps", "0-10", at, by, counts))


def seen(now: pl.DataFrame, before: pl.DataFrame | None = None) -> Cells:
    return Cells(now, now, before if before is not None else now.clear())


def test_a_change_has_the_worked_numbers_of_two_samples() -> None:
    found = change("nps", "0-10", nps(BEFORE), nps(NOW))
    assert found is not None
    assert f"{found['value']:.6f}" == "-20.000000"
    assert f"{found['p']:.6f}" == "0.021007"
    # z = -2.307863 at se 8.666026 points.
    assert f"{(found['high'] - found['low']) / 2 / 1.959963984540054:.6f}" == "8.666026"
    assert found["verdict"] == "worse"


def test_a_difference_within_chance_is_called_steady() -> None:
    found = change("nps", "0-10", nps({0: 6, 7: 5, 10: 9}), nps({0: 5, 7: 6, 10: 9}))
    assert found is not None
    assert found["verdict"] == "steady"


def test_less_effort_on_the_old_scale_is_better() -> None:
    high, low = (cells((START, "ces", "1-5", "", "", {i: 200, 1: 20})) for i in (4, 0))
    found = change("ces", "1-5", high, low)
    assert found is not None
    assert found["value"] < 0
    assert found["verdict"] == "better"


def test_nothing_is_compared_with_nine_answers() -> None:
    assert change("nps", "0-10", nps({9: 9}), nps(NOW)) is None
    assert change("nps", "0-10", nps(BEFORE), nps({9: 9})) is None


def test_a_tile_under_ten_answers_has_n_and_no_number() -> None:
    tile = tiles(seen(nps({9: 9})))[0]
    assert (tile["n"], tile["status"]) == (9, "insufficient")
    assert (tile["score"], tile["low"], tile["high"]) == (None, None, None)


def test_a_tile_with_ten_has_all_of_it() -> None:
    tile = tiles(seen(nps({10: 10})))[0]
    assert tile["n"] == 10
    assert tile["score"] == 100.0
    assert f"{tile['low']:.4f} {tile['high']:.4f}" == "47.5036 100.0000"


def test_every_measure_has_a_tile_even_without_an_answer() -> None:
    assert [tile["metric"] for tile in tiles(seen(nps({}).clear()))] == ["nps", "csat", "ces", "sentiment"]


def test_scales_never_meet_the_fuller_one_leads_and_the_other_stands_beside() -> None:
    both = cells((START, "csat", "1-5", "a", "web", {4: 30}), (START, "csat", "0-1", "a", "web", {0: 12}))
    assert chosen_scales(both) == {"csat": "1-5"}
    tile = tiles(seen(both))[1]
    assert (tile["scale"], tile["n"], tile["score"]) == ("1-5", 30, 1.0)
    assert [(one["scale"], one["n"], one["score"]) for one in tile["also"]] == [("0-1", 12, 0.0)]


def test_the_score_of_a_line_is_that_of_the_sum_and_not_an_average() -> None:
    parts = pl.concat([nps({10: 30}), nps({0: 10}, by="app")])
    series = line(seen(parts), START, 300, START + 1)["series"]["nps"]
    assert series["score"] == [50.0]
    assert series["n"] == [40]


def test_a_line_that_reaches_back_keeps_the_scale_of_the_big_number() -> None:
    now = cells((START, "csat", "1-5", "a", "web", {4: 30}))
    long = pl.concat([cells((START - 300, "csat", "0-1", "a", "web", {0: 99})), now])
    series = line(seen(long), START - 300, 300, START + 1, chosen_scales(now))["series"]["csat"]
    assert (series["scale"], series["n"]) == ("1-5", [0, 30])


def test_a_step_without_enough_answers_is_a_hole_with_its_n() -> None:
    parts = pl.concat([nps({10: 30}), nps({10: 3}, start=START + 600)])
    found = line(seen(parts), START, 300, START + 601)
    assert found["steps"] == 3
    assert found["series"]["nps"]["score"] == [100.0, None, None]
    assert found["series"]["nps"]["n"] == [30, 0, 3]


def test_the_map_has_each_place_once_with_its_own_n() -> None:
    parts = pl.concat([nps({10: 30}), nps({10: 3}, start=START + 300), nps({0: 5}, at="delivery")])
    assert [(row[0], row[1], row[2], row[3]) for row in heat(seen(parts))["nps"]] == [
        ("checkout", "web", 33, 100.0),
        ("delivery", "web", 5, None),
    ]


def test_the_worst_place_is_the_one_that_pulls_most_and_its_owner_acts() -> None:
    parts = pl.concat(
        [
            nps({10: 400, 0: 50}),
            nps({0: 200, 10: 100}, at="delivery", by="email"),
            nps({0: 12}, at="payment", by="app"),
        ]
    )
    found = headline(seen(parts), {"delivery": "Logistics"}, "Customer experience")
    assert found is not None
    assert (found["worst"]["touchpoint"], found["worst"]["owner"], found["worst"]["n"]) == (
        "delivery",
        "Logistics",
        300,
    )


def test_a_place_that_only_chance_makes_worse_is_not_named() -> None:
    parts = pl.concat([nps({10: 20, 0: 10}), nps({10: 6, 0: 5}, at="delivery")])
    found = headline(seen(parts), {}, "x")
    assert found is not None
    assert found["worst"] is None


def test_sums_do_not_depend_on_how_the_rows_are_cut() -> None:
    parts = [nps({10: i, 3: 7 - i}, at=f"t{i}", start=START + i * 300) for i in range(6)]
    whole = summed(pl.concat(parts), ())
    assert whole.equals(summed(pl.concat(parts[::-1]), ()))
    assert whole.select(pl.sum_horizontal(BINS)).item() == 42


@pytest.mark.parametrize("metric", ["volume", "rating"])
def test_other_metrics_lead_no_tile(metric: str) -> None:
    assert chosen_scales(cells((START, metric, "1-5", "", "", {1: 99}))) == {}


def usually(counts: dict[int, int], *, start: int = START, width: int = 3600) -> pl.DataFrame:
    """What the slot of the week of `start` counted before."""
    return nps(counts, start=slot(start, width))


def banded(usual: pl.DataFrame, *counts: dict[int, int]) -> dict[str, list[float | None]]:
    """The expected band of five-minute steps of one hour that counted this now."""
    now = pl.concat([nps(some, start=START + i * 300) for i, some in enumerate(counts)])
    drawn = line(seen(now), START, 300, START + len(counts) * 300)
    expected(drawn, usual, 3600)
    return {name: drawn["series"]["nps"][name] for name in ("usual_low", "usual_high")}


def test_what_is_expected_has_the_worked_numbers() -> None:
    # 30 points and variance 0.61 of 1,000 answers; for 100: 1.959963984540054 * 100 * sqrt(0.61 * (1/100 + 1/1000)).
    assert banded(usually(BEFORE), NOW) == {"usual_low": [13.945], "usual_high": [46.055]}
    assert banded(usually(BEFORE, start=START + 3600), NOW) == {"usual_low": [None], "usual_high": [None]}


def test_few_answers_have_a_wide_band_and_under_ten_there_is_none() -> None:
    found = banded(usually(BEFORE), {9: 10}, {9: 9})
    assert found["usual_low"][0] is not None
    assert found["usual_low"][0] < 13.0
    assert found["usual_low"][1] is None
    assert banded(usually({0: 4, 9: 5}), NOW)["usual_low"] == [None]
    assert banded(pl.DataFrame(), NOW)["usual_high"] == [None]


def test_a_band_never_leaves_the_scale_and_answers_that_are_all_the_same_make_none() -> None:
    assert banded(usually({0: 1, 10: 99}), {9: 10})["usual_high"] == [100.0]
    assert banded(usually({10: 100}), {9: 10})["usual_high"] == [None]


def test_a_span_of_four_weeks_is_compared_with_the_hours_of_one() -> None:
    week, grain = 7 * 86_400, 6 * 3600
    now = pl.concat([nps(NOW), nps(NOW, start=START + week), nps(NOW, start=START + grain)])
    drawn = line(seen(now), START, grain, START + 2 * week)
    expected(drawn, usually(BEFORE, width=grain), grain)
    known = [i for i, low in enumerate(drawn["series"]["nps"]["usual_low"]) if low is not None]
    assert known == [0, week // grain]
