"""What is sent has the shape that each receiver publishes, at every turn of an incident's life."""

from __future__ import annotations

from typing import Any

import jsonschema
import orjson
import pytest

from pipeline.alerts.entries import Account, Notice
from pipeline.alerts.finding import Verdict
from pipeline.alerts.fingerprint import named
from pipeline.alerts.receivers import alertmanager, alertmanager_webhook, pagerduty, slack, stdout, teams, webhook
from pipeline.alerts.receivers.call import Call, meaning
from pipeline.alerts.routes import Receiver
from pipeline.alerts.trying import trial
from tests.unit.alerts.findings import Desk, estimate, finding, routes_of, share
from tests.unit.alerts.receivers import shapes

LINK = "https://touchline.example/alerts/{incident}"
KEY = "0123456789abcdef0123456789abcdef"
NASTY = "<script>alert(1)</script> *bold* [x](http://evil) & \u202egnihton\u200b"


def life() -> list[Notice]:
    """Everything that is said of an incident with two alerts: firing, updated, acknowledged, escalated, resolved."""
    desk = Desk(routes_of("r", others=("lead",), ladder=(("lead",),), group_interval_s=0))
    evidence: dict[str, Any] = {"contributions": [share("unit", "be-1", 0.6)], "verbatims": [NASTY] * 4}
    desk.turn(finding(1, **evidence))
    desk.turn(finding(2, scope={"brand": "acme", "touchpoint": NASTY}, severity="critical"), after_s=300)
    desk.ask("ack", desk.incident().id)
    desk.ask("unack", desk.incident().id)
    desk.turn(after_s=7_200)
    for scope in ({"brand": "acme", "touchpoint": "delivery"}, {"brand": "acme", "touchpoint": NASTY}):
        desk.turn(finding(40, Verdict.CALM, scope=scope, score=estimate(0.31)))
    desk.turn(finding(41, scope={}, score=estimate(0.1, n=9), size=None, owner="board", metric="rating"))
    found = [s.notice for s in desk.book.sendings.values()] + [trial("r", "default", desk.now_ms)]
    assert {n.state for n in found} == {"firing", "updated", "acknowledged", "escalated", "resolved", "test"}
    return found


NOTICES = life()


def valid(document: object, shape: dict[str, Any]) -> None:
    checker = jsonschema.Draft202012Validator(shape, format_checker=jsonschema.FormatChecker())
    checker.validate(document)


def bodies(calls: list[Call]) -> list[Any]:
    return [orjson.loads(call.body) for call in calls]


@pytest.mark.parametrize("notice", NOTICES, ids=lambda n: n.state)
def test_each_payload_has_its_published_shape(notice: Notice) -> None:
    def receiver(kind: str, **fields: str) -> Receiver:
        return Receiver("r", kind, {"url": "https://r.example", **fields})

    now = notice.at_ms
    for made, shape in (
        (alertmanager.calls(receiver("alertmanager"), notice.accounts, LINK, now), shapes.ALERTMANAGER),
        (alertmanager_webhook.calls(receiver("alertmanager-webhook"), notice, LINK), shapes.WEBHOOK_4),
        (pagerduty.calls(receiver("pagerduty", key=KEY), notice, LINK), shapes.PAGERDUTY),
        (slack.calls(receiver("slack"), notice, LINK), shapes.SLACK),
        (teams.calls(receiver("teams"), notice, LINK), shapes.TEAMS),
        (webhook.calls(receiver("webhook", key=KEY), notice, now), shapes.STANDARD_WEBHOOK),
    ):
        assert made
        for body in bodies(made):
            valid(body, shape)


def test_the_shapes_refuse_what_receivers_refuse() -> None:
    event = pagerduty.event(KEY, NOTICES[0], NOTICES[0].accounts[0], LINK)
    broken = [
        (event | {"routing_key": "short"}, shapes.PAGERDUTY),
        ({k: v for k, v in event.items() if k != "payload"}, shapes.PAGERDUTY),
        ([{"labels": {}}], shapes.ALERTMANAGER),
        ([{"labels": {"bad-name": "x"}}], shapes.ALERTMANAGER),
        ({"text": ""}, shapes.SLACK),
        ({"type": "message", "attachments": []}, shapes.TEAMS),
        ({"type": "a b", "timestamp": "x", "data": {}}, shapes.STANDARD_WEBHOOK),
        ({"version": "3"}, shapes.WEBHOOK_4),
    ]
    for document, shape in broken:
        with pytest.raises(jsonschema.ValidationError):
            valid(document, shape)


