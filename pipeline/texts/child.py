"""The process that holds the models [I/O]: `python -m pipeline.texts.child [--classifier MODULE:FACTORY]`.

It reads requests from standard input and writes answers to standard output, each a four-byte length and msgpack.
Whatever goes wrong ends it: the parent (`labeller.py`) sees the end of the pipe, and starts another. It ends by
itself, in the middle of a computation too, when standard input does: so it never outlives its parent.
"""

from __future__ import annotations

import argparse
import os
import signal
import struct
import sys
import threading
from importlib import import_module
from queue import SimpleQueue
from types import TracebackType
from typing import BinaryIO

import msgspec
import numpy as np

from pipeline.texts import language, model
from pipeline.texts.labels import Codes, language_code, scored, unscored

#: The length before each message: four bytes, little end first.
LENGTH = struct.Struct("<I")


class Request(msgspec.Struct, frozen=True):
    """Texts to label: prepared by `normal.py`, `stated` by `language.stated` ("" = find the language out).

    `tier` names the classifier; `mark` is the tier written on the labels (the same, or "fallback").
    """

    tier: str
    mark: str
    texts: list[str]
    stated: list[str]


class Hello(msgspec.Struct, frozen=True):
    """The first message of a child: it is ready, and these are its models by tier."""

    models: dict[str, str]


class Answer(msgspec.Struct, frozen=True):
    """Labels of a request, packed (`labels.py`), eight bytes each."""

    codes: bytes


def framed(message: msgspec.Struct) -> bytes:
    """A message with its length before it."""
    body = msgspec.msgpack.encode(message)
    return LENGTH.pack(len(body)) + body


def label(request: Request, classifiers: dict[str, model.Classifier], detector: language.Detector) -> Codes:
    """Labels for the texts of a request.

    Raises:
        ValueError: the classifier returned something that is no probabilities.
    """
    languages = list(request.stated)
    open_rows = [row for row, stated in enumerate(languages) if not stated]
    found = language.detect(detector, [request.texts[row] for row in open_rows])
    for row, detected in zip(open_rows, found, strict=True):
        languages[row] = detected
    packed = np.fromiter(map(language_code, languages), np.int64, len(languages))
    codes = unscored("none", packed)
    rows = [row for row, name in enumerate(languages) if name in language.KNOWN]
    if rows:
        probabilities = classifiers[request.tier].probabilities([request.texts[row] for row in rows])
        if probabilities.shape != (len(rows), 3) or not np.isfinite(probabilities).all():
            raise ValueError("the classifier returned no finite probabilities")
        codes[rows] = scored(probabilities, request.mark, packed[rows])
    return codes


def main() -> None:
    """Loads the models, says so, and answers until standard input ends."""
    parser = argparse.ArgumentParser(description="Labels texts for a worker, over pipes.")
    parser.add_argument("--classifier", default="pipeline.texts.model:bundled", help="MODULE:FACTORY of the models")
    arguments = parser.parse_args()
    out = _private_stdout()
    sys.excepthook = _say_where
    # A signal to the whole group ends the worker; its last texts still want labels, so only the pipe ends the child.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    requests: SimpleQueue[bytes] = SimpleQueue()
    threading.Thread(target=_read, args=(sys.stdin.buffer, requests), daemon=True).start()

    module, _, factory = arguments.classifier.partition(":")
    make: model.Factory = getattr(import_module(module), factory)
    classifiers, detector = make(), language.load()
    _write(out, Hello({tier: classifier.model for tier, classifier in classifiers.items()}))
    decoder = msgspec.msgpack.Decoder(Request)
    while True:
        codes = label(decoder.decode(requests.get()), classifiers, detector)
        _write(out, Answer(codes.tobytes()))


def _private_stdout() -> BinaryIO:
    """Standard output for answers alone: what a library prints goes to standard error instead."""
    answers = os.dup(1)
    os.dup2(2, 1)
    return os.fdopen(answers, "wb")


def _write(out: BinaryIO, message: msgspec.Struct) -> None:
    out.write(framed(message))
    out.flush()


def _read(source: BinaryIO, requests: SimpleQueue[bytes]) -> None:
    """Hands requests on; at the end of the pipe the whole process ends, whatever the other thread does."""
    while len(head := source.read(LENGTH.size)) == LENGTH.size:
        requests.put(source.read(LENGTH.unpack(head)[0]))
    os._exit(0)


def _say_where(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """One line about a failure, without its message: that could quote a customer."""
    while trace and trace.tb_next:
        trace = trace.tb_next
    place = f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace else "?"
    sys.stderr.write(f"The label process ends: {kind.__name__} at {place}\n")
    sys.stderr.flush()
    os._exit(1)  # not by the usual way, which aborts on the thread that waits for the pipe


if __name__ == "__main__":
    main()
