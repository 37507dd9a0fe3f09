"""The op ``impair``: impairs the links of a router, in the root half. The settings stay in force afterwards.

{"op": "impair", "request": …}, where the request is one of these:
  {"op": "show"}
  {"op": "clear", "interfaces": {SEGMENT: ADDRESS, ...}}
  {"op": "apply", "interfaces": ..., "between": [SEGMENT, SEGMENT], "link": ..., "seed": "7",
   "backend": null, "counted": null, "nat": false}
  {"op": "partition", "interfaces": ..., "partition": {"sets": [[ADDRESS, ...], ...], "one_way": false}}
  {"op": "heal", "interfaces": ..., "id": ID}
"interfaces" maps each segment to the router's address on it. "apply" replaces the settings of the link
between two segments; the other links stay as they are. lab/link/settings.py defines "link",
lab/link/partition.py "partition"; "heal" ends one partition.
"backend" is netem, nfqueue or statistic; null keeps the current one, or selects the best one that works.
A null "seed" keeps the current seed. "counted" lists the initial counters of each drop, [matched, dropped];
null keeps the counters of the drops that stay. "nat": the router translates addresses.
The answer has the capabilities of the kernel ("can"), and the links with settings and the partitions before
("before") and after ("now"); "unsupported" has what the kernel can't do.
"""

from __future__ import annotations

import fcntl
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from lab.agent.lines import USAGE, JsonObject, Refused
from lab.agent.link import kernel_settings, packet_queue_process, router_state
from lab.agent.link.packet_queue import QueueWorker
from lab.agent.link.router_state import STATE, RouterState
from lab.link import traffic_control as tc
from lab.link.partition import MAX_PARTITIONS, Partition
from lab.link.settings import LinkSettings
from lab.link.traffic_control import Interfaces
from lab.protocols.errors import ProtocolError

if TYPE_CHECKING:
    from lab.agent.agent import Agent
    from lab.agent.peer import Steps

MAX_QUEUE = 60_000  # of 65,535: the numbers from here on are for trials


def impair(agent: Agent, request: JsonObject) -> Steps:
    """The op ``impair``: passes "request" on to the root half."""
    return (yield agent.root, {"op": "impair", "request": request.get("request")})


def impair_as_root(request: JsonObject) -> JsonObject:
    """Carries out the request. Raises Refused."""
    if not _is_router():
        raise Refused("only a router impairs links", USAGE)
    try:
        return _handle(request.get("request"))
    except ProtocolError as error:
        raise Refused(str(error), USAGE) from error


def _is_router() -> bool:
    """True if this node is a router, according to the file that boot writes for shells."""
    with suppress(OSError):
        return "role=router" in (STATE / "node").read_text().splitlines()
    return False


def _handle(request: object) -> JsonObject:
    if not isinstance(request, dict) or request.get("op") not in ("show", *_CHANGES):
        raise Refused(f"the request has no op: expected show, {', '.join(_CHANGES)}", USAGE)
    STATE.mkdir(mode=0o755, exist_ok=True)
    with _locked():
        return _carry_out(request)


def _carry_out(request: JsonObject) -> JsonObject:
    before = router_state.read()
    shown = before.as_json()
    answer: JsonObject = {"can": before.can, "before": shown, "now": shown}
    if request["op"] == "show":
        return answer
    interfaces = kernel_settings.interfaces_with(request.get("interfaces"))
    try:
        now = _CHANGES[request["op"]](request, interfaces, before)
    except _Unsupported as error:
        return answer | {"unsupported": error.missing, "backend": error.backend}
    now.write()
    return answer | {"now": now.as_json()}


def _apply(request: JsonObject, interfaces: Interfaces, before: RouterState) -> RouterState:
    """Replaces the settings of one link. Packets that are already queued keep the decision made on them."""
    between = _between(request.get("between"), interfaces)
    own = interfaces.between(between)
    link = LinkSettings.from_json(request.get("link", {}))
    link.check_directions(own.directions)
    old = before.link(between)
    previous = router_state.link_with_counters(old) if old else {}
    seed = _seed(request.get("seed"), previous)
    counted = _counted(request.get("counted"), link, previous)
    backend = kernel_settings.choose_backend(request.get("backend") or previous.get("backend"), before.can)
    if missing := kernel_settings.unsupported(backend, link, own, before.can):
        raise _Unsupported(missing, backend)
    others = replace(before.without(old), nat=request.get("nat") is True)
    with _all_removed_on_failure(interfaces, before):
        if link.is_nothing:
            kernel_settings.set_rules(others.rules(interfaces))  # first, so that no more packets are queued
            kernel_settings.set_qdiscs(own, {})
            _dismiss(old, signal.SIGUSR1)
            return others
        queues = _free_queues(link, own, before) if backend == "nfqueue" else {}
        new = router_state.new_link(between, link, seed, backend, queues)
        new["worker"] = _start_worker(new, link, own, counted)
        now = replace(others, links=(*others.links, new))
        try:
            kernel_settings.set_rules(now.rules(interfaces))
            kernel_settings.set_qdiscs(own, router_state.qdiscs_of(new, own))
        except BaseException:
            _dismiss(new, signal.SIGKILL)
            raise
        _dismiss(old, signal.SIGTERM)
        return now


