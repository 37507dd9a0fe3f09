"""The images of the nodes: their names, and what they are built from. No I/O."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from lab.topology.model import Host
from lab.topology.plan import Plan

BASE = "${SERVER_BASE:-debian:trixie-slim}"  # the base image, unless the description names another one

_VARIABLE = re.compile(r"\$\{(\w+):-([^}]*)\}")


@dataclass(frozen=True)
class NodeImage:
    """An image of the lab's own, the first Compose service that builds it, and the image it is based on."""

    name: str
    service: str
    base: str


def node_images(plan: Plan, variables: Mapping[str, str]) -> list[NodeImage]:
    """The images of a plan's nodes, each once. ``variables`` are those of the Compose file."""
    images: dict[str, NodeImage] = {}
    for image in _images(plan):
        name, base = substituted(image.name, variables), substituted(image.base, variables)
        images.setdefault(name, NodeImage(name, image.service, base))
    return list(images.values())


def _images(plan: Plan) -> Iterator[NodeImage]:
    for node in plan.nodes:
        host = plan.hosts.get(node.name)
        name = image_of(host)[0] if host else ""
        yield NodeImage(name or f"socketlab/{node.role}", node.name, (host and host.base) or BASE)


def image_of(host: Host) -> tuple[str, str]:
    """The name of a host's image and its target in the Dockerfile, if they aren't the usual ones.

    They can contain variables of the Compose file.
    """
    if not host.base:
        name = "host"
    elif "$" in host.base:
        name = host.name  # the base isn't known here
    else:
        name = "host-" + re.sub(r"\W+", "-", host.base.lower()).strip("-")
    if host.profile.startswith("$"):
        profile = f"${{{host.profile[1:]}:-%s}}"
        return f"socketlab/{profile % name}", profile % "host"
    if host.profile:
        return f"socketlab/{host.profile}", host.profile
    return f"socketlab/{name}" if host.base else "", ""


def substituted(text: str, variables: Mapping[str, str]) -> str:
    """``text`` with ``${NAME:-default}`` replaced as Compose does it."""
    return _VARIABLE.sub(lambda found: variables.get(found[1]) or found[2], text)
