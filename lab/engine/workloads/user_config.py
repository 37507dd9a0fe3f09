"""Reads the user's own Compose file through Compose itself, with all its variables and includes resolved."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from lab.engine.compose import users_environment
from lab.errors import EnvironmentFailure, UsageError
from lab.locale import message

TIMEOUT = 30.0


def user_config(file: Path) -> dict[str, Any]:
    """The file as `docker compose config --format json` prints it, services with a profile included.

    A ``$`` in it is escaped as ``$$``. Raises UsageError if the file isn't valid, EnvironmentFailure if there
    is no Compose.
    """
    argv = ["docker", "compose", "--file", str(file), "--profile", "*", "config", "--format", "json"]
    try:
        done = subprocess.run(argv, env=users_environment(), capture_output=True, text=True, timeout=TIMEOUT)
    except FileNotFoundError as error:
        raise EnvironmentFailure(message("docker is not installed; `lab doctor` names the remedy")) from error
    except subprocess.TimeoutExpired as error:
        problem = message("Compose didn't finish within {timeout:g} s", timeout=TIMEOUT)
        raise EnvironmentFailure(problem) from error
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise UsageError(lines[-1] if str(file) in lines[-1] else f"{file}: {lines[-1]}")
    found: dict[str, Any] = json.loads(done.stdout)
    return found
