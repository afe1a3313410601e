"""Alerts for people and programs [I/O]: what is open, the story of one, who asked for what."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import polars as pl

from pipeline.alerts.book import Book, Step
from pipeline.alerts.entries import Alert, Incident
from pipeline.alerts.records import iso, reading
from pipeline.alerts.rows import found, step_of
from pipeline.clickhouse import ClickHouse
from pipeline.errors import UsageError

#: Fewer letters of an id would name half the book.
_SHORTEST = 4


def read_book(client: ClickHouse) -> Book:
    """The book as it stands in the table. Raises Unavailable."""
    highest = int(client.query("SELECT max(ver) AS ver FROM alert_steps")["ver"][0] or 0)
    rows = client.query(
        "SELECT * FROM alert_steps FINAL WHERE ver = {ver:UInt64} AND kind IN ('owner', 'alert', 'incident', 'silence',"
        " 'receiver') ORDER BY seq",
        {"ver": highest},
    )
    return Book.of(step.entry for _, step in found(rows).steps) if rows.height else Book()


def whole_id(book: Book, given: str) -> str:
    """The id of the incident, alert or silence that begins with what was given. Raises UsageError."""
    if len(given) < _SHORTEST:
        raise UsageError(f"{given!r} is too short: give at least {_SHORTEST} characters of an id of `alerts list`")
    ids = {incident.id for incident in book.incidents.values() if incident.id.startswith(given)}
    if len(ids) != 1:
        ids |= {name for name in (*book.alerts, *book.silences) if name.startswith(given)}
    if len(ids) != 1:
        what = "nothing" if not ids else f"{len(ids)} things: {', '.join(sorted(ids)[:5])}"
        raise UsageError(f"{given!r} names {what}; `touchline alerts list --all` shows the ids")
    return ids.pop()


def history(client: ClickHouse, names: Sequence[str]) -> list[Step]:
    """The steps of some entries, oldest first; those written again at a takeover are left out."""
    rows: pl.DataFrame = client.query(
        "SELECT * FROM alert_steps FINAL WHERE id IN {ids:Array(String)} AND step != 'adopted' AND kind != 'owner' "
        "ORDER BY at_ms, ver, seq",
        {"ids": list(names)},
    )
    return [step_of(row) for row in rows.iter_rows(named=True)] if rows.height else []


def steps_between(client: ClickHouse, first_ms: int, end_ms: int) -> list[Step]:
    """The steps of all incidents in a span of time, oldest first; those written again at a takeover are left out."""
    rows = client.query(
        "SELECT * FROM alert_steps FINAL WHERE kind = 'incident' AND step NOT IN ('adopted', 'seen') "
        "AND at_ms >= {first:Int64} AND at_ms < {last:Int64} ORDER BY at_ms, ver, seq",
        {"first": first_ms, "last": end_ms},
    )
    return [step_of(row) for row in rows.iter_rows(named=True)] if rows.height else []


def orders(client: ClickHouse, limit: int = 100) -> list[dict[str, Any]]:
    """The audit rows of what people asked for, newest first."""
    rows = client.query(
        "SELECT order_id, asked_ms, who, kind, target, body, done_ms, said FROM alert_orders FINAL "
        "ORDER BY asked_ms DESC LIMIT {n:UInt32}",
        {"n": limit},
    )
    return rows.to_dicts() if rows.height else []


def incident_document(book: Book, incident: Incident) -> dict[str, Any]:
    """One incident with its alerts as JSON has it; numbers with n and interval, or none."""
    members = [book.alerts[name] for name in incident.members if name in book.alerts]
    return {
        "id": incident.id,
        "key": incident.key,
        "state": str(incident.state),
        "severity": incident.severity,
        "owner": incident.owner,
        "route": incident.route,
        "labels": incident.labels,
        "opened": iso(incident.opened_ms),
        "resolved": iso(incident.resolved_ms),
        "reopened": incident.reopened,
        "acked_by": incident.acked_by,
        "acked": iso(incident.acked_ms),
        "level": incident.level,
        "receivers": incident.receivers,
        "told": iso(incident.told_ms),
        "alerts": [alert_document(alert) for alert in members],
    }


def alert_document(alert: Alert) -> dict[str, Any]:
    """One alert as JSON has it."""
    seen = alert.evidence
    return {
        "id": alert.id,
        "state": str(alert.state),
        "severity": alert.severity,
        "rule": seen.rule,
        "rule_version": seen.rule_version,
        "metric": seen.metric,
        "scale": seen.scale,
        "scope": dict(seen.scope),
        "owner": seen.owner,
        "incident": alert.incident,
        "fired": iso(alert.fired_ms),
        "resolved": iso(alert.resolved_ms),
        "window_end": iso(alert.last.window_end * 1000),
        "began": iso((seen.began or 0) * 1000),
        "statistic": alert.last.statistic,
        "threshold": alert.last.threshold,
        "score": msgspec.to_builtins(reading(alert.last.score)),
        "size": msgspec.to_builtins(reading(seen.size)),
        "baseline": seen.baseline,
        "learning": seen.learning,
        "detectable": seen.detectable,
        "contributions": msgspec.to_builtins(list(seen.contributions)),
        "verbatims": list(seen.verbatims),
        "count": alert.count,
        "reopened": alert.reopened,
        "silenced": alert.silenced,
        "inhibited": alert.inhibited,
        "shadow": alert.last.shadow,
        "runbook": seen.runbook,
    }
