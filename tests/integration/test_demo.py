"""`touchline demo` without a terminal: it ends by itself with an audit that holds, and nothing outlives a SIGKILL."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipeline.stack import state
from pipeline.stack.processes import Process, is_alive, start_time

pytestmark = [pytest.mark.kafka, pytest.mark.clickhouse, pytest.mark.slow]

COMMAND = [sys.executable, "-c", "from pipeline.command.main import main; main()", "demo"]


def environment(tmp_path: Path) -> dict[str, str]:
    """The caller's own settings point elsewhere: they must not reach the demo."""
    root = str(Path(__file__).resolve().parents[2])
    elsewhere = {"TOUCHLINE_BOOTSTRAP_SERVERS": "127.0.0.1:1", "TOUCHLINE_TOPIC_PREFIX": "mine."}
    return {**os.environ, **elsewhere, "PYTHONPATH": root, "TMPDIR": str(tmp_path)}


@pytest.mark.timeout(900)  # two minutes where nothing else runs, three beside the other tests
def test_the_demo_shows_moving_scores_kills_a_worker_and_ends_with_an_audit_that_holds(tmp_path: Path) -> None:
    done = subprocess.run(
        [
            *(*COMMAND, "--seconds", "12", "--events", "120000", "--day", "50000", "--hours", "4"),
            *("--picture", str(tmp_path / "demo.svg")),
        ],
        capture_output=True,
        text=True,
        env=environment(tmp_path),
        timeout=900,  # half a minute of telling and two minutes of loading where nothing else runs
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    shown = re.findall(r"^ *\d+ s  .*NPS ([^;]+)", done.stdout, re.MULTILINE)
    assert len(set(shown)) >= 2, shown
    # Never a score without n and interval.
    for text in shown:
        assert re.fullmatch(r"[+-][\d.]+ \[\S+ \.\. \S+\] \(n [\d,]+, change \S+\)|insufficient \(n [\d,]+\)", text), (
            text
        )
    assert re.search(r"^NPS +all +[+-][\d.]+ +[\d,]+ +[+-][\d.]+ \.\. [+-][\d.]+ ", done.stdout, re.MULTILINE)
    planted, found = (re.search(rf"^{word} +([\d,]+)", done.stdout, re.MULTILINE) for word in ("planted", "found"))
    assert planted is not None
    assert found is not None
    assert planted[1] == found[1]
    assert re.search(r"^history +120,000 offsets = ", done.stdout, re.MULTILINE)
    assert done.stdout.splitlines()[-1].startswith("the audit holds")
    for said in (
        "events/s; about",
        "deliveries in the region north are late",
        "/v1/events -H 'Authorization",
        "worker-2 was killed with SIGKILL",
        "worker-3 was started",
    ):
        assert said in done.stderr
    the_incident_was_found_and_has_passed(done.stdout, done.stderr)
    assert list(tmp_path.glob("touchline-demo-*")) == []
    drawn = (tmp_path / "demo.svg").read_text()
    assert "<svg" in drawn
    assert "worker-3" in drawn


def the_incident_was_found_and_has_passed(results: str, said: str) -> None:
    """The owner of deliveries was called, with numbers and causes; then it was over."""
    fired = re.search(
        r"^FIRING \[\w+\] \w+ \S+ (?:points|pp) at [^\n]*touchpoint delivery[^\n]*\n"
        r" +Owner: logistics\. Incident \S+,",
        said,
        re.MULTILINE,
    )
    assert fired is not None, said[-6000:]
    evidence = said[fired.end() :].split("\nFIRING", 1)[0]
    assert re.search(r"changed by \S+ (?:points|pp) \(95 %: \S+ .*, n \d+\) since ", evidence), evidence
    assert re.search(r"unit u(?:0\d|10): \d+ % of it, now ", evidence), "a unit of the north is no cause"
    # One cause may be several incidents (brands, metrics); on a slow machine the last one may still be open.
    ended = r"^RESOLVED [^\n]*touchpoint delivery[^\n]*\n +Owner: logistics\. Incident "
    assert re.search(ended, said, re.MULTILINE), said[-6000:]
    assert re.search(r"^alerts +\d+ incidents: .*resolved; called: .*logistics", results, re.MULTILINE)


def test_nothing_outlives_a_demo_that_is_killed(tmp_path: Path) -> None:
    folder = tmp_path / "stack"
    demo = subprocess.Popen(
        [*COMMAND, "--dir", str(folder), "--events", "1000", "--day", "1000"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=environment(tmp_path),
    )
    try:
        started = wait_for_worker(folder, demo)
        family = [*started, *descendants(demo.pid)]
        assert {"kafka", "clickhouse", "worker-1"} <= {process.name for process in family}
        assert all(is_alive(process) for process in started)
    finally:
        demo.send_signal(signal.SIGKILL)
        demo.wait()
    deadline = time.monotonic() + 60
    while (left := [process for process in family if is_alive(process)]) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert left == []


def wait_for_worker(folder: Path, demo: subprocess.Popen[bytes]) -> tuple[Process, ...]:
    """The processes of the stack as soon as a worker and its labelling process run."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        assert demo.poll() is None, "the demo ended by itself"
        known = state.read(folder)
        if known is not None and (worker := known.process("worker-1")) and descendants(worker.pid):
            return known.processes
        time.sleep(0.1)
    raise AssertionError("no worker came up")


def descendants(pid: int) -> list[Process]:
    """Every process below this one."""
    listed = subprocess.run(["ps", "-eo", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
    parents = {int(child): int(parent) for child, parent in (line.split() for line in listed.splitlines())}
    below = {pid}
    while more := {child for child, parent in parents.items() if parent in below} - below:
        below |= more
    return [Process(f"below {pid}", child, start_time(child)) for child in below - {pid}]
