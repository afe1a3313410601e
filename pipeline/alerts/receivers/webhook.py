"""Any program: a JSON document signed after the Standard Webhooks specification (pure)."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from typing import Any

import msgspec
import orjson

from pipeline.alerts.entries import Notice
from pipeline.alerts.receivers.alertmanager import rfc3339
from pipeline.alerts.receivers.call import Call
from pipeline.alerts.receivers.wording import title
from pipeline.alerts.routes import Receiver

_PREFIX = "whsec_"


def calls(receiver: Receiver, notice: Notice, now_ms: int) -> list[Call]:
    """One call; the id is the notice's own at each try, the time that of the try."""
    body = orjson.dumps(document(notice))
    seconds = now_ms // 1000
    headers = {
        "content-type": "application/json",
        "webhook-id": notice.id,
        "webhook-timestamp": str(seconds),
        "webhook-signature": signature(str(receiver.fields["key"]), notice.id, seconds, body),
    }
    return [Call(str(receiver.fields["url"]), body, headers)]


def document(notice: Notice) -> dict[str, Any]:
    """The body: type, time and data, as the specification asks."""
    return {
        "type": f"touchline.alert.{notice.state}.v1",
        "timestamp": rfc3339(notice.at_ms),
        "data": {"id": notice.id, "title": title(notice), "incidents": msgspec.to_builtins(notice.accounts)},
    }


def signature(key: str, id_: str, seconds: int, body: bytes) -> str:
    """`v1,` and the HMAC-SHA256 of id, time and body, in base64."""
    signed = f"{id_}.{seconds}.".encode() + body
    return "v1," + base64.b64encode(hmac.new(secret(key), signed, hashlib.sha256).digest()).decode()


def secret(key: str) -> bytes:
    """The key's bytes: base64 after `whsec_`, or the text itself when it is none."""
    try:
        return base64.b64decode(key.removeprefix(_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        return key.encode()
