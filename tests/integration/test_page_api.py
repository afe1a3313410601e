"""The reading API on the real engine: the digits of command, view and topic; forms, limits, streams."""

from __future__ import annotations

import asyncio
import io
import json
import random
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import jsonschema
import orjson
import polars as pl
import pytest
from typer.testing import CliRunner

from pipeline.clickhouse import ClickHouse
from pipeline.command.customer import app as customer_command
from pipeline.command.drivers import app as drivers_command
from pipeline.command.journeys import app as journeys_command
from pipeline.command.scores import app as scores_command
from pipeline.command.scores import asked as scores_asked
from pipeline.command.typed import Windows, names
from pipeline.scores.defined import definitions_of
from pipeline.scores.meters import FORMS
from pipeline.settings import load_settings
from pipeline.stack.launch import Stack
from pipeline.views.answered import More
from pipeline.views.answers import answer
from pipeline.views.page import frames
from pipeline.views.page.server import Server
from pipeline.views.page.streams import Viewer
from pipeline.views.page.view import View
from pipeline.views.score_lines import document as score_document
from schemas.codec import encode
from tests.chaos.harness import Case, deployed
from tests.integration.lives import DAY, HOUR, Lives
from tests.integration.page_place import asked, iso, published, serving, until
from tests.terminal import at_terminal
from tests.unit.views.page.test_board import score

pytestmark = [pytest.mark.kafka, pytest.mark.clickhouse]


#: One place of the board.
SCOPE = {"brand": "aurora", "channel": "web", "touchpoint": "checkout"}
DIMS = ("brand", "unit", "channel", "touchpoint", "mode")
FIGURES = ("n", "score", "low", "high")


