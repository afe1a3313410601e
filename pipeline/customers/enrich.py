"""What enrich adds to the rows of a slice (pure but for the count of unknown touchpoints), and what it takes away.

It adds the pseudonym, the profile as of the event's own time, the stage and the owner. It takes away everything plain:

- `customer_id` becomes `customer` and `key_id`; where a text or a dimension repeats the id, it becomes [id];
- `agent` (an employee's id, personal too) becomes `a:<16 hex digits>` unless the deployment says `plain_agents`;
- texts are masked, and cut; dimensions lose e-mail addresses (a product's number may look like a phone's, so no more
  than that);
- a dead letter keeps no identifier and no text: customer 0, agent "", text "". Its dimensions are masked in full, its
  bytes are sealed, `key_id` is the sealing key's, and what `detail` quotes is kept only when it is a plain word.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import polars as pl

from pipeline.blanks import blank, put
from pipeline.customers.cleaning import cut
from pipeline.customers.masking import LEAST_ID, mask, mask_addresses, mask_text
from pipeline.customers.names import Names
from pipeline.customers.profiles import Profiles
from pipeline.customers.pseudonyms import Pseudonyms
from pipeline.customers.registry import UNKNOWN, Registry, Unknown
from pipeline.customers.sealing import Sealer, context
from pipeline.slices import ACCEPTED, ENRICHED
from schemas.limits import MAX_TEXT

DEAD_LETTER: Final = "dead_letter"
#: Columns whose values a producer writes freely and that are stored as they are.
_DIMENSIONS: Final = ("brand", "unit", "touchpoint", "stage", "product", "language", "device", "campaign", "currency")
#: What else a dead letter may hold of what was sent: elsewhere these are words of closed vocabularies.
_OTHER: Final = ("source", "metric", "scale", "channel", "path", "detail", "producer")
#: A quoted value of an error message that may stay: one word of a vocabulary, misspelled perhaps. Ids have digits.
_QUOTED: Final = re.compile(r"'((?:[^'\\]|\\.)*+)'|\"((?:[^\"\\]|\\.)*+)\"")
_PLAIN_WORD: Final = re.compile(r"[A-Za-z_]{1,30}")
#: Columns that enrich gives to label.
COLUMNS: Final[dict[str, pl.DataType]] = {
    **{name: kind for name, kind in ACCEPTED.items() if name not in ("customer_id", "raw")},
    **ENRICHED,
}


class Origin(NamedTuple):
    """Where a slice comes from; part of what sealed bytes are bound to."""

    topic: str
    epoch: int
    part: int


@dataclass(frozen=True, slots=True)
class Knowledge:
    """Everything that enrich looks up. `registry` is the one in force when the slice comes."""

    pseudonyms: Pseudonyms
    profiles: Profiles
    registry: Registry
    sealer: Sealer
    unknown: Unknown = field(default_factory=Unknown)
    plain_agents: bool = False
    names: Names = field(default_factory=Names)


def enrich(rows: pl.DataFrame, origin: Origin, knowledge: Knowledge) -> pl.DataFrame:
    """Rows of ACCEPTED as rows of COLUMNS, in the same order. No cell holds a plain value afterwards."""
    dead = rows["disposition"] == DEAD_LETTER
    customer, key_id = knowledge.pseudonyms.customers(rows["customer_id"])
    cleaned = _cleaned(rows, knowledge)
    segments, unit = knowledge.profiles.lookup(origin.part, customer.to_numpy(), rows["occurred_ms"].to_numpy())
    stage, owner = knowledge.registry.columns(cleaned["touchpoint"])
    strangers = cleaned["touchpoint"].filter((stage == UNKNOWN) & ~dead)
    if len(strangers):
        knowledge.unknown.add(strangers)
    none = blank(None, pl.Binary(), rows.height).alias("sealed")
    given = (_given(cleaned["unit"], unit), _given(cleaned["stage"], stage))
    added = put(cleaned, (customer, key_id, segments, owner, *given, none))
    if dead.any():
        added = _buried(added, rows, origin, knowledge)
    return put(added, [_others(added, dead, knowledge)])[list(COLUMNS)]


def _others(added: pl.DataFrame, dead: pl.Series, knowledge: Knowledge) -> pl.Series:
    """Which dimensions of each row count under `other`; dead letters count nowhere and take no name's place."""
    declared = knowledge.registry.declared
    if not dead.any():
        return knowledge.names.decide(added, declared)
    alive = (~dead).arg_true()
    none = pl.zeros(added.height, pl.UInt16, eager=True).alias("others")
    return none.scatter(alive, knowledge.names.decide(added[alive], declared)) if len(alive) else none


