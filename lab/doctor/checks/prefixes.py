"""The prefixes that a lab will have, and other networks that use them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from lab.doctor.finding import Finding, notice, ok, trouble
from lab.locale import Message, message
from lab.topology.prefixes import Network, overlap

CHECK = "prefixes"


@dataclass(frozen=True)
class EngineNetwork:
    """A network of the engine. ``lab`` is the name of the lab that it belongs to, if any."""

    subnet: Network
    name: str
    lab: str = ""


@dataclass(frozen=True)
class Route:
    """A route of this machine."""

    to: Network
    device: str


@dataclass(frozen=True)
class PrefixFacts:
    """The lab's prefixes by its networks, and the prefixes that others use."""

    wanted: Sequence[tuple[str, Network]]
    networks: Sequence[EngineNetwork] = ()
    routes: Sequence[Route] = ()


def check_prefixes(facts: PrefixFacts) -> Iterator[Finding]:
    """A trouble for each prefix that another network of the engine has, a notice for each route to one."""
    found = [*_taken_by_networks(facts), *_taken_by_routes(facts)]
    if not facts.wanted:  # the lab is up
        found = [ok(CHECK, message("the lab is up and has its prefixes"))]
    elif not found:
        shown = ", ".join(str(prefix) for _, prefix in facts.wanted)
        found = [ok(CHECK, message("no other network has the lab's prefixes: {prefixes}", prefixes=shown))]
    yield from found


def _taken_by_networks(facts: PrefixFacts) -> Iterator[Finding]:
    for network in facts.networks:
        for name, prefix in facts.wanted:
            if overlap(prefix, network.subnet):
                text = message(
                    "{prefix} (the lab's {network}) is in use by the Docker network {other} ({subnet})",
                    prefix=prefix,
                    network=name,
                    other=network.name,
                    subnet=network.subnet,
                )
                yield trouble(CHECK, text, _remedy(name, network))


def _remedy(name: str, network: EngineNetwork) -> Message:
    if network.lab:
        return message(
            "`lab down -p {lab}` removes that lab; or choose another prefix:"
            " `lab up --prefix {network}=PREFIX`",
            lab=network.lab,
            network=name,
        )
    return message(
        "`docker network rm {other}` removes it; or choose another prefix:"
        " `lab up --prefix {network}=PREFIX`",
        other=network.name,
        network=name,
    )


def _taken_by_routes(facts: PrefixFacts) -> Iterator[Finding]:
    engines = {network.subnet for network in facts.networks}
    for name, prefix in facts.wanted:
        for device in _devices(prefix, (r for r in facts.routes if r.to not in engines)):
            yield notice(
                CHECK,
                message(
                    "{prefix} (the lab's {network}) is in use by this machine, by a route through {device}",
                    prefix=prefix,
                    network=name,
                    device=device,
                ),
                message(
                    "if programs here need it while the lab is up: `lab up --prefix {network}=PREFIX`",
                    network=name,
                ),
            )


def _devices(prefix: Network, routes: Iterable[Route]) -> list[str]:
    """The devices of the routes to addresses in ``prefix``. A default route doesn't count."""
    return sorted({r.device for r in routes if r.to.prefixlen > 0 and overlap(prefix, r.to)})
