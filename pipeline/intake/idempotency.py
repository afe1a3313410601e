"""The header Idempotency-Key: names for events that have none, and a memory of what was sent under a key. Pure.

The name of an event is a hash of the key's id, the header and the event's place in the request. So a request that comes
again, at any gateway and after any restart, has the same events, and the worker counts them once. An event that brings
its own `event_id` keeps it: that already names it for ever, and under another header it is still the same event.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict

#: Requests remembered by one gateway, to tell a repeated request from a header used twice by mistake.
REMEMBERED = 10_000
#: Longest header: a UUID has 36 signs, a hash 64.
MAX_HEADER = 255
#: 128 bits name an event: no two meet.
_BYTES = 16


def event_ids(key_id: str, header: str, count: int) -> list[str]:
    """The names of the events of one request."""
    named = hashlib.blake2b(f"{key_id}\0{header}\0".encode(), digest_size=_BYTES)
    found = []
    for index in range(count):
        each = named.copy()
        each.update(str(index).encode())
        found.append(f"i-{each.hexdigest()}")
    return found


class Sent:
    """What was sent under which header, as far as this gateway remembers."""

    def __init__(self, most: int = REMEMBERED) -> None:
        self._most = most
        self._bodies: OrderedDict[tuple[str, str], bytes] = OrderedDict()

    def differs(self, key_id: str, header: str, body: bytes) -> bool:
        """Whether another body came under this header before; remembers this one if none did."""
        digest = hashlib.blake2b(body, digest_size=_BYTES).digest()
        known = self._bodies.setdefault((key_id, header), digest)
        self._bodies.move_to_end((key_id, header))
        if len(self._bodies) > self._most:
            self._bodies.popitem(last=False)
        return known != digest
