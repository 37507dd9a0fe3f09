"""The record's description of a capture."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from lab.locale import Message, message


@dataclass
class CaptureInfo:
    """One capture: of a router's interface on a segment, or of a host on request.

    Hosts capture the packets to other hosts on the same segment, which no router forwards. In a lab without
    routers their interfaces are captured as those of routers.
    """

    name: str  # SEGMENT, SEGMENT@NODE for the further nodes of a segment, or a host's
    file: str
    segment: str = ""  # "" for a capture of a host
    node: str = ""  # the title of the router, or of the host
    interface: str = ""
    hardware: tuple[str, ...] = ()  # the interface's Ethernet address; several if the node was off
    networks: tuple[str, ...] = ()
    router: tuple[str, ...] = ()  # the node's addresses on the segment
    packets: int = 0  # in the file
    cut: int = 0  # packets that weren't kept: of a long run the file has the first and the last
    gap: tuple[float, float] | None = None  # the times of the first and the last of those
    dropped: int = 0  # packets that the kernel dropped before tcpdump could read them
    snaplen: int = 0  # bytes kept of each packet
    filter: str = ""  # a pcap-filter(7) expression; "" captures everything
    ended: str = ""  # why it ended before the run
    clock_error: float = 0.0  # seconds by which the times may be wrong

    @property
    def complete(self) -> bool:
        return not (self.cut or self.dropped or self.ended)

    def doubts(self) -> list[Message]:
        """Why packets may be missing from it; empty if it is complete."""
        if self.complete:
            return []
        return [
            message("the capture of {name} isn't complete ({reason})", name=self.name, reason=reason)
            for reason in self._reasons()
        ]

    def _reasons(self) -> Iterator[Message]:
        if self.cut:
            yield message("{count:,} packets were seen and not kept", count=self.cut)
        if self.dropped:
            yield message("the kernel dropped {count:,} packets", count=self.dropped)
        if self.filter:
            yield message("its filter is {filter}", filter=self.filter)
        if self.ended:
            yield message("it ended before the run did: {reason}", reason=self.ended)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def from_record(about: Mapping[str, Any], nodes: Mapping[str, Any], names: Mapping[str, str]) -> CaptureInfo:
    """The capture that a record describes. Old records name neither its segment nor its node.

    ``nodes`` are the record's by title, ``names`` their titles by address. Raises TypeError or KeyError.
    """
    fields = dict(about)
    for name in ("hardware", "networks", "router"):
        fields[name] = tuple(fields.get(name, ()))
    if "node" not in fields:
        fields["node"] = next((names[a] for a in fields["router"] if a in names), "router")
        fields["segment"] = "" if fields["name"] in nodes else fields["name"]
    return CaptureInfo(**fields)
