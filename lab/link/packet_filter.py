"""Converts the settings of a router's links, and partitions, to rules for iptables. No I/O.

All rules are in separate chains, which are replaced in one step (iptables-restore). A packet passes
    raw/PREROUTING   no connection tracking: it would drop packets that overtake the first of a connection
    mangle/FORWARD   the partitions; then the cut, the drops, the loss or the queue of its link
    the qdisc of the outgoing interface: the rate, or with netem all settings
A forwarded packet passes mangle/FORWARD once. On a router that translates addresses, it is after the
translation of the destination and before that of the source: both are those of the hosts.

A chain that counts is named by the request that made it, so it stays as it is when other rules are replaced.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from lab.link import PROBE_PORT
from lab.link.partition import Partition
from lab.link.settings import Drop, LinkSettings, flag_bits
from lab.link.traffic_control import Interfaces

CHAIN = "SOCKETLAB-LINK"
DROPS = "SOCKETLAB-DROPS"
PARTITION = "SOCKETLAB-CUT"
ONCE = 2**31 - 1  # a period that is never reached
TAG = 8  # characters of a request's id in the name of a chain; a name has 28 at most

FAMILIES = {4: "iptables", 6: "ip6tables"}
_HOOKS = {"raw": "PREROUTING", "mangle": "FORWARD"}


def link_rules(
    link: LinkSettings,
    interfaces: Interfaces,
    *,
    queues: Mapping[str, int] | None = None,
    shaped: Iterable[str] = (),
    statistic: bool = False,
    tag: str = "",
) -> list[str]:
    """The rules of one link in the table mangle; they are the same for IPv4 and IPv6.

    ``queues`` maps each queued direction to its queue number; its consumer then does the drops too. Without
    queues, rules do the drops and, with ``statistic``, the loss. ``shaped`` are the directions with a qdisc.
    ``tag`` identifies the request.
    """
    rules = [
        f"-A {CHAIN} {path} -j DROP"
        for direction in interfaces.directions
        if direction in link.cut
        for path in _paths(interfaces, direction)
    ]
    if queues is None:
        rules += _drop_rules(link.drops, interfaces, tag)
    for direction in interfaces.directions:
        for target in _targets(link, interfaces, direction, queues, direction in shaped, statistic):
            rules += [f"-A {CHAIN} {path} {target}" for path in _paths(interfaces, direction)]
    return rules


def _targets(
    link: LinkSettings,
    interfaces: Interfaces,
    direction: str,
    queues: Mapping[str, int] | None,
    shaped: bool,
    statistic: bool,
) -> list[str]:
    """The targets of the rules for the packets of one direction, in order."""
    targets = []
    if shaped and direction in interfaces.classes:
        targets.append(f"-j CLASSIFY --set-class {interfaces.parent(direction)}")
    loss = link[direction].loss
    if queues and direction in queues:
        targets.append(f"-j NFQUEUE --queue-num {queues[direction]}")
    elif statistic and loss:
        targets.append(f"-m statistic --mode random --probability {loss:.9f} -j DROP")
    return targets


def untracked(interfaces: Interfaces) -> list[str]:
    """The rules in the table raw that end connection tracking on the router."""
    return [f"-A {CHAIN} -i {name} -j CT --notrack" for name in interfaces.by_segment.values()]


def partition_rules(partition: Partition, tag: str, version: int) -> list[str]:
    """The rules of a partition in the table mangle. They come before those of the links."""
    chain = partition_chain(tag)
    rules = []
    for source in sorted({source for source, _ in partition.cuts}):
        members = partition.members(source, version)
        targets = [target for cut, target in partition.cuts if cut == source]
        dropped = [
            f"-A {chain}-{source} -d {address} -m comment --comment {target} -j DROP"
            for target in targets
            for address in partition.members(target, version)
        ]
        if members and dropped:
            rules += [f"-A {chain} -s {address} -j {chain}-{source}" for address in members] + dropped
    return [f"-A {CHAIN} -j {chain}", *rules] if rules else []


def partition_chain(tag: str) -> str:
    return f"{PARTITION}-{tag}"


def dropped_packets(saved: str, tag: str) -> dict[tuple[int, int], int]:
    """The packets that a partition has dropped, by (source, target) set.

    ``saved`` is the output of ``iptables-save -c``.
    """
    rule = re.compile(
        rf"\[(\d+):\d+\] -A {partition_chain(tag)}-(\d+) .*--comment \"?(\d+)\"? .*-j DROP", re.M
    )
    counted: dict[tuple[int, int], int] = {}
    for count, source, target in rule.findall(saved):
        cut = int(source), int(target)
        counted[cut] = counted.get(cut, 0) + int(count)
    return counted


def in_force(saved: str, rules: Sequence[str]) -> bool:
    """True if packets still reach the chains of ``rules``, and each has as many rules as in ``rules``.

    ``saved`` is the output of iptables-save, with or without counters. It has its own spelling of rules, so
    they can't be compared as texts.
    """
    present = [line.rpartition("] ")[2] for line in _section(saved, "mangle")]
    jumps = [rule for rule in rules if rule.split()[1] == CHAIN]
    counted = Counter(rule.split()[1] for rule in rules if rule not in jumps)
    found = Counter(line.split()[1] for line in present if line.startswith("-A "))
    hook = [f"-A {_HOOKS['mangle']} -j {CHAIN}"] if rules else []
    return set(hook + jumps) <= set(present) and all(found[name] == n for name, n in counted.items())


def replacement(saved: str, rules: Mapping[str, Iterable[str]]) -> str:
    """The input for ``iptables-restore --noflush`` that replaces the contents of our chains by ``rules``.

    ``saved`` is the output of iptables-save. Returns "" if nothing has to change.
    """
    parts = []
    for table, hook in _HOOKS.items():
        wanted = list(rules.get(table, ()))
        present = _section(saved, table)
        old = {line.split()[0][1:] for line in present if line.startswith(":SOCKETLAB-")}
        new = {line.split()[1] for line in wanted}
        if not old and not new:
            continue
        kept = (old & new) - {CHAIN}  # they count, and their rules are the same: see above
        jump = f"{hook} -j {CHAIN}"
        lines = [f":{chain} - [0:0]" for chain in sorted((old | new) - kept)]
        if new and f"-A {jump}" not in present:
            lines.append(f"-A {jump}")
        if not new and f"-A {jump}" in present:
            lines.append(f"-D {jump}")
        lines += [line for line in wanted if line.split()[1] not in kept]
        lines += [f"-X {chain}" for chain in sorted(old - new)]
        parts.append("\n".join([f"*{table}", *lines, "COMMIT", ""]))
    return "".join(parts)


def probe_rules(rule: str, table: str = "mangle") -> tuple[str, str]:
    """Two inputs for iptables-restore: the first adds ``rule`` in an unused chain, the second removes it."""
    chain = "SOCKETLAB-PROBE"
    begin = f"*{table}\n:{chain} - [0:0]\n"
    return f"{begin}-A {chain} {rule}\nCOMMIT\n", f"{begin}-X {chain}\nCOMMIT\n"


def _drop_rules(drops: Iterable[Drop], interfaces: Interfaces, tag: str) -> list[str]:
    """The rules for the drops. IPv4 and IPv6 are counted separately; a GSO burst counts as one packet."""
    rules = []
    suffix = f"-{tag}" if tag else ""
    matches = DROPS + suffix
    for number, drop in enumerate(drops):
        chain = f"SOCKETLAB-DROP{number}{suffix}"
        for direction in filter(drop.applies_to, interfaces.directions):
            for path in _paths(interfaces, direction):
                rules += [f"-A {matches} {path} {match}-j {chain}" for match in _matches(drop)]
        for before, nth in enumerate(sorted(set(drop.nth))):
            # The later rules don't count a packet that an earlier one has dropped.
            count = f"--mode nth --every {ONCE} --packet {nth - 1 - before}"
            rules.append(f"-A {chain} -m statistic {count} -j DROP")
    if rules:
        probes = f"-A {matches} -p udp -m multiport --ports {PROBE_PORT} -j RETURN"
        rules = [f"-A {CHAIN} -j {matches}", probes, *rules]
    return rules


def _matches(drop: Drop) -> list[str]:
    protocols = (
        ["tcp"] if drop.flags else [drop.protocol] if drop.protocol else ["tcp", "udp"] if drop.port else []
    )
    if not protocols:
        return [""]
    return [
        f"-p {'ipv6-icmp' if protocol == 'icmp6' else protocol} {_flag_match(drop)}{_port_match(drop)}"
        for protocol in protocols
    ]


def _flag_match(drop: Drop) -> str:
    if drop.flags is None:
        return ""
    names = [
        name for name in ("FIN", "SYN", "RST", "PSH", "ACK", "URG") if flag_bits(name) & flag_bits(drop.flags)
    ]
    judged = sorted({"SYN", "ACK", "FIN", "RST", *names})
    return f"--tcp-flags {','.join(judged)} {','.join(names)} "


def _port_match(drop: Drop) -> str:
    return f"-m multiport --ports {drop.port} " if drop.port is not None else ""


def _paths(interfaces: Interfaces, direction: str) -> list[str]:
    return [f"-i {coming} -o {leaving}" for coming, leaving in interfaces.paths(direction)]


def _section(saved: str, table: str) -> list[str]:
    lines = saved.splitlines()
    if f"*{table}" not in lines:
        return []
    begin = lines.index(f"*{table}")
    return lines[begin : lines.index("COMMIT", begin)]
