"""The Compose file of a planned lab. No I/O except reading the template.

A node is a service with an address on each of its segments. All nodes have topology.json, which describes the
whole lab. The committed docker-compose.yml takes its prefixes from environment variables.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lab.topology.compose.images import BASE, image_of
from lab.topology.compose.workloads import WorkloadServices, binds, escaped, workload_services
from lab.topology.compose.yaml import as_yaml, scalar
from lab.topology.model import Host, Mount
from lab.topology.node import Interface, Node, to_file, without_length
from lab.topology.plan import Plan
from lab.topology.prefixes import Network, prefix_of, variable

if TYPE_CHECKING:
    import jinja2

TEMPLATE = "compose.yml.jinja"


@dataclass(frozen=True)
class Folders:
    """Folders of this machine: the code and the scenarios that the nodes mount, and the images' sources."""

    code: Path | str
    scenarios: Path | str
    images: Path | str


CHECKOUT = Folders("./lab", "./scenarios", "./images")  # relative to docker-compose.yml


def render(plan: Plan, folders: Folders, workloads: WorkloadServices | None = None) -> str:
    """The Compose file of a user's lab.

    ``workloads`` is needed if the plan has services of the user's own Compose file.
    """
    return _rendered(plan, folders, workloads=workloads or workload_services(plan))


def render_with_variables(plan: Plan, heading: str) -> str:
    """The text of docker-compose.yml: with a runner, and with prefixes that the environment can replace.

    ``heading`` is its first comment, with a newline. Raises ValueError if a network isn't an IPv4 /24 or an
    IPv6 /64.
    """
    networks = [(segment.name, each) for segment in plan.segments for each in segment.networks()]
    networks.append(("mgmt", plan.mgmt))
    text = _rendered(plan, CHECKOUT, workloads=WorkloadServices(), networks=[str(n) for _, n in networks])
    for name, network in networks:
        text = _with_variable(text, name, network)
    return f"{heading}\n{text}"


@dataclass(frozen=True)
class _Service:
    """The service of a node. Without an image it has the usual one of its role."""

    node: Node
    interfaces: tuple[Interface, ...]
    image: str = ""
    target: str = ""
    base: str = ""
    environment: Mapping[str, str] | None = None
    mounts: tuple[Mount, ...] = ()

    @property
    def binds(self) -> list[dict[str, Any]]:
        return binds(self.mounts)


def _service(node: Node, host: Host | None) -> _Service:
    interfaces = tuple(
        replace(i, address=without_length(i.address), address6=without_length(i.address6))
        for i in node.interfaces
    )
    if host is None:
        return _Service(node, interfaces)
    mounts = () if host.workload else host.mounts
    return _Service(node, interfaces, *image_of(host), host.base, host.environment, mounts)


def _rendered(
    plan: Plan, folders: Folders, *, workloads: WorkloadServices, networks: Sequence[str] = ()
) -> str:
    """The text without a heading. ``networks`` are those with variables; such a file has a runner."""
    services = [_service(node, plan.hosts.get(node.name)) for node in plan.nodes]
    template = _environment().get_template(TEMPLATE)
    text = template.render(
        plan=plan,
        services=services,
        topology=to_file(map(_escaped, plan.nodes)).rstrip(),
        version=_version(plan.nodes, networks),
        base=BASE,
        folders=folders,
        workloads=workloads,
        runner=bool(networks),
    )
    return re.sub(r"\n{3,}", "\n\n", text)


@cache
def _environment() -> jinja2.Environment:
    import jinja2  # not at the top: the default lab has its Compose file

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        trim_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )
    environment.filters |= {"yaml": as_yaml, "scalar": scalar, "text": lambda text: scalar(escaped(text))}
    return environment


def _with_variable(text: str, name: str, network: Network) -> str:
    """``text`` in which the environment can replace the prefix of this network."""
    prefix, ipv6 = prefix_of(network), network.version == 6
    end = "::" if ipv6 else "."
    if str(network) != (f"{prefix}::/64" if ipv6 else f"{prefix}.0/24"):
        raise ValueError(f"{name}: {network} has no prefix that a variable can replace")
    return re.sub(
        rf"(?<![\w.:]){re.escape(prefix + end)}",
        f"${{{variable(name, ipv6=ipv6)}:-{prefix}}}{end}",
        text,
    )


def _escaped(node: Node) -> Node:
    """The node as it is written to the Compose file: its platform can be a variable, its texts can't."""
    if node.ready:
        return replace(node, ready=replace(node.ready, text=escaped(node.ready.text)))
    return node


def _version(nodes: Iterable[Node], networks: Sequence[str]) -> list[str]:
    """Strings that change with topology.json, including the variables in it."""
    digest = hashlib.sha256(json.dumps([node.to_json() for node in nodes]).encode()).hexdigest()
    return [digest[:12], *networks, *sorted({node.platform for node in nodes if "$" in node.platform})]