def drawn(rng: random.Random) -> tuple[list[tuple[str, str]], list[str]]:
    """A random question, as parameters and as arguments of the command."""
    metric = rng.choice(("nps", "csat", "ces", "sentiment"))
    by = ",".join(rng.sample(DIMS, rng.randrange(4)))
    grain = rng.choice(("5m", "15m", "1h", "all"))
    # Not "-2h": a minute may begin between the one who is asked first and the other.
    since = iso(int(time.time()) // 60 * 60 - rng.choice((1, 2, 4)) * 3_600)
    pairs = [("metric", metric), ("by", by), ("grain", grain), ("from", since)]
    arguments = ["--metric", metric, "--by", by, "--grain", grain, "--from", since]
    for name in rng.sample(("brand", "unit", "channel"), rng.randrange(3)):
        value = rng.choice({"brand": ("aurora", "birch"), "unit": ("u0", "u1", "u0,u2"), "channel": ("web", "x")}[name])
        pairs.append((name, value))
        arguments += ["--where", f"{name}={value}"]
    return pairs, arguments


async def test_api_command_and_view_give_the_same_digits_on_200_random_questions(read_place: Case) -> None:
    """Each question to all three: windows, groups and histograms are equal, and so is every figure of every row."""
    rng = random.Random(5)
    every: list[dict[str, Any]] = []
    client = ClickHouse(read_place.settings)
    view = client.query("SELECT * FROM scores_1m WHERE cut = 'core'")
    async with serving(read_place.settings) as server, aiohttp.ClientSession() as http:
        for number in range(200):
            pairs, arguments = drawn(rng)
            to = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
            async with http.get(f"http://127.0.0.1:{server.port}/v1/scores", params=[*pairs, ("to", to)]) as got:
                assert got.status == 200, await got.text()
                found = await got.json()
            if number < 10:  # as it is typed; the others without a process's begin and end
                result = await asyncio.to_thread(CliRunner().invoke, scores_command, [*arguments, "--json", "--to", to])
                said = json.loads(result.stdout)
            else:
                said = await asyncio.to_thread(commanded, client, arguments, to)
            assert {**said, "from": "", "to": ""} == {**found, "from": "", "to": ""}, arguments
            assert by_view(view, found) == [of_row(found["by"], one) for one in found["scores"]], arguments
            every += found["scores"]
    assert len(every) > 1_000
    assert by_functions(client, every) == [[one[name] for name in FIGURES] for one in every]
    client.close()


def commanded(client: ClickHouse, arguments: list[str], to: str) -> Any:
    """What `touchline scores --json` does with these arguments."""
    given = dict(zip(arguments[::2], arguments[1::2], strict=True))
    where = [value for name, value in zip(arguments[::2], arguments[1::2], strict=True) if name == "--where"]
    what, known = (given["--metric"], names(given["--by"]), where), definitions_of(load_settings())
    question = scores_asked(what, (given["--from"], to), Windows(given["--grain"]), known)
    found = answer(client, question, More(), known)
    return json.loads(orjson.dumps(score_document(question, found.rows, found.extras)))


def of_row(by: list[str], one: dict[str, Any]) -> tuple[Any, ...]:
    scope = tuple(one["scope"][name] for name in by)
    return (one["start"], *scope, one["scale"], one["histogram"])


def by_view(view: pl.DataFrame, asked: dict[str, Any]) -> list[tuple[Any, ...]]:
    """The same question by hand: the minutes of the view `scores_1m` that it is about, added up row by row."""
    first, last, seconds = _second(asked["from"]), _second(asked["to"]), asked["seconds"]
    human = {"store": "human", "call": "human", "chat": "human", "": ""}
    sums: dict[tuple[Any, ...], list[int]] = {}
    for row in view.iter_rows(named=True):
        row["mode"] = human.get(row["channel"], "digital")
        if row["metric"] != asked["metric"] or not first <= row["minute"] < last:
            continue
        if all(row[name] in chosen for name, chosen in asked["where"].items()):
            start = first + (row["minute"] - first) // seconds * seconds
            key = (start, *(row[name] for name in asked["by"]), row["scale"])
            sums[key] = [a + b for a, b in zip(sums.get(key, [0] * 11), row["histogram"], strict=True)]
    return [(iso(key[0]), *key[1:], histogram) for key, histogram in sorted(sums.items())]


def by_functions(client: ClickHouse, scores: list[dict[str, Any]]) -> list[list[Any]]:
    """n, score, low and high of these histograms by the SQL functions: all at once, an engine reads them slowly."""
    client.command("CREATE TABLE IF NOT EXISTS asked (i UInt32, m String, s String, h Array(Int64)) ENGINE = Memory")
    rows = [(i, one["metric"], one["scale"], one["histogram"]) for i, one in enumerate(scores)]
    columns: dict[str, Any] = {"i": pl.UInt32, "m": pl.String, "s": pl.String, "h": pl.List(pl.Int64)}
    client.insert("asked", pl.DataFrame(rows, schema=columns, orient="row"))
    found = client.query("SELECT tl_n(h), tl_score(m, s, h), tl_low(m, s, h), tl_high(m, s, h) FROM asked ORDER BY i")
    client.command("DROP TABLE asked")
    return [list(row) for row in found.rows()]


async def test_what_the_topic_says_is_what_the_api_and_the_page_say(read_place: Case) -> None:
    said = [orjson.loads(value) for value in await published(read_place.settings)]
    assert len(said) > 100
    async with serving(read_place.settings) as server:
        for score in random.Random(2).sample(said, 40):
            scope = "&".join(f"{name}={value}" for name, value in score["scope"].items())
            by = ",".join(score["scope"])
            end = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(_second(score["start"]) + 300))
            path = f"/v1/scores?metric={score['metric']}&grain=5m&from={score['start']}&to={end}&by={by}&{scope}"
            _, body, _ = await asked(server, path)
            rows = [one for one in orjson.loads(body)["scores"] if one["scale"] == score["scale"]]
            if score["n"] == 0:  # taken back to nothing: said on the topic, no row when read
                assert rows == []
                continue
            (found,) = rows
            for name in ("n", "score", "low", "high", "unit", "method", "status", "histogram", "seconds", "start"):
                assert found[name] == score[name], (name, score)
        await until(lambda: len(server.live.board) > 0, "the board has read the topic")
        latest = await shown_by(server, View.of("1h", {}))
        _, body, _ = await asked(server, f"/v1/scores?metric=nps&from={iso(latest['tiles']['first'])}")
        (whole,) = orjson.loads(body)["scores"]
        tile = latest["tiles"]["tiles"][0]
        assert {name: whole[name] for name in ("n", "score", "low", "high")} == {
            name: tile[name] for name in ("n", "score", "low", "high")
        }


