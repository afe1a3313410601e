"""Who may read what through the page, on the real engine: keys, sessions, our names, and values that stay values."""

from __future__ import annotations

import asyncio
import time

import aiohttp
import orjson
import pytest

from pipeline.access import keys as access_keys
from pipeline.access import store
from pipeline.clickhouse import ClickHouse
from pipeline.views.page.readers import readers
from pipeline.views.page.view import Grant
from tests.chaos.harness import Case
from tests.integration.page_place import asked, serving

pytestmark = [pytest.mark.kafka, pytest.mark.clickhouse]


async def test_a_customer_is_not_shown_to_a_key_that_sees_one_brand(read_place: Case) -> None:
    keys = {"a": Grant("a", brands=("aurora",)), "all": Grant("all")}

    async def verify(token: str) -> Grant | None:
        return keys.get(token)

    async with serving(read_place.settings, verify) as server:
        status, body, _ = await asked(server, "/v1/customers/c-1", Authorization="Bearer a")
        assert (status, orjson.loads(body)["error"]) == (403, "scope")
        assert (await asked(server, "/v1/customers/c-1", Authorization="Bearer all"))[0] == 200
        assert (await asked(server, "/v1/customers/c-1"))[0] == 401
        assert (await asked(server, "/v1/journeys?brand=birch", Authorization="Bearer a"))[0] == 403


async def test_a_key_sees_its_brand_and_nothing_else(read_place: Case) -> None:
    keys = {"a": Grant("a", brands=("aurora",)), "u": Grant("u", units=("u1",)), "all": Grant("all")}

    async def verify(token: str) -> Grant | None:
        return keys.get(token)

    async with serving(read_place.settings, verify) as server:
        for path in ("/v1/scores?metric=nps", "/v1/stream", "/v1/feedback", "/v1/values", "/v1/events/feedback:1:0:0"):
            for header in ({}, {"Authorization": "Bearer wrong"}, {"Cookie": "touchline_reader=AAAA"}):
                status, _, _ = await asked(server, path, **header)
                assert status == 401, path
        status, _, headers = await asked(server, "/")
        assert (status, headers["Location"]) == (303, "/login")
        sums: dict[str, int] = {}
        for key in keys:
            _, body, _ = await asked(
                server, "/v1/scores?metric=nps&by=brand,unit&from=-4h", Authorization=f"Bearer {key}"
            )
            found = orjson.loads(body)["scores"]
            assert all(keys[key].sees(one["scope"]) for one in found)
            sums[key] = sum(one["n"] for one in found)
        assert 0 < sums["a"] < sums["all"]
        assert 0 < sums["u"] < sums["all"]
        status, body, _ = await asked(server, "/v1/scores?metric=nps&brand=birch", Authorization="Bearer a")
        assert (status, orjson.loads(body)["error"]) == (403, "scope")
        status, _, _ = await asked(server, "/v1/stream?brand=birch", Authorization="Bearer a")
        assert status == 403
        _, body, _ = await asked(server, "/v1/values", Authorization="Bearer a")
        assert orjson.loads(body)["brand"] == ["aurora"]


async def test_a_key_of_the_table_logs_in_by_form_and_its_end_ends_the_session(read_place: Case) -> None:
    client = ClickHouse(read_place.settings)
    _, token = store.create(client, access_keys.Grant("", "board", frozenset({access_keys.Right.READ})), 0)
    _, writing = store.create(client, access_keys.Grant("", "shop", frozenset({access_keys.Right.WRITE})), 0)
    async with readers(read_place.settings, everybody=False) as verify, serving(read_place.settings, verify) as server:
        where = f"http://127.0.0.1:{server.port}"
        jar = aiohttp.CookieJar(unsafe=True)
        async with aiohttp.ClientSession(cookie_jar=jar) as http:
            for wrong in ("", "tl_x", writing):
                async with http.post(where + "/login", data={"key": wrong}, allow_redirects=False) as answer:
                    assert answer.headers["Location"] == "/login?wrong=1"
            async with http.post(where + "/login", data={"key": token}, allow_redirects=False) as answer:
                assert answer.headers["Location"] == "/"
                cookie = answer.headers["Set-Cookie"]
            assert "HttpOnly" in cookie
            assert "SameSite=Lax" in cookie
            assert token not in cookie
            async with http.get(where + "/v1/values") as answer:
                assert answer.status == 200
            store.revoke(client, "board")
            client.close()

            async def refused() -> bool:
                async with http.get(where + "/v1/values") as answer:
                    return answer.status == 401

            deadline = time.monotonic() + 10
            while not await refused():
                assert time.monotonic() < deadline
                await asyncio.sleep(0.1)


async def test_only_our_own_names_are_served_and_every_answer_says_what_a_browser_may(read_place: Case) -> None:
    async with serving(read_place.settings) as server:
        for path in ("/", "/v1/scores?metric=nps", "/static/app.js", "/nothing", "/glossary"):
            status, _, headers = await asked(server, path)
            assert headers["Content-Security-Policy"].startswith("default-src 'self'"), path
            assert headers["X-Content-Type-Options"] == "nosniff"
            status, _, _ = await asked(server, path, Host="evil.example")
            assert status == 421, path
        for path in ("/static/../server.py", "/static/%2e%2e/server.py", "/static/nothing.js"):
            status, _, _ = await asked(server, path)
            assert status == 404
        status, _, _ = await asked(server, "/readyz", Host="10.0.0.7:6080")
        assert status == 200


HOSTILE = (
    "web') OR 1=1 --",
    "'; DROP TABLE windows; --",
    "file('/etc/passwd')",
    "url('http://x/')",
    "{cut:String}",
    "\\",
)


async def test_fragments_of_sql_are_values_and_nothing_else(read_place: Case) -> None:
    """T40."""
    async with serving(read_place.settings) as server, aiohttp.ClientSession() as http:
        for text in HOSTILE:
            for name in ("brand", "channel", "segment", "product"):
                where = f"http://127.0.0.1:{server.port}/v1/scores"
                async with http.get(where, params={"metric": "nps", name: text}) as answer:
                    assert answer.status == 200
                    assert (await answer.json())["scores"] == []
            for name in ("metric", "by", "grain", "from", "limit"):
                async with http.get(where, params={"metric": "nps", name: text}) as answer:
                    assert answer.status == 400, (name, text)
            async with http.get(f"http://127.0.0.1:{server.port}/v1/events/" + text.replace("/", "%2F")) as answer:
                assert answer.status in (400, 404)
        _, body, _ = await asked(server, "/v1/scores?metric=nps&from=-4h")
    assert orjson.loads(body)["scores"][0]["n"] > 0
