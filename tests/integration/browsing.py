"""The page in a browser [I/O]: processes of the page, tabs and what went wrong in them, work beside playwright."""

from __future__ import annotations

import contextlib
import re
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from playwright.sync_api import BrowserContext, Page, expect

from tests.chaos.harness import Case, deployed
from tests.chaos.processes import Worker, eventually

Result = TypeVar("Result")
#: Text that would do something if it were not text.
HOSTILE = '<script>window.hit=1</script>"><img src=x onerror="window.hit=1">javascript:alert(1)\u202egnp'
#: The line to the server lives; most of these deployments have no worker, which the page says.
ALIVE = re.compile("^(Live|No worker counts)$")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def beside(work: Callable[[], Result]) -> Result:
    """Runs something in another thread: playwright's own loop runs in this one."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(work).result()


@contextlib.contextmanager
def deployed_beside(made: Case) -> Iterator[Case]:
    """tests.chaos.harness.deployed, from beside playwright."""
    inside = deployed(made)
    case = beside(inside.__enter__)
    try:
        yield case
    finally:
        beside(lambda: inside.__exit__(None, None, None))


class Served:
    """A page process of a case, at one port over its restarts."""

    def __init__(self, case: Case, **variables: str) -> None:
        self._case = case
        self._variables = {"PAGE_PORT": str(free_port()), **variables}
        self.url = f"http://127.0.0.1:{self._variables['PAGE_PORT']}/"
        self.start()

    def start(self) -> None:
        """Starts it and waits until it listens."""
        program = ("-m", "pipeline.command.main", "page")
        self.process: Worker = self._case.worker("page", program, **self._variables)
        port = int(self._variables["PAGE_PORT"])
        eventually(lambda: _listens(port) or not self.process.running, "the page listens", 60)
        assert self.process.running, self.process.words()


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


def opened(context: BrowserContext, url: str) -> tuple[Page, list[str]]:
    """A tab with the page and everything that went wrong in it."""
    page = context.new_page()
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("dialog", lambda dialog: wrong.append(f"dialog: {dialog.message}"))
    page.on("console", lambda said: wrong.append(said.text) if said.type == "error" else None)
    page.goto(url)
    expect(page.locator(".tile .big").first).to_have_text(re.compile(r"\d"), timeout=30_000)
    return page, wrong
