"""The op ``clock``: this node's time, and the number of packets that wait in its kernel."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING

from lab.agent.lines import JsonObject

if TYPE_CHECKING:
    from lab.agent.agent import Agent


def clock(agent: Agent, request: JsonObject) -> JsonObject:
    """The time, the number of waiting packets, and the boot ID of the kernel."""
    return {"time": time.time(), "backlog": backlog(), "boot_id": boot_id()}


def backlog() -> int:
    """Packets that this kernel has received but not processed yet; 0 if it is unknown.

    It is the twelfth column of /proc/net/softnet_stat, in hexadecimal, one line for each CPU (Linux 5.10).
    """
    with suppress(OSError, IndexError, ValueError):
        lines = read("/proc/net/softnet_stat").splitlines()
        return sum(int(line.split()[11], 16) for line in lines)
    return 0


def boot_id() -> str:
    """Identifies the running kernel, and with it the clock: hosts that share a kernel have the same id."""
    with suppress(OSError):
        return read("/proc/sys/kernel/random/boot_id").decode().strip()
    return ""


def read(path: str) -> bytes:
    """The content of a file in /proc, without pathlib, which takes long to import. Raises OSError."""
    with open(path, "rb") as file:
        return file.read()
