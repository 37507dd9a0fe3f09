"""Labs of 3 to 50 hosts: seconds to start and to stop, memory of a host; compared with bare Compose."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.rig import Rig
from benchmarks.table import BYTES, FAILURES, SECONDS, CannotMeasure, Table, explain
from benchmarks.up import with_free_prefixes
from lab import shipped
from lab.engine.lifecycle.project import LabProject

COUNTS = (3, 10, 25, 50)
TIMEOUT = 300
COMPOSE, LAB = "docker compose", "lab"
UNITS = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}


@dataclass(frozen=True)
class Tool:
    """A way to run a network of hosts: the commands that start and stop it."""

    up: Callable[[], object]
    down: Callable[[], object]


def measure(rig: Rig) -> Iterator[Table]:
    memory = Table("Memory of a host (control group, the shared page cache left out)", BYTES)
    with TemporaryDirectory() as folder:
        for count in COUNTS:
            yield from times(rig, count, Path(folder), memory)
    yield memory


def times(rig: Rig, count: int, folder: Path, memory: Table) -> Iterator[Table]:
    """The tables of the start and the stop of a lab with ``count`` hosts on one segment."""
    file = folder / f"hosts{count}.toml"
    file.write_text(
        f'[segments]\nlan = {{}}\n[hosts.h]\nsegment = "lan"\ncount = {count}\n', encoding="utf-8"
    )
    up = Table(f"{count} hosts: from nothing to all healthy", SECONDS, base=COMPOSE)
    down = Table(f"{count} hosts: from healthy to nothing left", SECONDS, base=COMPOSE)
    up.remarks = {
        COMPOSE: "up --detach --wait, with the same Compose file",
        LAB: "lab up, with a login to each",
    }
    down.remarks = {COMPOSE: "down --volumes", LAB: "lab down, which also looks for resources left behind"}
    name = rig.project(f"-hosts{count}")
    project = LabProject.of_file(file, name, environ={})
    tools = {COMPOSE: compose(project, folder), LAB: lab(project, file)} | others(count, folder, up)
    for _ in range(rig.rounds(2)):
        for way, tool in tools.items():
            run(way, tool, up, down, memory if way == LAB else None, project)
    yield up
    yield down


def run(way: str, tool: Tool, up: Table, down: Table, memory: Table | None, project: LabProject) -> None:
    """Starts and stops the hosts once. A tool that fails is missing in the tables from then on."""
    if way in up.missing:
        return
    try:
        with removed(project):
            up.add(way, seconds(tool.up))
            if memory is not None:
                for value in memory_of_hosts(project):
                    memory.add(f"{len(project.nodes())} hosts", value)
            down.add(way, seconds(tool.down))
    except FAILURES as error:
        up.miss(way, explain(error))
        down.miss(way, explain(error))


@contextmanager
def removed(project: LabProject) -> Iterator[None]:
    """Removes the lab when the context ends, also after a failure."""
    try:
        yield
    finally:
        project.down()


def seconds(action: Callable[[], object]) -> float:
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


def lab(project: LabProject, file: Path) -> Tool:
    words = ["--quiet", "--file", str(file), "--project", project.project]
    return Tool(
        lambda: command([sys.executable, "-m", "lab", "up", *words]),
        lambda: command([sys.executable, "-m", "lab", "down", *words]),
    )


def compose(project: LabProject, folder: Path) -> Tool:
    """Compose with the file that `lab up` would give it; the file is written before the time is taken."""
    free = with_free_prefixes(project)
    path = folder / f"{project.project}.yml"
    path.write_text(free.compose_file_text(free.plan()).text, encoding="utf-8")
    argv = free.compose("-f", str(path))
    return Tool(
        lambda: command([*argv, "up", "--detach", "--wait"], free.environment()),
        lambda: command([*argv, "down", "--volumes", "--timeout", "1"], free.environment()),
    )


def others(count: int, folder: Path, table: Table) -> dict[str, Tool]:
    """Other tools that are installed here. The table has a note for each that isn't."""
    found = {name: make(count, folder) for name, make in OTHERS.items() if shutil.which(name)}
    table.notes += [f"{name}: not installed on this machine" for name in OTHERS if name not in found]
    return found


def containerlab(count: int, folder: Path) -> Tool:
    """The same image as plain containers on containerlab's management network."""
    nodes = {f"h{n}": {"kind": "linux", "image": "socketlab/host"} for n in range(1, count + 1)}
    file = folder / f"clab{count}.json"
    file.write_text(json.dumps({"name": f"bench{count}", "topology": {"nodes": nodes}}), encoding="utf-8")
    argv = ["containerlab", "--topo", str(file)]
    return Tool(lambda: command([*argv, "deploy"]), lambda: command([*argv, "destroy", "--cleanup"]))


def mininet(count: int, folder: Path) -> Tool:
    """Namespaces on one switch; `mn` stops them before it exits, so the start includes the stop."""
    argv = ["mn", f"--topo=single,{count}", "--test=none"]
    return Tool(lambda: command(argv), lambda: None)


OTHERS: Mapping[str, Callable[[int, Path], Tool]] = {"containerlab": containerlab, "mn": mininet}


def command(argv: list[str], environment: Mapping[str, str] | None = None) -> str:
    done = subprocess.run(
        argv,
        cwd=shipped.ROOT,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=True,
        timeout=TIMEOUT,
    )
    return done.stdout


def memory_of_hosts(project: LabProject) -> list[float]:
    """The memory of each host in bytes, as `docker stats` shows it."""
    ids = command(project.compose("ps", "--quiet")).split()
    shown = command(["docker", "stats", "--no-stream", "--format", "{{.MemUsage}}", *ids])
    return [in_bytes(line.partition("/")[0].strip()) for line in shown.splitlines()]


def in_bytes(text: str) -> float:
    """The number of bytes in a text such as "5.3MiB"."""
    found = re.fullmatch(r"([\d.]+)([KMG]?i?B)", text)
    if found is None or found[2] not in UNITS:
        raise CannotMeasure(f"docker stats shows {text!r}")
    return float(found[1]) * UNITS[found[2]]
