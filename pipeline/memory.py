"""What a process that runs for weeks asks of Python's collector and of the C library's allocator."""

from __future__ import annotations

import ctypes
import gc

#: New containers between two collections: a slice alone makes 12,000, none of them in cycles. With Python's own 700
#: the collector took a seventh of a worker's time.
_YOUNG = 200_000
#: glibc's M_ARENA_MAX. By default each thread gets an arena of its own, and what was freed in one is not given to
#: another: 100 MB of a full worker's memory held nothing.
_ARENA_MAX, _ARENAS = -8, 1
#: glibc's M_MMAP_THRESHOLD: smaller blocks are not asked of the system anew for each slice. Every page that comes
#: fresh from it costs a fault; with 256 KiB that took a tenth of a worker's time, from 1 MiB on it held 50 MB more.
_MMAP_THRESHOLD, _LARGE = -3, 1 << 19
#: glibc's M_TRIM_THRESHOLD: free memory goes back by `trim`, not whenever the end of the heap happens to be free.
_TRIM_THRESHOLD, _NEVER = -1, 1 << 30
#: Seconds between two calls of `trim`: what slices leave between the window rows that are kept goes back to the system,
#: but not so often that the next slices fault it in again. One call takes 10-30 ms.
TRIM_S = 4.0


def settle() -> None:
    """To be called once, when everything is loaded that stays until the end."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG, *gc.get_threshold()[1:])
    if hasattr(library := ctypes.CDLL(None), "mallopt"):  # glibc; elsewhere there is nothing to ask for
        library.mallopt(_ARENA_MAX, _ARENAS)
        library.mallopt(_MMAP_THRESHOLD, _LARGE)
        library.mallopt(_TRIM_THRESHOLD, _NEVER)


def trim() -> None:
    """Gives the pages that hold nothing back to the system; to be called beside the loop, every TRIM_S seconds."""
    if hasattr(library := ctypes.CDLL(None), "malloc_trim"):
        library.malloc_trim(0)
