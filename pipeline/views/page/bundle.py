"""Our scripts as one file, our styles as another: a browser asks once for each, and what repeats itself packs into two
thirds. Pure.

Scripts stand one after the other in the order in which they need each other and share one room: names at their top
level must differ. They are written with one form of import and export each, vendored ones with one list of exports at
their end; anything else is a mistake and raises ValueError.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from graphlib import TopologicalSorter
from typing import Final

_IMPORT: Final = re.compile(r"^import \{ ([\w, ]+) \} from '\./([\w./-]+)';$", re.M)
_EXPORT: Final = re.compile(r"^export (?=(?:async )?(?:const|function|class) (\w+))", re.M)
_NAMED: Final = re.compile(r"^(?:export )?(?:async )?(?:const|let|function|class) (\w+|[{[][^=]*[}\]])", re.M)
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
    needs = {name: [other for _, other in found] for name, found in imports.items()}
    wanted: dict[str, set[str]] = {}
    for name, found in imports.items():
        for words, other in found:
            asked = {word.strip() for word in words.split(",")}
            wanted.setdefault(other, set()).update(asked)
            if other not in modules:
                raise ValueError(f"there is no script {other}")
            if missing := asked - set(gives[other]):
                raise ValueError(f"{name} imports {', '.join(sorted(missing))}, which {other} does not export")
    _differ(modules)
    parts = []
    for name in TopologicalSorter(needs).static_order():
        body = _LIST.sub("", _EXPORT.sub("", _IMPORT.sub("", modules[name])))
        if re.search(r"^(import|export)\b", body, re.M):
            raise ValueError(f"{name} has an import or export of another form")
        text = _AIR.sub("", body).strip()
        if _LIST.search(modules[name]):
            names = sorted(wanted.get(name, ()))
            given = ", ".join(f"{outside}: {gives[name][outside]}" for outside in names)
            text = f"const {{ {', '.join(names)} }} = (() => {{ {text}\nreturn {{ {given} }}; }})();"
        parts.append(text)
    return "\n".join([*first, *parts]) + "\n"


def _differ(modules: Mapping[str, str]) -> None:
    """Raises where two scripts give something the same name: in one room only one of them can have it."""
    owner: dict[str, str] = {}
    for name, text in modules.items():
        for named in _NAMED.findall(text):
            for word in re.findall(r"\w+", named):
                if owner.setdefault(word, name) != name:
                    raise ValueError(f"{owner[word]} and {name} both have something at their top level called {word}")


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
