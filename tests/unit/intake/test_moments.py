"""Times as files write them: ISO without being told, day or month first only when told."""

from __future__ import annotations

import pytest

from pipeline.intake.moments import DAY_FIRST, MONTH_FIRST, UNIX, UNIX_MS, looks_written, moment_of


@pytest.mark.parametrize(
    ("text", "form", "moment"),
    [
        ("2026-04-03", "", "2026-04-03T00:00:00"),
        ("2026-04-03T10:20:30Z", "", "2026-04-03T10:20:30+00:00"),
        ("03.04.2026", DAY_FIRST, "2026-04-03T00:00:00"),
        ("3/4/26 9:05", DAY_FIRST, "2026-04-03T09:05:00"),
        ("3/4/2026 9:05:06 PM", MONTH_FIRST, "2026-03-04T21:05:06"),
        ("12/31/2026, 12:00 a.m.", MONTH_FIRST, "2026-12-31T00:00:00"),
        ("12/31/2026 12:00 PM", MONTH_FIRST, "2026-12-31T12:00:00"),
        ("1713418460", UNIX, "2024-04-18T05:34:20+00:00"),
        ("1713418460000", UNIX_MS, "2024-04-18T05:34:20+00:00"),
        ("31.01.2026 12:00", "%d.%m.%Y %H:%M", "2026-01-31T12:00:00"),
    ],
)
def test_a_time_is_read_in_the_way_that_was_said(text: str, form: str, moment: str) -> None:
    found = moment_of(text, form)
    assert found is not None
    assert found.isoformat() == moment


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("03.04.2026", ""),
        ("31/12/2026", MONTH_FIRST),
        ("12/31/2026", DAY_FIRST),
        ("30.02.2026", DAY_FIRST),
        ("03.04/2026", DAY_FIRST),
        ("3/4/2026 13:00 PM", MONTH_FIRST),
        ("3/4/2026 9 o'clock", DAY_FIRST),
        ("yesterday", UNIX),
        ("9" * 16, UNIX),
        ("", ""),
    ],
)
def test_anything_else_is_no_time(text: str, form: str) -> None:
    assert moment_of(text, form) is None


def test_a_date_that_only_a_person_can_read_is_recognised() -> None:
    assert [looks_written(text) for text in ("03.04.2026", "3/4/26 9:05", "2026-04-03", "3.4")] == [
        True,
        True,
        False,
        False,
    ]
