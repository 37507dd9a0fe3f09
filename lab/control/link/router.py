"""Requests to the agent of one router to impair its links, and the answers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from lab.control.host import Host
from lab.errors import LabError, Unsupported
from lab.link.partition import Partition
from lab.link.settings import LinkSettings
from lab.link.traffic_control import BACKENDS

TIMEOUT = 20.0  # seconds

Pair: TypeAlias = tuple[str, str]  # two segments of one router, in the order of its interfaces


class LinkFailure(LabError):
    """The link doesn't behave as requested, so a run on it proves nothing."""


@dataclass(frozen=True)
class Status:
    """The state of one link: the capabilities of the router's kernel, and the settings in force (None if none
    are).
    """

    can: dict[str, Any]
    now: dict[str, Any] | None

    @property
    def settings(self) -> LinkSettings:
        return LinkSettings.from_json(self.now["link"]) if self.now else LinkSettings()

    @property
    def backend(self) -> str:
        """The backend in use or, if nothing is set, the one that would be used; "none" if none works."""
        if self.now:
            return str(self.now["backend"])
        return next((name for name in BACKENDS if self.can[name]), "none")

    @property
    def alive(self) -> bool:
        """False if the process that serves the packet queues has died: then the link is cut."""
        return self.now is None or bool(self.now["alive"])

    @property
    def id(self) -> str:
        """Identifies the request that made these settings; "" if nothing is set."""
        return str(self.now["id"]) if self.now else ""

    @property
    def delivered(self) -> dict[str, Any]:
        """Counters by direction, and for each Drop how many packets matched and how many were dropped."""
        return {key: self.now[key] for key in ("counts", "drops")} if self.now else {}


@dataclass(frozen=True)
class RouterStatus:
    """The state of a router: its links that have settings, and its partitions by their id."""

    can: dict[str, Any]
    links: dict[Pair, dict[str, Any]]
    partitions: dict[str, dict[str, Any]]

    @classmethod
    def from_answer(cls, can: dict[str, Any], state: dict[str, Any]) -> RouterStatus:
        links = {(link["between"][0], link["between"][1]): link for link in state["links"]}
        return cls(can, links, {partition["id"]: partition for partition in state["partitions"]})

    def link(self, pair: Pair) -> Status:
        return Status(self.can, self.links.get(pair))

    @property
    def is_nothing(self) -> bool:
        return not (self.links or self.partitions)

    @property
    def boot(self) -> str:
        """Identifies the router's start."""
        return str(self.can["boot"])


def differences(asked: RouterStatus, found: RouterStatus) -> Iterator[tuple[Pair | None, str]]:
    """How ``found`` differs from ``asked``, the answer to the last request; nothing if nothing was changed.

    Each difference has the pair of its link, or None for a partition. Each request gets a unique id, so
    another request is detected even if its settings are the same.
    """
    restarted = not asked.is_nothing and found.boot != asked.boot
    for pair in sorted(asked.links.keys() | found.links.keys()):
        before, after = asked.link(pair), found.link(pair)
        if before.now and restarted and not after.now:
            yield pair, f"the router was restarted and lost its settings: asked {before.settings.describe()}"
        elif before.id != after.id:
            what = f"asked {before.settings.describe()}, found {after.settings.describe()}"
            yield pair, f"somebody else changed the link: {what}"
        elif not after.alive:
            yield pair, "the process that impairs the link has died; since then the link has been cut"
    for name in sorted(asked.partitions.keys() | found.partitions.keys()):
        if name not in found.partitions and restarted:
            yield None, "the router was restarted and lost a partition"
        elif name not in found.partitions:
            yield None, "somebody else healed a partition"
        elif name not in asked.partitions:
            yield None, "somebody else made a partition"
        elif not found.partitions[name]["alive"]:
            yield None, "the rules of a partition were removed; since then packets have passed"


class RouterLink:
    """The settings of one router."""

    def __init__(self, router: Host) -> None:
        self.router = router

    @property
    def segments(self) -> Sequence[str]:
        return self.router.node.segments

    def show(self) -> RouterStatus:
        """The settings in force now."""
        answer = self._ask({"op": "show"})
        return RouterStatus.from_answer(answer["can"], answer["now"])

    def apply(
        self,
        between: Pair,
        link: LinkSettings,
        *,
        backend: str | None,
        seed: str | None,
        counted: list[list[int]] | None,
    ) -> tuple[RouterStatus, RouterStatus]:
        """Replaces the settings of one link. Returns those of the router before and after.

        None keeps the current ``backend`` or ``seed``. ``counted`` lists the initial counters of each drop;
        None keeps those of the drops that stay. Raises Unsupported if no backend supports the settings.
        """
        node = self.router.node
        return self._change(
            "apply",
            between=list(between),
            link=link.as_json(),
            backend=backend,
            seed=seed,
            counted=counted,
            nat=bool(node.nat or node.forwards),
        )

    def clear(self) -> tuple[RouterStatus, RouterStatus]:
        """Removes the settings of all links, and all partitions."""
        return self._change("clear")

    def partition(self, partition: Partition) -> tuple[RouterStatus, RouterStatus]:
        return self._change("partition", partition=partition.as_json())

    def heal(self, name: str) -> tuple[RouterStatus, RouterStatus]:
        """Ends the partition with the id ``name``, if it is in force."""
        return self._change("heal", id=name)

    def _change(self, op: str, **fields: Any) -> tuple[RouterStatus, RouterStatus]:
        addresses = dict(zip(self.segments, self.router.node.addresses, strict=True))
        answer = self._ask({"op": op, "interfaces": addresses, **fields})
        if "unsupported" in answer:
            missing = ", ".join(answer["unsupported"])
            raise Unsupported(f"the link's backend here ({answer['backend']}) can't do: {missing}")
        can = answer["can"]
        before, now = (RouterStatus.from_answer(can, answer[key]) for key in ("before", "now"))
        return before, now

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        return self.router.agent.request("impair", timeout=TIMEOUT, request=request)
