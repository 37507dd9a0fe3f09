"""The Docker Engine: power, and the byte streams into its containers. Compose is called by argv.

Whatever is looked for or removed is found by labels, so nothing that others made is ever touched.
"""

from __future__ import annotations

import io
import ipaddress
import os
import tarfile
from collections.abc import Iterable
from contextlib import closing
from pathlib import PurePosixPath
from typing import Any

import docker
from docker.errors import APIError, DockerException, NotFound
from docker.models.containers import Container

from lab.engine.exec_stream import ExecStream
from lab.errors import EnvironmentFailure
from lab.locale import message
from lab.topology.prefixes import Network

API_TIMEOUT = 30  # seconds for one request to the engine
MAX_ARCHIVE = 1 << 20  # bytes read of a directory of a container; a lab's keys have 2 KiB
PROJECT_LABEL = "com.docker.compose.project"
SERVICE_LABEL = "com.docker.compose.service"
ONEOFF_LABEL = "com.docker.compose.oneoff"
ROLE_LABEL = "socketlab.role"
LAB_LABEL = "socketlab.lab"


class Engine:
    """The engine that the user's environment or current Docker context names."""

    def __init__(self) -> None:
        """Raises EnvironmentFailure where no engine answers."""
        try:
            self._client = _connect()
        except DockerException as error:
            raise EnvironmentFailure(
                message(
                    "no Docker Engine answers ({reason}); start it, or run scripts/setup",
                    reason=_reason(error),
                )
            ) from error

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def nodes(self, project: str) -> list[Container]:
        """The containers of the project's hosts and routers, stopped ones too, in order of service name."""
        labels = [f"{PROJECT_LABEL}={project}", ROLE_LABEL]
        found = asked(self._client.containers.list, all=True, ignore_removed=True, filters={"label": labels})
        nodes = [c for c in found if c.labels[ROLE_LABEL] in ("host", "router") and not _is_oneoff(c)]
        return sorted(nodes, key=lambda container: container.labels[SERVICE_LABEL])

    def projects(self) -> list[str]:
        """The labs that exist here, running or not."""
        found = asked(
            self._client.containers.list, all=True, ignore_removed=True, filters={"label": ROLE_LABEL}
        )
        return sorted({c.labels[PROJECT_LABEL] for c in found if PROJECT_LABEL in c.labels})

    def subnets(self) -> list[tuple[Network, str]]:
        """The subnets of all networks here, whoever made them, each with its network's name."""
        networks = asked(self._client.networks.list)
        pools = [(pool, n.name) for n in networks for pool in (n.attrs.get("IPAM") or {}).get("Config") or []]
        return [(ipaddress.ip_network(pool["Subnet"]), name) for pool, name in pools if pool.get("Subnet")]

    def resources(self, project: str) -> list[Any]:
        """Every container, network and volume of the lab ``project``, in the order to remove them.

        Nothing where the project has no lab in it: other people's Compose projects aren't ours to touch.
        """
        label = f"{PROJECT_LABEL}={project}"
        containers = asked(
            self._client.containers.list, all=True, ignore_removed=True, filters={"label": label}
        )
        networks = asked(self._client.networks.list, filters={"label": label})
        volumes = asked(self._client.volumes.list, filters={"label": label})
        marked = any(ROLE_LABEL in c.labels for c in containers) or any(
            LAB_LABEL in (r.attrs.get("Labels") or {}) for r in [*networks, *volumes]
        )
        return [*containers, *networks, *volumes] if marked else []

    def remove(self, project: str) -> int:
        """Removes what is left of the lab. Returns how much there was; what was busy is there still."""
        resources = self.resources(project)
        for resource in resources:
            _remove(resource)
        return len(resources)

    def open_stream(self, container: Container, argv: list[str]) -> ExecStream:
        """Runs ``argv`` in the container and returns its stdin and stdout as one byte stream."""
        api = self._client.api
        created = asked(api.exec_create, container.id, argv, stdin=True, stdout=True, stderr=True)
        return ExecStream(asked(api.exec_start, created["Id"], socket=True))

    def read_files(self, container: Container, directory: str) -> dict[str, bytes]:
        """The files right in ``directory`` of a container, by name; at most MAX_ARCHIVE bytes in all.

        Raises EnvironmentFailure.
        """
        chunks, _ = asked(container.get_archive, directory)
        with closing(chunks):
            return unpacked(asked(joined, chunks, MAX_ARCHIVE, f"{container.name}: {directory}"))

    def has_image(self, name: str) -> bool:
        return bool(asked(self._client.images.list, name=name))

    def version(self) -> str:
        return str(asked(self._client.version)["Version"])


def joined(chunks: Iterable[bytes], limit: int, source: str) -> bytes:
    """The chunks as one. Raises EnvironmentFailure as soon as they have more than ``limit`` bytes."""
    content = bytearray()
    for chunk in chunks:
        if len(content) + len(chunk) > limit:
            raise EnvironmentFailure(f"{source} has more than {limit} bytes")
        content += chunk
    return bytes(content)


def unpacked(archive: bytes) -> dict[str, bytes]:
    """The regular files of a tar archive, by name without folders. Raises EnvironmentFailure.

    Neither compressed nor sparse: either could make a small archive a large file.
    """
    try:
        with tarfile.open(fileobj=io.BytesIO(archive), mode="r:") as tar:
            members = [member for member in tar if member.isreg() and not member.issparse()]
            files = {PurePosixPath(member.name).name: tar.extractfile(member) for member in members}
            return {name: file.read() for name, file in files.items() if file is not None}
    except tarfile.TarError as error:
        raise EnvironmentFailure(f"Docker: not an archive: {error}") from error


def _connect() -> docker.DockerClient:
    if "DOCKER_HOST" in os.environ:
        return docker.from_env(timeout=API_TIMEOUT, version="auto")
    context = docker.ContextAPI.get_current_context()
    tls = context.TLSConfig if context else None
    url = context.Host if context else None
    return docker.DockerClient(base_url=url, tls=tls or False, timeout=API_TIMEOUT, version="auto")


def asked(function: Any, *args: Any, **kwargs: Any) -> Any:
    """The engine's answer; a refusal becomes one line."""
    try:
        return function(*args, **kwargs)
    except APIError as error:
        raise EnvironmentFailure(f"Docker: {error.explanation or error}") from error
    except (DockerException, OSError) as error:
        raise EnvironmentFailure(f"Docker: {_reason(error)}") from error


def _remove(resource: Any) -> None:
    try:
        if isinstance(resource, Container):
            resource.remove(force=True, v=True)
        else:
            resource.remove()
    except NotFound:
        pass
    except APIError as error:
        if error.status_code not in (403, 409):  # still in use, or being removed: the caller looks again
            raise EnvironmentFailure(f"Docker: {error.explanation or error}") from error


def _is_oneoff(container: Container) -> bool:
    return bool(container.labels.get(ONEOFF_LABEL) == "True")


def _reason(error: BaseException) -> str:
    lines: Iterable[str] = str(error).splitlines() or [type(error).__name__]
    return next(iter(lines))
