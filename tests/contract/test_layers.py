"""The walls of the house: who may import whom, what a module must say of itself, who reads the environment.

Each rule is a function from source texts to complaints; it is shown the real tree, which must give none, and a small
broken tree, which must give one.
"""

from __future__ import annotations

import ast
import importlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

#: One way only: a package -> the packages it may import. Nothing imports deploy, and nothing but tests imports tests.
LAYERS: Mapping[str, frozenset[str]] = {
    "schemas": frozenset(),
    "pipeline": frozenset({"schemas"}),
    "agents": frozenset({"schemas", "pipeline"}),
    "tests": frozenset({"schemas", "pipeline", "agents"}),
}

_DOMAIN = frozenset({"arrival", "customers", "texts", "ledger", "scores", "journeys", "alerts"})
#: Room of pipeline -> the rooms it may import. Every room may import pipeline's top files.
ROOMS: Mapping[str, frozenset[str]] = {
    "access": frozenset(),  # keys: what every server asks
    "arrival": frozenset(),
    "customers": frozenset(),
    "texts": frozenset(),
    # audit and rebuild prove the windows against the ledger; the roll call counts who sent, under masked names
    "ledger": frozenset({"scores", "arrival", "customers"}),
    "scores": frozenset(),
    # Rules name the registry's owners; detectors count what scores count, from the same contributions.
    # An owner may be named for a topic of texts.
    "alerts": frozenset({"customers", "scores", "texts"}),
    "journeys": frozenset({"scores", "customers"}),  # stage scores; the declared map stands in the registry
    "stack": frozenset({"ledger"}),
    "intake": frozenset({"access", "arrival", "customers", "ledger"}),  # the gateway shows the roll call
    "views": _DOMAIN | {"access", "stack"},
    "command": _DOMAIN | {"access", "stack", "intake", "views"},
}
#: Top files of pipeline that stand above the rooms and bring them together for the agents; all others stand below.
TOP_FILES: Mapping[str, frozenset[str]] = {"pipeline.desk": _DOMAIN, "pipeline.roll": frozenset({"ledger"})}

#: A module that imports one of these, or calls one of `IO_CALLS`, talks to the world outside and says [I/O] in line 1.
IO_IMPORTS = frozenset(
    {"aiohttp", "aiokafka", "aiosmtplib", "chdb", "clickhouse_connect", "faust", "http.client", "http.server", "jgo"}
    | {"multiprocessing", "shutil", "socket", "subprocess", "tempfile", "urllib.request"}
)
IO_CALLS = frozenset({"open", "read_bytes", "read_text", "write_bytes", "write_text", "mkdir", "unlink"})

#: Names that say nothing about what is inside.
EMPTY_NAMES = frozenset({"utils", "util", "common", "helpers", "helper", "manager", "misc", "base", "core"})


@dataclass(frozen=True)
class Module:
    """One file of ours: its dotted name, whether it is a package's `__init__`, and its syntax tree."""

    name: str
    is_package: bool
    tree: ast.Module

    @property
    def room(self) -> str | None:
        """The room of pipeline that the file stands in; None for a top file and outside of pipeline."""
        parts = self.name.split(".")
        if parts[0] != "pipeline" or len(parts) == 1 or (len(parts) == 2 and not self.is_package):
            return None
        return parts[1]

    @property
    def headline(self) -> str:
        """Line 1 of the docstring, empty when there is none."""
        return (ast.get_docstring(self.tree) or "").partition("\n")[0]


Modules = Mapping[str, Module]


def parse(sources: Mapping[str, str]) -> dict[str, Module]:
    """Path -> text becomes dotted name -> module."""
    modules = {}
    for path, text in sources.items():
        parts = list(Path(path).with_suffix("").parts)
        is_package = parts[-1] == "__init__"
        name = ".".join(parts[:-1] if is_package else parts)
        modules[name] = Module(name, is_package, ast.parse(text, path))
    return modules


