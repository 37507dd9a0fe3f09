"""Resets a lab: each node returns to the state in which it came up, or is replaced by a new one.

All nodes are reset at the same time, each by its own agent (lab/agent/reset). The controller does the
part that needs the engine: a node that is off or paused, files that root has changed, replacement, and the
users' containers.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from lab.control.host import Host
from lab.errors import EnvironmentFailure, HostTimeout, Unsupported
from lab.locale import Message, message

WORKERS = 16  # threads
RESET_TIMEOUT = 10.0  # seconds for a node to reset itself; with thousands of processes it takes several
ATTEMPTS = 3  # with the agent that runs, with a new one, and over a new connection

# By the kind of a finding of lab/agent/reset.
TEXTS = {
    "process": message("processes were left: {items}"),
    "service": message("processes of the node itself had ended: {items}"),
    "stopped": message("processes of the node itself were stopped: {items}"),
    "limit": message("limits or priorities of the node's own processes had changed: {items}"),
    "socket": message("sockets were left: {items}"),
    "file": message("files had changed: {items}"),
    "link": message("interfaces had changed: {items}"),
    "address": message("addresses had changed: {items}"),
    "route": message("routes had changed: {items}"),
    "rule": message("routing rules had changed: {items}"),
    "qdisc": message("queueing disciplines had changed: {items}"),
    "neighbour": message("neighbours had been added: {items}"),
    "filter": message("tables of the packet filter had changed: {items}"),
    "impairment": message("a link was impaired or cut"),
    "sysctl": message("sysctls had changed: {items}"),
    "hostname": message("its host name had changed: {items}"),
    "mount": message("mounts had changed: {items}"),
    "ipc": message("System V IPC objects were left: {items}"),
    "power": message("it was off or paused"),
    "agent": message("its agent didn't answer: {items}"),
    "root file": message("root had changed files: {items}"),
}


@dataclass(frozen=True)
class Finding:
    """A difference between a node and the state in which it came up. ``kind`` is a key of TEXTS."""

    kind: str
    text: Message
    undone: bool = True  # without replacing the node

    @classmethod
    def of(cls, kind: str, items: Sequence[str], *, undone: bool = True) -> Finding:
        return cls(kind, Message(TEXTS[kind].text, {"items": ", ".join(items)}), undone)


@dataclass
class NodeReset:
    """The reset of one node. ``replaced``: it was replaced by a new one; ``workload_replaced``: the user's
    container on it was.
    """

    node: str
    findings: list[Finding] = field(default_factory=list)
    replaced: bool = False
    workload_replaced: bool = False
    seconds: float = 0.0

    @property
    def came_up(self) -> bool:
        """True if it, or the container on it, has come up during the reset."""
        return (
            self.replaced
            or self.workload_replaced
            or any(finding.kind == "power" for finding in self.findings)
        )

    @property
    def is_clean(self) -> bool:
        """True if nothing differed."""
        return not (self.findings or self.workload_replaced)

    def to_dict(self) -> dict[str, Any]:
        found = [{"kind": each.kind, "text": str(each.text), "undone": each.undone} for each in self.findings]
        return {
            "node": self.node,
            "findings": found,
            "replaced": self.replaced,
            "workload_replaced": self.workload_replaced,
            "seconds": round(self.seconds, 4),
        }


@dataclass(frozen=True)
class ResetReport:
    """The reset of a lab."""

    nodes: tuple[NodeReset, ...]
    seconds: float

    @property
    def is_clean(self) -> bool:
        """True if no node differed from the state in which it came up."""
        return all(node.is_clean for node in self.nodes)

    @property
    def replaced(self) -> tuple[str, ...]:
        """The names of the nodes that were replaced."""
        return tuple(node.node for node in self.nodes if node.replaced)

    def to_dict(self) -> dict[str, Any]:
        return {"nodes": [node.to_dict() for node in self.nodes], "seconds": round(self.seconds, 4)}


def reset(hosts: Sequence[Host], *, skip: Sequence[str] = ()) -> ResetReport:
    """Resets all nodes at the same time. ``skip`` has classes of differences that are ignored, for tests.

    Raises Unsupported for real machines, and EnvironmentFailure if a node can be neither reset nor replaced.
    """
    started = time.monotonic()
    with ThreadPoolExecutor(max_workers=WORKERS) as pool:
        nodes = tuple(pool.map(lambda host: _NodeResetter(host, skip).run(), hosts))
        if any(node.came_up for node in nodes):  # its first packets have left traces on all nodes
            list(pool.map(lambda host: _NodeResetter(host, skip).run_again(), hosts))
    return ResetReport(nodes, time.monotonic() - started)


class _NodeResetter:
    """Resets one node."""

    def __init__(self, host: Host, skip: Sequence[str]) -> None:
        self._host, self._skip = host, skip
        self._report = NodeReset(host.name)
        self._traffic = True  # packets may have reached the node since the last reset

    def run(self) -> NodeReset:
        started = time.monotonic()
        self._restore_power()
        if self._host.is_connected:
            self._host.connect().close_files()
        self._reset_by_agent()
        if not all(finding.undone for finding in self._report.findings):
            self._replace()
        elif self._workload_took_part():
            self._host.power.replace_workload()
            self._report.workload_replaced = True
        self._host.was_used = False
        self._report.seconds = time.monotonic() - started
        return self._report

    def run_again(self) -> None:
        """Resets a node that was just reset or replaced. Raises EnvironmentFailure if it can't be."""
        self._reset_by_agent()
        if left := [finding for finding in self._report.findings if not finding.undone]:
            raise EnvironmentFailure(
                message("{host} can't be reset: {reason}", host=self._host.title, reason=left[0].text)
            )

    def _restore_power(self) -> None:
        if self._host.power.restore():
            self._found("power")

    def _reset_by_agent(self) -> None:
        answer = self._answer()
        if answer is None:
            return
        self._traffic = answer["traffic"]
        for each in answer["findings"]:
            self._found(each["kind"], each["items"], undone=each["undone"])
        if files := self._host.power.unexpected_files(answer["places"]):
            self._found("root file", files[:5], undone=False)

    def _answer(self) -> dict[str, Any] | None:
        """The agent's answer; None if there is none, so that the node must be replaced."""
        for attempt in range(ATTEMPTS):
            try:
                helpers = [helper.pid for helper in self._host.helpers if helper.pid and not helper.ended]
                return self._host.agent.request(
                    "reset",
                    timeout=RESET_TIMEOUT,
                    helpers=helpers,
                    shared=bool(self._host.node.workload),
                    skip=list(self._skip),
                )
            except Unsupported:
                raise
            except (EnvironmentFailure, HostTimeout) as error:
                is_last = attempt == ATTEMPTS - 1
                self._found("agent", [str(error)], undone=not is_last)
                self._host.agent.abandon()
                self._restore_power()  # a node ends with its sshd
                if attempt == ATTEMPTS - 2:
                    self._host.disconnect()
        return None

    def _workload_took_part(self) -> bool:
        """True if the user's container may have changed since the last reset: a packet reached its host, or a
        command ran on its host or in it. Its state can't be compared, so it is replaced then.
        """
        host = self._host
        if host.workload is None or host.node.keeps_workload:
            return False
        ran = host.power.workload_was_used()
        return ran or host.was_used or self._traffic or not self._report.is_clean

    def _replace(self) -> None:
        self._host.disconnect()
        self._host.power.replace()
        self._report.replaced = True
        self._report.workload_replaced = self._host.workload is not None
        self._host.plug_in()

    def _found(self, kind: str, items: Sequence[str] = (), *, undone: bool = True) -> None:
        self._report.findings.append(Finding.of(kind, items, undone=undone))