def test_pagerduty_has_one_key_for_the_whole_life_of_an_incident() -> None:
    told = [n for n in NOTICES if n.accounts[0].owner == "logistics"]
    events = [pagerduty.event(KEY, n, n.accounts[0], LINK) for n in told]
    assert len({event["dedup_key"] for event in events}) == 1
    actions = {n.state: event["event_action"] for n, event in zip(told, events, strict=True)}
    assert actions == {
        "firing": "trigger",
        "updated": "trigger",
        "acknowledged": "acknowledge",
        "escalated": "trigger",
        "resolved": "resolve",
    }


def test_alertmanager_is_told_until_when_an_alert_holds() -> None:
    receiver = Receiver("r", "alertmanager", {"url": "https://am.example/", "interval_s": 60})
    (call,) = alertmanager.calls(receiver, NOTICES[0].accounts, LINK, NOTICES[0].at_ms)
    assert call.url == "https://am.example/api/v2/alerts"
    (alert,) = orjson.loads(call.body)
    assert alert["endsAt"] == alertmanager.rfc3339(NOTICES[0].at_ms + 180_000)
    assert alert["labels"]["alertname"] == "nps-drop"
    assert not {"statistic", "score", "baseline"} & set(alert["labels"])


def test_a_signature_is_that_of_the_standard() -> None:
    """The example of the specification's own libraries."""
    made = webhook.signature(
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        1614265330,
        b'{"test": 2432232314}',
    )
    assert made == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_a_signature_changes_with_the_id_the_time_and_every_byte() -> None:
    good = webhook.signature("whsec_AAAA", "m", 1, b"{}")
    assert (
        len(
            {good, *(webhook.signature("whsec_AAAA", *x) for x in (("n", 1, b"{}"), ("m", 2, b"{}"), ("m", 1, b"{ }")))}
        )
        == 4
    )


def test_what_customers_wrote_means_nothing_to_a_receiver() -> None:
    told = next(n for n in NOTICES if n.state == "updated")
    text = slack.message(told, LINK)["blocks"][1]["text"]["text"]
    assert "<script>" not in text
    card = teams.message(told, LINK)["attachments"][0]["content"]["body"][1]["text"]
    assert "[x](" not in card
    assert "\u202e" not in text + card
    assert "\u200b" not in text + card


def test_standard_output_has_a_line_for_each_incident_and_no_line_feed_inside() -> None:
    (line,) = stdout.line(NOTICES[0]).splitlines()
    found = orjson.loads(line)
    assert (found["alert"], found["owner"]) == ("firing", "logistics")
    assert found["summary"] == "nps -18.0 points at brand acme, touchpoint delivery"


def test_no_call_shows_where_it_goes_or_its_headers() -> None:
    (call,) = webhook.calls(Receiver("r", "webhook", {"url": "https://r.example/swordfish", "key": KEY}), NOTICES[0], 1)
    assert "swordfish" not in repr(call)
    assert "v1," not in repr(call)


@pytest.mark.parametrize("text", ["", "soon", "-5", "Mon, 99 Mar 2026"])
def test_nonsense_in_retry_after_asks_for_nothing(text: str) -> None:
    assert meaning(429, text, 0).retry_after_s == 0.0


def test_alertmanagers_group_has_what_its_alerts_have_in_common() -> None:
    account: Account = next(n for n in NOTICES if n.state == "updated").accounts[0]
    body = alertmanager_webhook.document("r", NOTICES[0], account, LINK)
    assert len(body["alerts"]) == 2
    assert body["commonLabels"]["brand"] == "acme"
    assert "touchpoint" not in body["commonLabels"]
    assert body["alerts"][0]["fingerprint"] == named(account.parts[0].labels)
