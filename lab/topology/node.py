"""A node of a lab, as described by the labels of its Compose service."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

PROFILES = ("windows",)  # the platforms of a host besides linux


@dataclass(frozen=True)
class Node:
    """A host or a router of the topology. A router has an address on each of its segments."""

    name: str  # the Compose service
    role: str  # host | router
    names: tuple[str, ...]  # the host names that resolve to it; the first is its hostname
    segments: tuple[str, ...]
    addresses: tuple[str, ...]  # IPv4, one for each segment
    addresses6: tuple[str, ...]
    platform: str = "linux"  # | windows: the command line is that of Wine

    @classmethod
    def from_labels(cls, service: str, labels: Mapping[str, str], prefix: str = "") -> Node:
        """The node described by the labels of a Compose service. Raises KeyError if it has no role."""

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
        """The name that is shown to a reader: the last of its names."""
        return self.names[-1] if self.names else self.name

    @property
    def address(self) -> str:
        return self.addresses[0]

    @property
    def address6(self) -> str:
        return self.addresses6[0]
