"""Replaces a container by a new one that is configured alike."""

from __future__ import annotations

import os
import secrets
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from typing import Any

from lab.engine.client import PROJECT_LABEL, client_of, sdk_call
from lab.engine.http.container import Container
from lab.errors import EnvironmentFailure

# A container in the network namespace of another one can't have them.
OF_A_NAMESPACE = ("Hostname", "Domainname", "ExposedPorts", "MacAddress")


def recreate(container: Container, *copied: str, network_of: Container | None = None) -> None:
    """Replaces a container by a new one with its configuration, and starts that. ``container`` is then the
    new one.

    ``copied`` are files to copy from the old one. With ``network_of`` it joins the network namespace of that
    container. Its volumes are emptied: anonymous ones, and those of the lab that no other container uses.
    Raises EnvironmentFailure.
    """
    client = client_of(container)
    attrs = sdk_call(client.api.inspect_container, container.id)
    archives = [(path, b"".join(sdk_call(container.get_archive, path)[0])) for path in copied]
    name, temporary = attrs["Name"].lstrip("/"), f"socketlab-{secrets.token_hex(6)}"
    with suppress(EnvironmentFailure):  # it may have ended
        sdk_call(container.kill)
    sdk_call(container.remove, force=True, v=True)
    sdk_call(_empty_volumes, client, attrs)
    made = sdk_call(client.api.create_container_from_config, configuration(attrs, network_of), temporary)
    for path, archive in archives:
        sdk_call(client.api.put_archive, made["Id"], os.path.dirname(path), archive)
    sdk_call(client.api.rename, made["Id"], name)
    sdk_call(client.api.start, made["Id"])
    container.attrs = sdk_call(client.api.inspect_container, made["Id"])


def configuration(attrs: Mapping[str, Any], network_of: Container | None = None) -> dict[str, Any]:
    """The request for a container like the one that the engine describes with ``attrs``."""
    # Its image by its id: another one may have that name by now.
    config, host_config = {**attrs["Config"], "Image": attrs["Image"]}, dict(attrs["HostConfig"])
    if network_of is not None:
        host_config["NetworkMode"] = f"container:{network_of.id}"
        for name in OF_A_NAMESPACE:
            config.pop(name, None)
        return {**config, "HostConfig": host_config}
    networks = {
        name: {"IPAMConfig": each["IPAMConfig"], "Aliases": _aliases(each, attrs["Id"])}
        for name, each in attrs["NetworkSettings"]["Networks"].items()
    }
    return {**config, "HostConfig": host_config, "NetworkingConfig": {"EndpointsConfig": networks}}


def _aliases(endpoint: Mapping[str, Any], number: str) -> list[str]:
    """Its names on a network, without the id that the engine adds."""
    return [alias for alias in endpoint.get("Aliases") or () if not number.startswith(alias)]


def _empty_volumes(client: Any, attrs: Mapping[str, Any]) -> None:
    """Makes the named volumes of the lab anew that the removed container had for itself."""
    from docker.errors import APIError, NotFound  # not at the top: see lab.engine.http.api

    project = attrs["Config"]["Labels"].get(PROJECT_LABEL)
    for name in [
        mount["Name"] for mount in attrs["Mounts"] if mount["Type"] == "volume" and mount.get("Name")
    ]:
        try:
            volume = client.api.inspect_volume(name)
            if (volume.get("Labels") or {}).get(PROJECT_LABEL) != project:
                continue
            client.api.remove_volume(name)
        except NotFound:
            continue  # an anonymous one
        except APIError as error:
            if error.status_code == 409:
                continue  # another container uses it
            raise
        options = volume.get("Options")
        client.api.create_volume(name, volume["Driver"], options, volume.get("Labels"))


def unexpected(changes: Iterable[Mapping[str, Any]], expected: Collection[str]) -> list[str]:
    """The changed paths that are neither at or below an expected one, nor a directory on the way to one."""
    return [
        path
        for path in (change["Path"] for change in changes)
        if not any(_is_at(path, place) or _is_at(place, path) for place in expected)
    ]


def _is_at(path: str, place: str) -> bool:
    return path == place or path.startswith(f"{place}/")
