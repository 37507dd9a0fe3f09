"""The Docker Engine: a lab's containers and networks, and byte streams into its containers.

Resources are found by their labels, so those of other projects are never touched.
"""

from __future__ import annotations

import http
import io
import ipaddress
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import PurePosixPath
from threading import Lock
from typing import TYPE_CHECKING, Any

from lab.engine.http.api import ApiError, EngineApi, SdkTransport, SocketTransport, filters, reason
from lab.engine.http.container import Container
from lab.engine.http.endpoint import local_socket
from lab.engine.http.resources import Resource, of_label, remove
from lab.errors import EnvironmentFailure
from lab.locale import message
from lab.topology.prefixes import Network

if TYPE_CHECKING:  # the Docker SDK is imported when it is needed: that takes 0.15 s
    import docker

    from lab.engine.http.exec_stream import ExecStream

API_TIMEOUT = 30  # seconds for one request to the engine
WORKERS = 8  # requests at the same time
MAX_ARCHIVE = 1 << 20  # bytes read of a directory of a container; a lab's keys have 2 KiB
PROJECT_LABEL = "com.docker.compose.project"
NETWORK_LABEL = "com.docker.compose.network"
SERVICE_LABEL = "com.docker.compose.service"
ONEOFF_LABEL = "com.docker.compose.oneoff"
ROLE_LABEL = "socketlab.role"
LAB_LABEL = "socketlab.lab"  # of networks and volumes: the name of the topology
HOST_LABEL = "socketlab.host"  # of a user's container: the service of its host
OWNER_LABEL = "socketlab.owner"  # the process that removes the lab; empty if the lab stays
STARTING_LABEL = "socketlab.starting"  # of a volume that exists until the start of its lab is complete

_HEALTH = re.compile(r"\((?:health: )?(healthy|unhealthy|starting)\)")


