"""`touchline keys`: who may write and read over HTTP."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.command.admin import guarded
from pipeline.command.output import Exit, emit, emit_json, note
from pipeline.errors import UsageError

if TYPE_CHECKING:
    from pipeline.access.keys import Key

app = typer.Typer(rich_markup_mode=None, no_args_is_help=True)
keys = typer.Typer(rich_markup_mode=None, help="Keys for the gateway and the views.", no_args_is_help=True)
app.add_typer(keys, name="keys")

AsJson = Annotated[bool, typer.Option("--json", help="one JSON document on standard output")]
Expires = Annotated[str, typer.Option(help="how long it is valid: 90d, 12h, never")]
Which = Annotated[str, typer.Argument(help="id or name of the key")]


@keys.command("create")
def create(
    name: Annotated[str, typer.Argument(help="of the producer or reader, e.g. web-shop")],
    right: Annotated[list[str], typer.Option(help="write, read, contact or admin; repeatable")] = ["write"],  # noqa: B006
    channel: Annotated[list[str], typer.Option(help="only these channels; repeatable")] = [],  # noqa: B006
    brand: Annotated[list[str], typer.Option(help="only these brands; repeatable")] = [],  # noqa: B006
    unit: Annotated[list[str], typer.Option(help="only these units; repeatable")] = [],  # noqa: B006
    expires: Expires = "365d",
    json: AsJson = False,
) -> None:
    """Make a key; its token is shown once, on standard output, and kept nowhere."""

    def work() -> int:
        from pipeline.access import store
        from pipeline.access.keys import Grant

        scopes = (frozenset(channel), frozenset(brand), frozenset(unit))
        grant = Grant("", name, _rights(right), *scopes)
        _shown(*store.create(_client(), grant, _valid(expires)), json)
        return Exit.OK

    _guarded(work)


@keys.command("list")
def list_(
    every: Annotated[bool, typer.Option("--all", help="revoked and expired ones too")] = False, json: AsJson = False
) -> None:
    """Show the keys: what they may do, until when. Tokens are not kept, so none is shown."""

    def work() -> int:
        from pipeline.access import store

        client = _client()
        now_ms = store.now(client)
        found = [key for key in store.load(client).values() if every or key.lives(now_ms)]
        if json:
            emit_json([_document(key, now_ms) for key in found])
            return Exit.OK
        for key in found:
            emit(_line(_document(key, now_ms)))
        if not found:
            note("no keys: `touchline keys create NAME` makes one")
        return Exit.OK

    _guarded(work)


@keys.command("rotate")
def rotate(
    which: Which,
    keep: Annotated[str, typer.Option(help="how long the present token stays valid: 7d, 1h, 0")] = "7d",
    expires: Expires = "365d",
    json: AsJson = False,
) -> None:
    """Give a key a new token; both are valid until --keep is over. The key's id and scope stay."""

    def work() -> int:
        from pipeline.access import store

        kept = 0 if keep == "0" else _ms(keep)
        _shown(*store.rotate(_client(), which, kept, _valid(expires)), json)
        return Exit.OK

    _guarded(work)


@keys.command("revoke")
def revoke(
    which: Which,
    old: Annotated[bool, typer.Option("--old", help="only the token from before the last rotation")] = False,
) -> None:
    """End a key for ever; every server refuses it within five seconds."""

    def work() -> int:
        from pipeline.access import store

        key = store.revoke(_client(), which, old_only=old)
        what = "the old token of key" if old else "key"
        note(f"{what} {key.grant.key_id} ({key.grant.name}) is refused within five seconds")
        return Exit.OK

    _guarded(work)


def _guarded(work: Any) -> None:
    """As `guarded`, with 2 for what makes no sense."""

    def tried() -> int:
        try:
            return int(work())
        except UsageError as error:
            note(f"touchline keys: {error}")
            return Exit.USAGE

    guarded(tried)


def _client() -> Any:
    from pipeline.clickhouse import ClickHouse
    from pipeline.settings import load_settings

    return ClickHouse(load_settings())


def _rights(words: list[str]) -> Any:
    from pipeline.access.keys import Right

    unknown = sorted(set(words) - set(Right))
    if unknown:
        raise UsageError(f"no right {', '.join(unknown)}; one of {', '.join(Right)}")
    return frozenset(Right(word) for word in words)


def _ms(text: str) -> int:
    from pipeline.command.typed import duration

    return duration(text) * 1000


def _valid(text: str) -> int:
    """How long a key is valid, in ms; 0 is for ever."""
    return 0 if text == "never" else _ms(text)


def _shown(key: Key, token: str, json: bool) -> None:
    """The token as the result; what it is good for beside it."""
    document = _document(key, key.created_ms)
    if json:
        emit_json({**document, "token": token})
        return
    emit(token)
    until = f"until {document['expires']}" if document["expires"] else "for ever"
    note(f"key {key.grant.key_id} ({key.grant.name}), {'+'.join(document['rights'])}, {until}; it is not shown again")


def _line(shown: dict[str, Any]) -> str:
    """One key for people."""
    scope = " ".join(f"{what}={','.join(shown[what])}" for what in ("channels", "brands", "units") if shown[what])
    rights, end = ",".join(shown["rights"]), shown["expires"] or "never"
    return f"{shown['key_id']}  {shown['name']:<20} {shown['state']:<9} {rights:<11} {end}  {scope}".rstrip()


def _document(key: Key, now_ms: int) -> dict[str, Any]:
    grant = key.grant
    return {
        "key_id": grant.key_id,
        "name": grant.name,
        "state": key.state(now_ms),
        "rights": sorted(grant.rights),
        "channels": sorted(grant.channels),
        "brands": sorted(grant.brands),
        "units": sorted(grant.units),
        "created": _written(key.created_ms),
        "expires": _written(key.expires_ms),
        "old_token_until": _written(key.old_expires_ms) if key.old_lives(now_ms) else None,
        "revoked": _written(key.revoked_ms),
    }


def _written(ms: int) -> str | None:
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="seconds") if ms else None
