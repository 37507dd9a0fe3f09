"""The user's containers as Compose services, each in the network namespace of its host. No I/O.

A workload is an image, a folder with a Dockerfile, or a service of the user's own Compose file, which
lab.topology.compose.user_compose translates.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from lab.locale import Message
from lab.topology.compose.user_compose import OWNED, Service, UserCompose
from lab.topology.model import Host, Mount, Workload
from lab.topology.plan import Plan, workload_service

ROLE, HOST = "socketlab.role", "socketlab.host"  # labels
SMALL_DISK = "/mnt/small"
SMALL_DISK_OPTIONS = {"type": "tmpfs", "device": "tmpfs", "o": "size=8m,mode=1777"}


@dataclass(frozen=True)
class WorkloadServices:
    """The parts of the lab's Compose file that belong to workloads. A ``$`` is escaped as ``$$``."""

    services: dict[str, Service] = field(default_factory=dict)
    volumes: dict[str, Any] = field(default_factory=dict)
    configs: dict[str, Any] = field(default_factory=dict)
    secrets: dict[str, Any] = field(default_factory=dict)
    left_out: tuple[Message, ...] = ()  # the parts of the user's Compose file that the lab doesn't use


def workload_services(plan: Plan, user_config: Mapping[str, Any] | None = None) -> WorkloadServices:
    """The Compose services of all workloads of a plan.

    ``user_config`` is the user's Compose file as `docker compose config --format json` prints it. Raises
    TopologyError if the file lacks a service, or has a setting that is impossible in a lab.
    """
    hosts = {name: host for name, host in plan.hosts.items() if host.workload}
    small = {
        f"{name}-small": {
            "labels": {"socketlab.lab": plan.name, **OWNED},
            "driver_opts": dict(SMALL_DISK_OPTIONS),
        }
        for name in hosts
    }
    theirs = UserCompose(plan, user_config or {}, reserved={"keys", "topology", *small})
    theirs.require_services(plan)
    services = {
        workload_service(name): _service(name, host, host.workload, theirs, image_name(plan.name, host.name))
        for name, host in hosts.items()
        if host.workload
    }
    return WorkloadServices(
        services,
        small | theirs.resources("volumes"),
        theirs.resources("configs"),
        theirs.resources("secrets"),
        tuple(theirs.left_out()),
    )


def _service(name: str, host: Host, workload: Workload, theirs: UserCompose, image: str) -> Service:
    """The service of one workload: as its author describes it, in the namespace of the host ``name``.

    If it is built, its image is called ``image``, and each start builds it again, from the engine's cache if
    nothing has changed.
    """
    service = theirs.service(workload.service, host.name) if workload.service else _own(workload, image)
    if workload.command is not None:
        service["command"] = [escaped(word) for word in workload.command]
    if workload.environment:
        added = {variable: escaped(value) for variable, value in workload.environment.items()}
        service["environment"] = {**service.get("environment", {}), **added}
    return service | {
        "network_mode": f"service:{name}",
        "depends_on": {**service.get("depends_on", {}), name: {"condition": "service_healthy"}},
        "volumes": [*service.get("volumes", []), *binds(host.mounts), _small_disk(name)],
        "labels": {**service.get("labels", {}), ROLE: "workload", HOST: name, **OWNED},
    }


def _own(workload: Workload, image: str) -> Service:
    if not workload.build:
        return {"image": escaped(workload.image)}
    return {"build": {"context": escaped(workload.build)}, "image": image, "pull_policy": "build"}


def image_name(lab: str, host: str) -> str:
    """The name of the image that is built for a host, as Compose would name it: the same in each start."""
    return f"{re.sub(r'[^a-z0-9]+', '-', lab.lower()).strip('-') or 'lab'}-{host}"


def binds(mounts: Iterable[Mount]) -> list[dict[str, Any]]:
    """Mounts as Compose volumes. A source that doesn't exist is an error, not a new directory."""
    return [
        {
            "type": "bind",
            "source": escaped(mount.source),
            "target": escaped(mount.target),
            "read_only": mount.read_only,
            "bind": {"create_host_path": False},
        }
        for mount in mounts
    ]


def _small_disk(name: str) -> dict[str, Any]:
    return {"type": "volume", "source": f"{name}-small", "target": SMALL_DISK}


def escaped(text: str) -> str:
    """A text in which Compose replaces no variable."""
    return text.replace("$", "$$")
