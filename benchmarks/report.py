"""The results of benchmarks, on a terminal and as JSON."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table as Grid

from benchmarks.table import Goal, Table

RESULTS = Path(__file__).parent / "results"
_REACHED = {True: "[green]reached[/]", False: "[red]not reached[/]", None: "[yellow]not measured[/]"}


def show(console: Console, table: Table) -> None:
    """Prints the table with medians, range and comparison, then its goals."""
    grid = Grid(title=escape(table.title), title_justify="left", title_style="bold", box=None, pad_edge=False)
    grid.add_column("", no_wrap=True)
    for column in ("median", "least … most", "of", f"against {table.base}" if table.base else ""):
        grid.add_column(escape(column), justify="right", no_wrap=True)
    for way, values in table.rows.items():
        grid.add_row(
            escape(way),
            table.unit.show(table.median(way) or 0.0),
            f"{table.unit.show(min(values))} … {table.unit.show(max(values))}",
            str(len(values)),
            table.compared(way),
        )
    console.print(grid)
    for way, remark in table.remarks.items():
        console.print(f"  [dim]{escape(way)}: {escape(remark)}[/]")
    for note in table.notes:
        console.print(f"  [dim]{escape(note)}[/]")
    for way, why in table.missing.items():
        console.print(f"  [yellow]{escape(way)}: not measured: {escape(why)}[/]")
    show_goals(console, table.goals)
    console.print()


def show_goals(console: Console, goals: Sequence[Goal], title: str | None = None) -> None:
    """Prints each goal with its target, the measured value, and the value as a share of the target."""
    if not goals:
        return
    grid = Grid(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False)
    grid.add_column("", no_wrap=True)
    for column in ("target", "measured", "of the target"):
        grid.add_column(column, justify="right", no_wrap=True)
    grid.add_column("", no_wrap=True)
    for goal in goals:
        sign = "≤" if goal.at_most else "≥"
        grid.add_row(
            escape(goal.text),
            f"{sign} {goal.show(goal.limit)}",
            "–" if goal.value is None else goal.show(goal.value),
            "–" if goal.ratio is None else f"{goal.ratio:.0%}",
            _REACHED[goal.reached],
        )
    console.print(grid)


def show_all_goals(console: Console, tables: Mapping[str, Sequence[Table]]) -> None:
    """Prints the goals of all benchmarks in one table."""
    goals = [
        replace(goal, text=f"{name}: {goal.text}")
        for name, found in tables.items()
        for table in found
        for goal in table.goals
    ]
    show_goals(console, goals, "All goals")


def machine() -> dict[str, Any]:
    """The properties of this machine on which the numbers depend."""
    return {
        "cpu": _cpu(),
        "cores": len(os.sched_getaffinity(0)),
        "kernel": platform.release(),
        "system": platform.machine(),
        "load_average": os.getloadavg(),
    }


def versions() -> dict[str, str]:
    """The versions of the software involved; "" for software that isn't installed."""
    found = {"python": platform.python_version()}
    for package in ("docker", "paramiko"):
        found[f"python-{package}"] = metadata.version(package)
    commands = {
        "engine": ["docker", "version", "--format", "{{.Server.Version}}"],
        "compose": ["docker", "compose", "version", "--short"],
        "ssh": ["ssh", "-V"],
        "revision": ["git", "-C", str(RESULTS.parent), "describe", "--always", "--dirty"],
    }
    return found | {name: _first_line(argv) for name, argv in commands.items()}


def write(path: Path, started: float, before: Mapping[str, Any], tables: Mapping[str, list[Table]]) -> None:
    """Writes machine, versions and all tables as JSON. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {
        "started": started,
        "seconds": time.time() - started,
        "machine": {**before, "load_average_after": os.getloadavg()},
        "versions": versions(),
        "benchmarks": {name: [table.as_json() for table in found] for name, found in tables.items()},
    }
    path.write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def default_path(started: float) -> Path:
    return RESULTS / time.strftime("%Y-%m-%dT%H-%M-%SZ.json", time.gmtime(started))


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "")


def _first_line(argv: list[str]) -> str:
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=20, stdin=subprocess.DEVNULL)
    except (OSError, subprocess.SubprocessError):
        return ""
    return (done.stdout or done.stderr).strip().partition("\n")[0] if done.returncode == 0 else ""
