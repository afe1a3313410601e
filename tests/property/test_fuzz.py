"""T32: whatever bytes come, by whichever way, there is a verdict and never an exception; a million in `make prove`.

Inputs are examples of ours and of the tools' payloads, bent: bytes flipped, cut, repeated, spliced, tokens of JSON put
in. The random source is seeded, so a failure comes again.
"""

from __future__ import annotations

import base64
import json
import random
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pipeline.access.keys import Grant, Right, digest_of, id_of, make, presented
from pipeline.arrival.rules import ArrivalRules
from pipeline.intake.admission import Rules, judge, judge_events
from pipeline.intake.bodies import Items, RawHeaders, Refused, form_of, items_of
from pipeline.intake.integrations import integrations
from pipeline.intake.integrations.cases import cases
from pipeline.intake.integrations.contract import Options
from pipeline.intake.integrations.receiving import Unread, kept, receive
from schemas.codec import decode
from schemas.explain import Rejection

ROOT = Path(__file__).resolve().parents[2]
NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
NOW_MS = int(NOW.timestamp() * 1000)
GRANT = Grant("k", "shop", frozenset({Right.WRITE}))
KEY, TOKEN = make(GRANT, 0, 0)
#: What tools sign with.
SIGNED = (
    *("x-signature", "typeform-signature", "x-hub-signature", "x-shopify-hmac-sha256", "x-zendesk-webhook-signature"),
    *("x-zendesk-webhook-signature-timestamp", "webhook-id", "webhook-timestamp", "webhook-signature"),
)
#: The examples are of other days.
ARRIVAL = ArrivalRules(max_age_ms=3_650 * 86_400_000)
RULES = (Rules(ARRIVAL), Rules(ARRIVAL, unknown="refuse"))
MEDIA = [
    *["application/json"] * 6,
    *("application/json", "application/x-ndjson", "application/cloudevents+json", "text/json; charset=latin-1", ""),
    *("application/cloudevents-batch+json", "application/cloudevents+avro", "image/png", "application/json;charset=x"),
]
TOKENS = [
    *(b"{", b"}", b"[", b"]", b",", b":", b'"', b"\\u0000", b"\\ud800", b"null", b"NaN", b"1e999", b"-0", b"\xff"),
    *(b"\x00\x00\x00\x00\x01", b"[" * 40, b'"metric":"nps",', b'"score":11,', b'"specversion":"1.0",', b'"data":'),
    *(b'"ref":{},', b'"attributes":{"a":[]},', b"2026-11-25T12:00:00Z", b"18446744073709551616", b"\n", b" "),
]
#: CPU seconds of one input. The collector may run meanwhile: what took longer is looked at again.
SLOWEST_S = 0.05


def examples() -> list[bytes]:
    """Events, envelopes, and batches of them."""
    found = [
        b" ".join(path.read_bytes().split(b"\n"))
        for kind in ("feedback", "touchpoint", "envelope")
        for path in sorted((ROOT / "schemas" / "examples" / kind).glob("*.json"))
        if not path.name.endswith(".expect.json")
    ]
    return [*found, b"[" + b",".join(found[:5]) + b"]", b"\n".join(found[:5])]


def payloads() -> list[bytes]:
    """What the tools send."""
    return [
        json.dumps(json.loads(path.read_bytes())["payload"]).encode()
        for name in sorted(integrations())
        for path in cases(name)
    ]


def bent(source: random.Random, seeds: list[bytes]) -> bytes:
    """One input."""
    value = bytearray(source.choice(seeds))
    for _ in range(source.randrange(5)):
        at = source.randrange(len(value) + 1)
        match source.randrange(6):
            case 0 if value:
                value[at % len(value)] = source.randrange(256)
            case 1:
                del value[at : at + source.randrange(1, 20)]
            case 2:
                value[at:at] = source.choice(TOKENS)
            case 3:
                value[at:at] = value[at : at + source.randrange(1, 60)]
            case 4:
                del value[at:]
            case _:
                value[at:] = source.choice(seeds)[at:]
    return bytes(value)


