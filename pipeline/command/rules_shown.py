"""How `touchline rules` shows rules, trials and backtests: tables for people, documents for programs."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from pipeline.command.output import emit

if TYPE_CHECKING:
    from pipeline.alerts.backtest import Difference, Firing
    from pipeline.alerts.rules import Rules
    from pipeline.alerts.trials import Report

#: What each detector looks for, in a sentence.
ABOUT = {
    "drop": "looks for a lasting drop below the baseline by hour of the week (CUSUM, two sizes)",
    "guarantee": "looks for a lasting drop, with a bound on false alarms that needs no model (e-detector)",
    "below": "fires when the whole interval of the score lies below what was promised",
    "change": "fires when the score fell significantly against the same length of time before",
    "silence": "fires when no answer came for longer than the scope's own gap allows",
    "volume": "fires when far fewer answers come than usual at these hours",
    "rejects": "fires when too many events are rejected",
    "restated": "fires when too many answers are corrected after their window was closed",
    "event": "fires at a single answer: negative, of a segment, or with a word",
    "burst": "fires when negative answers in public come far more often than usual",
}


def described(rules: Rules, number: int) -> dict[str, Any]:
    """One rule as a document."""
    rule = rules.rules[number]
    return {
        "id": rule.id,
        "metric": rule.metric,
        "scale": rule.scale,
        "detector": rule.detector,
        "about": ABOUT[rule.detector],
        "scope": [",".join(level) or "total" for level in rule.levels],
        "parameters": {name: list(v) if isinstance(v, tuple) else v for name, v in rule.parameters.items()},
        "severity": dict(rule.severity),
        "route": rule.route,
        "runbook": rule.runbook,
        "owner": rule.owner or None,
        "shadow": rule.shadow,
        "digest": rule.digest,
    }


def trial(report: Report) -> dict[str, Any]:
    """A trial as a document."""
    plan = report.plan
    return {
        "segments": plan.segments,
        "days": plan.days,
        "seed": plan.seed,
        "world": plan.world,
        "nominal": plan.false_alarms,
        "alarms": report.alarms,
        "false_alarms_per_segment_month": report.false_alarms,
        "by_volume": report.bands,
        "usual_rules": [
            {"rule": rate.rule, "false_alarms_per_segment_month": rate.all, "by_volume": rate.bands}
            for rate in report.usual
        ],
        "tau_points": 100 * report.tau,
        "drops": [
            {
                "points": delay.points,
                "trials": delay.trials,
                "median_minutes": finite(delay.minutes),
                "median_answers": finite(delay.answers),
                "within_24_h": delay.within_a_day,
                "median_minutes_by_volume": {band: finite(value) for band, value in delay.by_band.items()},
            }
            for delay in report.delays
        ],
    }


def cried_wolf(report: Report) -> None:
    """False alarms of the default detector and of the rules that people set up by hand, in one table."""
    rows = [("false alarms per segment and 30 days", "all", *(f"{band}/h" for band in report.bands), "")]
    ours = report.false_alarms
    rows.append(("default detector", f"{ours:.2f}", *(f"{of:.2f}" for of in report.bands.values()), ""))
    for each in report.usual:
        times = f"{each.all / ours:,.0f} times as many" if ours else ""
        rows.append((each.rule, f"{each.all:.2f}", *(f"{of:.2f}" for of in each.bands.values()), times))
    columns(rows)


def finite(value: float) -> float | None:
    """JSON knows no infinity: null means that half of the drops were never found."""
    return None if value == float("inf") else value


def minutes(value: float) -> str:
    """Minutes or answers; - where half were never found."""
    return "-" if value == float("inf") else f"{value:.0f}"


def told(found: list[Firing], owners: dict[str, float], start: int, end: int) -> None:
    """A backtest as a table, and alarms a day by owner."""
    rows = [("raised (UTC)", "rule", "scope", "owner", "severity", "size, points", "95 % interval", "n", "lasted")]
    for each in found:
        raised, worst = each.raised, each.worst
        lasted = "still" if each.resolved is None else span(each.resolved - raised.window_end)
        size, interval, n = "-", "-", "-"
        if worst.size is not None:
            size, n = f"{100 * worst.size.value:+.1f}", str(worst.size.n)
            interval = f"{100 * worst.size.low:+.1f} .. {100 * worst.size.high:+.1f}"
        owner = raised.owner + (" (shadow)" if raised.shadow else "")
        rows.append(
            (iso(raised.window_end)[:16], raised.rule, each.key[1], owner, worst.severity, size, interval, n, lasted)
        )
    if found:
        columns(rows)
    days = (end - start) / 86_400
    emit(f"{len(found)} alerts in {days:.1f} days, {len(found) / days:.2f} a day")
    for owner, rate in owners.items():
        emit(f"  {owner}: {rate:.2f} a day")


def changes(compared: Difference) -> None:
    """What another version changes, in lines."""
    emit(f"against the other rules: {compared.same} the same, {len(compared.moved)} at another time")
    for word, alarms in (("only now", compared.new), ("no more", compared.gone)):
        for each in alarms:
            emit(f"  {word}: {iso(each.raised.window_end)[:16]} {each.key[0]} {each.key[1]} ({each.raised.owner})")


def compared(compared: Difference) -> dict[str, Any]:
    """The same as a document."""
    return {
        "same": compared.same,
        "moved": [[alarm(before), alarm(after)] for before, after in compared.moved],
        "new": [alarm(each) for each in compared.new],
        "gone": [alarm(each) for each in compared.gone],
    }


def alarm(each: Firing) -> dict[str, Any]:
    """One alarm as a document."""
    worst = each.worst
    size = None if worst.size is None else {"value": worst.size.value, "low": worst.size.low, "high": worst.size.high}
    return {
        "rule": each.raised.rule,
        "scope": dict(each.raised.scope),
        "metric": each.raised.metric,
        "raised": iso(each.raised.window_end),
        "resolved": None if each.resolved is None else iso(each.resolved),
        "began": None if each.raised.began is None else iso(each.raised.began),
        "severity": worst.severity,
        "owner": each.raised.owner,
        "size": size,
        "n": 0 if worst.size is None else worst.size.n,
        "learning": each.raised.learning,
        "detectable": each.raised.detectable,
        "shadow": each.raised.shadow,
    }


def columns(rows: Sequence[tuple[str, ...]]) -> None:
    """Lines with columns under each other."""
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    for row in rows:
        emit("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())


def span(seconds: int) -> str:
    """Hours and minutes."""
    return f"{seconds // 3600} h {seconds % 3600 // 60:02d} min"


def iso(second: int) -> str:
    """A Unix second as people write it."""
    return datetime.fromtimestamp(second, UTC).isoformat().replace("+00:00", "Z")
