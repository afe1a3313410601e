"""Dashboards and rules: every panel's query runs on the engine, every metric exists, promtool has nothing to say."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from pipeline.clickhouse import ClickHouse
from pipeline.settings import load_settings
from pipeline.stack.launch import Stack
from pipeline.telemetry import GATEWAY_METRICS, METRICS
from tests.integration.page_place import filled
from tests.tables import make_tables

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
RULES = DEPLOY / "prometheus" / "rules.yml"


def dashboard(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((DEPLOY / "grafana" / "dashboards" / f"{name}.json").read_text())
    return found


def expanded(sql: str, begin: int, end: int) -> str:
    """What the ClickHouse data source makes of its macros and of the variable `brand`."""
    macros = {"$__fromTime": f"toDateTime({begin})", "$__toTime": f"toDateTime({end})", "$__interval_s": "60"}
    for macro, text in (*macros.items(), ("${brand:singlequote}", "'aurora','birch'")):
        sql = sql.replace(macro, text)
    return sql


def unexpanded(sql: str) -> list[str]:
    return re.findall(r"\$[{\w]+", sql)


@pytest.mark.clickhouse
def test_every_panel_of_the_scores_runs_and_shows_n_and_interval(stack: Stack, database: str) -> None:
    settings = load_settings(clickhouse_url=stack.clickhouse_url, clickhouse_database=database, insecure_keys=True)
    client = ClickHouse(settings)
    make_tables(client, settings)
    filled(client, seed=3)
    now = int(time.time())
    board = dashboard("customer-experience")
    rows: dict[str, pl.DataFrame] = {}
    for panel in board["panels"]:
        sql = expanded(panel["targets"][0]["rawSql"], now - 4 * 3600, now + 60)
        assert unexpanded(sql) == [], panel["title"]
        rows[panel["title"]] = client.query(sql)
    (variable,) = board["templating"]["list"]
    assert client.query(variable["query"]).height == 2
    client.close()
    for title in ("Scores", "By touchpoint and channel", "By unit", "NPS, points", "CSAT, share", "CES, mean"):
        found = rows[title]
        assert found.height > 0, title
        assert {"score", "low", "high", "n"} <= set(found.columns), title
        assert found.filter(pl.col("n") < 10)["score"].null_count() == found.filter(pl.col("n") < 10).height, title


def test_a_macro_that_is_not_known_would_be_found() -> None:
    assert unexpanded(expanded("SELECT $__fromTime, $__timeFilter(x), ${unit}", 1, 2)) == ["$__timeFilter", "${unit"]


def unknown_metrics(text: str) -> set[str]:
    """Names of metrics in expressions that no process of ours has and no rule records."""
    known = {metric.name for metric in (*METRICS, *GATEWAY_METRICS)} | set(
        re.findall(r"record: (\S+)", RULES.read_text())
    )
    named = set(re.findall(r"touchline[_:][a-z0-9_:]+", text))
    return {name for name in named if name not in known and name.removesuffix("_bucket") not in known}


def test_every_metric_of_a_panel_and_of_a_rule_exists() -> None:
    panels = dashboard("pipeline-health")["panels"]
    assert len(panels) >= 10
    assert unknown_metrics(" ".join(panel["targets"][0]["expr"] for panel in panels)) == set()
    assert unknown_metrics(" ".join(re.findall(r"expr: (.*)", RULES.read_text()))) == set()
    assert unknown_metrics("rate(touchline_misspelt_total[5m])") == {"touchline_misspelt_total"}


def test_every_alert_says_what_to_do_and_where_it_is_written() -> None:
    text = RULES.read_text()
    alerts = re.split(r"- alert: ", text)[1:]
    assert len(alerts) >= 6
    silent = [alert for alert in alerts if 'runbook: "' not in alert or "docs/operations.md#" not in alert]
    assert silent == []
    assert "## Health" in (DEPLOY.parent / "docs" / "operations.md").read_text()


def promtool(*words: str) -> subprocess.CompletedProcess[str]:
    found = shutil.which("promtool")
    if found is None:
        said = "no promtool: `apt-get install prometheus`"
        if os.environ.get("CI"):
            pytest.fail(said)
        pytest.skip(said)
    return subprocess.run([found, *words], capture_output=True, text=True, check=False, timeout=60)


def test_promtool_accepts_configuration_and_rules_and_refuses_broken_ones(tmp_path: Path) -> None:
    for words in (("check", "config", str(RULES.with_name("prometheus.yml"))), ("check", "rules", str(RULES))):
        result = promtool(*words)
        assert result.returncode == 0, result.stdout + result.stderr
    broken = tmp_path / "rules.yml"
    broken.write_text(RULES.read_text().replace("sum(touchline:lag:max) > 100000", "sum(touchline:lag:max > 100000"))
    assert promtool("check", "rules", str(broken)).returncode != 0


#: Series of ten minutes, and what fires of them then; the other alerts of these rules must not.
FIRING = """
rule_files: [RULES]
evaluation_interval: 15s
tests:
  - interval: 15s
    input_series:
      - { series: 'up{job="touchline-worker", instance="w"}', values: "1x40" }
      - { series: 'up{job="touchline-gateway", instance="g"}', values: "1x40" }
      - { series: 'touchline_producer_bad{producer="shop"}', values: "0x38 1x2" }
      - { series: 'touchline_producer_bad{producer="till"}', values: "0x40" }
      - { series: 'touchline_producer_silent{producer="nightly"}', values: "0x38 1x2" }
      - { series: 'touchline_gateway_shed_total{producer="shop", cause="kafka"}', values: "0x20 1+1x20" }
      - { series: 'touchline_gateway_shed_total{producer="shop", cause="rate"}', values: "0x20 1+1x20" }
      - { series: 'touchline_gateway_shed_total{producer="", cause="keys"}', values: "3x40" }
      - { series: 'touchline_gateway_unkept_bodies_total{integration="segment"}', values: "0x20 1x20" }
      - { series: 'touchline_gateway_unkept_bodies_total{integration="shopify"}', values: "1x40" }
    alert_rule_test:
