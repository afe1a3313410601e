"""The file that says what runs."""

from __future__ import annotations

import os
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.errors import StackError
from pipeline.stack import processes, state
from pipeline.stack.processes import Process
from pipeline.stack.state import Addresses


def of_this_process() -> Process:
    return Process("kafka", os.getpid(), processes.start_time(os.getpid()), "127.0.0.1:1")


def test_what_was_written_is_read(tmp_path: Path) -> None:
    written = Addresses("127.0.0.1:1", "http://127.0.0.1:2", (of_this_process(),))
    state.write(tmp_path, written)
    assert state.read(tmp_path) == written
    assert written.pids == {"kafka": os.getpid()}
    assert stat.S_IMODE((tmp_path / state.FILE).stat().st_mode) == 0o600


def test_no_file_is_no_stack(tmp_path: Path) -> None:
    assert state.read(tmp_path) is None


@pytest.mark.parametrize("text", ["{", "{}", '{"bootstrap": 1, "clickhouse_url": ""}'])
def test_a_broken_file_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / state.FILE).write_text(text)
    with pytest.raises(StackError, match=r"stack\.json cannot be read"):
        state.read(tmp_path)


def test_a_process_that_restarts_leaves_the_stack_complete() -> None:
    assert Addresses("", "", (), complete=True).with_process(of_this_process()).complete


def test_another_process_under_the_same_id_does_not_count() -> None:
    ours = of_this_process()
    other = replace(ours, started="0:1")
    assert state.living(Addresses("", "", (ours,))) == [ours]
    assert state.living(Addresses("", "", (other,))) == []


def test_a_process_takes_the_place_of_the_one_of_its_name() -> None:
    ours = of_this_process()
    before = Addresses("", "", (ours, replace(ours, name="clickhouse")))
    after = before.with_process(replace(ours, pid=1))
    assert after.pids == {"clickhouse": ours.pid, "kafka": 1}
