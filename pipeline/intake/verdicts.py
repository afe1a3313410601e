"""What became of each row of a file: accepted, or refused with a reason and a path. Pure."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from schemas.explain import Rejection

#: Row numbers kept for each reason; more than a person reads, little in a state file.
ROWS_KEPT = 20


class Verdict(NamedTuple):
    """One row's verdict; `row` counts from 1, without the header; `rejection` None means accepted."""

    row: int
    rejection: Rejection | None

    def document(self) -> dict[str, Any]:
        """The verdict as one line of `--json`."""
        if self.rejection is None:
            return {"row": self.row, "verdict": "accepted"}
        _, reason, path, detail = self.rejection
        return {"row": self.row, "verdict": "refused", "reason": reason.value, "path": path, "detail": detail}

    def line(self) -> str:
        """The verdict for people."""
        if self.rejection is None:
            return f"row {self.row}: accepted"
        _, reason, path, detail = self.rejection
        return f"row {self.row}: refused, {reason.value} at {path}" + (f" ({detail})" if detail else "")


@dataclass(slots=True)
class Tally:
    """Counts of a file so far: rows read, sent, refused by reason, and the first rows of each reason."""

    rows: int = 0
    sent: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    first_rows: dict[str, list[int]] = field(default_factory=dict)
    seconds: float = 0.0

    def add(self, verdict: Verdict, sent: bool) -> None:
        """Count one row; a refused one may be sent all the same (`produce --raw`)."""
        self.rows += 1
        self.sent += sent
        if verdict.rejection is not None:
            reason = verdict.rejection.reason.value
            self.refused[reason] += 1
            kept = self.first_rows.setdefault(reason, [])
            if len(kept) < ROWS_KEPT:
                kept.append(verdict.row)

    def document(self) -> dict[str, Any]:
        """The counts as JSON; `loaded` reads them again."""
        return {
            "rows": self.rows,
            "sent": self.sent,
            "refused": dict(self.refused),
            "first_rows": self.first_rows,
            "seconds": round(self.seconds, 3),
        }

    @classmethod
    def loaded(cls, document: dict[str, Any]) -> Tally:
        """The tally of a document."""
        return cls(
            rows=document["rows"],
            sent=document["sent"],
            refused=Counter(document["refused"]),
            first_rows=document["first_rows"],
            seconds=document["seconds"],
        )

    def lines(self) -> list[str]:
        """The summary for people."""
        rate = f", {self.rows / self.seconds:,.0f} rows/s" if self.seconds > 0.01 else ""
        summary = [f"{self.rows:,} rows: {self.sent:,} sent, {self.refused.total():,} refused{rate}"]
        for reason, count in self.refused.most_common():
            rows = ", ".join(str(row) for row in self.first_rows[reason])
            more = ", ..." if count > len(self.first_rows[reason]) else ""
            summary.append(f"  {reason}: {count:,} (rows {rows}{more})")
        return summary
