"""Labels of texts seen before, in bounded memory: surveys and chats repeat themselves ("ok", "thank you").

Two generations: a full young one becomes the old one, and what is asked for again moves back to the young. That
keeps what is used, like least-recently-used, at the price of two dictionary look-ups.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence


class Cache:
    """From 64-bit text hashes to packed labels (`labels.py`): at most `limit` entries, about 150 bytes each."""

    def __init__(self, limit: int = 100_000) -> None:
        if limit < 2:
            raise ValueError(f"A cache of {limit} entries makes no sense; the least is 2.")
        self._half = limit // 2
        self._young: dict[int, int] = {}
        self._old: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    def find(self, keys: Sequence[int]) -> list[int | None]:
        """The label of each key, None where it is not known."""
        found: list[int | None] = list(map(self._young.get, keys))
        if self._old:
            for at in [at for at, label in enumerate(found) if label is None]:
                label = self._old.pop(keys[at], None)
                if label is not None:
                    self.keep(((keys[at], label),))
                    found[at] = label
                elif keys[at] in self._young:  # the same key stood earlier in `keys` and moved just now
                    found[at] = self._young[keys[at]]
        return found

    def keep(self, entries: Iterable[tuple[int, int]]) -> None:
        """Remembers labels; the least used half is forgotten when there is no room."""
        for key, label in entries:
            if len(self._young) >= self._half:
                self._old, self._young = self._young, {}
            self._young[key] = label
