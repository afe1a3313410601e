"""Rows that say something else later: texts labelled anew, customers merged or erased; epochs that are over.

After each the windows equal the ledger, what was known before can still be asked for, and the reason is told.
"""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from agents import score
from pipeline.clickhouse import ClickHouse
from pipeline.desk import Desk
from pipeline.followed import Followed
from pipeline.ledger import identities, positions, relabelling, requests, restating
from pipeline.ledger.identities import Identity
from pipeline.ledger.rebuild import compare
from pipeline.scores.history import histories
from pipeline.scores.reading import Question, read_scores
from pipeline.scores.recompute import Part
from pipeline.slices import Partition, Record
from pipeline.texts.declared import read_taxonomy
from pipeline.texts.labeller import Labeller, Options
from tests.chaos.generator import moment
from tests.stages import records
from tests.stages.flow import recorded
from tests.stages.records import FEEDBACK, answer
from tests.stages.test_score import Bench
from tests.stages.worker import closed, desk_of

pytestmark = [pytest.mark.kafka, pytest.mark.clickhouse]

START = records.NOW_MS // 1000 - 3600
SPAN = (START * 1000, records.NOW_MS + 3_600_000)


def said(offset: int, text: str, **fields: Any) -> Record:
    return answer(offset, text=text, language="en", **fields)


def question(metric: str, *by: str, **more: Any) -> Question:
    return Question(metric, START, START + 7_200, None, by, **more)


def bins(client: ClickHouse, asked: Question) -> dict[tuple[str, ...], list[int]]:
    rows = read_scores(client, asked).to_dicts()
    return {(*(row[name] for name in asked.by), row["scale"]): row["histogram"][:3] for row in rows}


def now_ms(client: ClickHouse) -> int:
    return int(client.query("SELECT toUnixTimestamp64Milli(now64(3)) AS ms")["ms"][0])


def equal(desk: Desk, up_to: int) -> None:
    """The table's windows are those of the ledger (of epoch 1)."""
    client = ClickHouse(desk.settings)
    found = compare(client, Part(FEEDBACK.topic, 1, FEEDBACK.part, up_to), 0)
    client.close()
    assert (found.equal, found.rows > 0) == (True, True)


async def done(desk: Desk, kind: str, body: str, epoch: int = 0) -> None:
    """Asks the owner of the partition and lets it carry the request out."""
    client = ClickHouse(desk.settings)
    await asyncio.to_thread(partial(requests.ask, client, FEEDBACK, kind, body, epoch))
    await score.carry_out(desk)
    assert requests.waiting(client, (kind,)).is_empty()
    assert client.query("SELECT body FROM requests FINAL WHERE startsWith(body, 'failed')").is_empty()
    client.close()


def other_model(desk: Desk, name: str) -> None:
    desk.labeller = Labeller(Options(classifier=f"tests.unit.texts.faulty_models:{name}", folder=Path.cwd()))


