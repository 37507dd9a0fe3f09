"""A user's container on a host of a running lab."""

from __future__ import annotations

import http
from collections.abc import Mapping, Sequence
from typing import Any

from lab.engine.client import HOST_LABEL, SERVICE_LABEL, Engine, sdk_call
from lab.engine.http.api import ApiError
from lab.engine.http.container import Container
from lab.engine.workloads.exec_session import ExecSession
from lab.engine.workloads.log import Log, last_entry, last_lines
from lab.engine.workloads.model import WorkloadState
from lab.errors import EnvironmentFailure
from lab.locale import message


class EngineWorkload:
    """The user's container on a host, through the engine. All methods raise EnvironmentFailure."""

    def __init__(self, container: Container, node: Container) -> None:
        """``node`` is the lab's own container on this host, whose network namespace it shares."""
        self.container = container
        self.node = node
        self.host = container.labels[HOST_LABEL]
        self.name = container.labels[SERVICE_LABEL]  # the Compose service

    @property
    def image(self) -> str:
        return str(self.container.attrs["Config"]["Image"])

    @property
    def argv(self) -> list[str]:
        """The command line of its main process."""
        return [self.container.attrs["Path"], *(self.container.attrs["Args"] or ())]

    def state(self) -> WorkloadState:
        try:
            sdk_call(self.container.reload)
        except EnvironmentFailure as error:
            if isinstance(error, ApiError) and error.status == http.HTTPStatus.NOT_FOUND:
                return WorkloadState("removed")
            raise
        return WorkloadState.from_inspect(self.container.attrs["State"])

    def execute(self, argv: Sequence[str], **options: Any) -> ExecSession:
        """Starts a command in the container; ``options`` are those of ExecSession."""
        state = self.state()
        if state.status != "running":
            raise EnvironmentFailure(
                message("{name}: the container isn't running: {status}", name=self.name, status=state.status)
            )
        return ExecSession(self.container, argv, self.helper_image, **options)

    @property
    def helper_image(self) -> str:
        """An image with Python: that of the lab's own container."""
        return str(self.node.attrs["Image"])

    def log(self, position: int, *, follow: bool = False) -> Log:
        """Its output after a position."""
        return Log(self.container, position, follow=follow)

    def position(self) -> tuple[int, int]:
        """The position of its last line of output so far, and the number of pieces of this line."""
        return last_entry(self.container)

    def last_lines(self, count: int) -> list[str]:
        return last_lines(self.container, count)


def workloads_of(
    engine: Engine, project: str, nodes: Mapping[str, Container] | None = None
) -> dict[str, EngineWorkload]:
    """The users' containers of a lab, by the service of their host. Raises EnvironmentFailure.

    ``nodes`` are the containers of its nodes by service, if they are known.
    """
    if nodes is None:
        nodes = {node.labels[SERVICE_LABEL]: node for node in engine.nodes(project)}
    found = engine.workloads(project)
    return {host: EngineWorkload(found[host], nodes[host]) for host in sorted(found.keys() & nodes.keys())}