class Engine:
    """The engine of the user's environment (DOCKER_HOST) or current Docker context."""

    def __init__(self) -> None:
        """Raises EnvironmentFailure if no engine answers."""
        self._sdk: docker.DockerClient | None = None
        self._connecting = Lock()
        path = local_socket()
        self.api = EngineApi(SocketTransport(path) if path else SdkTransport(self._client.api))
        try:
            self.api.get("/_ping")
        except EnvironmentFailure as error:
            self.close()
            raise _no_engine(str(error).removeprefix("Docker: ")) from error

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connections; streams stay open."""
        self.api.close()
        if self._sdk is not None:
            self._sdk.close()

    @property
    def sdk(self) -> docker.APIClient:
        """The Docker SDK's requests, for streams. Raises EnvironmentFailure if no engine answers."""
        return self._client.api

    @property
    def _client(self) -> docker.DockerClient:
        """The Docker SDK. Raises EnvironmentFailure if no engine answers."""
        from docker.errors import DockerException

        with self._connecting:
            if self._sdk is None:
                try:
                    self._sdk = _connect()
                except DockerException as error:
                    raise _no_engine(reason(error)) from error
            return self._sdk

    def nodes(self, project: str) -> list[Container]:
        """The containers of the project's hosts and routers, even stopped ones, sorted by service name."""
        nodes = self._inspected(self._nodes(project))
        return sorted(nodes, key=lambda container: container.labels[SERVICE_LABEL])

    def workloads(self, project: str) -> dict[str, Container]:
        """The users' containers of the project, even stopped ones, by the service of their host."""
        found = self._containers(f"{PROJECT_LABEL}={project}", f"{ROLE_LABEL}=workload", HOST_LABEL)
        wanted = [each for each in found if not _is_oneoff(each["Labels"])]
        return {container.labels[HOST_LABEL]: container for container in self._inspected(wanted)}

    def _inspected(self, summaries: Sequence[Mapping[str, Any]]) -> list[Container]:
        """The containers of these entries of a list, without those that have been removed since."""
        with ThreadPoolExecutor(max_workers=WORKERS) as pool:
            found = pool.map(self._container_if_present, [str(each["Id"]) for each in summaries])
            return [container for container in found if container is not None]

    def _container_if_present(self, identifier: str) -> Container | None:
        try:
            return self.container(identifier)
        except ApiError as error:
            if error.status != http.HTTPStatus.NOT_FOUND:
                raise
            return None

    def projects(self) -> list[str]:
        """The names of the labs on this engine, running or not."""
        found = self._containers(ROLE_LABEL)
        return sorted({c["Labels"][PROJECT_LABEL] for c in found if PROJECT_LABEL in c["Labels"]})

    def subnets(self) -> list[tuple[Network, str]]:
        """The subnets of all networks on this engine, each with the name of its network."""
        return [(subnet, n["Name"]) for n in self.api.get("/networks") for subnet in _subnets(n)]

    def networks_of(self, project: str) -> dict[str, list[Network]]:
        """The subnets of the project's networks, by the network's name in the Compose file."""
        found = self.api.get("/networks", filters=filters(f"{PROJECT_LABEL}={project}"))
        return {n["Labels"][NETWORK_LABEL]: _subnets(n) for n in found if NETWORK_LABEL in n["Labels"]}

    def topology_of(self, project: str) -> str:
        """The name of the topology that the lab was started with; "" if it has no network."""
        found = self.api.get("/networks", filters=filters(f"{PROJECT_LABEL}={project}"))
        return next((str(n["Labels"][LAB_LABEL]) for n in found if LAB_LABEL in n["Labels"]), "")

    def states(self, project: str) -> dict[str, str]:
        """The state of each of the project's nodes, by service, in one request: healthy, starting, unhealthy,
        or the engine's state if it isn't running or has no health check.
        """
        return {each["Labels"][SERVICE_LABEL]: _state(each) for each in self._nodes(project)}

    def labels_of_nodes(self, project: str, label: str) -> set[str]:
        """The values of a label of the project's nodes, or of their images, in one request."""
        return {each["Labels"].get(label, "") for each in self._nodes(project)}

    def _nodes(self, project: str) -> list[dict[str, Any]]:
        found = self._containers(f"{PROJECT_LABEL}={project}", ROLE_LABEL)
        nodes = [each for each in found if each["Labels"][ROLE_LABEL] in ("host", "router")]
        return [each for each in nodes if not _is_oneoff(each["Labels"])]

    def _containers(self, *labels: str) -> list[dict[str, Any]]:
        """The engine's list of the containers with these labels, also of stopped ones."""
        found: list[dict[str, Any]] = self.api.get(
            "/containers/json", all=True, filters={"label": list(labels)}
        )
        return found

    def last_lines(self, project: str, service: str, count: int) -> list[str]:
        """The last lines that a service logged, and the output of its last health check; no empty lines."""
        labels = [f"{PROJECT_LABEL}={project}", f"{SERVICE_LABEL}={service}"]
        lines: list[str] = []
        for container in sdk_call(self._client.containers.list, all=True, filters={"label": labels}):
            lines += sdk_call(container.logs, tail=count).decode(errors="replace").splitlines()
            checks = (container.attrs["State"].get("Health") or {}).get("Log") or []
            lines += checks[-1]["Output"].splitlines() if checks else []
        return [line for line in lines if line.strip()]

    def resources(self, project: str) -> list[Resource]:
        """Every container, network and volume of the lab ``project``, in the order to remove them.

        Empty if the Compose project isn't a lab.
        """
        found = of_label(self.api, f"{PROJECT_LABEL}={project}")
        return found if is_lab(found) else []

    def remove(self, project: str) -> int:
        """Removes all resources of the lab, except busy ones. Returns how many there were, busy or not."""
        resources = self.resources(project)
        remove(self.api, resources)
        return len(resources)

    def open_stream(self, container: Container, argv: list[str]) -> ExecStream:
        """Runs ``argv`` in the container and returns its stdin and stdout as one byte stream."""
        from lab.engine.http.exec_stream import ExecStream

        streams = {"AttachStdin": True, "AttachStdout": True, "AttachStderr": True}
        created = self.api.post(f"/containers/{container.id}/exec", {"Cmd": argv} | streams)
        return ExecStream(*self.api.stream(f"/exec/{created['Id']}/start", {"Tty": False, "Detach": False}))

    def container(self, identifier: str) -> Container:
        """The container with this ID. Raises EnvironmentFailure if it doesn't exist."""
        found = Container(self.api, lambda: self._client, {"Id": identifier})
        found.reload()
        return found

    def process_of(self, execution: str) -> int:
        """The process of a `docker exec`, by its number on the engine's machine; 0 if it has exited."""
        about = sdk_call(self._client.api.exec_inspect, execution)
        return int(about["Pid"]) if about["Running"] else 0

    def read_files(self, container: Container, directory: str) -> dict[str, bytes]:
        """The files in ``directory`` of a container, by name; at most MAX_ARCHIVE bytes in total.

        Raises EnvironmentFailure.
        """
        chunks = self.api.chunks(f"/containers/{container.id}/archive", path=directory)
        with closing(chunks):
            return unpacked(joined(chunks, MAX_ARCHIVE, f"{container.name}: {directory}"))

    def image_labels(self, label: str) -> dict[str, str]:
        """The value of this label of each image that has it, by the image's names with their tags."""
        found = self.api.get("/images/json", filters=filters(label))
        return {tag: image["Labels"][label] for image in found for tag in image["RepoTags"] or ()}

    def remove_untagged_images(self, label: str) -> None:
        """Removes the images with this label that have no name and no container.

        Does nothing if the engine is just removing unused images for somebody else.
        """
        try:
            self.api.post("/images/prune", filters=filters(label, dangling="true"))
        except ApiError as error:
            if error.status != http.HTTPStatus.CONFLICT:
                raise

    def has_image(self, name: str) -> bool:
        return bool(self.api.get("/images/json", filters={"reference": [name]}))

    def require_in_registry(self, name: str) -> None:
        """Raises EnvironmentFailure if no registry provides the image. Nothing is downloaded."""
        sdk_call(self._client.images.get_registry_data, name)

    def version(self) -> str:
        return str(self.api.get("/version")["Version"])

    def info(self) -> dict[str, Any]:
        """The engine's description of itself and of its machine, as `docker info` shows it."""
        return dict(self.api.get("/info"))


