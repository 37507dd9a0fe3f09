"""The start of programs: `lab --help` on this machine, and lab-echo and the others on a node."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

from benchmarks.rig import Rig, tool
from benchmarks.table import SECONDS, Table, Way, alternate, timed

HELP, COMPOSE, EMPTY, OLD_HELP = (
    "lab --help",
    "docker compose --help",
    "python3 -c pass",
    "lab --help, all imported",
)
IMPORT_ALL = (
    "import docker, paramiko, jinja2, rich.markdown, lab.control.lab; from lab.cli.app import main; main()"
)
PARSER, ECHO, OLD_ECHO = "python3 with argparse and json", "lab-echo", "lab-echo, all imported"
PROGRAMS = ("lab-udp", "lab-command", "lab-transfer")
# As lab-echo started before: with the modules of all its I/O models.
OLD = (
    "import sys, asyncio, lab.sockets.aio, lab.sockets.threaded, lab.programs.load_generator, runpy; "
    "sys.argv = ['lab-echo', '--help']; runpy.run_module('lab.programs.echo', run_name='__main__')"
)


def measure(rig: Rig) -> Iterator[Table]:
    yield of_lab(rig)
    yield on_a_node(rig)


def of_lab(rig: Rig) -> Table:
    table = Table("The start of `lab --help` on this machine", SECONDS, base=EMPTY)
    table.remarks[OLD_HELP] = "with what its commands import when they run"
    ways = {
        HELP: of_process(sys.executable, "-m", "lab", "--help"),
        OLD_HELP: of_process(sys.executable, "-c", IMPORT_ALL, "--help"),
        COMPOSE: timed(lambda: of_process(tool("docker"), "compose", "--help")()),
        EMPTY: of_process(sys.executable, "-c", "pass"),
    }
    alternate(table, ways, rig.rounds(15))
    table.at_most(0.2, HELP, table.median(HELP), SECONDS)
    return table


def on_a_node(rig: Rig) -> Table:
    table = Table("The start of a program on a node: `--help`, over the warm connection", SECONDS, base=EMPTY)
    table.remarks[OLD_ECHO] = "asyncio too, which only `--io async` and `--connections` need"
    server = rig.lab.server

    def on_node(command: str) -> Way:
        return timed(lambda: server.run(f"{command} >/dev/null", check=True))

    ways = {
        EMPTY: on_node("python3 -c pass"),
        PARSER: on_node('python3 -c "import argparse, json"'),
        ECHO: on_node("lab-echo --help"),
        OLD_ECHO: on_node(f'python3 -P -c "{OLD}"'),
        **{name: on_node(f"{name} --help") for name in PROGRAMS},
    }
    alternate(table, ways, rig.rounds(15))
    table.at_most(0.85, f"{ECHO}, as a multiple of all imported", table.times(ECHO, OLD_ECHO))
    return table


def of_process(*argv: str) -> Way:
    return timed(
        lambda: subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, check=True, timeout=30)
    )
