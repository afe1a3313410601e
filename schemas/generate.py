"""What is generated from the records [I/O]: JSON Schemas (2020-12) and the AsyncAPI 3.0 document.

`python -m schemas.generate` writes them beside this file, `--check` says which ones drifted (exit 3); `documents` is
the pure part. The files are committed, so that producers can read them without running anything.
"""

from __future__ import annotations

import inspect
import sys
from pathlib import Path
from typing import Any

import msgspec

from schemas.feedback import SCALES, Feedback
from schemas.topics import TOPICS, Topic
from schemas.touchpoint import VERSION
from schemas.vocabulary import Metric

#: Where the generated files lie in this repository.
HERE = Path(__file__).parent

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_ABOUT = (
    "The topics of Touchline. Names take the deployment's prefix. Input values are bare JSON, CloudEvents 1.0 "
    "(structured or binary) or JSON in Confluent's framing, told apart without configuration."
)


def records() -> tuple[type[msgspec.Struct], ...]:
    """Every record of the topic table, once, in its order."""
    return tuple(dict.fromkeys(record for topic in TOPICS for record in topic.records))


def documents() -> dict[str, bytes]:
    """The content of every generated file by its path relative to this folder."""
    found = {f"json/{name_of(record)}.v{VERSION}.schema.json": _dump(json_schema(record)) for record in records()}
    found["asyncapi.json"] = _dump(asyncapi())
    return found


def name_of(record: type[msgspec.Struct]) -> str:
    """The word of a record in file names and CloudEvents types: `Feedback` is `feedback`."""
    return record.__name__.lower()


def json_schema(record: type[msgspec.Struct]) -> dict[str, Any]:
    """The JSON Schema 2020-12 of one record, with the rules of the scales where it is feedback."""
    components = _components((record,), "#/$defs/{name}")
    own = components.pop(record.__name__)
    head = {"$schema": _DIALECT, "$id": f"urn:touchline:schema:{name_of(record)}:v{VERSION}"}
    return head | own | _rules(record) | ({"$defs": components} if components else {})


def asyncapi() -> dict[str, Any]:
    """The AsyncAPI 3.0 document: a channel for each topic, an operation for each topic as the application sees it."""
    schemas = _components(records(), "#/components/schemas/{name}")
    for record in records():
        schemas[record.__name__] |= _rules(record)
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Touchline",
            "version": f"{VERSION}.0.0",
            "description": _ABOUT,
            "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
        },
        "defaultContentType": "application/json",
        "channels": {topic.name: _channel(topic) for topic in TOPICS},
        "operations": {f"{_action(topic)}_{topic.name}": _operation(topic) for topic in TOPICS},
        "components": {"messages": {name_of(record): _message(record) for record in records()}, "schemas": schemas},
    }


def drift(folder: Path = HERE) -> list[str]:
    """What differs between the records and the files in `folder`, one line each; empty when nothing does."""
    wanted = documents()
    lines = []
    for path, content in wanted.items():
        file = folder / path
        if not file.exists():
            lines.append(f"{path}: missing")
        elif file.read_bytes() != content:
            lines.append(f"{path}: differs from the records")
    kept = {f"json/{file.name}" for file in (folder / "json").glob("*.json")}
    return lines + [f"{path}: belongs to no record" for path in sorted(kept - set(wanted))]


def write(folder: Path = HERE) -> list[Path]:
    """Write all generated files under `folder` and give their paths."""
    written = []
    for path, content in documents().items():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        written.append(file)
    return written


def main(arguments: list[str]) -> int:
    """`python -m schemas.generate [--check]`: 0 done or no drift, 2 wrong use, 3 drift."""
    if arguments not in ([], ["--check"]):
        sys.stderr.write("usage: python -m schemas.generate [--check]\n")
        return 2
    if not arguments:
        for file in write():
            sys.stdout.write(f"{file.relative_to(HERE.parent)}\n")
        return 0
    lines = drift()
    for line in lines:
        sys.stdout.write(f"schemas/{line}\n")
    if lines:
        sys.stderr.write("generated files drifted from the records; run: python -m schemas.generate\n")
    return 3 if lines else 0


def _components(types: tuple[type[msgspec.Struct], ...], reference: str) -> dict[str, dict[str, Any]]:
    """The schema of each type and of what it holds, by name."""
    components: dict[str, dict[str, Any]] = msgspec.json.schema_components(types, ref_template=reference)[1]
    for schema in components.values():
        if "description" in schema:  # Python 3.13 strips the indentation of docstrings, older ones do not
            schema["description"] = inspect.cleandoc(schema["description"])
    return components


def _dump(document: dict[str, Any]) -> bytes:
    return msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n"


def _rules(record: type[msgspec.Struct]) -> dict[str, Any]:
    """What codec.check asks of an answer, in the words of JSON Schema."""
    return {"allOf": [_rule(metric) for metric in SCALES]} if record is Feedback else {}


def _rule(metric: Metric) -> dict[str, Any]:
    absent: dict[str, Any] = {"scale_min": {"type": "null"}, "scale_max": {"type": "null"}}
    scales = SCALES[metric]
    then: dict[str, Any]
    if scales:
        options: list[dict[str, Any]] = [{"properties": absent | {"score": _span(*scales[0])}}]
        for low, high in scales:
            bounds = {"scale_min": {"const": low}, "scale_max": {"const": high}, "score": _span(low, high)}
            options.append({"required": ["scale_min", "scale_max"], "properties": bounds})
        then = {"required": ["score"], "anyOf": options}
    else:
        text = {"type": "string", "minLength": 1}
        then = {"required": ["text"], "properties": absent | {"score": {"type": "null"}, "text": text}}
    return {"if": {"required": ["metric"], "properties": {"metric": {"const": metric.value}}}, "then": then}


def _span(low: int, high: int) -> dict[str, Any]:
    return {"type": "integer", "minimum": low, "maximum": high}


def _action(topic: Topic) -> str:
    """What the application does with a topic: it receives what others produce and sends what it produces itself."""
    return "send" if topic.producer == "worker" else "receive"


def _channel(topic: Topic) -> dict[str, Any]:
    configuration: dict[str, Any] = {"cleanup.policy": ["compact" if topic.compacted else "delete"]}
    if topic.retention_ms is not None:
        configuration["retention.ms"] = topic.retention_ms
    kafka: dict[str, Any] = {"topic": topic.name, "topicConfiguration": configuration, "bindingVersion": "0.5.0"}
    if topic.partitions is not None:
        kafka["partitions"] = topic.partitions
    return {
        "address": topic.name,
        "title": topic.name,
        "description": f"{topic.about}. From: {topic.producer}. For: {topic.consumer}. Key: {topic.key}.",
        "messages": {name_of(record): {"$ref": f"#/components/messages/{name_of(record)}"} for record in topic.records},
        "bindings": {"kafka": kafka},
    }


def _operation(topic: Topic) -> dict[str, Any]:
    return {
        "action": _action(topic),
        "channel": {"$ref": f"#/channels/{topic.name}"},
        "summary": topic.about,
        "messages": [{"$ref": f"#/channels/{topic.name}/messages/{name_of(record)}"} for record in topic.records],
    }


def _message(record: type[msgspec.Struct]) -> dict[str, Any]:
    return {
        "name": f"touchline.{name_of(record)}.v{VERSION}",
        "title": record.__name__,
        "contentType": "application/json",
        "payload": {"$ref": f"#/components/schemas/{record.__name__}"},
        "bindings": {"kafka": {"key": {"type": "string"}, "bindingVersion": "0.5.0"}},
    }


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
