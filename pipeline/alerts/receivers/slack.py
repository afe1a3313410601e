"""Slack, incoming webhook: a header, the message, a fallback text for notifications (pure)."""

from __future__ import annotations

from typing import Any

from pipeline.alerts.entries import Notice
from pipeline.alerts.receivers.call import Call, json_call
from pipeline.alerts.receivers.wording import lines, title
from pipeline.alerts.routes import Receiver

#: Slack's own limits, in characters.
_HEADER, _SECTION = 150, 3000


def calls(receiver: Receiver, notice: Notice, link: str) -> list[Call]:
    """One message."""
    return [json_call(str(receiver.fields["url"]), message(notice, link))]


def message(notice: Notice, link: str) -> dict[str, Any]:
    """The message; what customers or producers wrote is escaped, so that it links and calls nobody."""
    head = title(notice)
    text = escaped("\n".join(lines(notice, link)))
    return {
        "text": escaped(head),
        "blocks": [
            {"type": "header", "text": {"type": "plain_text", "text": _cut(head, _HEADER)}},
            {"type": "section", "text": {"type": "mrkdwn", "text": _cut(text, _SECTION)}},
        ],
    }


def escaped(text: str) -> str:
    """The three characters that mean something to Slack."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"