def _is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) in {"TYPE_CHECKING", "typing.TYPE_CHECKING"}


def _nodes(tree: ast.AST, *, at_load: bool) -> Iterator[ast.AST]:
    """All nodes outside of `if TYPE_CHECKING`; with `at_load` not those inside functions either."""
    for child in ast.iter_child_nodes(tree):
        if _is_type_checking(child) or (at_load and isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef)):
            continue
        yield child
        yield from _nodes(child, at_load=at_load)


def imports(module: Module, *, at_load: bool = False) -> Iterator[str]:
    """Dotted names that a module imports; `from a import b` gives `a.b` and the reader cuts it down."""
    package = module.name.split(".") if module.is_package else module.name.split(".")[:-1]
    for node in _nodes(module.tree, at_load=at_load):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            origin = ".".join([*above, *([node.module] if node.module else [])])
            yield from (f"{origin}.{alias.name}" for alias in node.names)


def _own(name: str, modules: Modules) -> str | None:
    """The module of ours that an imported name lives in, None for somebody else's."""
    while name:
        if name in modules:
            return name
        name = name.rpartition(".")[0]
    return None


# --- The rules ---


def wrong_layers(modules: Modules) -> list[str]:
    """Imports against the one way tests -> agents -> pipeline -> schemas, and agents that import each other."""
    found = []
    for module in modules.values():
        package = module.name.split(".")[0]
        for name in imports(module):
            other = name.split(".")[0]
            if other in {*LAYERS, "deploy"} - LAYERS[package] - {package}:
                found.append(f"{module.name} imports {name}: {package} stands below {other}")
            own = _own(name, modules) or ""
            between = package == other == "agents" and own not in {"agents", module.name}
            if between and module.name not in {"agents", "agents.__main__"}:
                found.append(f"{module.name} imports {name}: agents meet in channels, not in imports")
    return found


def wrong_rooms(modules: Modules) -> list[str]:
    """Imports between rooms of pipeline that the table does not name."""
    found = []
    for module in modules.values():
        if module.name.split(".")[0] != "pipeline":
            continue
        room = module.room
        allowed = TOP_FILES.get(module.name, frozenset()) if room is None else ROOMS.get(room)
        if allowed is None:
            found.append(f"{module.name}: the room {room} is not in the table")
            continue
        for name in imports(module):
            own = _own(name, modules)
            other = modules[own].room if own else None
            if other is not None and other != room and other not in allowed:
                found.append(f"{module.name} imports {own}: not in the table of rooms")
            if own in TOP_FILES and room in _DOMAIN:
                found.append(f"{module.name} imports {own}, which stands above the rooms")
    return found


def cycles(modules: Modules) -> list[str]:
    """Modules that need each other to load."""
    graph: dict[str, set[str]] = {}
    for module in modules.values():
        needed = {own for name in imports(module, at_load=True) if (own := _own(name, modules))}
        # `from a import b` with b a module of its own needs b; that it passes a's __init__ is no cycle.
        graph[module.name] = needed - {module.name}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return [" -> ".join(error.args[1])]
    return []


def environment_readers(modules: Modules) -> list[str]:
    """Who reads the environment beside settings.py. `env=os.environ | {...}` hands it on: that is no reading."""
    words = {"environ", "environb", "getenv", "getenvb"}
    found = []
    for module in modules.values():
        if module.name == "pipeline.settings" or module.name.split(".")[0] == "tests":
            continue
        handed_on = {
            inner
            for node in ast.walk(module.tree)
            if isinstance(node, ast.keyword) and node.arg == "env" and isinstance(node.value, ast.BinOp)
            for inner in ast.walk(node.value)
        }
        for node in ast.walk(module.tree):
            if node in handed_on:
                continue
            by_name = isinstance(node, ast.Attribute) and node.attr in words
            if isinstance(node, ast.ImportFrom) and node.module == "os":
                by_name = any(alias.name in words for alias in node.names)
            if by_name and isinstance(node, ast.stmt | ast.expr):
                found.append(f"{module.name}, line {node.lineno}: only pipeline/settings.py reads the environment")
    return found


