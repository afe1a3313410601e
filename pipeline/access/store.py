"""Keys in ClickHouse's table `keys` [I/O]: one row a key, the highest `ver` counts, a revoked one counts for ever."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import polars as pl

from pipeline.access.keys import NO_DIGEST, Grant, Key, Right, make, rotated
from pipeline.clickhouse import ClickHouse
from pipeline.errors import UsageError

_COLUMNS = {
    "key_id": pl.String,
    "name": pl.String,
    "digest": pl.Binary,
    "old_digest": pl.Binary,
    "scopes": pl.String,
    "created_ms": pl.Int64,
    "expires_ms": pl.Int64,
    "old_expires_ms": pl.Int64,
    "revoked_ms": pl.Int64,
    "ver": pl.UInt64,
}
#: On the version of a revoked key: whoever rotates it at the same moment loses.
_REVOKED = 1 << 62

_LOAD = """SELECT key_id, name, hex(digest) AS digest, hex(old_digest) AS old_digest, scopes, created_ms, expires_ms,
old_expires_ms, revoked_ms, ver FROM keys FINAL ORDER BY created_ms, key_id"""


class _Scopes(msgspec.Struct, frozen=True):
    """The column `scopes`."""

    rights: list[Right]
    channels: list[str] = []
    brands: list[str] = []
    units: list[str] = []


_scopes = msgspec.json.Decoder(_Scopes).decode


def load(client: ClickHouse) -> dict[str, Key]:
    """All keys ever made, by id, oldest first. Raises Unavailable."""
    return {row["key_id"]: _key(row) for row in client.query(_LOAD).iter_rows(named=True)}


def grants(client: ClickHouse) -> dict[str, Grant]:
    """What each producer may do, by name: of keys with one name that of the one that lives, else of the newest."""
    now_ms = now(client)
    keys = sorted(load(client).values(), key=lambda key: (key.lives(now_ms), key.created_ms))
    return {key.grant.name: key.grant for key in keys}


def create(client: ClickHouse, grant: Grant, valid_ms: int) -> tuple[Key, str]:
    """A new key, valid so long (0: for ever), and its token.

    A live key of the same name is a UsageError, since the name is the producer's.
    """
    now_ms = now(client)
    twin = next((key for key in load(client).values() if key.grant.name == grant.name and key.lives(now_ms)), None)
    if twin is not None:
        raise UsageError(f"there is a live key {grant.name!r} ({twin.grant.key_id}): rotate it, or take another name")
    key, token = make(grant, now_ms, now_ms + valid_ms if valid_ms else 0)
    _write(client, key, 1)
    return key, token


def rotate(client: ClickHouse, which: str, keep_ms: int, valid_ms: int) -> tuple[Key, str]:
    """A new token for a key (by id or name), valid so long (0: for ever); the present one lives on for `keep_ms`."""
    now_ms = now(client)
    key, token = rotated(find(client, which), now_ms, keep_ms, now_ms + valid_ms if valid_ms else 0)
    _write(client, key, _version(client, key.grant.key_id) + 1)
    return key, token


def revoke(client: ClickHouse, which: str, *, old_only: bool = False) -> Key:
    """End a key for ever, or only the token from before its last rotation."""
    key = find(client, which)
    ver = _version(client, key.grant.key_id) + 1
    if old_only:
        key = replace(key, old_digest=NO_DIGEST, old_expires_ms=0)
    elif not key.revoked_ms:
        key, ver = replace(key, revoked_ms=now(client)), ver | _REVOKED
    _write(client, key, ver)
    return key


def find(client: ClickHouse, which: str) -> Key:
    """The key with this id, else the newest that lives under this name, else the newest of the name."""
    keys = load(client)
    if which in keys:
        return keys[which]
    named = [key for key in keys.values() if key.grant.name == which]
    if not named:
        raise UsageError(f"no key {which!r}: `touchline keys list --all` shows them")
    now_ms = now(client)
    return max(named, key=lambda key: (key.lives(now_ms), key.created_ms))


def now(client: ClickHouse) -> int:
    """ClickHouse's clock in ms: one clock for the times of all keys, whoever writes them."""
    return int(client.query("SELECT toUnixTimestamp64Milli(now64(3)) AS ms")["ms"][0])


def _version(client: ClickHouse, key_id: str) -> int:
    rows = client.query("SELECT max(ver) AS ver FROM keys WHERE key_id = {id:String}", {"id": key_id})
    return int(rows["ver"][0])


def _write(client: ClickHouse, key: Key, ver: int) -> None:
    grant = key.grant
    scopes = _Scopes(sorted(grant.rights), sorted(grant.channels), sorted(grant.brands), sorted(grant.units))
    row = {
        "key_id": grant.key_id,
        "name": grant.name,
        "digest": key.digest,
        "old_digest": key.old_digest,
        "scopes": msgspec.json.encode(scopes).decode(),
        "created_ms": key.created_ms,
        "expires_ms": key.expires_ms,
        "old_expires_ms": key.old_expires_ms,
        "revoked_ms": key.revoked_ms,
        "ver": ver,
    }
    client.insert("keys", pl.DataFrame([row], schema=_COLUMNS))


def _key(row: dict[str, object]) -> Key:
    scopes = _scopes(str(row["scopes"]))
    grant = Grant(
        str(row["key_id"]),
        str(row["name"]),
        frozenset(scopes.rights),
        frozenset(scopes.channels),
        frozenset(scopes.brands),
        frozenset(scopes.units),
    )
    return Key(
        grant,
        bytes.fromhex(str(row["digest"])),
        int(str(row["created_ms"])),
        int(str(row["expires_ms"])),
        int(str(row["revoked_ms"])),
        bytes.fromhex(str(row["old_digest"])),
        int(str(row["old_expires_ms"])),
    )
