"""A worker that loses every slice between label and record and never says so: nothing follows that could show it.

python tests/chaos/stuck_worker.py
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from agents import record
from agents.__main__ import main
from pipeline.desk import Desk
from pipeline.slices import Slice


async def _lost(desk: Desk, batch: Sequence[Slice]) -> Sequence[Slice]:
    return []


record.write = _lost

if __name__ == "__main__":
    sys.exit(main())
