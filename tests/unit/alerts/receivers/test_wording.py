"""What people read: numbers with n and interval or none at all, who answers, what to do; and the picture."""

from __future__ import annotations

import struct
import zlib
from email.message import Message

import numpy as np
import pytest

from pipeline.alerts.entries import Notice, Point
from pipeline.alerts.finding import Verdict
from pipeline.alerts.receivers.email import mail
from pipeline.alerts.receivers.picture import HEIGHT, WIDTH, picture
from pipeline.alerts.receivers.wording import lines, measured, title
from pipeline.alerts.routes import Receiver
from tests.unit.alerts.findings import START, Desk, estimate, finding, routes_of, share


def test_a_number_never_comes_without_n_and_interval_and_under_ten_answers_not_at_all() -> None:
    assert measured(estimate(0.12, n=412), "nps") == "+12.0 (95 %: +7.0 to +17.0, n 412)"
    assert measured(estimate(0.5, n=20), "csat") == "50.0 % (95 %: 45.0 % to 55.0 %, n 20)"
    assert measured(estimate(-0.2, n=20), "rating", difference=True) == "-0.20 (95 %: -0.25 to -0.15, n 20)"
    assert measured(estimate(0.12, n=9), "nps") == "insufficient (n 9)"
    assert measured(None, "nps") == "unknown"


def firing(**more: object) -> Desk:
    desk = Desk(routes_of("r"))
    fields = {"contributions": [share("unit", "be-1", 0.62)], "verbatims": ["parcel never came"], **more}
    desk.turn(finding(1, **fields))  # type: ignore[arg-type]
    return desk


def last(desk: Desk) -> Notice:
    return list(desk.book.sendings.values())[-1].notice


def test_a_message_says_what_where_since_when_why_who_and_what_to_do() -> None:
    desk = firing()
    notice = last(desk)
    assert title(notice) == "FIRING [error] nps -18.0 points at brand acme, touchpoint delivery"
    assert lines(notice, "https://t.example/{incident}") == [
        f"Owner: logistics. Incident {desk.incident().id}, since 2026-03-02T10:00:00Z.",
        "brand acme, touchpoint delivery [firing]: nps -18.0 points",
        "  nps is +12.0 (95 %: +7.0 to +17.0, n 400), usually +30.0",
        "  changed by -18.0 points (95 %: -23.0 points to -13.0 points, n 400) since 2026-03-02T10:00:00Z",
        "  unit be-1: 62 % of it, now +0.0 (95 %: -5.0 to +5.0, n 400)",
        "  “parcel never came”",
        "  What to do: https://wiki.example/nps-drop",
        f"To answer: touchline alerts ack {desk.incident().id}",
        f"https://t.example/{desk.incident().id}",
    ]


def test_the_end_says_how_the_score_is_now() -> None:
    desk = firing()
    desk.turn(finding(2, Verdict.CALM, score=estimate(0.29)), after_s=300)
    said = "\n".join(lines(last(desk), ""))
    assert title(last(desk)).startswith("RESOLVED")
    assert "nps is +29.0 (95 %: +24.0 to +34.0, n 400), usually +30.0" in said
    assert "To answer" not in said


def test_a_drop_of_too_few_answers_has_no_number_in_its_title() -> None:
    assert title(last(firing(size=estimate(-0.5, n=9)))) == (
        "FIRING [error] nps: nps-drop at brand acme, touchpoint delivery"
    )


def test_a_learning_baseline_is_named_so() -> None:
    assert any("still learning" in line for line in lines(last(firing(learning=True)), ""))


def test_a_mail_escapes_and_fetches_nothing() -> None:
    receiver = Receiver("m", "email", {"host": "h", "sender": "Touchline <t@example.com>", "to": ["a@x", "b@x"]})
    message = mail(receiver, last(firing(verbatims=["<img src=http://evil>\nBcc: x@evil"])), "")
    assert message["To"] == "a@x, b@x"
    assert message["Bcc"] is None
    page = next(p for p in message.walk() if p.get_content_type() == "text/html")
    assert isinstance(page, Message)
    html = page.get_payload(decode=True)
    assert isinstance(html, bytes)
    assert b"<img src=http" not in html
    assert b"&lt;img" in html


def trace(count: int) -> list[Point]:
    return [Point(START + 300 * i, 0.3 - 0.02 * i, 0.25 - 0.02 * i, 0.35 - 0.02 * i, 400) for i in range(count)]


@pytest.mark.parametrize("count", [0, 1])
def test_without_a_line_there_is_no_picture(count: int) -> None:
    assert picture(trace(count), 0.3) == b""


def test_a_picture_is_a_png_on_which_the_score_falls_from_left_to_right() -> None:
    data = picture(trace(12), 0.3)
    assert data.startswith(b"\x89PNG\r\n\x1a\n")
    width, height = struct.unpack(">II", data[16:24])
    assert (width, height) == (WIDTH, HEIGHT)
    size = struct.unpack(">I", data[33:37])[0]
    rows = np.frombuffer(zlib.decompress(data[41 : 41 + size]), np.uint8).reshape(HEIGHT, 1 + WIDTH * 3)
    red = (rows[:, 1:].reshape(HEIGHT, WIDTH, 3) == (176, 32, 32)).all(axis=2)
    left, right = (np.flatnonzero(red[:, column]).mean() for column in (20, WIDTH - 20))
    assert left < right
    assert len(data) < 10_000


def test_a_flat_score_is_drawn_as_well() -> None:
    flat = [Point(START + 300 * i, 0.3, 0.3, 0.3, 400) for i in range(3)]
    assert picture(flat, None).startswith(b"\x89PNG")
