"""How fast with texts: 30 % of the events have one, by tier, and how much of it is the model."""

from __future__ import annotations

import asyncio
import time

import orjson

from pipeline.stack.launch import Stack
from pipeline.texts.child import Request, label
from pipeline.texts.labeller import Labeller
from pipeline.texts.language import load as load_language
from pipeline.texts.model import bundled
from tests.bench import load
from tests.bench.figures import Figure, Report, note
from tests.bench.place import drop_place, make_place, running_worker
from tests.bench.throughput import measured

SHARE = 0.3
#: Texts that the child is asked for at once.
_CHUNK = 256


def run(stack: Stack, report: Report, quick: bool) -> None:
    """The figures of the section `texts`."""
    count, few = (10_000, 2_000) if quick else (200_000, 20_000)
    said = _texts(load.Plan(few, load.now_ms(), texts=SHARE))
    distinct = len(set(said)) / len(said)
    note(f"{len(said):,} texts, {distinct:.0%} distinct; the models alone")
    alone = {tier: _alone(tier, said if tier == "static" else said[: len(said) // 4]) for tier in ("minilm", "static")}
    for tier, each in alone.items():
        report.add(Figure(f"model_{tier}", 1e6 / each, "texts/s", cpu=each, about="the classifier alone, one thread"))
    flow = asyncio.run(_labelled(said))
    rate, most = few / flow, 1e6 / alone["minilm"] / SHARE
    about = f"label on the transformer, process and pipe included; baseline: the model alone; {distinct:.0%} distinct"
    report.add(Figure("texts_minilm", rate, "events/s", most, rate / most, alone["minilm"] * SHARE, about=about))
    backlog = _backlog(stack, report, count)
    report.say(
        f"CPU of one text: {alone['minilm']:,.0f} us on the transformer, {alone['static']:,.0f} us on the static one; "
        f"an event of this mix: {alone['minilm'] * SHARE:,.0f} or {alone['static'] * SHARE:,.0f} us. "
        f"On the backlog an event takes {1e6 / backlog:,.0f} us of two cores, shared with Kafka and ClickHouse."
    )


def _texts(plan: load.Plan) -> list[str]:
    return [
        text
        for each in load.events(plan)
        for value in each.values
        if (text := orjson.loads(value).get("text")) is not None
    ]


def _alone(tier: str, texts: list[str]) -> float:
    """CPU time of a model in us a text, language found by it too, in chunks sorted by length as the worker asks."""
    classifiers, detector = bundled(), load_language()
    ordered = sorted(texts, key=len)
    label(Request(tier, tier, ordered[:_CHUNK], [""] * len(ordered[:_CHUNK])), classifiers, detector)
    began = time.process_time()
    for first in range(0, len(ordered), _CHUNK):
        chunk = ordered[first : first + _CHUNK]
        label(Request(tier, tier, chunk, [""] * len(chunk)), classifiers, detector)
    return (time.process_time() - began) / len(ordered) * 1e6


async def _labelled(texts: list[str]) -> float:
    """Seconds that the labeller takes for the texts on the transformer, a slice of 1,000 events at a time."""
    labeller = Labeller()
    await labeller.start()
    each = int(1_000 * SHARE)
    await labeller.label(texts[:each], [""] * len(texts[:each]), burst=False)
    fresh = texts[each:]
    began = time.monotonic()
    for first in range(0, len(fresh), each):
        chunk = fresh[first : first + each]
        await labeller.label(chunk, [""] * len(chunk), burst=False)
    took = (time.monotonic() - began) * len(texts) / len(fresh)
    await labeller.stop()
    return took


def _backlog(stack: Stack, report: Report, count: int) -> float:
    """A backlog through a whole worker: the static tier takes over. Events a second."""
    place = make_place(stack, "texts")
    load.produce(place, load.Plan(count, load.now_ms(), texts=SHARE))
    with running_worker(place) as worker:
        rate = measured(worker, place, count)
        tiers = worker.metrics()["touchline_texts_total"]
        cached = worker.metrics()["touchline_label_cache_hits_total"].get("", 0.0)
    report.add(
        Figure(
            "texts_backlog",
            rate.events_s,
            "events/s",
            cpu=rate.cpu,
            about="a whole worker on a backlog, CPU without the child",
        )
    )
    shown = ", ".join(f"{tier} {n:,.0f}" for tier, n in sorted(tiers.items()))
    report.say(f"Backlog of {count:,} events: texts by tier {shown}; {cached:,.0f} answered from the cache.")
    drop_place(place)
    return rate.events_s
