"""`lab link`: show the links between the segments, impair one, verify it, and clear them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer
from rich.console import Console

from lab.cli import completion
from lab.cli.commands import App
from lab.cli.errors import errors_in_one_line
from lab.cli.options import AsJson, File, Project, lab_name
from lab.cli.output.json_text import print_json
from lab.errors import UsageError
from lab.link.errors import ImpairmentError
from lab.link.settings import BOTH
from lab.link.units import parse_rate, parse_seconds, parse_share
from lab.locale import _, message

if TYPE_CHECKING:
    from lab.control.lab import Lab
    from lab.control.link.link import Link

app = App(
    name="link",
    epilog=_(
        "If the lab has several links, --between SEGMENT SEGMENT chooses one; `lab link show` lists them.\n\n"
        "While a scenario runs, its lab can only be shown: the other commands exit with code 3."
    ),
)
stdout = Console(highlight=False, soft_wrap=True)

DIRECTION_HELP = _("to-SEGMENT or both.")

T = TypeVar("T")
Direction = Annotated[
    str, typer.Option("--direction", "-d", help=DIRECTION_HELP, autocompletion=completion.directions)
]
DirectionArgument = Annotated[
    str, typer.Argument(metavar="DIRECTION", help=DIRECTION_HELP, autocompletion=completion.directions)
]
Seed = Annotated[
    str | None,
    typer.Option(help=_("Seed of the random choices: the same seed and packets get the same treatment.")),
]
Backend = Annotated[
    str | None,
    typer.Option(
        help=_("netem, nfqueue or statistic."),
        show_default=_("the best one"),
        autocompletion=completion.fixed("netem", "nfqueue", "statistic"),
    ),
]
Between = Annotated[
    tuple[str, str],
    typer.Option(
        metavar="A B",
        autocompletion=completion.segments,
        help=_("Two segments, or a host on each: the link between them."),
        show_default=_("the only link"),
    ),
]
ONLY = ("", "")  # --between isn't given
Unverified = Annotated[bool, typer.Option("--no-verify", help=_("Don't measure the link afterwards."))]


@app.command(
    help=_("Show the settings in force, their backend, and the packet counters."), examples=["lab link show"]
)
def show(
    between: Between = ONLY, project: Project = None, file: File = None, as_json: AsJson = False
) -> None:
    from lab.cli.output.link_status import as_json as to_json
    from lab.cli.output.link_status import print_all, print_message, print_status

    with _lab(project, file) as lab:
        if as_json:
            chosen = None if between == ONLY else _chosen(lab, between)
            shown = lab.link.status() if chosen is None else {chosen.name: chosen.show()}
            links = [to_json(name, status) for name, status in shown.items()]
            print_json({"links": links, "partitions": lab.link.partitions_in_force})
            return
        if between == ONLY and len(lab.link.links) > 1:
            print_all(lab.link)
        else:
            print_status(_chosen(lab, between).show())
        for sets in lab.link.partitions_in_force:
            print_message(message("partition: {sets}", sets=sets))


@app.command(
    "set",
    help=_("Impair the link. Replaces the previous impairment; a partition and drops stay."),
    examples=["lab link set --delay 20ms --loss 5%"],
)
def set_link(
    delay: Annotated[str, typer.Option(help=_("One-way delay, such as 20ms."))] = "0",
    jitter: Annotated[str, typer.Option(help=_("Delays vary by this much up and down, such as 5ms."))] = "0",
    loss: Annotated[str, typer.Option(help=_("Share of packets that are lost, such as 5%."))] = "0",
    duplication: Annotated[str, typer.Option(help=_("Share of packets that arrive twice."))] = "0",
    reordering: Annotated[str, typer.Option(help=_("Share of packets that skip the delay."))] = "0",
    corruption: Annotated[str, typer.Option(help=_("Share of packets with one bit flipped."))] = "0",
    rate: Annotated[
        str | None, typer.Option(help=_("Rate of the line, such as 10Mbit."), show_default=_("unlimited"))
    ] = None,
    direction: Direction = BOTH,
    between: Between = ONLY,
    seed: Seed = None,
    backend: Backend = None,
    no_verify: Unverified = False,
    project: Project = None,
    file: File = None,
) -> None:
    with _lab(project, file, claimed=True) as lab:
        asked = {
            "delay": _number(parse_seconds, delay),
            "jitter": _number(parse_seconds, jitter),
            "loss": _number(parse_share, loss),
            "duplication": _number(parse_share, duplication),
            "reordering": _number(parse_share, reordering),
            "corruption": _number(parse_share, corruption),
        }
        bits = None if rate is None else _number(parse_rate, rate)
        link = _chosen(lab, between)
        link.seed, link.backend = seed, backend
        _change(link, lambda: link.set(**asked, rate=bits, direction=direction, verify=False), no_verify)


@app.command(help=_("Cut the link in both directions or in one."), examples=["lab link partition to-servers"])
def partition(
    direction: DirectionArgument = BOTH,
    between: Between = ONLY,
    no_verify: Unverified = False,
    project: Project = None,
    file: File = None,
) -> None:
    with _lab(project, file, claimed=True) as lab:
        link = _chosen(lab, between)
        _change(link, lambda: link.partition(direction, verify=False), no_verify)


@app.command(help=_("End the partition. An impairment stays."), examples=["lab link heal"])
def heal(
    between: Between = ONLY, no_verify: Unverified = False, project: Project = None, file: File = None
) -> None:
    with _lab(project, file, claimed=True) as lab:
        link = _chosen(lab, between)
        _change(link, lambda: link.heal(verify=False), no_verify)


@app.command(
    help=_("Drop the NTH matching packet from now on. `lab link show` shows whether it was dropped already."),
    examples=["lab link drop 3 --flags SYN --port 8001"],
)
def drop(
    nth: Annotated[
        list[int], typer.Argument(metavar="NTH", min=1, help=_("Numbers of matching packets, from 1."))
    ],
    protocol: Annotated[str | None, typer.Option(help=_("tcp, udp, icmp or icmp6."))] = None,
    port: Annotated[int | None, typer.Option(help=_("Port at either end."))] = None,
    flags: Annotated[str | None, typer.Option(help=_("TCP flags: SYN, SYN+ACK, FIN+ACK, RST."))] = None,
    direction: Direction = BOTH,
    between: Between = ONLY,
    project: Project = None,
    file: File = None,
) -> None:
    with _lab(project, file, claimed=True) as lab:
        link = _chosen(lab, between)
        link.drop(nth, protocol=protocol, port=port, flags=flags, direction=direction)
        _show(link)


@app.command(
    help=_("End everything: impairment, partition, drops. Without --between, on all links."),
    examples=["lab link clear"],
)
def clear(between: Between = ONLY, project: Project = None, file: File = None) -> None:
    with _lab(project, file, claimed=True) as lab:
        several = between == ONLY and len(lab.link.links) > 1
        (lab.link if between == ONLY else lab.link(*between)).clear()
        stdout.print(_("All links are unimpaired.") if several else _("The link is unimpaired."))


@app.command(
    help=_("Measure the link and compare it with its settings. Exits with code 1 if there is a difference."),
    examples=["lab link verify"],
)
def verify(between: Between = ONLY, project: Project = None, file: File = None) -> None:
    with _lab(project, file, claimed=True) as lab:
        _verify(_chosen(lab, between))


def _chosen(lab: Lab, between: tuple[str, str]) -> Link:
    """The link that --between names, or the only one. Raises UsageError."""
    if between != ONLY:
        return lab.link(*between)
    if len(lab.link.links) > 1:
        names = ", ".join(link.name for link in lab.link.links)
        raise UsageError(
            message("this lab has several links: choose one with --between A B: {links}", links=names)
        )
    return lab.link


def _change(link: Link, change: Callable[[], None], no_verify: bool) -> None:
    from lab.cli.output.link_status import print_message

    change()
    print_message(message("The link {link} is now: {settings}.", link=link.name, settings=link.settings))
    if not no_verify:
        _verify(link)


def _show(link: Link) -> None:
    from lab.cli.output.link_status import print_status

    print_status(link.show())


def _verify(link: Link) -> None:
    from lab.cli.output.link_status import print_attempt

    print_attempt(link.verify())


def _number(parse: Callable[[str], T], text: str) -> T:
    try:
        return parse(text)
    except ImpairmentError as error:
        raise UsageError(str(error)) from None


@contextmanager
def _lab(project: str | None, file: str | None, *, claimed: bool = False) -> Iterator[Lab]:
    """The running lab. With ``claimed`` it is reserved, which fails during a run and prevents a new one."""
    from lab.control.transport import from_engine  # not at the top: completion imports this module

    with errors_in_one_line(), from_engine(lab_name(project, file)) as lab:
        if not claimed:
            yield lab
            return
        with lab.claimed():
            yield lab
