"""The process that owns a lab, as a label of the lab's containers, networks and volumes.

A process is identified by its machine, boot, process namespace, ID and start time, as IDs are used again.
Processes of another machine, or of another process namespace, can't be seen from here.
"""

from __future__ import annotations

import hashlib
import os
import socket
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

State: TypeAlias = Literal["running", "gone", "unknown"]

PROC = Path("/proc")
MACHINE_IDS = (Path("/etc/machine-id"), Path("/var/lib/dbus/machine-id"))
BOOT_ID = PROC / "sys/kernel/random/boot_id"
COMMAND_TIMEOUT = 5.0  # seconds for ps or sysctl
ENDED = ("Z", "X", "x")  # states of a process whose parent hasn't collected its exit code; proc(5)
LENGTH = 12  # characters of each identifier in the label


@dataclass(frozen=True)
class Owner:
    """A process that owns labs. ``str`` returns the value of the label."""

    machine: str
    boot: str
    namespace: str  # of its process ID; "-" if the system has no such namespaces
    pid: int
    started: str  # in the system's own unit; only compared

    @classmethod
    def current(cls) -> Owner | None:
        """This process; None if it can't be identified reliably."""
        boot, namespace = _boot(), _namespace()
        started = _started(os.getpid()) if boot and namespace else None
        return cls(_machine(), boot, namespace, os.getpid(), started) if started else None

    @classmethod
    def parse(cls, label: str) -> Owner | None:
        """The owner in a label; None if it has another form, for example that of another version."""
        words = label.split("/")
        if len(words) != 5 or not words[3].isdecimal() or not all(words):
            return None
        machine, boot, namespace, pid, started = words
        return cls(machine, boot, namespace, int(pid), started)

    def __str__(self) -> str:
        return f"{self.machine}/{self.boot}/{self.namespace}/{self.pid}/{self.started}"

    def state(self) -> State:
        """Whether the process still runs; ``unknown`` if it can't be seen from here."""
        if (self.machine, self.namespace) != (_machine(), _namespace()):
            return "unknown"
        if not (boot := _boot()):
            return "unknown"
        if self.boot != boot:
            return "gone"
        started = _started(self.pid)
        if started is None:
            return "unknown"
        return "running" if started == self.started else "gone"


def state_of(label: str) -> State:
    """The state of the process in a label; ``unknown`` if the label has another form."""
    owner = Owner.parse(label)
    return owner.state() if owner else "unknown"


def _machine() -> str:
    """Machines that were copied have the same machine ID, so the host name is part of it."""
    ids = [path.read_text().strip() for path in MACHINE_IDS if path.is_file()]
    return _digest(f"{next(filter(None, ids), '')} {socket.gethostname()}")


def _boot() -> str:
    if BOOT_ID.is_file():
        return _digest(BOOT_ID.read_text().strip())
    boot = _output("sysctl", "-n", "kern.bootsessionuuid")  # macOS
    return _digest(boot) if boot else ""


def _namespace() -> str:
    """The namespace of process IDs; "" if /proc shows the processes of another one."""
    if not BOOT_ID.is_file():
        return "-"
    try:
        if os.readlink(PROC / "self") != str(os.getpid()):
            return ""
        return os.readlink(PROC / "self/ns/pid").strip("pid:[]")
    except OSError:
        return ""


def _started(pid: int) -> str | None:
    """The start time of a process, "" if there is no such process, or None if that can't be determined."""
    if not BOOT_ID.is_file():
        return _started_by_ps(pid)
    try:
        # The name is in parentheses and may contain any character: "1234 (a ) b) S …".
        state, *fields = (PROC / f"{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    except (OSError, ValueError):
        return None if _exists(pid) else ""  # it may be hidden: proc(5), hidepid
    return "" if state in ENDED else fields[18]  # starttime: clock ticks since boot


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


def _started_by_ps(pid: int) -> str | None:
    """As ``_started``, on systems without /proc, such as macOS."""
    line = _output("ps", "-o", "state=,lstart=", "-p", str(pid))
    if not line:
        return None if line is None or _exists(pid) else ""
    state, *started = line.split()
    return "" if state[0] in ENDED else "-".join(started)


def _output(*argv: str) -> str | None:
    """What a command prints; None if it can't be run or doesn't exit in time."""
    environment = {**os.environ, "LC_ALL": "C", "TZ": "UTC"}
    try:
        done = subprocess.run(
            argv, env=environment, capture_output=True, text=True, check=False, timeout=COMMAND_TIMEOUT
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip()


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:LENGTH]
