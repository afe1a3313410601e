"""Live watching [I/O]: judges every newly closed window, once, in order; goes on after a kill where it was.

Only the owner of `ticks` watches. Windows come from `frontiers`, so a sink that pauses closes none and looks like no
drop. Findings are given until the caller says `settled`: whoever dies between gives them again, the same ones.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import polars as pl

from pipeline.alerts import evidence, recorded
from pipeline.alerts.events import Share, single
from pipeline.alerts.finding import Finding, Verdict
from pipeline.alerts.judging import Judge
from pipeline.alerts.keeping import pack, unpack
from pipeline.alerts.rules import Rules
from pipeline.alerts.scopes import KEPT, WINDOW_S
from pipeline.alerts.shares import SHARES
from pipeline.clickhouse import ClickHouse, Pool

#: Windows judged in one step, four hours while twice that wait, then half an hour: the caller gets a turn for each,
#: so that what fires and lasts is told while it lasts, and a day is judged within a few turns.
_FAR, _NEAR = 48, 6
_AGAIN_S = 6 * 3_600
_DAY_MS = 86_400_000
#: Evidence of alarms that began longer ago is forgotten, and gathered again where it is still needed.
_OLD_S = 30 * 86_400


@dataclass(slots=True)
class Figures:
    """What the metrics show: windows judged, verdicts raised, rules times scopes that share the budget."""

    windows: int = 0
    raised: int = 0
    cells: int = 0
    judged_until: int = 0


def _shares(rules: Rules) -> list[Share]:
    return [Share(rules, name) for name in SHARES]


class Watch:
    """Watches with one set of rules. `ver` is the fence of the owner of `ticks`: the highest one's rows are kept."""

    def __init__(self, pool: Pool, rules: Rules, ver: Callable[[], int]) -> None:
        self._pool = pool
        self._rules = rules
        self._ver = ver
        self._fence = -1
        self._judge: Judge | None = None
        self._shares = _shares(rules)
        self._single = any(rule.detector == "event" for rule in rules.rules)
        self._positions: dict[int, tuple[int, int]] | None = None
        self._until = 0
        self._waiting: list[Finding] = []
        self._unsettled: list[tuple[str, int, str]] = []
        self._evidence: dict[tuple[Any, ...], evidence.Evidence] = {}
        self._owners: dict[tuple[Any, ...], str] = {}
        self.figures = Figures()

    def forget(self) -> None:
        """Another worker watches now, or the rules are others: the next step begins from the tables."""
        self._judge = None
        self._shares = _shares(self._rules)
        self._positions = None
        self._waiting.clear()
        self._unsettled.clear()

    async def step(self, now_ms: int) -> Sequence[Finding]:
        """Findings of the windows closed by now, oldest first; again and again until they are `settled`.

        Raises Unavailable when ClickHouse does not answer: nothing is lost, the next step begins there.
        """
        if self._ver() != self._fence:
            # The group has changed: another worker may have judged windows in between.
            self.forget()
            self._fence = self._ver()
        if self._waiting or self._unsettled:
            return list(self._waiting)
        try:
            judge = self._judge or await self._resumed(now_ms)
            if self._single:
                await self._answers(now_ms)
            ends = await self._pool.call(partial(recorded.closed, after=self._until, most=2 * _FAR))
            ends = ends[: _FAR if len(ends) == 2 * _FAR else _NEAR]
            if ends:
                await self._judged(judge, ends)
        except BaseException:
            # Half a step may be in the detectors: the tables know better.
            self.forget()
            raise
        self.figures.cells = judge.cells
        return list(self._waiting)

    async def settled(self) -> None:
        """The findings of the last step are safe: the state after them is kept, and the next step goes on."""
        for kind, at, body in self._unsettled:
            await self._keep(kind, at, body)
        self._unsettled.clear()
        self._waiting.clear()

    async def _judged(self, judge: Judge, ends: Sequence[int]) -> None:
        frames = await self._pool.call(partial(recorded.windows, ends=ends, dims=judge.dims, loud=judge.weighs))
        wanted = [share for share in self._shares if share.wanted]
        counted = [await self._pool.call(partial(SHARES[share.detector], ends=ends)) for share in wanted]
        for end in ends:
            await self._learn(judge, end)
            found = judge.step(frames[end], end)
            for share, counts in zip(wanted, counted, strict=True):
                found += share.step(end, *counts[end]) if end in counts else []
            self._waiting += [await self._with_evidence(each) for each in found]
            self._until = self.figures.judged_until = end
            self.figures.windows += 1
            self.figures.raised += sum(each.verdict == Verdict.RAISED for each in found)
        state = {"until": ends[-1], "judge": judge.dump()}
        state |= {share.detector: share.dump() for share in self._shares}
        self._unsettled.append(("state", ends[-1], pack(state)))

    async def _answers(self, now_ms: int) -> None:
        """Single events recorded since the last step; watching begins with what comes after its first look."""
        if self._positions is None:
            kept = await self._newest("events", 2**32 - 1)
            found = kept["positions"] if kept else await self._pool.call(recorded.positions_now)
            self._positions = {int(part): (int(epoch), int(off)) for epoch, part, off in found}
        positions = [(epoch, part, off) for part, (epoch, off) in self._positions.items()]
        since = now_ms - 2 * _DAY_MS
        rows = await self._pool.call(partial(recorded.answers_after, positions=positions, since_ms=since))
        if not rows.height:
            return
        self._waiting += single(self._rules, rows)
        self._positions |= {
            int(part): (int(epoch), int(off)) for epoch, part, off in rows.select("epoch", "part", "off").iter_rows()
        }
        positions = [(epoch, part, off) for part, (epoch, off) in self._positions.items()]
        self._unsettled.append(("events", now_ms // 1000, pack({"positions": positions})))

    async def _learn(self, judge: Judge, end: int) -> None:
        """Learns when it is time, and writes down what it knew: a backtest learns from the same rows."""
        until = judge.due(end)
        if until is None:
            return
        known = await self._pool.call(partial(_known, until=until))
        judge.learn(
            await self._pool.call(partial(recorded.hours, levels=judge.levels, until=until, known=known)), until
        )
        await self._keep("known", until, pack({"feedback": known.feedback, "history": known.history}))
        await self._keep("learned", until, pack(judge.dump_learned()))

    async def _resumed(self, now_ms: int) -> Judge:
        """The judge as it was after the last settled window; a fresh one where there is none."""
        judge = Judge(self._rules)
        state = await self._newest("state", 2**32 - 1)
        if state is None:
            self._until = await self._pool.call(partial(_begin, now_ms=now_ms))
            self._judge = judge
            return judge
        self._until = int(state["until"])
        learned = await self._newest("learned", self._until)
        if learned is not None:
            judge.load_learned(learned)
        ends = await self._pool.call(partial(recorded.closed, after=self._until - KEPT * WINDOW_S, until=self._until))
        frames = await self._pool.call(partial(recorded.windows, ends=ends, dims=judge.dims, loud=judge.weighs))
        for end in ends:
            judge.fill(frames[end], end)
        judge.load(state["judge"])
        for share in self._shares:
            if share.detector in state:  # what an older version kept may lack one
                share.load(state[share.detector])
        self._judge = judge
        return judge

    async def _newest(self, kind: str, until: int) -> Any:
        rows = await self._pool.query(
            """SELECT body FROM watches FINAL WHERE kind = {kind:String} AND at <= {until:UInt32}
            ORDER BY at DESC LIMIT 1""",
            {"kind": kind, "until": until},
        )
        return unpack(rows["body"][0]) if rows.height else None

    async def _keep(self, kind: str, at: int, body: str) -> None:
        rows = pl.DataFrame(
            [(kind, at, self._ver(), body)],
            schema={"kind": pl.String, "at": pl.UInt32, "ver": pl.UInt64, "body": pl.String},
            orient="row",
        )
        await self._pool.insert("watches", rows)

    async def _with_evidence(self, finding: Finding) -> Finding:
        """With contributions and texts: when it is raised, and again every six hours while it lasts.

        Where lines of the rules ask for a topic, a drop's main topic says who answers, until the scope is calm again.
        """
        place = (finding.rule, finding.metric, finding.scale, tuple(finding.scope.items()))
        if finding.verdict == Verdict.CALM:
            self._owners.pop(place, None)
        if finding.verdict != Verdict.RAISED or finding.size is None:
            return finding
        key = (*place, finding.began or 0)
        if key not in self._evidence or finding.window_end % _AGAIN_S == 0:
            self._evidence = {
                key: found for key, found in self._evidence.items() if key[4] > finding.window_end - _OLD_S
            }
            self._evidence[key] = await self._pool.call(partial(evidence.gathered, finding=finding))
        contributions, verbatims = self._evidence[key]
        found = replace(finding, contributions=contributions, verbatims=verbatims)
        if self._rules.owners.by_topic:
            found = replace(found, owner=self._owners.setdefault(place, self._owner(found)))
        return found

    def _owner(self, finding: Finding) -> str:
        """Who answers for a drop and its main topic."""
        rule = next(rule for rule in self._rules.rules if rule.id == finding.rule)
        topics = evidence.main_topic(finding.contributions)
        return self._rules.owner_of(rule, finding.scope, finding.window_end, topics)


def _known(client: ClickHouse, until: int) -> recorded.Known:
    """What was known at an earlier learning up to the same moment, else what is known now.

    After a kill between learning and settling the same rows are read again, although more has come since.
    """
    rows = client.query("SELECT body FROM watches FINAL WHERE kind = 'known' AND at = {at:UInt32}", {"at": until})
    if rows.height:
        body = unpack(rows["body"][0])
        return recorded.Known(body["feedback"], body["history"])
    return recorded.known_at(client, until)


def _begin(client: ClickHouse, now_ms: int) -> int:
    """Watching begins with the first closed window of the last day that there is; older ones are for a backtest."""
    found = recorded.closed(client, max(now_ms // 1000 - 86_400, 0), most=1)
    return found[0] - WINDOW_S if found else 0
