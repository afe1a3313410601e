"""The contract with producers and readers: examples, generated schemas and codec say the same.

`schemas/examples/<record>/good-*.json` are accepted, `bad-*.json` are rejected exactly as the `.expect.json` beside
them says; `schemas/examples/envelope/` does the same for whole Kafka records (topic, headers, value).
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest
from typer.testing import CliRunner

from pipeline.command.schema import app
from schemas import generate
from schemas.codec import Rejection, check, decode, decode_record
from schemas.feedback import SCALES, Feedback
from schemas.topics import TOPICS
from schemas.vocabulary import Metric, Reason, Source

EXAMPLES = generate.HERE / "examples"
RECORDS = {generate.name_of(record): record for record in generate.records()}
#: Reasons that a JSON Schema cannot give: they concern bytes, formats, or all levels together.
BEYOND_SCHEMA = {"not_json", "too_deep", "too_many_keys", "bad_time"}


def examples(kind: str) -> list[str]:
    """Names of all examples of records, as folder/name."""
    files = (file for name in RECORDS for file in (EXAMPLES / name).glob(f"{kind}-*.json"))
    return sorted(f"{file.parent.name}/{file.stem}" for file in files if not file.stem.endswith(".expect"))


def envelopes(kind: str) -> list[str]:
    return sorted(f.stem for f in (EXAMPLES / "envelope").glob(f"{kind}-*.json") if not f.stem.endswith(".expect"))


def content(name: str) -> bytes:
    return (EXAMPLES / f"{name}.json").read_bytes()


def expected(name: str) -> dict[str, str]:
    found: dict[str, str] = json.loads(content(f"{name}.expect"))
    return found


def validator(record: str) -> Any:
    schema = json.loads((generate.HERE / "json" / f"{record}.v1.schema.json").read_bytes())
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def outcome_of(name: str) -> Any:
    """What the code makes of an example: the record, or the rejection, the scales' rules included."""
    outcome: Any = decode_record(RECORDS[name.split("/")[0]], content(name))
    return check(outcome) or outcome if isinstance(outcome, Feedback) else outcome


def short(rejection: Rejection) -> dict[str, str]:
    return {"stage": rejection.stage.value, "reason": rejection.reason.value, "path": rejection.path}


@pytest.mark.parametrize("name", examples("good"))
def test_a_good_example_is_accepted_by_the_schema_and_by_the_code(name: str) -> None:
    validator(name.split("/")[0]).validate(json.loads(content(name)))
    assert isinstance(outcome_of(name), RECORDS[name.split("/")[0]])


@pytest.mark.parametrize("name", examples("bad"))
def test_a_bad_example_is_rejected_exactly_as_written_beside_it(name: str) -> None:
    outcome = outcome_of(name)
    assert isinstance(outcome, Rejection), outcome
    assert short(outcome) == expected(name)


@pytest.mark.parametrize("name", [n for n in examples("bad") if expected(n)["reason"] not in BEYOND_SCHEMA])
def test_a_bad_example_is_rejected_by_the_schema_as_well(name: str) -> None:
    assert not validator(name.split("/")[0]).is_valid(json.loads(content(name)))


@pytest.mark.parametrize("name", examples("good"))
def test_a_good_example_comes_through_its_topic(name: str) -> None:
    record = RECORDS[name.split("/")[0]]
    for topic in TOPICS:
        if record in topic.records and topic.name in ("touchpoints", "feedback", "history"):
            found = decode(topic.name, [content(name)], [()])
            assert not found.rejections
            assert isinstance(found.events[0], record)


def kafka_record(name: str) -> tuple[str, bytes, tuple[tuple[str, bytes], ...]]:
    document = json.loads(content(f"envelope/{name}"))
    headers = tuple((key, text.encode()) for key, text in document["headers"].items())
    return document["topic"], json.dumps(document["value"]).encode(), headers


@pytest.mark.parametrize("name", envelopes("good"))
def test_a_good_envelope_gives_the_event_it_means(name: str) -> None:
    topic, value, headers = kafka_record(name)
    found = decode(topic, [value], [headers])
    assert not found.rejections
    meant = expected(f"envelope/{name}")
    event: Any = found.events[0]
    assert (event.event_id, event.customer_id) == (meant["event_id"], meant["customer_id"])
    assert event.occurred_at == datetime.fromisoformat(meant["occurred_at"])


