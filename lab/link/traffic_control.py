"""Converts the settings of a link to commands for iptables and tc. No I/O.

All rules are in separate chains, which are replaced in one step (iptables-restore). A packet passes
    raw/PREROUTING   no connection tracking: it would drop packets that overtake the first of a connection
    mangle/FORWARD   the cut, then the drops, then the loss or the queue
    the qdisc of the outgoing interface: the rate, or with netem all settings
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from lab.link.impairment_model import PROBE_PORT
from lab.link.settings import TO, Drop, Impairment, LinkSettings, directions_to, flag_bits

BACKENDS = ("netem", "nfqueue", "statistic")  # the best first

CHAIN = "SOCKETLAB-LINK"
DROPS = "SOCKETLAB-DROPS"
LINE_BUFFER = 0.2  # seconds of packets that are queued for a line with a rate; the excess is dropped
NETEM_LIMIT = 32_768  # packets
ONCE = 2**31 - 1  # a period that is never reached

FAMILIES = {4: "iptables", 6: "ip6tables"}
_HOOKS = {"raw": "PREROUTING", "mangle": "FORWARD"}


@dataclass(frozen=True)
class Interfaces:
    """The router's interface on each segment."""

    by_segment: Mapping[str, str]

    @property
    def directions(self) -> tuple[str, ...]:
        return directions_to(tuple(self.by_segment))

    def leaving(self, direction: str) -> str:
        """The outgoing interface for packets of this direction."""
        return self.by_segment[direction.removeprefix(TO)]

    def paths(self, direction: str) -> list[tuple[str, str]]:
        """The (incoming, outgoing) interfaces of packets of this direction."""
        leaving = self.leaving(direction)
        return [(name, leaving) for name in self.by_segment.values() if name != leaving]


def nfqueue_gaps(link: LinkSettings, *, has_tbf: bool) -> list[str]:
    """The settings that the nfqueue backend doesn't support on this kernel. A rate requires tbf."""
    needed = any(impairment.rate for impairment in link.impairments.values())
    return ["rate"] if needed and not has_tbf else []


def statistic_gaps(link: LinkSettings, *, has_tbf: bool) -> list[str]:
    """The settings that the statistic backend (iptables and tbf) doesn't support."""
    names = ("delay", "jitter", "duplication", "reordering", "corruption")
    impairments = link.impairments.values()
    gaps = [name for name in names if any(getattr(impairment, name) for impairment in impairments)]
    return gaps + nfqueue_gaps(link, has_tbf=has_tbf)


def queued_directions(link: LinkSettings, directions: Iterable[str]) -> list[str]:
    """The directions whose packets must be queued. The packets of other directions aren't."""
    return [
        direction
        for direction in directions
        if direction not in link.cut
        and (
            any(drop.applies_to(direction) for drop in link.drops)
            or link[direction] != Impairment(rate=link[direction].rate)
        )
    ]


def netem_argv(link: LinkSettings, interfaces: Interfaces, seed: int) -> list[list[str]]:
    """The tc commands of the netem backend (tc-netem(8)). ``seed`` needs Linux 6.6 and iproute2 6.6."""
    commands = []
    for direction in interfaces.directions:
        asked = link[direction]
        if asked.is_nothing:
            continue
        words = ["tc", "qdisc", "replace", "dev", interfaces.leaving(direction), "root", "netem"]
        words += ["limit", str(NETEM_LIMIT), "seed", str(seed)]
        if asked.delay:
            words += ["delay", f"{asked.delay * 1e6:.0f}us"] + [f"{asked.jitter * 1e6:.0f}us"] * bool(
                asked.jitter
            )
        for name, word in _NETEM_WORDS.items():
            if share := getattr(asked, name):
                words += [word, f"{share * 100:.6g}%"]
        if asked.rate is not None:
            words += ["rate", f"{asked.rate:.0f}bit"]
        commands.append(words)
    return commands


_NETEM_WORDS = {
    "loss": "loss",
    "duplication": "duplicate",
    "reordering": "reorder",
    "corruption": "corrupt",
}  # behind delay: tc accepts "reorder" only there


