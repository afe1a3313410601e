"""Our scripts as one file: a browser asks once, and what repeats itself packs into two thirds. Pure.

Each file stays a module of its own: it becomes a function, its imports are read from what the others gave. Files are
written with one form of import and export each; anything else is a mistake and raises ValueError.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from graphlib import TopologicalSorter
from typing import Final

_IMPORT: Final = re.compile(r"^import \{ ([\w, ]+) \} from '\./([\w./-]+)';$", re.M)
_EXPORT: Final = re.compile(r"^export (?=(?:async )?(?:const|function|class) (\w+))", re.M)
#: Indents and lines that hold nothing but a comment.
_AIR: Final = re.compile(r"^(?:[ ]+|[ ]*//.*\n)", re.M)


def bundled(modules: Mapping[str, str], kept: str = "vendor/") -> str:
    """One script of `modules` (name -> text), in the order in which they need each other. What is imported from names
    that begin with `kept` stays an import."""
    imports = {name: _IMPORT.findall(text) for name, text in modules.items()}
    needs = {name: [other for _, other in found if not other.startswith(kept)] for name, found in imports.items()}
    gives = {name: _EXPORT.findall(text) for name, text in modules.items()}
    outside: dict[str, set[str]] = {}
    parts = []
    for name in TopologicalSorter(needs).static_order():
        if name not in modules:
            raise ValueError(f"there is no script {name}")
        heads = []
        for words, other in imports[name]:
            wanted = [word.strip() for word in words.split(",")]
            if other.startswith(kept):
                outside.setdefault(other, set()).update(wanted)
                continue
            missing = set(wanted) - set(gives[other])
            if missing:
                raise ValueError(f"{name} imports {', '.join(sorted(missing))}, which {other} does not export")
            heads.append(f"const {{ {', '.join(wanted)} }} = of['{other}'];")
        body = _EXPORT.sub("", _IMPORT.sub("", modules[name]))
        if re.search(r"^(import|export)\b", body, re.M):
            raise ValueError(f"{name} has an import or export of another form")
        given = ", ".join(gives[name])
        text = _AIR.sub("", body).strip()
        parts.append(f"of['{name}'] = (() => {{\n{''.join(heads)}\n{text}\nreturn {{ {given} }};\n}})();")
    tops = [f"import {{ {', '.join(sorted(words))} }} from './{name}';" for name, words in sorted(outside.items())]
    return "\n".join([*tops, "const of = {};", *parts]) + "\n"