def _partition(request: JsonObject, interfaces: Interfaces, before: RouterState) -> RouterState:
    """Adds a partition to those in force."""
    partition = Partition.from_json(request.get("partition"))
    if len(before.partitions) >= MAX_PARTITIONS:
        raise Refused(f"there are {MAX_PARTITIONS} partitions already", USAGE)
    now = replace(before, partitions=(*before.partitions, router_state.new_partition(partition)))
    return _with_rules(now, interfaces, before)


def _heal(request: JsonObject, interfaces: Interfaces, before: RouterState) -> RouterState:
    """Ends one partition, if it is still in force."""
    gone = next((state for state in before.partitions if state["id"] == request.get("id")), None)
    return _with_rules(before.without(gone), interfaces, before)


def _clear(_: JsonObject, interfaces: Interfaces, before: RouterState) -> RouterState:
    """Removes all settings and partitions. The rules go first, so that no more packets are queued."""
    kernel_settings.set_rules({})
    kernel_settings.remove_qdiscs(interfaces)
    for link in before.links:
        _dismiss(link, signal.SIGUSR1)
    now = RouterState(before.can)
    now.write()
    return now


_CHANGES: dict[str, Callable[[JsonObject, Interfaces, RouterState], RouterState]] = {
    "apply": _apply,
    "clear": _clear,
    "partition": _partition,
    "heal": _heal,
}


class _Unsupported(Exception):
    """The backend doesn't support these settings here."""

    def __init__(self, missing: list[str], backend: str) -> None:
        self.missing, self.backend = missing, backend


def _with_rules(now: RouterState, interfaces: Interfaces, before: RouterState) -> RouterState:
    with _all_removed_on_failure(interfaces, before):
        kernel_settings.set_rules(now.rules(interfaces))
    return now


@contextmanager
def _all_removed_on_failure(interfaces: Interfaces, before: RouterState) -> Iterator[None]:
    """If a change fails half-way, nothing is in force, instead of something that nobody asked for."""
    try:
        yield
    except BaseException:
        _clear({}, interfaces, before)
        raise


def _between(asked: object, interfaces: Interfaces) -> list[str]:
    """The two segments of the link, in the order of the router's interfaces."""
    if not isinstance(asked, list) or not all(isinstance(segment, str) for segment in asked):
        raise Refused("the request has no two segments to link", USAGE)
    interfaces.between(asked)  # raises if there is no such link
    return sorted(asked, key=list(interfaces.by_segment).index)


def _start_worker(
    new: JsonObject, link: LinkSettings, interfaces: Interfaces, counted: list[list[int]]
) -> packet_queue_process.Worker | None:
    """Starts the process that serves the link's queues, if there are any."""
    counters = router_state.counters_of(new)
    for number, pair in enumerate(counted):
        counters.drop(number)[0], counters.drop(number)[1] = pair
    if not new["queues"]:
        return None
    queues, priority = new["queues"], interfaces.priority
    return packet_queue_process.start(lambda: QueueWorker(link, new["seed"], queues, counters, priority))


def _free_queues(link: LinkSettings, interfaces: Interfaces, before: RouterState) -> dict[str, int]:
    """Queue numbers that no process uses: the link's old one still runs when the new one starts."""
    last = max(before.queues, default=0)
    free = (
        number for number in (*range(last + 1, MAX_QUEUE), *range(1, last)) if number not in before.queues
    )
    return dict(zip(tc.queued_directions(link, interfaces.directions), free, strict=False))


def _dismiss(link: JsonObject | None, number: signal.Signals) -> None:
    if link:
        packet_queue_process.send_signal(link.get("worker"), number)


def _seed(asked: object, previous: JsonObject) -> str:
    seed = previous.get("seed", "0") if asked is None else asked
    if not isinstance(seed, str) or len(seed) > 200:
        raise Refused("the seed is not a string, or has more than 200 characters", USAGE)
    return seed


def _counted(asked: object, link: LinkSettings, previous: JsonObject) -> list[list[int]]:
    """The initial counters of each drop."""
    if asked is None:
        drops = LinkSettings.from_json(previous.get("link", {})).drops
        known = dict(zip(drops, previous.get("drops", ()), strict=False))
        return [known.get(drop, [0, 0]) for drop in link.drops]
    if not isinstance(asked, list) or len(asked) != len(link.drops) or not all(map(_is_pair, asked)):
        raise Refused("counted must have [matched, dropped] for each drop", USAGE)
    return asked


def _is_pair(value: object) -> bool:
    return (
        isinstance(value, list) and len(value) == 2 and all(type(n) is int and 0 <= n < 2**63 for n in value)
    )


@contextmanager
def _locked() -> Iterator[None]:
    """Holds a lock, so that one request is processed at a time. Only root can open the file: a program that
    could read it could hold the lock, too.
    """
    with open(os.open(STATE / "lock", os.O_WRONLY | os.O_CREAT, 0o600), "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
