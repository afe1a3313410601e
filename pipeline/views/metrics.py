"""docs/metrics.md from the table of metrics [I/O]: `python -m pipeline.views.metrics` writes it, a test finds drift."""

from __future__ import annotations

import sys
from pathlib import Path

from pipeline.telemetry import GATEWAY_METRICS, METRICS

PAGE = Path(__file__).resolve().parents[2] / "docs" / "metrics.md"


def page() -> str:
    """The page's whole text."""
    lines = ["# Metrics", "", "Made from `pipeline/telemetry.py` by `python -m pipeline.views.metrics`."]
    for title, metrics in (("Of each worker", METRICS), ("Of each gateway", GATEWAY_METRICS)):
        lines += ["", f"{title}, on `/metrics`:", "", "| name | kind | labels | what it tells |", "|---|---|---|---|"]
        lines += [f"| `{m.name}` | {m.kind} | {', '.join(m.labels) or '-'} | {m.about} |" for m in metrics]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page())
    sys.exit(0)
