"""The ledger rows of the good examples of schemas/examples, through accept, enrich, label and record's columns.

Of a text its length stands beside them, and whether it went on.
Key, registry, classifier and the broker's clock are fixed, so the rows never change by themselves. To write them
anew after a change that is meant: `python -m tests.stages.golden_rows`; then read the difference.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
from pathlib import Path
from typing import Any

from agents import label
from pipeline.arrival.accept import Arrival
from pipeline.arrival.recall import Recalled
from pipeline.desk import Desk
from pipeline.ledger import retractions
from pipeline.ledger.writer import ledger_rows
from pipeline.slices import LEDGER, Partition, Record, Slice
from tests.stages.worker import closed, desk_of, settings_of

ROOT = Path(__file__).parents[2]
FOLDER = Path(__file__).parent / "golden"
#: Examples of a record, and the topic that carries them.
TOPIC_OF = {"touchpoint": "touchpoints", "feedback": "feedback"}
#: The broker's time of every example: after all of them, and within 30 days.
ARRIVED_MS = 1_772_755_200_000


async def golden(folder: Path) -> dict[str, dict[str, dict[str, Any]]]:
    """Record -> example -> the columns of its ledger row that are not empty."""
    desk, _ = desk_of(settings_of(folder))
    found = {
        name: {path.stem: await _row(desk, name, path.read_bytes()) for path in examples(name)} for name in TOPIC_OF
    }
    await closed(desk)
    return found


def examples(name: str) -> list[Path]:
    """The good examples of a record."""
    return sorted((ROOT / "schemas" / "examples" / name).glob("good-*.json"))


async def _row(desk: Desk, name: str, value: bytes) -> dict[str, Any]:
    """One example as the only event of its partition."""
    partition = Partition(TOPIC_OF[name], 0)
    desk.memory.forget([partition])
    arrival = Arrival.restore(partition, desk.memory, Recalled(), desk.rules)
    record = Record(0, ARRIVED_MS, b"key", value, ())
    accepted = arrival.take([record], desk.rules)
    piece = Slice(
        partition=partition,
        epoch=1,
        generation=1,
        attempt=1,
        ver=7,
        lo=0,
        hi=0,
        rows=accepted.rows,
        clock_ms=accepted.clock_ms,
        log_end=1,
        values=[record.value],
    )
    piece = await label.with_labels(desk, piece.with_rows(desk.enriched(piece, piece.rows)))
    piece = piece.with_rows(retractions.retract(piece.rows, []))
    row = ledger_rows([piece]).select("topic", "epoch", "part", "ver", *LEDGER).row(0, named=True)
    kept = {column: value for column, value in row.items() if value not in ("", None) and (column, value) not in _EMPTY}
    text, truncated = piece.rows.select("text", "truncated").row(0)
    # Beside the ledger: how long the masked text is, and whether it went on.
    return kept | ({"characters": len(text), "truncated": truncated} if text else {})


#: Columns that say "none" by a number.
_EMPTY = frozenset({("old_off", -1), ("old_bin", -1), ("bin", -1), ("others", 0), ("old_others", 0)})


def write() -> None:
    """Writes what the code gives now."""
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        for name, rows in asyncio.run(golden(Path(folder))).items():
            (FOLDER / f"{name}.json").write_text(json.dumps(rows, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    write()
