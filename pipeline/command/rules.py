"""`touchline rules`: check and explain what is watched, try it in simulated worlds and on recorded history."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.command.output import Exit, emit, emit_json, note
from pipeline.command.rules_shown import (
    ABOUT,
    alarm,
    changes,
    columns,
    compared,
    cried_wolf,
    described,
    iso,
    minutes,
    told,
    trial,
)
from pipeline.errors import SettingsError, Unavailable, UsageError

if TYPE_CHECKING:
    from pipeline.alerts.rules import Rules

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
        emit_json([described(rules, number) for number in range(len(rules.rules))])
        return
    rows = [("rule", "metric", "detector", "scopes", "route", "owner", "mode")]
    for rule in rules.rules:
        levels = " ".join("x".join(level) or "total" for level in rule.levels)
        owner, mode = rule.owner or "by touchpoint and unit", "shadow" if rule.shadow else "sends"
        rows.append((rule.id, rule.metric, rule.detector, levels, rule.route, owner, mode))
    columns(rows)


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
        emit_json(described(rules, number))
        return
    rule = rules.rules[number]
    emit(f"{rule.id}: {ABOUT[rule.detector]}")
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

    Beside it, what the rules that people set up by hand would have cried in the same days. Exit codes: 0, 2 no such
    world. Takes about ten seconds for 200 segments and 84 days.
    """
    from pipeline.alerts.trials import Plan, run
    from pipeline.alerts.worlds import KINDS

    if world not in KINDS:
        note(f"touchline rules simulate: there is no world {world!r}; there are {', '.join(KINDS)}")
        raise typer.Exit(Exit.USAGE)
    report = run(Plan(segments=segments, days=days, seed=seed, world=world))
    if as_json:
        emit_json(trial(report))
        return
    emit(f"{segments} segments, {days} days, world {world}, seed {seed}; nominal {report.plan.false_alarms:g}")
    emit(f"false alarms per segment and 30 days: {report.false_alarms:.3f} ({report.alarms} alarms)")
    for band, rate in report.bands.items():
        emit(f"  {band} answers an hour: {rate:.3f}")
    emit("")
    cried_wolf(report)
    emit("")
    rows = [("drop", "median minutes", "median answers", "within 24 h", *(f"{band}/h" for band in report.bands))]
    for delay in report.delays:
        bands = (minutes(delay.by_band.get(band, float("inf"))) for band in report.bands)
        share = f"{100 * delay.within_a_day:.0f} %"
        rows.append((f"{delay.points} points", minutes(delay.minutes), minutes(delay.answers), share, *bands))
    columns(rows)


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
    from pipeline.command.typed import moment
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
        changed = None if other is None else difference(firings(list(replay(client, other, start, end))), found)
        client.close()
    except (UsageError, SettingsError) as error:
        note(f"touchline rules backtest: {error}")
        raise typer.Exit(Exit.USAGE) from None
    except Unavailable as error:
        note(f"touchline rules backtest: {error}")
        raise typer.Exit(Exit.UNREACHABLE) from None
    owners = per_day(found, end - start)
    if as_json:
        document: dict[str, Any] = {"from": iso(start), "to": iso(end), "rules": rules.digest}
        document |= {"alerts": [alarm(each) for each in found], "alerts_per_day": owners}
        if changed is not None:
            document["difference"] = compared(changed)
        emit_json(document)
        return
    told(found, owners, start, end)
    if changed is not None:
        changes(changed)


def _loaded(file: Path | None, command: str) -> Rules:
    from pipeline.alerts.loading import load_rules
    from pipeline.settings import load_settings

    try:
        return load_rules(load_settings(), file)
    except SettingsError as error:
        note(f"touchline rules {command}: {error}")
        raise typer.Exit(Exit.USAGE) from None