async def shown_by(server: Server, view: View) -> dict[str, Any]:
    """The newest sections of a view, once it has them."""
    viewer = Viewer()
    server.live.join(view, viewer, "")
    try:
        channel = server.live._channels[view].channel
        await until(lambda: {"tiles", "line", "heat", "status"} <= set(channel.latest), "the page has its sections")
        return {name: orjson.loads(data) for name, (data, _) in channel.latest.items()}
    finally:
        server.live.leave(view, viewer)


async def test_a_view_is_told_twice_a_second_at_most_however_much_comes(read_place: Case) -> None:
    async with serving(read_place.settings) as server:
        live, hour = server.live, View.of("1h", {})
        await shown_by(server, hour)
        live.join(hour, viewer := Viewer(), "")
        channel, began, revision = live._channels[hour].channel, time.monotonic(), 0

        def one_more() -> bool:
            nonlocal revision
            revision += 1
            start = int(time.time()) // 300 * 300
            live._take(encode(score({9: 20 + revision}, start=start, scope=dict(SCOPE), revision=revision)))
            live._hear()
            return time.monotonic() > began + 2.5

        before = channel.number
        await until(one_more, "there was a lot for a while")
        told = [frame for frame in channel.ring if frame.number > before and frame.section == "tiles"]
        assert revision > 25
        assert 2 <= len(told) <= 2.5 / 0.45 + 1
        live.leave(hour, viewer)


@pytest.mark.parametrize("view", [View.of("24h", {}), View.of("1h", {"unit": ("u1",)})], ids=["24 hours", "one unit"])
async def test_a_view_from_the_tables_has_the_digits_of_the_api(read_place: Case, view: View) -> None:
    async with serving(read_place.settings) as server:
        latest = await shown_by(server, view)
        unit = "".join(f"&{name}={values[0]}" for name, values in view.filters)
        for tile in latest["tiles"]["tiles"]:
            path = f"/v1/scores?metric={tile['metric']}&from={iso(latest['tiles']['first'])}{unit}"
            _, body, _ = await asked(server, path)
            (found,) = [one for one in orjson.loads(body)["scores"] if one["scale"] == tile["scale"]]
            assert found == {**found, **{name: tile[name] for name in ("n", "score", "low", "high", "status")}}


async def test_the_three_forms_carry_the_same_numbers(read_place: Case) -> None:
    path = "/v1/scores?metric=nps&by=channel,touchpoint&from=-4h"
    async with serving(read_place.settings) as server:
        _, as_json, _ = await asked(server, path)
        _, as_csv, headers = await asked(server, path, Accept="text/csv")
        _, as_arrow, _ = await asked(server, path, Accept="application/vnd.apache.arrow.stream")
        status, _, _ = await asked(server, path, Accept="image/png")
    assert headers["Content-Type"].startswith("text/csv")
    expected = [one["score"] for one in orjson.loads(as_json)["scores"]]
    assert pl.read_csv(as_csv)["score"].to_list() == expected
    assert pl.read_ipc_stream(io.BytesIO(as_arrow))["score"].to_list() == expected
    assert status == 406


async def test_an_unchanged_answer_is_304_and_a_wide_one_is_refused_with_a_sentence(read_place: Case) -> None:
    path = "/v1/scores?metric=nps&by=channel&from=2026-01-01T00:00&to=2026-01-02T00:00"
    async with serving(read_place.settings) as server:
        status, _, headers = await asked(server, path)
        again, body, _ = await asked(server, path, **{"If-None-Match": headers["ETag"]})
        wide, text, _ = await asked(server, "/v1/scores?metric=nps&by=channel,unit,brand&from=-4h&grain=5m&limit=3")
    assert (status, again, body) == (200, 304, b"")
    assert wide == 400
    assert "the limit is 3" in orjson.loads(text)["detail"]


@pytest.fixture
def lived(stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Case]:
    """A deployment in which forty customers bought something and were asked about it."""
    with deployed(Case(stack.bootstrap, stack.clickhouse_url, tmp_path, partitions=2)) as case:
        lives = Lives()
        for customer in range(1, 41):
            at = time.time() - DAY - customer * 60
            lives.did(customer, at, "page_viewed")
            lives.did(customer, at + 60, "checkout", "fail" if customer % 4 == 0 else "ok")
            lives.said(customer, at + HOUR, 2 if customer % 4 == 0 else 9, "checkout", unit=f"u{customer % 2}")
        former = lives.rows[-1]
        old = {name: former[name.removeprefix("old_")] for name in former if name.startswith("old_")}
        lives.said(40, at + 2 * HOUR, 6, "checkout", unit="u0", **old, revision=1)
        client = ClickHouse(case.settings)
        lives.write(client)
        client.close()
        for name, value in case.environment().items():
            monkeypatch.setenv(name, value)
        yield case


