"""`touchline doctor`: what is reachable, right and ready; each line with the fix."""

from __future__ import annotations

import typer

from pipeline.command.admin import AsJson, guarded
from pipeline.command.output import Exit, emit, emit_json

app = typer.Typer(rich_markup_mode=None)


@app.command("doctor")
def doctor(json: AsJson = False) -> None:
    """Check settings, keys, registry, disk, Kafka, topics, workers, ClickHouse, tables, clock, touchpoints.

    Changes nothing.

    Exit codes: 0 nothing fails (warnings may stand), 1 something is wrong, 4 Kafka or ClickHouse does not answer.
    """

    def work() -> int:
        from pipeline.telemetry import mute_libraries
        from pipeline.views.doctor import State, examine

        mute_libraries()
        findings = []
        for finding in examine():
            findings.append(finding)
            if not json:
                emit(finding.line)
        if json:
            emit_json([finding.document() for finding in findings])
        if any(finding.unreachable for finding in findings):
            return Exit.UNREACHABLE
        return Exit.FAILURE if any(finding.state is State.FAIL for finding in findings) else Exit.OK

    guarded(work)
