"""The SQL of a question about scores: where its histograms are summed from, and how (pure).

Groups that a stored cut answers come from the table `windows`; other crossings, one voice per customer and "as known
then" are counted from the `ledger`. Column names come from closed lists, everything a person typed is a parameter.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipeline.scores import formerly
from pipeline.scores.kept import counted_as, kept_rows
from pipeline.slices import CORE
from schemas.limits import MAX_BINS
from schemas.vocabulary import MODE_OF, Sentiment

if TYPE_CHECKING:
    from pipeline.scores.reading import Question

_DAY = 86_400
#: Events on the input topics are at most 30 days old and 5 minutes ahead (design.md 4); one day more for the calendar.
_OLDEST_DAYS = 31
_LABELS = (Sentiment.NEGATIVE.value, Sentiment.NEUTRAL.value, Sentiment.POSITIVE.value)

#: Per partition, the offset that was counted when the newest window before a moment was closed. Of older epochs, and of
#: topics that close no window, there is none: there the time of arrival decides.
_SEEN = """SELECT topic AS topic_, epoch AS epoch_, part AS part_, argMax(off, (closed_ms, window_end)) AS seen,
        toUInt8(1) AS closed
    FROM frontiers FINAL
    WHERE closed_ms <= {as_of:Int64} AND (topic, epoch) IN (
        SELECT topic, max(epoch) FROM frontiers WHERE closed_ms <= {as_of:Int64} GROUP BY topic)
    GROUP BY topic, epoch, part"""
#: What rows were before they were rewritten after that moment.
_WAS = """SELECT topic AS topic_, epoch AS epoch_, part AS part_, off AS off_,
        argMin(changes.was, changes.known_ms) AS former
    FROM changes FINAL
    WHERE known_ms > {as_of:Int64} AND was != '' AND minute >= {first:UInt32} AND minute < {last:UInt32}
    GROUP BY topic, epoch, part, off"""


def statement(question: Question, rolled_until: int = 0) -> tuple[str, dict[str, Any]]:
    """One row a window, group and scale: start, `by`, scale, histogram, s1, s2; and the parameters.

    Days before `rolled_until` may be kept by the hour: windows that cut through hours come from the ledger there.
    """
    if question.one_voice:
        source = _voices(question)
    elif question.cut is None or (rolled_until and not question.hourly(rolled_until)):
        source = _from_ledger(question)
    else:
        source = _from_windows(question, rolled=rolled_until > 0)
    names = "".join(f"{name}, " for name in question.by)
    sql = f"SELECT * FROM ({source}) WHERE arraySum(histogram) != 0 ORDER BY start, {names}scale"
    return sql, parameters_of(question)


def parameters_of(question: Question) -> dict[str, Any]:
    given = {f"only_{name}": list(values) for name, values in question.filters.items()}
    return {
        "metric": question.defined.metric,
        "cut": question.cut or "",
        "first": question.first,
        "last": question.last,
        "seconds": question.seconds,
        "step": question.step_s or 0,
        "edges": list(question.edges),
        "as_of": question.as_of_ms or 0,
        "channels": [channel.value for channel in MODE_OF],
        "modes": [mode.value for mode in MODE_OF.values()],
        "labels": list(_LABELS),
        "from_day": max(question.first - _DAY, 0),
        "to_day": question.last + _OLDEST_DAYS * _DAY,
        **given,
    }


def column_of(name: str, further: str | None) -> str:
    """The SQL of a dimension; `further` is the column that holds the further dimension, None for its own name."""
    if name == "mode":
        return "transform(toString(channel), {channels:Array(String)}, {modes:Array(String)}, '')"
    if name in CORE:
        return name
    return further or ("segments" if name == "segment" else name)


def selected(question: Question, further: str | None) -> str:
    """`expression AS name, ` for each dimension of the group. A customer in three segments counts in each of them."""
    parts = []
    for name in question.by:
        column = column_of(name, further)
        if name == "segment":
            members = f"splitByChar(',', toString({column}))"
            if name in question.filters:
                members = f"arrayFilter(member -> has({{only_segment:Array(String)}}, member), {members})"
            column = f"arrayJoin({members})"
        parts.append(f"{column} AS {name}_ , ")
    return "".join(parts)


def kept(question: Question, further: str | None) -> str:
    """` AND ...` for each filter, and for each further dimension of the group: rows without it are in no such cut."""
    parts = [f" AND {column_of(name, further)} != ''" for name in question.by if name not in (*CORE, "mode")]
    for name in question.filters:
        column = column_of(name, further)
        if name == "segment":
            parts.append(f" AND hasAny(splitByChar(',', toString({column})), {{only_segment:Array(String)}})")
        else:
            parts.append(f" AND has({{only_{name}:Array(String)}}, toString({column}))")
    return "".join(parts)


def window_of(question: Question, moment: str) -> str:
    """The SQL of the start of the window that a Unix second lies in; of hopping windows one row for each of them."""
    if question.gap_s is not None:
        return f"toUInt32({moment})"
    if question.edges:
        return f"roundDown(toUInt32({moment}), {{edges:Array(UInt32)}})"
    if question.step_s is not None:
        # As many steps back as the window is wide; those that do not lie wholly in the span are left out.
        base = f"intDiv(toInt64({moment}), {{step:Int64}}) * {{step:Int64}}"
        starts = f"arrayMap(back -> {base} - back * {{step:Int64}}, range(intDiv({{seconds:UInt32}}, {{step:UInt32}})))"
        inside = "start_ >= {first:Int64} AND start_ + {seconds:Int64} <= {last:Int64}"
        return f"toUInt32(arrayJoin(arrayFilter(start_ -> {inside}, {starts})))"
    first = "{first:UInt32}"
    return f"toUInt32({first} + intDiv({moment} - {first}, {{seconds:UInt32}}) * {{seconds:UInt32}})"


def _grouped(question: Question, counters: str, rows: str, moment: str) -> str:
    """Sums of `counters` over `rows` by window, group and scale; `moment` is the SQL of the Unix second."""
    names = "".join(f"{name}_ AS {name}, " for name in question.by)
    keys = "".join(f"{name}_, " for name in question.by)
    return f"""SELECT {window_of(question, moment)} AS start, {names}toString(scale) AS scale, {counters}
        FROM ({rows}) GROUP BY start, {keys}scale"""


def _from_windows(question: Question, *, rolled: bool) -> str:
    further = None if question.cut == "core" else "dim"
    bins = [f"b{i}" for i in range(MAX_BINS)]
    columns = f"{selected(question, further)}minute, scale, {', '.join(bins)}, s1 AS p, s2 AS pp"
    where = f"""cut = {{cut:String}} AND metric = {{metric:String}}
            AND minute >= {{first:UInt32}} AND minute < {{last:UInt32}}{kept(question, further)}"""
    rows = kept_rows(columns, where) if rolled else f"SELECT {columns} FROM windows FINAL PREWHERE {where}"
    counters = f"[{', '.join(f'sum({name})' for name in bins)}] AS histogram, sum(p) AS s1, sum(pp) AS s2"
    return _grouped(question, counters, rows, "minute")


def counters_of(times: str) -> str:
    bins = ", ".join(f"sumIf({times}, bin = {i})" for i in range(MAX_BINS))
    return f"[{bins}] AS histogram, sum({times} * p) AS s1, sum({times} * pp) AS s2"


def _from_ledger(question: Question) -> str:
    """Every aggregated row counts once, and takes its superseded predecessor back."""
    rows = f"{_ledger_rows(question, '')} UNION ALL {_ledger_rows(question, 'old_')}"
    return _grouped(question, counters_of("times"), rows, "second")


def _voices(question: Question) -> str:
    """Of each customer only the newest answer of a window, group and scale; answers of nobody known stand alone."""
    names = "".join(f"{name}_ AS {name}, " for name in question.by)
    keys = "".join(f"{name}_, " for name in question.by)
    newest = f"""SELECT {window_of(question, "second")} AS start, {names}toString(scale) AS scale, voice,
            argMax((bin, p, pp), (occurred_ms, off, part)) AS said
        FROM ({_ledger_rows(question, "")}) GROUP BY start, {keys}scale, voice"""
    named = "".join(f"{name}, " for name in question.by)
    chosen = f"""SELECT start, {named}scale, tupleElement(said, 1) AS bin, tupleElement(said, 2) AS p,
        tupleElement(said, 3) AS pp, toInt64(1) AS times FROM ({newest})"""
    return f"SELECT start, {named}scale, {counters_of('times')} FROM ({chosen}) GROUP BY start, {named}scale"


def _ledger_rows(question: Question, prefix: str) -> str:
    """Contributions of the rows themselves (prefix '') or of what they supersede ('old_'), one sign each."""
    columns, answer, counted = contribution(question, prefix)
    moment = f"intDiv({prefix}occurred_ms, 1000)"
    voice = ""
    if question.one_voice:
        counted += f" AND (topic, epoch, part, off) NOT IN ({_superseded(question)})"
        voice = ", (key_id, if(customer = 0, cityHash64(topic, epoch, part, off), customer)) AS voice"
        voice += ", ledger.occurred_ms AS occurred_ms, ledger.off AS off, ledger.part AS part"
    superseding = " AND old_off >= 0" if prefix else ""
    facts = f"""SELECT {columns}{answer}, {moment} AS second, toInt64({-1 if prefix else 1}) AS times{voice}
        FROM {_ledger(question)}
        WHERE {counted}{superseding}
            AND {moment} >= {{first:UInt32}} AND {moment} < {{last:UInt32}}"""
    extra = ", voice, occurred_ms, off, part" if voice else ""
    return f"""SELECT {selected(question, None)}second, scale, bin, p, pp, times{extra}
        FROM ({facts}) WHERE 1{kept(question, None)}"""


def contribution(question: Question, prefix: str) -> tuple[str, str, str]:
    """SQL of one ledger row's dimensions (with a comma behind), of its scale, bin, p and pp, and whether it has one."""
    wanted = {"channel", *(column_of(name, None) for name in (*question.by, *question.filters) if name != "mode")}
    columns = "".join(f"{counted_as(name, prefix)} AS {name}, " for name in sorted(wanted))
    if question.defined.metric == "sentiment":
        answer = (
            f"{prefix}tier AS scale, indexOf({{labels:Array(String)}}, toString({prefix}label)) - 1 AS bin, "
            f"toInt64({prefix}p) AS p, intDiv(p * p + 5000, 10000) AS pp"
        )
        return columns, answer, f"has({{labels:Array(String)}}, toString({prefix}label))"
    answer = f"{prefix}scale AS scale, toInt64({prefix}bin) AS bin, toInt64(0) AS p, toInt64(0) AS pp"
    return columns, answer, f"{prefix}metric = {{metric:String}} AND {prefix}bin >= 0"


