"""Free disk space, free memory, and the number of processes that can still be started."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from lab.doctor.finding import Finding, notice, ok, trouble
from lab.locale import Message, message

MIB = 1 << 20
FULL, SCARCE = 50 * MIB, 1000 * MIB  # bytes; the images have 700 MiB
INODES = 1000  # a lab and a run need a few hundred
MEMORY = 256 * MIB  # a host needs 6 MiB, the tests on it a few dozen
PROCESSES = 200


@dataclass(frozen=True)
class Disk:
    """A folder that the lab writes to, and the free space there for this user. ``remedy`` frees more."""

    path: str
    use: Message
    remedy: Message
    free: int  # bytes
    inodes: int | None = None  # None: the file system has no limit
    writable: bool = True


@dataclass(frozen=True)
class ResourceFacts:
    """The disks, free memory, and the number of processes that can be started; None if it isn't known."""

    disks: Sequence[Disk] = ()
    memory: int | None = None  # bytes
    processes: int | None = None


def check_resources(facts: ResourceFacts) -> Iterator[Finding]:
    """The findings about disks, memory and processes."""
    found = [finding for disk in facts.disks for finding in _disk(disk)]
    yield from found or [ok("disk", message("there is enough free disk space"))] * bool(facts.disks)
    if facts.memory is not None and facts.memory < MEMORY:
        yield notice(
            "memory",
            message("only {size} MiB of memory are free", size=facts.memory // MIB),
            message("stop other programs, or describe a lab with fewer hosts"),
        )
    if facts.processes is not None and facts.processes < PROCESSES:
        yield notice(
            "processes",
            message("only {count} more processes can be started here", count=facts.processes),
            message("raise the limit of processes (pids.max of this control group, or `ulimit -u`)"),
        )


def _disk(disk: Disk) -> Iterator[Finding]:
    fields = {"path": disk.path, "use": disk.use, "size": disk.free // MIB}
    if not disk.writable:
        yield trouble(
            "disk",
            message("{path} ({use}) is not writable", **fields),
            message("change its permissions, or work in another folder"),
        )
    elif disk.free < FULL:
        yield trouble(
            "disk", message("the disk of {path} ({use}) is full: {size} MiB are free", **fields), disk.remedy
        )
    elif disk.inodes is not None and disk.inodes < INODES:
        text = message("the file system of {path} ({use}) has no free inodes", **fields)
        yield trouble("disk", text, disk.remedy)
    elif disk.free < SCARCE:
        yield notice(
            "disk", message("{size} MiB are free on the disk of {path} ({use})", **fields), disk.remedy
        )
