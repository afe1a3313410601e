"""What a demo asks of its workers, whatever size it was asked for; the demo itself runs in tests/integration."""

from __future__ import annotations

import pytest

from pipeline.command import demo
from pipeline.settings import MOST_HOT_ROWS, load_settings


@pytest.mark.parametrize("events", [1_000, demo.EVENTS, 100_000_000])
def test_its_workers_take_their_settings_at_every_size(monkeypatch: pytest.MonkeyPatch, events: int) -> None:
    plan = demo.Plan(seconds=1, folder=None, events=events, rate=1, json=False, begun_ms=0)
    for name, value in demo.variables(plan).items():
        monkeypatch.setenv(name, value)
    settings = load_settings()
    assert 1_000_000 <= settings.hot_rows <= MOST_HOT_ROWS
    settings.require_keys()
