"""The op ``probe``: a child of the agent sends and receives probes, so that nothing disturbs their timing.

Its steps, each a request:
    {"step": "listen", "peer": ADDRESS, "port": PORT, "opens": false}   answered with its own address
    {"step": "opened", "seconds": 2.0}              whether the peer's first datagram has come in time
    {"step": "send", "count": 2000, "interval": 0.0005, "train": 0}     answered when they are sent
    {"step": "stop"}                                 answered with the results; ends the child
    {"step": "abandon"}                              ends the child, if there is one

If "opens", it sends datagrams from the beginning until the peer has answered, which is necessary if only
answers can reach this host.
"""

from __future__ import annotations

import select
import time
from typing import TYPE_CHECKING, Any, TypeGuard

from lab.agent.lines import USAGE, JsonObject, Lines, Refused, parse
from lab.agent.link.probe import Probe
from lab.agent.peer import Steps, fork
from lab.link import PROBE_PORT
from lab.sockets.prober import ProbeSocket

if TYPE_CHECKING:
    from lab.agent.agent import Agent

NAME = "the probe"
OPENER_INTERVAL = 0.05  # seconds
MAX_COUNT = 1_000_000


def probe(agent: Agent, request: JsonObject) -> Steps:
    """Passes a step on to the child; the first one starts it."""
    step = request.get("step")
    if step in ("listen", "abandon"):
        for old in [peer for peer in agent.peers if peer.name == NAME]:
            agent.end(old)
    if step == "abandon":
        return {}
    child = fork(NAME, _run) if step == "listen" else agent.child(NAME)
    if step == "listen":
        agent.peers.append(child)
    return (yield child, request)


def _run(lines: Lines) -> None:
    """Runs in the child: carries out the steps, and answers the peer's first datagrams in between."""
    side: _Side | None = None
    while not lines.ended:
        readers: list[Lines | ProbeSocket] = [lines, side.socket] if side else [lines]
        select.select(readers, [], [], side.pause if side else None)
        if side:
            side.serve_opening()
        for line in lines.receive():
            try:
                request = parse(line)
                side = side or _Side(request)
                answer = {"ok": side.carry_out(request)}
            except Refused as error:
                answer = error.as_json()
            except OSError as error:
                file = f"{error.filename}: " if error.filename else ""
                answer = Refused(f"{file}{error.strerror}").as_json()
            lines.add(answer)
            lines.flush_all()
            if side is None or side.is_done:
                return


class _Side:
    """The probes of this host."""

    def __init__(self, request: JsonObject) -> None:
        """Opens the socket. Raises Refused, OSError."""
        peer, port, opens = request.get("peer"), request.get("port", PROBE_PORT), request.get("opens")
        if not isinstance(peer, str) or type(port) is not int or not 0 <= port < 65536:
            raise Refused("a probe needs a peer and a port", USAGE)
        self.socket = ProbeSocket(port, peer)
        self.is_done = False
        self._probe = Probe(self.socket)
        self._opens = opens is True

    @property
    def pause(self) -> float | None:
        """Seconds to wait at most for the next datagram."""
        return OPENER_INTERVAL if self._opens and not self._probe.opened else None

    def serve_opening(self) -> None:
        """Receives what has arrived. Sends an OPENER if the peer needs one."""
        seen = self._probe.openers
        self._probe.receive(0.0)
        needed = not self._probe.opened if self._opens else self._probe.openers > seen
        if needed:
            self._probe.open()

    def carry_out(self, request: JsonObject) -> JsonObject:
        """The answer to a step. Raises Refused."""
        match request.get("step"):
            case "listen":
                return {"host": self.socket.address[0], "port": self.socket.address[1]}
            case "opened":
                return {"opened": self._wait_until_opened(request.get("seconds"))}
            case "send":
                return self._send(request)
            case "stop":
                self.is_done = True
                return self._probe.result()
        raise Refused("unknown step: expected listen, opened, send, stop or abandon", USAGE)

    def _wait_until_opened(self, seconds: Any) -> bool:
        if not _is_number(seconds, 60):
            raise Refused("seconds must be 0 to 60", USAGE)
        until = time.monotonic() + seconds
        while not self._probe.opened and (left := until - time.monotonic()) > 0:
            select.select([self.socket], [], [], min(left, OPENER_INTERVAL))
            self.serve_opening()
        return self._probe.opened

    def _send(self, request: JsonObject) -> JsonObject:
        count, interval, train = (request.get(key) for key in ("count", "interval", "train"))
        if not (_is_count(count) and _is_count(train) and _is_number(interval, 60)):
            raise Refused("count and train must be counts, and interval seconds", USAGE)
        self._probe.send(count, interval, train)
        return {"offered": self._probe.offered, "late": self._probe.late}


def _is_count(value: object) -> TypeGuard[int]:
    return type(value) is int and 0 <= value <= MAX_COUNT


def _is_number(value: object, most: float) -> TypeGuard[float]:
    return isinstance(value, int | float) and 0 <= value <= most
