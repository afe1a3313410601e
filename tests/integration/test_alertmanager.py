"""The real Alertmanager: it takes our alerts, groups them, tells on, and sees them resolved."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from pipeline.alerts.finding import Verdict
from pipeline.alerts.fingerprint import named
from pipeline.alerts.messages import account
from pipeline.alerts.posting import Posting
from pipeline.alerts.receivers import alertmanager, alertmanager_webhook
from pipeline.alerts.routes import Receiver
from tests.integration.receivers import Inbox, inbox, until
from tests.unit.alerts.findings import START, Desk, finding, routes_of

CONFIG = """
route:
  receiver: ours
  group_by: [owner, metric]
  group_wait: 0s
  group_interval: 1s
receivers:
  - name: ours
    webhook_configs: [{url: "%s/from-alertmanager", send_resolved: true}]
"""


def binary() -> str:
    """Debian's name, or the project's own. Without it the test is skipped here and fails where CI is set."""
    for name in ("prometheus-alertmanager", "alertmanager"):
        if found := shutil.which(name):
            return found
    message = "no alertmanager on this machine: apt-get install --no-install-recommends prometheus-alertmanager"
    if os.environ.get("CI"):
        pytest.fail(message)
    pytest.skip(message)


def started(command: list[str], log: Path) -> subprocess.Popen[bytes]:
    """The process, its output in a file."""
    with log.open("wb") as out:
        return subprocess.Popen(command, stdout=out, stderr=out)


@asynccontextmanager
async def running(folder: Path, box: Inbox) -> AsyncIterator[str]:
    """Alertmanager on a free port, telling the box; its URL."""
    config = folder / "alertmanager.yml"
    config.write_text(CONFIG % box.url)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [binary(), f"--config.file={config}", f"--storage.path={folder / 'data'}", "--cluster.listen-address="]
    process = started([*command, f"--web.listen-address=127.0.0.1:{port}"], folder / "log")
    url = f"http://127.0.0.1:{port}"

    async def ready() -> bool:
        assert process.poll() is None, (folder / "log").read_text()[-2000:]
        try:
            async with aiohttp.ClientSession() as session, session.get(f"{url}/-/ready") as answer:
                return answer.status == 200
        except aiohttp.ClientError:
            return False

    try:
        await until(ready)
        yield url
    finally:
        process.terminate()
        process.wait(10)


async def test_a_real_alertmanager_receives_groups_and_resolves(tmp_path: Path) -> None:
    now_ms = int(time.time() * 1000)
    desk = Desk(routes_of("am"))
    desk.now_ms = now_ms
    windows = (now_ms // 1000 - START) // 300
    scopes = [{"brand": "acme", "touchpoint": name} for name in ("delivery", "checkout")]
    desk.turn(*(finding(windows, scope=scope) for scope in scopes))
    posting = Posting({"127.0.0.1"}, "https://touchline.example/{incident}")
    async with inbox() as box, running(tmp_path, box) as url, aiohttp.ClientSession() as session:
        receiver = Receiver("am", "alertmanager", {"url": url, "interval_s": 60})
        (sending,) = desk.book.sendings.values()
        answer = await posting.deliver(receiver, sending.notice, now_ms)
        assert answer.fate == "sent"
        async with session.get(f"{url}/api/v2/alerts") as found:
            there = await found.json()
        parts = sending.notice.accounts[0].parts
        # Alertmanager's own fingerprints of what we sent are those that we compute.
        assert {each["fingerprint"] for each in there} == {named(alertmanager.labels(part)) for part in parts}
        async with session.get(f"{url}/api/v2/alerts/groups") as found:
            groups = [(group["labels"], len(group["alerts"])) for group in await found.json()]
        assert groups == [({"metric": "nps", "owner": "logistics"}, 2)]
        await until(lambda: len(box.taken) == 1)
        await posting.refresh(receiver, [account(desk.book, desk.incident())], now_ms + 1_000)
        desk.turn(*(finding(windows + 1, Verdict.CALM, scope=scope) for scope in scopes))
        last = list(desk.book.sendings.values())[-1]
        assert last.notice.state == "resolved"
        await posting.deliver(receiver, last.notice, now_ms + 2_000)
        await until(lambda: len(box.taken) >= 2)
    first, second = (taken.json for taken in (box.taken[0], box.taken[-1]))
    assert (first["status"], second["status"]) == ("firing", "resolved")
    assert first["version"] == "4"
    # What it writes and what we write as its format have the same fields.
    ours = alertmanager_webhook.document("ours", sending.notice, sending.notice.accounts[0], "")
    assert set(ours) - {"notification_reason"} == set(first)
    assert {name for alert in ours["alerts"] for name in alert} == {n for alert in first["alerts"] for n in alert}
    assert ours["alerts"][0]["endsAt"] == first["alerts"][0]["endsAt"]
    await posting.close()
