"""One turn of the book: findings, wishes of people and the clock in, steps and messages out (pure)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from pipeline.alerts.book import Book
from pipeline.alerts.finding import Finding
from pipeline.alerts.incidents import group, settle
from pipeline.alerts.life import REMEMBERED_MS, expire, judge
from pipeline.alerts.orders import Order, carry_out
from pipeline.alerts.outbox import delivery_findings, unreachable
from pipeline.alerts.rounds import digest, summary
from pipeline.alerts.routes import Routes


def advance(
    book: Book, routes: Routes, findings: Sequence[Finding], orders: Sequence[Order], now_ms: int
) -> dict[str, str]:
    """Brings the book to `now_ms`; its steps are what is to be written down. By order what is to be answered.

    Findings of several windows come after an outage; each window is taken by itself, so that what fired and ended in
    the meantime has its incident as well (nobody is called for it any more).
    """
    for _, window in groupby(findings, key=lambda each: 0 if each.event else each.window_end):
        judge(book, list(window), now_ms)
        group(book, routes, now_ms)
    judge(book, delivery_findings(book, routes, now_ms), now_ms)
    expire(book, now_ms)
    group(book, routes, now_ms)
    said = {order.id: carry_out(book, routes, order, now_ms) for order in orders}
    for name, waiting in settle(book, routes, now_ms).items():
        summary(book, routes, routes.route(name), waiting, now_ms)
    for route in routes.routes.values():
        digest(book, routes, route, now_ms)
    unreachable(book, now_ms)
    book.forget(now_ms - REMEMBERED_MS)
    return said
