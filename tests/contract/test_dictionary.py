"""The data dictionary is what the migrations say, every column is described, and nothing is described that is not."""

from __future__ import annotations

import pytest

from pipeline.views.dictionary import PAGE, meaning, meanings, page, tables


def test_the_page_is_what_the_migrations_and_meanings_say() -> None:
    assert PAGE.read_text() == page(), "run `python -m pipeline.views.dictionary`"


def test_every_description_has_its_column() -> None:
    known = meanings()
    columns = {column for table in tables().values() for column, _ in table}
    assert set(known["columns"]) <= columns
    assert set(known["tables"]) == set(tables())
    assert set(known["view_columns"]) <= {column for view in known["views"].values() for column in view["columns"]}


def test_a_column_without_a_meaning_is_named() -> None:
    with pytest.raises(KeyError, match="mood is not described"):
        meaning("mood", meanings())
