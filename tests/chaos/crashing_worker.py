"""A worker with a bug in its label step: it raises at every slice that holds an event of the product "crash".

python tests/chaos/crashing_worker.py
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from agents import label
from agents.__main__ import main
from pipeline.desk import Desk
from pipeline.slices import Slice

_with_labels = label.with_labels


async def _planted(desk: Desk, piece: Slice) -> Slice:
    if (piece.rows["product"] == "crash").any():
        raise RuntimeError("planted by the test")
    return await _with_labels(desk, piece)


label.with_labels = _planted

if __name__ == "__main__":
    sys.exit(main())
