"""Our scripts as one file, our styles as another: a browser asks once for each, and what repeats itself packs into two
thirds. Pure.

Each script stays a module of its own: it becomes a function, its imports are read from what the others gave. Files are
written with one form of import and export each, vendored ones with one list of exports at their end; anything else is a
mistake and raises ValueError.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from graphlib import TopologicalSorter
from typing import Final

_IMPORT: Final = re.compile(r"^import \{ ([\w, ]+) \} from '\./([\w./-]+)';$", re.M)
_EXPORT: Final = re.compile(r"^export (?=(?:async )?(?:const|function|class) (\w+))", re.M)
#: How a packed module ends: the names inside and outside.
_LIST: Final = re.compile(r"export\{([\w $,]+)\};?\s*\Z")
#: Indents and lines that hold nothing but a comment.
_AIR: Final = re.compile(r"^(?:[ ]+|[ ]*//.*\n)", re.M)
#: Of a style sheet what means nothing: comments, and space around signs. Texts stand between quotation marks and stay.
_STYLE: Final = re.compile(r"""("[^"]*")|/\*.*?\*/|\s*([{};,])\s*|(?<=[\w-]:)\s+""", re.S)


def bundled(modules: Mapping[str, str], first: Iterable[str] = ()) -> str:
    """One script of `modules` (name -> text), in the order in which they need each other, after the scripts of `first`,
    which are no modules and speak for themselves."""
    imports = {name: _IMPORT.findall(text) for name, text in modules.items()}
    gives = {name: _gives(text) for name, text in modules.items()}
    parts = []
    for name in TopologicalSorter(
        {name: [other for _, other in found] for name, found in imports.items()}
    ).static_order():
        if name not in modules:
            raise ValueError(f"there is no script {name}")
        heads = []
        for words, other in imports[name]:
            wanted = [word.strip() for word in words.split(",")]
            missing = set(wanted) - set(gives[other])
            if missing:
                raise ValueError(f"{name} imports {', '.join(sorted(missing))}, which {other} does not export")
            heads.append(f"const {{ {', '.join(wanted)} }} = of['{other}'];")
        body = _LIST.sub("", _EXPORT.sub("", _IMPORT.sub("", modules[name])))
        if re.search(r"^(import|export)\b", body, re.M):
            raise ValueError(f"{name} has an import or export of another form")
        given = ", ".join(
            f"{outside}: {inside}" if outside != inside else inside for outside, inside in gives[name].items()
        )
        text = _AIR.sub("", body).strip()
        parts.append(f"of['{name}'] = (() => {{\n{''.join(heads)}\n{text}\nreturn {{ {given} }};\n}})();")
    return "\n".join([*first, "const of = {};", *parts]) + "\n"


def _gives(text: str) -> dict[str, str]:
    """What a module exports: the name outside -> the name inside."""
    found = {name: name for name in _EXPORT.findall(text)}
    if listed := _LIST.search(text):
        for pair in listed[1].split(","):
            inside, _, outside = pair.strip().partition(" as ")
            found[outside or inside] = inside
    return found


def styled(sheets: Iterable[str]) -> str:
    """One style sheet of several, in their order."""
    return "".join(_STYLE.sub(lambda found: found[1] or found[2] or "", sheet).strip() for sheet in sheets) + "\n"
