"""What a worker shows: the sizes and totals that others keep, from its desk into its metrics."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from pipeline.telemetry import log

if TYPE_CHECKING:
    from pipeline.desk import Desk
    from pipeline.slices import Slice

#: Retries are said at most this often, seconds: an outage is one story, not a line a second.
_TOLD_S = 10.0

_log = log("touchline.worker")


def gauges(desk: Desk) -> None:
    """Brings the metrics up to date."""
    telemetry = desk.telemetry
    for step, channel in desk.queues.items():
        telemetry.set("touchline_queue_slices", channel.queue.qsize(), step=step)
    held = desk.custody.holdings().values()
    telemetry.set("touchline_in_flight_records", sum(max(0, each.taken - each.position) for each in held))
    _memories(desk)
    telemetry.total("touchline_retries_total", _retries(desk))
    telemetry.total("touchline_bisected_total", desk.writer.bisected)
    telemetry.total("touchline_rolled_days_total", desk.roller.days)
    telemetry.total("touchline_replayed_records_total", desk.keeper.replayed)
    telemetry.total("touchline_unknown_touchpoints_total", desk.unknown.events)
    for dimension, events in desk.naming.names.others.items():
        telemetry.total("touchline_other_names_total", events, dimension=dimension)
    telemetry.total("touchline_label_restarts_total", desk.labeller.restarts)
    telemetry.total("touchline_label_fallbacks_total", desk.labeller.fallbacks)
    telemetry.total("touchline_label_cache_hits_total", desk.labeller.cache_hits)
    telemetry.total("touchline_alert_messages_total", desk.caller.sent, fate="sent")
    telemetry.total("touchline_alert_messages_total", desk.caller.failed, fate="failed")
    for state, n in desk.caller.counts().items():
        telemetry.set("touchline_incidents", n, state=state)


def _memories(desk: Desk) -> None:
    """How full each memory is, how far back it reaches, and what had to leave it."""
    telemetry, ids, profiles = desk.telemetry, desk.memory.ids, desk.following.profiles
    newest_ms = max((holding.ingest_ms for holding in desk.custody.holdings().values()), default=0)
    reach_s = max(0, newest_ms - ids.since_ms()) / 1000 if ids.remembered else 0.0
    telemetry.set("touchline_remembered_ids", ids.remembered)
    telemetry.set("touchline_remembered_seconds", reach_s)
    telemetry.total("touchline_ids_dropped_total", ids.dropped)
    telemetry.set("touchline_hot_window_rows", desk.folder.hot_rows)
    telemetry.total("touchline_hot_evicted_total", desk.folder.evicted)
    telemetry.total("touchline_cold_minutes_total", desk.folder.cold_minutes)
    telemetry.set("touchline_profiles", len(profiles))
    telemetry.total("touchline_profiles_dropped_total", profiles.dropped)
    telemetry.total("touchline_profiles_rejected_total", desk.following.rejected)
    telemetry.set("touchline_profiles_recreated", len(desk.following.troubles()))


def tell_folded(desk: Desk, piece: Slice) -> None:
    """How fresh the windows are and what waits behind them, after a slice was folded."""
    age_s = time.time() - piece.rows["ingest_ms"][-1] / 1000 if piece.rows.height else 0.0
    desk.telemetry.set("touchline_freshness_seconds", max(0.0, age_s))
    topic, part = piece.partition
    desk.telemetry.set("touchline_lag_records", piece.behind, topic=topic, partition=str(part))


def tell_retries(desk: Desk) -> None:
    """Says in the log when something had to be sent again."""
    now_s = time.monotonic()
    told, told_s = desk.retries_told
    retries = _retries(desk)
    if retries > told and now_s - told_s >= _TOLD_S:
        _log.warning("ClickHouse or Kafka is asked again: no answer", retries=retries - told)
        desk.retries_told = retries, now_s


def _retries(desk: Desk) -> int:
    """Tries in vain of the writer, and of the keeper: its lock holds the writer back while it waits for an answer."""
    return desk.writer.retries + desk.keeper.retries