def closings(client: ClickHouse, off: int) -> None:
    """All windows of the span were closed when the partition was at `off`, and nobody was late."""
    ends = range(START // 300 * 300 + 300, START + 7_500, 300)
    frontiers = pl.DataFrame(
        [(end, "feedback", 1, 1, off, 1, end * 1000 + 60_000) for end in ends],
        schema={
            **{"window_end": pl.UInt32, "topic": pl.String, "epoch": pl.UInt16, "part": pl.UInt16},
            **{"off": pl.Int64, "ver": pl.UInt64, "closed_ms": pl.Int64},
        },
        orient="row",
    )
    client.insert("frontiers", frontiers)


async def test_a_new_model_relabels_a_range_and_the_past_keeps_its_number(bench: Bench) -> None:
    desk, _ = bench
    await score.fold(desk, [await recorded(desk, FEEDBACK, [said(at, f"fine {at}") for at in range(4)])])
    client = ClickHouse(desk.settings)
    closings(client, 3)
    assert bins(client, question("sentiment")) == {("minilm",): [0, 0, 4]}
    before = now_ms(client)
    await desk.labeller.stop()
    other_model(desk, "gloomy")
    # Two are on time, two lie outside of the span that is asked for.
    span = (SPAN[0], records.NOW_MS - 1_000 + 2)
    await done(desk, relabelling.RELABEL, relabelling.Wish(*span, "minilm").body())
    assert bins(client, question("sentiment")) == {("minilm",): [2, 0, 2]}
    labels = client.query("SELECT off, label, p, model, reason FROM ledger FINAL ORDER BY off").rows()
    assert labels[1] == (1, "negative", -6_000, "minilm-of-tomorrow", "")
    assert labels[2] == (2, "positive", 6_000, "minilm-of-test", "")
    equal(desk, 3)
    # As known then; the other tier; again, which finds nothing more to do; and why.
    assert bins(client, question("sentiment", as_of_ms=before)) == {("minilm",): [0, 0, 4]}
    await done(desk, relabelling.RELABEL, relabelling.Wish(*span, "static").body())
    assert bins(client, question("sentiment")) == {("minilm",): [0, 0, 2], ("static",): [2, 0, 0]}
    rows = client.query("SELECT count() AS n FROM ledger")["n"][0]
    await done(desk, relabelling.RELABEL, relabelling.Wish(*span, "static").body())
    assert client.query("SELECT count() AS n FROM ledger")["n"][0] == rows
    assert bins(client, question("sentiment", as_of_ms=before)) == {("minilm",): [0, 0, 4]}
    equal(desk, 3)
    told = {found.scale: found.revisions for found in histories(client, question("sentiment"))}
    assert [each.reading.n for each in told["minilm"]] in ([4, 2], [4, 4, 2])
    assert told["minilm"][0].reading.histogram[:3] == (0, 0, 4)
    assert told["minilm"][-1].reading.histogram[:3] == (0, 0, 2)
    assert told["minilm"][-1].reasons == {"relabelled": 2}
    assert told["static"][-1].reading.histogram[:3] == (2, 0, 0)
    client.close()


async def test_texts_get_the_topics_of_a_new_taxonomy_and_an_erased_one_does_not_come_back(bench: Bench) -> None:
    desk, _ = bench
    said_by = {at: {"customer_id": "anna-77" if at == 3 else "visitor-1"} for at in range(4)}
    story = [said(at, "the parcel is fine", **fields) for at, fields in said_by.items()]
    await score.fold(desk, [await recorded(desk, FEEDBACK, story)])
    client = ClickHouse(desk.settings)
    ledger = client.query("SELECT * FROM ledger ORDER BY off, ver").rows()
    asked = "SELECT off, topics, taxonomy, text FROM texts FINAL ORDER BY off"
    bundled, text = desk.taxonomy.held.version, "the parcel is fine"
    assert client.query(asked).rows() == [(at, "delivery", bundled, text) for at in range(4)]
    file = desk.settings.state_dir / "taxonomy.toml"
    file.write_text('[topics.mood.words]\nen = ["fine"]')
    desk.taxonomy = Followed(file, read_taxonomy)
    span = (SPAN[0], records.NOW_MS - 1_000 + 2)  # two are on time, two lie outside of the span that is asked for
    fresh = desk.taxonomy.held.version
    for _ in range(2):  # the second finds nothing more to do
        await done(desk, relabelling.TOPICS, relabelling.Wish(*span, "").body())
        known = [(0, "mood", fresh, text), (1, "mood", fresh, text), (2, "delivery", bundled, text)]
        assert client.query(asked).rows() == [*known, (3, "delivery", bundled, text)]
        assert client.query("SELECT count() AS n FROM texts")["n"][0] in (4, 6)
    assert client.query("SELECT * FROM ledger ORDER BY off, ver").rows() == ledger
    # Erased, and the command that deletes the text died before it did: whoever reads texts anew brings nothing back.
    await done(desk, identities.ERASE, identities.body_of(identity(desk, "anna-77")))
    await done(desk, relabelling.TOPICS, relabelling.Wish(*SPAN, "").body())
    assert client.query(asked).rows() == [(at, "mood", fresh, text) for at in range(3)]
    client.close()


async def test_an_answer_that_takes_a_relabelled_one_back_takes_back_what_it_says_now(bench: Bench) -> None:
    desk, _ = bench
    key = {"submission_id": "s", "question_id": "q", "source": "survey"}
    story = [
        said(0, "fine", **key, revision=1, occurred_at=moment(records.NOW_MS - 600_000)),
        said(1, "still fine", **key, revision=2),
        said(2, "others too"),
    ]
    await score.fold(desk, [await recorded(desk, FEEDBACK, story)])
    client = ClickHouse(desk.settings)
    before = now_ms(client)
    await desk.labeller.stop()
    other_model(desk, "gloomy")
    first = (SPAN[0], records.NOW_MS - 300_000)
    await done(desk, relabelling.RELABEL, relabelling.Wish(*first, "minilm").body())
    assert client.query("SELECT off, label, old_label FROM ledger FINAL ORDER BY off").rows() == [
        (0, "negative", ""),
        (1, "positive", "negative"),
        (2, "positive", ""),
    ]
    for asked in (question("sentiment"), question("sentiment", as_of_ms=before)):
        assert bins(client, asked) == {("minilm",): [0, 0, 2]}
    equal(desk, 2)
    client.close()


async def test_a_model_that_does_not_answer_changes_nothing_and_says_so(bench: Bench) -> None:
    desk, _ = bench
    await score.fold(desk, [await recorded(desk, FEEDBACK, [said(0, "fine")])])
    await desk.labeller.stop()
    other_model(desk, "raises")
    client = ClickHouse(desk.settings)
    wish = relabelling.Wish(*SPAN, "minilm").body()
    await asyncio.to_thread(partial(requests.ask, client, FEEDBACK, relabelling.RELABEL, wish))
    await score.carry_out(desk)
    assert client.query("SELECT body FROM requests FINAL")["body"].to_list() == ["failed: UsageError"]
    assert client.query("SELECT label, model FROM ledger FINAL").rows() == [("positive", "minilm-of-test")]
    client.close()


def identity(desk: Desk, name: str) -> Identity:
    return desk.pseudonyms.named(name)


def profile(client: ClickHouse, who: Identity, off: int, segments: str, valid_from_ms: int) -> None:
    row = {"part": 1, "off": off, "ver": 1, "key_id": who[0], "customer": who[1], "valid_from_ms": valid_from_ms}
    types = {"part": pl.UInt16, "ver": pl.UInt64, "key_id": pl.UInt8, "customer": pl.UInt64}
    frame = pl.DataFrame({name: [value] for name, value in row.items()}, schema_overrides=types)
    client.insert("profiles", frame.with_columns(segments=pl.lit(segments), unit=pl.lit(""), attributes=pl.lit("{}")))


async def test_two_customers_become_one_with_the_segments_of_the_one_and_the_past_keeps_its_number(
    bench: Bench,
) -> None:
    desk, _ = bench
    story = [answer(0, customer_id="visitor-1"), answer(1, customer_id="visitor-1"), answer(2, customer_id="anna-77")]
    client = ClickHouse(desk.settings)
    anna, visitor = identity(desk, "anna-77"), identity(desk, "visitor-1")
    profile(client, anna, 0, "gold", records.NOW_MS - 86_400_000)
    profile(client, anna, 1, "silver", records.NOW_MS + 86_400_000)
    await score.fold(desk, [await recorded(desk, FEEDBACK, story)])
    closings(client, 2)
    counted, voices = question("nps", "segment"), question("nps", one_voice=True)
    assert (read_scores(client, counted)["n"].to_list(), read_scores(client, voices)["n"].to_list()) == ([1], [2])
    before = now_ms(client)
    await done(desk, identities.MERGE, identities.body_of(visitor, anna))
    assert client.query("SELECT DISTINCT customer, toString(segments) FROM ledger FINAL").rows() == [(anna[1], "gold")]
    assert (read_scores(client, counted)["n"].to_list(), read_scores(client, voices)["n"].to_list()) == ([3], [1])
    equal(desk, 2)
    past = [read_scores(client, question("nps", *by, as_of_ms=before, one_voice=one))["n"].to_list()
            for by, one in ((("segment",), False), ((), True))]  # fmt: skip
    assert past == [[1], [2]]
    (told,) = histories(client, counted)
    assert [(each.reading.n, each.reasons) for each in told.revisions] == [
        (1, {"on time": 1}),
        (3, {"merged": 2}),
    ]
    assert read_scores(client, question("nps"))["n"].to_list() == [3], "the whole does not change"
    client.close()


async def test_an_erased_customer_is_nowhere_any_more_and_the_counts_stay(bench: Bench) -> None:
    desk, _ = bench
    client = ClickHouse(desk.settings)
    anna, visitor = identity(desk, "anna-77"), identity(desk, "visitor-1")
    profile(client, anna, 7, "gold", records.NOW_MS - 86_400_000)
    profile(client, visitor, 3, "new", records.NOW_MS - 86_400_000)
    story = [
        said(0, "fine", customer_id="anna-77"),
        said(1, "so so", customer_id="visitor-1"),
        said(2, "good", customer_id="other-5"),
    ]
    await score.fold(desk, [await recorded(desk, FEEDBACK, story)])
    await done(desk, identities.MERGE, identities.body_of(visitor, anna))
    counts = client.query("SELECT * EXCEPT (ver, seq, version) FROM windows FINAL ORDER BY ALL")
    await done(desk, identities.ERASE, identities.body_of(anna))
    equal(desk, 2)
    assert client.query("SELECT * EXCEPT (ver, seq, version) FROM windows FINAL ORDER BY ALL").equals(counts)
    # One more answer of hers comes in between: it is no part of what was erased, and must not get lost.
    await score.fold(desk, [await recorded(desk, FEEDBACK, [said(3, "hello again", customer_id="anna-77")])])
    found = identities.forget(client, anna)
    assert found == {"texts": 2, "rewrites": 1, "profiles": 1, "ledger": 3, "requests": 2}
    assert identities.forget(client, anna) == dict.fromkeys(found, 0), "a second time there is nothing left"
    assert client.query("SELECT off, customer != 0 AS known FROM ledger FINAL ORDER BY off").rows() == [
        (0, 0),
        (1, 0),
        (2, 1),
        (3, 1),
    ]
    await done(desk, identities.ERASE, identities.body_of(anna))
    # ClickHouse has merged the older version of the row away: its text is found all the same.
    client.command("OPTIMIZE TABLE ledger FINAL")
    again = identities.forget(client, anna)
    assert (again["texts"], again["ledger"]) == (1, 0)
    equal(desk, 3)
    for table in ("ledger", "profiles"):
        for who in (anna, visitor) if table == "ledger" else (anna,):
            sql = f"SELECT count() AS n FROM {table} WHERE customer = {{customer:UInt64}}"
            assert client.query(sql, {"customer": who[1]})["n"][0] == 0
    assert client.query("SELECT off, text FROM texts FINAL").rows() == [(2, "good")]
    assert client.query("SELECT count() AS n FROM ledger FINAL")["n"][0] == 4
    assert client.query("SELECT count() AS n FROM requests WHERE position(body, toString({c:UInt64})) > 0",
                        {"c": anna[1]})["n"][0] == 0  # fmt: skip
    # The table's highest offset is where following goes on; it did not fall, so nothing is read again.
    assert client.query("SELECT max(off) AS top FROM profiles")["top"][0] == 7
    assert client.query("SELECT DISTINCT reason FROM changes FINAL ORDER BY reason")["reason"].to_list() == [
        "erased",
        "merged",
    ]
    client.close()


async def test_rows_of_an_epoch_that_is_over_are_restated_by_who_owns_the_partition_now(bench: Bench) -> None:
    desk, _ = bench
    then = records.NOW_MS - 2 * 86_400_000
    story = [*(answer(at) for at in range(3)), answer(3, occurred_at=moment(then))]
    await score.fold(desk, [await recorded(desk, FEEDBACK, story)])
    client = ClickHouse(desk.settings)
    positions.begin_epoch(client, Partition("feedback", 1), 2, 0, 0, "recreated")
    other, members = desk_of(desk.settings)
    members.present = 2
    await score.fold(other, [await recorded(other, FEEDBACK, [answer(0, event_id="again")])])
    assert client.query("SELECT epoch, count() AS n FROM ledger FINAL GROUP BY epoch ORDER BY epoch").rows() == [
        (1, 4),
        (2, 1),
    ]
    await done(other, "restate", restating.body_of(then - 60_000, then + 60_000), epoch=1)
    fates = client.query("SELECT off, disposition, reason FROM ledger FINAL WHERE epoch = 1 ORDER BY off").rows()
    assert fates[3] == (3, "aggregated", "restated")
    equal(other, 3)
    holding = other.custody.holding(FEEDBACK)
    assert holding is not None
    assert (holding.epoch, holding.position) == (2, 0), "the flow of the present epoch goes on"
    await closed(other)
    client.close()
