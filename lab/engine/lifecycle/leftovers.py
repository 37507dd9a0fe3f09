"""Labs whose owner is gone: a session or a command that was killed before it could remove its lab.

A session's lab has its owner in the labels of all its resources, and only resources with that very label are
removed. The lab of `lab up` has no owner, because it stays; a volume marks it until its start is complete. So
a lab that another process starts under the same name at the same time isn't touched, and a complete lab
without an owner stays until `lab down`.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from lab.engine.client import LAB_LABEL, OWNER_LABEL, PROJECT_LABEL, STARTING_LABEL, Engine
from lab.engine.http.resources import Resource, of_label, remove_volumes_with
from lab.engine.http.resources import remove as remove_resources
from lab.engine.lifecycle.owner import Owner, State, state_of
from lab.errors import EnvironmentFailure
from lab.locale import Message, message

SETTLE = 1.0  # seconds for the engine to carry out the last request of a start
REMOVE_TIMEOUT = 60.0


@dataclass(frozen=True)
class Leftover:
    """The resources of a lab that a process owns or owned."""

    project: str
    owner: str  # the label
    state: State  # of the owner
    resources: tuple[Resource, ...]

    @property
    def pid(self) -> int:
        """The ID of the owner's process; 0 if it isn't known."""
        owner = Owner.parse(self.owner)
        return owner.pid if owner else 0

    @property
    def starting(self) -> bool:
        """True if `lab up` hasn't completed its start."""
        return any(STARTING_LABEL in each.labels for each in self.resources)

    @property
    def removal(self) -> Message:
        """The text that reports its removal."""
        if self.state == "unknown":
            return message("removed {project}", project=self.project)
        if self.starting:
            return message(
                "removed {project}: its start was interrupted when process {pid} was killed",
                project=self.project,
                pid=self.pid,
            )
        return message(
            "removed {project}: process {pid} was killed before it could remove it",
            project=self.project,
            pid=self.pid,
        )

    def of_kind(self, kind: str) -> list[Resource]:
        """Its containers, networks or volumes."""
        return [each for each in self.resources if each.kind == kind]


def find(engine: Engine, project: str = "") -> list[Leftover]:
    """The labs whose owner is gone, or only the one named ``project``. Raises EnvironmentFailure."""
    return [lab for lab in owned(engine) if lab.state == "gone" and project in ("", lab.project)]


def owned(engine: Engine) -> list[Leftover]:
    """All labs that have an owner, by name. Raises EnvironmentFailure."""
    return grouped(of_label(engine.api, OWNER_LABEL))


def grouped(resources: Iterable[Resource]) -> list[Leftover]:
    """The labs of these resources.

    A lab is left out if another process has put containers into its networks: the lab is in use.
    """
    by_label: dict[str, dict[str, list[Resource]]] = defaultdict(lambda: defaultdict(list))
    for each in resources:
        by_label[each.labels.get(PROJECT_LABEL, "")][each.labels.get(OWNER_LABEL, "")].append(each)
    by_label.pop("", None)
    labs = [
        Leftover(project, owner, state_of(owner), tuple(_of_owner(owners, owner)))
        for project, owners in sorted(by_label.items())
        for owner in sorted(owners)
        if owner
    ]
    return [lab for lab in labs if not _has_other_containers(lab, by_label[lab.project])]


def _of_owner(owners: dict[str, list[Resource]], owner: str) -> list[Resource]:
    """The owner's resources of a project; while it starts, these are the ones without an owner, too."""
    starting = any(STARTING_LABEL in each.labels for each in owners[owner])
    found = owners[owner] + (owners.get("", []) if starting else [])
    return sorted(found, key=lambda each: each.kind)  # containers, networks, volumes


def _has_other_containers(lab: Leftover, owners: dict[str, list[Resource]]) -> bool:
    known = {each.id for each in lab.of_kind("container")}
    return any(
        each.id not in known for found in owners.values() for each in found if each.kind == "container"
    )


def remove(engine: Engine, lab: Leftover) -> bool:
    """Removes the resources of the lab, except busy ones. If several processes do this at the same
    time, the result is True for one of them. Raises EnvironmentFailure.

    The volume that marks a start is removed only when nothing else is found: the engine may still be carrying
    out a request of the start.
    """
    removed = remove_resources(engine.api, lab.of_kind("container") + lab.of_kind("network"))
    volumes: Sequence[object] = ()
    if not lab.starting or len(lab.resources) == 1:
        # A volume has no ID: its name may be that of a new lab's volume. So the engine compares the label.
        volumes = remove_volumes_with(engine.api, f"{OWNER_LABEL}={lab.owner}")
    elif not _starts_again(engine, lab):
        unmarked = [each for each in lab.of_kind("volume") if STARTING_LABEL not in each.labels]
        volumes = remove_resources(engine.api, unmarked)
    with_id = [each for each in lab.resources if each.kind != "volume"]
    return with_id[-1] in removed if with_id else bool(volumes)


def _starts_again(engine: Engine, lab: Leftover) -> bool:
    """True if another process is starting a lab of this name."""
    markers = [each for each in of_label(engine.api, STARTING_LABEL) if each.labels[OWNER_LABEL] != lab.owner]
    return any(each.labels.get(PROJECT_LABEL) == lab.project for each in markers)


def remove_completely(engine: Engine, lab: Leftover, timeout: float = REMOVE_TIMEOUT) -> bool:
    """Removes the lab, also what the engine still creates for it. Returns as ``remove`` does.

    Raises EnvironmentFailure if something is left at the deadline.
    """
    deadline, mine, found, settled = time.monotonic() + timeout, False, [lab], False
    while found:
        if time.monotonic() > deadline:
            raise EnvironmentFailure(
                message("{project} can't be removed: it is still in use", project=lab.project)
            )
        if not settled and any(each.starting and len(each.resources) == 1 for each in found):
            time.sleep(SETTLE)  # the engine may still be creating a network, which has no owner
            settled = True
        else:
            mine = any([remove(engine, each) for each in found]) or mine
            time.sleep(SETTLE if lab.starting else 0)
        found = [each for each in find(engine, lab.project) if each.owner == lab.owner]
    return mine


@contextmanager
def starting(engine: Engine, project: str) -> Iterator[None]:
    """While the context lasts, a volume says that this process is starting the lab.

    If the start fails, the volume is removed together with the lab. Raises EnvironmentFailure.
    """
    owner = Owner.current()
    if owner is None:
        yield
        return
    name = f"{project}-starting-{owner.pid}"
    labels = {PROJECT_LABEL: project, LAB_LABEL: project, OWNER_LABEL: str(owner), STARTING_LABEL: "true"}
    engine.api.post("/volumes/create", {"Name": name, "Labels": labels})
    yield
    engine.api.delete(f"/volumes/{name}")