def printers(modules: Modules) -> list[str]:
    """`print` in the library: results go through pipeline/command/output.py, the rest through the log."""
    return [
        f"{module.name}, line {node.lineno}: print"
        for module in modules.values()
        if module.name.split(".")[0] != "tests"
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    ]


def without_docstring(modules: Modules) -> list[str]:
    """Modules that do not say what they are for (an empty `__init__` needs not, under tests/)."""
    return [
        f"{module.name}: no docstring"
        for module in modules.values()
        if not module.headline and (module.tree.body or module.name.split(".")[0] != "tests")
    ]


def unmarked_io(modules: Modules) -> list[str]:
    """Modules that talk to the world outside without `[I/O]` in line 1; an agent does so by what it is."""
    found = []
    for module in modules.values():
        if module.name.split(".")[0] in {"tests", "agents"} or "[I/O]" in module.headline:
            continue
        names = {io for name in imports(module) for io in IO_IMPORTS if name == io or name.startswith(f"{io}.")} | {
            call
            for node in ast.walk(module.tree)
            if isinstance(node, ast.Call)
            and (call := ast.unparse(node.func).rpartition(".")[2]) in IO_CALLS
            and (call == "open" or isinstance(node.func, ast.Attribute))
        }
        if names:
            found.append(f"{module.name} uses {', '.join(sorted(names))}: line 1 must say [I/O]")
    return found


def impure(modules: Modules) -> list[str]:
    """Pure files of a domain room that load an [I/O] file of ours: then they are not pure."""
    return [
        f"{module.name} is pure and loads {own}, which is [I/O]"
        for module in modules.values()
        if module.room in _DOMAIN | {"access"} and not module.is_package and "[I/O]" not in module.headline
        for name in imports(module, at_load=True)
        if (own := _own(name, modules)) and "[I/O]" in modules[own].headline
    ]


def empty_names(modules: Modules) -> list[str]:
    """Modules whose name says nothing."""
    return [f"{name}: a name that says nothing" for name in modules if EMPTY_NAMES & set(name.split("."))]


Rule = Callable[[Modules], list[str]]
RULES: tuple[Rule, ...] = (
    wrong_layers,
    wrong_rooms,
    cycles,
    environment_readers,
    printers,
    without_docstring,
    unmarked_io,
    impure,
    empty_names,
)

