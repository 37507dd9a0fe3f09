"""Converts the settings of a link to commands for tc; lists the settings that a backend lacks. No I/O.

If a router has two segments, the qdisc of an interface serves one direction and is its root qdisc. If it has
more, packets from several segments leave by the same interface: then the root is HTB, with a class for each
direction that has a qdisc. A rule (packet_filter.py) puts each packet into the class of its direction.
Packets without a class pass.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from lab.link.errors import ImpairmentError
from lab.link.settings import TO, Impairment, LinkSettings, directions_to

BACKENDS = ("netem", "nfqueue", "statistic")  # the best first

LINE_BUFFER = 0.2  # seconds of packets that are queued for a line with a rate; the excess is dropped
NETEM_LIMIT = 32_768  # packets
ROOT = "root"
MAJOR = 1  # of the classes of HTB


@dataclass(frozen=True)
class Interfaces:
    """The interfaces of a router, or of one link of it, by segment.

    ``classes`` has the number of each direction's HTB class if other links share the interfaces.
    """

    by_segment: Mapping[str, str]
    classes: Mapping[str, int] = field(default_factory=dict)

    def between(self, segments: Sequence[str]) -> Interfaces:
        """The interfaces of the link between two segments. Raises ImpairmentError."""
        if len(set(segments)) != 2 or not set(segments) <= self.by_segment.keys():
            listed = ", ".join(self.by_segment)
            raise ImpairmentError("between", f"no link between {segments!r}: this router joins {listed}")
        first, second = segments
        pair = {segment: self.by_segment[segment] for segment in segments}
        if len(self.by_segment) == 2:
            return Interfaces(pair)
        number = {segment: n for n, segment in enumerate(self.by_segment, start=1)}
        return Interfaces(pair, {TO + first: number[second], TO + second: number[first]})

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

    def parent(self, direction: str) -> str:
        """The place of this direction's qdisc: "root", or a class such as "1:2"."""
        number = self.classes.get(direction)
        return ROOT if number is None else f"{MAJOR}:{number:x}"

    def priority(self, direction: str) -> int:
        """The priority (SO_PRIORITY) that puts a packet of the router's own into the class; 0 without one."""
        number = self.classes.get(direction)
        return 0 if number is None else MAJOR << 16 | number


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


def qdiscs(link: LinkSettings, interfaces: Interfaces, backend: str, seed: int) -> dict[str, list[str]]:
    """The arguments that describe the qdisc of each direction that needs one: ["tbf", "rate", …]."""
    kind = _netem if backend == "netem" else _tbf
    found = {direction: kind(link[direction], seed) for direction in interfaces.directions}
    return {direction: words for direction, words in found.items() if words}


def _netem(asked: Impairment, seed: int) -> list[str]:
    """tc-netem(8). ``seed`` needs Linux 6.6 and iproute2 6.6."""
    if asked.is_nothing:
        return []
    words = ["netem", "limit", str(NETEM_LIMIT), "seed", str(seed)]
    if asked.delay:
        words += ["delay", f"{asked.delay * 1e6:.0f}us"] + [f"{asked.jitter * 1e6:.0f}us"] * bool(
            asked.jitter
        )
    for name, word in _NETEM_WORDS.items():
        if share := getattr(asked, name):
            words += [word, f"{share * 100:.6g}%"]
    if asked.rate is not None:
        words += ["rate", f"{asked.rate:.0f}bit"]
    return words


_NETEM_WORDS = {
    "loss": "loss",
    "duplication": "duplicate",
    "reordering": "reorder",
    "corruption": "corrupt",
}  # behind delay: tc accepts "reorder" only there


def _tbf(asked: Impairment, _: int) -> list[str]:
    """tc-tbf(8): a rate without netem."""
    if asked.rate is None:
        return []
    # A bucket of one packet, or of 1 ms if packets arrive faster than a kernel timer can expire.
    burst = max(2000, int(asked.rate / 8 * 0.001))
    return ["tbf", "rate", f"{asked.rate:.0f}bit", "burst", str(burst), "limit", str(line_buffer(asked.rate))]


def line_buffer(rate: float) -> int:
    """The queue limit in bytes of a line of ``rate`` bit/s; never less than one burst of a TCP sender."""
    return max(65_536 + 2000, int(rate / 8 * LINE_BUFFER))


def set_qdisc_argv(device: str, parent: str, words: Sequence[str], root: str) -> list[list[str]]:
    """The commands that set a qdisc at ``parent``. ``root`` is the kind of the present root qdisc."""
    if parent == ROOT:
        return [["tc", "qdisc", "replace", "dev", device, ROOT, *words]]
    commands = []
    if root != "htb":
        # An interface of a container has no transmit queue, from which HTB takes the limit for these packets.
        unclassified = ["direct_qlen", str(NETEM_LIMIT)]
        commands.append(
            ["tc", "qdisc", "add", "dev", device, ROOT, "handle", f"{MAJOR}:", "htb", *unclassified]
        )
    # The class is only a place for the qdisc; the rate is that of the qdisc.
    of_class = ["parent", f"{MAJOR}:", "classid", parent, "htb", "rate", "100gbit", "quantum", "60000"]
    commands.append(["tc", "class", "replace", "dev", device, *of_class])
    commands.append(["tc", "qdisc", "replace", "dev", device, "parent", parent, *words])
    return commands


def remove_qdisc_argv(device: str, parent: str, others: Iterable[str]) -> list[str]:
    """The command that removes the qdisc at ``parent``. ``others`` are the other classes of the device."""
    if parent == ROOT or not list(others):
        return ["tc", "qdisc", "del", "dev", device, ROOT]
    return ["tc", "class", "del", "dev", device, "classid", parent]
