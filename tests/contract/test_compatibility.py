"""Schemas that were published: additions pass, and each way to break somebody is found (C4)."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from pipeline.command.schema import app
from schemas import compatibility, generate
from schemas.compatibility import PUBLISHED, breaks, broken

Schema = dict[str, Any]


def published(record: str) -> Schema:
    found: Schema = json.loads((PUBLISHED / f"{record}.v1.schema.json").read_bytes())
    return found


def test_nothing_that_was_published_is_broken() -> None:
    assert broken() == [], "add fields with a default and leave the others; what must go gets a new version"


def test_every_record_has_been_published() -> None:
    present = {Path(path).name for path in generate.documents() if path.startswith("json/")}
    assert {file.name for file in PUBLISHED.glob("*.json")} == present


def change(record: str, alter: Callable[[Schema], Any], *, outgoing: bool = False) -> list[str]:
    old = published(record)
    new = copy.deepcopy(old)
    alter(new)
    return breaks(old, new, outgoing)


ADDITIONS: list[tuple[str, Callable[[Schema], Any], bool]] = [
    ("feedback", lambda s: s["properties"].update(mood={"type": "string", "default": ""}), False),
    ("feedback", lambda s: s["$defs"]["Channel"]["enum"].append("kiosk"), False),
    ("feedback", lambda s: s["properties"]["event_id"].update(maxLength=300), False),
    ("feedback", lambda s: s["required"].remove("channel"), False),
    ("feedback", lambda s: s["allOf"][0]["then"]["anyOf"].append({"properties": {}}), False),
    ("touchpoint", lambda s: s.update(description="Other words."), False),
    ("score", lambda s: s["properties"].update(more={"type": "integer", "default": 0}), True),
    ("rejected", lambda s: s["$defs"]["Reason"]["enum"].append("quite_new"), True),
]
BREAKS: list[tuple[str, Callable[[Schema], Any], bool, str]] = [
    ("feedback", lambda s: s["properties"].pop("text"), False, "$.text: gone"),
    ("feedback", lambda s: s["required"].append("touchpoint"), False, "$.touchpoint: required now"),
    ("feedback", lambda s: s["$defs"]["Channel"]["enum"].remove("store"), False, "store no longer known"),
    ("feedback", lambda s: s["properties"]["event_id"].update(maxLength=20), False, "maxLength 20, it was 200"),
    ("feedback", lambda s: s["properties"]["brand"].update(default="ours"), False, "the default is another one"),
    ("feedback", lambda s: s["properties"]["question_id"].update(type="integer"), False, "string is no longer taken"),
    ("feedback", lambda s: s["properties"]["text"]["anyOf"].pop(), False, "$.text: null is no longer taken"),
    ("feedback", lambda s: s["allOf"][1]["then"]["anyOf"].pop(), False, "1 of its scales gone"),
    ("feedback", lambda s: s["$defs"]["Reference"]["properties"].pop("order"), False, "$.ref.order: gone"),
    ("touchpoint", lambda s: s["properties"]["touchpoint"].update(pattern="^[a-z]+$"), False, "another pattern"),
    ("touchpoint", lambda s: s.update(additionalProperties=False), False, "further fields"),
    ("score", lambda s: s["properties"].pop("n"), True, "$.n: gone"),
    ("score", lambda s: s["required"].remove("n"), True, "$.n: was always there"),
    ("score", lambda s: s["properties"]["metric"].update(type=["string", "null"]), True, "may be null now"),
]


@pytest.mark.parametrize(("record", "alter", "outgoing"), ADDITIONS)
def test_an_addition_passes(record: str, alter: Callable[[Schema], Any], outgoing: bool) -> None:
    assert change(record, alter, outgoing=outgoing) == []


@pytest.mark.parametrize(("record", "alter", "outgoing", "said"), BREAKS)
def test_a_break_is_found_and_named(record: str, alter: Callable[[Schema], Any], outgoing: bool, said: str) -> None:
    (found,) = change(record, alter, outgoing=outgoing)
    assert said in found


def test_publishing_takes_additions_over_and_refuses_a_break(tmp_path: Path) -> None:
    assert compatibility.publish(tmp_path) == []
    file = tmp_path / "feedback.v1.schema.json"
    schema = json.loads(file.read_bytes())
    schema["properties"]["promised"] = {"type": "string"}
    file.write_text(json.dumps(schema))
    (wrong,) = compatibility.publish(tmp_path)
    assert "$.promised: gone" in wrong
    assert json.loads(file.read_bytes()) == schema
    file.rename(tmp_path / "wish.v1.schema.json")
    assert compatibility.broken(tmp_path) == ["wish.v1.schema.json: the record is gone"]


def test_the_command_compares_with_what_somebody_was_given(tmp_path: Path) -> None:
    runner = CliRunner()
    assert runner.invoke(app, ["export", str(tmp_path)]).exit_code == 0
    file = tmp_path / "json" / "touchpoint.v1.schema.json"
    schema = json.loads(file.read_bytes())
    schema["properties"]["promised"] = {"type": "string"}
    file.write_text(json.dumps(schema))
    result = runner.invoke(app, ["check", str(tmp_path), "--json"])
    assert result.exit_code == 3
    assert json.loads(result.stdout)["broken"] == [
        "touchpoint.v1.schema.json: $.promised: gone; a field that is no longer wanted stays, unread"
    ]
    assert compatibility.main(["--pubish"]) == 2
