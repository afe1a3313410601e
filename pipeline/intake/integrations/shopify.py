"""Shopify: orders, payments, shipments and refunds as touchpoints. Pure. Names, mails and addresses are left behind."""

from __future__ import annotations

import re
from typing import Any

from pipeline.intake.integrations.contract import (
    Event,
    Headers,
    Integration,
    Options,
    at,
    first,
    missing,
    touchpoint,
    word,
)
from pipeline.intake.integrations.signatures import based
from schemas.explain import Rejection

#: Topic -> touchpoint, outcome, and the field that says when.
_TOPICS = {
    "orders/create": ("order.placed", "ok", "created_at"),
    "orders/paid": ("order.paid", "ok", "processed_at"),
    "orders/fulfilled": ("order.shipped", "ok", "updated_at"),
    "orders/cancelled": ("order.cancelled", "fail", "cancelled_at"),
    "refunds/create": ("order.refunded", "fail", "created_at"),
    "checkouts/create": ("checkout.started", None, "created_at"),
}
_CHANNELS = {"web": "web", "pos": "store", "shopify_draft_order": "call", "iphone": "app", "android": "app"}
_AMOUNT = re.compile(r"-?\d{1,15}(\.\d{1,6})?")


def mapped(payload: Any, headers: Headers, options: Options) -> list[Event | Rejection]:
    """One touchpoint of a topic that we know; the shop is part of whom it is about, since its ids are its own."""
    known = _TOPICS.get(headers.get("x-shopify-topic", ""))
    if known is None:
        return []
    if not isinstance(payload, dict):
        return [missing("$.id")]
    name, outcome, when = known
    shop = headers.get("x-shopify-shop-domain", "")
    customer = word(at(payload, "customer", "id"))
    order = word(first(payload.get("order_id"), payload.get("id")))
    # Without the delivery's own id that of what it is about: a refund's, since an order may have several.
    own = word(payload.get("id"))
    delivery = first(
        headers.get("x-shopify-event-id"), headers.get("x-shopify-webhook-id"), own and f"{shop}:{own}:{name}"
    )
    if delivery is None:
        return [missing("$.id")]
    made = touchpoint(
        options,
        event_id=f"shopify:{delivery}",
        occurred_at=first(payload.get(when), headers.get("x-shopify-triggered-at"), payload.get("created_at")),
        channel=_CHANNELS.get(str(payload.get("source_name")), "web"),
        touchpoint=name,
        outcome=outcome,
        customer_id=f"{shop}:{customer}" if customer else None,
        language=word(payload.get("customer_locale")),
        value=_amount(payload),
        currency=word(payload.get("currency")),
        attributes={"order": order} if order else {},
    )
    return [made]


def _amount(payload: dict[str, Any]) -> float | None:
    """Prices are texts."""
    text = payload.get("total_price")
    if text is None and isinstance(payload.get("transactions"), list):
        text = at(first(*payload["transactions"][:1]), "amount")
    return float(text) if isinstance(text, str) and _AMOUNT.fullmatch(text) else None


INTEGRATION = Integration("shopify", "Shopify", mapped, based("x-shopify-hmac-sha256", "sha256"))
