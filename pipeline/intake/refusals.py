"""What the gateway refuses, as messages of the topic `rejected`: sealed, named by its bytes, bounded by key and minute.

It has no offset. Its place is `gateway/0/0/<number>`, the number being a hash of producer and bytes: who sends the same
bad event again and again has one reject. What lies beyond the bound of a key is answered like the others and not kept:
a hostile sender fills no disk.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec

from pipeline.access.keys import Grant
from pipeline.customers.sealing import Sealer, context
from pipeline.intake.admission import Judged
from pipeline.intake.pipe import Parcel
from pipeline.intake.places import GATEWAY, Place
from schemas.codec import encode
from schemas.feedback import Feedback, Reference
from schemas.limits import MAX_VALUE_BYTES
from schemas.outgoing import Rejected
from schemas.touchpoint import Touchpoint

#: Rejects of one key that are kept in a minute, and their bytes: at worst 3 GB a day of disk and key.
MOST_KEPT = 1_000
MOST_KEPT_BYTES = 2 * 1024 * 1024
#: Counts by producer, reason and time that wait for ClickHouse at most.
_MOST_COUNTS = 10_000
#: Arrivals are counted in steps of ten seconds, as the worker counts them.
STEP_S = 10
_MINUTE_S = 60
_FIELDS = re.compile(r"\.([^.\[]+)")
#: Fields of events and of envelopes.
_OURS = frozenset(
    field.name for record in (Feedback, Touchpoint, Reference) for field in msgspec.structs.fields(record)
) | {
    *("specversion", "id", "source", "type", "time", "subject", "datacontenttype", "data", "data_base64"),
}
_OFFSETS = (1 << 63) - 1


class Counted(NamedTuple):
    """What a count of refused events is of: start of its ten seconds (s since 1970), producer, reason."""

    bucket: int
    producer: str
    reason: str


@dataclass(slots=True)
class _Spent:
    """What a key has had kept in a minute."""

    minute: int = 0
    count: int = 0
    size: int = 0


@dataclass(slots=True)
class Refusals:
    """Bounds and counts of one gateway."""

    sealer: Sealer
    most: int = MOST_KEPT
    most_bytes: int = MOST_KEPT_BYTES
    _spent: dict[str, _Spent] = field(default_factory=dict)
    _counts: Counter[Counted] = field(default_factory=Counter)

    def kept(self, grant: Grant, judged: Sequence[Judged], now_ms: int) -> tuple[list[Parcel], int]:
        """Messages that keep the refused ones of a request, and how many of the last ones are not kept."""
        spent = self._spent.setdefault(grant.key_id, _Spent())
        if spent.minute != (minute := now_ms // 1000 // _MINUTE_S):
            spent.minute, spent.count, spent.size = minute, 0, 0
        parcels: list[Parcel] = []
        beyond = 0
        for each in judged:
            if each.rejection is None:
                continue
            self._count(grant.name, each.rejection.reason.value, now_ms)
            size = min(len(each.value), MAX_VALUE_BYTES)
            if beyond or spent.count >= self.most or spent.size + size > self.most_bytes:
                beyond += 1
                continue
            spent.count += 1
            spent.size += size
            parcels.append(self._parcel(grant.name, each))
        return parcels, beyond

    def taken(self) -> Counter[Counted]:
        """Everything counted since the last time; the counts begin anew."""
        counts, self._counts = self._counts, Counter()
        return counts

    def put_back(self, counts: Counter[Counted]) -> None:
        """Counts that could not be written."""
        self._counts.update(counts)

    def _count(self, producer: str, reason: str, now_ms: int) -> None:
        if len(self._counts) < _MOST_COUNTS:
            self._counts[Counted(now_ms // 1000 // STEP_S * STEP_S, producer, reason)] += 1

    def _parcel(self, producer: str, refused: Judged) -> Parcel:
        assert refused.rejection is not None
        value, detail = refused.value, refused.rejection.detail
        if len(value) > MAX_VALUE_BYTES:
            detail = f"{detail}; of {len(value)} bytes the first {MAX_VALUE_BYTES} are kept"
            value = value[:MAX_VALUE_BYTES]
        place = place_of(producer, value)
        sealed = self.sealer.seal([value], [context(*place)])[0]
        record = Rejected(
            topic=place.topic,
            epoch=place.epoch,
            partition=place.part,
            offset=place.off,
            stage=refused.rejection.stage,
            reason=refused.rejection.reason,
            path=shown(refused.rejection.path),
            detail=detail,
            sealed=base64.b64encode(sealed).decode(),
            key_id=self.sealer.key_id,
            producer=producer,
        )
        key = ":".join(map(str, place)).encode()
        return Parcel("rejected", key, encode(record), record.headers)


def shown(path: str) -> str:
    """A path as others may read it: names of fields that are none of ours are the producer's words, like values."""
    named = _FIELDS.findall(path.replace("[...]", ""))
    return path if not path.startswith("$") or all(name in _OURS for name in named) else "$[...]"


def place_of(producer: str, value: bytes) -> Place:
    """Where a refused value of a producer lies: the same for the same bytes."""
    digest = hashlib.blake2b(value, digest_size=8, key=producer.encode()[:64]).digest()
    return Place(GATEWAY, 0, 0, int.from_bytes(digest) & _OFFSETS)
