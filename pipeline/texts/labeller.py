"""Labels for columns of texts [I/O]: the parent of the process that holds the models (`child.py`).

Labelling never raises into the stream and never stops it. A child that does not answer in time, raises or dies is
killed and started again; its texts get the static tier, marked "fallback", from the fresh child; if that fails too
they are `unscored`, marked "fallback". A tier that keeps failing is left out for a while (1 s, doubling up to 60 s),
and so is starting a child that does not start. So one chunk waits at most for two time limits and two starts, and
those after it, while the fault lasts, for nothing.
"""

from __future__ import annotations

import asyncio
import secrets
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
import polars as pl

from pipeline.texts import language, normal
from pipeline.texts.cache import Cache
from pipeline.texts.child import LENGTH, Answer, Hello, Request, framed
from pipeline.texts.labels import Codes, absent, fell_back, frame, language_codes, unscored

#: The longest pause of something that keeps failing: a broken model costs one time limit a minute.
LONGEST_PAUSE = 60.0


@dataclass(frozen=True, slots=True)
class Options:
    """How to label; the defaults are for production.

    `classifier` is MODULE:FACTORY of the models, `folder` where the child starts (None: here). `limit_s` bounds
    one question of at most `chunk` texts, `start_limit_s` the start of a child. `pause_s` is the first pause of
    what failed twice in a row. `cached` texts are kept per tier.
    """

    classifier: str = "pipeline.texts.model:bundled"
    folder: Path | None = None
    limit_s: float = 10.0
    start_limit_s: float = 30.0
    pause_s: float = 1.0
    #: 256 texts take the transformer 0.2-0.3 s: far from the limit, and long enough to sort by length.
    chunk: int = 256
    cached: int = 100_000


@dataclass(slots=True)
class Pause:
    """When something that failed may be tried again; the first failure costs no pause."""

    first_s: float
    failures: int = 0
    until: float = 0.0

    def failed(self, now: float) -> None:
        """Counts a failure at `now` (seconds)."""
        self.failures += 1
        if self.failures > 1:
            self.until = now + min(self.first_s * 2 ** min(self.failures - 2, 10), LONGEST_PAUSE)

    def worked(self) -> None:
        """Forgets the failures."""
        self.failures, self.until = 0, 0.0


class ChildFailed(Exception):
    """The child did not answer as it should; it is gone."""


@dataclass(slots=True)
class _Child:
    """One running child."""

    process: asyncio.subprocess.Process

    async def hello(self) -> dict[str, str]:
        """The models of a child that is ready."""
        try:
            return msgspec.msgpack.decode(await self._read(), type=Hello).models
        except ValueError as error:
            raise ChildFailed from error

    async def _read(self) -> bytes:
        assert self.process.stdout is not None
        try:
            (length,) = LENGTH.unpack(await self.process.stdout.readexactly(LENGTH.size))
            return await self.process.stdout.readexactly(length)
        except asyncio.IncompleteReadError as error:
            raise ChildFailed from error

    async def ask(self, request: Request) -> Codes:
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(framed(request))
            await self.process.stdin.drain()
            codes = np.frombuffer(msgspec.msgpack.decode(await self._read(), type=Answer).codes, np.int64)
        except (OSError, ValueError) as error:  # a closed pipe; an answer that is none
            raise ChildFailed from error
        if len(codes) != len(request.texts):
            raise ChildFailed
        return codes

    async def end(self) -> None:
        if self.process.returncode is None:
            self.process.kill()
        if self.process.stdin is not None:
            self.process.stdin.close()
        await self.process.wait()


