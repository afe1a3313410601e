"""Watching on ClickHouse's engine: a drop found with evidence, kills and late answers that change nothing."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

import pytest

from pipeline.alerts.backtest import replay
from pipeline.alerts.finding import Finding, Verdict
from pipeline.alerts.rules import DEFAULT_PATH, Rules, parse
from pipeline.alerts.shares import restated
from pipeline.alerts.watching import Watch
from pipeline.clickhouse import ClickHouse, Pool
from pipeline.customers.registry import DEFAULT_PATH as REGISTRY
from pipeline.customers.registry import Registry
from pipeline.scores.history import histories
from pipeline.scores.reading import Question, read_scores
from pipeline.settings import load_settings
from pipeline.stack.launch import Stack
from tests.integration.recording import DAY, Fall, late, record, shout
from tests.tables import make_tables

pytestmark = [pytest.mark.clickhouse, pytest.mark.slow]

#: A moment on the watched day, after its last window closed.
NOW_MS = (DAY + 86_400 + 120) * 1000


#: Whoever answers for the touchpoint comes first, then whoever answers for what texts are about.
OWNERS = """
[[owners]]
touchpoint = "delivery"
owner = "logistics"
[[owners]]
topic = "delivery"
owner = "stores"
"""


def rules(owners: str = "") -> Rules:
    return parse(DEFAULT_PATH.read_text() + owners, Registry.parse(REGISTRY.read_text()))


@pytest.fixture
async def pool(stack: Stack, database: str) -> AsyncIterator[Pool]:
    settings = load_settings(clickhouse_url=stack.clickhouse_url, clickhouse_database=database)
    client = ClickHouse(settings)
    make_tables(client, settings)
    client.close()
    made = Pool(settings)
    yield made
    made.close()


async def watched(watch: Watch, steps: int = 100) -> list[Finding]:
    """All findings until nothing is left to judge."""
    found: list[Finding] = []
    for _ in range(steps):
        before = watch.figures.windows
        found += await watch.step(NOW_MS)
        await watch.settled()
        if watch.figures.windows == before:
            return found
    raise AssertionError("it never came to an end")


def bare(findings: Sequence[Finding]) -> list[Finding]:
    return [replace(each, contributions=(), verbatims=()) for each in findings]


async def test_a_planted_drop_is_found_with_start_size_owner_and_evidence(pool: Pool) -> None:
    await pool.call(lambda client: record(client, per_hour=120, fall=Fall(hour=6.0), hours=10))
    found = await watched(Watch(pool, rules(OWNERS), lambda: 1))
    found = [each for each in found if each.verdict == Verdict.RAISED]
    assert {each.rule for each in found} == {"nps-drop"}
    first = next(each for each in found if each.scope == {"brand": "acme", "touchpoint": "delivery"})
    assert 6 * 3600 < first.window_end - DAY < 9 * 3600
    assert first.began is not None
    assert abs(first.began - DAY - 6 * 3600) < 2 * 3600
    assert first.size is not None
    assert first.size.high < -0.3
    assert first.severity == "critical"
    assert first.owner == "logistics"
    assert first.statistic >= first.threshold
    total = next(each for each in found if each.scope == {})
    assert total.contributions[0].dimension == "touchpoint"
    assert total.contributions[0].value == "delivery"
    assert total.contributions[0].share > 0.7
    # The strongest of each kind first; both topics of a text have its whole part of the drop.
    assert [each.dimension for each in total.contributions[:3]] == ["touchpoint", "unit", "topic"]
    topics = {each.value: each for each in total.contributions if each.dimension == "topic"}
    assert list(topics)[:2] == ["delivery", "waiting"]
    assert topics["delivery"].share == topics["waiting"].share > 0.7
    assert topics["delivery"].now.value < -0.3 < topics["delivery"].before
    assert [(len(text), text[:14], text[-1]) for text in total.verbatims] == [(280, "Waited for day", "…")] * 3
    assert {each.owner for each in found if each.scope == {}} == {"stores"}
    await the_number_it_used_can_still_be_asked_for(pool, first)


async def the_number_it_used_can_still_be_asked_for(pool: Pool, alarm: Finding) -> None:
    """N4: answers come later; as of the closing it judged the score is the alarm's, today it is another one."""
    assert alarm.began is not None
    assert alarm.score is not None
    scope = {name: (value,) for name, value in alarm.scope.items()}
    today = Question("nps", alarm.began, alarm.window_end, None, (), scope)
    then = replace(today, as_of_ms=alarm.window_end * 1000 + 61_000)
    await pool.call(lambda client: late(client, alarm.window_end - 300, 300, 10_000))
    (row,) = (await pool.call(lambda client: read_scores(client, then))).to_dicts()
    assert row["n"] == alarm.score.n
    assert row["score"] == pytest.approx(100 * alarm.score.value)
    (told,) = await pool.call(lambda client: histories(client, today))
    newest = told.revisions[-1]
    assert (newest.reading.n, newest.reasons) == (alarm.score.n + 300, {"delayed": 300})
    assert newest.reading.score != pytest.approx(row["score"])


async def test_a_quiet_day_says_nothing(pool: Pool) -> None:
    await pool.call(record)
    watch = Watch(pool, rules(), lambda: 1)
    assert await watched(watch) == []
    assert watch.figures.windows == 288
    assert watch.figures.cells > 5


