"""The part of a reset that needs root. Nothing in a request is trusted."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lab.agent.lines import JsonObject, Refused
from lab.agent.reset import baseline, files, keys, processes, removal
from lab.agent.reset.findings import Finding, finding
from lab.agent.reset.kernel import network, packet_filter, settings, sockets

STATE = Path("/run/socketlab")
OF_LINKS = "link.json", "counters-*"  # lab/agent/link: the settings in force
PLACES = "/tmp", "/var/tmp", "/run/lock", "/dev/shm", "/mnt/small"  # any user may write there


def kill(_: JsonObject) -> JsonObject:
    """Kills the processes of root, and of users other than lab, that don't belong to this node."""
    state = baseline.load()
    found = processes.processes()
    spared = {(pid, started) for pid, started, _, _ in state["processes"]}
    ours = {each.pid for each in processes.ancestors(found, os.getpid())}
    # Our child that serves a packet queue has a session of its own. It isn't spared.
    ours |= {each.pid for each in found.values() if each.parent == os.getpid() and each.session != each.pid}
    spared |= {found[pid].identity for pid in ours if pid in found}
    lab = {each.uid for each in found.values() if each.identity in spared} - {0}
    others = [each for each in found.values() if each.identity not in spared and each.uid not in lab]
    named = {each.identity: processes.described(each) for each in others if each.parent != os.getpid()}
    for uid in {each.uid for each in others} - {0}:
        processes.kill_uid(uid)
    if any(each.uid == 0 for each in others):
        processes.kill_others(spared, 0)
    return {"findings": [each.as_json() for each in finding("process", named.values())]}


def reset(request: JsonObject) -> JsonObject:
    """Does the part of a reset that needs root. To be called when no process of lab is left."""
    state = baseline.load()
    skip = request.get("skip", [])
    steps: Mapping[str, Any] = {
        "socket": lambda: sockets.reset(shared=request.get("shared") is True),
        "network": lambda: network.reset(state["network"]),
        "filter": lambda: packet_filter.reset(state["filter"]),  # boot needs the addresses
        "sysctl": lambda: settings.reset(state["settings"]),
        "file": lambda: [*_configured(state["configured"]), *_files_of_root(state["files"]["known"])],
        "link": _links,
    }
    found: list[Finding] = []
    traffic = network.has_neighbours()
    for name, step in steps.items():
        if name not in skip:
            try:
                found += step()
            except OSError as error:
                raise Refused(f"{name}: {error.strerror or error}") from error
    return {"findings": [each.as_json() for each in found], "keys": keys.saved(), "traffic": traffic}


def _configured(known: Mapping[str, files.Record]) -> list[Finding]:
    """Restores /etc/hosts and the other files that Docker mounts."""
    new, changed, missing = files.compare(known, list(known), "")
    wrong = [*new, *changed, *missing]
    left = [path for path in wrong if not files.restore(path, known[path])]
    return [*finding("file", set(wrong) - set(left)), *finding("file", left, undone=False)]


def _files_of_root(known: Mapping[str, files.Record]) -> list[Finding]:
    """Removes root's files from directories in which any user may write. The other half does the rest."""
    removed = []
    for place in PLACES:
        for name in os.listdir(place):
            path = f"{place}/{name}"
            if os.lstat(path).st_uid == 0 and path not in known and removal.remove(path):
                removed.append(path)
    return finding("file", removed)


def _links() -> list[Finding]:
    """Removes the stored settings of the links: their rules and queueing disciplines are gone."""
    found = [path for pattern in OF_LINKS for path in STATE.glob(pattern)]
    for path in found:
        path.unlink()
    return finding("impairment", ["link"] * bool(found))
