"""The power of a node: its container killed, started, paused."""

from __future__ import annotations

import time
from collections.abc import Iterable

from docker.models.containers import Container

from lab.engine.client import asked
from lab.errors import EnvironmentFailure

BOOT_TIMEOUT = 30.0  # seconds for a node to become healthy


class ContainerPower:
    """The power of one node."""

    def __init__(self, container: Container) -> None:
        self._container = container

    def off(self) -> None:
        """A power cut: SIGKILL for all processes of the node; nothing is flushed."""
        asked(self._container.kill)

    def on(self) -> None:
        """Starts the node and waits until it is healthy. Raises EnvironmentFailure."""
        asked(self._container.start)
        wait_until_up([self._container], BOOT_TIMEOUT)

    def pause(self) -> None:
        """Freezes all processes of the node; its kernel still answers for open sockets."""
        asked(self._container.pause)

    def resume(self) -> None:
        """Ends ``pause``; does nothing if the node isn't paused."""
        if self._status() == "paused":
            asked(self._container.unpause)

    def restore(self) -> bool:
        """Brings back a node that was left off or paused. Returns True if it was."""
        status = self._status()
        if status == "paused":
            self.resume()
        elif status != "running":
            self.on()
        return status != "running"

    def _status(self) -> str:
        asked(self._container.reload)
        return str(self._container.attrs["State"]["Status"])


def wait_until_up(containers: Iterable[Container], timeout: float) -> None:
    """Returns when all are healthy. Raises EnvironmentFailure on timeout, or if one can't become healthy."""
    deadline = time.monotonic() + timeout
    for container in containers:
        while (state := _state(container)) != "healthy":
            if time.monotonic() > deadline or state not in ("starting", "created"):
                raise EnvironmentFailure(f"{container.name}: didn't come up: {state}")
            time.sleep(0.03)  # between two checks


def _state(container: Container) -> str:
    """healthy, starting, unhealthy, or Docker's status of a container that isn't running."""
    asked(container.reload)
    state = container.attrs["State"]
    health = (state.get("Health") or {}).get("Status", "none")
    if state["Status"] != "running":
        return str(state["Status"])
    return "healthy" if health == "none" else str(health)  # none: the image has no health check
