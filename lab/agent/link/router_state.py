"""The settings in force on the router: of each link, and its partitions.

They are in a file that only root can write. The state of a link or partition has an ``id``: that of the
request that made it.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from lab.agent.link import kernel_settings, packet_queue_process
from lab.agent.link.packet_queue import COUNTED, Counters
from lab.link import packet_filter
from lab.link.packet_filter import FAMILIES, TAG
from lab.link.partition import Partition
from lab.link.settings import LinkSettings
from lab.link.traffic_control import Interfaces, qdiscs
from lab.sockets.netlink.nfqueue import overflowed

JsonObject: TypeAlias = dict[str, Any]

STATE = Path("/run/socketlab")


@dataclass(frozen=True)
class RouterState:
    """The links that have settings, and the partitions. ``can`` are the capabilities of the kernel."""

    can: JsonObject
    links: tuple[JsonObject, ...] = ()
    partitions: tuple[JsonObject, ...] = ()
    nat: bool = False  # the router translates addresses

    @property
    def is_nothing(self) -> bool:
        return not (self.links or self.partitions)

    @property
    def queues(self) -> list[int]:
        """The numbers of the queues in use."""
        return [number for link in self.links for number in link["queues"].values()]

    def link(self, segments: Sequence[str]) -> JsonObject | None:
        return next((link for link in self.links if set(link["between"]) == set(segments)), None)

    def without(self, gone: JsonObject | None) -> RouterState:
        """All but one link or partition."""
        links = tuple(link for link in self.links if link is not gone)
        partitions = tuple(partition for partition in self.partitions if partition is not gone)
        return RouterState(self.can, links, partitions, self.nat)

    def rules(self, interfaces: Interfaces) -> dict[int, dict[str, list[str]]]:
        """The rules of all of them, by IP version and table."""
        links = [
            rule for link in self.links for rule in _link_rules(link, interfaces.between(link["between"]))
        ]
        # The router can't translate addresses without tracking connections.
        raw = packet_filter.untracked(interfaces) if links and self.can["notrack"] and not self.nat else []
        return {
            version: {"raw": raw, "mangle": [*self._partition_rules(version), *links]} for version in FAMILIES
        }

    def _partition_rules(self, version: int) -> list[str]:
        return [rule for state in self.partitions for rule in _rules_of_partition(state, version)]

    def as_json(self) -> JsonObject:
        """The state with its counters, and whether each part is still in force."""
        saved = {version: kernel_settings.saved_rules(version) for version in FAMILIES if self.partitions}
        return {
            "links": [link_with_counters(link) for link in self.links],
            "partitions": [_partition_with_counters(partition, saved) for partition in self.partitions],
        }

    def write(self) -> None:
        """Replaces the file, or removes it if nothing is in force. Removes the counters of former links."""
        file = STATE / "link.json"
        if self.is_nothing:
            file.unlink(missing_ok=True)
        else:
            temporary = file.with_suffix(".part")
            state = {"boot": boot(), "links": self.links, "partitions": self.partitions, "nat": self.nat}
            temporary.write_text(json.dumps(state))
            temporary.rename(file)
        kept = {link["counters"] for link in self.links}
        for old in STATE.glob("counters-*"):
            if old.name not in kept:
                old.unlink()


def read() -> RouterState:
    """The state in force. Nothing is in force if nothing was set since the router started."""
    can = _capabilities()
    with suppress(FileNotFoundError, ValueError, KeyError):
        state = json.loads((STATE / "link.json").read_text())
        if state["boot"] == boot():
            return RouterState(can, tuple(state["links"]), tuple(state["partitions"]), state["nat"])
    return RouterState(can)


def _capabilities() -> JsonObject:
    """The capabilities of the kernel, determined once after each start of the router."""
    file = STATE / "can.json"
    with suppress(FileNotFoundError, ValueError):
        known: JsonObject = json.loads(file.read_text())
        if known["boot"] == boot():
            return known
    can = {"boot": boot(), **kernel_settings.capabilities()}
    temporary = file.with_suffix(".part")
    temporary.write_text(json.dumps(can))
    temporary.rename(file)
    return can


def boot() -> str:
    """Identifies this start of the router."""
    return packet_queue_process.start_time(1)


def new_link(
    between: Sequence[str], link: LinkSettings, seed: str, backend: str, queues: Mapping[str, int]
) -> JsonObject:
    name = _new_id()
    return {
        "id": name,
        "between": list(between),
        "link": link.as_json(),
        "seed": seed,
        "backend": backend,
        "queues": dict(queues),
        "since": time.time(),
        "counters": f"counters-{name}",
        "worker": None,
    }


def new_partition(partition: Partition) -> JsonObject:
    return {"id": _new_id(), "partition": partition.as_json(), "since": time.time()}


def _new_id() -> str:
    return os.urandom(8).hex()


def counters_of(link: JsonObject) -> Counters:
    return packet_queue_process.map_counters(STATE / link["counters"], tuple(link["queues"]))


def qdiscs_of(link: JsonObject, interfaces: Interfaces) -> dict[str, list[str]]:
    """The arguments for tc of each direction with a qdisc."""
    settings = LinkSettings.from_json(link["link"])
    return qdiscs(settings, interfaces, link["backend"], int.from_bytes(link["seed"].encode()) % 2**63)


def _link_rules(link: JsonObject, interfaces: Interfaces) -> list[str]:
    return packet_filter.link_rules(
        LinkSettings.from_json(link["link"]),
        interfaces,
        queues=link["queues"] if link["backend"] == "nfqueue" else None,
        shaped=qdiscs_of(link, interfaces),
        statistic=link["backend"] == "statistic",
        tag=link["id"][:TAG],
    )


def _rules_of_partition(state: JsonObject, version: int) -> list[str]:
    return packet_filter.partition_rules(Partition.from_json(state["partition"]), state["id"][:TAG], version)


def link_with_counters(link: JsonObject) -> JsonObject:
    """The state of a link with its counters, and whether its process is alive."""
    worker, counters = link["worker"], counters_of(link)
    counts = {
        name: dict(zip(COUNTED, counters.row(name), strict=True)) | {"overflowed": overflowed(number)}
        for name, number in link["queues"].items()
    }
    drops = [list(counters.drop(n)) for n in range(len(link["link"]["drops"]))]
    if link["backend"] != "nfqueue":
        drops = []  # iptables counts, separately for IPv4 and IPv6
    alive = worker is None or packet_queue_process.is_alive(worker)
    return link | {"alive": alive, "counts": counts, "drops": drops}


def _partition_with_counters(state: JsonObject, saved: Mapping[int, str]) -> JsonObject:
    tag, cuts = state["id"][:TAG], Partition.from_json(state["partition"]).cuts
    counted = [packet_filter.dropped_packets(text, tag) for text in saved.values()]
    alive = all(
        packet_filter.in_force(text, _rules_of_partition(state, version)) for version, text in saved.items()
    )
    dropped = [[*cut, sum(count.get(cut, 0) for count in counted)] for cut in cuts]
    return state | {"alive": alive, "dropped": dropped}
