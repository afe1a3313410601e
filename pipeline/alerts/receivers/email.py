"""E-mail: text and HTML with a small picture of the score; all mails of an incident are one thread (pure)."""

from __future__ import annotations

import html
from collections.abc import Iterable
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime

from pipeline.alerts.entries import Notice
from pipeline.alerts.receivers.picture import HEIGHT, WIDTH, picture
from pipeline.alerts.receivers.wording import HEADLINES, address, lines, plain, title
from pipeline.alerts.routes import Receiver

#: Pictures in one mail.
_PICTURES = 3


def mail(receiver: Receiver, notice: Notice, link: str) -> EmailMessage:
    """The mail. Its Message-ID is the notice's own id at each try; it answers to the incident's thread."""
    sender = str(receiver.fields["sender"])
    domain = sender.rpartition("@")[2].strip("<> ") or "touchline.invalid"
    message = EmailMessage()
    message["From"] = sender
    message["To"] = ", ".join(str(to) for to in receiver.fields["to"])
    message["Subject"] = subject(notice)
    message["Date"] = format_datetime(datetime.fromtimestamp(notice.at_ms / 1000, UTC))
    message["Message-ID"] = f"<{notice.id}@{domain}>"
    message["In-Reply-To"] = message["References"] = f"<{notice.fingerprint}@{domain}>"
    message["Auto-Submitted"] = "auto-generated"
    message["X-Touchline-State"] = notice.state
    message.set_content("\n".join([title(notice), "", *lines(notice, link)]) + "\n")
    pictures = _pictures(notice)
    message.add_alternative(_page(notice, link, pictures, domain), subtype="html")
    page = message.get_payload()[1]  # type: ignore[index]  # a multipart has a list of parts
    for name, data in pictures.items():
        page.add_related(data, "image", "png", cid=f"<{name}@{domain}>", filename=f"{name}.png")  # type: ignore[union-attr]
    return message


def subject(notice: Notice) -> str:
    """The same for all mails of an incident, or mail programs would not show them as one thread."""
    if len(notice.accounts) != 1:
        return f"Touchline: {HEADLINES.get(notice.state, notice.state).lower()} of {len(notice.accounts)} incidents"
    account = notice.accounts[0]
    labels = (account.labels.get(name, "") for name in ("metric", "brand"))
    about = " ".join(plain(label) for label in labels if label) or "alert"
    return f"Touchline: {about}, owner {plain(account.owner)} ({account.id[:8]})"


def _pictures(notice: Notice) -> dict[str, bytes]:
    parts = [part for account in notice.accounts for part in account.parts]
    drawn = {part.id: picture(part.trace, part.finding.baseline) for part in parts[:_PICTURES]}
    return {name: data for name, data in drawn.items() if data}


def _page(notice: Notice, link: str, pictures: Iterable[str], domain: str) -> str:
    """The HTML: the same words, escaped, and the pictures that come along; nothing is fetched from elsewhere."""
    said = "\n".join(html.escape(line) for line in lines(notice, ""))
    shown = "".join(
        f'<p><img src="cid:{name}@{domain}" width="{WIDTH // 2}" height="{HEIGHT // 2}" '
        'alt="The score while the alert was open; its numbers are in the text above"></p>'
        for name in pictures
    )
    pages = "".join(
        f'<p><a href="{html.escape(address(link, account), quote=True)}">Open incident {account.id}</a></p>'
        for account in notice.accounts
        if link
    )
    return (
        '<!doctype html><html lang="en"><body style="font-family:sans-serif">'
        f"<h2>{html.escape(title(notice))}</h2>"
        f'<pre style="font-family:inherit;white-space:pre-wrap">{said}</pre>{shown}{pages}</body></html>'
    )
