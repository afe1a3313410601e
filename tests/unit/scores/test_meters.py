"""Every worked number of scores.md 1.1 to 1.3 that concerns scores, to its last digit."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.errors import UsageError
from pipeline.scores import intervals, meters
from pipeline.scores.intervals import Interval, Moments, Net, Sample
from pipeline.scores.meters import Tally


def histogram(answers: list[int], lowest: int = 0) -> list[int]:
    return [answers.count(lowest + i) for i in range(11)]


def three(detractors: int, passives: int, promoters: int) -> list[int]:
    """An NPS histogram with all answers of a class in one bin."""
    return [0, 0, 0, 0, 0, 0, detractors, passives, 0, 0, promoters]


def net(detractors: int, passives: int, promoters: int) -> Net:
    return meters.net_of("nps", [three(detractors, passives, promoters)])


def digits(value: NDArray[np.float64] | float, places: int) -> str:
    return f"{float(np.asarray(value).reshape(-1)[0]):.{places}f}"


def points(interval: Interval) -> tuple[str, str]:
    return digits(100 * interval.low, 4), digits(100 * interval.high, 4)


#: D, passive, P -> NPS, var1, se, Wald, adjusted Wald, its centre, Tango (scores.md 1.1).
NPS = [
    ((20, 30, 50), "30.0000", ".610000", ".078102", ("14.6922", "45.3078"), ("14.0511", "44.2013"), "29.1262",
     ("13.9551", "44.3393")),
    ((2, 3, 5), "30.0000", ".610000", ".246982", ("-18.4075", "78.4075"), ("-19.0506", "65.2045"), "23.0769",
     ("-21.6592", "67.5278")),
    ((0, 1, 9), "90.0000", ".090000", ".094868", ("71.4061", "108.5939"), ("38.0792", "100.3823"), "69.2308",
     ("37.2688", "98.2124")),
    ((3, 8, 13), "41.6667", ".493056", ".143332", ("13.5742", "69.7592"), ("10.0742", "63.9999"), "37.0370",
     ("9.6490", "65.1541")),
    ((150, 350, 500), "35.0000", ".527500", ".022967", ("30.4985", "39.5015"), ("30.3993", "39.3913"), "34.8953",
     ("30.4102", "39.4101")),
    ((0, 0, 10), "100.0000", ".000000", ".000000", ("100.0000", "100.0000"), ("47.5036", "106.3426"), "76.9231",
     ("44.4934", "100.0000")),
]  # fmt: skip


@pytest.mark.parametrize(("classes", "score", "variance", "error", "wald", "adjusted", "centre", "tango"), NPS)
def test_nps_and_its_intervals_are_the_worked_numbers(
    classes: tuple[int, int, int],
    score: str,
    variance: str,
    error: str,
    wald: tuple[str, str],
    adjusted: tuple[str, str],
    centre: str,
    tango: tuple[str, str],
) -> None:
    of = net(*classes)
    assert digits(100 * intervals.net_score(of), 4) == score
    assert digits(intervals.net_variance(of), 6).lstrip("0") == variance
    assert digits(np.sqrt(intervals.net_variance(of) / of.n), 6).lstrip("0") == error
    assert points(intervals.wald(of)) == wald
    assert points(intervals.adjusted_wald(of)) == adjusted
    middle = intervals.adjusted_wald(of)
    assert digits(50 * (middle.low + middle.high), 4) == centre
    assert points(intervals.tango(of)) == tango


def test_a_published_interval_is_clipped_to_what_is_possible() -> None:
    reading = meters.read("nps", "0-10", [three(0, 0, 10)]).row(0)
    assert (reading.score, reading.high, reading.status) == (100.0, 100.0, "ok")
    assert reading.low is not None
    assert digits(reading.low, 4) == "47.5036"


def test_tango_of_passives_alone_is_symmetric() -> None:
    interval = intervals.tango(net(0, 5, 0))
    assert interval.low[0] == pytest.approx(-interval.high[0], abs=1e-12)
    assert digits(interval.high, 6) == "0.434482"


def test_tango_of_all_promoters_has_the_closed_form() -> None:
    z2 = intervals.Z**2
    assert intervals.tango(net(0, 0, 10)).low[0] == pytest.approx((10 - z2) / (10 + z2), abs=1e-12)


#: n -> min and mean coverage over the five trinomials: Wald, adjusted Wald, Tango (scores.md 1.1).
COVERAGE = {
    5: (".537", ".777", ".835", ".916", ".939", ".959"),
    10: (".793", ".870", ".944", ".955", ".947", ".956"),
    20: (".836", ".906", ".943", ".948", ".947", ".956"),
    50: (".920", ".934", ".947", ".952", ".950", ".954"),
    100: (".937", ".943", ".949", ".951", None, None),
}
TRINOMIALS = [(0.2, 0.5), (0.05, 0.7), (0.02, 0.85), (0.35, 0.35), (0.5, 0.2)]


@pytest.mark.parametrize("n", COVERAGE)
def test_exact_coverage_is_the_worked_table(n: int) -> None:
    outcomes = np.array([(d, p) for d, p in product(range(n + 1), repeat=2) if d + p <= n], dtype=np.float64)
    of = Net(outcomes[:, 0], outcomes[:, 1], np.full(len(outcomes), float(n)))
    factorial = np.array([math.lgamma(i + 1) for i in range(n + 1)])
    d, p = outcomes[:, 0].astype(int), outcomes[:, 1].astype(int)
    found: list[str] = []
    for estimate in (intervals.wald, intervals.adjusted_wald, intervals.tango):
        low, high = estimate(of)
        covered = []
        for share_d, share_p in TRINOMIALS:
            logs = d * math.log(share_d) + p * math.log(share_p) + (n - d - p) * math.log(1 - share_d - share_p)
            chance = np.exp(factorial[n] - factorial[d] - factorial[p] - factorial[n - d - p] + logs)
            true = share_p - share_d
            covered.append(chance[(low - 1e-12 <= true) & (true <= high + 1e-12)].sum())
        found += [f"{min(covered):.3f}".lstrip("0"), f"{sum(covered) / 5:.3f}".lstrip("0")]
    expected = COVERAGE[n]
    assert [f for f, e in zip(found, expected, strict=True) if e] == [e for e in expected if e]


@pytest.mark.parametrize(("margin", "answers"), [(5, 938), (10, 235), (20, 59), (40, 15)])
def test_answers_needed_for_a_margin(margin: int, answers: int) -> None:
    assert intervals.answers_needed(margin / 100, 0.61) == answers


def test_two_samples_differ_by_the_worked_numbers() -> None:
    first, second = (intervals.sample_of(net(*classes)) for classes in ((200, 300, 500), (30, 30, 40)))
    found = intervals.difference(first, second)
    assert digits(100 * found.difference, 4) == "-20.0000"
    assert digits(100 * found.error, 6) == "8.666026"
    assert digits(found.z, 6) == "-2.307863"
    assert digits(found.p_drop, 6) == "0.010503"
    assert digits(found.p_change, 6) == "0.021007"


def test_a_histogram_gives_classes_mean_and_median() -> None:
    counts = [histogram([10, 9, 8, 7, 6, 0, 10, 9, 5, 10])]
    of = meters.net_of("nps", counts)
    assert (of.negative[0], of.n[0] - of.negative[0] - of.positive[0], of.positive[0]) == (3, 2, 5)
    assert meters.read("nps", "0-10", counts).row(0).score == 20.0
    assert intervals.mean_and_variance(meters.moments("0-10", counts)).mean[0] == 7.4
    assert meters.lower_median("0-10", counts)[0] == 8


@pytest.mark.parametrize(
    ("hits", "n", "low", "high"),
    [
        (42, 50, "0.714858", "0.916626"),
        (0, 10, "0.000000", "0.277533"),
        (10, 10, "0.722467", "1.000000"),
        (8, 10, "0.490162", "0.943318"),
        (840, 1000, "0.815983", "0.861415"),
        (188, 200, "0.898068", "0.965348"),
    ],
)
def test_wilson_is_the_worked_numbers(hits: int, n: int, low: str, high: str) -> None:
    found = intervals.wilson([hits], [n])
    assert (digits(found.low, 6), digits(found.high, 6)) == (low, high)
    reading = meters.read("csat", "0-1", [[n - hits, hits, *[0] * 9]]).row(0)
    assert reading.score == hits / n
    assert (digits(reading.low or 0.0, 6), digits(reading.high or 0.0, 6)) == (low, high)


@pytest.mark.parametrize(
    ("scale", "top"), [("1-5", {4, 5}), ("1-7", {6, 7}), ("1-10", {9, 10}), ("0-1", {1})], ids=lambda v: str(v)
)
def test_the_top_box_follows_the_scale(scale: str, top: set[int]) -> None:
    lowest, highest = meters.bounds(scale)
    for answer in range(lowest, highest + 1):
        hits, n = meters.top_box(scale, [histogram([answer], lowest)])
        assert (hits[0], n[0]) == (answer in top, 1)


def test_csat_on_a_scale_without_a_top_box_is_refused() -> None:
    with pytest.raises(UsageError, match="no top box on the scale '0-10'"):
        meters.read("csat", "0-10", [[1] * 11])


def test_ces_gives_mean_agreeing_share_and_net_easy() -> None:
    counts = [histogram([7, 6, 5, 4, 2, 7, 1, 6], lowest=1)]
    assert intervals.mean_and_variance(meters.moments("1-7", counts)).mean[0] == 4.75
    agreeing, n = meters.agree_share(counts)
    assert 100 * agreeing[0] / n[0] == 62.5
    assert 100 * intervals.net_score(meters.net_easy(counts))[0] == 25.0


def test_ces_1_is_effort_and_ces_2_is_ease() -> None:
    assert [meters.effort_as_ease(answer) for answer in (1, 2, 3, 4, 5)] == [7, 5.5, 4, 2.5, 1]
    assert meters.lower_is_better("ces", "1-5")
    assert not meters.lower_is_better("ces", "1-7")
    assert not meters.lower_is_better("csat", "1-5")


def test_ces_keeps_its_interval_inside_the_scale() -> None:
    counts = [histogram([1, 2, 3, 4, 5, 6, 7, 7, 7, 7], lowest=1)]
    reading = meters.read("ces", "1-7", counts).row(0)
    mean, variance = 4.9, 28.7 - 4.9**2
    half = 1.959963984540054 * math.sqrt(variance / 10)
    assert (reading.score, reading.unit, reading.method) == (4.9, "mean", "normal")
    assert reading.low == pytest.approx(mean - half, abs=1e-12)
    assert reading.high == pytest.approx(mean + half, abs=1e-12)
    almost = meters.read("ces", "1-7", [histogram([7] * 9 + [1], lowest=1)]).row(0)
    assert almost.high == 7.0


def test_few_stars_do_not_beat_many() -> None:
    ten = Moments(np.array([10]), np.array([50]), np.array([250]))
    many = Moments(np.array([300]), np.array([1410]), np.array([6900]))
    assert digits(intervals.bayesian_mean(ten, 25, 3.9), 6) == "4.214286"
    assert digits(intervals.bayesian_mean(many, 25, 3.9), 6) == "4.638462"


def test_soft_net_sentiment_and_the_noise_of_labels() -> None:
    texts = [(0.1, 0.2, 0.7), (0.8, 0.1, 0.1), (0.3, 0.4, 0.3)]
    s1 = sum(round(10_000 * (positive - negative)) for negative, _, positive in texts)
    assert digits(intervals.soft_net([s1], [3]), 6) == "-0.033333"
    polar = sum(negative + positive for negative, _, positive in texts)
    squares = sum((positive - negative) ** 2 for negative, _, positive in texts)
    assert digits(intervals.label_noise([polar], [squares], [3]), 6) == "0.161111"


def test_net_sentiment_has_the_formulas_of_nps() -> None:
    sentiment = meters.read("sentiment", "minilm", [[20, 30, 50, *[0] * 8]]).row(0)
    nps = meters.read("nps", "0-10", [three(20, 30, 50)]).row(0)
    assert (sentiment.score, sentiment.low, sentiment.high) == (nps.score, nps.low, nps.high)


def test_merging_integers_is_exact() -> None:
    first, second = histogram([10, 9, 6]), histogram([8, 0, 10, 7])
    parts = meters.moments("0-10", [first, second])
    assert [tuple(int(v) for v in row) for row in zip(*parts, strict=True)] == [(3, 25, 217), (4, 25, 213)]
    merged = meters.moments("0-10", [np.add(first, second)])
    assert tuple(int(v[0]) for v in merged) == (7, 50, 430)
    sample = intervals.mean_and_variance(merged)
    assert sample.mean[0] == 50 / 7
    assert sample.variance[0] == pytest.approx(510 / 49, abs=1e-12)
    assert intervals.sample_variance(merged)[0] == pytest.approx(85 / 7, abs=1e-12)


def test_merging_agrees_with_chan() -> None:
    parts = [intervals.mean_and_variance(meters.moments("0-10", [histogram(a)])) for a in ([10, 9, 6], [8, 0, 10, 7])]
    (mean_a, m2_a, n_a), (mean_b, m2_b, n_b) = ((float(p.mean[0]), _m2(p), float(p.n[0])) for p in parts)
    assert (mean_a, mean_b) == (25 / 3, 25 / 4)
    assert (digits(m2_a, 6), digits(m2_b, 6)) == ("8.666667", "56.750000")
    m2 = m2_a + m2_b + (mean_b - mean_a) ** 2 * n_a * n_b / (n_a + n_b)
    merged = intervals.mean_and_variance(meters.moments("0-10", [histogram([10, 9, 6, 8, 0, 10, 7])]))
    assert (digits(merged.mean, 6), digits(m2, 6), digits(_m2(merged), 6)) == ("7.142857", "72.857143", "72.857143")


def _m2(sample: Sample) -> float:
    return float(sample.variance[0] * sample.n[0])


def test_the_average_of_two_scores_is_not_the_score_of_the_sum() -> None:
    morning, evening = three(0, 1, 9), three(50, 30, 20)
    apart = meters.read("nps", "0-10", [morning, evening])
    together = meters.read("nps", "0-10", [np.add(morning, evening)]).row(0)
    assert apart.score.mean() == 30.0
    assert together.score is not None
    assert digits(together.score, 4) == "-19.0909"


def test_nine_answers_are_no_score() -> None:
    nine, ten = (meters.read("nps", "0-10", [three(0, 0, n)]).row(0) for n in (9, 10))
    assert (nine.status, nine.score, nine.low, nine.high, nine.n) == ("insufficient", None, None, None, 9)
    assert (ten.status, ten.score) == ("ok", 100.0)


def test_nothing_counted_reads_as_insufficient() -> None:
    for metric, scale in (("nps", "0-10"), ("csat", "1-5"), ("ces", "1-7"), ("rating", "1-5"), ("sentiment", "static")):
        reading = Tally.zero().read(metric, scale)
        assert (reading.status, reading.n, reading.score) == ("insufficient", 0, None)


def test_a_volume_is_a_count_without_interval() -> None:
    reading = meters.read("volume", "outcome", [[1, 2, 3, 1, *[0] * 7]]).row(0)
    assert (reading.score, reading.n, reading.low, reading.status, reading.unit) == (7.0, 7, None, "ok", "count")


def test_a_tally_takes_an_answer_back() -> None:
    both = Tally.zero().add(2, p=7_000).add(0, p=-5_001)
    assert (both.s1, both.s2) == (1_999, 4_900 + 2_501)
    assert both.add(0, p=-5_001, times=-1) == Tally.zero().add(2, p=7_000)
    assert both.merge(Tally.zero()) == both


@pytest.mark.parametrize("bin", [-1, 11])
def test_an_answer_outside_the_scale_is_never_counted(bin: int) -> None:
    with pytest.raises(UsageError, match=r"outside 0\.\.10"):
        Tally.zero().add(bin)


def test_an_unknown_metric_or_a_wrong_shape_is_refused() -> None:
    with pytest.raises(UsageError, match="there is no score 'mood'"):
        meters.read("mood", "0-10", [[0] * 11])
    with pytest.raises(UsageError, match="11 bins"):
        meters.read("nps", "0-10", [[0] * 5])
