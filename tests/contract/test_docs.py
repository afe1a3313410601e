"""What README and docs tell people to type works: every `sh` block is run, in order, against the embedded stack.

What cannot be run stands in EXCEPTIONS, command by command, each with its reason.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from pipeline.clickhouse import ClickHouse
from pipeline.settings import load_settings
from pipeline.stack import gateway, processes
from pipeline.stack.launch import Stack
from pipeline.stack.processes import Process
from pipeline.topics import Topics
from tests.commands import Command, blocks, lookalikes, recorded
from tests.tables import make_tables

ROOT = Path(__file__).resolve().parents[2]

#: Longest time that the commands of one document may take together.
SECONDS = 120

#: A command, exactly as it stands in a document, and why the test does not run it.
EXCEPTIONS: Mapping[str, str] = {
    "make check": "runs this test",
    "make demo": "tests/integration/test_demo.py runs what it runs, in short",
    "make test": "runs this test",
    "touchline up --workers 1": "the test brings its own stack; tests/integration/test_stack.py runs it",
    'eval "$(touchline env)"': "the test has its own settings; tests/integration/test_stack.py runs it",
    "touchline down": "the test brings its own stack",
    "cp deploy/compose.env.example .env": "only for the next command",
    "docker compose up": "needs a Docker engine; tests/contract/test_deploy.py checks the file",
}


#: Sessions that stand there as they were recorded, and what holds their commands instead: they take minutes.
RECORDED: Mapping[str, str] = {
    "touchline rules simulate": "tests/unit/command/test_rules.py runs it small",
    "touchline demo --dir demo --events 300000 --day 100000 --seconds 1": "tests/integration/test_demo.py, in short",
    'touchline up --dir demo --workers 0; eval "$(touchline env --dir demo)"': "tests/integration/test_stack.py",
    "touchline rules backtest --from -28d": "docs/detection.md and tests/integration/test_watching.py, less history",
}


def documents() -> list[Path]:
    """README, CONTRIBUTING and the pages of docs/, in the order in which a newcomer meets them."""
    return [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


def shown() -> list[list[Command]]:
    """Every block of every document."""
    return [block for file in documents() for block in blocks(str(file.relative_to(ROOT)), file.read_text())]


def script(found: list[list[Command]], exceptions: Mapping[str, str]) -> str:
    """What a document's blocks come to, without the exceptions; each command says where it stands when it fails."""
    lines = ["set -euo pipefail"]
    for command in (command for block in found for command in block):
        if command.text not in exceptions:
            lines += [f"trap 'echo \"failed: {command.file}, line {command.line}\" >&2' ERR", command.text]
    return "\n".join(lines) + "\n"


def unused(found: list[list[Command]], exceptions: Mapping[str, str]) -> list[str]:
    """Exceptions that no document shows any more."""
    texts = {command.text for block in found for command in block}
    return sorted(set(exceptions) - texts)


def test_every_exception_still_stands_in_a_document() -> None:
    assert unused(shown(), EXCEPTIONS) == []
    assert unused([[Command("README.md", 1, "make test")]], {"make test": "", "gone": ""}) == ["gone"]


def test_every_exception_has_a_reason() -> None:
    assert [command for command, reason in EXCEPTIONS.items() if len(reason) < 10] == []


def test_commands_hide_under_no_other_name() -> None:
    assert {str(file): found for file in documents() if (found := lookalikes(file.read_text()))} == {}
    assert lookalikes("```bash\nrm -rf /\n```\n~~~console\n$ ls\n~~~\n```sh\nls\n```\n") == ["bash", "console"]


def test_recorded_sessions_are_known_and_say_what_holds_their_commands() -> None:
    found = [command for file in documents() for command in recorded(file.read_text())]
    assert sorted(found) == sorted(RECORDED)
    assert recorded("```text\n$ ls -l\ntotal 0\n$ 5 more\n```\ncosts $ 5\n") == ["ls -l", "5 more"]