class Labeller:
    """Language, label, probability, tier and model for columns of texts. For one event loop; calls take turns.

    Counters for the metrics: `restarts` of the child; texts that got the mark "fallback", came from the cache, or were
    cut before the model (repeats that the cache answers not counted again).
    """

    def __init__(self, options: Options | None = None) -> None:
        self._options = options or Options()
        self._child: _Child | None = None
        self._started = False
        self._models: dict[str, str] = {}
        self._turn = asyncio.Lock()
        self._pauses = {name: Pause(self._options.pause_s) for name in ("start", "minilm", "static", "fallback")}
        self._caches = {tier: Cache(self._options.cached) for tier in ("minilm", "static")}
        # A seed of its own, so that nobody can write a text that hashes like another.
        self._seed = secrets.randbits(63)
        self.restarts = 0
        self.fallbacks = 0
        self.cache_hits = 0
        self.truncated = 0

    async def start(self) -> None:
        """Starts the child ahead of the first text; `label` would do it as well. Never raises."""
        async with self._turn:
            await self._running()

    async def stop(self) -> None:
        """Ends the child."""
        async with self._turn:
            await self._end()

    async def label(
        self, texts: Sequence[str | None] | pl.Series, stated: Sequence[str | None] | pl.Series, burst: bool
    ) -> pl.DataFrame:
        """The columns `labels.COLUMNS` for `texts`, row by row.

        `stated` is what each event says of its language (None or "": nothing). `burst` asks for the static tier.
        A row without text has the label "".
        """
        raw = normal.column(texts).fill_null("")
        said = language.stated_column(normal.column(stated))
        languages = language_codes(said)
        codes = unscored("none", languages)
        written = raw.str.contains(r"\S")
        blank = (~written).to_numpy()
        codes[blank] = absent(languages[blank])
        rows = np.flatnonzero((written & said.is_in(["", *language.KNOWN])).to_numpy())
        if len(rows):
            codes[rows] = await self._labels("static" if burst else "minilm", raw.gather(rows), said.gather(rows))
        return frame(codes, self._models)

    async def _labels(self, tier: str, raw: pl.Series, said: pl.Series) -> Codes:
        """Packed labels from the cache, and for each text that it does not hold, once, from the child."""
        keys = raw.hash(self._seed).to_numpy() ^ language_codes(said).astype(np.uint64)
        found = self._caches[tier].find(keys.tolist())
        missing = np.array([row for row, code in enumerate(found) if code is None], np.int64)
        self.cache_hits += len(found) - len(missing)
        codes = np.array([0 if code is None else code for code in found], np.int64)
        if len(missing):
            fresh, first, place = np.unique(keys[missing], return_index=True, return_inverse=True)
            text, long = normal.capped(normal.normalised(raw.gather(missing[first])))
            self.truncated += long
            asked = await self._ask_all(tier, text, said.gather(missing[first]))
            codes[missing] = asked[place]
            sure = ~fell_back(asked)
            self._caches[tier].keep(zip(fresh[sure].tolist(), asked[sure].tolist(), strict=True))
            self.fallbacks += int(fell_back(codes[missing]).sum())
        return codes

    async def _ask_all(self, tier: str, text: pl.Series, said: pl.Series) -> Codes:
        """Packed labels from the child, asked in chunks of similar length."""
        codes = np.zeros(len(text), np.int64)
        order = text.str.len_bytes().arg_sort()
        for start in range(0, len(order), self._options.chunk):
            rows = order.slice(start, self._options.chunk)
            request = Request(tier, tier, text.gather(rows).to_list(), said.gather(rows).to_list())
            codes[rows.to_numpy()] = await self._ask(request)
        return codes

    async def _ask(self, request: Request) -> Codes:
        """One chunk: the tier asked for, else the fallback, else unscored."""
        async with self._turn:
            codes = await self._attempt(request)
            if codes is None:
                codes = await self._attempt(msgspec.structs.replace(request, tier="static", mark="fallback"))
        if codes is None:
            return unscored("fallback", language_codes(pl.Series(request.stated).replace("", language.UNDETERMINED)))
        return codes

    async def _attempt(self, request: Request) -> Codes | None:
        """Labels, or None when the tier is paused or fails; after a failure the child is gone."""
        now = asyncio.get_running_loop().time
        pause = self._pauses[request.mark]
        if now() < pause.until or (child := await self._running()) is None:
            return None
        codes = None
        try:
            codes = await asyncio.wait_for(child.ask(request), self._options.limit_s)
        except (ChildFailed, TimeoutError):
            pause.failed(now())
        finally:  # a cancelled call leaves an answer in the pipe that the next one must not read
            if codes is None:
                await self._end()
        if codes is not None:
            pause.worked()
        return codes

    async def _running(self) -> _Child | None:
        """The child, started when there is none; None while starting is paused or when it fails."""
        now = asyncio.get_running_loop().time
        pause = self._pauses["start"]
        if self._child is not None or now() < pause.until:
            return self._child
        self.restarts += self._started
        self._started = True
        try:
            self._child = await self._begin()
            models = await asyncio.wait_for(self._child.hello(), self._options.start_limit_s)
            self._models = models | {"fallback": models["static"]}
        except (ChildFailed, TimeoutError, OSError, KeyError):
            pause.failed(now())
            await self._end()
        else:
            pause.worked()
        return self._child

    async def _begin(self) -> _Child:
        pipe = asyncio.subprocess.PIPE
        command = (sys.executable, "-m", "pipeline.texts.child", "--classifier", self._options.classifier)
        process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, cwd=self._options.folder)
        return _Child(process)

    async def _end(self) -> None:
        child, self._child = self._child, None
        if child is not None:
            await child.end()
