"""Classifiers that go wrong in every way a model can, for the child's `--classifier` (fault case T7)."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Sequence

import numpy as np

from pipeline.texts.labels import Probabilities
from pipeline.texts.model import Classifier


class Cheerful:
    """Works: everything is positive."""

    def __init__(self, tier: str) -> None:
        self.tier = tier
        self.model = f"{tier}-of-test"

    def probabilities(self, texts: Sequence[str]) -> Probabilities:
        return np.tile(np.array([0.1, 0.2, 0.7], np.float32), (len(texts), 1))


class Gloomy(Cheerful):
    """Works, and is another model: everything is negative."""

    def __init__(self, tier: str) -> None:
        super().__init__(tier)
        self.model = f"{tier}-of-tomorrow"

    def probabilities(self, texts: Sequence[str]) -> Probabilities:
        return super().probabilities(texts)[:, ::-1]


class Raising(Cheerful):
    def probabilities(self, texts: Sequence[str]) -> Probabilities:
        raise RuntimeError(texts[0])


class NotANumber(Cheerful):
    def probabilities(self, texts: Sequence[str]) -> Probabilities:
        return super().probabilities(texts) * np.float32("nan")


class TooFew(Cheerful):
    def probabilities(self, texts: Sequence[str]) -> Probabilities:
        return super().probabilities(texts)[1:]


class Hanging(Cheerful):
    def probabilities(self, texts: Sequence[str]) -> Probabilities:
        threading.Event().wait()
        return super().probabilities(texts)


class Killed(Cheerful):
    def probabilities(self, texts: Sequence[str]) -> Probabilities:
        os.kill(os.getpid(), signal.SIGKILL)
        return super().probabilities(texts)


class PrintsToStandardOutput(Cheerful):
    def probabilities(self, texts: Sequence[str]) -> Probabilities:
        os.write(1, b"a library prints something")
        return super().probabilities(texts)


def healthy() -> dict[str, Classifier]:
    return {"minilm": Cheerful("minilm"), "static": Cheerful("static")}


def gloomy() -> dict[str, Classifier]:
    return {"minilm": Gloomy("minilm"), "static": Gloomy("static")}


def raises() -> dict[str, Classifier]:
    return healthy() | {"minilm": Raising("minilm")}


def not_a_number() -> dict[str, Classifier]:
    return healthy() | {"minilm": NotANumber("minilm")}


def too_few() -> dict[str, Classifier]:
    return healthy() | {"minilm": TooFew("minilm")}


def hangs() -> dict[str, Classifier]:
    return healthy() | {"minilm": Hanging("minilm")}


def killed() -> dict[str, Classifier]:
    return healthy() | {"minilm": Killed("minilm")}


def talkative() -> dict[str, Classifier]:
    return healthy() | {"minilm": PrintsToStandardOutput("minilm")}


def both_hang() -> dict[str, Classifier]:
    return {"minilm": Hanging("minilm"), "static": Hanging("static")}


def never_starts() -> dict[str, Classifier]:
    raise MemoryError
