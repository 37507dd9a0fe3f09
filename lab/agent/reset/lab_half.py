"""Resets this node, as the user lab: kills the user's processes and restores the user's files.

The root half does the part that needs root, once all processes of the user are gone.
"""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeAlias

from lab.agent.agent import Agent
from lab.agent.lines import USAGE, JsonObject, Refused
from lab.agent.peer import Steps
from lab.agent.reset import baseline, files, keys, processes, removal
from lab.agent.reset.findings import Finding, finding
from lab.agent.reset.kernel import ipc, settings
from lab.agent.reset.processes import STARTER, Identity, Process
from lab.sockets.netlink.sockdiag import SockDiag, parse

SSH = 22
ROUNDS = 3  # of killing and of comparing: one round can uncover more
HEALTH = b"/bin/bash\0/usr/lib/socketlab/health\0"
SESSION = "sshd-session"

Found: TypeAlias = dict[int, Process]


def reset(agent: Agent, request: JsonObject) -> Steps:
    """Restores the state in which this node came up.

    ``helpers`` are the ids of the controller's own processes, which its SSH connection to this node has
    started. ``shared``: another container is in the network namespace. The answer has the ``findings``,
    the ``places`` in which files are compared, and whether there was ``traffic``.
    """
    helpers, shared = _numbers(request.get("helpers", [])), request.get("shared") is True
    skip = request.get("skip", [])
    state = _baseline()
    killed: dict[Identity, str] = {}
    found: list[JsonObject] = []
    for _ in range(ROUNDS if "process" not in skip else 0):
        new = kill(state, helpers)
        answer = yield agent.root, {"op": "reset_processes"}
        killed |= new
        found += answer["findings"]
        if not (new or answer["findings"]):
            break
    found += [each.as_json() for each in finding("process", killed.values())]
    found += [each.as_json() for each in check_services(state)]
    answer = yield agent.root, {"op": "reset", "shared": shared, "skip": skip}
    found += answer["findings"]
    if "file" not in skip:
        found += [each.as_json() for each in restore_files(state, helpers)]
        if answer["keys"]:
            found += [each.as_json() for each in keys.reset(answer["keys"])]
        else:
            yield agent.root, {"op": "reset_keep_keys", "keys": keys.current(_name())}
    found += [each.as_json() for each in ipc.reset()]
    return {"findings": found, "places": state["files"]["places"], "traffic": answer["traffic"]}


def _numbers(value: object) -> list[int]:
    if not isinstance(value, list) or not all(type(each) is int for each in value):
        raise Refused("helpers must be process ids", USAGE)
    return value


def _name() -> str:
    """The name of this node, without its aliases."""
    lines = Path("/run/socketlab/node").read_text().splitlines()
    return next(line.removeprefix("name=") for line in lines if line.startswith("name="))


def _baseline() -> Mapping[str, Any]:
    try:
        state = baseline.load()
    except (OSError, ValueError):
        raise Refused("this node has no record of the state in which it came up") from None
    if state["start"] != processes.process(1).started:
        raise Refused("this node's record is of an earlier start")
    return state


# Processes.


def kill(state: Mapping[str, Any], helpers: Collection[int]) -> dict[Identity, str]:
    """Kills the processes of this uid that don't belong here. Returns their descriptions."""
    are_many = processes.number_of_processes() > processes.MANY
    if are_many:  # examining thousands of running processes would take long
        processes.stop_all()
    spared = spared_processes(state, helpers)
    if are_many:
        processes.continue_all(spared)
    before = {} if are_many else processes.processes()
    named = {each.identity: processes.described(each) for each in before.values()}
    killed = processes.kill_others(spared, os.getuid())
    left = [each.identity for each in killed if _is_alive(each)]
    if left:
        raise Refused(f"{len(left)} processes can't be killed")
    session = _session(processes.processes())
    return {
        each.identity: named.get(each.identity, f"{each.name} ({each.pid})")
        for each in killed
        if not _is_ours(each, session, named)
    }


def _is_ours(each: Process, session: int, named: Mapping[Identity, str]) -> bool:
    """True for the SFTP server of the controller's connection, and for a health check's connection."""
    if each.name != SESSION:
        return False
    return each.parent == session or "[accepted]" in named.get(each.identity, "")


