"""A person at a terminal (pty): answers what is asked, reads what is said."""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import struct
import subprocess
import termios
import time
from collections.abc import Mapping, Sequence


def at_terminal(command: Sequence[str], variables: Mapping[str, str], answers: Sequence[tuple[str, str]]) -> str:
    """What a command says to a person at 120 x 40 signs who types `answers`; it must end well."""
    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
    environment = {**os.environ, "TERM": "xterm-256color", **variables}
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment) as process:
        os.close(theirs)
        try:
            said = talk(ours, answers)
        finally:
            os.close(ours)  # it hangs up, which ends what still runs, or should
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(20)
            process.kill()
    assert process.returncode == 0, said
    return said


def talk(terminal: int, answers: Sequence[tuple[str, str]]) -> str:
    """Types each answer when what it is for stands there; what was said until the other side hung up."""
    said, answers = "", list(answers)
    until = time.monotonic() + 60
    while time.monotonic() < until:
        if not select.select([terminal], [], [], 1)[0]:
            continue
        try:
            part = os.read(terminal, 4_096).decode(errors="replace")
        except OSError:  # hung up
            break
        if not part:
            break
        said += part
        if answers and answers[0][0] in said:
            os.write(terminal, answers.pop(0)[1].encode())
    assert not answers, said
    return said
