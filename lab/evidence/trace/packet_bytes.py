"""The bytes of the packets in the page's format: one base64 text.

A long run has more bytes than a page should have. Then only the beginning of each packet is kept.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

from lab.evidence.packets import pcap
from lab.evidence.packets.capture_info import CaptureInfo
from lab.evidence.packets.transit import PacketTransit

MAX_BYTES = 4 << 20  # of all packets, before base64
LEAST = 96  # bytes that are always kept of a packet, for its headers

Frames: TypeAlias = dict[tuple[str, int], bytes]


def read_frames(
    folder: Path, captures: Mapping[str, CaptureInfo], transits: Sequence[PacketTransit]
) -> Frames:
    """The captured bytes of each packet, by capture and number."""
    wanted = {(p.segment, p.number) for transit in transits for p in transit.sightings}
    return {
        (name, number): frame.data
        for name, capture in captures.items()
        for number, frame in enumerate(pcap.read(folder / capture.file), 1)
        if (name, number) in wanted
    }


def encode(transits: Sequence[PacketTransit], frames: Frames) -> tuple[list[list[int | None]], str]:
    """The number of bytes kept of each sighting of each packet, None for one that isn't kept; and the bytes.

    Each piece is padded to a multiple of three, so that its base64 can be read without the rest.
    """
    pieces = [_pieces(transit, frames) for transit in transits]
    whole = sum(len(data) for found in pieces for data in found if data is not None)
    if whole > MAX_BYTES:  # past its sender only corrupted packets are kept, because their bytes differ
        pieces = [
            found if transit.mark == "corrupted" else [found[0], *[None] * (len(found) - 1)]
            for transit, found in zip(transits, pieces, strict=True)
        ]
    limit = _limit([len(data) for found in pieces for data in found if data is not None])
    cut = [[None if data is None else data[:limit] for data in found] for found in pieces]
    parts = [data + bytes(-len(data) % 3) for found in cut for data in found if data is not None]
    kept = [[None if data is None else len(data) for data in found] for found in cut]
    return kept, base64.b64encode(b"".join(parts)).decode()


def _pieces(transit: PacketTransit, frames: Frames) -> list[bytes | None]:
    """The bytes of each sighting; None for one with the same bytes as the sighting before it."""
    found: list[bytes | None] = []
    before = None
    for sighting in transit.sightings:
        data = frames.get((sighting.segment, sighting.number), b"")
        found.append(None if data == before else data)
        before = data
    return found


def _limit(lengths: Sequence[int]) -> int:
    """The number of bytes to keep of each packet, so that the total stays below MAX_BYTES."""
    low, high = LEAST, max([LEAST, *lengths])
    while low < high:
        middle = (low + high + 1) // 2
        if sum(min(length, middle) for length in lengths) <= MAX_BYTES:
            low = middle
        else:
            high = middle - 1
    return low