def headers_of(source: random.Random) -> RawHeaders:
    """Sometimes attributes of a binary CloudEvent, not always good ones."""
    if source.random() < 0.85:
        return []
    names = (b"ce-id", b"CE-Type", b"ce-source", b"ce-specversion", b"ce-time", b"ce-datacontenttype", b"ce-\xff")
    words = (
        b"1.0",
        b"touchline.feedback.v1",
        b"touchline.feedback.v99",
        b"%ff",
        b'"a\\"b"',
        b"",
        b"2026-11-25T12:00:00Z",
    )
    return [(name, source.choice(words)) for name in names if source.random() < 0.7]


def verdict_of(source: random.Random, value: bytes) -> str:
    """What becomes of a body by HTTP; each accepted event is one that the worker reads."""
    raw = headers_of(source)
    form = form_of(source.choice(MEDIA), raw)
    items = form if isinstance(form, Refused) else items_of(form, value, raw)
    if isinstance(items, Refused):
        return items.error
    judged = judge(items, GRANT, source.choice(RULES), NOW_MS)
    assert len(judged) == len(items.values)
    for each in judged:
        if each.rejection is None:
            assert decode(each.topic, [each.value], [()]).events[0] is not None
    return judged[0].rejection.reason.value if judged[0].rejection else "accepted"


def delivered(source: random.Random, value: bytes) -> str:
    """What becomes of it as a webhook; of some the signature is asked for, and is none."""
    name = source.choice(sorted(integrations()))
    headers = {each: heard(bent(source, [b"v1,c2lnbmF0dXJl", b"1764072000"])) for each in SIGNED}
    options = Options(secrets=("secret",)) if source.random() < 0.2 else Options()
    found = receive(integrations()[name], headers, value, options, NOW.timestamp())
    json.dumps(kept(headers), ensure_ascii=False).encode()
    if isinstance(found, Unread):
        return found.error
    events = [each for each in found if not isinstance(each, Rejection)]
    assert len(judge_events(events, GRANT, RULES[0], NOW_MS)) == len(events)
    refused = next((each.reason.value for each in found if isinstance(each, Rejection)), "")
    return refused or ("mapped" if events else "nothing")


def heard(value: bytes) -> str:
    """A header as aiohttp gives it."""
    return value.decode(errors="surrogateescape")


def borne(source: random.Random, value: bytes) -> str:
    """Whose token it is, as an Authorization header."""
    scheme = source.choice(("Bearer ", "bearer  ", "Basic ", "", "Bearer"))
    token = presented(scheme + heard(value))
    return "nobody" if id_of(token) is None or not KEY.admits(digest_of(token), NOW_MS) else "shop"


def timed(judge_it: Callable[[random.Random, bytes], str], source: random.Random, value: bytes) -> tuple[float, str]:
    """CPU seconds and verdict."""
    began = time.thread_time()
    verdict = judge_it(source, value)
    return time.thread_time() - began, verdict


@pytest.mark.parametrize(
    "count",
    [pytest.param(10_000, id="short"), pytest.param(1_000_000, id="full", marks=[pytest.mark.prove, pytest.mark.slow])],
)
def test_whatever_bytes_come_there_is_a_verdict(count: int) -> None:
    source = random.Random(20_261_125)
    own, theirs = examples(), payloads()
    tokens = [TOKEN.encode(), base64.b64encode(f"{TOKEN}:".encode())]
    verdicts: Counter[str] = Counter()
    for number in range(count):
        judge_it, seeds = (verdict_of, own) if number % 5 else (delivered, [*theirs, *own])
        if number % 10 == 1:
            judge_it, seeds = borne, tokens
        value, state = bent(source, seeds), source.getstate()
        took, verdict = timed(judge_it, source, value)
        verdicts[verdict] += 1
        if took >= SLOWEST_S:
            again = random.Random()
            again.setstate(state)
            assert timed(judge_it, again, value)[0] < SLOWEST_S, value
    assert verdicts.total() == count
    # The fuzz is worth something: it reaches the fine ones and very different bad ones.
    assert verdicts["accepted"] > count // 100
    assert {"not_json", "missing_field", "out_of_range", "bad_envelope", "unsupported_media_type", "mapped"} <= set(
        verdicts
    )
    assert {"bad_signature", "nobody", "shop"} <= set(verdicts)
    assert "step_failed" not in verdicts, "a mapper raised"


def test_a_verdict_that_raises_would_be_seen() -> None:
    with pytest.raises(TypeError):
        judge(Items([None], [()]), GRANT, RULES[0], NOW_MS)  # type: ignore[list-item]
