"""Peak memory of every server, idle and under load."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from benchmarks.echo import drive
from benchmarks.rig import Rig, serving
from benchmarks.table import BYTES, FAILURES, Table, explain
from lab.control.host import Host

PORT = 8500
TIMEOUT = 120.0
BASE = "an idle python3"
FILE = "/tmp/bench-source"
FOLDER = "/tmp/bench-copies"


@dataclass(frozen=True)
class Case:
    """A server and its load."""

    name: str
    command: str
    load: str  # its description
    apply: Callable[[Host], object]  # the load, from the client


def on_client(command: str) -> Callable[[Host], object]:
    return lambda client: client.run(command, check=True, timeout=TIMEOUT)


def echo(io_model: str, connections: int, messages: int) -> Case:
    return Case(
        f"lab-echo {io_model}",
        f"lab-echo serve --mode upper --io {io_model} --port {PORT} --max-clients 1000",
        f"concurrent connections: {connections:,}; requests on each: {messages}",
        lambda client: drive(client, PORT, connections, messages),
    )


def concurrently(count: int, command: str) -> str:
    """``count`` concurrent runs of ``command``, numbered by $i; fails if one of them fails."""
    start = f'for i in $(seq {count}); do {command} & pids="$pids $!"; done'
    return f"{start}; for p in $pids; do wait $p || exit 1; done"


CASES = (
    echo("blocking", 1, 2000),
    echo("threaded", 1000, 5),
    echo("async", 1000, 5),
    Case(
        "lab-udp echo",
        f"lab-udp serve --mode echo --port {PORT}",
        "500 datagrams of 65,507 bytes",
        on_client(f"lab-udp send --mode echo --port {PORT} --size 65507 --count 500 server >/dev/null"),
    ),
    Case(
        "lab-udp request",
        f"lab-udp serve --mode request --port {PORT}",
        "4,000 requests of 1,000 bytes",
        on_client(f"lab-udp send --mode request --port {PORT} --size 1000 --count 4000 server >/dev/null"),
    ),
    Case(
        "lab-command",
        f"lab-command serve --port {PORT}",
        "8 concurrent clients, each with a command that outputs 32 MiB",
        on_client(concurrently(8, f"lab-command run --port {PORT} server head -c 32M /dev/zero >/dev/null")),
    ),
    Case(
        "lab-transfer",
        f"lab-transfer serve --port {PORT} --root {FOLDER}",
        "8 concurrent clients, each with a put of 64 MiB",
        on_client(concurrently(8, f"lab-transfer put --port {PORT} server {FILE} --to $i >/dev/null")),
    ),
)


def measure(rig: Rig) -> Iterator[Table]:
    client, server = rig.lab.client, rig.lab.server
    table = Table("Peak memory (VmHWM) of the servers", BYTES, base=BASE)
    with serving(server, "python3 -c 'import time; time.sleep(600)'", announce="pid ") as plain:
        client.run(f"head -c 64M /dev/urandom >{FILE}", check=True)
        server.run(f"mkdir -p {FOLDER}", check=True)
        for _ in range(rig.rounds(3)):
            table.add(BASE, plain.peak())
            for case in CASES:
                add(table, case, client, server)
        client.run(f"rm -f {FILE}")
        server.run(f"rm -rf {FOLDER}")
    yield table


def add(table: Table, case: Case, client: Host, server: Host) -> None:
    """Adds a server's memory before and after its load. A server that fails is missing in the table."""
    loaded = f"{case.name}, loaded"
    if loaded in table.missing:
        return
    table.remarks[loaded] = case.load
    try:
        with serving(server, case.command) as running:
            idle = running.peak()
            case.apply(client)
            table.add(f"{case.name}, idle", idle)
            table.add(loaded, running.peak())
    except FAILURES as error:
        table.miss(loaded, explain(error))
