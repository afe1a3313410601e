"""Every good example of the contract becomes the ledger row that stands written down, each time again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.stages.golden_rows import FOLDER, TOPIC_OF, examples, golden


async def test_each_good_example_becomes_its_golden_row_twice(tmp_path: Path) -> None:
    first, second = await golden(tmp_path / "one"), await golden(tmp_path / "two")
    assert first == second
    written = {name: json.loads((FOLDER / f"{name}.json").read_text()) for name in TOPIC_OF}
    assert {name: set(rows) for name, rows in first.items()} == {name: set(rows) for name, rows in written.items()}
    for name, rows in written.items():
        for example, row in rows.items():
            assert first[name][example] == row, f"{name}/{example}"


@pytest.mark.parametrize("name", sorted(TOPIC_OF))
def test_no_example_is_rejected_and_no_golden_row_holds_a_plain_id_or_a_text(name: str) -> None:
    rows = json.loads((FOLDER / f"{name}.json").read_text())
    assert {row["disposition"] for row in rows.values()} == {"aggregated"}
    for path in examples(name):
        event = json.loads(path.read_bytes())
        there = json.dumps(rows[path.stem])
        for plain in ("customer_id", "text", "agent_id"):
            assert not event.get(plain) or json.dumps(event[plain]) not in there, path.stem
