"""Faults of a host: power, freezing, cable, disk. Each is healed when its context ends, however it ends.

Beginning and end stand in the timeline as events of kind "fault".
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from lab.control.program import Result
from lab.errors import EnvironmentFailure
from lab.evidence.events import Edge, FaultChanged, Note, Observe
from lab.remote.ssh import Connection

SMALL_DISK = "/mnt/small"  # a tmpfs of 8 MiB on every host
BALLAST = f"{SMALL_DISK}/.full"
CABLE = "sudo -n /usr/lib/socketlab/cable"
FAULT_TIMEOUT = 20.0

# The names of the faults. How their ends are called: lab.evidence.event_text.
POWER = "power cut"
FROZEN = "paused"
UNPLUGGED = "cable pulled"
FULL = "disk full"


class Power(Protocol):
    """Who can cut a node's power: the engine, or nobody (the runner has no engine)."""

    def off(self) -> None: ...
    def on(self) -> None: ...
    def pause(self) -> None: ...
    def resume(self) -> None: ...
    def restore(self) -> bool: ...


class Faults:
    """What can happen to a host. Part of ``Host``."""

    title: str
    returned: list[Callable[[Any], None]]  # called when the host is back after its power was off
    _power: Power
    _observe: Observe

    def power_off(self) -> None:
        """Cuts the power: everything on the host is gone at once, without a FIN. Raises Unsupported."""
        self._fault(POWER, "begin", self._power.off)
        self.disconnect()

    def power_on(self) -> None:
        """Starts the host again; returns when its router answers it. Raises Unsupported."""
        self._fault(POWER, "end", self._power.on)
        self._do(f"{CABLE} plug")
        for resume in self.returned:
            resume(self)

    @contextmanager
    def without_power(self) -> Iterator[None]:
        """Off while the context lasts. Raises Unsupported."""
        try:
            self.power_off()
            yield
        finally:
            self.power_on()

    def reboot(self) -> None:
        """Power off and on at once; returns when it can be logged in to. Raises Unsupported."""
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
        """Takes its segment's interface down while the context lasts; the way in (mgmt) stays."""
        try:
            self._fault(UNPLUGGED, "begin", lambda: self._do(f"{CABLE} unplug"))
            yield
        finally:
            self._fault(UNPLUGGED, "end", lambda: self._do(f"{CABLE} plug"))

    @contextmanager
    def disk_full(self, free: int = 0) -> Iterator[str]:
        """Fills the small disk until ``free`` bytes are left, while the context lasts. Gives its path."""
        avail = f"$(df --output=avail --block-size=1 {SMALL_DISK} | tail -n 1)"
        fill = f"rm -f {BALLAST} && size=$(({avail} - {int(free)})) && fallocate -l $size {BALLAST}"
        try:
            self._fault(FULL, "begin", lambda: self._do(fill))
            yield SMALL_DISK
        finally:
            self._fault(FULL, "end", lambda: self._do(f"rm -f {BALLAST}"))

    def restore(self) -> None:
        """Heals what a run that was killed may have left."""
        if self._power.restore():
            self._observe(Note(time.time(), self.title, "was off or paused since an earlier run"))
        down = "ip -o link show | grep -q ' state DOWN '"
        self._do(f"rm -f {BALLAST}; if {down}; then {CABLE} plug; fi")

    # Of the host itself:

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
        self._observe(FaultChanged(time.time(), self.title, fault, edge))
        act()