@pytest.mark.parametrize("name", envelopes("bad"))
def test_a_bad_envelope_is_rejected_exactly_as_written_beside_it(name: str) -> None:
    topic, value, headers = kafka_record(name)
    assert short(decode(topic, [value], [headers]).rejections[0]) == expected(f"envelope/{name}")


@pytest.mark.parametrize("record", RECORDS)
def test_every_record_of_the_topic_table_has_good_and_bad_examples(record: str) -> None:
    assert [name for name in examples("good") if name.startswith(f"{record}/")]
    assert [name for name in examples("bad") if name.startswith(f"{record}/")]


def test_every_file_among_the_examples_is_used() -> None:
    used = {f"{name}.json" for kind in ("good", "bad") for name in examples(kind)}
    used |= {f"envelope/{name}.json" for kind in ("good", "bad") for name in envelopes(kind)}
    used |= {f"{name}.expect.json" for name in examples("bad")}
    used |= {f"envelope/{name}.expect.json" for kind in ("good", "bad") for name in envelopes(kind)}
    assert {str(file.relative_to(EXAMPLES)) for file in EXAMPLES.rglob("*") if file.is_file()} == used


def feedback_examples() -> Iterator[Feedback]:
    for name in examples("good"):
        outcome = outcome_of(name)
        if isinstance(outcome, Feedback):
            yield outcome


def test_every_kind_of_source_and_metric_has_a_golden_example() -> None:
    found = list(feedback_examples())
    assert {feedback.source for feedback in found} == set(Source)
    assert {feedback.metric for feedback in found} == set(Metric)


@pytest.mark.parametrize("metric", Metric)
def test_schema_and_check_agree_on_every_answer_of_every_scale(metric: Metric) -> None:
    base = json.loads(content("feedback/good-nps")) | {"metric": metric.value, "text": "fine"}
    judge = validator("feedback")
    bounds: list[tuple[int | None, int | None]] = [(None, None), (None, 10), (2, 9)]
    bounds += sorted({scale for scales in SCALES.values() for scale in scales})
    for low, high in bounds:
        for score in (None, *range(-1, 12)):
            document = base | {"score": score, "scale_min": low, "scale_max": high}
            feedback = decode_record(Feedback, json.dumps(document).encode())
            assert isinstance(feedback, Feedback)
            assert judge.is_valid(document) == (check(feedback) is None), document


# generated files


