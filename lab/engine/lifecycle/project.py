"""A lab as a Compose project: how it is brought up and taken down.

A start that fails or is interrupted removes what it created. Resources are found by their labels.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace

from lab.engine import images
from lab.engine.client import PROJECT_LABEL, Engine, is_lab
from lab.engine.compose import Notice, PrefixTaken, Report, run_compose, silent
from lab.engine.description import prefix_choice, topologies
from lab.engine.description.definition import LabDefinition
from lab.engine.description.rendering import Rendered, rendered
from lab.engine.http.resources import Resource, of_label
from lab.engine.lifecycle import leftovers
from lab.engine.lifecycle.cleanup import take_down
from lab.engine.lifecycle.existing import ExistingLab
from lab.engine.lifecycle.owner import Owner
from lab.engine.lifecycle.startup import StartObserver, logs_of_failed, require_programs, wait_for_nodes
from lab.engine.readable import require_readable
from lab.errors import EnvironmentFailure, UsageError
from lab.locale import _, from_environment, message
from lab.topology.description import located
from lab.topology.errors import TopologyError
from lab.topology.plan import Plan
from lab.topology.prefixes import Network, overlap

PROJECT = topologies.PROJECT
UP_TIMEOUT = 120.0  # seconds for Compose to start all nodes, and again for them to become healthy
BUILD_TIMEOUT = 600.0  # for images, on a slow line
NOBODY = StartObserver()
CHOICE_TIMEOUT = 60.0  # for a choice of free prefixes that no other lab makes at the same time


@dataclass(frozen=True)
class LabProject(LabDefinition):
    """A lab that can be brought up and taken down."""

    def exists(self) -> bool:
        """True if any of its nodes exists, running or not, unless the lab is a leftover."""
        with Engine() as engine:
            return bool(engine.states(self.project)) and not leftovers.find(engine, self.project)

    def up(
        self, *, owner: bool = False, report: Report = silent, observer: StartObserver = NOBODY
    ) -> LabProject:
        """Brings the lab up and returns when its nodes are healthy. The result has the lab's prefixes.

        An existing lab keeps its prefixes and is changed to this topology (see ``as_existing``). A new one is
        removed if the start fails or is interrupted. With ``owner``, a new lab belongs to this process: if it
        is killed before it calls ``down``, the lab is a leftover (lab.engine.lifecycle.leftovers). Raises
        EnvironmentFailure, UsageError.
        """
        with Engine() as engine:
            present = of_label(engine.api, f"{PROJECT_LABEL}={self.project}")
            is_leftover = any(each.state == "gone" for each in leftovers.grouped(present))
            existing = None if is_leftover else ExistingLab.of(engine, self.project)
            if existing is None:
                lab = replace(self, owner=str(Owner.current() or "")) if owner else self
                return lab._create(engine, present, report, observer)
            lab = self.as_existing(existing, [subnet for subnet, _ in engine.subnets()])
            lab._start(engine, report, observer)
            return lab

    @contextmanager
    def running(self, *, keep: bool = False, report: Report = silent) -> Iterator[bool]:
        """The lab is up while the context lasts. If it had to be started, it is taken down at the end,
        unless ``keep``. Yields True if it had to be started. Raises EnvironmentFailure.
        """
        started = not self.exists()
        try:
            if started:
                self.up(owner=not keep, report=report)
            yield started
        finally:
            if started and not keep:
                self.down()

    def down(self, *, report: Report = silent) -> int:
        """Removes everything that the lab has, in any state. Returns the number of resources.

        Raises EnvironmentFailure if some are left at the deadline.
        """
        return take_down(self.project, report)

    def attached(self) -> LabProject:
        """This lab with the prefixes and the profile that it was started with. Raises EnvironmentFailure."""
        with Engine() as engine:
            existing = ExistingLab.of(engine, self.project)
        if existing is None:
            raise EnvironmentFailure(
                message("no lab {project!r} is up; `lab up` starts one", project=self.project)
            )
        return self._with_state_of(existing)

    def _with_state_of(self, existing: ExistingLab) -> LabProject:
        return replace(
            self,
            prefixes=prefix_choice.merged(self.prefixes, existing.prefixes),
            profile=self.profile or existing.profile,
            owner=existing.owner,
            free=False,
        )

    def as_existing(self, existing: ExistingLab, taken: Iterable[Network] = ()) -> LabProject:
        """This lab with the prefixes of the existing one. Raises UsageError if that can't become this one.

        A new segment gets a prefix that overlaps none of ``taken``. Compose replaces nodes that have changed,
        and adds new ones. It can't change the prefixes of a network that is in use, and it would leave
        superfluous nodes running.
        """
        lab = self._with_state_of(existing)
        plan = lab.plan(taken, self.project)
        wanted = prefix_choice.merged(prefix_choice.of_plan(plan), self.prefixes)
        superfluous = {node.name for node in existing.nodes} - {node.name for node in plan.nodes}
        moved = {
            name
            for name, networks in existing.prefixes.items()
            if name in wanted and set(wanted[name]) != set(networks)
        }
        if superfluous | moved:
            raise UsageError(
                message(
                    "{project} is up with another topology ({names}); `lab down -p {project}` removes it",
                    project=self.project,
                    names=", ".join(sorted(superfluous | moved)),
                )
            )
        return replace(lab, prefixes=prefix_choice.of_plan(plan))

    def _create(
        self, engine: Engine, present: Sequence[Resource], report: Report, observer: StartObserver
    ) -> LabProject:
        """Brings up a lab that doesn't exist. ``present`` is left of a start or a session that was killed.

        Another lab may take a chosen prefix first. Then the engine refuses to create the network, and other
        prefixes are chosen.
        """
        deadline = time.monotonic() + CHOICE_TIMEOUT
        self._require_own_name(present)
        if present:
            self.down()
        for seed in self.seeds():
            lab = self._with_free_prefixes(engine, seed)
            try:
                with nullcontext() if lab.owner else leftovers.starting(engine, lab.project):
                    lab._start(engine, report, observer)
                break
            except BaseException as error:
                refused = isinstance(error, PrefixTaken)
                lab._undo(settled=refused)
                if not refused or time.monotonic() > deadline:
                    raise
            report(Notice(_("another lab took a prefix at the same moment; choosing others")))
        return lab

    def _require_own_name(self, present: Sequence[Resource]) -> None:
        """Raises UsageError if a Compose project that isn't a lab has the name: the lab would replace its
        containers, and `lab down` would remove its volumes.
        """
        if present and not is_lab(present):
            found = [each.name for each in present]
            raise UsageError(
                message(
                    "{project} is a Compose project that isn't a lab ({names}); give the lab another name: "
                    '`name = "…"` in its description, or -p NAME',
                    project=self.project,
                    names=", ".join(found[:3]) + (", …" if len(found) > 3 else ""),
                )
            )

    def seeds(self) -> Iterator[str]:
        """The seeds for the choice of free prefixes: first the project's name, so that a lab gets the same
        prefixes as the last time if they are still free; then random ones.
        """
        yield self.project
        while True:
            yield os.urandom(8).hex()

    def _with_free_prefixes(self, engine: Engine, seed: str) -> LabProject:
        """This lab with prefixes that no network of the engine has. Raises EnvironmentFailure if a given one
        is taken.
        """
        taken = engine.subnets()
        plan = self.plan((subnet for subnet, _ in taken), seed)
        for mine in plan.networks():
            for subnet, name in taken:
                if overlap(mine, subnet):
                    raise EnvironmentFailure(
                        message(
                            "{prefix} is taken by the network {name} (if it is a lab, `lab down -p NAME` "
                            "removes it); --prefix NETWORK=PREFIX chooses another",
                            prefix=mine,
                            name=name,
                        )
                    )
        return replace(self, prefixes=prefix_choice.of_plan(plan), free=False)

    def compose_file_text(self, plan: Plan) -> Rendered:
        """The Compose file that the lab is started with. Raises UsageError, EnvironmentFailure."""
        if self.compose_file:
            return Rendered(self.compose_file.read_text(encoding="utf-8"))
        try:
            return rendered(plan)
        except TopologyError as error:
            raise (located(error, self.description) if self.description else error) from None

    def _start(self, engine: Engine, report: Report, observer: StartObserver) -> None:
        """Starts the nodes and the workloads, and waits for them. Raises EnvironmentFailure."""
        plan = self.plan()
        file = self.compose_file_text(plan)
        for left_out in file.left_out:
            report(Notice(left_out.in_language(from_environment())))
        require_readable()
        self._build_images(engine, plan, file.text, report)
        timeout = UP_TIMEOUT + BUILD_TIMEOUT * any(node.workload for node in plan.nodes)
        try:
            words = "up", "--detach", *services(plan)
            self._compose(file.text, *words, report=report, started=observer.compose_started, timeout=timeout)
            names = [node.name for node in plan.nodes]
            wait_for_nodes(engine, self.project, names, UP_TIMEOUT, report, observer)
            self._wait_for_workloads(engine, plan, report)
        except PrefixTaken:
            raise
        except EnvironmentFailure as error:
            _require_images(engine, plan, str(error))
            require_programs(engine, self.project)
            raise EnvironmentFailure(f"{error}\n{logs_of_failed(engine, self.project)}".strip()) from None
        images.require_version(engine, self.project, images.source_digest())

    def _wait_for_workloads(self, engine: Engine, plan: Plan, report: Report) -> None:
        if not any(node.workload for node in plan.nodes):
            return
        from lab.engine.workloads.ready import wait_until_ready  # not at the top: see lab.engine.http.api
        from lab.engine.workloads.workload import workloads_of

        workloads = workloads_of(engine, self.project)
        conditions = [(workloads[node.name], node.ready) for node in plan.nodes if node.workload]
        wait_until_ready(conditions, report=lambda text: report(text.in_language(from_environment())))

    def _compose(
        self,
        text: str,
        *words: str,
        report: Report,
        started: Callable[[], object] = lambda: None,
        timeout: float,
    ) -> None:
        argv = self.compose("-f", "-", "--project-directory", str(self.folder), *words)
        run_compose(argv, self.environment(), text=text, report=report, started=started, timeout=timeout)

    def _build_images(self, engine: Engine, plan: Plan, text: str, report: Report) -> None:
        """Builds the nodes' images that are missing or of another version of the lab."""
        needed = images.outdated(engine, self.images(plan), images.source_digest())
        if not needed:
            return
        for notice in images.notices(needed):
            report(Notice(notice.in_language(from_environment())))
        try:
            names = [image.service for image, _ in needed]
            self._compose(text, "build", *names, report=report, timeout=BUILD_TIMEOUT)
        except EnvironmentFailure as error:
            images.require_bases(engine, [image for image, _ in needed], error)
            raise
        engine.remove_untagged_images(images.LABEL)

    def _undo(self, settled: bool) -> None:
        """Removes a lab that couldn't be started."""
        with suppress(EnvironmentFailure):  # the first failure is the one to report
            take_down(self.project, settled=settled)


def services(plan: Plan) -> list[str]:
    """The Compose services of the nodes and their workloads."""
    return [name for node in plan.nodes for name in (node.name, node.workload) if name]


def _require_images(engine: Engine, plan: Plan, problem: str) -> None:
    """Raises EnvironmentFailure if a start failed with ``problem`` because an image is missing."""
    for name, host in plan.hosts.items():
        image = host.workload.image if host.workload else ""
        if image and not engine.has_image(image):
            raise EnvironmentFailure(
                message(
                    "{host}: there is no image {image} on this machine, and it can't be downloaded; "
                    "build it, or correct its name ({reason})",
                    host=name,
                    image=image,
                    reason=problem.strip().rpartition("\n")[2],
                )
            )
