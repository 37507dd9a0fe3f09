"""Containers, networks and volumes: found by a label, removed in parallel.

A resource that is busy, or that another process removes at the same time, is left: the caller tries again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from lab.engine.http.api import ApiError, EngineApi, filters

Kind: TypeAlias = Literal["container", "network", "volume"]

AT_ONCE = 16  # requests to the engine at the same time
MISSING_OR_BUSY = (403, 404, 409)  # gone, in use, or being removed


@dataclass(frozen=True)
class Resource:
    """A container, network or volume of the engine."""

    kind: Kind
    id: str  # of a volume: its name
    name: str
    labels: Mapping[str, str]


def of_label(api: EngineApi, label: str) -> list[Resource]:
    """All resources with the label: containers, also stopped ones, then networks, then volumes.

    ``label`` is a name, or name=value. Raises EnvironmentFailure.
    """
    wanted = filters(label)
    containers = api.get("/containers/json", all=True, filters=wanted)
    networks = api.get("/networks", filters=wanted)
    volumes = api.get("/volumes", filters=wanted)["Volumes"] or []
    return [
        *(Resource("container", c["Id"], _name(c), c["Labels"] or {}) for c in containers),
        *(Resource("network", n["Id"], n["Name"], n["Labels"] or {}) for n in networks),
        *(Resource("volume", v["Name"], v["Name"], v["Labels"] or {}) for v in volumes),
    ]


def remove(api: EngineApi, resources: Iterable[Resource]) -> list[Resource]:
    """Removes resources, the containers first. Returns those that this call removed.

    Containers are killed and removed with their anonymous volumes. Raises EnvironmentFailure.
    """
    chosen = list(resources)
    containers = [each for each in chosen if each.kind == "container"]
    others = [each for each in chosen if each.kind != "container"]
    return _each(lambda each: _remove(api, each), containers) + _each(lambda each: _remove(api, each), others)


def remove_volumes_with(api: EngineApi, label: str) -> list[str]:
    """Removes all unused volumes with the label, name=value. Returns their names. Raises EnvironmentFailure.

    The engine compares the label of each volume when it removes it. It accepts one such request at a time.
    It leaves out volumes with options, such as small disks: these are listed, and removed by their names.
    """
    try:
        pruned = list(api.post("/volumes/prune", filters=filters(label, all="true"))["VolumesDeleted"] or [])
    except ApiError as error:
        if error.status not in MISSING_OR_BUSY:
            raise
        pruned = []
    left = [each for each in of_label(api, label) if each.kind == "volume"]
    return pruned + [each.name for each in remove(api, left)]


def stop(api: EngineApi, containers: Iterable[Resource], timeout: int) -> None:
    """Asks the containers' programs to exit, and kills them after ``timeout`` seconds."""
    _each(lambda each: _accepted(lambda: api.post(f"/containers/{each.id}/stop", t=timeout)), containers)


def _remove(api: EngineApi, resource: Resource) -> bool:
    if resource.kind == "container":
        return _accepted(lambda: api.delete(f"/containers/{resource.id}", force=True, v=True))
    return _accepted(lambda: api.delete(f"/{resource.kind}s/{resource.id}"))


def _accepted(request: Callable[[], Any]) -> bool:
    """Sends a request. Returns False if the resource is gone or busy. Raises EnvironmentFailure."""
    try:
        request()
    except ApiError as error:
        if error.status in MISSING_OR_BUSY:
            return False
        raise
    return True


def _each(action: Callable[[Resource], Any], resources: Iterable[Resource]) -> list[Resource]:
    """Calls ``action`` with each resource, in parallel. Returns the ones for which it returned True."""
    chosen = list(resources)
    if not chosen:
        return []
    with ThreadPoolExecutor(min(AT_ONCE, len(chosen)), thread_name_prefix="engine") as pool:
        done = list(pool.map(action, chosen))
    return [resource for resource, accepted in zip(chosen, done, strict=True) if accepted]


def _name(container: Mapping[str, Any]) -> str:
    return str((container["Names"] or [container["Id"]])[0]).lstrip("/")
