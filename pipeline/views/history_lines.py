"""Why a number changed, as people and programs read it (pure)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, tzinfo
from typing import Any

from pipeline.scores.history import ON_TIME, History, Revision
from pipeline.scores.meters import Reading
from pipeline.views.figures import difference, number
from pipeline.views.score_lines import iso

#: What a reason means, for people who did not write it.
MEANING = {
    "delayed": "delayed: came after the window was closed",
    "revised": "revised: a customer changed an answer",
    "restated": "restated: had come too late, counted when somebody asked",
    "same_event": "taken out: the same event twice",
    "conflict": "taken out: the same event id with other content",
    "relabelled": "relabelled by another model",
    "merged": "two customers were found to be one",
    "erased": "erased on request",
}


def history_lines(found: Sequence[History], late: int, zone: tzinfo = UTC) -> list[str]:
    """Each window with its numbers, when they were known, and why they differ."""
    lines: list[str] = []
    for each in found:
        place = " ".join(f"{name} {value or '-'}" for name, value in each.scope.items())
        span = f"{_local(each.start, zone)} .. {_local(each.start + each.seconds, zone)}"
        lines.append("  ".join(part for part in (span, place, f"scale {each.scale}") if part))
        before: Reading | None = None
        for revision in each.revisions:
            lines.append(f"    {_revision(revision, before, each, zone)}")
            before = revision.reading
    if late:
        events = "event of this time came too late and is" if late == 1 else "events of this time came too late and are"
        lines.append(f"{late} {events} not counted; `touchline restate --from --to` counts them")
    return lines


def _revision(revision: Revision, before: Reading | None, history: History, zone: tzinfo) -> str:
    now = revision.reading
    shown = "insufficient" if now.score is None else number(now.score, now.unit)
    cells = [_local(revision.known_ms // 1000, zone), shown.rjust(12), f"n {now.n}".ljust(8)]
    if before is None:
        cells.append("still open" if history.closed_ms is None else "when the window was closed")
    else:
        if now.score is not None and before.score is not None:
            cells.append(difference(now.score - before.score, now.unit).rjust(8))
        said = (f"{n} {MEANING.get(reason, reason)}" for reason, n in sorted(revision.reasons.items()))
        cells.append("; ".join(said))
    return "  ".join(cells)


def history_document(found: Sequence[History], late: int) -> dict[str, Any]:
    """The same for `--json`."""
    return {
        "too_late": late,
        "windows": [
            {
                "start": iso(each.start),
                "seconds": each.seconds,
                "scope": each.scope,
                "scale": each.scale,
                "closed": None if each.closed_ms is None else iso(each.closed_ms // 1000),
                "revisions": [
                    {
                        "revision": number_,
                        "known": iso(revision.known_ms // 1000),
                        "n": revision.reading.n,
                        "score": revision.reading.score,
                        "low": revision.reading.low,
                        "high": revision.reading.high,
                        "status": revision.reading.status,
                        "reasons": {k: n for k, n in revision.reasons.items() if k != ON_TIME},
                    }
                    for number_, revision in enumerate(each.revisions)
                ],
            }
            for each in found
        ],
    }


def _local(second: int, zone: tzinfo) -> str:
    return datetime.fromtimestamp(second, zone).strftime("%Y-%m-%d %H:%M")
