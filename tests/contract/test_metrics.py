"""The documented metrics are those that exist, and names follow Prometheus' conventions."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.telemetry import GATEWAY_METRICS, METRICS, Telemetry
from pipeline.views.metrics import PAGE, page


def test_the_page_of_metrics_is_what_the_code_says() -> None:
    assert PAGE.read_text() == page(), "run `python -m pipeline.views.metrics`"


def test_names_follow_the_conventions() -> None:
    for metric in (*METRICS, *GATEWAY_METRICS):
        assert metric.name.startswith("touchline_")
        assert metric.name.endswith("_total") == (metric.kind == "counter"), metric.name


#: Written with a part of the name in braces: touchline_producer_{state}.
BUILT = {"touchline_producer_bad", "touchline_producer_silent"}


def without_a_place(names: set[str], sources: list[str]) -> set[str]:
    """Metrics that are documented and that nothing ever sets."""
    return {name for name in names - BUILT if not any(f'"{name}"' in source for source in sources)}


def test_every_metric_is_set_somewhere() -> None:
    root = Path(__file__).parents[2]
    files = [path for room in ("pipeline", "agents") for path in (root / room).rglob("*.py")]
    sources = [path.read_text() for path in files if path.name != "telemetry.py"]
    assert without_a_place({metric.name for metric in (*METRICS, *GATEWAY_METRICS)}, sources) == set()


def test_a_metric_that_nothing_sets_would_be_found() -> None:
    assert without_a_place({"touchline_a", "touchline_b"}, ['set("touchline_a", 1)', "# touchline_b"]) == {
        "touchline_b"
    }


def test_an_unknown_metric_raises_at_once() -> None:
    with pytest.raises(KeyError):
        Telemetry().count("touchline_misspelt_total")


def test_a_total_kept_elsewhere_never_counts_backwards() -> None:
    telemetry = Telemetry()
    for value in (3, 3, 5):
        telemetry.total("touchline_stalls_total", value)
    telemetry.total("touchline_stalls_total", 1)
    assert telemetry.registry.get_sample_value("touchline_stalls_total") == 5
