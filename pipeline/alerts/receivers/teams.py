"""Microsoft Teams, incoming webhook of a workflow: an adaptive card (pure)."""

from __future__ import annotations

import re
from typing import Any

from pipeline.alerts.entries import Notice
from pipeline.alerts.receivers.call import Call, json_call
from pipeline.alerts.receivers.wording import address, lines, title
from pipeline.alerts.routes import Receiver

#: Cards over 28 KB are refused; each character may take four bytes and some JSON around it.
_CHARACTERS = 5_000
#: Colours of a card's text, by severity.
_COLOURS = {"critical": "Attention", "error": "Attention", "warning": "Warning", "info": "Default"}
_MARKDOWN = re.compile(r"([\\`*_\[\]#~<>|])")


def calls(receiver: Receiver, notice: Notice, link: str) -> list[Call]:
    """One card."""
    return [json_call(str(receiver.fields["url"]), message(notice, link))]


def message(notice: Notice, link: str) -> dict[str, Any]:
    """The message with its card."""
    account = notice.accounts[0] if notice.accounts else None
    colour = _COLOURS.get(account.severity, "Default") if account else "Default"
    card: dict[str, Any] = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "body": [
            {
                "type": "TextBlock",
                "text": escaped(title(notice)),
                "weight": "Bolder",
                "size": "Medium",
                "color": "Good" if notice.state == "resolved" else colour,
                "wrap": True,
            },
            {"type": "TextBlock", "text": escaped("\n\n".join(lines(notice, "")))[:_CHARACTERS], "wrap": True},
        ],
    }
    if link and account is not None and len(notice.accounts) == 1:
        card["actions"] = [{"type": "Action.OpenUrl", "title": "Open", "url": address(link, account)}]
    return {
        "type": "message",
        "attachments": [
            {"contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": None, "content": card}
        ],
    }


def escaped(text: str) -> str:
    """A card's text is Markdown: what customers wrote formats and links nothing."""
    return _MARKDOWN.sub(r"\\\1", text)
