"""`lab link`: look at the link between the segments, make it bad, prove what it does, heal it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated, TypeVar

import typer
from rich.console import Console
from rich.table import Table

from lab.cli.errors import errors_in_one_line
from lab.control.lab import Lab
from lab.control.link import Link, LinkFailure, Status
from lab.control.link_measurement import failures
from lab.control.transport import from_engine
from lab.engine.project import Topology
from lab.errors import UsageError
from lab.evidence.events import Measured
from lab.link.settings import (
    BOTH,
    DIRECTIONS,
    ImpairmentError,
    parse_rate,
    parse_seconds,
    parse_share,
)

app = typer.Typer(
    name="link",
    no_args_is_help=True,
    rich_markup_mode="rich",
    help="Make the link between the segments bad, and prove what it does.",
    epilog="Example: lab link set --delay 20ms --loss 5% · lab link verify · lab link clear",
)
stdout = Console(highlight=False, soft_wrap=True)

T = TypeVar("T")
Project = Annotated[
    str | None, typer.Option("--project", "-p", help="The lab's name.", show_default="socketlab")
]
Direction = Annotated[str, typer.Option("--direction", "-d", help="to-servers, to-clients or both.")]
Seed = Annotated[
    str | None, typer.Option(help="Of the random choices: the same seed and packets, the same fate.")
]
Backend = Annotated[str | None, typer.Option(help="netem, nfqueue or statistic.", show_default="the best")]
Unverified = Annotated[bool, typer.Option("--no-verify", help="Don't measure what the link does now.")]


@app.command()
def show(project: Project = None) -> None:
    """What holds now, by which backend, and what it did to packets so far."""
    with _lab(project) as lab:
        _print_status(lab.link.show())


@app.command("set")
def set_link(
    delay: Annotated[str, typer.Option(help="One way: 20ms.")] = "0",
    jitter: Annotated[str, typer.Option(help="Delays are spread over delay ± jitter: 5ms.")] = "0",
    loss: Annotated[str, typer.Option(help="Share of packets: 5%.")] = "0",
    duplication: Annotated[str, typer.Option(help="Share of packets that come twice.")] = "0",
    reordering: Annotated[str, typer.Option(help="Share of packets that skip the delay.")] = "0",
    corruption: Annotated[str, typer.Option(help="Share of packets with a bit flipped.")] = "0",
    rate: Annotated[str | None, typer.Option(help="Of the line: 10Mbit.", show_default="unlimited")] = None,
    direction: Direction = BOTH,
    seed: Seed = None,
    backend: Backend = None,
    no_verify: Unverified = False,
    project: Project = None,
) -> None:
    """Impair the link. Replaces what was set before, whole; a partition and drops stay."""
    with _lab(project) as lab:
        asked = {
            "delay": _number(parse_seconds, delay),
            "jitter": _number(parse_seconds, jitter),
            "loss": _number(parse_share, loss),
            "duplication": _number(parse_share, duplication),
            "reordering": _number(parse_share, reordering),
            "corruption": _number(parse_share, corruption),
        }
        bits = None if rate is None else _number(parse_rate, rate)
        lab.link.seed, lab.link.backend = seed, backend
        link = lab.link
        _change(link, lambda: link.set(**asked, rate=bits, direction=direction, verify=False), no_verify)


@app.command()
def partition(
    direction: Annotated[str, typer.Argument(help="to-servers, to-clients or both.")] = BOTH,
    no_verify: Unverified = False,
    project: Project = None,
) -> None:
    """Cut the link, both ways or one way."""
    with _lab(project) as lab:
        _change(lab.link, lambda: lab.link.partition(direction, verify=False), no_verify)


@app.command()
def heal(no_verify: Unverified = False, project: Project = None) -> None:
    """End the partition. An impairment stays."""
    with _lab(project) as lab:
        _change(lab.link, lambda: lab.link.heal(verify=False), no_verify)


@app.command()
def drop(
    nth: Annotated[list[int], typer.Argument(min=1, help="Which of the packets that match, from 1.")],
    protocol: Annotated[str | None, typer.Option(help="tcp, udp, icmp or icmp6.")] = None,
    port: Annotated[int | None, typer.Option(help="At either end.")] = None,
    flags: Annotated[str | None, typer.Option(help="TCP flags: SYN, SYN+ACK, FIN+ACK, RST.")] = None,
    direction: Direction = BOTH,
    project: Project = None,
) -> None:
    """Drop the NTH packet that matches, from now on. `lab link show` tells whether it came."""
    with _lab(project) as lab:
        lab.link.drop(nth, protocol=protocol, port=port, flags=flags, direction=direction)
        _print_status(lab.link.show())


@app.command()
def clear(project: Project = None) -> None:
    """End everything: impairment, partition, drops."""
    with _lab(project) as lab:
        lab.link.clear()
        stdout.print("The link is unimpaired.")


@app.command()
def verify(project: Project = None) -> None:
    """Measure what the link does, and compare it with what was asked. Exit code 1 where it differs."""
    with _lab(project) as lab:
        _print_measured(lab.link.verify())


def _change(link: Link, change: Callable[[], None], no_verify: bool) -> None:
    change()
    stdout.print(f"The link is now – {link.settings.describe()}.")
    if not no_verify:
        _print_measured(link.verify())


def _print_status(status: Status) -> None:
    stdout.print(f"backend  {status.backend}")
    stdout.print(f"link     {status.settings.describe()}")
    if not status.alive:
        raise LinkFailure("its program has died, so the link is cut; `lab link clear` ends that")
    for direction in DIRECTIONS:
        counts = status.delivered.get("counts", {}).get(direction, {})
        words = [f"{number} {name}" for name, number in counts.items() if number and name != "latest_us"]
        if words:
            stdout.print(f"{direction}: {', '.join(words)}; at most {counts['latest_us'] / 1000:.1f} ms late")
    drops = status.delivered.get("drops", [])
    for asked, (matched, taken) in zip(status.settings.drops, drops, strict=False):
        stdout.print(f"{asked.describe()}: {matched} matched, {taken} dropped")


def _print_measured(measured: Measured) -> None:
    table = Table("direction", "what", "asked", "measured", "interval", "ok", box=None, header_style="bold")
    for direction, checks in measured.items():
        for check in checks:
            if check.matters:
                verdict = {True: "[green]yes[/]", False: "[red]no[/]", None: f"? {check.note}"}[check.ok]
                interval = f"{check.show(check.low)} … {check.show(check.high)}"
                asked = check.show(check.asked)
                table.add_row(direction, check.what, asked, check.show(check.measured), interval, verdict)
    stdout.print(table)
    if failures(measured):
        raise LinkFailure("the link doesn't do what was asked")


def _number(parse: Callable[[str], T], text: str) -> T:
    try:
        return parse(text)
    except ImpairmentError as error:
        raise UsageError(str(error)) from None


@contextmanager
def _lab(project: str | None) -> Iterator[Lab]:
    with errors_in_one_line(), from_engine(Topology.from_environment(project).project) as lab:
        yield lab
