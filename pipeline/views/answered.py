"""What is asked beside a score, and the answer with its further columns (pure); light to import."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from pipeline.errors import UsageError
from pipeline.views.score_lines import Extra

if TYPE_CHECKING:
    from pipeline.scores.reading import Question


@dataclass(frozen=True, slots=True)
class More:
    """What is wanted beside the scores of a question; `tree` sums units up to their parents."""

    beside: str = ""
    voices: bool = False
    compare: bool = False
    rank: bool = False
    tree: Literal["then", "now"] | None = None
    tz: str = "UTC"


@dataclass(frozen=True, slots=True)
class Answer:
    """The question as it was asked in the end, its rows and their further columns; `behind` while catching up."""

    question: Question
    rows: list[dict[str, Any]]
    extras: list[Extra]
    behind: dict[str, Any] | None = None


def chosen_view(text: str) -> Literal["then", "now"] | None:
    """`then`, `now` or nothing; raises UsageError for anything else."""
    if text in ("then", "now"):
        return "then" if text == "then" else "now"
    if text:
        raise UsageError(f"--tree {text} is neither then (as the units stood) nor now (as they stand)")
    return None
