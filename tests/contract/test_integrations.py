"""Integrations: each module has fixtures and a section of the page, and does what stands there.

Signatures are made here by code that imports nothing of ours.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.intake.integrations import integrations
from pipeline.intake.integrations.cases import FOLDER, cases, events_of, options_of
from pipeline.intake.integrations.contract import Options
from pipeline.intake.integrations.receiving import Unread, receive
from schemas.explain import Rejection
from schemas.vocabulary import Reason

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "integrations.md"
ALL = [(name, path) for name in sorted(integrations()) for path in cases(name)]
SECRET = "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
NOW_S = 1_793_737_570
#: The addresses and names that stand in fixtures and must not come through.
PERSONS = ("@example", "@doe.com", "Jane", "John", "Gravis", "108.0.78.21", "Jay Doe")


def body_of(case: dict[str, Any]) -> bytes:
    return json.dumps(case["payload"], ensure_ascii=False).encode()


def mac(content: bytes, algorithm: str = "sha256", key: bytes = SECRET.encode()) -> bytes:
    return hmac.new(key, content, getattr(hashlib, algorithm)).digest()


def b64(content: bytes) -> str:
    return base64.b64encode(content).decode()


def standard(body: bytes) -> dict[str, str]:
    signed = "v1," + b64(mac(b"msg_1.%d.%b" % (NOW_S, body), key=base64.b64decode(SECRET)))
    return {"Webhook-Id": "msg_1", "Webhook-Timestamp": str(NOW_S), "Webhook-Signature": f"v1,bm9uZQ== {signed}"}


#: How each tool signs, written down from its own documentation.
SIGNERS: dict[str, Callable[[bytes], dict[str, str]]] = {
    "segment": lambda body: {"X-Signature": mac(body, "sha1").hex()},
    "typeform": lambda body: {"Typeform-Signature": "sha256=" + b64(mac(body))},
    "standard_webhooks": standard,
    "formbricks": standard,
    "zendesk": lambda body: {
        "X-Zendesk-Webhook-Signature-Timestamp": "2025-01-08T10:12:08Z",
        "X-Zendesk-Webhook-Signature": b64(mac(b"2025-01-08T10:12:08Z" + body)),
    },
    "intercom": lambda body: {"X-Hub-Signature": "sha1=" + mac(body, "sha1").hex()},
    "shopify": lambda body: {"X-Shopify-Hmac-Sha256": b64(mac(body))},
}


@pytest.mark.parametrize("name", sorted(integrations()))
def test_each_integration_has_fixtures_a_section_of_the_page_and_a_signer_where_it_signs(name: str) -> None:
    integration = integrations()[name]
    assert cases(name)
    assert f"\n## {integration.title}\n" in PAGE.read_text()
    assert f"/v1/in/{name}/" in PAGE.read_text()
    assert (integration.verify is not None) == (name in SIGNERS)
    assert 200 <= integration.answer < 300


#: Where the tool says which delivery, response or review it is.
IDS = {
    "segment": {"messageId", "uuid", "$insert_id"},
    "typeform": {"token"},
    "standard_webhooks": {"event_id", "webhook-id"},
    "zendesk": {"id", "ticket_id"},
    "intercom": {"id"},
    "shopify": {"id", "x-shopify-event-id", "x-shopify-webhook-id"},
    "formbricks": {"id"},
    "google_play": {"reviewId"},
    "app_store": {"id"},
    "delighted": {"id"},
    "satismeter": {"id"},
}


NOTHING: tuple[Any, ...] = (None, "", {})
#: What a tool never says and anybody may: an address that is none among it, and numbers that are no number.
ODD: tuple[Any, ...] = ("https://[a?touchpoint=x", "9" * 400, "\x00", "-", 1e300, -1, True, [], [[]], {"a": {}})


def without(node: Any, names: set[str]) -> Any:
    if isinstance(node, dict):
        return {key: without(value, names) for key, value in node.items() if key not in names}
    return [without(value, names) for value in node] if isinstance(node, list) else node


@pytest.mark.parametrize(("name", "path"), ALL, ids=lambda value: value.stem if isinstance(value, Path) else value)
def test_without_the_id_of_its_tool_nothing_becomes_an_event(name: str, path: Path) -> None:
    case = json.loads(path.read_text())
    found = events_of(name, without(case, IDS[name]))
    assert bool(found) == bool(case["events"])
    assert all("rejected" in each for each in found), found


@pytest.mark.parametrize(("name", "path"), ALL, ids=lambda value: value.stem if isinstance(value, Path) else value)
def test_no_event_is_named_after_something_that_is_not_there(name: str, path: Path) -> None:
    case = json.loads(path.read_text())
    for place in _places(case["payload"]):
        for nothing in NOTHING:
            found = events_of(name, case | {"payload": _altered(case["payload"], place, nothing)})
            ids = [each["event_id"] for each in found if "event_id" in each]
            assert len(set(ids)) == len(ids), (place, ids)
            assert not [each for each in ids if {"None", "", "{}"} & set(each.split(":"))], (place, ids)


@pytest.mark.parametrize(("name", "path"), ALL, ids=lambda value: value.stem if isinstance(value, Path) else value)
def test_no_mapper_raises_whatever_stands_in_a_place(name: str, path: Path) -> None:
    case = json.loads(path.read_text())
    for place in _places(case["payload"]):
        for odd in ODD:
            found = events_of(name, case | {"payload": _altered(case["payload"], place, odd)})
            assert Reason.STEP_FAILED not in {each.get("rejected") for each in found}, (place, odd)


def test_no_fixture_belongs_to_nobody() -> None:
    assert {folder.name for folder in FOLDER.iterdir()} == set(integrations())


@pytest.mark.parametrize(("name", "path"), ALL, ids=lambda value: value.stem if isinstance(value, Path) else value)
def test_a_payload_becomes_the_events_that_stand_beside_it(name: str, path: Path) -> None:
    case = json.loads(path.read_text())
    assert case["source"]
    found = events_of(name, case)
    assert found == case["events"]
    assert found == events_of(name, case), "the same payload gives the same ids"
    ids = [event["event_id"] for event in found if "event_id" in event]
    assert len(set(ids)) == len(ids)
    assert not [person for person in PERSONS if person in json.dumps(found)]


def test_each_integration_has_a_fixture_that_becomes_an_event() -> None:
    for name in integrations():
        assert any("event_id" in event for path in cases(name) for event in json.loads(path.read_text())["events"]), (
            name
        )


@pytest.mark.parametrize(("name", "path"), [each for each in ALL if each[0] in SIGNERS])
def test_a_signature_over_the_raw_body_opens_the_door_and_nothing_else_does(name: str, path: Path) -> None:
    case = json.loads(path.read_text())
    body, options = body_of(case), Options(secrets=("another", SECRET))
    headers = case.get("headers", {}) | SIGNERS[name](body)
    taken = receive(integrations()[name], headers, body, options, NOW_S)
    assert isinstance(taken, list), taken

    def refused(headers: dict[str, str], body: bytes, secret: str = SECRET, now_s: float = NOW_S) -> bool:
        found = receive(integrations()[name], headers, body, Options(secrets=(secret,)), now_s)
        return isinstance(found, Unread) and found.status == 401

    assert refused(headers, body + b" ")
    assert refused(headers, body, secret="wrong")
    assert refused(case.get("headers", {}), body)
    for header in SIGNERS[name](body):
        assert refused({**headers, header: headers[header][:-2] + "é="}, body)
        assert refused({**headers, header: headers[header][:-2] + "\udcff="}, body), "bytes that are no UTF-8"
    if name in ("standard_webhooks", "formbricks"):
        assert refused(headers, body, now_s=NOW_S + 301)
        assert refused(headers, body, now_s=NOW_S - 301)


def test_a_list_of_segment_calls_is_signed_over_its_first_element() -> None:
    body = b'[{"type":"identify","messageId":"m1"},{"type":"track","messageId":"m2"}]'
    headers = {"X-Signature": mac(b'{"type":"identify","messageId":"m1"}', "sha1").hex()}
    assert isinstance(receive(integrations()["segment"], headers, body, Options(secrets=(SECRET,)), 0), list)
    assert isinstance(receive(integrations()["segment"], headers, b"[]", Options(secrets=(SECRET,)), 0), Unread)


@pytest.mark.parametrize(
    "named",
    [
        *("Payment Processed", "Order Success", "Prices Viewed", "Invoices Downloaded", "Operating Hours Viewed"),
        *("accessGranted", "narrating_started", "Csatalog Opened", "Surveyor Booked", "npsx"),
    ],
)
def test_a_touchpoint_of_segment_is_no_answer_because_of_some_letters_in_its_name(named: str) -> None:
    for number in ("score", "rating", "value"):
        (found,) = events_of("segment", {"payload": track(named, {number: 5})})
        assert "metric" not in found
        assert found["touchpoint"] == re.sub("[^a-z0-9]+", "_", named.lower())


@pytest.mark.parametrize(
    ("named", "properties", "metric"),
    [
        ("NPS Survey Answered", {"score": 5}, "nps"),
        ("npsAnswered", {"score": 5}, "nps"),
        ("CSATAnswered", {"score": 5}, "csat"),
        ("survey.ces-answered", {"rating": 5}, "ces"),
        ("Survey Answered", {"score": 5}, "nps"),
        ("Feedback Given", {"rating": 5}, "rating"),
        ("Feedback Given", {"value": 5, "metric": "csat"}, "csat"),
        ("Feedback Given", {"value": 5, "survey_type": "CES 2.0"}, "ces"),
        ("Survey Answered", {"value": 5, "survey_id": "s-1"}, "nps"),
        ("Survey Answered", {"value": 5, "metric": "success"}, None),
        ("Survey Shown", {"value": 5}, None),
        ("Survey Shown", {"score": True}, None),
    ],
)
def test_an_answer_of_segment_is_known_by_whole_words(named: str, properties: Any, metric: str | None) -> None:
    (found,) = events_of("segment", {"payload": track(named, properties)})
    assert found.get("metric") == metric
    assert found.get("score") == (5 if metric else None)


def track(named: str, properties: dict[str, Any]) -> dict[str, Any]:
    moment = "2026-11-03T20:26:10Z"
    return {"type": "track", "event": named, "messageId": "m-1", "timestamp": moment, "properties": properties}


def own_event(options: Options, **fields: Any) -> Any:
    """What becomes of one event of ours that a Standard Webhook carries."""
    event = {"event_id": "e-1", "occurred_at": "2026-11-03T20:26:10Z", "channel": "store", "touchpoint": "visit"}
    (found,) = integrations()["standard_webhooks"].mapped({"data": event | fields}, {}, options)
    return found


@pytest.mark.parametrize("more", [{}, {"metric": "csat", "score": 4}])
def test_what_we_do_not_know_in_an_event_of_ours_is_treated_as_the_gateway_treats_it(more: dict[str, Any]) -> None:
    kept = own_event(Options(), shelf=3, **more)
    assert kept.attributes == {"shelf": 3}
    refused = own_event(Options(unknown="refuse"), shelf=3, **more)
    assert (refused.reason, refused.path) == (Reason.UNKNOWN_FIELD, "$.shelf")
    nested = own_event(Options(), shelf={"row": 3}, **more)
    assert (nested.reason, nested.path) == (Reason.UNKNOWN_FIELD, "$.shelf")


def test_what_the_deployment_sets_is_set_whatever_a_payload_says() -> None:
    options = Options(fields={"brand": "acme", "touchpoint": "delivery"}, touchpoints={"visit": "store_visit"})
    assert own_event(options, brand="other").brand == "acme"
    assert own_event(Options(touchpoints={"visit": "store_visit"})).touchpoint == "store_visit"
    case = json.loads((FOLDER / "typeform" / "response.json").read_text())
    case["payload"]["form_response"]["hidden"] = {"touchpoint": "another"}
    found = events_of("typeform", case | {"options": {"fields": dict(options.fields)}})
    named = {(each["brand"], each["touchpoint"]) for each in found if "event_id" in each}
    assert named == {("acme", "delivery")}


def test_without_a_secret_the_key_in_the_address_is_all_there_is() -> None:
    name, path = next(each for each in ALL if each[0] == "typeform")
    case = json.loads(path.read_text())
    assert isinstance(receive(integrations()[name], {}, body_of(case), options_of(case), 0), list)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)


def _places(node: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    return [at, *(place for key, value in inner for place in _places(value, (*at, key)))]


def _altered(node: Any, place: tuple[Any, ...], value: Any) -> Any:
    if not place:
        return value
    changed = dict(node) if isinstance(node, dict) else list(node)
    changed[place[0]] = _altered(node[place[0]], place[1:], value)
    return changed


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_whatever_a_tool_sends_gives_events_or_rejections_and_never_an_exception(data: st.DataObject) -> None:
    name, path = data.draw(st.sampled_from(ALL))
    case = json.loads(path.read_text())
    place = data.draw(st.sampled_from(_places(case["payload"])))
    payload = _altered(case["payload"], place, data.draw(JSON))
    found = receive(integrations()[name], case.get("headers", {}), json.dumps(payload).encode(), options_of(case), 0)
    assert isinstance(found, list)
    assert not [each for each in found if isinstance(each, Rejection) and each.reason is Reason.STEP_FAILED]


def test_a_mapper_that_raises_rejects_and_does_not_make_its_tool_come_again() -> None:
    def broken(payload: Any, headers: Any, options: Any) -> list[Any]:
        raise KeyError("defect")

    found = receive(replace(integrations()["typeform"], mapped=broken), {}, b"{}", Options(), 0)
    assert isinstance(found, list)
    assert [(each.reason, each.detail) for each in found if isinstance(each, Rejection)] == [
        (Reason.STEP_FAILED, "KeyError")
    ]


def test_what_is_no_json_or_too_much_is_not_looked_at() -> None:
    segment = integrations()["segment"]
    for body, status in ((b"{", 400), (b"\xff", 400), (b"[" * 100_000, 400), (b"[" + b"1," * 2_000 + b"1]", 413)):
        found = receive(segment, {}, body, Options(), 0)
        assert isinstance(found, Unread)
        assert found.status == status
