"""A lab that exists, running or not: its nodes as they were planned, and the prefixes of its networks."""

from __future__ import annotations

from dataclasses import dataclass

from lab.engine.client import OWNER_LABEL, Engine
from lab.engine.description.prefix_choice import Prefixes
from lab.topology.node import PROFILES, Node


@dataclass(frozen=True)
class ExistingLab:
    """A lab with at least one container of a node."""

    nodes: tuple[Node, ...]
    prefixes: Prefixes  # by segment, and "mgmt"
    owner: str = ""  # the label of the process that removes the lab

    @classmethod
    def of(cls, engine: Engine, project: str) -> ExistingLab | None:
        """The lab of that name; None if there is none. Raises EnvironmentFailure."""
        if not engine.states(project):
            return None
        from lab.engine.docker_transport import described_nodes  # not at the top: a new lab starts earlier

        containers = engine.nodes(project)
        prefixes = {name: tuple(subnets) for name, subnets in engine.networks_of(project).items()}
        owner = containers[0].labels.get(OWNER_LABEL, "")
        return cls(tuple(described_nodes(engine, containers)), prefixes, owner)

    @property
    def profile(self) -> str:
        """The profile that it was started with, or ""."""
        platforms = {node.platform for node in self.nodes}
        return next((name for name in PROFILES if name in platforms), "")
