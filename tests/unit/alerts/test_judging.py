"""All rules over all scopes: what is found, when it is over, what a kill keeps, what the budget is spent on."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from pipeline.alerts.classes import net
from pipeline.alerts.finding import Finding, Verdict
from pipeline.alerts.judging import Judge
from pipeline.alerts.keeping import pack, unpack
from pipeline.alerts.rules import DEFAULT_PATH, Rules, parse
from pipeline.customers.registry import DEFAULT_PATH as REGISTRY
from pipeline.customers.registry import Registry
from pipeline.scores.windows import BINS
from pipeline.slices import CORE, FURTHER
from tests.unit.alerts.recorded_day import DAY, Recorded, hourly, run

FALLEN = Recorded(fall="delivery", hour=6.0, until=10.0)


def rules(text: str | None = None) -> Rules:
    return parse(text or DEFAULT_PATH.read_text(), Registry.parse(REGISTRY.read_text()))


def one(detector: str, scope: str, parameters: str = "", metric: str = "nps") -> Rules:
    """A file with one rule."""
    return rules(
        f"""fallback_owner = "customer-experience"
        [[rules]]
        id = "r"
        metric = "{metric}"
        detector = "{detector}"
        scope = [{scope}]
        severity = {{ warning = 0, critical = 20 }}
        route = "default"
        runbook = "docs/alerts.md"
        parameters = {{ {parameters} }}"""
    )


def all_of(judge: Judge, recorded: Recorded) -> list[Finding]:
    return [finding for _, found in run(judge, recorded.answers()) for finding in found]


@pytest.fixture(scope="module")
def fallen() -> list[Finding]:
    """What the bundled rules say of a day on which delivery falls for four hours."""
    return all_of(Judge(rules()), FALLEN)


def of(findings: list[Finding], **scope: str) -> list[Finding]:
    return [each for each in findings if dict(each.scope) == scope]


def test_a_drop_is_found_with_its_start_size_severity_and_owner(fallen: list[Finding]) -> None:
    first = of(fallen, brand="acme", touchpoint="delivery")[0]
    assert first.verdict == Verdict.RAISED
    assert DAY + 6 * 3600 < first.window_end < DAY + 8 * 3600
    assert first.began is not None
    assert abs(first.began - DAY - 6 * 3600) <= 1800
    assert first.size is not None
    assert first.size.high < -0.4
    assert (first.severity, first.owner, first.learning) == ("critical", "logistics", False)
    assert first.detectable is not None
    assert 0.03 < first.detectable < 0.30


def test_what_did_not_fall_is_not_accused(fallen: list[Finding]) -> None:
    assert not of(fallen, brand="acme", touchpoint="checkout")
    assert not of(fallen, brand="acme", touchpoint="support_call")


def test_it_is_raised_once_and_calm_once_after_the_recovery(fallen: list[Finding]) -> None:
    story = [each.verdict for each in of(fallen, brand="acme", touchpoint="delivery")]
    changes = [a for a, b in zip(story, [None, *story], strict=False) if a != b]
    assert changes[0] == Verdict.RAISED
    assert changes[-1] == Verdict.CALM
    assert changes.count(Verdict.CALM) == 1


def test_a_day_like_every_other_raises_nothing() -> None:
    assert all_of(Judge(rules()), Recorded()) == []


def test_a_judge_that_was_kept_and_taken_up_after_any_window_goes_on_to_the_last_bit(fallen: list[Finding]) -> None:
    answers, judge = FALLEN.answers(), Judge(rules())
    learned, found = "", []
    windows = answers.with_columns((pl.col("moment") // 300 * 300 + 300).alias("end"))
    for end, each in run(judge, answers):
        found += each
        if end == DAY + 300:
            learned = pack(judge.dump_learned())
        if end == DAY + 7 * 3600 + 900:
            break
    kept = pack(judge.dump())
    other = Judge(rules())
    other.load_learned(unpack(learned))
    for end in range(DAY + 300, DAY + 7 * 3600 + 901, 300):
        other.fill(windows.filter(pl.col("end") == end), end)
    other.load(unpack(kept))
    for _, each in run(other, answers, DAY + 7 * 3600 + 900):
        found += each
    assert found == fallen


def test_the_budget_is_divided_over_what_is_watched() -> None:
    judge = Judge(rules())
    next(run(judge, Recorded().answers()))
    assert judge.cells > 8
    assert judge.false_alarms * judge.cells == pytest.approx(30 / 7)
    wide = Judge(rules(DEFAULT_PATH.read_text().replace("false_alarms_per_week = 1.0", "false_alarms_per_week = 7.0")))
    next(run(wide, Recorded().answers()))
    assert wide.false_alarms == pytest.approx(7 * judge.false_alarms, rel=0.2)


def test_a_crossing_is_watched_only_where_a_day_can_show_twenty_points() -> None:
    few, many = Judge(one("drop", '"brand,touchpoint,unit"')), Judge(one("drop", '"brand,touchpoint,unit"'))
    next(run(few, Recorded(per_hour=10).answers()))
    next(run(many, Recorded(per_hour=400).answers()))
    assert few.cells == 0
    assert many.cells == 6


def test_without_history_it_learns_from_the_first_thousand_answers_and_says_so() -> None:
    cold = Recorded(per_hour=1_500, history_days=0, fall="delivery", hour=9.0)
    found = all_of(Judge(one("drop", '"total", "brand,touchpoint"')), cold)
    hit = of(found, brand="acme", touchpoint="delivery")
    assert hit[0].verdict == Verdict.RAISED
    assert hit[0].learning
    assert DAY + 9 * 3600 < hit[0].window_end < DAY + 10 * 3600
    assert not of(found, brand="acme", touchpoint="checkout")


@pytest.mark.parametrize(
    ("detector", "parameters"),
    [
        ("guarantee", ""),
        ("below", "contract = 0, window_minutes = 60"),
        ("change", "window_hours = 1, period_hours = 24"),
    ],
)
def test_the_other_detectors_of_scores_see_the_same_drop_and_nothing_else(detector: str, parameters: str) -> None:
    found = all_of(Judge(one(detector, '"brand,touchpoint"', parameters)), FALLEN)
    assert {each.scope["touchpoint"] for each in found} == {"delivery"}
    assert found[0].verdict == Verdict.RAISED
    assert DAY + 6 * 3600 < found[0].window_end <= DAY + 8 * 3600
    assert found[-1].verdict in (Verdict.CALM, Verdict.UNDECIDED)


def test_answers_that_stop_are_missed_after_the_scopes_own_gap() -> None:
    answers = Recorded().answers().filter(pl.col("moment") < DAY + 4 * 3600)
    judge = Judge(one("silence", '"brand,channel"'))
    found = [(end, finding) for end, each in run(judge, answers) for finding in each]
    assert found[0][0] == DAY + 10 * 3600 + 300
    assert found[0][1].verdict == Verdict.RAISED
    assert found[0][1].began == DAY + 4 * 3600


def test_far_fewer_answers_than_usual_are_a_drop_of_volume() -> None:
    answers = Recorded().answers()
    thinned = answers.filter((pl.col("moment") < DAY + 4 * 3600) | (pl.Series(np.arange(answers.height) % 10 == 0)))
    found = [each for _, group in run(Judge(one("volume", '"total"')), thinned) for each in group]
    assert found[0].verdict == Verdict.RAISED
    assert DAY + 4 * 3600 < found[0].window_end <= DAY + 5 * 3600 + 300
    assert not [each for _, group in run(Judge(one("volume", '"total"')), answers) for each in group]


def test_many_negative_answers_in_public_at_once_are_a_burst() -> None:
    recorded = Recorded(fall="delivery", hour=6.0).answers().with_columns(pl.lit("social").alias("channel"))
    found = [
        each for _, group in run(Judge(one("burst", '"brand,channel"', "times = 1.5")), recorded) for each in group
    ]
    assert found
    assert found[0].verdict == Verdict.RAISED
    private = recorded.with_columns(pl.lit("web").alias("channel"))
    assert not [
        each for _, group in run(Judge(one("burst", '"brand,channel"', "times = 1.5")), private) for each in group
    ]


def posts(end: int, *reaches: int) -> pl.DataFrame:
    """A window with one terrible post on social media for each reach, as the ledger gives it: hundredths."""
    extra = [round(100 * min(3.0, np.log10(1.0 + reach / 1000.0))) for reach in reaches]
    dims = {name: [""] * len(reaches) for name in (*CORE, *FURTHER)}
    dims |= {"brand": ["acme"] * len(reaches), "channel": ["social"] * len(reaches)}
    bins = {name: [int(name == "b0")] * len(reaches) for name in BINS}
    loud = {"loud": extra, "loud_squares": [(100 + each) ** 2 - 10_000 for each in extra]}
    return pl.DataFrame({"end": end, "metric": "nps", "scale": "0-10", **dims, **bins, **loud})


def bursting(*windows: tuple[int, ...]) -> list[Finding]:
    """What the burst rule says of windows of posts with these reaches."""
    judge, found = Judge(one("burst", '"brand,channel"')), []
    for number, reaches in enumerate(windows):
        end = DAY + 300 * (number + 1)
        found = judge.step(posts(end, *reaches), end)
    return found


def test_a_burst_weighs_posts_by_their_reach() -> None:
    """Nine posts that a million may have read weigh 36; usual are 3 x 1: P(N >= 36 / 4 | 3 / 4) = 1.1e-7."""
    (found,) = bursting((2_000_000,) * 9)
    assert (found.verdict, found.statistic, found.threshold) == (Verdict.RAISED, 36.0, 3.0)
    assert bursting((0,) * 9) == [], "nine that nobody reads are not even the fewest"
    assert bursting((0,) * 14) == [], "P(N >= 14 | 3) = 3.4e-6"
    assert bursting((0,) * 15)[0].verdict == Verdict.RAISED, "P(N >= 15 | 3) = 6.7e-7"


def test_the_loudest_account_does_not_decide_alone() -> None:
    assert bursting((10_000_000,)) == []
    assert bursting((10_000_000,) * 5) == [], "it weighs 20 and is five posts: P(N >= 5 | 3 / 4) = 1e-3"


def test_where_posts_are_always_loud_loud_ones_are_no_burst() -> None:
    """Twenty loud ones earlier in the day: one usually weighs 1 + 60 / 21, so 11.6 are usual and 36 no wonder."""
    quiet_hour = ((),) * 12
    assert bursting((2_000_000,) * 20, *quiet_hour, (2_000_000,) * 9) == []
    (found,) = bursting((0,) * 9, *quiet_hour, (2_000_000,) * 9)
    assert found.verdict == Verdict.RAISED


def test_a_scale_that_is_new_where_much_is_known_is_learned_when_it_has_doubled_and_not_every_hour() -> None:
    """Another tier labels from now on: its answers are a scale of their own. To learn is to read four weeks again."""
    known = Recorded().answers()
    fresh = Recorded(per_hour=1_500, history_days=0).answers().with_columns(pl.lit("tier-2").alias("scale"))
    fresh = fresh.with_columns(pl.lit("sentiment").alias("metric"))
    judge = Judge(rules())
    learned: list[int] = []
    rows = pl.concat([known, fresh]).sort("moment")
    for _ in run(judge, rows):
        if not learned or judge.learned_at != learned[-1]:
            learned.append(judge.learned_at)
    hours = [(at - DAY) // 3600 for at in learned]
    # 1,500 an hour over three touchpoints and the total: at 1,500 after one hour, then at 3,000, 6,000, ...
    assert hours == [0, 1, 2, 4, 8, 16]


def test_with_nothing_known_at_all_it_is_learned_every_hour() -> None:
    judge = Judge(one("drop", '"total"'))
    learned = {judge.learned_at for _ in run(judge, Recorded(per_hour=200, history_days=0).answers())}
    assert len(learned) >= 23


def test_an_answer_that_counts_in_many_scopes_makes_no_profile_of_noise() -> None:
    """Each answer counts in five scopes on the whole; taken for five answers, its noise stood as what hours are like.

    The whole brand has 40 answers in an hour of the week, four times: a standard error of six points.
    """
    answers = Recorded(per_hour=40).answers()
    judge = Judge(rules())
    judge.learn(hourly(answers, judge.levels, DAY), DAY)
    group = judge.groups["nps", "0-10"]
    score = net(group.baseline.shares[group.number[()]])
    assert float(score.std()) < 0.02
    assert group.baseline.known[group.number[()]]
