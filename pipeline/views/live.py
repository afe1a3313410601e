"""The live table: scores with n, interval and change, rates, lag, rejections, workers. Pure: a picture in, text out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from pipeline.views.figures import bar, difference, number, place

#: Width of the bar of an interval, in characters.
_BAR = 21
#: Columns of a terminal that has room for it.
_WIDE = 106
#: Columns of the drawing in docs/page.md.
_DRAWN = 112
#: Lines of the table that are no scores: heading, columns, rates, rejections, workers, notes.
_FRAME = 10
_TITLES = {"nps": "NPS", "csat": "CSAT", "ces": "CES", "sentiment": "net sentiment"}


@dataclass(frozen=True, slots=True)
class Row:
    """One score of the window; `channel` empty means all channels. `change` is None where nothing compares with it."""

    metric: str
    scale: str
    channel: str
    n: int
    score: float | None
    low: float | None
    high: float | None
    unit: str
    change: float | None = None

    @property
    def figure(self) -> str:
        """The score, or that there are too few answers for one."""
        return "insufficient" if self.score is None else number(self.score, self.unit)

    @property
    def interval(self) -> str:
        """Both ends of the 95 % interval."""
        if self.low is None or self.high is None:
            return ""
        return f"{number(self.low, self.unit)} .. {number(self.high, self.unit)}"

    @property
    def changed(self) -> str:
        """The change against the same hours before."""
        return "-" if self.change is None else difference(self.change, self.unit)

    def picture(self, plain: bool) -> str:
        """The interval on the axis of its metric."""
        if self.score is None or self.low is None or self.high is None:
            return ""
        low, score, high = (place(value, self.unit, self.scale) for value in (self.low, self.score, self.high))
        return bar((low, score, high), _BAR, plain)


@dataclass(frozen=True, slots=True)
class Picture:
    """Everything the table shows at one moment.

    `seconds` since the live part began, `sent` and `counted` events a second, `lag` events that are not in the
    windows yet, `rejected` by reason, `workers` as (name, what it does), `notes` what was done on purpose, newest last.
    """

    seconds: float
    rows: Sequence[Row]
    sent: float = 0.0
    counted: float = 0.0
    lag: int = 0
    rejected: Mapping[str, int] = field(default_factory=dict)
    workers: Sequence[tuple[str, str]] = ()
    notes: Sequence[str] = ()


def title(metric: str, scale: str) -> str:
    """A metric as a person calls it, with its scale; the scale of sentiment is the model that labelled."""
    return f"{_TITLES.get(metric, metric)} {scale}" if metric != "nps" else "NPS"


def rates(picture: Picture) -> str:
    """One line: how fast, how far behind."""
    return f"sent {picture.sent:,.0f}/s, counted {picture.counted:,.0f}/s, {picture.lag:,} behind"


def rejections(picture: Picture) -> str:
    """One line: what was rejected or left out, by reason, most first."""
    found = sorted(picture.rejected.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{reason} {n:,}" for reason, n in found) or "none"


def chosen(rows: Sequence[Row], most: int) -> list[Row]:
    """As many rows as fit: the totals first, then the channels with most answers; in their order."""
    order = sorted(rows, key=lambda row: (row.channel != "", -row.n))[: max(most, 1)]
    kept = {id(row) for row in order}
    return [row for row in rows if id(row) in kept]


def table(picture: Picture, height: int = 40, width: int = 120, plain: bool = False) -> RenderableType:
    """The table for a terminal of that many lines and columns; `plain` where it has no UTF-8.

    Where it is narrow the bar goes, then the names shrink: a score never stands without its n and interval.
    """
    rows = chosen(picture.rows, height - _FRAME)
    cells = [
        (
            *("" if row.channel else title(row.metric, row.scale), row.channel or "all"),
            *(row.figure, f"{row.n:,}", row.interval, row.changed, row.picture(plain)),
        )
        for row in rows
    ]
    heads = ("last hour", "channel", "score", "n", "95 % interval", "change", "")
    with_bar = width >= _WIDE
    scores = Table(box=None, header_style="bold", pad_edge=False)
    for i, name in enumerate(heads[: None if with_bar else -1]):
        least = 0 if i == 0 else max(len(text) for text in (name, *(line[i] for line in cells)))
        scores.add_column(name, justify="left" if i in (0, 1, 6) else "right", no_wrap=True, min_width=least)
    for row, line in zip(rows, cells, strict=True):
        style = "bright_black" if row.score is None else "" if row.channel else "bold"
        scores.add_row(*(Text(cell) for cell in line[: len(scores.columns)]), style=style)
    parts: list[RenderableType] = [
        Text(f"Touchline, live for {picture.seconds:.0f} s", style="bold"),
        scores,
        Text(""),
        Text(f"events    {rates(picture)}"),
        Text(f"rejected  {rejections(picture)}"),
        Text("workers   " + ", ".join(f"{name} {state}" for name, state in picture.workers)),
        *(Text(f"* {line}", style="yellow") for line in picture.notes[-3:]),
    ]
    return Group(*parts)


def lines(picture: Picture) -> list[str]:
    """The same where no terminal is: two lines, every score with n and interval."""
    totals = [row for row in picture.rows if not row.channel]
    scores = "; ".join(phrase(row) for row in totals) or "no answers yet"
    return [
        f"{picture.seconds:4.0f} s  {scores}",
        f"        {rates(picture)}; rejected: {rejections(picture)}; workers: "
        + ", ".join(f"{name} {state}" for name, state in picture.workers),
    ]


def phrase(row: Row) -> str:
    """One score in a sentence: never without n, and never without its interval."""
    where = f" {row.channel}" if row.channel else ""
    if row.score is None:
        return f"{title(row.metric, row.scale)}{where} insufficient (n {row.n:,})"
    return f"{title(row.metric, row.scale)}{where} {row.figure} [{row.interval}] (n {row.n:,}, change {row.changed})"


def report(rows: Sequence[Row]) -> list[str]:
    """All scores as aligned lines, for the end."""
    head = ("score of the last hour", "channel", "score", "n", "95 % interval", "change")
    cells = [
        (title(row.metric, row.scale), row.channel or "all", row.figure, f"{row.n:,}", row.interval, row.changed)
        for row in rows
    ]
    widths = [max(len(line[i]) for line in (head, *cells)) for i in range(len(head))]
    return [
        "  ".join(
            text.ljust(width) if i < 2 else text.rjust(width)
            for i, (text, width) in enumerate(zip(line, widths, strict=True))
        )
        for line in (head, *cells)
    ]


def sample() -> Picture:
    """A picture with made-up figures, for tests."""
    from pipeline.scores.meters import read

    def row(metric: str, scale: str, channel: str, counts: Sequence[int], change: float | None) -> Row:
        reading = read(metric, scale, [[*counts, *[0] * (11 - len(counts))]]).row(0)
        return Row(metric, scale, channel, reading.n, reading.score, reading.low, reading.high, reading.unit, change)

    return Picture(
        seconds=42.0,
        rows=(
            row("nps", "0-10", "", (31, 9, 14, 18, 22, 40, 61, 160, 310, 480, 390), -14.2),
            row("nps", "0-10", "web", (20, 5, 9, 12, 16, 24, 38, 80, 150, 200, 170), -19.8),
            row("nps", "0-10", "app", (8, 3, 4, 5, 5, 12, 18, 64, 130, 210, 170), -5.1),
            row("csat", "1-5", "", (120, 130, 260, 760, 910), -0.061),
            row("csat", "1-5", "store", (10, 14, 40, 160, 210), 0.004),
            row("ces", "1-7", "", (20, 31, 54, 120, 260, 410, 330), -0.08),
            row("sentiment", "minilm", "", (210, 140, 420), None),
            row("sentiment", "minilm", "review", (3, 1, 4), None),
        ),
        sent=200.0,
        counted=201.0,
        lag=37,
        rejected={"bad_time": 9, "not_json": 14, "out_of_range": 4, "same_event": 6},
        workers=(("worker-1", "runs, 312 MB"), ("worker-2", "killed"), ("worker-3", "runs, 240 MB")),
        notes=(
            "deliveries in the whole country are late from now on",
            "worker-2 was killed with SIGKILL; its partitions move to the others",
            "worker-3 was started in its place",
        ),
    )


def svg(picture: Picture) -> str:
    """The table as a drawing, as wide as a terminal that has room for it."""
    import io

    from rich.console import Console

    console = Console(record=True, width=_DRAWN, file=io.StringIO(), force_terminal=True)
    console.print(table(picture, width=_DRAWN))
    return console.export_svg(title="touchline demo")
