"""Socket states through time: what the events of kind ``socket`` tell, put together by socket."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

from lab.evidence.events import Event


@dataclass(frozen=True)
class State:
    """What a socket was from one moment to the next. ``until`` is None where the run ended first."""

    name: str  # LISTEN, SYN_SENT, …; of UDP: OPEN, CONNECTED
    at: float
    until: float | None = None


@dataclass
class SocketHistory:
    """One socket of a node, from when it was first seen to when it was gone."""

    node: str
    id: int
    protocol: str  # tcp | udp
    family: int  # 4 | 6
    local: str  # "address:port", "*" for any
    remote: str
    states: list[State] = field(default_factory=list)
    receive_queue: int = 0  # as last seen; of a LISTEN socket: connections that wait to be accepted
    send_queue: int = 0
    most_received: int = 0  # the longest that the receive queue was seen
    pid: int = 0  # who has it; 0: not known
    command: str = ""

    @property
    def names(self) -> list[str]:
        """The states in their order."""
        return [state.name for state in self.states]

    @property
    def port(self) -> int:
        return _port(self.local)

    @property
    def remote_port(self) -> int:
        return _port(self.remote)

    @property
    def last(self) -> str:
        """The last state that it was seen in."""
        return self.states[-1].name

    @property
    def began(self) -> float:
        return self.states[0].at

    @property
    def ended(self) -> float | None:
        """When it was gone; None where it outlived the run."""
        return self.states[-1].until

    def alive(self, at: float) -> bool:
        return self.began <= at and (self.ended is None or at < self.ended)

    def state_at(self, at: float) -> str:
        """Its state at a moment; "" before it was there and after it was gone."""
        found = [
            state for state in self.states if state.at <= at and (state.until is None or at < state.until)
        ]
        return found[-1].name if found else ""

    def to_dict(self) -> dict[str, Any]:
        """As plain values, for a record."""
        return asdict(self) | {"names": self.names}


def socket_histories(events: Iterable[Event]) -> list[SocketHistory]:
    """The sockets in ``events`` (which are in order), in the order in which they were first seen."""
    found: list[SocketHistory] = []
    current: dict[tuple[str, int], SocketHistory] = {}
    for event in events:
        if event.kind != "socket" or event.data is None:
            continue
        data, key = event.data, (event.node, event.data["id"])
        if not data["was"] or key not in current:
            current[key] = _born(event.node, data)
            found.append(current[key])
        _go_on(current[key], event.at, data)
    return found


def _born(node: str, data: dict[str, Any]) -> SocketHistory:
    fields = {name: data[name] for name in ("id", "protocol", "family", "local", "remote")}
    return SocketHistory(node, **fields, pid=data.get("pid", 0), command=data.get("command", ""))


def _go_on(life: SocketHistory, at: float, data: dict[str, Any]) -> None:
    state = data["state"]
    if not state:  # gone: what the queues were then is as old as the last look
        life.states[-1:] = [State(s.name, s.at, at) for s in life.states[-1:]]
        return
    life.receive_queue, life.send_queue = data["receive_queue"], data["send_queue"]
    life.most_received = max(life.most_received, life.receive_queue)
    if life.states and life.last == state:
        return
    life.states[-1:] = [State(s.name, s.at, at) for s in life.states[-1:]]
    life.states.append(State(state, at))


def _port(where: str) -> int:
    port = where.rpartition(":")[2]
    return int(port) if port.isdigit() else 0