def test_the_generated_files_match_the_records() -> None:
    assert generate.drift() == []


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The generated files in a folder of their own."""
    generate.write(tmp_path)
    assert generate.drift(tmp_path) == []
    return tmp_path


def test_an_altered_file_is_drift(copy: Path) -> None:
    file = copy / "json" / "feedback.v1.schema.json"
    file.write_text(file.read_text().replace('"maximum": 10', '"maximum": 11', 1))
    assert generate.drift(copy) == ["json/feedback.v1.schema.json: differs from the records"]


def test_a_missing_and_a_left_over_file_are_drift(copy: Path) -> None:
    (copy / "asyncapi.json").unlink()
    shutil.copy(copy / "json" / "tick.v1.schema.json", copy / "json" / "tock.v1.schema.json")
    assert generate.drift(copy) == ["asyncapi.json: missing", "json/tock.v1.schema.json: belongs to no record"]


def test_the_command_says_drift_with_its_exit_code_and_the_fix(copy: Path) -> None:
    runner = CliRunner()
    assert runner.invoke(app, ["check", str(copy)]).exit_code == 0
    (copy / "asyncapi.json").write_text("{}")
    result = runner.invoke(app, ["check", str(copy)])
    assert result.exit_code == 3
    assert "asyncapi.json: differs" in result.stdout
    assert "touchline schema export" in result.stderr
    assert runner.invoke(app, ["export", str(copy)]).exit_code == 0
    assert json.loads(runner.invoke(app, ["check", str(copy), "--json"]).stdout)["drift"] == []


def test_the_module_takes_only_its_one_option() -> None:
    assert generate.main(["--chekc"]) == 2
    assert generate.main(["--check"]) == 0


# AsyncAPI: the structure that version 3.0.0 requires, in so far as our document uses it

_REFERENCE = {"type": "object", "required": ["$ref"], "properties": {"$ref": {"type": "string", "pattern": "^#/"}}}
ASYNCAPI_3 = {
    "type": "object",
    "required": ["asyncapi", "info"],
    "additionalProperties": False,
    "properties": {
        "asyncapi": {"const": "3.0.0"},
        "info": {"type": "object", "required": ["title", "version"]},
        "defaultContentType": {"type": "string"},
        "channels": {
            "type": "object",
            "patternProperties": {
                "^[A-Za-z0-9_.-]+$": {
                    "type": "object",
                    "additionalProperties": False,
                    "properties": {
                        "address": {"type": ["string", "null"]},
                        "title": {"type": "string"},
                        "description": {"type": "string"},
                        "messages": {"type": "object", "additionalProperties": _REFERENCE},
                        "bindings": {
                            "type": "object",
                            "properties": {
                                "kafka": {
                                    "type": "object",
                                    "additionalProperties": False,
                                    "properties": {
                                        "topic": {"type": "string"},
                                        "partitions": {"type": "integer", "minimum": 1},
                                        "replicas": {"type": "integer", "minimum": 1},
                                        "topicConfiguration": {"type": "object"},
                                        "bindingVersion": {"const": "0.5.0"},
                                    },
                                }
                            },
                        },
                    },
                }
            },
            "additionalProperties": False,
        },
        "operations": {
            "type": "object",
            "additionalProperties": {
                "type": "object",
                "required": ["action", "channel"],
                "additionalProperties": False,
                "properties": {
                    "action": {"enum": ["send", "receive"]},
                    "channel": _REFERENCE,
                    "summary": {"type": "string"},
                    "messages": {"type": "array", "items": _REFERENCE},
                },
            },
        },
        "components": {
            "type": "object",
            "additionalProperties": False,
            "properties": {
                "messages": {
                    "type": "object",
                    "additionalProperties": {
                        "type": "object",
                        "required": ["payload"],
                        "additionalProperties": False,
                        "properties": {
                            "name": {"type": "string"},
                            "title": {"type": "string"},
                            "contentType": {"type": "string"},
                            "payload": _REFERENCE,
                            "bindings": {"type": "object"},
                        },
                    },
                },
                "schemas": {
                    "type": "object",
                    "additionalProperties": {"$ref": "http://json-schema.org/draft-07/schema#"},
                },
            },
        },
    },
}


def references(node: Any) -> Iterator[str]:
    """Every $ref of a document."""
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for child in node.values():
            yield from references(child)
    elif isinstance(node, list):
        for child in node:
            yield from references(child)


def resolve(document: Any, reference: str) -> Any:
    node = document
    for part in reference.removeprefix("#/").split("/"):
        node = node[part]
    return node


def test_the_asyncapi_document_is_structurally_valid() -> None:
    document = json.loads((generate.HERE / "asyncapi.json").read_bytes())
    jsonschema.Draft7Validator(ASYNCAPI_3).validate(document)
    assert set(references(document))
    for reference in references(document):
        assert resolve(document, reference), reference


def test_the_asyncapi_check_notices_a_broken_document() -> None:
    document = generate.asyncapi()
    document["operations"]["receive_feedback"]["action"] = "subscribe"
    assert not jsonschema.Draft7Validator(ASYNCAPI_3).is_valid(document)
    with pytest.raises(KeyError):
        resolve(document, "#/components/messages/nothing")


def test_the_asyncapi_document_names_every_topic_with_its_records() -> None:
    document = generate.asyncapi()
    for topic in TOPICS:
        messages = document["channels"][topic.name]["messages"]
        assert list(messages) == [generate.name_of(record) for record in topic.records]
        action = "send" if topic.producer == "worker" else "receive"
        assert document["operations"][f"{action}_{topic.name}"]["channel"] == {"$ref": f"#/channels/{topic.name}"}


def test_the_schemas_of_asyncapi_accept_the_examples() -> None:
    document = msgspec.json.decode((generate.HERE / "asyncapi.json").read_bytes())
    for name in examples("good"):
        title = RECORDS[name.split("/")[0]].__name__
        schema = {"$ref": f"#/components/schemas/{title}", "components": document["components"]}
        jsonschema.Draft7Validator(schema).validate(json.loads(content(name)))


def test_every_reason_of_decoding_and_validating_has_an_example() -> None:
    shown = {expected(name)["reason"] for name in examples("bad")}
    shown |= {expected(f"envelope/{name}")["reason"] for name in envelopes("bad")}
    order = list(Reason)
    here = order[: order.index(Reason.WRONG_KEY_FORM)]
    # These three are bytes or sizes that no readable file can hold; tests/unit/schemas shows them.
    assert {reason.value for reason in here} - shown == {"not_utf8", "empty", "too_large"}
