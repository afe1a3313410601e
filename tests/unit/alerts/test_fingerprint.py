"""Fingerprints are those that Prometheus' own library makes: its test vectors to the last digit."""

from __future__ import annotations

import pytest

from pipeline.alerts.fingerprint import fingerprint, fnv1a, named


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ({}, 0xCBF29CE484222325),
        ({"name": "garland, briggs", "fear": "love is not enough"}, 5799056148416392346),
        ({"alertname": "SatisfactionDrop", "metric": "nps", "segment": "eu|web|checkout"}, 0x91C3CFD0C3B52FA3),
    ],
)
def test_fingerprints_are_those_of_prometheus(labels: dict[str, str], expected: int) -> None:
    assert fingerprint(labels) == expected
    assert fingerprint(dict(reversed(labels.items()))) == expected
    assert named(labels) == f"{expected:016x}"


def test_fnv1a_has_its_published_values() -> None:
    assert fnv1a(b"") == 0xCBF29CE484222325
    assert fnv1a(b"a") == 0xAF63DC4C8601EC8C
    assert fnv1a(b"foobar") == 0x85944171F73967E8


def test_where_a_name_ends_matters() -> None:
    assert fingerprint({"ab": "c"}) != fingerprint({"a": "bc"})
    assert fingerprint({"a": "b", "c": ""}) != fingerprint({"a": "b"})
