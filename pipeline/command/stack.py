"""`touchline up`, `down`, `status`, `env`: the embedded stack of one folder [I/O]."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from pipeline.command.output import Exit, emit, emit_json, note
from pipeline.errors import StackError, TouchlineError

app = typer.Typer(rich_markup_mode=None, help="Apache Kafka and ClickHouse's engine on this machine, without Docker.")

#: Beside the project, so that several projects keep apart; data stay there over restarts.
DEFAULT_FOLDER = Path(".touchline")

Folder = Annotated[Path, typer.Option("--dir", help="folder of the stack's data, logs and state")]
AsJson = Annotated[bool, typer.Option("--json", help="one JSON document on standard output")]
Port = Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one")]


@app.command()
def up(
    folder: Folder = DEFAULT_FOLDER,
    workers: Annotated[int, typer.Option(min=0, max=64, help="worker processes to start")] = 0,
    kafka_port: Port = 0,
    clickhouse_port: Port = 0,
    bootstrap: Annotated[str, typer.Option(help="use this Kafka (host:port) and start none")] = "",
    gateway: Annotated[bool, typer.Option(help="start the gateway: events over HTTP")] = True,
    page: Annotated[bool, typer.Option(help="start the live page")] = True,
    json: AsJson = False,
) -> None:
    """Start Kafka, ClickHouse's engine, workers, gateway and page in the background; `touchline down` ends them."""
    from pipeline.stack.launch import Options, Stack

    options = Options(workers, kafka_port, clickhouse_port, bootstrap, gateway=gateway, page=page)
    try:
        addresses = Stack(folder, note=note).up(options)
    except TouchlineError as error:
        note(f"touchline up: {error}")
        raise typer.Exit(Exit.FAILURE) from error
    if json:
        emit_json(
            {
                "bootstrap": addresses.bootstrap,
                "clickhouse_url": addresses.clickhouse_url,
                "gateway_url": addresses.gateway_url,
                "page_url": addresses.page_url,
                "pids": addresses.pids,
            }
        )
        return
    emit(f"Kafka       {addresses.bootstrap}")
    emit(f"ClickHouse  {addresses.clickhouse_url}")
    if addresses.gateway_url:
        emit(f"Gateway     {addresses.gateway_url}")
    if addresses.page_url:
        emit(f"Live page   {addresses.page_url}")
    note(f'settings for other commands: eval "$(touchline env{_where(folder)})"')


@app.command()
def down(folder: Folder = DEFAULT_FOLDER, json: AsJson = False) -> None:
    """End every process of the stack; its data stay in the folder."""
    from pipeline.stack.launch import Stack

    try:
        ended = Stack(folder, note=note).down()
    except TouchlineError as error:
        note(f"touchline down: {error}")
        raise typer.Exit(Exit.FAILURE) from error
    if json:
        emit_json({"ended": ended})
    else:
        emit("ended: " + ", ".join(ended) if ended else f"nothing was running in {folder}")


@app.command()
def status(folder: Folder = DEFAULT_FOLDER, json: AsJson = False) -> None:
    """Each process: address, alive, memory. Exit code 4 when a part is gone or nothing was started."""
    from pipeline.stack.launch import Stack

    try:
        rows = Stack(folder).status()
    except TouchlineError as error:
        note(f"touchline status: {error}")
        raise typer.Exit(Exit.FAILURE) from error
    if json:
        emit_json({"dir": str(folder.resolve()), "processes": rows})
    elif not rows:
        note(f"nothing runs in {folder}: start it with `touchline up{_where(folder)}`")
    else:
        for row in rows:
            memory = f"{row['memory_mb']:.0f} MB" if row["memory_mb"] is not None else "-"
            state = "running" if row["alive"] else "GONE"
            emit(f"{row['name']:<12} {row['pid']:>8}  {state:<8} {memory:>8}  {row['address']}")
    if not rows or not all(row["alive"] for row in rows):
        raise typer.Exit(Exit.UNREACHABLE)


@app.command()
def env(folder: Folder = DEFAULT_FOLDER) -> None:
    """Settings of the running stack as lines for a shell: eval "$(touchline env)"."""
    from pipeline.stack.launch import Stack
    from pipeline.stack.prepare import environment

    try:
        settings = environment(Stack(folder).addresses)
    except StackError as error:
        note(f"touchline env: {error}")
        raise typer.Exit(Exit.UNREACHABLE) from error
    for name, value in settings.items():
        emit(f"export {name}={shlex.quote(value)}")


def _where(folder: Path) -> str:
    return "" if folder == DEFAULT_FOLDER else f" --dir {shlex.quote(str(folder))}"
