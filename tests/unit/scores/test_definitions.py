"""Definitions of scores: the bundled ones are the formulas of meters.py, versions stand beside, nonsense is named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import SettingsError, UsageError
from pipeline.scores import meters
from pipeline.scores.defined import DEFAULT_PATH, definitions_of, read_definitions
from pipeline.scores.definitions import Definitions
from pipeline.settings import load_settings
from tests.unit.scores.test_meters import histogram, three

BUNDLED = DEFAULT_PATH.read_text()
#: A second version of NPS that counts an 8 as well; it does not lead.
STRICT = """
[[scores]]
id = "nps"
version = 2
metric = "nps"
form = "net"
interval = "adjusted_wald"
minimum_n = 30
[scores.scales."0-10"]
top = [8, 9, 10]
bottom = [0, 1, 2, 3, 4, 5, 6]
"""
MEASURES = [
    ("nps", "0-10", 11), ("csat", "1-5", 5), ("csat", "1-7", 7), ("csat", "1-10", 10), ("csat", "0-1", 2),
    ("ces", "1-7", 7), ("ces", "1-5", 5), ("rating", "1-5", 5), ("rating", "0-10", 11), ("rating", "1-3", 3),
    ("sentiment", "minilm", 3), ("volume", "outcome", 4),
]  # fmt: skip


def two_versions() -> Definitions:
    return Definitions.parse(
        BUNDLED.replace('id = "nps"\nversion = 1', 'id = "nps"\nversion = 1\nin_force = true') + STRICT
    )


@pytest.mark.parametrize(("metric", "scale", "bins"), MEASURES)
def test_the_bundled_definitions_are_the_formulas_to_the_last_digit(metric: str, scale: str, bins: int) -> None:
    rng = np.random.default_rng(bins)
    counts = np.zeros((500, 11), dtype=np.int64)
    counts[:, :bins] = rng.integers(0, 40, (500, bins)) * rng.integers(0, 2, (500, 1))
    mine, formula = read_definitions().find(metric).read(scale, counts), meters.read(metric, scale, counts)
    for name in ("score", "low", "high", "n", "enough"):
        assert np.array_equal(getattr(mine, name), getattr(formula, name), equal_nan=name in ("score", "low", "high"))
    assert (mine.unit, mine.method) == (formula.unit, formula.method)


def test_two_versions_stand_side_by_side_and_differ_on_the_same_answers() -> None:
    known = two_versions()
    answers = [histogram([10] * 20 + [8] * 20 + [0] * 10)]
    assert known.find("nps") is known.find("nps@1")
    assert [each.name for each in known.versions("nps")] == ["nps@1", "nps@2"]
    first, second = (known.find(name).read("0-10", answers).row(0) for name in ("nps@1", "nps@2"))
    assert (first.score, second.score) == (20.0, 60.0)


def test_a_definition_has_its_own_least_number_of_answers() -> None:
    few = [three(5, 5, 15)]
    first, second = (two_versions().find(name).read("0-10", few).row(0) for name in ("nps@1", "nps@2"))
    assert (first.status, second.status, second.score) == ("ok", "insufficient", None)


def test_ces_has_its_worked_numbers_in_three_readings() -> None:
    answers = [histogram([7, 6, 5, 4, 2, 7, 1, 6] * 2, lowest=1)]
    known = read_definitions()
    found = {name: known.find(name).read("1-7", answers).row(0).score for name in ("ces", "ces_agree", "ces_net")}
    assert found == {"ces": 4.75, "ces_agree": 0.625, "ces_net": 25.0}


def test_scales_never_meet_and_a_scale_that_is_not_read_is_refused() -> None:
    with pytest.raises(UsageError, match="does not read the scale '1-5'"):
        read_definitions().find("ces_agree").read("1-5", [histogram([3] * 20, 1)])


@pytest.mark.parametrize(
    ("change", "into", "sentence"),
    [
        ("top = [9, 10]", "top = [9, 11]", r"top box \[11\] of scale 0-10: its answers are 0 to 10"),
        ("top = [9, 10]", "top = [6, 9, 10]", r"\[6\] of scale 0-10 are in the top and the bottom box"),
        ("bottom = [0, 1, 2, 3, 4, 5, 6]", "", "net on scale 0-10 needs a bottom box"),
        ('scales."0-10"', 'scales."1-5"', "scale '1-5' is none of 0-10, any that nps has"),
        ('scales."0-10"', "scales.any", "scale any has no box: net needs one for each scale of nps"),
        ('interval = "adjusted_wald"', 'interval = "wilson"', "interval 'wilson' does not fit the form net"),
        ('metric = "nps"', 'metric = "mood"', "metric 'mood' is none of"),
        ('metric = "ces"', 'metric = "rating"', "ces@1 reads the answers of rating, but ces is"),
        ("version = 1", "version = 0", "version must be a whole number from 1"),
        ('form = "net"', 'form = "count"', "form count does not fit the metric nps"),
        ('metric = "nps"', 'metric = "nps"\nminimum_n = 5', "minimum_n 5 must be a whole number from 10"),
        ('metric = "nps"', 'metric = "nps"\nweighting = "each"', "weighting 'each' is none of raw, one_voice"),
        ('metric = "nps"', 'metric = "nps"\ntop_box = 9', "unknown key 'top_box'"),
        ('id = "nps"', 'id = "NPS"', "id must be lower-case"),
        ('id = "csat"', 'id = "csat_5"', "csat is not defined; every file defines"),
    ],
)  # fmt: skip
def test_a_definition_that_contradicts_itself_or_its_scale_is_named(change: str, into: str, sentence: str) -> None:
    assert change in BUNDLED
    with pytest.raises(SettingsError, match=sentence):
        Definitions.parse(BUNDLED.replace(change, into, 1))


def test_all_mistakes_stand_in_one_message() -> None:
    text = BUNDLED.replace("top = [9, 10]", "top = [12]", 1).replace("top = [6, 7]", "top = [9]", 1) + STRICT
    with pytest.raises(SettingsError) as raised:
        Definitions.parse(text, "mine.toml")
    for part in ("mine.toml", "[12]", "[9] of scale 1-7"):
        assert part in str(raised.value)


def test_exactly_one_version_leads() -> None:
    with pytest.raises(SettingsError, match="0 of nps@1, nps@2 say in_force = true; exactly one version leads"):
        Definitions.parse(BUNDLED + STRICT)
    with pytest.raises(SettingsError, match="nps@1 is defined 2 times"):
        Definitions.parse(BUNDLED + STRICT.replace("version = 2", "version = 1"))


@pytest.mark.parametrize(("text", "sentence"), [("[[", "not valid TOML"), ("x = 1", "there is no score")])
def test_a_file_that_is_none_is_refused(text: str, sentence: str) -> None:
    with pytest.raises(SettingsError, match=sentence):
        Definitions.parse(text)


def test_a_score_that_is_not_there_is_answered_with_those_that_are() -> None:
    with pytest.raises(UsageError, match=r"no score 'nps@7'; there are nps@1, csat@1"):
        read_definitions().find("nps@7")


def test_a_deployment_may_have_a_file_of_its_own(tmp_path: Path) -> None:
    own = tmp_path / "scores.toml"
    own.write_text(BUNDLED.replace("top = [9, 10]", "top = [10]", 1))
    assert definitions_of(load_settings(scores=own)).find("nps").boxes("0-10") != (
        definitions_of(load_settings()).find("nps").boxes("0-10")
    )
    with pytest.raises(SettingsError, match="no such file"):
        load_settings(scores=tmp_path / "missing.toml")
    with pytest.raises(SettingsError, match="cannot be read"):
        read_definitions(tmp_path)
