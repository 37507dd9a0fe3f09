"""The tools that the lab runs on this machine: the Docker client with its plugins."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from lab.doctor.checks.engine import numbers
from lab.doctor.finding import Finding, notice, ok, trouble
from lab.locale import message

OLDEST_COMPOSE = (2, 24)


@dataclass(frozen=True)
class ToolFacts:
    """The client's version, and those of its plugins; "" if they are missing."""

    docker: str = ""
    compose: str = ""
    buildx: str = ""


def check_tools(facts: ToolFacts) -> Iterator[Finding]:
    """The findings about the client and its plugins."""
    if not facts.docker:
        yield trouble(
            "client",
            message("there is no command docker on the PATH"),
            message("install Docker's client (package docker-ce-cli or docker-cli)"),
        )
        return
    yield _compose(facts.compose)
    if not facts.buildx:
        yield notice(
            "buildx",
            message(
                "Docker is installed without buildx, which newer versions of Compose need to build images"
            ),
            message("install the plugin (package docker-buildx-plugin or docker-buildx)"),
        )


def _compose(version: str) -> Finding:
    if not version:
        return trouble(
            "compose",
            message("Docker is installed without Compose"),
            message(
                "install docker-compose-plugin, or docker-compose-v2 (Ubuntu), or docker-compose (Debian)"
            ),
        )
    if numbers(version) < OLDEST_COMPOSE:
        return trouble(
            "compose",
            message("Docker Compose {version} is too old: the lab needs 2.24", version=version),
            message("update it with the tool that installed it"),
        )
    return ok("compose", message("Docker Compose {version}", version=version))
