"""`lab run` as a process on a lab that is up, compared with the same programs by docker exec."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.rig import Rig, tool
from benchmarks.table import SECONDS, CannotMeasure, Table, alternate, timed
from lab.scenarios import catalog

HELLO = "lab run tcp-hello"
BY_HAND, RECORDED = "docker exec", "docker exec, with tcpdump on both hosts"
TIMEOUT = 180
# The server listens when the client's connection succeeds: it is tried until then.
SCRIPT = """
set -e
server=$1-server-1 client=$1-client-1
docker exec -d "$server" sh -c 'echo $$ >/tmp/bench-server; exec lab-echo serve --port 8700'
for try in $(seq 100); do
    if docker exec "$client" lab-echo send --port 8700 server >"$2/answer" 2>&1; then break; fi
done
docker exec "$server" sh -c 'kill $(cat /tmp/bench-server)'
grep -q . "$2/answer"
"""
CAPTURED = """
set -e
for host in server client; do
    docker exec "$1-$host-1" sh -c 'echo $$ >/tmp/bench-tcpdump; exec tcpdump -i any -w - port 8700' \\
        >"$2/$host.pcap" 2>"$2/$host.log" &
done
for host in server client; do
    until grep -q 'listening on' "$2/$host.log"; do :; done
done
{script}
for host in server client; do
    docker exec "$1-$host-1" sh -c 'kill $(cat /tmp/bench-tcpdump)'
done
wait
"""


def measure(rig: Rig) -> Iterator[Table]:
    rig.lab  # noqa: B018  (brings the lab up)
    with tempfile.TemporaryDirectory() as folder:
        yield hello(rig, Path(folder))
        yield whole_set(rig, Path(folder))


def hello(rig: Rig, folder: Path) -> Table:
    table = Table("tcp-hello on a lab that is up", SECONDS, base=HELLO)
    table.remarks[HELLO] = "a process: packets, sockets, diagram, verdict, trace.html"
    table.remarks[BY_HAND] = "a shell script: server, client, answer; no evidence and no verdict"
    ways = {
        HELLO: timed(lambda: lab_run(rig, folder, ["tcp-hello"])),
        BY_HAND: timed(lambda: shell(rig, folder, SCRIPT)),
        RECORDED: timed(lambda: shell(rig, folder, CAPTURED.replace("{script}", SCRIPT))),
    }
    alternate(table, ways, rig.rounds(7))
    table.at_most(0.8, HELLO, table.median(HELLO), SECONDS)
    return table


def whole_set(rig: Rig, folder: Path) -> Table:
    scenarios = map(catalog.load, catalog.names())
    names = [each.name for each in scenarios if not each.topology and not each.profile]
    way = f"lab run of {len(names)} scenarios"
    table = Table("All scenarios of the default lab, which is up", SECONDS)
    table.remarks[way] = "each pitfall broken and fixed; they were 40 when the limit was set"
    alternate(table, {way: timed(lambda: lab_run(rig, folder, names))}, rig.rounds(1), warm_up=False)
    table.at_most(30.0, way, table.median(way), SECONDS)
    return table


def lab_run(rig: Rig, folder: Path, names: Sequence[str]) -> None:
    argv = [sys.executable, "-m", "lab", "run", "--project", rig.project(), "--runs", str(folder), *names]
    _run(argv)


def shell(rig: Rig, folder: Path, script: str) -> None:
    tool("docker")
    _run(["bash", "-c", script, "bash", rig.project(), str(folder)])


def _run(argv: Sequence[str]) -> None:
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=TIMEOUT)
    if done.returncode != 0:
        last = (done.stderr or done.stdout).strip().splitlines()[-1:]
        raise CannotMeasure(f"{argv[0]}: exit code {done.returncode}: {''.join(last)}")
