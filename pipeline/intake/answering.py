"""The pages behind a link in an e-mail [I/O]: a click records an answer, a mail filter's visit does not.

GET /a/<token>?score=9 only shows a page; the answer is a POST. The page's script sends it at the first sign of a person
(a pointer, a finger, a key, scrolling); without scripts there is a button. Then the page asks why, and what is written
is a later revision of the same answer.
"""

from __future__ import annotations

import html
from http import HTTPStatus
from urllib.parse import parse_qsl

from aiohttp import web

from pipeline.access.keys import Grant, Right
from pipeline.intake.admission import judge_events
from pipeline.intake.bodies import Refused
from pipeline.intake.gateway import Gateway
from pipeline.intake.links import Asked, Links, answer_of
from pipeline.intake.pages import STATIC
from pipeline.intake.pipe import Pipe

#: Who sends what is answered by a link.
_LINKS = Grant("links", "links", frozenset({Right.WRITE}))
#: A page with a customer's answer belongs into no cache, frame, index or referrer.
_GUARDS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "X-Robots-Tag": "noindex, nofollow",
}


#: Fields of a form that are read; ours has two.
_FIELDS = 10
_THANKS = "<p>It is noted. You may close this page.</p>"


class Answering:
    """The routes of answer links; `add` them to the gateway's application."""

    def __init__(self, gateway: Gateway, pipe: Pipe, links: Links) -> None:
        self._gateway = gateway
        self._pipe = pipe
        self._links = links

    def routes(self) -> list[web.RouteDef]:
        """`/a/{token}`, its script and its style."""
        script, style = (STATIC / "answer.js").read_bytes(), (STATIC / "answer.css").read_bytes()

        async def scripted(_: web.Request) -> web.Response:
            return web.Response(body=script, content_type="text/javascript", charset="utf-8")

        async def styled(_: web.Request) -> web.Response:
            return web.Response(body=style, content_type="text/css", charset="utf-8")

        return [
            web.get("/a/answer.js", scripted),
            web.get("/a/answer.css", styled),
            web.get("/a/{token}", self._gateway.guarded(self._show)),
            web.post("/a/{token}", self._gateway.guarded(self._take)),
        ]

    async def _show(self, request: web.Request) -> web.Response:
        asked = self._links.opened(request.match_info["token"], self._pipe.now_ms())
        if asked is None:
            return _gone()
        score = _score(asked, request.query.get("score", ""))
        return _page(HTTPStatus.OK, asked.words, _buttons(asked, score), waiting=score is not None)

    async def _take(self, request: web.Request) -> web.Response:
        now_ms = self._pipe.now_ms()
        asked = self._links.opened(request.match_info["token"], now_ms)
        if asked is None:
            return _gone()
        body = await self._gateway.body(request)
        if isinstance(body, Refused):
            return self._gateway.refuse(_LINKS, body)
        form = _form(body)
        score = _score(asked, form.get("score", ""))
        if score is None:
            return self._gateway.refuse(_LINKS, Refused(HTTPStatus.BAD_REQUEST, "bad_score", "no step of the scale"))
        self._gateway.limit(_LINKS, 1)
        text = form.get("why", "").strip()
        judged = judge_events([answer_of(asked, score, text, now_ms)], _LINKS, self._gateway.rules, now_ms)
        answer = await self._gateway.admit(_LINKS, judged, "link")
        if answer.rejected:
            return _page(HTTPStatus.BAD_REQUEST, "That could not be taken", "")
        return _page(HTTPStatus.OK, "Thank you", _THANKS if text else _why(score))


def _form(body: bytes) -> dict[str, str]:
    """The fields of a form; of two with one name the last."""
    try:
        return dict(parse_qsl(body.decode("utf-8", "replace"), max_num_fields=_FIELDS))
    except ValueError:
        return {}


def _score(asked: Asked, text: str) -> int | None:
    """The step of the scale that a text names."""
    if not (text.isascii() and text.isdigit() and len(text) <= 3):
        return None
    return int(text) if asked.scale_min <= int(text) <= asked.scale_max else None


def _buttons(asked: Asked, chosen: int | None) -> str:
    steps = "".join(
        f'<button name="score" value="{step}"{" id=chosen" if step == chosen else ""}>{step}</button>'
        for step in range(asked.scale_min, asked.scale_max + 1)
    )
    hint = f"<p id=hint>Your answer: {chosen}. Press it to send.</p>" if chosen is not None else ""
    return f'<form method="post" action="?">{hint}<div class=steps>{steps}</div></form>'


def _why(score: int) -> str:
    return (
        f'<form method="post" action="?"><input type="hidden" name="score" value="{score}">'
        '<label for="why">What is the main reason for your answer?</label>'
        '<textarea id="why" name="why" rows="5"></textarea><button>Send</button></form>'
    )


def _gone() -> web.Response:
    return _page(HTTPStatus.NOT_FOUND, "This link has ended", "<p>There is nothing to answer here any more.</p>")


def _page(status: int, title: str, body: str, *, waiting: bool = False) -> web.Response:
    script = '<script src="/a/answer.js" defer></script>' if waiting else ""
    text = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f'<title>{html.escape(title)}</title><link rel="stylesheet" href="/a/answer.css">{script}</head>'
        f"<body><main><h1>{html.escape(title)}</h1>{body}</main></body></html>"
    )
    return web.Response(status=status, text=text, content_type="text/html", headers=_GUARDS)
