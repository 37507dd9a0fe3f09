"""A node of a lab, as the labels of its Compose service describe it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

PROFILES = ("windows",)  # what a host's platform can be besides linux


@dataclass(frozen=True)
class Node:
    """What the topology says of a host or router. A router has an address on each of its segments."""

    name: str  # the Compose service
    role: str  # host | router
    names: tuple[str, ...]  # all that resolve to it, its own first
    segments: tuple[str, ...]
    addresses: tuple[str, ...]  # IPv4, one a segment
    addresses6: tuple[str, ...]
    platform: str = "linux"  # | windows: the command line is Wine's

    @classmethod
    def described(cls, service: str, labels: Mapping[str, str], prefix: str = "") -> Node:
        """The node that the labels of a Compose service describe; each value is words."""

        def words(key: str) -> tuple[str, ...]:
            return tuple(labels.get(prefix + key, "").split())

        return cls(
            name=service,
            role=labels[prefix + "role"],
            names=words("names"),
            segments=words("segment"),
            addresses=words("address"),
            addresses6=words("address6"),
            platform=labels.get(prefix + "platform", "linux"),
        )

    @property
    def title(self) -> str:
        """The name that is shown: win10, kali, router."""
        return self.names[-1] if self.names else self.name

    @property
    def address(self) -> str:
        return self.addresses[0]

    @property
    def address6(self) -> str:
        return self.addresses6[0]
