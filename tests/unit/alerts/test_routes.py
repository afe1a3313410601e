"""Routes are checked as a whole, in sentences, and never show a secret."""

from __future__ import annotations

import tomllib
from datetime import time
from zoneinfo import ZoneInfo

import pytest

from pipeline.alerts.routes import parse, standard
from pipeline.errors import SettingsError

GOOD = """
owner = "staff"
link = "https://touchline.example/alerts/{incident}"
allowed_hosts = ["Mail.internal"]

[receivers.chat]
type = "slack"
url = "https://hooks.example/T/B/swordfish"

[receivers.lead]
type = "email"
host = "mail.internal"
sender = "touchline@example.com"
to = ["lead@example.com"]

[routes.default]
receivers = ["chat"]

[routes.logistics]
receivers = ["chat"]
escalate = ["lead", ["chat", "lead"]]
escalate_after_s = {critical = 600}
group_by = ["owner", "metric", "scale", "unit"]
mute = [{days = ["sat", "sun"], from = "22:00", to = "06:00", zone = "Europe/Brussels"}]
digest = {severities = ["warning"], at = "08:30", zone = "Europe/Brussels"}
"""


def test_a_good_file_is_read_whole() -> None:
    routes = parse(tomllib.loads(GOOD))
    route = routes.route("logistics")
    assert (route.receivers, route.ladder) == (("chat",), (("lead",), ("chat", "lead")))
    assert (route.escalate_after_s["critical"], route.escalate_after_s["error"]) == (600, 7200)
    assert (route.group_wait_s, route.group_interval_s, route.repeat_s) == (30, 300, 14_400)
    assert route.mute[0].days == {5, 6}
    assert route.digest is not None
    assert (route.digest.at, route.digest.zone) == (time(8, 30), ZoneInfo("Europe/Brussels"))
    assert routes.allowed_hosts == {"mail.internal"}
    assert routes.route("unheard-of").name == "default"


def test_no_secret_is_shown() -> None:
    assert "swordfish" not in repr(parse(tomllib.loads(GOOD)))


def test_without_a_file_alerts_are_lines_on_standard_output() -> None:
    assert standard().route("x").receivers == ("stdout",)


def test_every_mistake_is_a_sentence_in_one_message() -> None:
    table = tomllib.loads(
        GOOD.replace('receivers = ["chat"]\nescalate', 'receivers = ["char"]\nescalate')
        .replace('type = "email"', 'type = "email"\ncolour = "red"')
        .replace('sender = "touchline@example.com"', "")
        .replace("[routes.default]", "[routes.Default]")
        .replace('"Europe/Brussels"}]', '"Europe/Ghent"}]')
        .replace('["sat", "sun"]', '["saturday"]')
        .replace('at = "08:30"', 'at = "half past"')
        .replace("critical = 600", "catastrophe = -1")
    )
    with pytest.raises(SettingsError) as found:
        parse(table | {"colour": "red"})
    text = str(found.value)
    for sentence in (
        "the file: unknown field 'colour'",
        "routes.logistics.receivers: there is no receiver 'char'",
        "receivers.lead: unknown field 'colour'",
        "receivers.lead: sender is missing",
        "routes.Default: a name has small letters",
        "there is no [routes.default]",
        "there is no time zone 'Europe/Ghent'",
        "there is no day 'saturday'",
        "at must be a time like 08:00",
        "routes.logistics.escalate_after_s: unknown field 'catastrophe'",
    ):
        assert sentence in text
    assert "swordfish" not in text


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"receivers": {"a": {"type": "pigeon"}}}, "receivers.a: type must be one of"),
        ({"receivers": {"a": {"type": "slack"}}}, "receivers.a: url is missing"),
        ({"receivers": {"a": {"type": "slack", "url": "ftp://x"}}}, "receivers.a: url must begin with https://"),
        ({"receivers": {"a": {"type": "webhook", "url": "https://x", "key": ""}}}, "receivers.a: key is empty"),
        ({"receivers": []}, "receivers: must be tables"),
        ({"routes": {"default": {"receivers": []}}}, "routes.default: receivers is empty"),
        ({"routes": {"default": {"receivers": ["chat"], "repeat_s": "1h"}}}, "repeat_s: must be a number of seconds"),
        ({"routes": {"default": {"receivers": ["chat"], "digest": {"at": "08:00"}}}}, "digest: severities is empty"),
        ({"allowed_hosts": "x"}, "allowed_hosts: must be a list"),
        ({"link": "x"}, "link: must begin with"),
    ],
)
def test_each_mistake(change: dict[str, object], sentence: str) -> None:
    with pytest.raises(SettingsError, match=sentence.replace("[", r"\[")):
        parse(tomllib.loads(GOOD) | change)
