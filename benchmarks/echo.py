"""Echo requests per second and 1,000 concurrent connections: lab-echo, by I/O model, and socat compared."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path

from benchmarks import load
from benchmarks.rig import Rig, serving
from benchmarks.table import PER_SECOND, SECONDS, Table, alternate
from lab.control.host import Host

MANY = 1000  # connections
SOME = 50
TIMEOUT = 120.0
BLOCKING, THREADED, AIO = (f"lab-echo, {io_model}" for io_model in ("blocking", "threaded", "async"))
PIPE, CAT = "socat PIPE", "socat EXEC:cat"
PORTS = {name: 8400 + number for number, name in enumerate((BLOCKING, THREADED, AIO, PIPE, CAT))}
CONCURRENT = (THREADED, AIO, PIPE, CAT)  # the blocking I/O model serves one client at a time

NOTE = (
    "The load comes from one Python process on the client (benchmarks/load.py), which shares the machine's "
    "processors with the server and verifies every answer."
)


def measure(rig: Rig) -> Iterator[Table]:
    client, server = rig.lab.client, rig.lab.server
    with ExitStack() as stack:
        for name in PORTS:
            stack.enter_context(serving(server, command_of(name), announce=announcement(name)))
        wait_for_ports(server, PORTS.values())
        yield requests(client, rig.rounds(5), PORTS, connections=1, messages=4000)
        yield requests(client, rig.rounds(5), CONCURRENT, connections=SOME, messages=400)
        yield many_connections(client, rig.rounds(3))


def command_of(name: str) -> str:
    """The server's command. All servers run during the whole benchmark, each on its own port."""
    port = PORTS[name]
    if name.startswith("socat"):
        return f"socat TCP-LISTEN:{port},fork,reuseaddr,nodelay,backlog={MANY} {name.split()[1]}"
    return f"lab-echo serve --mode upper --io {name.split()[1]} --port {port} --max-clients {MANY}"


def announcement(name: str) -> str:
    return "pid " if name.startswith("socat") else "listening on"  # socat doesn't report that it listens


def wait_for_ports(host: Host, ports: Iterable[int]) -> None:
    """Waits until each port has a listener. Raises CommandTimeout."""
    for port in ports:
        host.run(f"until ss -Hltn sport = :{port} | grep -q .; do sleep 0.02; done", check=True, timeout=10)


def requests(client: Host, rounds: int, names: Iterable[str], *, connections: int, messages: int) -> Table:
    plural = "s, each with one request in flight" if connections > 1 else ""
    table = Table(
        f"Echo requests of {load.SIZE} bytes, {connections} connection{plural}", PER_SECOND, base=PIPE
    )

    def rate(name: str) -> float:
        took = drive(client, PORTS[name], connections, messages)
        return connections * messages / took["seconds"]

    alternate(table, {name: lambda name=name: rate(name) for name in names}, rounds)  # type: ignore[misc]
    table.notes.append(NOTE)
    return table


def many_connections(client: Host, rounds: int) -> Table:
    """Opens MANY connections and waits for 5 answers on each before any is closed."""
    table = Table(f"{MANY:,} concurrent connections: opened, and 5 answers on each", SECONDS, base=PIPE)

    def seconds(name: str) -> float:
        took = drive(client, PORTS[name], MANY, 5)
        return took["opening"] + took["seconds"]

    alternate(table, {name: lambda name=name: seconds(name) for name in CONCURRENT}, rounds)  # type: ignore[misc]
    table.notes.append(NOTE)
    return table


def drive(client: Host, port: int, connections: int, messages: int) -> dict[str, float]:
    """Runs load.py on ``client`` against the server."""
    program = Path(load.__file__).read_text(encoding="utf-8")
    command = shlex.join(["python3", "-", "server", str(port), str(connections), str(messages)])
    done = client.run(f"ulimit -n 4096; exec {command}", stdin=program, check=True, timeout=TIMEOUT)
    took: dict[str, float] = json.loads(done.stdout)
    return took
