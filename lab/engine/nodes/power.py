"""The power of a node: its containers killed, started, paused."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING

from lab.engine.client import client_of, sdk_call
from lab.engine.http.container import Container
from lab.engine.nodes.replacement import recreate, unexpected
from lab.engine.workloads.model import WorkloadState
from lab.engine.workloads.ready import wait_until_ready
from lab.engine.workloads.workload import EngineWorkload
from lab.errors import EnvironmentFailure
from lab.locale import message
from lab.topology.model import Ready
from lab.topology.node import FILE

if TYPE_CHECKING:
    from lab.engine.nodes.exec_log import ExecLog

BOOT_TIMEOUT = 30.0  # seconds for a node to become healthy
# Files that the lab itself writes when a node starts.
OF_THE_LAB = ("/run/socketlab", "/usr/sbin/docker-init", FILE)
UNPLUG = ["sudo", "-n", "/usr/lib/socketlab/cable", "unplug"]


class ContainerPower:
    """The power of one node: of its own container, and of the user's container on it."""

    def __init__(
        self,
        container: Container,
        workload: EngineWorkload | None = None,
        ready: Ready | None = None,
        log: Callable[[], ExecLog] | None = None,
    ) -> None:
        """``ready`` is the condition that the workload must meet before the node counts as on.

        ``log`` returns the log of the commands that were run in the lab's containers.
        """
        self._node = container
        self._workload = workload
        self._ready = ready
        self._log = log
        self._is_known = False  # True once the log covers all commands since the last reset

    def off(self) -> None:
        """A power cut: SIGKILL for all processes of the node; nothing is flushed.

        The segments' interfaces go down first. Otherwise the kernel would still close the connections of the
        processes that it kills, and their peers would receive a FIN.
        """
        with suppress(EnvironmentFailure):  # a node that is paused, for example
            sdk_call(self._node.exec_run, UNPLUG)
        self._at_once([c for c in self._containers() if _state(c).running], lambda c: c.kill())

    def on(self) -> None:
        """Starts the node, then the user's container; returns when both are ready.

        Raises EnvironmentFailure.
        """
        sdk_call(self._node.start)
        _wait_until_healthy(self._node, BOOT_TIMEOUT)
        self._start_workload()

    def pause(self) -> None:
        """Freezes all processes of the node; its kernel still answers for open sockets."""
        self._at_once([c for c in self._containers() if _state(c).status == "running"], lambda c: c.pause())

    def resume(self) -> None:
        """Ends ``pause``; does nothing if the node isn't paused."""
        self._at_once([c for c in self._containers() if _state(c).status == "paused"], lambda c: c.unpause())

    def restore(self) -> bool:
        """Brings back a node that was left off or paused. Returns True if it was."""
        states = [_state(container) for container in self._containers()]
        starting = states[0].status == "running" and states[0].health == "starting"
        if starting:  # it was restarted
            _wait_until_healthy(self._node, BOOT_TIMEOUT)
        off, paused = not states[0].running, any(state.status == "paused" for state in states)
        interrupted = any(state.started < states[0].started for state in states)  # between the two starts
        if off:
            self.on()
        elif interrupted:
            self._start_workload()
        self.resume()
        return off or paused or interrupted or starting

    def unexpected_files(self, places: Collection[str]) -> list[str]:
        """The files of the node's container outside of ``places`` that have changed since it was created.

        The engine needs some 0.2 s to find them. Only root can change them, so it is asked only if somebody
        has run a command as root since the last call, or may have.
        """
        as_root = self._log().take(self._node.id or "")[1] if self._log else True
        if self._is_known and not as_root:
            return []
        self._is_known = self._log is not None
        mounts = {mount["Destination"] for mount in self._node.attrs["Mounts"]}
        changes = sdk_call(client_of(self._node).api.diff, self._node.id) or []
        return unexpected(changes, {*places, *mounts, *OF_THE_LAB})

    def workload_was_used(self) -> bool:
        """True if anybody has run a command in the user's container since the last call, or may have."""
        if self._workload is None or self._log is None:
            return self._workload is not None
        return any(self._log().take(self._workload.container.id or ""))

    def replace(self) -> None:
        """Replaces the node by a new one with the same addresses and keys, and the user's container on it.

        Raises EnvironmentFailure.
        """
        recreate(self._node, FILE)
        _wait_until_healthy(self._node, BOOT_TIMEOUT)
        if self._workload is not None:
            self._workload.node.attrs = self._node.attrs
            self.replace_workload()

    def replace_workload(self) -> None:
        """Replaces the user's container and its volumes; returns when it is ready.

        Raises EnvironmentFailure.
        """
        if self._workload is not None:
            recreate(self._workload.container, network_of=self._node)
            wait_until_ready([(self._workload, self._ready)], timeout=BOOT_TIMEOUT)

    def _start_workload(self) -> None:
        if self._workload is not None:
            sdk_call(self._workload.container.start)
            wait_until_ready([(self._workload, self._ready)], timeout=BOOT_TIMEOUT)

    def _containers(self) -> list[Container]:
        return [self._node, *([self._workload.container] if self._workload else [])]

    def _at_once(self, containers: list[Container], act: Callable[[Container], object]) -> None:
        with ThreadPoolExecutor(max_workers=2) as pool:
            for _ in pool.map(lambda container: sdk_call(act, container), containers):
                pass


def _state(container: Container) -> WorkloadState:
    sdk_call(container.reload)
    return WorkloadState.from_inspect(container.attrs["State"])


def _wait_until_healthy(container: Container, timeout: float) -> None:
    """Returns when it is healthy. Raises EnvironmentFailure on timeout, or if it can't become healthy."""
    deadline = time.monotonic() + timeout
    while (state := _health(container)) != "healthy":
        if time.monotonic() > deadline or state not in ("starting", "created"):
            raise EnvironmentFailure(
                message("{node} didn't come up: its state is {state}", node=container.name, state=state)
            )
        time.sleep(0.03)  # between two checks


def _health(container: Container) -> str:
    """healthy, starting, unhealthy, or Docker's status of a container that isn't running."""
    state = _state(container)
    return state.status if state.status != "running" else state.health or "healthy"