def tbf_argv(link: LinkSettings, interfaces: Interfaces) -> list[list[str]]:
    """The tc commands for a rate without netem (tc-tbf(8))."""
    commands = []
    for direction in interfaces.directions:
        rate = link[direction].rate
        if rate is not None:
            words = ["tc", "qdisc", "replace", "dev", interfaces.leaving(direction), "root", "tbf"]
            # A bucket of one packet, or of 1 ms if packets arrive faster than a kernel timer can expire.
            words += ["rate", f"{rate:.0f}bit", "burst", str(max(2000, int(rate / 8 * 0.001)))]
            commands.append([*words, "limit", str(line_buffer(rate))])
    return commands


def line_buffer(rate: float) -> int:
    """The queue limit in bytes of a line of ``rate`` bit/s; never less than one burst of a TCP sender."""
    return max(65_536 + 2000, int(rate / 8 * LINE_BUFFER))


def filter_rules(
    link: LinkSettings,
    interfaces: Interfaces,
    *,
    queues: Mapping[str, int] | None = None,
    statistic: bool = False,
    notrack: bool = True,
) -> dict[str, list[str]]:
    """The rules for each table; they are the same for IPv4 and IPv6.

    ``queues`` maps each queued direction to its queue number; its consumer then does the drops too. Without
    queues, rules do the drops and, with ``statistic``, the loss.
    """
    mangle = [
        f"-A {CHAIN} {path} -j DROP"
        for direction in interfaces.directions
        if direction in link.cut
        for path in _paths(interfaces, direction)
    ]
    if queues is None:
        mangle += _drop_rules(link.drops, interfaces)
    for direction in interfaces.directions:
        loss = link[direction].loss
        target = ""
        if queues and direction in queues:
            target = f"-j NFQUEUE --queue-num {queues[direction]}"
        elif statistic and loss:
            target = f"-m statistic --mode random --probability {loss:.9f} -j DROP"
        mangle += [f"-A {CHAIN} {path} {target}" for path in _paths(interfaces, direction) if target]
    raw = [f"-A {CHAIN} -i {name} -j CT --notrack" for name in interfaces.by_segment.values()]
    return {"raw": raw if notrack and mangle else [], "mangle": mangle}


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
        jump = f"{hook} -j {CHAIN}"
        lines = [f":{chain} - [0:0]" for chain in sorted(old | new)]
        if new and f"-A {jump}" not in present:
            lines.append(f"-A {jump}")
        if not new and f"-A {jump}" in present:
            lines.append(f"-D {jump}")
        lines += wanted
        lines += [f"-X {chain}" for chain in sorted(old - new)]
        parts.append("\n".join([f"*{table}", *lines, "COMMIT", ""]))
    return "".join(parts)


def probe_rules(rule: str, table: str = "mangle") -> tuple[str, str]:
    """Two inputs for iptables-restore: the first adds ``rule`` in an unused chain, the second removes it."""
    chain = "SOCKETLAB-PROBE"
    begin = f"*{table}\n:{chain} - [0:0]\n"
    return f"{begin}-A {chain} {rule}\nCOMMIT\n", f"{begin}-X {chain}\nCOMMIT\n"


def _drop_rules(drops: Iterable[Drop], interfaces: Interfaces) -> list[str]:
    """The rules for the drops. IPv4 and IPv6 are counted separately; a GSO burst counts as one packet."""
    rules = []
    for number, drop in enumerate(drops):
        chain = f"SOCKETLAB-DROP{number}"
        for direction in filter(drop.applies_to, interfaces.directions):
            for path in _paths(interfaces, direction):
                rules += [f"-A {DROPS} {path} {match}-j {chain}" for match in _matches(drop)]
        for before, nth in enumerate(sorted(set(drop.nth))):
            # The later rules don't count a packet that an earlier one has dropped.
            count = f"--mode nth --every {ONCE} --packet {nth - 1 - before}"
            rules.append(f"-A {chain} -m statistic {count} -j DROP")
    if rules:
        probes = f"-A {DROPS} -p udp -m multiport --ports {PROBE_PORT} -j RETURN"
        rules = [f"-A {CHAIN} -j {DROPS}", probes, *rules]
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
