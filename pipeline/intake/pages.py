"""What the gateway shows to people [I/O]: the OpenAPI document and a viewer of it.

The viewer is RapiDoc 9.3.8 (MIT), one file, unchanged, packed as it comes in its package; see docs/third-party.md.
"""

from __future__ import annotations

import gzip
from pathlib import Path

from aiohttp import web

from pipeline.intake.connections import Pieces
from pipeline.intake.openapi import FILE

STATIC = Path(__file__).with_name("static")
VIEWER = STATIC / "rapidoc-min.js.gz"

_PAGE = b"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Touchline gateway</title>
<script type="module" src="/docs/viewer.js"></script>
</head>
<body>
<rapi-doc spec-url="/openapi.json" render-style="read" theme="light" show-header="false" allow-server-selection="false"
 load-fonts="false" schema-style="table" persist-auth="false"></rapi-doc>
</body>
</html>
"""
#: Scripts only from here. The viewer sets styles on its elements, so those may stand inline.
_POLICY = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'"
_GUARDS = {"Content-Security-Policy": _POLICY, "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"}
#: Files change with the version of the gateway only.
_KEPT = {"Cache-Control": "public, max-age=3600"}
_SCRIPT = "text/javascript; charset=utf-8"


def routes() -> list[web.RouteDef]:
    """`/openapi.json`, `/docs` and the viewer's script, `/touchline.js` for web pages."""
    described = FILE.read_bytes()
    script = (STATIC / "touchline.js").read_bytes()
    packed = VIEWER.read_bytes()
    plain = gzip.decompress(packed)

    async def openapi(_: web.Request) -> web.StreamResponse:
        return Pieces(described, {"Content-Type": "application/json", "Access-Control-Allow-Origin": "*"})

    async def docs(_: web.Request) -> web.Response:
        return web.Response(body=_PAGE, content_type="text/html", charset="utf-8", headers=_GUARDS)

    async def viewer(request: web.Request) -> web.StreamResponse:
        headers = {**_KEPT, "Content-Type": _SCRIPT, "Vary": "Accept-Encoding"}
        if "gzip" in request.headers.get("Accept-Encoding", ""):
            return Pieces(packed, headers | {"Content-Encoding": "gzip"})
        return Pieces(plain, headers)

    async def scripted(_: web.Request) -> web.Response:
        headers = {**_KEPT, "Access-Control-Allow-Origin": "*", "Cross-Origin-Resource-Policy": "cross-origin"}
        return web.Response(body=script, headers={**headers, "Content-Type": _SCRIPT})

    return [
        web.get("/touchline.js", scripted),
        web.get("/openapi.json", openapi),
        web.get("/docs", docs),
        web.get("/docs/viewer.js", viewer),
    ]
