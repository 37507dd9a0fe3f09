"""The Compose file of a lab, with the users' containers. Compose itself reads a user's own Compose file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lab import shipped
from lab.engine.workloads.user_config import user_config
from lab.locale import Message
from lab.topology.compose.rendering import Folders, render
from lab.topology.compose.workloads import workload_services
from lab.topology.plan import Plan

FOLDERS = Folders(shipped.CODE, shipped.SCENARIOS, shipped.IMAGES)


@dataclass(frozen=True)
class Rendered:
    """A Compose file. ``left_out`` are the parts of the user's own file that it doesn't have."""

    text: str
    left_out: tuple[Message, ...] = ()


def rendered(plan: Plan) -> Rendered:
    """The Compose file of a plan. Raises UsageError, EnvironmentFailure."""
    workloads = workload_services(plan, user_config(Path(plan.compose)) if plan.compose else None)
    return Rendered(render(plan, FOLDERS, workloads), workloads.left_out)
