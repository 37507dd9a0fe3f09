"""The parts that all benchmarks share: a lab, servers on its hosts, peak memory."""

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
from lab.engine.description import topologies
from lab.engine.lifecycle.project import LabProject

# Runs a module as `python3 -m` does, and prints the peak memory of the process when it exits.
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
    """The labs of the benchmarks; they are taken down when the context ends."""

    def __init__(self, rounds: int | None = None) -> None:
        self._rounds = rounds
        self._stack = ExitStack()
        self._labs: dict[str, Lab] = {}

    def __enter__(self) -> Rig:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def rounds(self, usual: int) -> int:
        """The number of measurements of each way: the user's choice, or else ``usual``."""
        return self._rounds or usual

    def project(self, word: str = "") -> str:
        """The name of a lab that is unique on this machine."""
        return f"socketlab-bench-{os.getpid()}{word}"

    @property
    def lab(self) -> Lab:
        """The lab that all benchmarks share; it is brought up when first used. Raises EnvironmentFailure."""
        return self.lab_with("")

    def lab_with(self, profile: str) -> Lab:
        """The lab that all benchmarks with this profile share. Raises EnvironmentFailure."""
        if profile not in self._labs:
            name = self.project(profile and f"-{profile}")
            project = LabProject.of_file(topologies.default(), name, profile=profile, environ={})
            self._stack.callback(project.down)
            project.up()
            lab = self._stack.enter_context(from_engine(project.project))
            lab.connect()
            self._labs[profile] = lab
        return self._labs[profile]


def tool(name: str) -> str:
    """The path of a tool on this machine. Raises CannotMeasure if it isn't installed."""
    found = shutil.which(name)
    if found is None:
        raise CannotMeasure(f"{name} isn't installed on this machine")
    return found


@dataclass(frozen=True)
class Server:
    """A server on ``host``."""

    host: Host
    pid: int

    def peak(self) -> int:
        """Its peak memory in bytes: VmHWM, see proc_pid_status(5)."""
        return peak_in(self.host.run(f"cat /proc/{self.pid}/status", check=True).stdout)


@contextmanager
def serving(host: Host, command: str, *, announce: str = "listening on") -> Iterator[Server]:
    """Runs a server on ``host`` while the context lasts."""
    with host.start(f"echo pid $$; exec {command}", announce=announce) as program:
        yield Server(host, int(program.wait_for_line("pid ").split()[1]))


def peak_of_module(host: Host, module: str, *arguments: str, timeout: float = 60.0) -> int:
    """The peak memory, in bytes, of a module that runs as a program on ``host``."""
    argv = ["python3", "-P", "-c", _PEAK_OF_MODULE, module, *arguments]
    return peak_in(host.run(shlex.join(argv), check=True, timeout=timeout).stderr)


def processor_seconds(host: Host) -> float:
    """The processor time of all processes of the host (control groups, version 1 or 2)."""
    nanoseconds = host.run("cat /sys/fs/cgroup/cpuacct/cpuacct.usage").stdout
    if nanoseconds:
        return int(nanoseconds) / 1e9
    found = re.search(r"usage_usec (\d+)", host.run("cat /sys/fs/cgroup/cpu.stat").stdout)
    if found is None:
        raise CannotMeasure("the host's control group has no processor time")
    return int(found[1]) / 1e6


def peak_in(text: str) -> int:
    found = re.search(r"VmHWM:\s*(\d+) kB", text)
    if found is None:
        raise CannotMeasure("the host's kernel has no VmHWM")
    return int(found[1]) << 10
