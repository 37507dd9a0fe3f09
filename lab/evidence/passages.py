"""Passages: the packets of the captures on both sides of the router, matched.

Seen on one segment only, a packet that had to cross the router was lost in it. That is how loss shows, and
that is why there are two captures: a sender's own view can't tell loss from silence.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from lab.evidence.packets import Packet

Fate: TypeAlias = Literal["crossed", "lost", "stayed", "appeared"]
Mark: TypeAlias = Literal["", "retransmission", "duplicate"]


@dataclass(slots=True)
class Passage:
    """One packet on its way: where it was seen first, and where it came out of the router.

    crossed   seen on both segments
    lost      it had to cross the router, and never came out
    stayed    its destination is on the segment, or the router itself (ARP, neighbour discovery, a ping of
              the router), or the router sent it (an ICMP error)
    appeared  seen past the router only: changed on its way (corruption), or sent by who isn't captured
    """

    sent: Packet
    arrived: Packet | None
    fate: Fate
    mark: Mark = ""
    missing: int = 0  # of a packet that the router cut up: bytes that didn't come out

    @property
    def delay(self) -> float | None:
        """Seconds from one segment to the other."""
        return None if self.arrived is None else self.arrived.at - self.sent.at
