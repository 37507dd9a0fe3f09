"""A node's clock, compared with the controller's as NTP does it: offset and uncertainty."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Clock:
    """A node's clock: ``offset`` seconds ahead of the controller's, give or take ``uncertainty``."""

    offset: float = 0.0
    uncertainty: float = 0.0
    shared: bool = False  # the controller's own clock: both run on one kernel

    def correct(self, at: float) -> float:
        """The node's time ``at`` on the controller's clock. An offset below the uncertainty is ignored."""
        return at if abs(self.offset) <= self.uncertainty else at - self.offset

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def compare(asked: float, answered: float, received: float) -> Clock:
    """The clock of a node that read ``answered`` between ``asked`` and ``received``, which are our times."""
    return Clock(answered - (asked + received) / 2, (received - asked) / 2)


def boot_id() -> str:
    """Identifies the boot of this machine's kernel, see random(4); "" if the kernel has no such file.

    A node with the same one has the same clock. lab.agent reads its own in the same way: neither side may
    import the other.
    """
    with suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return ""
