"""The state in which this node came up. A reset restores it.

Files survive a restart of the container, so they are recorded at its first start. The rest is recorded at
each start.
"""

from __future__ import annotations

import json
import os
import pwd
from contextlib import suppress
from pathlib import Path
from typing import Any

from lab.agent.reset import files, processes
from lab.agent.reset.kernel import network, packet_filter, settings

USER = "lab"
FILE = Path("/run/socketlab/baseline")  # only root can write it
CONFIGURED = (
    "/etc/hosts",
    "/etc/hostname",
    "/etc/resolv.conf",
)  # Docker mounts them; boot has changed the first


def save(path: Path) -> None:
    """Saves the state of this node, unless ``path`` already has that of this start. Runs as root, in boot."""
    started = processes.process(1).started
    before: dict[str, Any] = {}
    with suppress(OSError, ValueError):
        before = load(path)
    if before.get("start") == started:
        return
    kept = before.get("files") or _as_user(USER, _files)
    state = {"start": started, "files": kept, **_of_this_start()}
    temporary = path.with_name(f"{path.name}.part")
    temporary.write_text(json.dumps(state, separators=(",", ":")))
    temporary.replace(path)


def load(path: Path = FILE) -> dict[str, Any]:
    """Raises OSError or ValueError if there is none."""
    state: dict[str, Any] = json.loads(path.read_text())
    return state


def _of_this_start() -> dict[str, Any]:
    return {
        "processes": _processes(),
        "network": network.save(),
        "filter": packet_filter.save(),
        "settings": settings.save(),
        "configured": {path: files.described(path, os.lstat(path)) for path in CONFIGURED},
    }


def _processes() -> list[list[Any]]:
    """The first process, and those that it has started: the entrypoint, which becomes sshd, and its children.

    Not boot itself and sudo, which run as root; nor a health check, which the engine has started.
    """
    found = processes.processes()
    own = {1, *processes.descendants(found, 1)}
    kept = [each for each in found.values() if each.pid in own and each.uid != 0]
    return [[each.pid, each.started, each.name, processes.fingerprint(each.pid)] for each in kept]


def _files() -> dict[str, Any]:
    table = settings.mount_table()
    found = files.places(os.getuid(), table)
    return {"places": found, "known": files.record(found, table)}


def _as_user(name: str, collect: Any) -> dict[str, Any]:
    """The result of ``collect`` in a process of that user: root has no right to read the user's files."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            user = pwd.getpwnam(name)
            os.initgroups(name, user.pw_gid)
            os.setresgid(user.pw_gid, user.pw_gid, user.pw_gid)
            os.setresuid(user.pw_uid, user.pw_uid, user.pw_uid)
            with open(writer, "w") as pipe:
                json.dump(collect(), pipe)
            code = 0
        finally:
            os._exit(code)
    os.close(writer)
    with open(reader) as pipe:
        answer = pipe.read()
    os.waitpid(child, 0)
    result: dict[str, Any] = json.loads(answer)
    return result
