"""One packet in all captures that have it, and its fate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from lab.evidence.packets.packet import Packet
from lab.evidence.packets.routes.matching import Mark

Fate: TypeAlias = Literal["crossed", "lost", "stayed", "appeared", "unknown"]


@dataclass(slots=True)
class PacketTransit:
    """One packet, in all captures that have it, in the order of its path.

    crossed   captured on its sender's segment and past the last router that it had to cross
    lost      it had to cross a router and didn't leave it, or left it and didn't reach the next router
    stayed    it had no router to cross: its destination is on the same segment or is the router (ARP,
              neighbour discovery, a ping of the router), or the router sent it (an ICMP error)
    appeared  captured past a router only (``sent`` is there)
    unknown   not captured where it should have been, while a capture was incomplete; or one of several
              packets that a translation makes equal
    """

    sightings: tuple[Packet, ...]
    arrived: Packet | None  # the last sighting; None if it was lost or stayed
    fate: Fate
    mark: Mark = ""
    missing: int = 0  # bytes of a lost packet that didn't arrive; it may have been split
    lost_at: str = ""  # the router that received it and didn't send it on
    lost_on: str = ""  # the segment on which it was lost, between two routers

    @property
    def sent(self) -> Packet:
        """The packet in the first capture that saw it."""
        return self.sightings[0]

    @property
    def delay(self) -> float | None:
        """Seconds from the first segment to the last; None if it didn't arrive."""
        return None if self.arrived is None else self.arrived.at - self.sent.at

    @property
    def translated(self) -> bool:
        """Whether a router changed its addresses."""
        ends = {(p.source, p.destination) for p in self.sightings}
        return len(ends) > 1
