"""Checks that hosts are on existing segments, have valid mounts, and have one workload at most."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterator
from posixpath import normpath

from lab.locale import message
from lab.topology.errors import Mistake, Path, suggestion
from lab.topology.model import Attachment, Host, Topology, Workload
from lab.topology.planning.expansion import numbered

# Nothing can be mounted below these folders of the lab's own container, or on these paths of any container.
OWN_FOLDERS = ("/etc/socketlab", "/lib/socketlab", "/opt/socketlab", "/run/socketlab", "/usr/lib/socketlab")
OWN_PATHS = ("/", "/etc/hosts", "/etc/resolv.conf", "/etc/hostname", "/mnt/small", "/proc", "/sys", "/dev")
# The lab's own container needs these folders, with its programs, its libraries and its settings.
NEEDED = re.compile(r"/(usr|(usr/)?(bin|sbin|lib\w*)|etc|opt|run)")


def host_mistakes(topology: Topology) -> Iterator[Mistake]:
    """Yields the mistakes in the hosts of a topology."""
    known = segment_names(topology)
    for host in topology.hosts:
        path = ("hosts", host.name)
        yield from segment_mistakes(path, host.attachments, known)
        yield from _count_mistakes(path, host)
        yield from _mount_mistakes(path, host)
        if host.workload:
            yield from _workload_mistakes(path, host.workload, topology.compose)


def segment_names(topology: Topology) -> list[str]:
    """The described segments, and those of hosts without a segment."""
    own = (each.name for host in topology.hosts if not host.attachments for each in numbered(host))
    return [*(segment.name for segment in topology.segments), *own]


def segment_mistakes(
    path: Path, attachments: Collection[Attachment], known: Collection[str]
) -> Iterator[Mistake]:
    """Yields the mistakes in the segments of a node."""
    counts = Counter(each.segment for each in attachments)
    for name, count in counts.items():
        if name not in known:
            remedy = suggestion(name, known) if known else message("describe it in [segments]")
            yield Mistake((*path, "segment"), message("there is no segment {name!r}", name=name), remedy)
        if count > 1:
            yield Mistake(
                (*path, "segment"),
                message("the segment {name!r} is listed twice", name=name),
                message("remove one"),
            )


def _count_mistakes(path: Path, host: Host) -> Iterator[Mistake]:
    if host.count > 1 and any(each.address or each.address6 for each in host.attachments):
        yield Mistake(
            (*path, "address"),
            message("{count} hosts can't have one address", count=host.count),
            message("remove the address or the count"),
        )


def _mount_mistakes(path: Path, host: Host) -> Iterator[Mistake]:
    seen = set()
    for index, mount in enumerate(host.mounts):
        target, place = normpath(mount.target), (*path, "mounts", str(index))
        if target in seen:
            yield Mistake(
                place, message("{target} is mounted twice", target=target), message("choose another target")
            )
        if target in OWN_PATHS or (not host.workload and _is_needed(target)):
            yield Mistake(
                place,
                message("{target} is used by the lab itself", target=target),
                message("choose another target"),
            )
        seen.add(target)


def _is_needed(target: str) -> bool:
    return NEEDED.fullmatch(target) is not None or any(
        f"{target}/".startswith(f"{folder}/") for folder in OWN_FOLDERS
    )


def _workload_mistakes(path: Path, workload: Workload, compose: str) -> Iterator[Mistake]:
    given = [key for key in ("image", "build", "service") if getattr(workload, key)]
    if len(given) > 1:
        yield Mistake(
            (*path, given[1]),
            message("{first} and {second} exclude each other", first=given[0], second=given[1]),
            message("remove one"),
        )
    if workload.service and not compose:
        yield Mistake(
            (*path, "service"),
            message("there is no Compose file with the service {name!r}", name=workload.service),
            message('name it at the top: compose = "docker-compose.yml"'),
        )
