"""The Docker client and its plugins."""

from __future__ import annotations

import re
import shutil

from lab.doctor.checks.tools import ToolFacts
from lab.doctor.facts.commands import run

_VERSION = re.compile(r"\bv?(\d+\.\d+(?:\.\d+)?)")


def tools() -> ToolFacts:
    """The versions of the client and its plugins."""
    if shutil.which("docker") is None:  # as Compose is found: on the user's PATH
        return ToolFacts()
    return ToolFacts(
        docker=_version("--version"),
        compose=_version("compose", "version"),
        buildx=_version("buildx", "version"),
    )


def _version(*words: str) -> str:
    done = run(["docker", *words])
    found = _VERSION.search(done.stdout) if done.code == 0 else None
    return found[1] if found else ""
