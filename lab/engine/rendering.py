"""The Compose file of a lab, with the user's containers. A Compose file of the user's is read by Compose."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab.engine.compose import run_compose, users_environment
from lab.errors import EnvironmentFailure, UsageError
from lab.locale import Message, message
from lab.topology.compose import render
from lab.topology.plan import Plan
from lab.topology.workloads import workload_services

CONFIG_TIMEOUT = 30.0  # seconds for Compose to read a file


@dataclass(frozen=True)
class Rendered:
    """A Compose file. ``left_out`` are the parts of the user's own file that it doesn't have."""

    text: str
    left_out: tuple[Message, ...] = ()


def rendered(plan: Plan, root: Path) -> Rendered:
    """The Compose file of a plan; ``root`` is the checkout. Raises UsageError, EnvironmentFailure."""
    workloads = workload_services(plan, user_config(Path(plan.compose)) if plan.compose else None)
    return Rendered(render(plan, root, workloads), workloads.left_out)


def user_config(path: Path) -> Mapping[str, Any]:
    """A Compose file of the user's as Compose resolves it. Raises UsageError if it isn't valid."""
    argv = ["docker", "compose", "-f", str(path), "config", "--format", "json"]
    lines: list[str] = []
    try:
        run_compose(argv, users_environment(), report=lines.append, timeout=CONFIG_TIMEOUT)
        config: Mapping[str, Any] = json.loads("\n".join(lines))
        return config
    except EnvironmentFailure as error:
        raise UsageError(message("{file}: {error}", file=path, error=error)) from None
