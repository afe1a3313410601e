"""Enrich: profile as of event time, journey stage, owner; identity becomes a pseudonym, texts are masked."""

from __future__ import annotations

from functools import partial
from typing import Any

import faust

from pipeline.customers.following import PROFILES
from pipeline.desk import Desk
from pipeline.ledger.custody import fence
from schemas.vocabulary import Stage

#: Names that came here are passed on to the other workers, and theirs are learned, this often, seconds.
_NAMES_S = 2.0
#: The registry's file is looked at this often, seconds.
_REGISTRY_S = 1.0
#: Partitions of profiles are taken over without an event as well; looked at this often, seconds.
_PROFILES_S = 1.0


def attach(app: faust.App, desk: Desk, reads: Any, writes: Any, profiles: Any) -> None:
    """Adds the customer's side to each slice; follows the topic `profiles` beside it."""

    @desk.agent(app, reads, "enrich")
    async def enrich(stream: Any) -> None:
        async for piece in stream:
            if not desk.custody.holds(piece) or not await desk.following.ensure(piece.partition.part, piece.generation):
                continue
            await desk.naming.ensure()
            with desk.step("enrich", piece.rows.height):
                rows = await desk.columns(piece, Stage.ENRICH, partial(desk.enriched, piece))
            if rows is not None:
                await writes.send(value=piece.with_rows(rows))

    @desk.agent(app, profiles, "follow")
    async def follow(stream: Any) -> None:
        async for poll in stream:
            if poll.generation == desk.group.generation():
                await desk.following.follow(poll, fence(0, poll.generation))

    @desk.timer(app, _PROFILES_S, "profiles")
    async def keep() -> None:
        parts = [partition.part for partition in desk.group.assigned() if partition.topic == PROFILES]
        await desk.following.keep(parts, desk.group.generation())

    @desk.timer(app, _NAMES_S, "names")
    async def names() -> None:
        desk.tell_unknown()
        await desk.naming.exchange()

    @desk.timer(app, _REGISTRY_S, "registry")
    async def registry() -> None:
        desk.look_at_registry()
