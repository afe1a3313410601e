"""Idempotency-Key: the same key, header and place give the same name, anywhere and at any time."""

from __future__ import annotations

import hashlib

from pipeline.intake.idempotency import Sent, event_ids


def test_a_name_depends_on_key_header_and_place_and_on_nothing_else() -> None:
    for place, name in enumerate(event_ids("k1", "h", 12)):
        assert name == "i-" + hashlib.blake2b(f"k1\0h\0{place}".encode(), digest_size=16).hexdigest()
    names = {name for key in ("k1", "k2") for header in ("h", "g") for name in event_ids(key, header, 500)}
    assert len(names) == 2_000
    assert event_ids("k", "1", 12)[1:] != event_ids("k", "11", 11)


def test_another_body_under_a_remembered_header_is_noticed() -> None:
    sent = Sent(most=2)
    assert not sent.differs("k", "h", b"one")
    assert not sent.differs("k", "h", b"one")
    assert sent.differs("k", "h", b"two")
    assert not sent.differs("other", "h", b"two")
    assert not sent.differs("k", "i", b"two")  # the oldest is forgotten
    assert not sent.differs("k", "h", b"two")
