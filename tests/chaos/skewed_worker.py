"""A worker whose own clock is wrong, for T26: `python -m tests.chaos.skewed_worker SECONDS[,SECONDS...]`.

The wall clock of the process is shifted by the first offset, ten seconds later it jumps to the next, and so on in a
circle. The monotonic clock is left alone, as a machine whose time is set behaves.
"""

from __future__ import annotations

import sys
import time

#: How long an offset holds, seconds.
_HOLDS_S = 10.0


def shift(offsets: list[float]) -> None:
    """Replaces what Python asks the wall clock by; libraries in C keep the right time."""
    right, right_ns, began = time.time, time.time_ns, time.monotonic()

    def offset() -> float:
        return offsets[int((time.monotonic() - began) / _HOLDS_S) % len(offsets)]

    time.time = lambda: right() + offset()
    time.time_ns = lambda: right_ns() + int(offset() * 1e9)


if __name__ == "__main__":
    shift([float(each) for each in sys.argv[1].split(",")])
    from agents.__main__ import main

    sys.exit(main())
