"""The SSH keys in the volume that all nodes share: kept at the first reset, restored at later ones.

When another node starts it adds its key and its line in known_hosts, so those of others may change.
"""

from __future__ import annotations

import fcntl
import json
import os
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TypeAlias

from lab.agent.lines import JsonObject
from lab.agent.reset import removal
from lab.agent.reset.findings import Finding, finding

Kept: TypeAlias = dict[str, list[int | str]]  # by name: mode and content

FOLDER = Path("/etc/socketlab/keys")
KEPT = Path("/run/socketlab/keys")  # only root can read and write it
SHARED = ("authorized_keys", "user", "user.pub")  # the same for all nodes
OF_ALL = ("host_", "known_hosts", ".lock")  # the beginnings of other names
MAX_SIZE = 1 << 20  # characters


def saved() -> Kept | None:
    """The keys that were kept; None if none were. Runs as root."""
    try:
        found: Kept = json.loads(KEPT.read_text())
    except (OSError, ValueError):
        return None
    return found


def keep(request: JsonObject) -> JsonObject:
    """Keeps the keys, unless some are kept already. Runs as root, which has no right to read them."""
    text = json.dumps(request.get("keys"))
    if not KEPT.exists() and len(text) <= MAX_SIZE:
        descriptor = os.open(KEPT, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(descriptor, "w") as file:
            file.write(text)
    return {}


def current(name: str, folder: Path = FOLDER) -> Kept:
    """The keys as they are: those that all nodes share, and those of the node ``name``."""
    found: Kept = {}
    for each in (*SHARED, f"host_{name}", f"host_{name}.pub"):
        path = folder / each
        found[each] = [stat.S_IMODE(path.lstat().st_mode), path.read_text()]
    lines = (folder / "known_hosts").read_text().splitlines()
    found["known_hosts"] = [line for line in lines if _key(str(found[f"host_{name}.pub"][1])) in line]
    return found


def reset(kept: Kept, folder: Path = FOLDER) -> list[Finding]:
    """Restores the keys, and removes everything that isn't one."""
    wrong: list[str] = []
    lock_file = folder / ".lock"
    if lock_file.is_symlink() or (lock_file.exists() and not _is_regular(lock_file)):
        removal.remove(str(lock_file))
        wrong.append(str(lock_file))
    with open(os.open(lock_file, os.O_RDWR | os.O_CREAT, 0o644)) as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for path in folder.iterdir():
            is_key = path.name in SHARED or path.name.startswith(OF_ALL)
            if not (is_key and _is_regular(path)):
                removal.remove(str(path))
                wrong.append(str(path))
        wrong += [
            str(folder / name) for name in kept if name != "known_hosts" and _restored(folder / name, kept)
        ]
        if _known_hosts_restored(folder, [str(line) for line in kept["known_hosts"]]):
            wrong.append(str(folder / "known_hosts"))
    return finding("file", wrong)


def _is_regular(path: Path) -> bool:
    """True for a file; False for a symbolic link, or for a pipe, whose reader would wait for a writer."""
    return stat.S_ISREG(path.lstat().st_mode)


def _restored(path: Path, kept: Mapping[str, list[int | str]]) -> bool:
    """Restores a file. Returns False if it hadn't changed."""
    mode, content = int(kept[path.name][0]), str(kept[path.name][1])
    try:
        info = path.lstat()
        if info.st_mode == stat.S_IFREG | mode and path.read_text() == content:
            return False
    except (OSError, ValueError):
        pass
    removal.remove(str(path))
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w") as file:
        file.write(content)
        os.fchmod(file.fileno(), mode)
    return True


def _known_hosts_restored(folder: Path, own: Iterable[str]) -> bool:
    """Adds this node's lines to known_hosts, and removes those of unknown keys.

    Returns False if nothing had to be changed.
    """
    path = folder / "known_hosts"
    known = {_key(public.read_text()) for public in folder.glob("host_*.pub")}
    try:
        before = path.read_text().splitlines()
    except (OSError, ValueError):
        before = []
    kept = [line for line in before if _key(line.partition(" ")[2]) in known]
    after = [*kept, *(line for line in own if line not in kept)]
    if after == before:
        return False
    removal.remove(str(path))
    path.write_text("".join(f"{line}\n" for line in after))
    return True


def _key(text: str) -> str:
    """The key in "ssh-ed25519 KEY comment"."""
    words = text.split()
    return words[1] if len(words) > 1 else ""
