"""`touchline links`: links for e-mail that ask one question, one link a customer."""

from __future__ import annotations

import sys
import time
from typing import Annotated

import typer

from pipeline.command.admin import guarded
from pipeline.command.output import Exit, emit, emit_json, note
from pipeline.errors import UsageError

app = typer.Typer(rich_markup_mode=None)


@app.command("links")
def links(
    customers: Annotated[list[str], typer.Argument(help="customers' ids; - reads one a line from standard input")],
    metric: Annotated[str, typer.Option(help="nps, csat, ces or rating")] = "nps",
    scale: Annotated[str, typer.Option(help="lowest-highest, e.g. 1-7; the metric's usual one by default")] = "",
    touchpoint: Annotated[str, typer.Option(help="what the question is about")] = "",
    brand: Annotated[str, typer.Option()] = "default",
    unit: Annotated[str, typer.Option()] = "",
    campaign: Annotated[str, typer.Option()] = "",
    survey: Annotated[str, typer.Option(help="name of the survey; the same one asks a customer once")] = "",
    question: Annotated[str, typer.Option(help="in your own words")] = "",
    valid: Annotated[str, typer.Option(help="how long the links may be answered: 30d")] = "30d",
    json: Annotated[bool, typer.Option("--json", help="one JSON document a line")] = False,
) -> None:
    """Sign one link a customer: append ?score=9 for the step that is clicked on. Needs no server, only the keys."""

    def work() -> int:
        from pipeline.command.scores import duration
        from pipeline.intake.links import Asked, Links, scale_of
        from pipeline.settings import load_settings
        from schemas.vocabulary import Metric

        settings = load_settings()
        settings.require_keys()
        if metric not in list(Metric):
            raise UsageError(f"no metric {metric!r}; one of nps, csat, ces, rating")
        low, high = scale_of(Metric(metric), *_steps(scale))
        made = Links(settings.seal_bytes)
        now_ms = int(time.time() * 1000)
        for customer in _lines(customers):
            asked = Asked(
                submission_id=_submission(customer, survey, now_ms),
                metric=Metric(metric),
                scale_min=low,
                scale_max=high,
                ends_ms=now_ms + duration(valid) * 1000,
                customer_id=customer,
                touchpoint=touchpoint or None,
                brand=brand,
                unit=unit or None,
                campaign=campaign or None,
                survey=survey or None,
                question=question or None,
            )
            url = f"{settings.gateway_url.rstrip('/')}/a/{made.token(asked)}"
            if json:
                emit_json(
                    {
                        "customer": customer,
                        "url": url,
                        "scores": {str(n): f"{url}?score={n}" for n in range(low, high + 1)},
                    }
                )
            else:
                emit(f"{customer}\t{url}")
        return Exit.OK

    def tried() -> int:
        try:
            return work()
        except UsageError as error:
            note(f"touchline links: {error}")
            return Exit.USAGE

    guarded(tried)


def _lines(customers: list[str]) -> list[str]:
    found = [line.strip() for line in sys.stdin] if customers == ["-"] else customers
    return [customer for customer in found if customer]


def _steps(scale: str) -> tuple[int | None, int | None]:
    if not scale:
        return None, None
    low, dash, high = scale.partition("-")
    if not (dash and low.isdigit() and high.isdigit()):
        raise UsageError(f"--scale {scale}: write it like 1-5")
    return int(low), int(high)


def _submission(customer: str, survey: str, now_ms: int) -> str:
    """The same survey asks a customer once, however often links are made; without one each link stands alone."""
    import hashlib

    named = f"{survey}\0{customer}" if survey else f"{now_ms}\0{customer}"
    return "l-" + hashlib.blake2b(named.encode(), digest_size=16).hexdigest()
