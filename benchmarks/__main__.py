"""``python -m benchmarks``: compares the lab with the tools that it replaces."""

from __future__ import annotations

import importlib
import pkgutil
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, TypeAlias

import typer
from rich.console import Console
from rich.markup import escape

import benchmarks
from benchmarks import report
from benchmarks.rig import Rig
from benchmarks.table import FAILURES, SECONDS, Table, explain

Measure: TypeAlias = Callable[[Rig], Iterator[Table]]

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
console = Console(highlight=False)
if not console.is_terminal:
    console.width = 140  # a file isn't limited by a window


def catalog() -> dict[str, Measure]:
    """The benchmarks by name: each module of this package with a function ``measure``."""
    names = [module.name for module in pkgutil.iter_modules(benchmarks.__path__) if module.name != "__main__"]
    modules = {name: importlib.import_module(f"benchmarks.{name}") for name in names}
    return {name: module.measure for name, module in modules.items() if hasattr(module, "measure")}


def title(measure: Measure) -> str:
    return (sys.modules[measure.__module__].__doc__ or "").partition("\n")[0]


@app.command()
def bench(
    names: Annotated[list[str] | None, typer.Argument(metavar="[NAME]...", help="See --list.")] = None,
    only_list: Annotated[bool, typer.Option("--list", help="List the benchmarks.")] = False,
    rounds: Annotated[int | None, typer.Option(help="How often each way is measured.", min=1)] = None,
    json: Annotated[
        Path | None,
        typer.Option(metavar="PATH", help="File for all values; default: a new one in benchmarks/results/."),
    ] = None,
) -> None:
    """Compare the lab with the tools that it replaces, in alternation and in labs of its own.

    Exit codes: 0 everything was measured, whatever the results; 1 something could not be measured;
    2 wrong usage; 130 Ctrl-C.
    """
    found = catalog()
    if only_list:
        for name, measure in found.items():
            console.print(f"[bold]{name:10}[/] {escape(title(measure))}")
        return
    unknown = [name for name in names or () if name not in found]
    if unknown:
        console.print(f"no benchmark {unknown[0]!r}; there are {', '.join(found)}")
        raise typer.Exit(2)
    started, before = time.time(), report.machine()
    path = json or report.default_path(started)
    console.print(f"{before['cpu']}, {before['cores']} cores, load {before['load_average'][0]:.2f}\n")
    tables = measured({name: found[name] for name in names or found}, rounds)
    report.show_all_goals(console, tables)
    try:
        report.write(path, started, before, tables)
    except OSError as error:
        console.print(f"the values are lost: {path}: {error.strerror}")
        raise typer.Exit(1) from None
    console.print(f"all values: {path}")
    if not all(table.complete for some in tables.values() for table in some):
        raise typer.Exit(1)


def measured(wanted: dict[str, Measure], rounds: int | None) -> dict[str, list[Table]]:
    """The tables of each benchmark, shown when complete. One that fails gives a table without values."""
    tables: dict[str, list[Table]] = {}
    with Rig(rounds) as rig:
        for name, measure in wanted.items():
            tables[name] = []
            for table in _until_failure(name, measure, rig):
                tables[name].append(table)
                report.show(console, table)
    return tables


def _until_failure(name: str, measure: Measure, rig: Rig) -> Iterator[Table]:
    try:
        yield from measure(rig)
    except FAILURES as error:
        failed = Table(title(measure), SECONDS)
        failed.miss(name, explain(error))
        yield failed


def main() -> None:
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # takes the labs down
    try:
        app(prog_name="python -m benchmarks")
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
