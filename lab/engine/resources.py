"""Containers, networks and volumes: found by a label, removed in parallel.

A resource that is busy, or that another process removes at the same time, is left: the caller tries again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from docker.errors import APIError, NotFound

from lab.engine.client import Engine, sdk_call
from lab.errors import EnvironmentFailure

Kind: TypeAlias = Literal["container", "network", "volume"]

AT_ONCE = 16  # requests to the engine at the same time
BUSY = (403, 409)  # in use, or being removed


@dataclass(frozen=True)
class Resource:
    """A container, network or volume of the engine."""

    kind: Kind
    id: str  # of a volume: its name
    name: str
    labels: Mapping[str, str]


def of_label(engine: Engine, label: str) -> list[Resource]:
    """All resources with the label: containers, also stopped ones, then networks, then volumes.

    ``label`` is a name, or name=value. Raises EnvironmentFailure.
    """
    api, filters = engine.api, {"label": label}
    containers = sdk_call(api.containers, all=True, filters=filters)
    networks = sdk_call(api.networks, filters=filters)
    volumes = sdk_call(api.volumes, filters=filters)["Volumes"] or []
    return [
        *(Resource("container", c["Id"], c["Names"][0].lstrip("/"), c["Labels"] or {}) for c in containers),
        *(Resource("network", n["Id"], n["Name"], n["Labels"] or {}) for n in networks),
        *(Resource("volume", v["Name"], v["Name"], v["Labels"] or {}) for v in volumes),
    ]


def remove_containers(engine: Engine, containers: Iterable[Resource]) -> list[Resource]:
    """Kills and removes containers, with their anonymous volumes. Returns those that this call removed."""
    return _each(lambda id: engine.api.remove_container(id, force=True, v=True), containers)


def remove_networks(engine: Engine, networks: Iterable[Resource]) -> list[Resource]:
    """Removes networks. Returns those that this call removed. Raises EnvironmentFailure."""
    return _each(engine.api.remove_network, networks)


def remove_volumes(engine: Engine, volumes: Iterable[Resource]) -> list[Resource]:
    """Removes volumes. Returns those that this call removed. Raises EnvironmentFailure."""
    return _each(engine.api.remove_volume, volumes)


def remove_volumes_with(engine: Engine, label: str) -> list[str]:
    """Removes all unused volumes with the label, name=value. Returns their names. Raises EnvironmentFailure.

    The engine compares the label of each volume when it removes it. It accepts one such request at a time.
    """
    filters = {"label": label, "all": True}
    done = _unless_busy(lambda: engine.api.prune_volumes(filters=filters))
    return list(done["VolumesDeleted"] or []) if done else []


def _each(remove: Callable[[str], Any], resources: Iterable[Resource]) -> list[Resource]:
    """Calls ``remove`` with the ID of each resource, in parallel. Returns the ones that it removed."""
    chosen: Sequence[Resource] = list(resources)
    if not chosen:
        return []

    def removed(resource: Resource) -> bool:
        return _unless_busy(lambda: (remove(resource.id), True)) is not None

    with ThreadPoolExecutor(min(AT_ONCE, len(chosen)), thread_name_prefix="remove") as pool:
        done = list(pool.map(removed, chosen))
    return [resource for resource, gone in zip(chosen, done, strict=True) if gone]


def _unless_busy(request: Callable[[], Any]) -> Any:
    """The result of the request; None if the resource is gone or busy. Raises EnvironmentFailure."""
    try:
        return request()
    except NotFound:
        return None
    except APIError as error:
        if error.status_code in BUSY:
            return None
        raise EnvironmentFailure(f"Docker: {error.explanation or error}") from error
