"""`touchline`: finds the command's module and hands over. Nothing heavy is imported before the command is known."""

from __future__ import annotations

import sys
from importlib import import_module

from pipeline.command.output import Exit, emit, note

#: Command -> (module, what it does). The module is the command, or a group that has it.
COMMANDS: dict[str, tuple[str, str]] = {
    "demo": ("pipeline.command.demo", "see the product at work: stack, workers, a month of history, live scores"),
    "up": ("pipeline.command.stack", "start Kafka, ClickHouse's engine and workers on this machine, without Docker"),
    "down": ("pipeline.command.stack", "end them; data stay"),
    "status": ("pipeline.command.stack", "what runs, where, how large"),
    "env": ("pipeline.command.stack", "the settings to export for a running stack"),
    "worker": ("pipeline.command.admin", "run one worker, the same as `python -m agents`"),
    "gateway": ("pipeline.command.gateway", "take events over HTTP, with a verdict for each"),
    "topics": ("pipeline.command.admin", "apply or diff the topics on the broker"),
    "migrate": ("pipeline.command.admin", "bring ClickHouse's tables up to date"),
    "offsets": ("pipeline.command.admin", "begin a new epoch of a topic that was made again"),
    "release": ("pipeline.command.admin", "let a paused partition go on"),
    "config": ("pipeline.command.admin", "show or check the settings"),
    "links": ("pipeline.command.links", "links for e-mail that ask one question"),
    "keys": ("pipeline.command.keys", "who may write and read over HTTP: create, list, rotate, revoke"),
    "doctor": ("pipeline.command.doctor", "what is reachable, right and ready; each line with the fix"),
    "scores": ("pipeline.command.scores", "scores with n and interval, by any dimension and grain"),
    "rules": ("pipeline.command.rules", "what is watched: check, list, explain, simulate, backtest"),
    "alerts": ("pipeline.command.alerts", "what fires and who is called; acknowledge, silence, resolve, try a route"),
    "journeys": ("pipeline.command.journeys", "where customers go, how long it takes, where they stop"),
    "drivers": ("pipeline.command.drivers", "what moves a score, and what its answers cost"),
    "customer": ("pipeline.command.customer", "one customer: events across channels, the index explained, last scores"),
    "consistency": ("pipeline.command.drivers", "how even a score is between units, channels, ..."),
    "waits": ("pipeline.command.responses", "response rates and times, open cases counted as such"),
    "gap": ("pipeline.command.responses", "what the staff believes against what customers say"),
    "page": ("pipeline.command.page", "the live page and the reading API"),
    "top": ("pipeline.command.top", "the page in a terminal"),
    "tail": ("pipeline.command.tail", "what customers say, or alerts, line by line"),
    "report": ("pipeline.command.report", "the week as one HTML file, and as PDF"),
    "audit": ("pipeline.command.proof", "prove that every offset is counted once"),
    "restate": ("pipeline.command.restate", "count late answers after all, take doubles out, label texts anew"),
    "merge": ("pipeline.command.customers", "two customers are one"),
    "erase": ("pipeline.command.customers", "forget a customer; what was answered still counts"),
    "rebuild": ("pipeline.command.proof", "make the windows again from the ledger"),
    "simulate": ("pipeline.command.intake", "customers' journeys, as NDJSON or into Kafka"),
    "produce": ("pipeline.command.intake", "send NDJSON events, with a verdict per row"),
    "import": ("pipeline.command.intake", "bring a CSV, NDJSON or Parquet file in as history, resumable"),
    "rejects": ("pipeline.command.rejects", "what was rejected: list, show, count, replay after a fix"),
    "deliveries": ("pipeline.command.deliveries", "what webhooks brought in seven days; map it anew"),
    "producers": ("pipeline.command.rejects", "who sends, who turned bad, who fell silent"),
    "invitations": ("pipeline.command.invitations", "may a customer be surveyed; how many answer"),
    "schema": ("pipeline.command.schema", "export or check the schemas"),
}


def main(arguments: list[str] | None = None) -> None:
    """The command line. Exit codes: 0 ok, 1 failure, 2 usage, 3 a check found a difference, 4 unreachable."""
    given = sys.argv[1:] if arguments is None else arguments
    if not given or given[0] in ("--help", "-h", "help"):
        emit(overview())
        sys.exit(Exit.OK if given else Exit.USAGE)
    if given[0] == "--version":
        from importlib.metadata import version

        emit(f"touchline {version('touchline')}")
        sys.exit(Exit.OK)
    name = given[0]
    if name not in COMMANDS:
        note(f"touchline: no command {name!r}; `touchline --help` lists them")
        sys.exit(Exit.USAGE)
    import typer

    app = import_module(COMMANDS[name][0]).app
    command = typer.main.get_command(app)
    inside = name in getattr(command, "commands", {})
    try:
        command(given if inside else given[1:], prog_name="touchline" if inside else f"touchline {name}")
    except KeyboardInterrupt:
        sys.exit(130)


def overview() -> str:
    """What `touchline --help` prints."""
    width = max(len(name) for name in COMMANDS)
    lines = [f"  {name:<{width}}  {about}" for name, (_, about) in COMMANDS.items()]
    return "\n".join(
        [
            "Touchline: live customer-experience scores from event streams.",
            "",
            "usage: touchline COMMAND [--help]",
            "",
            *lines,
        ]
    )


if __name__ == "__main__":
    main()
