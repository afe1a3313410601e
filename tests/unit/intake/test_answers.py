"""Answers: 202 when all are in, 207 when some are, 400 when none is, 403 when none lies within the scope."""

from __future__ import annotations

import json

import pytest

from pipeline.intake.admission import Judged
from pipeline.intake.answers import answer_of, encode, status_of
from schemas.explain import reject
from schemas.vocabulary import Reason

IN = Judged("feedback", b"k", b"v", "e1", None)
BAD = Judged("", b"", b"", "", reject(Reason.OUT_OF_RANGE, "$.score", "Expected `int` from 0 to 10"))
FOREIGN = Judged("", b"", b"", "e3", reject(Reason.OUT_OF_SCOPE, "$.brand", "the key is not for it"))


@pytest.mark.parametrize(
    ("judged", "status"),
    [
        ([IN, IN], 202),
        ([IN, BAD], 207),
        ([IN, FOREIGN], 207),
        ([BAD, FOREIGN], 400),
        ([FOREIGN, FOREIGN], 403),
    ],
)
def test_the_status_tells_how_many_are_in(judged: list[Judged], status: int) -> None:
    assert status_of(answer_of(judged)) == status


def test_each_event_has_its_verdict_in_order() -> None:
    assert json.loads(encode(answer_of([IN, BAD]))) == {
        "accepted": 1,
        "rejected": 1,
        "items": [
            {"index": 0, "event_id": "e1", "verdict": "accepted"},
            {
                "index": 1,
                "event_id": "",
                "verdict": "rejected",
                "reason": "out_of_range",
                "path": "$.score",
                "detail": "Expected `int` from 0 to 10",
            },
        ],
    }
