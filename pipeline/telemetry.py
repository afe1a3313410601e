"""Every metric's name and meaning, in one place, and the logs' shape. docs/metrics.md is generated from this table."""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

Kind = Literal["counter", "gauge", "histogram"]


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric: its name, kind, bounded labels and what it tells."""

    name: str
    kind: Kind
    labels: tuple[str, ...]
    about: str


METRICS: tuple[Metric, ...] = (
    Metric("touchline_events_in_total", "counter", ("step",), "events that entered a step"),
    Metric("touchline_events_out_total", "counter", ("step",), "events that left a step"),
    Metric("touchline_step_seconds", "histogram", ("step",), "time a step spends on one slice or batch"),
    Metric("touchline_queue_slices", "gauge", ("step",), "slices waiting before a step"),
    Metric("touchline_in_flight_records", "gauge", (), "records taken from Kafka that are not in the ledger yet"),
    Metric(
        "touchline_dispositions_total", "counter", ("disposition", "reason"), "offsets recorded, by what became of them"
    ),
    Metric("touchline_rejected_total", "counter", ("stage", "reason"), "dead letters, by stage and reason"),
    Metric("touchline_arrivals_total", "counter", ("producer", "schema"), "events recorded, by who sent them"),
    Metric(
        "touchline_quarantined_total", "counter", ("producer", "schema", "reason"), "dead letters, by who sent them"
    ),
    Metric("touchline_producer_bad", "gauge", ("producer",), "1 while too many events of a producer are rejected"),
    Metric("touchline_producer_silent", "gauge", ("producer",), "1 while nothing comes for longer than it is used to"),
    Metric("touchline_lag_records", "gauge", ("topic", "partition"), "records behind the ledger's position"),
    Metric("touchline_freshness_seconds", "gauge", (), "from the newest slice's append (broker's time) to its fold"),
    Metric("touchline_dropped_slices_total", "counter", ("step",), "slices dropped uncommitted and read again"),
    Metric(
        "touchline_replayed_records_total", "counter", (), "records at or below the position, read again and skipped"
    ),
    Metric(
        "touchline_retries_total",
        "counter",
        (),
        "questions and inserts on an event's way to the ledger that got no answer and were sent again",
    ),
    Metric("touchline_bisected_total", "counter", (), "halvings of an insert that held a refused row"),
    Metric("touchline_stuck_partitions", "gauge", (), "partitions whose records wait while nothing explains it"),
    Metric("touchline_stalls_total", "counter", (), "times the event loop stood still for too long"),
    Metric("touchline_breaker_open", "gauge", ("topic", "partition"), "1 while too many events of a partition are bad"),
    Metric("touchline_unknown_touchpoints_total", "counter", (), "events with a touchpoint the registry does not name"),
    Metric(
        "touchline_other_names_total",
        "counter",
        ("dimension",),
        "events whose name in a dimension is one too many: windows count them under `other`",
    ),
    Metric("touchline_label_restarts_total", "counter", (), "restarts of the labelling process"),
    Metric("touchline_label_fallbacks_total", "counter", (), "texts labelled by the fallback"),
    Metric("touchline_label_cache_hits_total", "counter", (), "texts whose label was remembered"),
    Metric("touchline_texts_total", "counter", ("tier",), "texts labelled, by tier"),
    Metric("touchline_texts_with_topic_total", "counter", (), "texts in which the taxonomy found a topic"),
    Metric("touchline_texts_truncated_total", "counter", (), "texts of which the first 10,000 characters are kept"),
    Metric("touchline_hot_window_rows", "gauge", (), "window rows folded in memory"),
    Metric("touchline_hot_evicted_total", "counter", (), "minutes that left the memory because of its limit"),
    Metric("touchline_cold_minutes_total", "counter", (), "minutes rewritten from the ledger"),
    Metric("touchline_rolled_days_total", "counter", (), "days of a partition that are kept by the hour from then on"),
    Metric("touchline_windows_judged_total", "counter", (), "closed windows judged by the rules"),
    Metric("touchline_verdicts_raised_total", "counter", (), "verdicts of rules that stood at or above the threshold"),
    Metric("touchline_scopes_watched", "gauge", (), "rules times scopes that share the budget of false alarms"),
    Metric("touchline_scores_published_total", "counter", (), "scores sent on the topic scores"),
    Metric("touchline_scores_readable", "gauge", (), "1 while the newest score can be read back from its topic"),
    Metric("touchline_windows_closed_total", "counter", (), "five-minute windows that every partition has passed"),
    Metric("touchline_incidents", "gauge", ("state",), "incidents, by whether they are open, answered or ended lately"),
    Metric("touchline_alert_messages_total", "counter", ("fate",), "tries to hand a message to a receiver"),
    Metric("touchline_remembered_ids", "gauge", (), "event ids in the memory for duplicates"),
    Metric("touchline_remembered_seconds", "gauge", (), "broker time that the memory of event ids reaches back"),
    Metric("touchline_ids_dropped_total", "counter", (), "event ids that left the memory because of its limit"),
    Metric("touchline_profiles", "gauge", (), "rows of customer profiles in memory"),
    Metric("touchline_profiles_dropped_total", "counter", (), "profile rows that left the memory because of its limit"),
    Metric("touchline_profiles_rejected_total", "counter", (), "records of the topic profiles that are no profile"),
    Metric("touchline_profiles_recreated", "gauge", (), "partitions of profiles that ended before what the table has"),
    Metric("touchline_page_viewers", "gauge", (), "connections of the live page"),
    Metric("touchline_page_scores", "gauge", (), "scores that the live page holds in memory"),
    Metric("touchline_page_frames_total", "counter", (), "frames encoded by the live page, each once for all viewers"),
    Metric("touchline_page_gaps_total", "counter", (), "feedback frames that a slow viewer missed"),
    Metric("touchline_build_info", "gauge", ("version",), "always 1; the version is the label"),
)

#: Of the gateway, instead of the above. Events: received = accepted + rejected + shed, once nothing is on its way.
GATEWAY_METRICS: tuple[Metric, ...] = (
    Metric("touchline_gateway_received_total", "counter", ("producer",), "events that came by HTTP, by the key's name"),
    Metric(
        "touchline_gateway_accepted_total",
        "counter",
        ("producer",),
        "of them: acknowledged by Kafka, answered `accepted`",
    ),
    Metric(
        "touchline_gateway_rejected_total",
        "counter",
        ("producer", "schema", "reason"),
        "of them: refused for good, and kept; `schema`: feedback.v1, touchpoint.v1, or empty where nobody can tell",
    ),
    Metric(
        "touchline_gateway_shed_total",
        "counter",
        ("producer", "cause"),
        "of them: to come again later (429, 503); `unkept`: refused beyond the bound of what is kept",
    ),
    Metric("touchline_gateway_requests_total", "counter", ("route", "status"), "answers, by route and HTTP status"),
    Metric("touchline_gateway_request_seconds", "histogram", (), "time from a request's headers to its answer"),
    Metric("touchline_gateway_kafka_seconds", "histogram", (), "time from a run's start to Kafka's acknowledgement"),
    Metric("touchline_gateway_waiting_bytes", "gauge", (), "bytes that wait to be sent or acknowledged"),
    Metric(
        "touchline_gateway_unkept_bodies_total",
        "counter",
        ("integration",),
        "bodies of webhooks that could not be kept: they cannot be mapped anew",
    ),
    Metric("touchline_gateway_connections", "gauge", (), "open connections"),
    Metric("touchline_gateway_keys_age_seconds", "gauge", (), "time since the keys were last read"),
    Metric("touchline_build_info", "gauge", ("version",), "always 1; the version is the label"),
)

_BY_NAME = {metric.name: metric for metric in METRICS}

#: From a cached slice to a slow model; seconds.
_BUCKETS = (0.001, 0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Telemetry:
    """The counters of one process. Unknown names and wrong labels raise at once, so nothing is misspelt for long."""

    def __init__(self, metrics: Sequence[Metric] = METRICS) -> None:
        self.registry = CollectorRegistry()
        self._made: dict[str, Counter | Gauge | Histogram] = {}
        #: Counters by name and labels as they were asked for: finding one anew costs as much as counting ten times.
        self._children: dict[tuple[object, ...], Counter] = {}
        self._seen: dict[tuple[str, tuple[str, ...]], float] = {}
        for metric in metrics:
            if metric.kind == "counter":
                made: Counter | Gauge | Histogram = Counter(
                    metric.name.removesuffix("_total"), metric.about, metric.labels, registry=self.registry
                )
            elif metric.kind == "gauge":
                made = Gauge(metric.name, metric.about, metric.labels, registry=self.registry)
            else:
                made = Histogram(metric.name, metric.about, metric.labels, registry=self.registry, buckets=_BUCKETS)
            self._made[metric.name] = made

    def count(self, name: str, by: float = 1, **labels: str) -> None:
        """Adds to a counter."""
        key = (name, *labels.items())
        child = self._children.get(key)
        if child is None:
            made = self._made[name]
            assert isinstance(made, Counter)
            child = self._children[key] = made.labels(**labels) if labels else made
        child.inc(by)

    def total(self, name: str, value: float, **labels: str) -> None:
        """Brings a counter up to a total that somebody else keeps."""
        key = (name, tuple(f"{k}={v}" for k, v in sorted(labels.items())))
        self.count(name, max(0.0, value - self._seen.get(key, 0.0)), **labels)
        self._seen[key] = max(value, self._seen.get(key, 0.0))

    def set(self, name: str, value: float, **labels: str) -> None:
        """Sets a gauge."""
        made = self._made[name]
        assert isinstance(made, Gauge)
        (made.labels(**labels) if labels else made).set(value)

    def observe(self, name: str, seconds: float, **labels: str) -> None:
        """Adds one observation to a histogram."""
        made = self._made[name]
        assert isinstance(made, Histogram)
        (made.labels(**labels) if labels else made).observe(seconds)


def configure_logs(log_format: str, level: str) -> None:
    """Logs on standard error: JSON lines for machines, coloured for people; Faust's lines in the same shape."""
    shared: list[structlog.typing.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    pretty = log_format == "text" or (log_format == "auto" and sys.stderr.isatty())
    renderer: structlog.typing.Processor = (
        structlog.dev.ConsoleRenderer() if pretty else structlog.processors.JSONRenderer()
    )
    last: list[structlog.typing.Processor] = [
        structlog.stdlib.ProcessorFormatter.remove_processors_meta,
        structlog.processors.format_exc_info,
        renderer,
    ]
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=last))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    # Their INFO is per partition and per rebalance step; WARNING is what a person wants.
    for name in ("faust", "mode", "aiokafka", "kafka", "clickhouse_connect", "aiohttp.access"):
        logging.getLogger(name).setLevel("WARNING")
    # Our own edge says what stopped an agent; this one only repeats the cancelling of a clean stop, with a traceback.
    logging.getLogger("faust.agents.actor").setLevel("CRITICAL")
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )


def mute_libraries() -> None:
    """For commands: what the clients log of a failure reaches us as an exception too and is told once, by us."""
    for name in ("aiokafka", "kafka", "clickhouse_connect", "asyncio"):
        logging.getLogger(name).setLevel("CRITICAL")


def log(name: str) -> structlog.stdlib.BoundLogger:
    """A logger. Never give it a customer's text or id: logs carry reasons and offsets."""
    logger: structlog.stdlib.BoundLogger = structlog.get_logger(name)
    return logger


def describe() -> Mapping[str, Metric]:
    """The table, for the documentation."""
    return _BY_NAME
