"""Runs one command for as long as a given process lives [I/O]; started as a script, imports nothing of ours.

    python -I -S tied.py --parent 4711 --pid-file FILE -- COMMAND...

It ends the command (SIGTERM, then SIGKILL) when the parent is gone, however that died. On Linux the command also
dies with this script (PR_SET_PDEATHSIG, set in the only thread there is), so that a SIGKILL of it leaves nothing.
"""

import contextlib
import os
import signal
import subprocess
import sys
import time

#: How often the parent is looked at: one system call.
_LOOK_S = 0.1
#: What a command gets to end by itself when the parent has died.
_GRACE_S = 5.0
_PR_SET_PDEATHSIG = 1


def _die_with_this_script() -> None:
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def main(arguments: list[str]) -> int:
    """Run the command after `--`. Returns its exit code, negative signals as 128 + number."""
    split = arguments.index("--")
    options = dict(zip(arguments[:split:2], arguments[1:split:2], strict=True))
    parent = int(options["--parent"])
    if os.getppid() != parent:
        return 1  # it died before we came up
    child = subprocess.Popen(arguments[split + 1 :], preexec_fn=_die_with_this_script)
    signal.signal(signal.SIGTERM, lambda number, frame: child.send_signal(number))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with open(options["--pid-file"] + ".new", "w") as file:
        file.write(str(child.pid))
    os.replace(options["--pid-file"] + ".new", options["--pid-file"])
    while child.poll() is None:
        if os.getppid() != parent:
            _end(child)
        time.sleep(_LOOK_S)
    return child.returncode if child.returncode >= 0 else 128 - child.returncode


def _end(child: "subprocess.Popen[bytes]") -> None:
    with contextlib.suppress(ProcessLookupError):
        child.terminate()
    try:
        child.wait(_GRACE_S)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