#: Rule, a tree that breaks it, and a word of the complaint. The `__init__` files are added by the test.
BROKEN: tuple[tuple[Rule, dict[str, str], str], ...] = (
    (wrong_layers, {"schemas/a.py": "from pipeline.errors import X"}, "schemas stands below pipeline"),
    (wrong_layers, {"pipeline/command/a.py": "def f():\n    import agents.accept"}, "pipeline stands below agents"),
    (wrong_layers, {"agents/a.py": "import deploy.migrate"}, "agents stands below deploy"),
    (wrong_layers, {"pipeline/a.py": "from tests import fakes"}, "pipeline stands below tests"),
    (wrong_layers, {"agents/a.py": "from agents.b import X", "agents/b.py": "X = 1"}, "meet in channels"),
    (wrong_layers, {"agents/a.py": "from . import b", "agents/b.py": ""}, "meet in channels"),
    (wrong_rooms, {"pipeline/arrival/a.py": "from pipeline.ledger import b"}, "not in the table of rooms"),
    (wrong_rooms, {"pipeline/scores/a.py": "from ..ledger.b import X", "pipeline/ledger/b.py": ""}, "table of rooms"),
    (wrong_rooms, {"pipeline/errors.py": "import pipeline.ledger"}, "not in the table of rooms"),
    (wrong_rooms, {"pipeline/ledger/a.py": "import pipeline.desk", "pipeline/desk.py": ""}, "stands above"),
    (wrong_rooms, {"pipeline/attic/__init__.py": ""}, "the room attic is not in the table"),
    (
        cycles,
        {
            "schemas/a.py": "import schemas.b",
            "schemas/b.py": "from schemas.c import X",
            "schemas/c.py": "from . import a",
        },
        "schemas.a",
    ),
    (environment_readers, {"pipeline/a.py": "import os\nX = os.environ.get('X')"}, "line 2"),
    (environment_readers, {"agents/a.py": "from os import getenv"}, "line 1"),
    (environment_readers, {"agents/a.py": "import os\nrun(env=os.environ | {})\nX = os.environ['X']"}, "line 3"),
    (printers, {"pipeline/a.py": "def f():\n    print('x')"}, "line 2"),
    (without_docstring, {"pipeline/a.py": "X = 1"}, "pipeline.a"),
    (unmarked_io, {"pipeline/a.py": '"""Talks."""\nimport urllib.request'}, "urllib.request"),
    (unmarked_io, {"pipeline/a.py": '"""Talks."""\nfrom aiokafka import AIOKafkaProducer'}, "aiokafka"),
    (unmarked_io, {"pipeline/a.py": '"""Reads."""\nX = PATH.read_text()'}, "read_text"),
    (
        impure,
        {"pipeline/scores/a.py": "from pipeline.scores import b", "pipeline/scores/b.py": '"""Writes [I/O]."""'},
        "pipeline.scores.b",
    ),
    (empty_names, {"pipeline/utils.py": ""}, "says nothing"),
)


def _tree() -> dict[str, Module]:
    """Every Python file of ours."""
    files = (file for package in LAYERS for file in sorted((ROOT / package).rglob("*.py")))
    return parse({str(file.relative_to(ROOT)): file.read_text() for file in files})


@pytest.fixture(scope="module")
def tree() -> dict[str, Module]:
    return _tree()


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_house_stands_as_drawn(rule: Rule, tree: Modules) -> None:
    found = rule(tree)
    assert not found, "\n".join(found)


@pytest.mark.parametrize(("rule", "sources", "complaint"), BROKEN)
def test_a_broken_wall_is_named(rule: Rule, sources: dict[str, str], complaint: str) -> None:
    folders = {str(parent) for path in sources for parent in Path(path).parents if str(parent) != "."}
    packages = {f"{folder}/__init__.py": '"""A room."""' for folder in {*folders, "agents", "pipeline/ledger"}}
    found = rule(parse(packages | sources))
    assert len(found) == 1, found
    assert complaint in found[0]


def test_every_rule_has_a_case_that_breaks_it() -> None:
    assert {rule for rule, _, _ in BROKEN} == set(RULES)


def test_the_table_of_rooms_has_no_cycle_and_names_every_room(tree: Modules) -> None:
    order = list(TopologicalSorter(ROOMS).static_order())
    rooms = {module.room for module in tree.values()} - {None}
    assert set(order) == rooms, "the table and the folders differ"


def test_a_lazy_import_may_close_a_circle_but_not_a_layer() -> None:
    lazy = {"schemas/a.py": "import schemas.b", "schemas/b.py": "def f():\n    import schemas.a"}
    assert cycles(parse(lazy)) == []
    typing = {"schemas/a.py": "if TYPE_CHECKING:\n    import pipeline.b", "pipeline/b.py": ""}
    assert wrong_layers(parse(typing)) == []


def test_the_agents_stand_in_the_order_of_the_flow() -> None:
    """`ls agents/` is the way of an event: the verbs sort into the order of FLOW."""
    verbs = sorted(file.stem for file in (ROOT / "agents").glob("*.py") if not file.stem.startswith("_"))
    assert verbs == ["accept", "enrich", "label", "record", "score", "warn"]
    # A step of FLOW may be a name, a module or a function: its last word is the verb.
    flow = importlib.import_module("agents").FLOW
    assert [str(getattr(step, "__name__", step)).rpartition(".")[2] for step in flow] == verbs
