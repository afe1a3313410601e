"""`touchline report` [I/O]: the week as one HTML file, and as PDF where Chromium is."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.command.admin import AsJson, guarded
from pipeline.command.output import Exit, emit, emit_json, note

if TYPE_CHECKING:
    from pipeline.views.weekly import Facts, Week

app = typer.Typer(rich_markup_mode=None)

#: Printing a page of text takes Chromium a second or two.
_PRINT_S = 60.0
#: Texts of the worst place that are quoted.
_QUOTED = 8


@app.command("report")
def report(
    week: Annotated[str, typer.Option(help="e.g. 2026-W47; the last one that is over else")] = "",
    out: Annotated[Path | None, typer.Option(help="the file to write; touchline-WEEK.html else")] = None,
    pdf: Annotated[bool, typer.Option(help="also as PDF, through Chromium")] = True,
    json: AsJson = False,
) -> None:
    """Write the weekly report: what moved, how sure, where, who acts, what was said, why, what was done.

    Exit codes: 0 written, 2 usage, 4 ClickHouse did not answer.
    """

    def work() -> int:
        from datetime import UTC, datetime

        from pipeline.views.weekly import report as written
        from pipeline.views.weekly import week_of

        chosen = week_of(week, datetime.now(UTC).date())
        file = out or Path(f"touchline-{chosen.name}.html")
        file.write_text(written(_facts(chosen)), encoding="utf-8")
        printed = _printed(file) if pdf else None
        if json:
            emit_json({"week": chosen.name, "html": str(file), "pdf": None if printed is None else str(printed)})
        else:
            for made in filter(None, (file, printed)):
                emit(str(made))
        return Exit.OK

    guarded(work)


def _facts(week: Week) -> Facts:
    import polars as pl

    from pipeline.alerts.reading import steps_between
    from pipeline.clickhouse import ClickHouse
    from pipeline.customers.registry import DEFAULT_PATH, Registry
    from pipeline.journeys.drivers import DriverQuestion, read_drivers
    from pipeline.scores.reading import Question, read_scores
    from pipeline.settings import load_settings
    from pipeline.views.page import frames, readings
    from pipeline.views.page.items import shown
    from pipeline.views.page.view import View
    from pipeline.views.week_deeds import deeds_of
    from pipeline.views.weekly import Facts

    settings = load_settings()
    registry = Registry.parse((settings.registry or DEFAULT_PATH).read_text())
    owners = {name: registry.owners[entry.owner] for name, entry in registry.touchpoints.items()}
    default = registry.owners[registry.default_owner]
    client = ClickHouse(settings, timeout_s=120.0)
    try:
        cells = readings.cells_of(client, View.of("7d", {}), week.end - 1)
        by, span = ("touchpoint", "channel"), (week.first - 7 * 86_400, week.first)
        asked = [Question(metric, *span, None, by) for metric in frames.MEASURES]
        before = pl.concat([frames.from_rows(one.metric, read_scores(client, one), by) for one in asked])
        lead = frames.headline(cells, owners, default)
        worst = lead["worst"] if lead else None
        said = []
        if lead and worst:
            there = {"touchpoint": (worst["touchpoint"],), "channel": (worst["channel"],)}
            events = readings.behind(client, lead["metric"], (week.first, week.end), there)
            said = [shown(event) for event in events if event["text"]][:_QUOTED]
        asked_why = DriverQuestion(week.first, week.end, metric=lead["metric"] if lead else "nps")
        drivers = read_drivers(client, asked_why).document()
        deeds = deeds_of(steps_between(client, week.first * 1000, week.end * 1000))
    finally:
        client.close()
    return Facts(week, cells, before, owners, default, said, drivers, deeds)


def _printed(file: Path) -> Path | None:
    """The same as PDF; None, and a word about it, where Chromium is not or does not print."""
    import shutil
    import subprocess
    import tempfile

    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        note("no PDF: Chromium is not here (`apt-get install chromium`)")
        return None
    target = file.with_suffix(".pdf")
    with tempfile.TemporaryDirectory(prefix="touchline-report-") as profile:
        arguments = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", f"--user-data-dir={profile}"]
        last = ["--no-pdf-header-footer", f"--print-to-pdf={target.resolve()}", file.resolve().as_uri()]
        try:
            done = subprocess.run([chromium, *arguments, *last], capture_output=True, timeout=_PRINT_S, check=False)
        except subprocess.TimeoutExpired:
            done = None
    if done is None or done.returncode or not target.exists():
        note("no PDF: Chromium did not print it")
        return None
    return target
