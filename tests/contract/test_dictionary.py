"""The data dictionary is what the migrations say, every column is described, and nothing is described that is not."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from pipeline.views.dictionary import PAGE, meaning, meanings, page, tables

#: What saved queries may build on: of each view its parameters, and its columns with their types. Only ever added to,
#: when a view gets a column; whatever stands in it has been given to analysts.
PUBLISHED = json.loads(Path(__file__).with_name("published_views.json").read_text())

Views = Mapping[str, Mapping[str, Any]]


def broken(published: Views, now: Views) -> list[str]:
    """What would stop a saved query, or change what it gives, one sentence each."""
    found = [f"{name}: the view is gone" for name in published if name not in now]
    for name in [name for name in published if name in now]:
        before, after = published[name], now[name]
        if set(before.get("parameters", ())) != set(after.get("parameters", ())):
            found.append(f"{name}: its parameters are others, so no call of it runs any more")
        columns = list(after["columns"].items())
        found += [
            f"{name}.{column}: column {place + 1} is no longer this one with type {kind}"
            for place, (column, kind) in enumerate(before["columns"].items())
            if columns[place : place + 1] != [(column, kind)]
        ]
    return found


def test_a_saved_query_of_today_works_after_the_next_migration() -> None:
    """The dictionary says what views give, and an integration test holds it to the engine: never less than before."""
    views = meanings()["views"]
    assert broken(PUBLISHED, views) == []
    new = [name for name in views if set(views[name]["columns"]) - set(PUBLISHED.get(name, {}).get("columns", ()))]
    assert new == [], "add what is new at the end of published_views.json"


def test_what_breaks_a_saved_query_is_named() -> None:
    columns = {"a": "String", "b": "Int64"}
    before: Views = {"v": {"parameters": ["first"], "columns": columns}, "w": {"columns": {}}}

    def after(columns: dict[str, str], *parameters: str) -> list[str]:
        return broken(before, {**before, "v": {"parameters": parameters, "columns": columns}})

    assert after({**columns, "c": "Date"}, "first") == []
    assert broken(before, {"w": {"columns": {}}}) == ["v: the view is gone"]
    assert after({**columns, "b": "Float64"}, "first") == ["v.b: column 2 is no longer this one with type Int64"]
    assert len(after({"c": "Date", **columns}, "first")) == 2
    assert after(columns, "first", "last") == ["v: its parameters are others, so no call of it runs any more"]


def test_the_page_is_what_the_migrations_and_meanings_say() -> None:
    assert PAGE.read_text() == page(), "run `python -m pipeline.views.dictionary`"


def test_every_description_has_its_column() -> None:
    known = meanings()
    columns = {column for table in tables().values() for column, _ in table}
    assert set(known["columns"]) <= columns
    assert set(known["tables"]) == set(tables())
    assert set(known["view_columns"]) <= {column for view in known["views"].values() for column in view["columns"]}
    for view in known["views"].values():
        assert set(view.get("meanings", {})) <= set(view["columns"])


def test_a_column_without_a_meaning_is_named() -> None:
    with pytest.raises(KeyError, match="mood is not described"):
        meaning("mood", meanings())
