"""The OpenAPI document is what the code says, its examples are valid, and the viewer is the one that was vendored."""

from __future__ import annotations

import gzip
import hashlib
import json
from pathlib import Path

import jsonschema
import pytest

from pipeline.intake import openapi
from pipeline.intake.pages import STATIC, VIEWER
from pipeline.intake.serving import Server
from pipeline.settings import load_settings

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = json.loads(openapi.FILE.read_bytes())


def test_the_committed_document_is_what_the_code_says() -> None:
    assert openapi.FILE.read_bytes() == openapi.written(), "run `python -m pipeline.intake.openapi`"


def schema_of(media: str) -> dict[str, object]:
    content = DOCUMENT["paths"]["/v1/events"]["post"]["requestBody"]["content"][media]
    return {**content["schema"], "components": DOCUMENT["components"]}


@pytest.mark.parametrize(
    "media", ["application/json", "application/cloudevents+json", "application/cloudevents-batch+json"]
)
def test_examples_are_valid(media: str) -> None:
    content = DOCUMENT["paths"]["/v1/events"]["post"]["requestBody"]["content"][media]
    jsonschema.validate(content["example"], schema_of(media))
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"score": 1}, schema_of(media))


def test_every_route_of_the_api_stands_in_the_document_and_the_other_way_round() -> None:
    routes = Server(load_settings(insecure_keys=True)).application().router.routes()
    served = {
        (route.method.lower(), route.resource.canonical)
        for route in routes
        if route.resource is not None and route.resource.canonical.startswith("/v1/") and route.method != "HEAD"
    }
    methods = ("get", "post", "options")
    said = {
        (method, path) for path, operations in DOCUMENT["paths"].items() for method in methods if method in operations
    }
    assert served == said
    assert ("post", "/v1/in/{integration}/{key}") in said


@pytest.mark.parametrize("path", ["/v1/invitations", "/v1/choices", "/v1/bounces"])
def test_examples_of_the_contact_policy_are_valid(path: str) -> None:
    content = DOCUMENT["paths"][path]["post"]["requestBody"]["content"]["application/json"]
    schema = {**content["schema"], "components": DOCUMENT["components"]}
    jsonschema.validate(content["example"], schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"customer_id": ""}, schema)


def test_every_reference_leads_somewhere() -> None:
    names = {part.split('"')[0] for part in openapi.FILE.read_text().split("#/components/schemas/")[1:]}
    assert names == set(DOCUMENT["components"]["schemas"])


def test_the_viewer_is_the_file_that_was_vendored_and_its_licence_lies_beside_it() -> None:
    digest = hashlib.sha256(gzip.decompress(VIEWER.read_bytes())).hexdigest()
    assert digest == "affbd173a65e870e18f392cca963113bcdafb6e50e88cd2f6a834a65b22db94d"
    notices = (ROOT / "docs" / "third-party.md").read_text()
    assert digest in notices
    assert "MIT" in (STATIC / "rapidoc.LICENSE.txt").read_text()
