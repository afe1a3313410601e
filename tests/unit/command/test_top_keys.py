"""Keys of `touchline top`: each is read once, also of several at once; a terminal that is gone ends it."""

from __future__ import annotations

import os

import pytest

from pipeline.command.top import Gone, keys


def test_keys_come_one_by_one_until_the_terminal_hangs_up(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = os.openpty()
    with os.fdopen(theirs) as terminal:
        monkeypatch.setattr("sys.stdin", terminal)
        with keys() as pressed:
            assert pressed(0.0) == ""
            os.write(ours, "mß".encode())
            assert [pressed(5.0), pressed(5.0), pressed(0.0)] == ["m", "ß", ""]
            os.close(ours)
            with pytest.raises(Gone):
                pressed(5.0)