def spared_processes(state: Mapping[str, Any], helpers: Collection[int]) -> set[Identity]:
    """The identities of the processes that stay: those of the baseline, the agent and its ancestors, the
    controller's helpers, the relay of its connection, and the engine's health checks.
    """
    found = processes.processes()
    session = _session(found)
    kept = {(pid, started) for pid, started, _, _ in state["processes"]}
    ours = {each.pid for each in processes.ancestors(found, os.getpid())}
    ours |= {pid for pid in helpers if pid in found and found[pid].parent == session}
    ours |= set(_relays(found)) | _health_checks(found)
    return kept | {found[pid].identity for pid in ours if pid in found}


def _session(found: Found) -> int:
    """The process id of the SSH connection that has started the agent; 0 if there is none."""
    chain = processes.ancestors(found, os.getpid())
    return next((each.pid for each in chain if each.name == SESSION), 0)


def _relays(found: Found) -> Iterator[int]:
    """The processes that pass bytes between the engine and our sshd, as long as sshd holds the other end.

    Those of other controllers lose it when the process of their SSH connection is killed.
    """
    candidates = [each for each in found.values() if each.parent == STARTER and each.name == "socat"]
    if not candidates:
        return
    with SockDiag() as kernel:
        raw = list(kernel.dump(socket.IPPROTO_TCP, socket.AF_INET))
    samples = [parse(socket.IPPROTO_TCP, each) for each in raw]
    held = {(each.local, each.remote) for each in samples if each.inode and each.local[1] == SSH}
    relayed = {str(each.inode) for each in samples if (each.remote, each.local) in held}
    for each in candidates:
        if relayed & set(_socket_inodes(each.pid)):
            yield each.pid


def _socket_inodes(pid: int) -> Iterator[str]:
    return (target[8:-1] for target in open_files(pid) if target.startswith("socket:["))


def open_files(pid: int) -> Iterator[str]:
    """The files that a process has open, as the links in /proc name them."""
    with suppress(OSError):
        for name in os.listdir(f"/proc/{pid}/fd"):
            with suppress(OSError):
                yield os.readlink(f"/proc/{pid}/fd/{name}")


def _is_alive(each: Process) -> bool:
    with suppress(OSError):
        return processes.process(each.pid).started == each.started
    return False


def _health_checks(found: Found) -> set[int]:
    """The engine's checks of this node's health, with their children."""
    checks = [
        each.pid
        for each in found.values()
        if each.parent == STARTER and each.name == "health" and _command(each.pid) == HEALTH
    ]
    return {pid for check in checks for pid in (check, *processes.descendants(found, check))}


def _command(pid: int) -> bytes:
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return file.read()
    except OSError:
        return b""


def check_services(state: Mapping[str, Any]) -> list[Finding]:
    """Continues processes of the baseline that are stopped; those that have ended or changed can't be
    restored.
    """
    found = processes.processes()
    ended, changed, stopped = [], [], []
    for pid, started, name, fingerprint in state["processes"]:
        each = found.get(pid)
        if each is None or each.started != started or each.state == "Z":
            ended.append(name)
        elif processes.fingerprint(pid) != fingerprint:
            changed.append(name)
        elif processes.is_stopped(each):
            os.kill(pid, signal.SIGCONT)
            stopped.append(name)
    return [
        *finding("service", ended, undone=False),
        *finding("limit", changed, undone=False),
        *finding("stopped", stopped),
    ]


# Files.


def restore_files(state: Mapping[str, Any], helpers: Collection[int]) -> list[Finding]:
    """Removes new files, and restores changed and missing ones, except those that a helper has open."""
    known, places = state["files"]["known"], state["files"]["places"]
    held = {path for pid in helpers for path in open_files(pid)}
    named: dict[str, None] = {}
    for _ in range(ROUNDS):
        new, changed, missing = files.compare(known, places, settings.mount_table())
        wrong = [path for path in new if path not in held] + sorted([*changed, *missing])
        if not wrong:
            return finding("file", named)
        named |= dict.fromkeys(wrong)
        for path in wrong:
            _restore(path, known)
    new, changed, missing = files.compare(known, places, settings.mount_table())
    left = [path for path in [*new, *changed, *missing] if path not in held]
    undone = [path for path in named if path not in left]
    return [*finding("file", undone), *finding("file", left, undone=False)]


def _restore(path: str, known: Mapping[str, files.Record]) -> None:
    """Restores or removes a file if that is possible: the next comparison shows it."""
    if path in known:
        files.restore(path, known[path])
    else:
        removal.remove(path)