def _superseded(question: Question) -> str:
    """Keys of answers that a later revision has replaced."""
    return f"SELECT topic, epoch, part, old_off FROM {_ledger(question)} WHERE old_off >= 0"


def _ledger(question: Question) -> str:
    """The counted rows of the ledger that may concern the span: as they are, or as they were known at a moment."""
    days = """day >= toDate(toDateTime({from_day:UInt32}, 'UTC'))
            AND (topic = 'history' OR day <= toDate(toDateTime({to_day:UInt32}, 'UTC')))"""
    if question.one_voice:
        # A revision comes after the span as often as within it.
        days = "day >= toDate(toDateTime({from_day:UInt32}, 'UTC'))"
    if question.as_of_ms is None:
        return f"(SELECT * FROM ledger FINAL WHERE disposition = 'aggregated' AND {days}) AS ledger"
    said, then = "", ""
    if formerly.depends(question):
        said = formerly.replaced("then.facts")
        then = f"LEFT JOIN ({formerly.THEN}) AS then ON {formerly.joined('then')}"
    return f"""(SELECT ledger.*{said} FROM (SELECT * FROM ledger FINAL WHERE {days}) AS ledger
        LEFT JOIN ({_SEEN}) AS seen
            ON ledger.topic = seen.topic_ AND ledger.epoch = seen.epoch_ AND ledger.part = seen.part_
        LEFT JOIN ({_WAS}) AS was ON {formerly.joined("was")}
        {then}
        WHERE if(was.former = '', toString(ledger.disposition), toString(was.former)) = 'aggregated'
            AND if(seen.closed = 1, ledger.off <= seen.seen, ledger.ingest_ms <= {{as_of:Int64}})) AS ledger"""
