"""From what is asked of the link to the words for iptables and tc. Pure: faults are data.

All rules stand in chains of our own, which are replaced in one step (iptables-restore); a packet passes
    raw/PREROUTING   no connection tracking: it would drop packets that overtake a conversation's first one
    mangle/FORWARD   the cut, then the drops, then the loss or the queue
    the qdisc of the interface by which it leaves    rate, or all of netem
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from lab.link.impairment_model import PROBE_PORT
from lab.link.settings import DIRECTIONS, TO_SERVERS, Drop, Impairment, LinkSettings, flag_bits

BACKENDS = ("netem", "nfqueue", "statistic")  # the best first

CHAIN = "SOCKETLAB-LINK"
DROPS = "SOCKETLAB-DROPS"
LINE_BUFFER = 0.2  # seconds of packets that may wait for a line with a rate; more are dropped, as in a router
NETEM_LIMIT = 32_768  # packets
ONCE = 2**31 - 1  # as good as never again

FAMILIES = {4: "iptables", 6: "ip6tables"}
_HOOKS = {"raw": "PREROUTING", "mangle": "FORWARD"}


@dataclass(frozen=True)
class Interfaces:
    """The router's interfaces on the two segments."""

    clients: str
    servers: str

    def way(self, direction: str) -> tuple[str, str]:
        """By which interface packets of this direction come, and by which they leave."""
        return (self.clients, self.servers) if direction == TO_SERVERS else (self.servers, self.clients)


def netem_gaps(_: LinkSettings) -> list[str]:
    """What of this netem can't do: nothing."""
    return []


def nfqueue_gaps(link: LinkSettings, *, has_tbf: bool) -> list[str]:
    """What of this our queue can't do on this kernel: it leaves the rate to tbf."""
    return ["rate"] if not has_tbf and any(link[direction].rate for direction in DIRECTIONS) else []


def statistic_gaps(link: LinkSettings, *, has_tbf: bool) -> list[str]:
    """What of this iptables' ``statistic`` and tbf can't do."""
    names = ("delay", "jitter", "duplication", "reordering", "corruption")
    gaps = [name for name in names if any(getattr(link[direction], name) for direction in DIRECTIONS)]
    return gaps + nfqueue_gaps(link, has_tbf=has_tbf)


def queued_directions(link: LinkSettings) -> list[str]:
    """The directions whose packets our queue must see. The path of the others isn't queued at all."""
    dropping = {direction for drop in link.drops for direction in drop.directions()}
    return [
        direction
        for direction in DIRECTIONS
        if direction not in link.cut
        and (direction in dropping or link[direction] != Impairment(rate=link[direction].rate))
    ]


def netem_argv(link: LinkSettings, interfaces: Interfaces, seed: int) -> list[list[str]]:
    """The tc commands of the netem backend (tc-netem(8)); ``seed`` needs Linux 6.6 and iproute2 6.6."""
    commands = []
    for direction in DIRECTIONS:
        asked = link[direction]
        if asked.is_nothing:
            continue
        words = ["tc", "qdisc", "replace", "dev", interfaces.way(direction)[1], "root", "netem"]
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
}  # after delay: tc takes "reorder" only behind it


def tbf_argv(link: LinkSettings, interfaces: Interfaces) -> list[list[str]]:
    """The tc commands for a rate without netem (tc-tbf(8))."""
    commands = []
    for direction in DIRECTIONS:
        rate = link[direction].rate
        if rate is not None:
            words = ["tc", "qdisc", "replace", "dev", interfaces.way(direction)[1], "root", "tbf"]
            # A bucket of one packet, or of 1 ms where packets come faster than a kernel's timer likes.
            words += ["rate", f"{rate:.0f}bit", "burst", str(max(2000, int(rate / 8 * 0.001)))]
            commands.append([*words, "limit", str(line_buffer(rate))])
    return commands


def line_buffer(rate: float) -> int:
    """Bytes that may wait for a line of ``rate`` bit/s; never less than one burst of a TCP sender."""
    return max(65_536 + 2000, int(rate / 8 * LINE_BUFFER))


def filter_rules(
    link: LinkSettings,
    interfaces: Interfaces,
    *,
    queues: Mapping[str, int] | None = None,
    statistic: bool = False,
    notrack: bool = True,
) -> dict[str, list[str]]:
    """The rules by table, for either IP version.

    ``queues`` gives the queue's number of each direction that is queued; the queue then does the drops too.
    Without it the drops are rules and, with ``statistic``, so is the loss.
    """
    mangle = [
        f"-A {CHAIN} {_way(interfaces, direction)} -j DROP"
        for direction in DIRECTIONS
        if direction in link.cut
    ]
    if queues is None:
        mangle += _drop_rules(link.drops, interfaces)
    for direction in DIRECTIONS:
        way, loss = _way(interfaces, direction), link[direction].loss
        if queues and direction in queues:
            mangle.append(f"-A {CHAIN} {way} -j NFQUEUE --queue-num {queues[direction]}")
        elif statistic and loss:
            mangle.append(f"-A {CHAIN} {way} -m statistic --mode random --probability {loss:.9f} -j DROP")
    raw = [f"-A {CHAIN} -i {name} -j CT --notrack" for name in (interfaces.clients, interfaces.servers)]
    return {"raw": raw if notrack and mangle else [], "mangle": mangle}


def replacement(saved: str, rules: Mapping[str, Iterable[str]]) -> str:
    """What to feed to ``iptables-restore --noflush`` so that exactly ``rules`` of ours hold.

    ``saved`` is what iptables-save says now. "" where nothing has to change.
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
    """For iptables-restore: ``rule`` in a chain that nothing uses, and the removal of it."""
    chain = "SOCKETLAB-PROBE"
    begin = f"*{table}\n:{chain} - [0:0]\n"
    return f"{begin}-A {chain} {rule}\nCOMMIT\n", f"{begin}-X {chain}\nCOMMIT\n"


def _drop_rules(drops: Iterable[Drop], interfaces: Interfaces) -> list[str]:
    """The drops as rules. They count IPv4 and IPv6 apart, and what the kernel passes on as one packet."""
    rules = []
    for number, drop in enumerate(drops):
        chain = f"SOCKETLAB-DROP{number}"
        for direction in drop.directions():
            for match in _matches(drop):
                rules.append(f"-A {DROPS} {_way(interfaces, direction)} {match}-j {chain}")
        for before, nth in enumerate(sorted(set(drop.nth))):
            # A packet that an earlier rule took isn't counted by the later ones.
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


def _way(interfaces: Interfaces, direction: str) -> str:
    come, leave = interfaces.way(direction)
    return f"-i {come} -o {leave}"


def _section(saved: str, table: str) -> list[str]:
    lines = saved.splitlines()
    if f"*{table}" not in lines:
        return []
    begin = lines.index(f"*{table}")
    return lines[begin : lines.index("COMMIT", begin)]
