"""The documented metrics are those that exist, and names follow Prometheus' conventions."""

from __future__ import annotations

import pytest

from pipeline.telemetry import GATEWAY_METRICS, METRICS, Telemetry
from pipeline.views.metrics import PAGE, page


def test_the_page_of_metrics_is_what_the_code_says() -> None:
    assert PAGE.read_text() == page(), "run `python -m pipeline.views.metrics`"


def test_names_follow_the_conventions() -> None:
    for metric in (*METRICS, *GATEWAY_METRICS):
        assert metric.name.startswith("touchline_")
        assert metric.name.endswith("_total") == (metric.kind == "counter"), metric.name


def test_an_unknown_metric_raises_at_once() -> None:
    with pytest.raises(KeyError):
        Telemetry().count("touchline_misspelt_total")


def test_a_total_kept_elsewhere_never_counts_backwards() -> None:
    telemetry = Telemetry()
    for value in (3, 3, 5):
        telemetry.total("touchline_stalls_total", value)
    telemetry.total("touchline_stalls_total", 1)
    assert telemetry.registry.get_sample_value("touchline_stalls_total") == 5
