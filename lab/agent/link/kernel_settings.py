"""The settings of the router's kernel: packet filter and queueing disciplines, and which backends work."""

from __future__ import annotations

import ipaddress
import json
import subprocess
from collections.abc import Mapping
from typing import Any

from lab.agent.lines import USAGE, Refused
from lab.link import packet_filter
from lab.link import traffic_control as tc
from lab.link.packet_filter import FAMILIES
from lab.link.settings import MAX_SEGMENTS, LinkSettings, directions_to
from lab.link.traffic_control import BACKENDS, Interfaces
from lab.sockets.netlink.nfqueue import Queue

TIMEOUT = 10.0  # seconds for one command
TRIAL_QUEUE = 65_000


def interfaces_with(addresses: object) -> Interfaces:
    """Finds the interface of each segment by its address, because the names and order of interfaces vary.

    ``addresses`` maps each segment to the router's address on it. Raises Refused if no interface has one of
    them, and ImpairmentError if the name of a segment is invalid.
    """
    if not isinstance(addresses, dict) or not 2 <= len(addresses) <= MAX_SEGMENTS:
        raise Refused("the request has no interfaces", USAGE)
    directions_to(tuple(addresses))  # raises if a name is invalid
    owners = {}
    for entry in json.loads(run(["ip", "-j", "addr", "show"])):
        for address in entry["addr_info"]:
            owners[ipaddress.ip_address(address["local"])] = entry["ifname"]
    return Interfaces({name: _owner(owners, address) for name, address in addresses.items()})


def _owner(owners: Mapping[Any, str], address: object) -> str:
    try:
        return owners[ipaddress.ip_address(str(address))]
    except (ValueError, KeyError):
        raise Refused(f"no interface has {address!r}", USAGE) from None


def set_rules(rules: Mapping[int, Mapping[str, list[str]]]) -> None:
    """Replaces our rules by ``rules``, which are by IP version and table."""
    for version, command in FAMILIES.items():
        if changes := packet_filter.replacement(run([f"{command}-save"]), rules.get(version, {})):
            run([f"{command}-restore", "--noflush", "--wait"], changes)


def saved_rules(version: int) -> str:
    """The rules in the table mangle, with their counters."""
    return run([f"{FAMILIES[version]}-save", "-c", "-t", "mangle"])


def set_qdiscs(interfaces: Interfaces, wanted: Mapping[str, list[str]]) -> None:
    """Sets the queueing disciplines of a link, and removes those that are no longer needed.

    ``wanted`` has the arguments for tc of each direction with a qdisc. The other links of the router keep
    theirs.
    """
    for direction in interfaces.directions:
        device, parent = interfaces.leaving(direction), interfaces.parent(direction)
        words = wanted.get(direction, [])
        present = _qdiscs(device)
        if present.get(parent) in {"netem", "tbf"} - set(words[:1]):
            others = present.keys() - {tc.ROOT, parent}
            run(tc.remove_qdisc_argv(device, parent, others))
            present = _qdiscs(device)
        if words:
            for argv in tc.set_qdisc_argv(device, parent, words, present.get(tc.ROOT, "")):
                run(argv)


def remove_qdiscs(interfaces: Interfaces) -> None:
    """Removes the queueing disciplines of all links of the router."""
    for device in set(interfaces.by_segment.values()):
        if _qdiscs(device).get(tc.ROOT) in ("netem", "tbf", "htb"):
            run(["tc", "qdisc", "del", "dev", device, "root"])


def _qdiscs(device: str) -> dict[str, str]:
    """The kind of the device's qdiscs by their place: "root", or a class such as "1:2"."""
    listed = json.loads(run(["tc", "-j", "qdisc", "show", "dev", device]) or "[]")
    return {tc.ROOT if entry.get("root") else entry.get("parent", ""): entry["kind"] for entry in listed}


def capabilities() -> dict[str, bool]:
    """Tests which backends work here, using the loopback interface and unused chains."""
    return {
        "netem": _has_qdisc("netem", "delay", "0"),
        "nfqueue": _has_queue() and _has_rule(f"-j NFQUEUE --queue-num {TRIAL_QUEUE}"),
        "statistic": _has_rule("-m statistic --mode random --probability 0.5 -j DROP"),
        "tbf": _has_qdisc("tbf", "rate", "10gbit", "burst", "1mb", "limit", "10mb"),
        "notrack": _has_rule("-j CT --notrack", "raw"),
        "classes": _has_qdisc("htb") and _has_rule("-j CLASSIFY --set-class 1:2"),
    }


def choose_backend(asked: object, can: Mapping[str, Any]) -> str:
    """The requested backend, or else the best one that works here. Raises Refused if it is unknown."""
    if asked is not None and asked not in BACKENDS:
        raise Refused(f"no backend {asked!r}: expected {', '.join(BACKENDS)}", USAGE)
    for name in BACKENDS:
        if can[name] and asked in (None, name):
            return name
    return str(asked or "none")


def unsupported(
    backend: str, link: LinkSettings, interfaces: Interfaces, can: Mapping[str, Any]
) -> list[str]:
    """The settings that ``backend`` doesn't support here.

    netem supports all of them, but if several links share an interface it needs a class for each, as a rate
    does.
    """
    if link.is_nothing:
        return []
    without_classes = bool(interfaces.classes) and not can["classes"]
    if not can.get(backend) or backend == "netem" and without_classes:
        return [f"backend {backend}"]
    if backend == "netem":
        return []
    gaps = tc.nfqueue_gaps if backend == "nfqueue" else tc.statistic_gaps
    return gaps(link, has_tbf=can["tbf"] and not without_classes)


def _has_qdisc(*words: str) -> bool:
    try:
        run(["tc", "qdisc", "add", "dev", "lo", "root", *words])
    except CommandFailure:
        return False
    run(["tc", "qdisc", "del", "dev", "lo", "root"])
    return True


def _has_rule(rule: str, table: str = "mangle") -> bool:
    works = True
    for command in FAMILIES.values():
        for change in packet_filter.probe_rules(rule, table):
            try:
                run([f"{command}-restore", "--noflush", "--wait"], change)
            except CommandFailure:
                works = False
    return works


def _has_queue() -> bool:
    try:
        Queue(TRIAL_QUEUE).close()
    except OSError:
        return False
    return True


class CommandFailure(Refused):
    """A command exited with an error."""


def run(argv: list[str], stdin: str = "", timeout: float = TIMEOUT) -> str:
    """Runs a command and returns its output.

    Raises CommandFailure with its error output if it fails, and Refused if it takes more than ``timeout``
    seconds.
    """
    try:
        done = subprocess.run(argv, input=stdin, capture_output=True, text=True, timeout=timeout)
    except subprocess.TimeoutExpired:
        raise Refused(f"{' '.join(argv)}: not finished within {timeout:g} s") from None
    if done.returncode != 0:
        raise CommandFailure(f"{' '.join(argv)}: {done.stderr.strip() or done.returncode}")
    return done.stdout
