"""The words that a shell completes: hosts, labs, segments, scenarios, topologies.

A completion takes a fraction of a second at most, so it asks the `docker` program instead of importing the
Docker SDK. It never fails: without an engine, or with a mistake in lab.toml, there are fewer words.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import typer

if TYPE_CHECKING:
    from lab.topology.plan import Plan

Words: TypeAlias = Callable[[typer.Context], list[str]]

TIMEOUT = 1.0  # seconds for the engine's answer
LABELS = ("com.docker.compose.project", "com.docker.compose.service", "socketlab.role")
COLUMNS = " ".join(f'{{{{.Label "{label}"}}}}' for label in LABELS)
ROLES = ("host", "router")


def safe(words: Callable[[typer.Context], Iterable[str]]) -> Words:
    """The same words; none if they can't be found."""

    def complete(ctx: typer.Context) -> list[str]:
        with suppress(Exception):  # an error message would disturb the prompt
            return list(words(ctx))
        return []

    return complete


def fixed(*words: str) -> Words:
    """Always these words."""

    def complete(ctx: typer.Context) -> list[str]:
        return list(words)

    return complete


def _hosts(ctx: typer.Context) -> list[str]:
    """The nodes of the lab that is up, or else those of its description."""
    from lab.engine.description import topologies

    name = topologies.chosen_name(topologies.find(_file(ctx)), ctx.params.get("project"), os.environ)
    running = [service for project, service in _running() if project == name]
    return sorted(running) or [node.name for node in _plan(ctx).nodes]


def _segments(ctx: typer.Context) -> list[str]:
    return [segment.name for segment in _plan(ctx).segments]


def _directions(ctx: typer.Context) -> list[str]:
    return ["both", *(f"to-{name}" for name in _segments(ctx))]


def _labs(ctx: typer.Context) -> list[str]:
    return sorted({project for project, _service in _running()})


def _topologies(ctx: typer.Context) -> list[str]:
    from lab.engine.description import topologies

    return topologies.names()


def _scenarios(ctx: typer.Context) -> list[str]:
    from lab.scenarios import catalog

    given = ctx.params.get("names") or ()
    return [name for name in catalog.names() if name not in given]


def _played(ctx: typer.Context) -> list[str]:
    runs = Path(ctx.params.get("runs") or "runs")
    return sorted({path.parents[1].name for path in runs.glob("*/*/record.json")})


def _paths(ctx: typer.Context) -> list[str]:
    return [f"{host}:" for host in _hosts(ctx)]


def _file(ctx: typer.Context) -> str | None:
    return ctx.params.get("file") or ctx.params.get("description")


def _plan(ctx: typer.Context) -> Plan:
    from lab.engine.description import topologies
    from lab.topology.description import read
    from lab.topology.plan import plan

    return plan(read(topologies.find(_file(ctx))))


def _running() -> set[tuple[str, str]]:
    """The labs of the engine and their nodes: project and service."""
    argv = ["docker", "ps", "--all", "--filter=label=socketlab.role", f"--format={COLUMNS}"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=TIMEOUT)
    fields = [line.split(" ") for line in done.stdout.splitlines()]
    return {(project, service) for project, service, role in fields if role in ROLES}


hosts, segments, directions = safe(_hosts), safe(_segments), safe(_directions)
labs, topologies, scenarios = safe(_labs), safe(_topologies), safe(_scenarios)
played, paths = safe(_played), safe(_paths)
