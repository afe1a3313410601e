"""Topics of texts: golden texts, the rules of words, what is wrong with a taxonomy, and how sure the bundled one is."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from pipeline.errors import SettingsError
from pipeline.intake import wording
from pipeline.intake.cast import TOPICS
from pipeline.intake.world import LANGUAGES, PRODUCTS, TOWNS
from pipeline.texts.declared import read_taxonomy
from pipeline.texts.taxonomy import Taxonomy, folded

BUNDLED = read_taxonomy()

#: None of these is a sentence of the simulator.
GOLDEN = [
    ("en", "Parcel never arrived and the hotline hung up on me.", "delivery,support"),
    ("en", "Way too EXPENSIVE!!! And the delivery-man was rude...", "delivery,price,staff"),
    ("en", "App keeps crashing; can't log in.", "app"),
    ("en", "I want a refund, the invoice is wrong", "billing,returns"),
    ("en", "Great shoes", ""),
    ("en", "Sold out again, and half an hour in the queue", "waiting,stock"),
    ("en", "No hidden costs, well done.", ""),
    ("en", "No hidden costs but the price went up.", "price"),
    ("en", "Please mail [email], see https://app.example/delivery or @support", ""),
    ("de", "Die Sendung war beschädigt, Rückgabe unmöglich", "delivery,quality,returns"),
    ("de", "PREISLICH GÜNSTIG", "price"),
    ("de", "Teillieferung statt Expressversand", "delivery"),
    ("de", "Datenschutzerklärung? Newsletter ungefragt.", "privacy"),
    ("de", "Bad Kissingen hat eine gute Auswahl", "stock"),
    ("fr", "Colis abîmé, remboursement refusé", "delivery,quality,returns"),
    ("fr", "L’appli plante et le service client ne répond pas", "app,support"),
    ("fr", "Bon rapport qualité-prix", "price"),
    ("es", "El envío llegó tarde y nadie responde", "delivery,support"),
    ("es", "La factura está mal, devolución por favor", "billing,returns"),
    ("es", "Atención al cliente pésima, larga espera", "support,waiting"),
    ("it", "App ottima", "app"),
    ("und", "Lieferung late", "delivery"),
]


def topics(text: str, language: str = "en", taxonomy: Taxonomy = BUNDLED) -> str:
    return str(taxonomy.found(pl.Series([text]), pl.Series([language]))[0])


@pytest.mark.parametrize(("language", "text", "known"), GOLDEN)
def test_a_golden_text_has_its_topics(language: str, text: str, known: str) -> None:
    assert topics(text, language) == known


def test_a_column_gives_what_its_texts_give_alone() -> None:
    languages, texts, known = zip(*GOLDEN, strict=True)
    found = BUNDLED.found(pl.Series([*texts, ""]), pl.Series([*languages, "en"]))
    assert found.to_list() == [*known, ""]
    assert BUNDLED.found(pl.Series([], dtype=pl.String), pl.Series([], dtype=pl.String)).to_list() == []


def test_simulated_texts_have_the_topic_that_they_were_written_about() -> None:
    random, count = np.random.default_rng(20), 20_000
    cause = random.integers(0, len(TOPICS), count)
    drawn = [random.integers(0, size, count) for size in (3, len(PRODUCTS), len(TOWNS))]
    texts = pl.Series(wording.texts(random, wording.Occasion(np.zeros(count, np.int64), cause, *drawn)))
    found = BUNDLED.found(texts, pl.Series(["en"]).new_from_index(0, count)).str.split(",")
    hit = found.list.contains(pl.Series(TOPICS).gather(cause)).to_numpy()
    given = int(found.list.len().sum()) - int((found.list.first() == "").sum())
    assert (
        hit.mean() > 0.84
    )  # the rest says nothing by which a reader could tell either ("Ivan works there on Tuesday.")
    assert hit.sum() / given > 0.80  # most of the others are right too: an order that arrived broken


def test_every_sentence_of_another_language_but_one_has_a_topic() -> None:
    """The simulator does not say what these are about; the one is about having paid and fetched something."""
    kinds = wording.phrases()
    for language in LANGUAGES[1:]:
        spans = [kinds.ranges[f"{language}.{mood}"] for mood in range(3)]
        texts = [kinds.templates[at].form for first, count in spans for at in range(first, first + count)]
        found = BUNDLED.found(pl.Series(texts), pl.Series([language]).new_from_index(0, len(texts)))
        assert (found == "").sum() == 1


def toml(**lists: str) -> str:
    return "[topics.t.words]\n" + "\n".join(f"{name} = {words}" for name, words in lists.items())


@pytest.mark.parametrize(
    ("word", "text", "there"),
    [
        ("late", "too late!", True),
        ("late", "chocolate", False),
        ("deliver*", "undelivered", False),
        ("deliver*", "Re-Delivery", True),
        ("*versand", "Expressversand", True),
        ("*versand", "Versandkosten", False),
        ("*liefer*", "nachgeliefert", True),
        ("did not work", "It did  NOT\nwork.", True),
        ("did not work", "It did work, not", False),
        ("straße", "STRASSE", True),
        ("cafe", "Café", True),
        ("配送*", "配送が遅い", True),
        ("доставк*", "Доставка опоздала", True),
        ("4g", "no 4G", True),
        ("rock'n'roll", "Rock n Roll", True),
    ],
)
def test_a_word_is_found_whole_and_a_star_stands_for_more(word: str, text: str, there: bool) -> None:
    assert topics(text, "en", Taxonomy.parse(toml(any=f'["{word}"]'))) == ("t" if there else "")


def test_a_text_is_read_in_its_language_and_in_all_where_nobody_knows_it() -> None:
    taxonomy = Taxonomy.parse(toml(en='["bad"]', de='["schlecht"]', any='["dhl"]'))
    assert [topics("Das Bad", language, taxonomy) for language in ("en", "de", "sv", "und")] == ["t", "", "t", "t"]
    assert [topics("DHL", language, taxonomy) for language in ("en", "de", "sv")] == ["t", "t", "t"]


def test_an_exception_takes_away_what_is_inside_it_and_nothing_else() -> None:
    text = toml(en='["late", "fee"]') + '\n[topics.t.except]\nen = ["late fee*", "late fee waived"]'
    taxonomy = Taxonomy.parse(text)
    said = [
        "late fee",
        "Late fees!",
        "late fee waived",
        "late fee and late parcel",
        "no late fee, but a fee",
        "late",
        "late late fee",
    ]
    assert [topics(each, "en", taxonomy) for each in said] == ["", "", "", "t", "t", "t", "t"]


def test_a_long_text_is_read_to_its_end() -> None:
    assert topics("very " * 2_000 + "expensive") == "price"


WRONG = [
    ("topics = 3", "there is no topic"),
    ("x = 1\n" + toml(en='["a b"]'), "unknown key 'x'"),
    ("[topics.t]\nname = 'T'", "topic t has no words"),
    ("[topics]\nt = 3", "topic t must be a table"),
    ("[topics.'T T'.words]\nen = ['late']", "an id has small letters"),
    ("[topics.t]\nword = 1\n" + toml(en='["late"]'), "unknown key 'word'"),
    ("[topics.t]\nname = ''\n" + toml(en='["late"]'), "name must be a text"),
    (toml(english='["late"]'), "'english' is no language"),
    (toml(en='"late"'), "words.en must be a list of texts"),
    (toml(en="[3]"), "words.en must be a list of texts"),
    ("[topics.t]\nwords = ['late']", "words must be a table"),
    (toml(en='["a*"]'), "'a*' in words.en needs 3 letters beside its star"),
    (toml(en='["to * late"]'), "has a star inside"),
    (toml(en='["!!!"]'), "has no letter"),
    (toml(en='["Café", "cafe"]'), "'cafe' in words.en stands there twice"),
    (toml(en=f'["{"x" * 81}"]'), "more than 80 characters"),
    (toml(en='["late"]') + "\n[topics.t.except]\nen = ['early']", "takes nothing away"),
    ("".join(f"[topics.t{n}.words]\nen = ['late']\n" for n in range(64)), "there are 64 topics; 63 can be told apart"),
    (toml(en=str([f"word{n}" for n in range(5_001)])), "there are 5001 words"),
    ("[[", "is not valid TOML"),
]


@pytest.mark.parametrize(("text", "sentence"), WRONG)
def test_what_is_wrong_is_said_in_a_sentence(text: str, sentence: str) -> None:
    with pytest.raises(SettingsError, match=r"^the taxonomy mine ") as error:
        Taxonomy.parse(text, "mine")
    assert sentence in str(error.value)


def test_all_mistakes_are_named_at_once_and_a_file_that_is_not_there_too() -> None:
    with pytest.raises(SettingsError) as error:
        Taxonomy.parse("x = 1\n[topics.t.words]\nen = ['a*', '!']")
    assert str(error.value).count(";") == 2
    with pytest.raises(SettingsError, match="cannot be read"):
        read_taxonomy(Path("/nowhere/taxonomy.toml"))


def test_the_version_follows_the_words_and_nothing_else() -> None:
    taxonomies = [
        Taxonomy.parse(text)
        for text in (
            toml(en='["late", "slow"]'),
            "# a remark\n" + toml(en='["SLOW",   "late"]'),
            toml(en='["late", "slow"]') + "\n[topics.t]\nname = 'Time'",
        )
    ]
    assert len({each.version for each in taxonomies}) == 1
    others = [toml(en='["late"]'), toml(de='["late", "slow"]'), toml(en='["late", "slow*"]')]
    versions = [taxonomies[0].version, *(Taxonomy.parse(text).version for text in others)]
    assert all(len(each) == 12 for each in versions)
    assert all(one != other for one, other in pairwise(sorted(versions)))


def test_folding_leaves_small_words_without_accents_between_single_blanks() -> None:
    given = pl.Series(["  Größe,\tÉTÉ—naïve!", "", "ΤΕΛΟΣ", "ﬁne", "हिन्दी"])
    assert folded(given).to_list()[:4] == [" grosse ete naive ", "  ", " τελοσ ", " fine "]
    assert folded(folded(given)).equals(folded(given))
