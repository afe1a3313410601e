"""Steps as rows and back: the book is what its rows say (pure).

Rows bear the fence of the worker that wrote them and a number that rises with each row. What counts now is under the
highest fence: whoever takes over writes down everything again under its own, so a former owner's late row never wins.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import msgspec
import polars as pl

from pipeline.alerts.book import Step
from pipeline.alerts.entries import KINDS, Alert, Entry, Incident, Reception, Round, Sending, Silence, id_of

COLUMNS = {
    "kind": pl.String,
    "id": pl.String,
    "ver": pl.UInt64,
    "seq": pl.UInt64,
    "revision": pl.UInt32,
    "step": pl.String,
    "state": pl.String,
    "rule": pl.String,
    "scope": pl.String,
    "incident": pl.String,
    "owner": pl.String,
    "severity": pl.String,
    "at_ms": pl.Int64,
    "who": pl.String,
    "why": pl.String,
    "body": pl.String,
}
#: The row that says who owns the book and, as its revision's successor, how far its steps were published.
OWNER = "owner"


@dataclass(frozen=True, slots=True)
class Found:
    """What the rows of one owner say: its entries in order, its steps, and up to which number they were published."""

    steps: Sequence[tuple[int, Step]]
    published: int


def frame(steps: Iterable[Step], ver: int, first: int, published: int, now_ms: int) -> pl.DataFrame:
    """Rows of steps, numbered from `first` on, with the owner's own row before them."""
    rows: list[tuple[object, ...]] = [
        (OWNER, OWNER, ver, first, 0, OWNER, "", "", "", "", "", "", now_ms, "", "", str(published))
    ]
    rows += [_row(step, ver, number) for number, step in enumerate(steps, first + 1)]
    return pl.DataFrame(rows, schema=COLUMNS, orient="row")


def found(rows: pl.DataFrame) -> Found:
    """What rows of one fence say, whatever their order."""
    steps, published = [], 0
    for row in rows.sort("seq").iter_rows(named=True):
        if row["kind"] == OWNER:
            published = max(published, int(row["body"] or 0))
        else:
            steps.append((int(row["seq"]), step_of(row)))
    return Found(steps, published)


def step_of(row: dict[str, object]) -> Step:
    """One step from its row."""
    kind = str(row["kind"])
    entry: Entry = msgspec.json.decode(str(row["body"]), type=KINDS[kind])
    return Step(kind, str(row["step"]), int(str(row["at_ms"])), str(row["who"]), str(row["why"]), entry)


def _row(step: Step, ver: int, number: int) -> tuple[object, ...]:
    body = msgspec.json.encode(step.entry).decode()
    return (
        *(step.kind, id_of(step.entry), ver, number, step.entry.revision, step.step),
        *described(step.entry),
        *(step.at_ms, step.by, step.why, body),
    )


def described(entry: Entry) -> tuple[str, str, str, str, str, str]:
    """State, rule, scope, incident, owner and severity of an entry, for those who read the table."""
    match entry:
        case Alert():
            seen = entry.evidence
            scope = ",".join(f"{name}={value}" for name, value in sorted(seen.scope.items()))
            return (str(entry.state), seen.rule, scope, entry.incident, seen.owner, entry.severity)
        case Incident():
            scope = ",".join(f"{name}={value}" for name, value in sorted(entry.labels.items()))
            return (str(entry.state), "", scope, entry.key, entry.owner, entry.severity)
        case Sending():
            return (entry.state, "", entry.notice.receiver, entry.notice.fingerprint, "", "")
        case Silence():
            return ("", "", ",".join(f"{m.name}{m.op}{m.value}" for m in entry.matchers), "", entry.by, "")
        case Reception():
            return ("disabled" if entry.disabled else "failing" if entry.failing else "", "", "", "", "", "")
        case Round():
            return ("", "", "", "", "", "")