def steady(document: Any) -> Any:
    """A document without what changes from second to second: its moment, and what fades."""
    if isinstance(document, dict):
        moving = ("as_of", "from", "to", "index", "weight", "points")
        return {name: steady(value) for name, value in document.items() if name not in moving}
    return [steady(one) for one in document] if isinstance(document, list) else document


async def test_journeys_drivers_and_customers_are_read_as_by_the_commands(lived: Case) -> None:
    who = f"k1:{7:016x}"
    asks = [
        ("/v1/journeys?of=touchpoint&from=-2d", journeys_command, ["--of", "touchpoint", "--from", "-2d"]),
        ("/v1/drivers?of=answer.unit&from=-2d", drivers_command, ["drivers", "--of", "answer.unit", "--from", "-2d"]),
        ("/v1/consistency?by=unit&from=-2d", drivers_command, ["consistency", "--by", "unit", "--from", "-2d"]),
        (f"/v1/customers/{who}?limit=5", customer_command, [who, "--limit", "5"]),
    ]
    async with serving(lived.settings) as server:
        for path, command, arguments in asks:
            status, body, _ = await asked(server, path)
            assert status == 200, (path, body)
            result = await asyncio.to_thread(CliRunner().invoke, command, [*arguments, "--json"])
            assert result.exit_code == 0, result.stderr
            api, said = orjson.loads(body), json.loads(result.stdout)
            assert steady(api) == steady(said), path
            _, as_csv, headers = await asked(server, path, Accept="text/csv")
            table = await asyncio.to_thread(CliRunner().invoke, command, [*arguments, "--csv"])
            lines, expected = as_csv.decode().split("\r\n"), table.stdout.split("\n")
            assert (headers["Content-Type"], lines[0]) == ("text/csv; charset=utf-8", expected[0])
            assert len(lines) == len(expected) > 2
            if "customers" not in path:  # what fades is another number a moment later
                assert lines == expected
            _, as_arrow, _ = await asked(server, path, Accept="application/vnd.apache.arrow.stream")
            assert pl.read_ipc_stream(io.BytesIO(as_arrow)).columns == lines[0].split(",")
            assert pl.read_ipc_stream(io.BytesIO(as_arrow)).height == len(lines) - 2
            assert (await asked(server, path, Accept="image/png"))[0] == 406
        assert orjson.loads(body)["events"] > 0
        _, body, _ = await asked(server, "/v1/events/feedback:1:0:120")
        event = orjson.loads(body)
        assert (event["revision"], event["replaces"]) == (1, "feedback:1:0:119")
        assert (event["disposition"], event["reason"], event["answer"]) == ("aggregated", "", 6)
        assert (event["text"], event["truncated"]) == ("", False)
        (counts,) = event["counts_in"]
        assert (counts["metric"], counts["definition"], counts["scale"]) == ("nps", "nps@1", "0-10")
        assert counts["minute"] == iso(event["occurred_ms"] // 60_000 * 60)
        for path in (
            "/v1/journeys?of=colour",
            "/v1/journeys?show=all",
            "/v1/drivers?within=90s",
            "/v1/customers/c-1?limit=x",
            "/v1/drivers?x=1",
            "/v1/consistency?by=colour",
        ):
            assert (await asked(server, path))[0] == 400, path


async def test_a_definition_that_weighs_customers_has_both_figures_in_every_form(lived: Case, tmp_path: Path) -> None:
    own = tmp_path / "scores.toml"
    text = (Path(__file__).parents[2] / "pipeline/scores/scores.toml").read_text()
    own.write_text(text.replace('metric = "nps"', 'metric = "nps"\nweighting = "one_voice"', 1))
    path = "/v1/scores?metric=nps&from=-2d"
    async with serving(lived.settings.model_copy(update={"scores": own})) as server:
        _, as_json, _ = await asked(server, path)
        _, as_csv, _ = await asked(server, path, Accept="text/csv")
        _, as_arrow, _ = await asked(server, path, Accept="application/vnd.apache.arrow.stream")
        _, document, _ = await asked(server, "/v1/openapi.json")
    (one,) = orjson.loads(as_json)["scores"]
    assert (one["n"], one["voice_n"], one["voice_score"], one["leads"]) == (40, 40, one["score"], "raw")
    jsonschema.validate(one, orjson.loads(document)["components"]["schemas"]["Score"])
    for frame in (pl.read_csv(as_csv), pl.read_ipc_stream(io.BytesIO(as_arrow))):
        assert frame.select("n", "voice_n", "voice_score", "leads").rows() == [(40, 40, one["score"], "raw")]


async def test_the_document_describes_the_answer(read_place: Case) -> None:
    async with serving(read_place.settings) as server:
        _, body, _ = await asked(server, "/v1/openapi.json")
        document = orjson.loads(body)
        schema = document["components"]["schemas"]["Score"]
        for metric in FORMS:
            _, body, _ = await asked(server, f"/v1/scores?metric={metric}&by=channel&from=-4h")
            for score in orjson.loads(body)["scores"]:
                jsonschema.validate(score, schema)
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate({**score, "n": "many"}, schema)


async def test_an_event_says_what_became_of_it_and_evidence_adds_up(read_place: Case) -> None:
    async with serving(read_place.settings) as server:
        status, _, _ = await asked(server, "/v1/events/feedback:1:0:99")
        assert status == 404
        _, body, _ = await asked(server, "/v1/scores/evidence?metric=nps&from=-2h")
        found = orjson.loads(body)
    assert found["definition"]["method"] == "adjusted_wald"
    assert (found["definition"]["name"], found["definition"]["version"]) == ("nps@1", 1)
    assert found["restated"] == {}
    assert sum(one["n"] for one in found["windows"]) >= found["scores"][0]["n"] > 0


async def test_a_late_listener_hears_everything_once_and_a_silent_server_beats(read_place: Case) -> None:
    async with serving(read_place.settings) as server, aiohttp.ClientSession() as http:
        async with http.get(f"http://127.0.0.1:{server.port}/v1/stream") as answer:
            assert answer.headers["Content-Type"].startswith("text/event-stream")
            heard: list[str] = []
            async for line in answer.content:
                if line.startswith(b"event: "):
                    heard.append(line[7:].decode().strip())
                if {"hello", "status", "alerts", "tiles", "line", "heat"} <= set(heard):
                    break
        assert heard[0] == "hello"
        await until(lambda: server.live.viewers == 0, "the viewer is forgotten")
    assert frames.MEASURES == ("nps", "csat", "ces", "sentiment")


def test_watched_scores_are_drawn_at_a_terminal(read_place: Case) -> None:
    command = [str(Path(sys.executable).with_name("touchline")), "scores", "--metric", "nps", "--by", "channel"]
    said = at_terminal([*command, "--from", "-2d", "--watch", "--for", "0.1"], {"COLUMNS": "120"}, [])
    assert re.search(r"nps at \d\d:\d\d:\d\d, n and 95 % interval; Ctrl-C ends", said)
    assert {"app", "call", "web"} <= set(said.split()), said
    assert re.search("[▁▂▃▄▅▆▇█]{2}", said), "each with its path"
    assert "●" in said, "and its interval as a picture"


def test_top_at_a_terminal_takes_keys_to_choose_measure_order_time_and_filter(read_place: Case) -> None:
    command = [str(Path(sys.executable).with_name("touchline")), "top", "--every", "30"]
    keys = [("NPS by place, by n", "m"), ("CSAT by place, by n", "s"), ("CSAT by place, by score", "/del\n")]
    said = at_terminal(command, {}, [*keys, ("only 'del'", "2"), ("last 24h", "q")])
    before, after = said.split("only 'del'")[0], said.rpartition("only 'del'")[2]
    assert ("checkout" in before, "checkout" in after) == (True, False)
    assert "delivery" in after


def _second(text: str) -> int:
    return int(pl.Series([text]).str.to_datetime(time_zone="UTC").dt.epoch("s")[0])
