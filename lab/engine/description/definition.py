"""Defines a lab: the name of its Compose project, its topology, its prefixes, and its Compose file."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

from lab import shipped
from lab.engine.compose import users_environment
from lab.engine.description import prefix_choice, topologies
from lab.engine.description.prefix_choice import Prefixes
from lab.engine.images import source_digest
from lab.errors import UsageError
from lab.locale import message
from lab.topology.compose.images import NodeImage, node_images
from lab.topology.description import read
from lab.topology.model import Topology
from lab.topology.node import PROFILES, Node
from lab.topology.plan import Plan, plan
from lab.topology.prefixes import Network

_PROJECT_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")  # Compose's own rule


@dataclass(frozen=True)
class LabDefinition:
    """A lab that can be brought up. Raises UsageError if a name, prefix or profile is invalid.

    A network has its prefixes from ``prefixes``, or else from the topology, or else free ones: no other
    network of the engine has them. With ``free``, the topology's prefixes are replaced by free ones.
    """

    project: str
    topology: Topology
    prefixes: Prefixes = field(default_factory=dict)
    profile: str = ""  # one of PROFILES, or none
    free: bool = False
    folder: Path = shipped.ROOT  # Compose reads its .env
    description: Path | None = None  # the file that describes the topology
    compose_file: Path | None = None  # a Compose file of this topology; its prefixes are variables
    owner: str = ""  # the label of the process that removes the lab; empty if the lab stays

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

    @classmethod
    def of_file(
        cls,
        path: Path | None = None,
        project: str | None = None,
        *,
        profile: str | None = None,
        prefixes: Iterable[str] = (),
        environ: Mapping[str, str] = os.environ,
    ) -> Self:
        """The lab that a file describes, by default ``topologies.find()``.

        ``prefixes`` are words of the form NETWORK=PREFIX. The environment has the values that aren't given
        here, in the variables of docker-compose.yml. A lab with another name than the description's is one
        more lab with this topology: it gets free prefixes.
        """
        path = path or topologies.find()
        lab = cls(
            topologies.chosen_name(path, project, environ),
            read(path),
            profile=environ.get("PROFILE", "") if profile is None else profile,
            folder=shipped.ROOT if path.parent == topologies.FOLDER else path.absolute().parent,
            description=path,
            compose_file=shipped.COMPOSE_FILE if path == topologies.default() else None,
        )
        known = prefix_choice.of_plan(lab.plan())
        given = prefix_choice.given(prefixes, known)
        in_environment = prefix_choice.from_environment(known, environ)
        lab = replace(
            lab,
            prefixes=prefix_choice.merged(in_environment, given),
            free=lab.project != topologies.project_name(path),
        )
        lab.plan()  # raises UsageError if two networks overlap
        return lab

    @property
    def is_default(self) -> bool:
        """True if it has the default topology."""
        return self.description == topologies.default()

    def plan(self, taken: Iterable[Network] = (), seed: str = "") -> Plan:
        """The plan of the lab. Free prefixes avoid ``taken`` and depend on ``seed``. Raises UsageError."""
        prefixes, taken = self.prefixes, list(taken)
        if self.free:
            chosen = plan(prefix_choice.freed(self.topology), taken=taken, prefixes=prefixes, seed=seed)
            prefixes = prefix_choice.of_plan(chosen)
        return plan(self.topology, taken=taken, prefixes=prefixes, seed=seed)

    def nodes(self) -> list[Node]:
        """The nodes as they are in a running lab: with the platform that the profile gives them."""
        profile = self.profile or "linux"
        return [
            replace(node, platform=profile) if node.platform.startswith("$") else node
            for node in self.plan().nodes
        ]

    def images(self, plan: Plan) -> list[NodeImage]:
        """The lab's own images that the nodes of its plan need."""
        return node_images(plan, {**os.environ, "PROFILE": self.profile})

    def environment(self) -> dict[str, str]:
        """The environment for Compose: the user's own, with this lab's name, profile and prefixes."""
        return {
            **users_environment(),
            "COMPOSE_PROJECT_NAME": self.project,
            "COMPOSE_IGNORE_ORPHANS": "1",  # the runner isn't started here
            "PROFILE": self.profile,
            "SOCKETLAB_SOURCE": source_digest(),
            "LAB_OWNER": self.owner,
            **prefix_choice.variables(prefix_choice.of_plan(self.plan())),
        }

    def compose(self, *words: str) -> list[str]:
        """The argv of ``docker compose`` for this lab if it exists: such a command needs no Compose file."""
        return ["docker", "compose", "-p", self.project, *words]