def test_the_reader_of_blocks_sees_each_command_once() -> None:
    text = (
        "# Title\n```sh\n# a comment\nmake test\n\ntouchline scores \\\n  --metric nps\n"
        "touchline produce - <<'END'\n{\"a\": 1}\nEND\necho 'two\nlines'\n```\n"
        "```json\nnot a command\n```\n    ```sh\n    indented: text, not a block\n    ```\n```sh\nlast\n```\n"
    )
    found = [[(command.line, command.text) for command in block] for block in blocks("a.md", text)]
    assert found == [
        [
            (4, "make test"),
            (6, "touchline scores \\\n  --metric nps"),
            (8, "touchline produce - <<'END'\n{\"a\": 1}\nEND"),
            (11, "echo 'two\nlines'"),
        ],
        [(21, "last")],
    ]


def run(text: str, cwd: Path, environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Run a script as a person would who has just pasted it: in the project's folder, `touchline` on the path."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.defpath}"
    return subprocess.run(
        ["bash", "-c", text],
        cwd=cwd,
        env={"HOME": str(cwd), "PATH": path, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


def test_a_command_that_fails_is_named_by_file_and_line(tmp_path: Path) -> None:
    found = [[Command("docs/a.md", 3, "true"), Command("docs/a.md", 4, "make demo"), Command("docs/a.md", 7, "false")]]
    result = run(script(found, {"make demo": "takes a minute"}), tmp_path, {})
    assert result.returncode == 1
    assert result.stderr == "failed: docs/a.md, line 7\n"


def folder_like_ours(folder: Path) -> Path:
    """A folder that looks like the project's, where commands may leave files behind."""
    for entry in ROOT.iterdir():
        if entry.name not in {".git", ".touchline", "out"}:
            (folder / entry.name).symlink_to(entry)
    return folder


def started_gateway(folder: Path, settings: dict[str, str]) -> Process:
    """The gateway that a document tells people to send to; its address joins the settings."""
    port = processes.free_port()
    settings["TOUCHLINE_GATEWAY_URL"] = gateway.url(port)
    process = processes.start(gateway.command(port, settings, folder, tied=True))
    gateway.wait_ready(port, process)
    return process


def prepare(given: Mapping[str, str]) -> None:
    """Topics and tables, made here: two commands and their imports for each document would take twice as long."""
    settings = load_settings(**given)

    async def apply() -> None:
        async with Topics(settings) as topics:
            await topics.apply()

    asyncio.run(apply())
    client = ClickHouse(settings)
    make_tables(client, settings)
    client.close()


@pytest.mark.kafka
@pytest.mark.clickhouse
@pytest.mark.slow
@pytest.mark.parametrize("file", documents(), ids=lambda file: file.name)
def test_what_a_document_tells_people_to_type_works(
    file: Path, stack: Stack, topic_prefix: str, database: str, tmp_path: Path
) -> None:
    found = blocks(str(file.relative_to(ROOT)), file.read_text())
    if all(command.text in EXCEPTIONS for block in found for command in block):
        return  # nothing to run: no stack has to be prepared
    folder = folder_like_ours(tmp_path)
    settings = {
        "TOUCHLINE_BOOTSTRAP_SERVERS": stack.bootstrap,
        "TOUCHLINE_CLICKHOUSE_URL": stack.clickhouse_url,
        "TOUCHLINE_TOPIC_PREFIX": topic_prefix,
        "TOUCHLINE_CLICKHOUSE_DATABASE": database,
        "TOUCHLINE_GROUP": topic_prefix + "group",
        "TOUCHLINE_TOPIC_PARTITIONS": "2",
        "TOUCHLINE_INSECURE_KEYS": "true",
    }
    prepare({name.removeprefix("TOUCHLINE_").lower(): value for name, value in settings.items()})
    text = script(found, EXCEPTIONS)
    running = started_gateway(folder, settings) if "TOUCHLINE_GATEWAY_URL" in file.read_text() else None
    try:
        result = run(text, folder, settings)
        assert result.returncode == 0, result.stderr[-4000:]
    finally:
        if "touchline up" in text:  # a stack of its own, left running
            run("touchline down", folder, settings)
        if running is not None:
            processes.kill(running)
