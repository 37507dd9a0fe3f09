"""Packets that were sent between the nodes of a running lab."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from lab.doctor.finding import Finding, ok, trouble
from lab.locale import message

CHECK = "packets"


@dataclass(frozen=True)
class Crossing:
    """A packet from one node to another and back."""

    source: str
    destination: str
    segment: str
    version: int  # of IP
    answered: bool


def check_crossings(crossings: Sequence[Crossing]) -> Iterator[Finding]:
    """A trouble for each pair of nodes and IP version without an answer."""
    lost = [each for each in crossings if not each.answered]
    if not lost:
        count = len(crossings)
        yield ok(CHECK, message("{count} packets between neighbouring nodes were answered", count=count))
    for each in lost:
        yield trouble(
            CHECK,
            message(
                "no answer to an IPv{version} packet from {source} to {destination} on the segment {segment}",
                version=each.version,
                source=each.source,
                destination=each.destination,
                segment=each.segment,
            ),
            message(
                "if no rule of the nodes drops it, a firewall of this machine does: see the check "
                "`firewall`; `sudo {command}` shows its rules",
                command="iptables-save" if each.version == 4 else "ip6tables-save",
            ),
        )
