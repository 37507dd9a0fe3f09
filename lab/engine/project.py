"""A lab as a Compose project: its name and prefixes, how it is brought up and taken down.

A start that fails or is interrupted removes what it created. Resources are found by their labels.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from lab.engine.client import Engine
from lab.engine.compose import run_compose, silent, to_stderr
from lab.engine.docker_transport import described_nodes
from lab.engine.power import wait_until_up
from lab.errors import EnvironmentFailure, UsageError
from lab.locale import message
from lab.topology.compose_file import ComposeFile
from lab.topology.node import PROFILES
from lab.topology.prefixes import (
    Network,
    PrefixError,
    Prefixes,
    choose,
    disjoint,
    overlap,
    parse,
    prefix_of,
    variable,
)

COMPOSE_FILE = Path(__file__).parents[2] / "docker-compose.yml"
PROJECT = "socketlab"  # as `name` in docker-compose.yml
UP_TIMEOUT = 120.0  # seconds for Compose to start all nodes, and again for them to become healthy
BUILD_TIMEOUT = 600.0  # for an image, on a slow line
DOWN_TIMEOUT = 60.0
SETTLE = 1.0  # seconds without a new resource, after an interrupted start

PROFILE_SIZE = "downloads 120 MB; the image is 150 MB larger than a plain host's"

_PROJECT_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")  # Compose's own rule


@dataclass(frozen=True)
class LabProject:
    """Identifies a lab. A network without a prefix here has its prefix from the Compose file.

    Two labs side by side differ in the project and in all prefixes. Raises UsageError if a name, prefix
    or profile is invalid.
    """

    project: str = PROJECT
    prefixes: Prefixes = field(default_factory=dict)  # IPv4, by network: see lab.topology.prefixes
    prefixes6: Prefixes = field(default_factory=dict)
    profile: str = ""  # one of PROFILES, or none
    compose_file: Path = COMPOSE_FILE

    def __post_init__(self) -> None:
        if not _PROJECT_NAME.fullmatch(self.project):
            raise UsageError(
                message(
                    "{name!r} is not a project name: use small letters, digits, - and _", name=self.project
                )
            )
        if self.profile and self.profile not in PROFILES:
            raise UsageError(
                message(
                    "no profile {name!r}; there is: {known}", name=self.profile, known=", ".join(PROFILES)
                )
            )
        object.__setattr__(self, "prefixes", {**self.file.prefixes, **self.prefixes})  # it is frozen
        object.__setattr__(self, "prefixes6", {**self.file.prefixes6, **self.prefixes6})
        try:
            self.networks()
        except PrefixError as error:
            raise UsageError(*error.args) from None

    @classmethod
    def from_environment(cls, project: str | None = None, profile: str | None = None) -> LabProject:
        """The lab that Compose would use, by the same environment variables."""
        file = cls().file
        return cls(
            project or os.environ.get("COMPOSE_PROJECT_NAME") or PROJECT,
            _from_environment(file.prefixes),
            _from_environment(file.prefixes6, ipv6=True),
            profile or os.environ.get("PROFILE", ""),
        )

    @classmethod
    def beside(cls, project: str, profile: str = "") -> LabProject:
        """A lab whose prefixes no network of this engine has. Raises EnvironmentFailure."""
        plain = cls(project, profile=profile)
        with Engine() as engine:
            taken = [subnet for subnet, _ in engine.subnets()]
        chosen = choose(plain.prefixes, plain.prefixes6, taken, project)
        if chosen is None:
            raise EnvironmentFailure(
                message("no free prefixes; `docker network prune` removes unused networks")
            )
        return cls(project, *chosen, profile)

    @classmethod
    def of_lab(cls, project: str) -> LabProject | None:
        """The existing lab of that name, as it was brought up; None if there is none.

        Raises EnvironmentFailure.
        """
        with Engine() as engine:
            platforms = {node.platform for node in described_nodes(engine, engine.nodes(project))}
            subnets = engine.subnets()
        if not platforms:
            return None
        found: tuple[dict[str, str], dict[str, str]] = ({}, {})
        for subnet, name in subnets:
            if name.startswith(f"{project}_"):
                network = name.removeprefix(f"{project}_").lower().replace("-", "_")
                found[subnet.version == 6][network] = prefix_of(subnet)
        known = cls(project)
        return cls(
            project,
            {name: prefix for name, prefix in found[0].items() if name in known.prefixes},
            {name: prefix for name, prefix in found[1].items() if name in known.prefixes6},
            next((name for name in PROFILES if name in platforms), ""),
        )

    def with_prefixes(self, words: Iterable[str]) -> LabProject:
        """The same lab with other prefixes, each as NETWORK=PREFIX. Raises UsageError."""
        try:
            prefixes, prefixes6 = parse(words)
        except PrefixError as error:
            raise UsageError(*error.args) from None
        _require_known(prefixes, self.prefixes)
        _require_known(prefixes6, self.prefixes6)
        return replace(
            self, prefixes={**self.prefixes, **prefixes}, prefixes6={**self.prefixes6, **prefixes6}
        )

    @cached_property
    def file(self) -> ComposeFile:
        """The parsed Compose file. Raises UsageError if it can't be read."""
        try:
            return ComposeFile.parse(self.compose_file.read_text())
        except (OSError, ValueError) as error:
            raise UsageError(f"{self.compose_file}: {error}") from None

    def networks(self) -> list[Network]:
        """The lab's networks, IPv4 and IPv6."""
        return disjoint([*self.prefixes.values(), *self.prefixes6.values()])

    def environment(self) -> dict[str, str]:
        """The environment for Compose: the user's own, with this lab's name and prefixes."""
        return {
            **os.environ,
            "COMPOSE_PROJECT_NAME": self.project,
            "PROFILE": self.profile,
            **{variable(name): prefix for name, prefix in self.prefixes.items()},
            **{variable(name, ipv6=True): prefix for name, prefix in self.prefixes6.items()},
        }

    def compose(self, *words: str) -> list[str]:
        """The argv of ``docker compose`` for this lab."""
        return ["docker", "compose", "-p", self.project, "-f", str(self.compose_file), *words]

    def exists(self) -> bool:
        """True if any of its nodes exists, running or not."""
        with Engine() as engine:
            return bool(engine.nodes(self.project))

    def up(self, *, quiet: bool = False) -> None:
        """Brings the lab up and returns when its nodes are healthy.

        If that fails or is interrupted, everything it created is removed; a lab that existed before stays.
        Raises EnvironmentFailure.
        """
        existed = self.exists()
        if not existed:
            self._require_free_prefixes()
        self._build_profile(quiet)
        try:
            self._run("up", "--detach", *self.file.nodes, quiet=quiet, timeout=UP_TIMEOUT)
            with Engine() as engine:  # not `up --wait`, which polls only twice a second
                wait_until_up(engine.nodes(self.project), UP_TIMEOUT)
        except EnvironmentFailure as error:
            logs = self._last_logs()
            self._undo(existed)
            raise EnvironmentFailure(f"{error}\n{logs}".strip()) from None
        except BaseException:
            self._undo(existed)
            raise

    @contextmanager
    def running(self, *, keep: bool = False, quiet: bool = False) -> Iterator[None]:
        """The lab is up while the context lasts. If it had to be started, it is taken down at the end,
        unless ``keep``. Raises EnvironmentFailure.
        """
        started = not self.exists()
        try:
            if started:
                self.up(quiet=quiet)
            yield
        finally:
            if started and not keep:
                self.down(quiet=True)

    def down(self, *, quiet: bool = False) -> int:
        """Removes everything that the lab has, in any state. Returns the number of resources.

        Raises EnvironmentFailure if some are left at the deadline.
        """
        with Engine() as engine:
            found = len(engine.resources(self.project))
            nodes = engine.nodes(self.project)
            complete = bool(nodes) and all(node.status == "running" for node in nodes)
            if found:
                with suppress(EnvironmentFailure):  # the rest is removed below, or reported there
                    self._run("down", "-v", "--remove-orphans", "-t", "1", quiet=quiet, timeout=DOWN_TIMEOUT)
            return max(found, self._sweep(engine, settle=0.0 if complete else SETTLE))

    def _run(self, *words: str, quiet: bool, timeout: float) -> None:
        report = silent if quiet else to_stderr
        run_compose(self.compose(*words), self.environment(), report=report, timeout=timeout)

    def _build_profile(self, quiet: bool) -> None:
        """Builds the profile's image if there is none. The size is printed before the build starts."""
        if not self.profile:
            return
        with Engine() as engine:
            if engine.has_image(f"socketlab/{self.profile}"):
                return
        print(f"building socketlab/{self.profile}: {PROFILE_SIZE}", file=sys.stderr, flush=True)
        self._run("build", *self.file.profiled, quiet=quiet, timeout=BUILD_TIMEOUT)

    def _require_free_prefixes(self) -> None:
        with Engine() as engine:
            taken = [(s, n) for s, n in engine.subnets() if not n.startswith(f"{self.project}_")]
        for mine in self.networks():
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

    def _undo(self, existed: bool) -> None:
        if not existed:
            with suppress(EnvironmentFailure):  # the first failure is the one to report
                self.down(quiet=True)

    def _last_logs(self) -> str:
        """The last lines that the nodes logged, to show why one of them didn't come up."""
        with suppress(OSError, subprocess.SubprocessError):
            logs = self.compose("logs", "--no-color", "--tail", "5")
            done = subprocess.run(logs, env=self.environment(), capture_output=True, text=True, timeout=10)
            return done.stdout.strip()
        return ""

    def _sweep(self, engine: Engine, settle: float) -> int:
        """Removes resources until no new one appears for ``settle`` seconds. Returns their number.

        After an interrupted start, the engine may still be carrying out one of its requests.
        """
        deadline = time.monotonic() + DOWN_TIMEOUT
        clean_until = time.monotonic() + settle
        removed = 0
        while True:
            left = engine.remove(self.project)
            removed += left
            now = time.monotonic()
            if left:
                clean_until = now + max(settle, 0.1)
            elif now >= clean_until:
                return removed
            if now > deadline:
                raise EnvironmentFailure(
                    message(
                        "{project}: {left} containers, networks or volumes are left",
                        project=self.project,
                        left=left,
                    )
                )
            time.sleep(0.1)  # between two checks


def _require_known(prefixes: Prefixes, known: Prefixes) -> None:
    for name in prefixes:
        if name not in known:
            raise UsageError(
                message(
                    "no network {name!r} with such a prefix; there are {known}",
                    name=name,
                    known=", ".join(known),
                )
            )


def _from_environment(defaults: Prefixes, *, ipv6: bool = False) -> dict[str, str]:
    named = {name: os.environ.get(variable(name, ipv6=ipv6)) for name in defaults}
    return {name: prefix for name, prefix in named.items() if prefix}
