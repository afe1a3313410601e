"""The SQL of what rewritten ledger rows said before: relabelled texts, merged customers (pure).

The ledger holds what is known now; `rewrites` holds, for each rewriting, the facts that it replaced. Only questions
that depend on such facts (sentiment, segments, one voice per customer) pay for looking.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pipeline.scores.reading import Question

#: Columns that a rewriting may change and their types in its facts; `pipeline/ledger/rewriting.py` keeps the same.
_WORDS: Final = ("label", "tier", "segments", "old_label", "old_tier", "old_segments")
_NUMBERS: Final = {"p": "Int16", "old_p": "Int16", "customer": "UInt64", "key_id": "UInt8"}

_KEY: Final = "topic, epoch, part, off"
#: The key under names of its own, so that a join with the ledger leaves the ledger's names alone.
_AS: Final = "topic AS topic_, epoch AS epoch_, part AS part_, off AS off_"
#: Of each row the facts that held at a moment: those that the first rewriting after it replaced.
THEN: Final = f"""SELECT {_AS}, argMin(rewrites.facts, rewrites.known_ms) AS facts FROM rewrites FINAL
    WHERE known_ms > {{as_of:Int64}} AND minute >= {{first:UInt32}} AND minute < {{last:UInt32}} GROUP BY {_KEY}"""
#: Of each row all its rewritings in order of time: when, why, former facts.
_TOLD: Final = f"""SELECT {_AS}, arraySort(groupUniqArray((known_ms, toString(reason), facts))) AS told
    FROM rewrites FINAL WHERE minute >= {{first:UInt32}} AND minute < {{last:UInt32}} GROUP BY {_KEY}"""


def depends(question: Question) -> bool:
    """Whether an answer to the question may change when rows are relabelled or customers merged."""
    segment = "segment" in (*question.by, *question.filters)
    return question.one_voice or segment or question.defined.metric == "sentiment"


def joined(other: str) -> str:
    """The condition under which a row of `other` (keys with `_` behind) is about a row of the ledger."""
    return " AND ".join(f"ledger.{name} = {other}.{name}_" for name in ("topic", "epoch", "part", "off"))


def replaced(facts: str, ledger: str = "ledger") -> str:
    """` REPLACE (...)` for the columns of `ledger`, with what the JSON `facts` says; "" leaves them as they are."""
    words = [
        f"if({facts} = '', toString({ledger}.{name}), JSONExtractString({facts}, '{name}')) AS {name}"
        for name in _WORDS
    ]
    numbers = [
        f"if({facts} = '', {ledger}.{name}, JSONExtract({facts}, '{name}', '{kind}')) AS {name}"
        for name, kind in _NUMBERS.items()
    ]
    return f" REPLACE ({', '.join([*words, *numbers])})"


def versions() -> str:
    """The ledger with each row once for every fact it told, and once more, `turn` -1, for the end of each: `turn_ms`
    is when, to the minute since many owners carry one request out (0: from the row's own first closing), `turn_why` the
    reason of that rewriting."""
    turns = """arrayJoin(arrayConcat(
        arrayMap(at -> (at, 1), range(length(told.told) + 1)), arrayMap(at -> (at, -1), range(length(told.told)))))"""
    facts = "if(turns.1 < length(told.told), told.told[turns.1 + 1].3, '')"
    since = "if(turns.2 = 1, turns.1, turns.1 + 1)"
    moment = f"intDiv(told.told[{since}].1 + 59999, 60000) * 60000"
    return f"""SELECT ledger.*{replaced(facts)}, {turns} AS turns, toInt64(turns.2) AS turn,
            if({since} = 0, 0, {moment}) AS turn_ms, if({since} = 0, '', told.told[{since}].2) AS turn_why
        FROM (SELECT * FROM ledger FINAL) AS ledger LEFT JOIN ({_TOLD}) AS told ON {joined("told")}"""
