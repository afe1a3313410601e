"""What a deployment says of its integrations: read, or refused with the place of the mistake."""

from __future__ import annotations

import json
import tracemalloc
from pathlib import Path

import pytest

from pipeline.errors import SettingsError, UsageError
from pipeline.intake.integrations import integrations
from pipeline.intake.integrations.contract import Options
from pipeline.intake.integrations.documents import documents_about, events_in
from pipeline.intake.webhooks import load_options
from schemas.feedback import Feedback


def test_secrets_fields_questions_and_touchpoints_are_read(tmp_path: Path) -> None:
    file = tmp_path / "integrations.toml"
    file.write_text(
        '[typeform]\nsecrets = ["a", "b"]\nfields = {brand = "acme"}\n[typeform.questions]\nq = "csat 1-7"\n'
    )
    assert load_options(file) == {"typeform": Options(("a", "b"), {"brand": "acme"}, {"q": "csat 1-7"})}
    assert load_options(None) == {}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[pigeon]\n", "integrations are"),
        ("typeform = 1\n", "integrations are"),
        ("[typeform]\nsecret = 'x'\n", "typeform.secret"),
        ("[typeform]\nsecrets = 'x'\n", "typeform.secrets"),
        ("[typeform", "no TOML"),
    ],
)
def test_a_mistake_is_named(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "integrations.toml"
    file.write_text(text)
    with pytest.raises(SettingsError, match=said):
        load_options(file)


REVIEW = (
    '{"data": {"id": "1", "attributes": {"rating": 4, "body": "fine", "createdDate": "2023-10-01T12:34:56-07:00"}}}'
)


@pytest.mark.parametrize("content", [REVIEW, f"{REVIEW}\n{REVIEW}\n", "\ufeff" + REVIEW])
def test_a_file_of_a_tools_json_is_one_document_or_one_a_line(tmp_path: Path, content: str) -> None:
    file = tmp_path / "reviews.json"
    file.write_text(content, encoding="utf-8")
    found = list(events_in(file, integrations()["app_store"], Options()))
    assert len(found) == content.count("rating")
    assert all(isinstance(event, Feedback) and event.score == 4 for event in found)


def test_a_file_of_lines_is_not_in_memory_as_a_whole(tmp_path: Path) -> None:
    file = tmp_path / "reviews.json"
    line = REVIEW.replace("fine", "fine " * 200) + "\n"
    file.write_text(line * 4_000)
    tracemalloc.start()
    assert sum(1 for _ in events_in(file, integrations()["app_store"], Options())) == documents_about(file) == 4_000
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < file.stat().st_size / 4


def test_a_document_of_a_file_may_hold_more_events_than_a_delivery(tmp_path: Path) -> None:
    file = tmp_path / "reviews.json"
    review = json.loads(REVIEW)["data"]
    file.write_text(json.dumps({"data": [review | {"id": str(n)} for n in range(2_001)]}, indent=1))
    assert len(list(events_in(file, integrations()["app_store"], Options()))) == 2_001
    assert documents_about(file) is None


@pytest.mark.parametrize("content", ["{", "{}\n{\n"])
def test_a_file_that_is_no_json_is_named(tmp_path: Path, content: str) -> None:
    file = tmp_path / "reviews.json"
    file.write_text(content)
    with pytest.raises(UsageError, match=r"reviews\.json"):
        list(events_in(file, integrations()["app_store"], Options()))
