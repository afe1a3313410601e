"""One answer, four ways in (C2): Kafka client, HTTP, webhook and file give the same event, byte for byte."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pipeline.access.keys import Grant, Right
from pipeline.arrival.rules import ArrivalRules
from pipeline.errors import UsageError
from pipeline.intake.admission import Judged, Rules, judge
from pipeline.intake.bodies import Items
from pipeline.intake.feeding import TableImport, Target
from pipeline.intake.integrations import integrations
from pipeline.intake.integrations.contract import Options
from pipeline.intake.integrations.receiving import receive
from pipeline.intake.lines import Judged as JudgedLine
from pipeline.intake.lines import judge as judge_lines
from pipeline.intake.mappings import Mapping
from pipeline.intake.producing import Producer
from pipeline.intake.sources import Layout
from pipeline.intake.verdicts import Tally
from pipeline.intake.webhooks import judged_of
from pipeline.settings import load_settings
from schemas.codec import decode_record
from schemas.explain import Rejection
from schemas.feedback import Feedback
from schemas.vocabulary import Reason

NOW_MS = 1_795_000_000_000
GRANT = Grant("k", "shop", frozenset({Right.WRITE}))
RULES = Rules(ArrivalRules())
TYPEFORM: dict[str, Any] = {
    "form_response": {
        "form_id": "f1",
        "token": "t1",
        "submitted_at": "2026-11-18T11:00:00Z",
        "hidden": {"user_id": "c-1", "touchpoint": "checkout"},
        "definition": {"fields": []},
        "answers": [
            {"type": "number", "number": 9, "field": {"id": "q", "type": "nps", "ref": "nps"}},
            {"type": "text", "text": "Quick, and friendly.", "field": {"id": "w", "type": "long_text", "ref": "why"}},
        ],
    }
}
OURS = {
    "event_id": "typeform:t1:nps",
    "occurred_at": "2026-11-18T11:00:00Z",
    "channel": "survey",
    "metric": "nps",
    "score": 9,
    "text": "Quick, and friendly.",
    "touchpoint": "checkout",
    "customer_id": "c-1",
    "submission_id": "t1",
    "question_id": "nps",
    "ref": {"survey": "f1"},
}


class Catcher:
    """Takes what an import would send."""

    def __init__(self) -> None:
        self.sent: list[tuple[bytes, bytes]] = []

    async def send_many(self, _: str, keys: list[bytes], values: list[bytes]) -> None:
        self.sent += zip(keys, values, strict=True)

    def flying(self) -> list[object]:
        """Nothing is on its way."""
        return []

    async def arrived(self, _: list[object]) -> None:
        """All has arrived."""


async def by_file(tmp_path: Path, ours: dict[str, Any]) -> tuple[bytes, bytes]:
    flat = {name: value for name, value in ours.items() if name != "ref"} | {"ref.survey": "f1"}
    file = tmp_path / "answers.csv"
    file.write_text(",".join(flat) + "\n" + ",".join(json.dumps(value) for value in flat.values()) + "\n")
    columns = {name: name for name in flat if name != "occurred_at"}
    table = TableImport(file, Layout(), Mapping(columns, time="occurred_at").plan(), tmp_path)
    catcher = Catcher()
    await table.run(Target(catcher, "history", None), Tally(), lambda *_: None)  # type: ignore[arg-type]
    ((key, value),) = catcher.sent
    return key, value


def by_line_http_and_webhook(ours: dict[str, Any]) -> tuple[JudgedLine, Judged, list[Any]]:
    """What becomes of the event in a line, of the same by HTTP, and of the same answer as Typeform tells it."""
    answers = TYPEFORM["form_response"]["answers"]
    said = [each | {"text": ours["text"]} if "text" in each else each for each in answers]
    typeform = {"form_response": TYPEFORM["form_response"] | {"answers": said}}
    bare = json.dumps(ours).encode()
    (line,) = judge_lines([bare], None, 1, None)
    (http,) = judge(Items([bare], [()]), GRANT, RULES, NOW_MS)
    found = receive(integrations()["typeform"], {}, json.dumps(typeform).encode(), Options(), 0)
    assert isinstance(found, list)
    return line, http, found


@pytest.mark.parametrize("text", ["Quick, and friendly.", "." * 9_990 + " 4111 1111 1111 1111" + " and so on" * 9_000])
async def test_the_same_answer_by_four_ways_is_the_same_event(tmp_path: Path, text: str) -> None:
    """A long text (T29) is cut at the same place, after it was masked."""
    ours = OURS | {"text": text}
    line, http, found = by_line_http_and_webhook(ours)
    (webhook,) = judged_of(found, GRANT, RULES, NOW_MS)
    key, value = await by_file(tmp_path, ours)
    ways = [(line.key, line.value), (http.key, http.value), (webhook.key, webhook.value), (key, value)]
    assert {way[0] for way in ways} == {b"c-1"}
    events = [decode_record(Feedback, way[1]) for way in ways]
    assert all(event == events[0] for event in events)
    assert isinstance(events[0], Feedback)
    assert events[0].truncated is (len(text) > 10_000)
    assert events[0].text == (text if len(text) < 10_000 else "." * 9_990 + " [card] an")
    assert events[0].occurred_at == datetime(2026, 11, 18, 11, tzinfo=UTC)
    assert http.value == webhook.value


async def test_with_its_whole_text_it_is_no_larger_than_an_event_may_be_whatever_way_it_comes(tmp_path: Path) -> None:
    ours = OURS | {"text": "x" * 256 * 1024}
    line, http, found = by_line_http_and_webhook(ours)
    (webhook,) = found
    assert isinstance(webhook, Rejection)
    assert {each and each.reason for each in (line.rejection, http.rejection, webhook)} == {Reason.TOO_LARGE}
    with pytest.raises(ValueError, match="not enough values"):
        await by_file(tmp_path, ours)
    event = msgspec.convert(ours, Feedback)
    with pytest.raises(UsageError, match="too_large"):
        await Producer(load_settings(insecure_keys=True)).send(event)


@pytest.mark.parametrize("field", ["score", "text", "customer_id"])
def test_another_answer_is_another_event(field: str) -> None:
    other = OURS | {field: 8 if field == "score" else "another"}
    (one,) = judge(Items([json.dumps(OURS).encode()], [()]), GRANT, RULES, NOW_MS)
    (two,) = judge(Items([json.dumps(other).encode()], [()]), GRANT, RULES, NOW_MS)
    assert one.value != two.value
