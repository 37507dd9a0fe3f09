"""A partition: hosts in different sets, between which a router drops all packets. No I/O."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import permutations

from lab.link.errors import ImpairmentError
from lab.link.settings import JsonObject
from lab.protocols.fields import FieldChecks

MAX_SETS = 16
MAX_ADDRESSES = 512  # of a set
MAX_PARTITIONS = 16  # at the same time

_check = FieldChecks(lambda name, problem: ImpairmentError(name, f"{name} {problem}"))


@dataclass(frozen=True)
class Partition:
    """Packets from an address of one set to an address of another are dropped.

    With ``one_way``, only packets from the first set to the second are. Raises ImpairmentError.
    """

    sets: tuple[tuple[str, ...], ...]  # addresses, IPv4 and IPv6
    one_way: bool = False

    def __post_init__(self) -> None:
        if not 2 <= len(self.sets) <= (2 if self.one_way else MAX_SETS):
            count = "exactly 2" if self.one_way else f"2 to {MAX_SETS}"
            raise ImpairmentError("sets", f"a partition must have {count} sets, not {len(self.sets)}")
        every = [_address(address) for members in self.sets for address in members]
        if len(set(every)) != len(every):
            raise ImpairmentError("sets", "sets must have no address in common")
        if not all(0 < len(members) <= MAX_ADDRESSES for members in self.sets):
            raise ImpairmentError("sets", f"each set must have 1 to {MAX_ADDRESSES} addresses")

    @property
    def cuts(self) -> list[tuple[int, int]]:
        """The (source, target) sets between which packets are dropped, by position."""
        return [(0, 1)] if self.one_way else list(permutations(range(len(self.sets)), 2))

    def drops(self, source: str, target: str) -> bool:
        """True if it drops packets from the address ``source`` to the address ``target``."""
        return any(source in self.sets[first] and target in self.sets[second] for first, second in self.cuts)

    def describe(self, names: Mapping[str, str]) -> str:
        """ "alice, bob | carol"; with one way "alice, bob → carol". ``names`` are those of the addresses."""
        sets = [dict.fromkeys(names.get(address, address) for address in members) for members in self.sets]
        return (" → " if self.one_way else " | ").join(", ".join(members) for members in sets)

    def members(self, number: int, version: int) -> list[str]:
        """The addresses of a set with this IP version."""
        return [a for a in self.sets[number] if ipaddress.ip_address(a).version == version]

    def as_json(self) -> JsonObject:
        return {"sets": [list(members) for members in self.sets], "one_way": self.one_way}

    @classmethod
    def from_json(cls, value: object) -> Partition:
        """The inverse of ``as_json``. Raises ImpairmentError for any other value."""
        entry = _check.mapping("partition", value, ("sets", "one_way"))
        sets = _check.items("sets", entry.get("sets"), MAX_SETS)
        read: Iterable[tuple[str, ...]] = (tuple(_check.items("set", s, MAX_ADDRESSES)) for s in sets)
        return cls(tuple(read), _check.boolean("one_way", entry.get("one_way", False)))


def _address(text: object) -> str:
    """A normalized address, so that the same address is always written in the same way."""
    try:
        return str(ipaddress.ip_address(_check.text("address", text, 64)))
    except ValueError:
        raise ImpairmentError("address", f"{text!r} is not an address") from None
