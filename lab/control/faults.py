"""Faults of a host: power, freezing, cable, disk. Each is healed when its context ends, even by an exception.

The start and the end of a fault are events in the timeline.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from lab.control.program import Result
from lab.control.workload import Workload
from lab.errors import EnvironmentFailure
from lab.evidence.events import Edge, FaultChanged, Note, Observe
from lab.remote.ssh import Connection

SMALL_DISK = "/mnt/small"  # a tmpfs of 8 MiB on every host
BALLAST = f"{SMALL_DISK}/.full"
CABLE = "sudo -n /usr/lib/socketlab/cable"
FAULT_TIMEOUT = 20.0

# The names of the faults. lab.evidence.event_text has the names of their ends.
POWER = "power cut"
FROZEN = "paused"
UNPLUGGED = "cable pulled"
FULL = "disk full"


class Power(Protocol):
    """Cuts and restores a node's power. The engine can; the runner, which has no engine, can't."""

    def off(self) -> None: ...
    def on(self) -> None: ...
    def pause(self) -> None: ...
    def resume(self) -> None: ...
    def restore(self) -> bool: ...
    def unexpected_files(self, places: Collection[str], /) -> list[str]: ...
    def workload_was_used(self) -> bool: ...
    def replace(self) -> None: ...
    def replace_workload(self) -> None: ...


class Faults:
    """The faults that a host can have; a base class of Host.

    A user's container on the host has them too: it is off, paused, unplugged and restored with the host, and
    it shares the small disk.
    """

    title: str
    workload: Workload | None
    returned: list[Callable[[Any], None]]  # called after the power was off
    _power: Power
    _observe: Observe

    def power_off(self) -> None:
        """Cuts the power: all processes end at once, and no peer is notified. Raises Unsupported."""
        self._fault(POWER, "begin", self._power.off)
        self.disconnect()

    def power_on(self) -> None:
        """Starts the host again; returns when it can reach its router and its container is ready.

        Raises Unsupported.
        """
        self._fault(POWER, "end", self._power.on)
        self.plug_in()

    def plug_in(self) -> None:
        """Waits until a node that has just come up reaches its router, and resumes what ended with it."""
        self._do(f"{CABLE} plug")
        for resume in self.returned:
            resume(self)

    @property
    def power(self) -> Power:
        """The power of the node, without events in the timeline."""
        return self._power

    @contextmanager
    def without_power(self) -> Iterator[None]:
        """Keeps the power off while the context lasts. Raises Unsupported."""
        try:
            self.power_off()
            yield
        finally:
            self.power_on()

    def reboot(self) -> None:
        """Cuts the power and starts the host again; returns when it accepts logins. Raises Unsupported."""
        with self.without_power():
            pass

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Freezes every process of the host while the context lasts. Raises Unsupported."""
        try:
            self._fault(FROZEN, "begin", self._power.pause)
            yield
        finally:
            self._fault(FROZEN, "end", self._power.resume)

    @contextmanager
    def cable_pulled(self) -> Iterator[None]:
        """Sets the interface on its segment down while the context lasts; SSH over mgmt still works."""
        try:
            self._fault(UNPLUGGED, "begin", lambda: self._do(f"{CABLE} unplug"))
            yield
        finally:
            self._fault(UNPLUGGED, "end", lambda: self._do(f"{CABLE} plug"))

    @contextmanager
    def disk_full(self, free: int = 0) -> Iterator[str]:
        """Fills the small disk, except for ``free`` bytes, while the context lasts. Yields its path."""
        avail = f"$(df --output=avail --block-size=1 {SMALL_DISK} | tail -n 1)"
        fill = f"rm -f {BALLAST} && size=$(({avail} - {int(free)})) && fallocate -l $size {BALLAST}"
        try:
            self._fault(FULL, "begin", lambda: self._do(fill))
            yield SMALL_DISK
        finally:
            self._fault(FULL, "end", lambda: self._do(f"rm -f {BALLAST}"))

    def restore(self) -> None:
        """Heals the faults left behind by a run that was killed. Raises EnvironmentFailure."""
        if self._power.restore():
            self._observe(Note(time.time(), self.title, "was off or paused since an earlier run"))
        down = "ip -o link show | grep -q ' state DOWN '"
        self._do(f"rm -f {BALLAST}; if {down}; then {CABLE} plug; fi")

    # Implemented by Host:

    def connect(self) -> Connection:
        raise NotImplementedError

    def disconnect(self) -> None:
        raise NotImplementedError

    def ask(self, command: str, *, stdin: str = "", timeout: float = FAULT_TIMEOUT) -> Result:
        raise NotImplementedError

    def _do(self, command: str) -> None:
        result = self.ask(command)
        if not result.ok:
            why = (result.stderr.strip() or result.ending).splitlines()[-1]
            raise EnvironmentFailure(f"{self.title}: {why}")

    def _fault(self, fault: str, edge: Edge, act: Callable[[], None]) -> None:
        container = self.workload.name if self.workload else ""
        self._observe(FaultChanged(time.time(), self.title, fault, edge, container))
        act()