"""


def fires(alert: str, *labels: str) -> str:
    """What promtool is to find of an alert after ten minutes: once for each of these labels, or never."""
    lines = [f"      - {{ eval_time: 10m, alertname: {alert}, exp_alerts: ["]
    lines += [f"          {{ exp_labels: {{ {each} }} }}," for each in labels]
    return "\n".join([*lines, "        ] }\n"])


def test_promtool_sees_bad_and_silent_producers_and_a_gateway_that_sends_events_away(tmp_path: Path) -> None:
    bare = re.sub(r"\n        annotations:\n          summary: .*\n          runbook: .*", "", RULES.read_text())
    (tmp_path / "rules.yml").write_text(bare)
    wanted = [
        fires("TouchlineProducerBad", "severity: warning, producer: shop"),
        fires("TouchlineProducerSilent", "severity: warning, producer: nightly"),
        fires("TouchlineGatewayShedding", "severity: critical, cause: kafka"),
        fires("TouchlineGatewayOverLimit"),
        fires("TouchlineBodiesUnkept", "severity: warning, integration: segment"),
        fires("TouchlineNoGateway"),
    ]
    test = tmp_path / "test.yml"
    test.write_text(FIRING.replace("RULES", "rules.yml") + "".join(wanted))
    result = promtool("test", "rules", str(test))
    assert result.returncode == 0, result.stdout + result.stderr
    away = FIRING.replace("RULES", "rules.yml").replace('up{job="touchline-gateway"', 'up{job="another"')
    test.write_text(away + fires("TouchlineNoGateway"))
    assert promtool("test", "rules", str(test)).returncode != 0, "an alert that nobody waits for is found"


def test_prometheus_asks_every_service_of_ours_at_the_port_that_compose_gives_it() -> None:
    asked = (DEPLOY / "prometheus" / "prometheus.yml").read_text()
    compose = (DEPLOY.parent / "docker-compose.yml").read_text()
    for service, setting in (("worker", "WEB"), ("gateway", "GATEWAY_HEALTH"), ("page", "PAGE")):
        port = re.findall(rf'TOUCHLINE_{setting}_PORT: "(\d+)"', compose)
        assert len(port) == 1
        assert re.search(rf"names: \[{service}\]\n\s+type: A\n\s+port: {port[0]}\n|{service}:{port[0]}\"", asked), (
            service
        )
