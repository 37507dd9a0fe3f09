"""All checks, in the order of their dependencies."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from lab.doctor.checks.crossing import check_crossings
from lab.doctor.checks.engine import EngineFacts, check_engine
from lab.doctor.checks.firewall import check_firewall
from lab.doctor.checks.images import check_images
from lab.doctor.checks.kernel import check_kernel
from lab.doctor.checks.leftovers import check_leftovers
from lab.doctor.checks.prefixes import check_prefixes
from lab.doctor.checks.resources import check_resources
from lab.doctor.checks.tools import check_tools
from lab.doctor.facts.engine import opened
from lab.doctor.facts.firewall import firewall
from lab.doctor.facts.images import image_facts
from lab.doctor.facts.kernel import kernel
from lab.doctor.facts.prefixes import prefixes
from lab.doctor.facts.resources import resources
from lab.doctor.facts.tools import tools
from lab.doctor.finding import Finding, can_run, notice, trouble
from lab.engine.client import Engine
from lab.engine.compose import Report, silent
from lab.engine.lifecycle import leftovers
from lab.engine.lifecycle.project import LabProject
from lab.errors import EnvironmentFailure
from lab.locale import message


def examine(lab: LabProject, *, deep: bool = False, report: Report = silent) -> Iterator[Finding]:
    """The findings about this machine and about a start of ``lab``, as they are made.

    ``deep``: then starts the lab if it isn't up, and sends packets.
    """
    with opened() as (engine, facts):
        required = [*check_engine(facts), *_attempted("compose", lambda: check_tools(tools()))]
        yield from required
        if engine:
            yield from _of_engine(engine, facts, lab)
        yield from _of_machine(facts, lab)
    if deep and can_run(required):
        yield from _of_packets(lab, report)


def _of_engine(engine: Engine, facts: EngineFacts, lab: LabProject) -> Iterator[Finding]:
    yield from _attempted("leftovers", lambda: check_leftovers(leftovers.find(engine)))
    yield from _attempted("images", lambda: check_images(image_facts(engine, lab)))
    yield from _attempted(
        "prefixes", lambda: check_prefixes(prefixes(engine, lab, local=facts.shares_network))
    )


def _of_machine(facts: EngineFacts, lab: LabProject) -> Iterator[Finding]:
    """The findings about this machine's kernel and disks. The containers may run on another machine."""
    wanted = lab.plan().networks()
    if facts.version and facts.shares_network:
        yield from _attempted("firewall", lambda: check_firewall(firewall(), facts.version, wanted))
    elif facts.version and facts.is_local:
        yield notice(
            "firewall",
            message("the engine is in another network namespace: its firewall can't be examined from here"),
            message("`lab doctor --deep` sends packets between hosts there"),
        )
    if facts.is_local:
        ipv6 = any(network.version == 6 for network in wanted)
        yield from _attempted("kernel", lambda: check_kernel(kernel(), needs_ipv6=ipv6))
    else:
        yield notice(
            "machine",
            message(
                "the engine runs on another machine: its kernel and its firewall can't be examined from here"
            ),
            message("`lab doctor --deep` sends packets between hosts there"),
        )
    data_root = str(facts.info.get("DockerRootDir") or "") if facts.is_local else ""
    yield from _attempted("disk", lambda: check_resources(resources(data_root)))


def _of_packets(lab: LabProject, report: Report) -> Iterator[Finding]:
    from lab.doctor.crossing import crossings  # the controller, which takes longer than all other checks

    try:
        yield from check_crossings(crossings(lab, report))
    except (EnvironmentFailure, OSError) as error:
        reason = message("the lab can't be started: {reason}", reason=_first_line(error))
        yield trouble("packets", reason, message("`lab up` shows the whole error"))


def _attempted(check: str, examined: Callable[[], Iterable[Finding]]) -> Iterator[Finding]:
    """The findings of a check; a notice if it fails, because a trouble that is reported may be the reason."""
    try:
        yield from list(examined())
    except (EnvironmentFailure, OSError, ValueError) as error:
        yield notice(check, message("this check wasn't possible: {reason}", reason=_first_line(error)))


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)