async def test_killed_after_any_step_it_goes_on_to_the_same_findings_and_late_answers_change_none(pool: Pool) -> None:
    await pool.call(lambda client: record(client, per_hour=240, fall=Fall(hour=2.0, until=3.5), hours=7))
    whole = await watched(Watch(pool, rules(), lambda: 1))
    assert {each.verdict for each in whole} >= {Verdict.RAISED, Verdict.CALM}
    await pool.call(lambda client: client.command("TRUNCATE TABLE watches"))
    found: list[Finding] = []
    for life in range(2, 40):
        watch = Watch(pool, rules(), lambda life=life: life)  # type: ignore[misc]
        lost = await watch.step(NOW_MS)  # and the worker dies before anybody knows
        if life == 4:
            await pool.call(lambda client: late(client, DAY + 3600, 300, 10_000))
        watch = Watch(pool, rules(), lambda life=life: life)  # type: ignore[misc]
        again = await watch.step(NOW_MS)
        assert bare(again) == bare(lost)
        assert await watch.step(NOW_MS) == again  # not settled: given again
        await watch.settled()
        found += again
        if not watch.figures.windows:
            break
    assert bare(found) == bare(whole)
    # The same rules over the record say the same, to the last bit, whatever came since.
    again = await pool.call(lambda client: list(replay(client, rules(), DAY, DAY + 7 * 3600)))
    assert again == bare(whole)


async def test_a_burst_weighs_posts_by_their_reach_live_and_over_the_record(pool: Pool) -> None:
    text = """fallback_owner = "customer-experience"
        [[rules]]
        id = "burst"
        metric = "nps"
        detector = "burst"
        scope = ["brand,channel"]
        severity = { error = 0 }
        route = "default"
        runbook = "docs/alerts.md" """
    one = parse(text, Registry.parse(REGISTRY.read_text()))
    reaches = (0, 9_000, 99_000, 999_000, *[10_000_000] * 9)
    await pool.call(lambda client: shout(client, DAY + 3_600, reaches))
    found = await watched(Watch(pool, one, lambda: 1))
    # 1 + 2 + 3 + 4 + 9 x 4
    assert [(each.verdict, each.statistic, each.window_end - DAY) for each in found] == [(Verdict.RAISED, 46.0, 3_900)]
    assert await pool.call(lambda client: list(replay(client, one, DAY + 3_600, DAY + 3_900))) == found
    again = await pool.call(lambda client: list(replay(client, one, DAY + 3_600, DAY + 3_900)))
    await pool.call(lambda client: client.command("TRUNCATE TABLE frontiers"))
    assert await pool.call(lambda client: list(replay(client, one, DAY + 3_600, DAY + 3_900))) == again


async def test_answers_that_are_corrected_later_are_an_alert_live_and_over_the_record(pool: Pool) -> None:
    """60 answers an hour; before the third hour ends 20 of the first are edited, and 90 old ones come."""
    (rule,) = re.findall(r'\[\[rules\]\]\nid = "answers-corrected".*', DEFAULT_PATH.read_text(), re.S)
    text = f'fallback_owner = "customer-experience"\n{rule}[rules.parameters]\nmin_n = 10\nwindow_minutes = 180\n'
    one = parse(text, Registry.parse(REGISTRY.read_text()))
    await pool.call(lambda client: record(client, per_hour=60, hours=4))
    known = (DAY + 3 * 3_600 - 60) * 1000
    insert = (
        "INSERT INTO changes (topic, epoch, part, off, minute, reason, known_ms, ver) "
        f"SELECT 'feedback', 1, 0, number, {DAY}, if(number < 20, 'revised', 'delayed'), {known}, 1 FROM numbers(110)"
    )
    await pool.call(lambda client: client.command(insert))
    found = await watched(Watch(pool, one, lambda: 1))
    (first, *_) = found
    assert (first.verdict, first.window_end, first.scope) == (Verdict.RAISED, DAY + 3 * 3_600, {"reason": "revised"})
    whole = await pool.call(lambda client: restated(client, list(range(DAY + 300, DAY + 3 * 3_600 + 1, 300))))
    assert first.statistic == 20 / sum(total for total, _ in whole.values())
    again = await pool.call(lambda client: list(replay(client, one, DAY, DAY + 4 * 3_600)))
    assert again == found


async def test_a_single_event_is_told_once_and_again_until_it_is_settled(pool: Pool) -> None:
    text = """fallback_owner = "customer-experience"
        [[rules]]
        id = "unhappy"
        metric = "nps"
        detector = "event"
        scope = ["brand,touchpoint"]
        severity = { error = 0 }
        route = "default"
        runbook = "docs/alerts.md" """
    one = parse(text, Registry.parse(REGISTRY.read_text()))
    watch = Watch(pool, one, lambda: 1)
    assert await watch.step(NOW_MS) == []
    await pool.call(lambda client: late(client, DAY + 3600, 2, 0))
    (first, second) = await watch.step(NOW_MS)
    assert (first.event, second.event) == ("feedback:1:0:0", "feedback:1:0:1")
    assert (first.owner, first.verdict) == ("logistics", Verdict.RAISED)
    assert await watch.step(NOW_MS) == [first, second]
    await watch.settled()
    assert await watch.step(NOW_MS) == []
    assert await Watch(pool, one, lambda: 2).step(NOW_MS) == []


async def test_windows_that_are_not_closed_are_not_judged(pool: Pool) -> None:
    """A paused sink closes none: nothing is raised, however much is missing."""
    await pool.call(lambda client: record(client, hours=6))
    await pool.call(lambda client: client.command("TRUNCATE TABLE frontiers"))
    watch = Watch(pool, rules(), lambda: 1)
    assert await watched(watch) == []
    assert watch.figures.windows == 0
