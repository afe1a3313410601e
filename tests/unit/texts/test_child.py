"""The models' process: it answers over its pipes, and never outlives them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import numpy as np
import pytest

from pipeline.texts import language
from pipeline.texts.child import LENGTH, Answer, Hello, Request, framed, label
from pipeline.texts.labels import frame
from tests.unit.texts import faulty_models

ROOT = Path(__file__).parents[3]
ASK = Request("minilm", "minilm", ["The parcel is late."], ["en"])


@contextmanager
def child(factory: str) -> Iterator[subprocess.Popen[bytes]]:
    command = [
        sys.executable,
        "-m",
        "pipeline.texts.child",
        "--classifier",
        f"tests.unit.texts.faulty_models:{factory}",
    ]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, cwd=ROOT) as process:
        try:
            yield process
        finally:
            process.kill()


def read(process: subprocess.Popen[bytes]) -> bytes:
    assert process.stdout
    (length,) = LENGTH.unpack(process.stdout.read(LENGTH.size))
    return process.stdout.read(length)


def send(process: subprocess.Popen[bytes], request: Request) -> None:
    assert process.stdin
    process.stdin.write(framed(request))
    process.stdin.flush()


def test_it_says_hello_answers_and_ends_with_its_pipe() -> None:
    with child("healthy") as process:
        assert msgspec.msgpack.decode(read(process), type=Hello).models["static"] == "static-of-test"
        send(process, ASK)
        codes = np.frombuffer(msgspec.msgpack.decode(read(process), type=Answer).codes, np.int64)
        assert frame(codes, {}).row(0)[:3] == ("en", "positive", 6000)
        assert process.stdin
        process.stdin.close()
        assert process.wait(30) == 0


def test_it_ends_with_its_pipe_even_while_a_model_hangs() -> None:
    with child("hangs") as process:
        read(process)
        send(process, ASK)
        assert process.stdin
        process.stdin.close()
        assert process.wait(30) == 0


def test_signals_to_the_group_do_not_end_it() -> None:
    with child("healthy") as process:
        read(process)
        process.terminate()
        send(process, ASK)
        assert read(process)


def test_a_failure_is_reported_without_the_text() -> None:
    with child("raises") as process:
        read(process)
        send(process, Request("minilm", "minilm", ["secret words"], ["en"]))
        assert process.wait(30) == 1
        assert process.stderr
        said = process.stderr.read().decode()
    assert "RuntimeError at" in said
    assert "secret" not in said


@pytest.mark.parametrize("factory", [faulty_models.not_a_number, faulty_models.too_few])
def test_what_is_no_probability_is_refused(factory: object) -> None:
    assert callable(factory)
    with pytest.raises(ValueError, match="no finite probabilities"):
        label(ASK, factory(), language.load())


def test_only_texts_without_a_stated_language_are_detected() -> None:
    request = Request("minilm", "minilm", ["Sehr gut, danke schön", "Sehr gut, danke schön"], ["en", ""])
    rows = frame(label(request, faulty_models.healthy(), language.load()), {})
    assert rows["language"].to_list() == ["en", "de"]
    assert rows["tier"].to_list() == ["minilm", "none"]