def joined(chunks: Iterable[bytes], limit: int, source: str) -> bytes:
    """Joins the chunks. Raises EnvironmentFailure as soon as they exceed ``limit`` bytes."""
    content = bytearray()
    for chunk in chunks:
        if len(content) + len(chunk) > limit:
            raise EnvironmentFailure(f"{source} has more than {limit} bytes")
        content += chunk
    return bytes(content)


def unpacked(archive: bytes) -> dict[str, bytes]:
    """The regular files of a tar archive, by name without folders. Raises EnvironmentFailure.

    Compressed archives are refused and sparse files are left out: their content can be far larger.
    """
    import tarfile  # not at the top: most commands read no archive

    try:
        with tarfile.open(fileobj=io.BytesIO(archive), mode="r:") as tar:
            members = [member for member in tar if member.isreg() and not member.issparse()]
            files = {PurePosixPath(member.name).name: tar.extractfile(member) for member in members}
            return {name: file.read() for name, file in files.items() if file is not None}
    except tarfile.TarError as error:
        raise EnvironmentFailure(f"Docker: not an archive: {error}") from error


def is_lab(resources: Iterable[Resource]) -> bool:
    """True if these resources of a Compose project belong to a lab."""
    return any({ROLE_LABEL, LAB_LABEL} & each.labels.keys() for each in resources)


def _no_engine(why: str) -> EnvironmentFailure:
    return EnvironmentFailure(
        message("no Docker Engine answers ({reason}); `lab doctor` names the remedy", reason=why)
    )


def _connect() -> docker.DockerClient:
    import docker

    if "DOCKER_HOST" in os.environ:
        return docker.from_env(timeout=API_TIMEOUT, version="auto")
    context = docker.ContextAPI.get_current_context()
    tls = context.TLSConfig if context else None
    url = context.Host if context else None
    return docker.DockerClient(base_url=url, tls=tls or False, timeout=API_TIMEOUT, version="auto")


def sdk_call(function: Any, *args: Any, **kwargs: Any) -> Any:
    """Calls a function of the SDK. Raises EnvironmentFailure with the engine's error in one line."""
    try:
        return function(*args, **kwargs)
    except EnvironmentFailure:
        raise
    except Exception as error:
        from docker.errors import APIError, DockerException

        if isinstance(error, APIError):
            raise ApiError(error.status_code or 0, error.explanation or str(error)) from error
        if isinstance(error, DockerException | OSError):
            raise EnvironmentFailure(f"Docker: {reason(error)}") from error
        raise


def client_of(container: Container) -> docker.DockerClient:
    """The client that a container was found with."""
    return container.client


def _is_oneoff(labels: Mapping[str, str]) -> bool:
    return labels.get(ONEOFF_LABEL) == "True"


def _subnets(network: Mapping[str, Any]) -> list[Network]:
    pools = (network.get("IPAM") or {}).get("Config") or []
    return [ipaddress.ip_network(pool["Subnet"]) for pool in pools if pool.get("Subnet")]


def _state(summary: Mapping[str, Any]) -> str:
    """The state of a container in the engine's list. Its health is in "Up 2 seconds (health: starting)"."""
    health = _HEALTH.search(summary["Status"]) if summary["State"] == "running" else None
    return health[1] if health else str(summary["State"])
