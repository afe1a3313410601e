"""`touchline audit` and `touchline rebuild`: the proof, and the windows made again from the ledger."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.command.admin import AsJson, guarded
from pipeline.command.output import Exit, emit, emit_json, note

if TYPE_CHECKING:
    from pipeline.ledger.audit import Audit

app = typer.Typer(rich_markup_mode=None, no_args_is_help=True)


@app.command()
def audit(
    deep: Annotated[bool, typer.Option("--deep", help="also look for doubles beyond what a worker remembers")] = False,
    json: AsJson = False,
) -> None:
    """Prove that every offset is counted once; exit 3 when something does not hold, 4 when something is unreachable."""

    def work() -> int:
        from pipeline.ledger.audit import audit as run
        from pipeline.settings import load_settings

        found = run(load_settings(), deep=deep)
        if json:
            emit_json(found.document())
        else:
            for line in report(found):
                emit(line)
        return Exit.OK if found.holds else Exit.DIFFERENCE

    guarded(work)


@app.command()
def rebuild(
    wait: Annotated[float, typer.Option(help="seconds to wait for the owners of the partitions", min=1)] = 600.0,
    json: AsJson = False,
) -> None:
    """Make the windows again from the ledger; exit 3 when a partition does not come out byte-equal."""

    def work() -> int:
        import asyncio
        from dataclasses import asdict

        from pipeline.clickhouse import ClickHouse
        from pipeline.ledger import rebuild as rebuilding
        from pipeline.ledger.requests import ask_and_wait
        from pipeline.settings import load_settings

        settings = load_settings()
        client = ClickHouse(settings)
        parts = rebuilding.partitions(client)
        if asyncio.run(rebuilding.members(settings)):
            note("workers run: their owners rebuild the partitions")
            ask_and_wait(client, [rebuilding.partition_of(part) for part in parts], "rebuild", wait)
            done = [rebuilding.compare(client, part, 0) for part in rebuilding.partitions(client)]
        else:
            done = [rebuilding.rebuild(client, part) for part in parts]
        if json:
            emit_json([asdict(one) for one in done])
        else:
            for one in done:
                equal = "equal" if one.equal else "DIFFERS"
                emit(
                    f"{one.topic}[{one.part}] epoch {one.epoch}: {one.rows} rows, {one.written} written,"
                    f" {equal}, {one.checksum[:16]}"
                )
        return Exit.OK if all(one.equal for one in done) else Exit.DIFFERENCE

    guarded(work)


def report(found: Audit) -> list[str]:
    """The audit for people: one line a partition that has events, then the verdict."""
    lines = []
    for account in found.accounts:
        if account.hi < account.lo and not account.wrong:
            continue
        terms = " + ".join(f"{n} {name}" for name, n in account.dispositions.items() if n) or "0"
        equals = "=" if sum(account.dispositions.values()) + account.gaps == account.hi - account.lo + 1 else "≠"
        gaps = f" + {account.gaps} gaps" if account.gaps else ""
        lines.append(
            f"{account.topic}[{account.part}] epoch {account.epoch}:"
            f" {account.hi} - {account.lo} + 1 {equals} {terms}{gaps}; {account.windows} window rows, lag {account.lag}"
        )
        lines.extend(f"    WRONG: {sentence}" for sentence in account.wrong)
    lines.extend(f"WRONG: {sentence}" for sentence in found.strays)
    total = sum(sum(account.dispositions.values()) for account in found.accounts)
    lag = sum(account.lag for account in found.accounts)
    verdict = "the audit holds" if found.holds else "THE AUDIT DOES NOT HOLD"
    lines.append(
        f"{verdict}: {total} offsets, each with one ledger row; windows equal the ledger; lag {lag}"
        if found.holds
        else f"{verdict}: see the lines marked WRONG"
    )
    return lines
