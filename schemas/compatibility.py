"""Whether a schema still keeps what a published one promised [I/O]: additions pass, what breaks somebody does not.

`schemas/published/` holds the schemas as they were released. Of records that come in, whatever was valid must stay
valid and mean the same; of records that go out, whatever readers were promised must still come. The sentences name the
path. `python -m schemas.compatibility --publish` takes the present schemas over at a release, unless something breaks.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from schemas.generate import documents

PUBLISHED = Path(__file__).with_name("published")
#: Records that others read: there a field that vanishes breaks them, and a stricter one does not.
_OUTGOING = frozenset({"score", "alert", "rejected", "tick"})
#: Bounds of values, and whether a greater number takes more.
_BOUNDS = {"maxLength": True, "maxItems": True, "maxProperties": True, "maximum": True}
_BOUNDS |= {"minLength": False, "minItems": False, "minimum": False}

Schema = Mapping[str, Any]


def broken(folder: Path = PUBLISHED) -> list[str]:
    """What the present schemas break of those in `folder`, one sentence each; empty when nothing does."""
    found = []
    now = {path.removeprefix("json/"): json.loads(text) for path, text in documents().items() if path[:5] == "json/"}
    for file in sorted(folder.glob("*.schema.json")):
        if file.name not in now:
            found.append(f"{file.name}: the record is gone")
            continue
        name = file.name.partition(".")[0]
        found += [
            f"{file.name}: {line}" for line in breaks(json.loads(file.read_bytes()), now[file.name], name in _OUTGOING)
        ]
    return found


def breaks(old: Schema, new: Schema, outgoing: bool = False) -> list[str]:
    """What `new` breaks of `old`: two JSON Schemas of one record."""
    return _object("$", _resolved(old, old), _resolved(new, new), (old, new, outgoing))


def publish(folder: Path = PUBLISHED) -> list[str]:
    """Takes the present schemas over; what breaks is returned, and then nothing is written."""
    wrong = broken(folder)
    if not wrong:
        folder.mkdir(exist_ok=True)
        for path, text in documents().items():
            if path.startswith("json/"):
                (folder / path.removeprefix("json/")).write_bytes(text)
    return wrong


def main(arguments: list[str]) -> int:
    """`python -m schemas.compatibility [--publish]`: 0 nothing breaks, 2 wrong use, 3 something does."""
    if arguments not in ([], ["--publish"]):
        sys.stderr.write("usage: python -m schemas.compatibility [--publish]\n")
        return 2
    lines = publish() if arguments else broken()
    for line in lines:
        sys.stdout.write(f"{line}\n")
    return 3 if lines else 0


_Context = tuple[Schema, Schema, bool]


def _object(path: str, old: Schema, new: Schema, context: _Context) -> list[str]:
    found = []
    outgoing = context[2]
    before, after = old.get("properties", {}), new.get("properties", {})
    for name in before:
        if name not in after:
            found.append(f"{path}.{name}: gone; a field that is no longer wanted stays, unread")
            continue
        found += _value(f"{path}.{name}", before[name], after[name], context)
    required, needed = set(old.get("required", ())), set(new.get("required", ()))
    if outgoing:
        found += [f"{path}.{name}: was always there, now it may be missing" for name in sorted(required - needed)]
    else:
        found += [f"{path}.{name}: required now, and was not" for name in sorted(needed - required)]
    if old.get("additionalProperties", True) is True and new.get("additionalProperties", True) is False:
        found.append(f"{path}: further fields are no longer taken")
    return found + _rules(path, old, new)


def _rules(path: str, old: Schema, new: Schema) -> list[str]:
    """Scales by metric: each that was allowed must be."""
    after = {json.dumps(rule["if"], sort_keys=True): rule["then"] for rule in new.get("allOf", ())}
    found = []
    for rule in old.get("allOf", ()):
        metric = rule["if"]["properties"]["metric"]["const"]
        then = after.get(json.dumps(rule["if"], sort_keys=True))
        gone = [
            each for each in rule["then"].get("anyOf", ()) if then is not None and each not in then.get("anyOf", ())
        ]
        if gone:
            found.append(f"{path}: metric {metric}: {len(gone)} of its scales gone or changed")
    return found


def _value(path: str, old: Schema, new: Schema, context: _Context) -> list[str]:
    found = []
    if old.get("default", "none") != new.get("default", "none") and "default" in old:
        found.append(f"{path}: the default is another one: events that leave it out would mean something else")
    before, after = _kinds(old, context[0]), _kinds(new, context[1])
    for kind, one in before.items():
        if kind not in after:
            if not context[2]:
                found.append(f"{path}: {kind} is no longer taken")
            continue
        found += _same(path, one, after[kind], context)
    if context[2]:
        found += [
            f"{path}: may be {kind} now, which readers do not expect" for kind in sorted(set(after) - set(before))
        ]
    return found


def _same(path: str, old: Schema, new: Schema, context: _Context) -> list[str]:
    found = []
    words, known = old.get("enum"), new.get("enum")
    if not context[2]:
        if known is not None and (gone := sorted(set(words or ()) - set(known))):
            found.append(f"{path}: {', '.join(map(str, gone))} no longer known")
        if known is not None and words is None:
            found.append(f"{path}: a closed list of words now")
        for bound, more in _BOUNDS.items():
            was, is_ = old.get(bound), new.get(bound)
            if is_ is not None and (was is None or (is_ < was if more else is_ > was)):
                found.append(f"{path}: {bound} {is_}, it was {'none' if was is None else was}")
        if new.get("pattern") not in (None, old.get("pattern")):
            found.append(f"{path}: must fit another pattern")
    if old.get("properties"):
        found += _object(path, old, new, context)
    if isinstance(old.get("items"), Mapping) and isinstance(new.get("items"), Mapping):
        found += _value(f"{path}[]", old["items"], new["items"], context)
    return found


def _kinds(schema: Schema, root: Schema) -> dict[str, Schema]:
    """The kinds of values that a schema takes (string, integer, null, ...), each with what holds for it."""
    schema = _resolved(schema, root)
    if "anyOf" in schema:
        return {kind: one for part in schema["anyOf"] for kind, one in _kinds(part, root).items()}
    kind = schema.get("type", "string" if "enum" in schema else "anything")
    return dict.fromkeys(kind if isinstance(kind, list) else [kind], schema)


def _resolved(schema: Schema, root: Schema) -> Schema:
    """The schema that a `$ref` stands for; what stands beside it holds too."""
    reference = schema.get("$ref")
    if not isinstance(reference, str):
        return schema
    found: Any = root
    for part in reference.removeprefix("#/").split("/"):
        found = found[part]
    return {**found, **{name: value for name, value in schema.items() if name != "$ref"}}


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
