"""From records of the topic `profiles` to rows of the table `profiles` (pure).

The customer becomes a pseudonym here, before anything is stored, and attributes are masked. A record without a value
(a tombstone: the owner of the profile takes it back) becomes one row with TOMBSTONE_MS, no segments and no attributes,
so that the table's highest offset still is the topic's position and a later load forgets the customer too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import orjson
import polars as pl

from pipeline.customers.masking import LEAST_ID, mask_addresses, mask_text
from pipeline.customers.profiles import TOMBSTONE_MS
from pipeline.customers.pseudonyms import Pseudonyms
from schemas.profile import Profile

#: Columns of the table `profiles`; `ver` is added by the writer, who holds the fence.
COLUMNS: dict[str, pl.DataType] = {
    "part": pl.UInt16(),
    "off": pl.Int64(),
    "key_id": pl.UInt8(),
    "customer": pl.UInt64(),
    "valid_from_ms": pl.Int64(),
    "segments": pl.String(),
    "unit": pl.String(),
    "attributes": pl.String(),
}


class ProfileRecord(NamedTuple):
    """One decoded record: `profile` None is a tombstone, whose customer is the record's key."""

    off: int
    key: str
    profile: Profile | None


def rows_of(part: int, records: Sequence[ProfileRecord], pseudonyms: Pseudonyms) -> pl.DataFrame:
    """One row a record, in order, with COLUMNS. Segments are sorted, each once, joined by commas."""
    ids = pl.Series([r.key if r.profile is None else r.profile.customer for r in records], dtype=pl.String)
    customer, key_id = pseudonyms.customers(ids)
    facts = [_facts(record.profile) for record in records]
    columns = {
        "part": [part] * len(records),
        "off": [record.off for record in records],
        "key_id": key_id,
        "customer": customer,
        "valid_from_ms": [fact[0] for fact in facts],
        "segments": [fact[1] for fact in facts],
        "unit": [fact[2] for fact in facts],
        "attributes": [fact[3] for fact in facts],
    }
    return pl.DataFrame(columns, schema=COLUMNS)


def _facts(profile: Profile | None) -> tuple[int, str, str, str]:
    if profile is None:
        return TOMBSTONE_MS, "", "", ""
    moment = round(profile.valid_from.timestamp() * 1000)
    attributes = {
        _masked(name, profile.customer): _masked(value, profile.customer) if isinstance(value, str) else value
        for name, value in profile.attributes.items()
    }
    stored = orjson.dumps(attributes, option=orjson.OPT_SORT_KEYS).decode()
    return moment, ",".join(sorted(set(profile.segments))), mask_addresses(profile.unit or ""), stored


def _masked(word: str, customer: str) -> str:
    """One word of an attribute without personal data; [id] stands for the customer's own id, as in enrich."""
    if word == customer or (len(customer) >= LEAST_ID and customer in word):
        word = word.replace(customer, "[id]")
    return mask_text(word)
