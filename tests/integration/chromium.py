"""Debian's Chromium for tests of the page: where it is, and how it is started."""

from __future__ import annotations

import os
import shutil

import pytest

#: Runs as root, in a container, without a display, and asks nobody anything.
ARGUMENTS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
]


def chromium() -> str:
    """Its path; skips the test where there is none, and fails it where CI is set."""
    found = shutil.which("chromium")
    if found is None:
        said = "no Chromium: `apt-get install chromium`"
        if os.environ.get("CI"):
            pytest.fail(said)
        pytest.skip(said)
    return found
