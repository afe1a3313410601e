"""A deployment per test on the shared stack, as the chaos tests have it; for the page one a run, and a browser.

A browser is skipped where there is no Chromium, but a failure where CI is set; .ci/run installs it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, sync_playwright

from pipeline.clickhouse import ClickHouse
from pipeline.stack.launch import Stack
from tests.chaos.harness import Case, deployed
from tests.integration.browsing import HOSTILE, Served, beside, deployed_beside
from tests.integration.chromium import ARGUMENTS, chromium
from tests.integration.lives import HOUR, Lives
from tests.integration.page_place import filled, published, texts_of


@pytest.fixture
def case(stack: Stack, tmp_path: Path) -> Iterator[Case]:
    """Topics, tables and a group of one test."""
    with deployed(Case(stack.bootstrap, stack.clickhouse_url, tmp_path)) as made:
        yield made


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    path = chromium()
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield started
        started.close()


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    made = browser.new_context(viewport={"width": 1280, "height": 900}, reduced_motion="reduce")
    made.set_default_timeout(30_000)
    yield made
    made.close()


@pytest.fixture(scope="session")
def place(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Case]:
    """Figures of three hours, hostile words among them, on the topic too."""
    chromium()
    made = Case(stack.bootstrap, stack.clickhouse_url, tmp_path_factory.mktemp("page"), partitions=2)
    with deployed_beside(made) as case:
        client = ClickHouse(case.settings)
        filled(client, seed=11, touchpoints=("checkout", "delivery", HOSTILE))
        lived(client)
        restated(client)
        texts_of(client, HOSTILE)
        client.close()
        beside(lambda: asyncio.run(published(case.settings)))
        yield case


def lived(client: ClickHouse) -> None:
    """Two days of forty customers who bought something and were asked about it; hostile words at one step."""
    lives = Lives()
    for customer in range(1, 41):
        at = time.time() - 2 * 86_400 - customer * 60
        lives.did(customer, at, "page_viewed", brand="aurora")
        lives.did(customer, at + 60, "checkout", "fail" if customer % 4 == 0 else "ok", brand="aurora")
        lives.did(customer, at + 120, HOSTILE, brand="aurora")
        if customer % 2:
            lives.did(customer, at + 180, "delivery", brand="aurora")
        lives.said(customer, at + HOUR, 2 if customer % 4 == 0 else 9, "checkout", brand="aurora")
    lives.write(client)


def restated(client: ClickHouse) -> None:
    """A late answer changed the step of half an hour ago ten minutes after it was final."""
    step = int(time.time()) // 300 * 300 - 1_800
    final_ms, known_ms = (step + 360) * 1000, (step + 960) * 1000
    place = "'feedback', 1, 0, 7"
    client.command(
        "INSERT INTO frontiers (topic, epoch, part, off, window_end, closed_ms, ver)"
        f" VALUES ({place}, {step + 300}, {final_ms}, 1)"
    )
    client.command(
        "INSERT INTO changes (topic, epoch, part, off, minute, reason, known_ms, ver)"
        f" VALUES ({place}, {step}, 'delayed', {known_ms}, 1)"
    )


@pytest.fixture(scope="session")
def served(place: Case) -> Served:
    return Served(place)


@pytest.fixture(scope="session")
def filled_place(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Case]:
    """One deployment for all of these tests: they only read it."""
    made = Case(stack.bootstrap, stack.clickhouse_url, tmp_path_factory.mktemp("page"), partitions=2)
    with deployed(made) as case:
        client = ClickHouse(case.settings)
        filled(client, seed=11)
        client.close()
        yield case


@pytest.fixture
def read_place(filled_place: Case, monkeypatch: pytest.MonkeyPatch) -> Case:
    for name, value in filled_place.environment().items():
        monkeypatch.setenv(name, value)
    return filled_place
