"""Single things on the page: a feedback as it is shown, what belongs to a view. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipeline.scores.meters import FORMS
from pipeline.views.page.view import View


def shown(row: Mapping[str, Any]) -> dict[str, Any]:
    """A ledger row as the page shows it."""
    names = (
        "occurred_ms",
        "source",
        "metric",
        "scale",
        "brand",
        "unit",
        "channel",
        "touchpoint",
        "language",
        "label",
        "tier",
        "text",
        "topics",
        "truncated",
    )
    return {
        "id": f"{row['topic']}:{row['epoch']}:{row['part']}:{row['off']}",
        **{name: row[name] for name in names},
        "answer": row["answer"] if row["metric"] in FORMS else None,
        "confidence": row["confidence"] / 10_000 if row["label"] else None,
    }


def matches(view: View, item: Mapping[str, Any]) -> bool:
    """Whether a feedback lies inside a view's filters."""
    return all(item[name] in values for name, values in view.filters)


def concerns(view: View, scope: Mapping[str, str]) -> bool:
    """An alert belongs to a view when its scope lies inside; a wide one is shown to those who may see everything."""
    return all(
        (name in scope and scope[name] in values) or (name not in scope and not view.narrow)
        for name, values in view.filters
    )
