"""The aiohttp handler that the gateway is compared with: `python -m tests.bench.empty_handler PORT`."""

from __future__ import annotations

import sys

from aiohttp import web


async def take(request: web.Request) -> web.Response:
    """Reads what came and says nothing of it."""
    await request.read()
    return web.Response(status=202, body=b"{}", content_type="application/json")


def main() -> None:
    """Serves until it is ended."""
    app = web.Application()
    app.router.add_post("/v1/events", take)
    web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), access_log=None, print=None)


if __name__ == "__main__":
    main()
