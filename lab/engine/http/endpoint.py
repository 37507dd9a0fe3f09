"""Finds the engine's socket as `docker` does: DOCKER_HOST, or else the current Docker context."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

DEFAULT_SOCKET = "/var/run/docker.sock"
UNIX = "unix://"


def local_socket(environ: Mapping[str, str] = os.environ) -> str | None:
    """The path of the engine's Unix socket; None if the engine is reached in another way, such as TLS."""
    host = environ["DOCKER_HOST"] if "DOCKER_HOST" in environ else _host_of_context(environ)
    if not host:
        return DEFAULT_SOCKET
    return host.removeprefix(UNIX) if host.startswith(UNIX) else None


def _host_of_context(environ: Mapping[str, str]) -> str:
    """The host of the current context; "" for the default one."""
    folder = Path(environ.get("DOCKER_CONFIG") or Path.home() / ".docker")
    name = environ.get("DOCKER_CONTEXT") or _read(folder / "config.json").get("currentContext") or "default"
    if name == "default":
        return ""
    digest = hashlib.sha256(name.encode()).hexdigest()
    meta = _read(folder / "contexts/meta" / digest / "meta.json")
    try:
        return str(meta["Endpoints"]["docker"]["Host"])
    except (KeyError, TypeError):
        return "unknown"  # the Docker SDK reports it


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
