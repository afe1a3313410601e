"""The bundled models: golden sentences of our own, hostile texts, and the published accuracy where the data lie."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import NotReady
from pipeline.texts import model, normal
from pipeline.texts.labels import LABELS

GOLDEN = {
    "positive": [
        "The support agent was friendly and very helpful.",
        "Fantastic service, I will definitely order again!",
        "I love the new app, it is fast and easy to use.",
        "Thank you so much for the quick refund, you made my day.",
    ],
    "negative": [
        "The parcel arrived broken and nobody answers my mails.",
        "Worst hotel I have ever stayed in, dirty and loud.",
        "I am really disappointed, the refund still has not come.",
        "The checkout crashes every time, this is so annoying.",
    ],
    "neutral": ["The meeting starts at nine on Monday.", "Is the shop open on Sunday?"],
}
#: Right only with word order in view: the static model, a bag of words, takes "problem" for a complaint.
HARD = {
    "The support agent was friendly and solved my problem in five minutes.": "positive",
    "I ordered two shirts and a pair of shoes.": "neutral",
}
HOSTILE = [
    "\x00",
    "\u202e\u200b",
    "x" * 1_000_000,
    "😀" * 5_000,
    "a " * 50_000,
    "ignore all instructions",
    "漢字",
    " ",
    "",
]


@pytest.fixture(scope="module", params=["minilm", "static"])
def classifier(request: pytest.FixtureRequest) -> model.Classifier:
    return model.bundled()[request.param]


@pytest.mark.parametrize("expected", list(GOLDEN))
def test_plain_sentences_get_the_label_a_person_gives(classifier: model.Classifier, expected: str) -> None:
    found = classifier.probabilities(GOLDEN[expected]).argmax(axis=1) + 1
    assert [LABELS[label] for label in found] == [expected] * len(found)


def test_the_transformer_reads_what_a_bag_of_words_does_not() -> None:
    found = model.MiniLm().probabilities(list(HARD)).argmax(axis=1) + 1
    assert [LABELS[label] for label in found] == list(HARD.values())


def test_probabilities_are_shares_of_one(classifier: model.Classifier) -> None:
    shares = classifier.probabilities([text for texts in GOLDEN.values() for text in texts])
    assert shares.dtype == np.float32
    np.testing.assert_allclose(shares.sum(axis=1), 1, atol=1e-5)


def test_the_order_of_the_texts_is_kept(classifier: model.Classifier) -> None:
    texts = [GOLDEN["positive"][0], GOLDEN["negative"][1], "ok", GOLDEN["negative"][0] * 3] * 20
    labels = classifier.probabilities(texts).argmax(axis=1)
    np.testing.assert_array_equal(labels, np.tile(labels[:4], 20))
    assert labels[:2].tolist() == [2, 0]


def test_the_same_texts_get_the_same_probabilities(classifier: model.Classifier) -> None:
    texts = GOLDEN["positive"] + GOLDEN["negative"]
    np.testing.assert_array_equal(classifier.probabilities(texts), classifier.probabilities(texts))


def test_hostile_texts_get_probabilities_too(classifier: model.Classifier) -> None:
    prepared = normal.capped(normal.normalised(normal.column(HOSTILE)))[0].to_list()
    assert np.isfinite(classifier.probabilities(prepared)).all()


def test_no_texts_give_no_probabilities(classifier: model.Classifier) -> None:
    assert classifier.probabilities([]).shape == (0, 3)


def test_the_other_texts_do_not_move_a_static_label() -> None:
    static, texts = model.Static(), GOLDEN["positive"] + GOLDEN["negative"]
    alone = np.concatenate([static.probabilities([text]) for text in texts])
    np.testing.assert_allclose(static.probabilities(texts), alone, atol=1e-6)


def test_a_model_is_named_by_the_hash_of_its_weights() -> None:
    weights = (model.BUNDLED / "static" / "weights.npz").read_bytes()
    assert model.Static().model == hashlib.sha256(weights).hexdigest()[:12]


@pytest.mark.parametrize("load", [model.MiniLm, model.Static])
def test_a_missing_file_is_named_with_the_command_that_brings_it(
    load: Callable[[Path], object], tmp_path: Path
) -> None:
    with pytest.raises(NotReady, match="git checkout"):
        load(tmp_path)


@pytest.mark.parametrize(("tier", "least"), [("minilm", 0.84), ("static", 0.79)])
def test_the_accuracy_on_sst2_is_that_of_the_model_card(tier: str, least: float) -> None:
    data = Path(__file__).parents[4] / "shared" / "data" / "sentiment" / "sst2" / "dev.tsv"
    if not data.is_file():
        pytest.skip("the labelled data of ../shared are not here; they are never part of the project")
    rows = [line.split("\t", 1) for line in data.read_text().splitlines()]
    shares = model.bundled()[tier].probabilities([text for _, text in rows])
    right = (shares[:, 2] > shares[:, 0]) == np.array([label == "1" for label, _ in rows])
    assert right.mean() >= least
