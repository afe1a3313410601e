"""`touchline rules`: check and explain what is watched, try it in simulated worlds and on recorded history."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.command.output import Exit, emit, emit_json, note
from pipeline.errors import SettingsError, Unavailable, UsageError

if TYPE_CHECKING:
    from pipeline.alerts.backtest import Difference, Firing
    from pipeline.alerts.rules import Rules
    from pipeline.alerts.trials import Report

app = typer.Typer(rich_markup_mode=None, no_args_is_help=True, help="What is watched, and how sure it is.")
_rules = typer.Typer(
    rich_markup_mode=None, no_args_is_help=True, help="Rules: check, list, explain, simulate, backtest."
)
app.add_typer(_rules, name="rules")

_File = Annotated[Path | None, typer.Argument(help="Rules (TOML); without it TOUCHLINE_RULES, else the bundled ones.")]
_Json = Annotated[bool, typer.Option("--json", help="One JSON document.")]


@_rules.command("check")
def check(file: _File = None, as_json: _Json = False) -> None:
    """Say what is wrong with a file of rules, in sentences. Exit codes: 0 it holds, 2 it does not."""
    rules = _loaded(file, "check")
    if as_json:
        emit_json({"holds": True, "rules": len(rules.rules), "version": rules.version, "digest": rules.digest})
        return
    emit(f"{len(rules.rules)} rules hold; version {rules.version}, digest {rules.digest}")


@_rules.command("list")
def list_rules(file: _File = None, as_json: _Json = False) -> None:
    """List the rules: what each watches, how, and whom it calls. Exit codes: 0, 2 the file does not hold."""
    rules = _loaded(file, "list")
    if as_json:
        emit_json([_described(rules, number) for number in range(len(rules.rules))])
        return
    rows = [("rule", "metric", "detector", "scopes", "route", "owner", "mode")]
    for rule in rules.rules:
        levels = " ".join("x".join(level) or "total" for level in rule.levels)
        owner, mode = rule.owner or "by touchpoint and unit", "shadow" if rule.shadow else "sends"
        rows.append((rule.id, rule.metric, rule.detector, levels, rule.route, owner, mode))
    _columns(rows)


@_rules.command("explain")
def explain(
    rule_id: Annotated[str, typer.Argument(metavar="RULE", help="The rule's id.")],
    file: _File = None,
    as_json: _Json = False,
) -> None:
    """Say in words what one rule does, with all its numbers. Exit codes: 0, 2 no such rule."""
    from pipeline.alerts.parameters import DETECTORS

    rules = _loaded(file, "explain")
    number = next((at for at, rule in enumerate(rules.rules) if rule.id == rule_id), None)
    if number is None:
        note(f"touchline rules explain: there is no rule {rule_id!r}; there are {', '.join(r.id for r in rules.rules)}")
        raise typer.Exit(Exit.USAGE)
    if as_json:
        emit_json(_described(rules, number))
        return
    rule = rules.rules[number]
    emit(f"{rule.id}: {_ABOUT[rule.detector]}")
    emit(f"  watches {rule.metric} of {'; '.join(' x '.join(level) or 'everything' for level in rule.levels)}")
    for name, value in rule.parameters.items():
        about = DETECTORS[rule.detector][name].about if name in DETECTORS[rule.detector] else "any of these"
        emit(f"  {name} = {value if not isinstance(value, tuple) else ', '.join(value) or '(none)'}: {about}")
    words = ", ".join(f"{word} from {points:g} points on" for word, points in rule.severity.items())
    emit(f"  severity: {words}")
    emit(
        f"  calls {rule.owner or 'the owner of the touchpoint and unit'} by the route {rule.route}; see {rule.runbook}"
    )
    emit(f"  false alarms: {rules.false_alarms_per_week:g} a week over all rules and scopes together")
    if rule.shadow:
        emit("  shadow: what it finds is recorded and sent to nobody")


@_rules.command("simulate")
def simulate(
    segments: Annotated[int, typer.Option(min=1, max=2_000, help="Segments of 5 to 500 answers an hour.")] = 200,
    days: Annotated[int, typer.Option(min=1, max=400, help="Days without a drop, for false alarms.")] = 84,
    seed: Annotated[int, typer.Option(help="Another world for each.")] = 1,
    world: Annotated[str, typer.Option(help="clean, day-effects, strong-cycle, bursts or mix-shift.")] = "day-effects",
    as_json: _Json = False,
) -> None:
    """Try the default detector in a simulated world, nominal threshold: false alarms by volume, delay by drop.

    Exit codes: 0, 2 no such world. Takes about ten seconds for 200 segments and 84 days.
    """
    from pipeline.alerts.trials import Plan, run
    from pipeline.alerts.worlds import KINDS

    if world not in KINDS:
        note(f"touchline rules simulate: there is no world {world!r}; there are {', '.join(KINDS)}")
        raise typer.Exit(Exit.USAGE)
    report = run(Plan(segments=segments, days=days, seed=seed, world=world))
    if as_json:
        emit_json(_report(report))
        return
    emit(f"{segments} segments, {days} days, world {world}, seed {seed}; nominal {report.plan.false_alarms:g}")
    emit(f"false alarms per segment and 30 days: {report.false_alarms:.3f} ({report.alarms} alarms)")
    for band, rate in report.bands.items():
        emit(f"  {band} answers an hour: {rate:.3f}")
    rows = [("drop", "median minutes", "median answers", "within 24 h", *(f"{band}/h" for band in report.bands))]
    for delay in report.delays:
        bands = (_minutes(delay.by_band.get(band, float("inf"))) for band in report.bands)
        share = f"{100 * delay.within_a_day:.0f} %"
        rows.append((f"{delay.points} points", _minutes(delay.minutes), _minutes(delay.answers), share, *bands))
    _columns(rows)


@_rules.command("backtest")
def backtest(
    file: _File = None,
    since: Annotated[str, typer.Option("--from", help="ISO time (UTC unless it says so), -30d or now.")] = "-30d",
    until: Annotated[str, typer.Option("--to", help="Likewise.")] = "now",
    against: Annotated[Path | None, typer.Option(help="Another file of rules, to compare with.")] = None,
    as_json: _Json = False,
) -> None:
    """What the rules would have said of recorded history: each alarm, alarms a day by owner, what a change changes.

    Exit codes: 0, 2 usage, 4 ClickHouse did not answer.
    """
    from pipeline.alerts.backtest import difference, firings, per_day, replay
    from pipeline.clickhouse import ClickHouse
    from pipeline.command.scores import moment
    from pipeline.settings import load_settings

    rules = _loaded(file, "backtest")
    other = _loaded(against, "backtest") if against is not None else None
    try:
        now = datetime.now(UTC)
        start, end = moment(since, now), moment(until, now)
        if start >= end:
            raise UsageError("the start must lie before the end")
        client = ClickHouse(load_settings())
        found = firings(list(replay(client, rules, start, end)))
        compared = None if other is None else difference(firings(list(replay(client, other, start, end))), found)
        client.close()
    except (UsageError, SettingsError) as error:
        note(f"touchline rules backtest: {error}")
        raise typer.Exit(Exit.USAGE) from None
    except Unavailable as error:
        note(f"touchline rules backtest: {error}")
        raise typer.Exit(Exit.UNREACHABLE) from None
    owners = per_day(found, end - start)
    if as_json:
        document: dict[str, Any] = {"from": _iso(start), "to": _iso(end), "rules": rules.digest}
        document |= {"alerts": [_alarm(each) for each in found], "alerts_per_day": owners}
        if compared is not None:
            document["difference"] = _compared(compared)
        emit_json(document)
        return
    _told(found, owners, start, end)
    if compared is not None:
        _difference(compared)


#: What each detector looks for, in a sentence.
_ABOUT = {
    "drop": "looks for a lasting drop below the baseline by hour of the week (CUSUM, two sizes)",
    "guarantee": "looks for a lasting drop, with a bound on false alarms that needs no model (e-detector)",
    "below": "fires when the whole interval of the score lies below what was promised",
    "change": "fires when the score fell significantly against the same length of time before",
    "silence": "fires when no answer came for longer than the scope's own gap allows",
    "volume": "fires when far fewer answers come than usual at these hours",
    "rejects": "fires when too many events are rejected",
    "event": "fires at a single answer: negative, of a segment, or with a word",
    "burst": "fires when negative answers in public come far more often than usual",
}


def _loaded(file: Path | None, command: str) -> Rules:
    from pipeline.alerts.loading import load_rules
    from pipeline.settings import load_settings

    try:
        return load_rules(load_settings(), file)
    except SettingsError as error:
        note(f"touchline rules {command}: {error}")
        raise typer.Exit(Exit.USAGE) from None


def _described(rules: Rules, number: int) -> dict[str, Any]:
    rule = rules.rules[number]
    return {
        "id": rule.id,
        "metric": rule.metric,
        "scale": rule.scale,
        "detector": rule.detector,
        "about": _ABOUT[rule.detector],
        "scope": [",".join(level) or "total" for level in rule.levels],
        "parameters": {name: list(v) if isinstance(v, tuple) else v for name, v in rule.parameters.items()},
        "severity": dict(rule.severity),
        "route": rule.route,
        "runbook": rule.runbook,
        "owner": rule.owner or None,
        "shadow": rule.shadow,
        "digest": rule.digest,
    }


def _report(report: Report) -> dict[str, Any]:
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
        "tau_points": 100 * report.tau,
        "drops": [
            {
                "points": delay.points,
                "trials": delay.trials,
                "median_minutes": _finite(delay.minutes),
                "median_answers": _finite(delay.answers),
                "within_24_h": delay.within_a_day,
                "median_minutes_by_volume": {band: _finite(value) for band, value in delay.by_band.items()},
            }
            for delay in report.delays
        ],
    }


def _finite(value: float) -> float | None:
    """JSON knows no infinity: null means that half of the drops were never found."""
    return None if value == float("inf") else value


def _minutes(value: float) -> str:
    return "-" if value == float("inf") else f"{value:.0f}"


def _told(found: list[Firing], owners: dict[str, float], start: int, end: int) -> None:
    rows = [("raised (UTC)", "rule", "scope", "owner", "severity", "size, points", "95 % interval", "n", "lasted")]
    for each in found:
        raised, worst = each.raised, each.worst
        lasted = "still" if each.resolved is None else _span(each.resolved - raised.window_end)
        size, interval, n = "-", "-", "-"
        if worst.size is not None:
            size, n = f"{100 * worst.size.value:+.1f}", str(worst.size.n)
            interval = f"{100 * worst.size.low:+.1f} .. {100 * worst.size.high:+.1f}"
        owner = raised.owner + (" (shadow)" if raised.shadow else "")
        rows.append(
            (_iso(raised.window_end)[:16], raised.rule, each.key[1], owner, worst.severity, size, interval, n, lasted)
        )
    if found:
        _columns(rows)
    days = (end - start) / 86_400
    emit(f"{len(found)} alerts in {days:.1f} days, {len(found) / days:.2f} a day")
    for owner, rate in owners.items():
        emit(f"  {owner}: {rate:.2f} a day")


def _difference(compared: Difference) -> None:
    emit(f"against the other rules: {compared.same} the same, {len(compared.moved)} at another time")
    for word, alarms in (("only now", compared.new), ("no more", compared.gone)):
        for each in alarms:
            emit(f"  {word}: {_iso(each.raised.window_end)[:16]} {each.key[0]} {each.key[1]} ({each.raised.owner})")


def _compared(compared: Difference) -> dict[str, Any]:
    return {
        "same": compared.same,
        "moved": [[_alarm(before), _alarm(after)] for before, after in compared.moved],
        "new": [_alarm(each) for each in compared.new],
        "gone": [_alarm(each) for each in compared.gone],
    }


def _alarm(each: Firing) -> dict[str, Any]:
    worst = each.worst
    size = None if worst.size is None else {"value": worst.size.value, "low": worst.size.low, "high": worst.size.high}
    return {
        "rule": each.raised.rule,
        "scope": dict(each.raised.scope),
        "metric": each.raised.metric,
        "raised": _iso(each.raised.window_end),
        "resolved": None if each.resolved is None else _iso(each.resolved),
        "began": None if each.raised.began is None else _iso(each.raised.began),
        "severity": worst.severity,
        "owner": each.raised.owner,
        "size": size,
        "n": 0 if worst.size is None else worst.size.n,
        "learning": each.raised.learning,
        "shadow": each.raised.shadow,
    }


def _columns(rows: Sequence[tuple[str, ...]]) -> None:
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    for row in rows:
        emit("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())


def _span(seconds: int) -> str:
    return f"{seconds // 3600} h {seconds % 3600 // 60:02d} min"


def _iso(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).isoformat().replace("+00:00", "Z")
