"""What all benchmarks need: a lab of their own, servers on its hosts, peak memory."""

from __future__ import annotations

import os
import re
import shlex
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from benchmarks.table import CannotMeasure
from lab.control.host import Host
from lab.control.lab import Lab
from lab.control.transport import from_engine
from lab.engine.project import LabProject

# Runs a module as `python3 -m` would, and says at its end how much memory the process had at the most.
_PEAK_OF_MODULE = """
import atexit, runpy, sys
def say():
    status = open("/proc/self/status").read()
    print(status[status.index("VmHWM"):].splitlines()[0], file=sys.stderr, flush=True)
atexit.register(say)
sys.argv = sys.argv[1:]
runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
"""


class Rig:
    """A context that takes its lab down, whatever happens in it."""

    def __init__(self, rounds: int | None = None) -> None:
        self._rounds = rounds
        self._stack = ExitStack()
        self._labs: dict[str, Lab] = {}

    def __enter__(self) -> Rig:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def rounds(self, usual: int) -> int:
        """How often each way is measured: what the user asked for, or ``usual``."""
        return self._rounds or usual

    def project(self, word: str = "") -> str:
        """A name for a lab that nobody else has."""
        return f"socketlab-bench-{os.getpid()}{word}"

    @property
    def lab(self) -> Lab:
        """A lab that all benchmarks share; brought up at first need. Raises EnvironmentFailure."""
        return self.lab_with("")

    def lab_with(self, profile: str) -> Lab:
        """The lab that all benchmarks of a profile share. Raises EnvironmentFailure."""
        if profile not in self._labs:
            topology = LabProject.beside(self.project(profile and f"-{profile}"), profile)
            self._stack.callback(topology.down, quiet=True)
            topology.up(quiet=True)
            lab = self._stack.enter_context(from_engine(topology.project))
            lab.connect()
            self._labs[profile] = lab
        return self._labs[profile]


def tool(name: str) -> str:
    """Where a tool is on this machine. Raises CannotMeasure where it isn't there."""
    found = shutil.which(name)
    if found is None:
        raise CannotMeasure(f"{name} isn't on this machine")
    return found


@dataclass(frozen=True)
class Server:
    """A server that runs on ``host``."""

    host: Host
    pid: int

    def peak(self) -> int:
        """The most memory that it has had, in bytes: VmHWM, see proc_pid_status(5)."""
        return peak_in(self.host.run(f"cat /proc/{self.pid}/status", check=True).stdout)


@contextmanager
def serving(host: Host, command: str, *, announce: str = "listening on") -> Iterator[Server]:
    """Runs a server on ``host`` while the context lasts."""
    with host.start(f"echo pid $$; exec {command}", announce=announce) as program:
        yield Server(host, int(program.wait_for_line("pid ").split()[1]))


def peak_of_module(host: Host, module: str, *arguments: str, timeout: float = 60.0) -> int:
    """The most memory, in bytes, that a module run as a program on ``host`` has had."""
    argv = ["python3", "-c", _PEAK_OF_MODULE, module, *arguments]
    return peak_in(host.run(shlex.join(argv), check=True, timeout=timeout).stderr)


def processor_seconds(host: Host) -> float:
    """The processor time that the host's processes have had (control groups, version 1 or 2)."""
    nanoseconds = host.run("cat /sys/fs/cgroup/cpuacct/cpuacct.usage").stdout
    if nanoseconds:
        return int(nanoseconds) / 1e9
    found = re.search(r"usage_usec (\d+)", host.run("cat /sys/fs/cgroup/cpu.stat").stdout)
    if found is None:
        raise CannotMeasure("the host's control group tells no processor time")
    return int(found[1]) / 1e6


def peak_in(text: str) -> int:
    found = re.search(r"VmHWM:\s*(\d+) kB", text)
    if found is None:
        raise CannotMeasure("the host's kernel tells no VmHWM")
    return int(found[1]) << 10
