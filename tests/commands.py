"""The commands that README and docs show: fenced `sh` blocks, cut into the commands that a shell would see.

A block is written as a person would paste it: no prompt, comments after `#`, a command may go on over lines by a
backslash at the end, by quotes left open, or as a here-document.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass

#: The opening line of a block, its body, and the same fence again.
_BLOCK = re.compile(r"^(?P<fence>```+|~~~+)sh\n(?P<body>.*?)^(?P=fence)[ \t]*$", re.MULTILINE | re.DOTALL)
#: Blocks that would escape the check: a person reads them as commands, the test does not run them.
_LOOKALIKE = re.compile(
    r"^ *(?:```+|~~~+) *(bash|shell|console|zsh|shell-session|terminal|sh .*|[Ss][Hh] +)$", re.MULTILINE
)
#: A prompt: somebody's session as it was recorded, with what came of it.
_PROMPT = re.compile(r"^\$ (.+)$", re.MULTILINE)
_HEREDOC = re.compile(r"<<-?\s*(['\"]?)(\w+)\1")


@dataclass(frozen=True)
class Command:
    """One command as written, with the file and the line where it stands."""

    file: str
    line: int
    text: str


def blocks(file: str, text: str) -> list[list[Command]]:
    """The `sh` blocks of one document, each a list of commands in order."""
    found = []
    for match in _BLOCK.finditer(text):
        first = text.count("\n", 0, match.start("body")) + 1
        found.append([Command(file, first + offset, command) for offset, command in _commands(match["body"])])
    return found


def lookalikes(text: str) -> list[str]:
    """Fences that show commands under another name than `sh`."""
    return [match.group(1).strip() for match in _LOOKALIKE.finditer(text)]


def recorded(text: str) -> list[str]:
    """The commands of sessions that were recorded: each after a prompt."""
    return _PROMPT.findall(text)


def _commands(body: str) -> Iterator[tuple[int, str]]:
    lines = body.splitlines()
    start = 0
    while start < len(lines):
        end = start + 1
        if not lines[start].strip() or lines[start].lstrip().startswith("#"):
            start = end
            continue
        while end < len(lines) and _goes_on("\n".join(lines[start:end])):
            end += 1
        yield start, "\n".join(lines[start:end]).strip()
        start = end


def _goes_on(text: str) -> bool:
    """Whether a shell would read another line before it runs this."""
    heredoc = _HEREDOC.search(text)
    if heredoc:
        return heredoc[2] not in [line.strip() for line in text.splitlines()[1:]]
    if text.endswith("\\"):
        return True
    try:
        shlex.split(text, comments=True)
    except ValueError:  # a quotation that is still open
        return True
    return False
