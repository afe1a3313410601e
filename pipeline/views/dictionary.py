"""docs/dictionary.md, the data dictionary [I/O]: made from deploy/migrations and from what dictionary.toml says.

`python -m pipeline.views.dictionary` writes it.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

from pipeline.ledger.migrate import load

#: The generated page.
PAGE = Path(__file__).parents[2] / "docs" / "dictionary.md"
_MEANINGS = Path(__file__).with_name("dictionary.toml")
#: Columns of histograms and of what a superseding row carries: each a family with one meaning.
_FAMILIES = (
    (re.compile(r"b(\d+)"), "answers in bin {}"),
    (re.compile(r"old_(\w+)"), "the same of the answer that this one replaces: {}"),
)


def tables() -> dict[str, list[tuple[str, str]]]:
    """Tables in the order of the migrations: columns with their types."""
    found: dict[str, list[tuple[str, str]]] = {}
    for migration in load():
        text = "\n".join(line for line in migration.text.splitlines() if not line.startswith("--"))
        for name, body in re.findall(
            r"CREATE TABLE IF NOT EXISTS (\w+) \$\{ON_CLUSTER\}\n\((.*?)\n\)\nENGINE", text, re.S
        ):
            found[name] = _columns(body)
        for name in re.findall(r"DROP TABLE IF EXISTS (\w+)", text):
            found.pop(name, None)
        for name, column, kind in re.findall(r"ALTER TABLE (\w+) .*?ADD COLUMN IF NOT EXISTS (\w+) ([^\s;]+)", text):
            found[name].append((column, kind))
    return found


def _columns(body: str) -> list[tuple[str, str]]:
    """Name and type of the columns between the brackets of a CREATE TABLE."""
    bare = re.sub(r"DEFAULT\s+\w+\((?:[^()]|\((?:[^()]|\([^()]*\))*\))*\)", "", body)
    parts = re.split(r",(?![^(]*\))", bare)
    return [(words[0], " ".join(words[1:]).partition(" DEFAULT")[0]) for part in parts if (words := part.split())]


def meanings() -> dict[str, Any]:
    """The file of meanings."""
    return tomllib.loads(_MEANINGS.read_text())


def meaning(name: str, known: dict[str, Any]) -> str:
    """What a column of a table means; raises KeyError for one that nobody has described."""
    if name in known["columns"]:
        return str(known["columns"][name])
    for pattern, text in _FAMILIES:
        if found := pattern.fullmatch(name):
            return str(text.format(found[1]))
    raise KeyError(f"{name} is not described in {_MEANINGS.name}")


def page() -> str:
    """The page as text."""
    known = meanings()
    lines = [
        "# Data dictionary",
        "",
        "Made from `deploy/migrations` and `pipeline/views/dictionary.toml` by `python -m pipeline.views.dictionary`.",
        "Views are what saved queries may build on: columns are only ever added to them, names and types stay. Tables",
        "may change; read them with `FINAL`. How to ask: [SQL](sql.md).",
    ]
    for name, view in known["views"].items():
        lines += ["", f"## `{name}` (view)", "", view["about"]]
        if asked := view.get("parameters"):
            lines += ["", "| parameter | meaning |", "|---|---|"]
            lines += [f"| `{parameter}` | {text} |" for parameter, text in asked.items()]
        lines += ["", "| column | type | meaning |", "|---|---|---|"]
        own = known["view_columns"] | view.get("meanings", {})
        lines += [f"| `{c}` | {kind} | {own.get(c) or meaning(c, known)} |" for c, kind in view["columns"].items()]
    for name, columns in tables().items():
        lines += ["", f"## `{name}`", "", known["tables"][name], "", "| column | type | meaning |", "|---|---|---|"]
        lines += [f"| `{column}` | {kind} | {meaning(column, known)} |" for column, kind in columns]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page())