def _given(events: pl.Series, otherwise: pl.Series) -> pl.Series:
    """The event's own value, or the other where it gave none."""
    return events.zip_with(events != "", otherwise)


def _cleaned(rows: pl.DataFrame, knowledge: Knowledge) -> pl.DataFrame:
    """The rows with text, agent and dimensions free of plain values (dead letters: see `_buried`)."""
    agent = rows["agent"] if knowledge.plain_agents else knowledge.pseudonyms.agents(rows["agent"])
    return _cut(_without_strays(put(rows, (mask(rows["text"]), agent))))


def _cut(rows: pl.DataFrame) -> pl.DataFrame:
    """Long texts end after MAX_TEXT characters, and their rows say that there was more."""
    text = rows["text"]
    longest = text.str.len_bytes().max()
    if not isinstance(longest, int) or longest <= MAX_TEXT:
        return rows
    at = (text.str.len_chars() > MAX_TEXT).arg_true()
    whole = zip(text.gather(at).to_list(), rows["customer_id"].gather(at).to_list(), strict=True)
    kept = pl.Series([cut(long, plain) for long, plain in whole], dtype=pl.String)
    return put(rows, (text.clone().scatter(at, kept), rows["truncated"].clone().scatter(at, 1)))


def _without_strays(rows: pl.DataFrame) -> pl.DataFrame:
    """Where a dimension holds an e-mail address, [email]; where it or the text holds the row's own id, [id]."""
    names = ("text", *_DIMENSIONS)
    #: one look at all columns of a row together: a look at each costs four times as much
    joined = rows.lazy().select(pl.concat_str(*names, separator="\n").alias("all"), "customer_id")
    plain, words = pl.col("customer_id"), pl.col("all")
    own = words.str.contains(plain, literal=True) & (plain.str.len_bytes() >= LEAST_ID)
    found = own | words.str.contains("@", literal=True)
    hits = joined.select(found.fill_null(False).arg_true()).collect().to_series()
    if hits.is_empty():
        return rows
    ids = rows["customer_id"].gather(hits).to_list()
    changed = []
    for name in names:
        values = zip(rows[name].gather(hits).to_list(), ids, strict=True)
        tidy = [_without(mask_addresses(value) if name != "text" else value, (plain_id,)) for value, plain_id in values]
        changed.append(rows[name].clone().scatter(hits, pl.Series(tidy, dtype=pl.String)))
    return put(rows, changed)


def _without(value: str, ids: tuple[str, ...]) -> str:
    """A value in which [id] stands for each of the ids; a short id counts only when it is the whole value."""
    for plain in ids:
        if plain and (value == plain or len(plain) >= LEAST_ID):
            value = value.replace(plain, "[id]")
    return value


def _buried(added: pl.DataFrame, rows: pl.DataFrame, origin: Origin, knowledge: Knowledge) -> pl.DataFrame:
    """The frame with its dead letters sealed and stripped."""
    at = (rows["disposition"] == DEAD_LETTER).arg_true()
    ids, agents = rows["customer_id"].gather(at).to_list(), rows["agent"].gather(at).to_list()
    contexts = [context(*origin, off) for off in rows["off"].gather(at).to_list()]
    sealed = knowledge.sealer.seal(rows["raw"].gather(at).to_list(), contexts)
    changed = [added["sealed"].clone().scatter(at, sealed)]
    for name in (*_DIMENSIONS, *_OTHER):
        values = [
            _stripped(value, (plain, agent), quoted=name == "detail")
            for value, plain, agent in zip(added[name].gather(at).to_list(), ids, agents, strict=True)
        ]
        changed.append(added[name].clone().scatter(at, pl.Series(values, dtype=pl.String)))
    changed += [added[name].clone().scatter(at, "") for name in ("text", "agent", "segments")]
    changed.append(added["customer"].clone().scatter(at, 0))
    changed.append(added["key_id"].clone().scatter(at, knowledge.sealer.key_id))
    return added.with_columns(changed)


def _stripped(value: str, ids: tuple[str, str], *, quoted: bool) -> str:
    """A dead letter's dimension or message without plain values; messages quote what the producer sent."""
    if quoted:
        value = _QUOTED.sub(lambda found: found[0] if _PLAIN_WORD.fullmatch(found[0][1:-1]) else "[value]", value)
    return mask_text(_without(value, ids)) if value else value
