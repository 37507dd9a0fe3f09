"""Socket states over time: the history of each socket, from its SocketChanged events."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from lab.evidence.endpoint import Endpoint
from lab.evidence.events import Event, SocketChanged


@dataclass(frozen=True)
class State:
    """A state of a socket and its duration. ``until`` is None if it lasted beyond the end of the run."""

    name: str  # LISTEN, SYN_SENT, …; of UDP: OPEN, CONNECTED
    at: float
    until: float | None = None


@dataclass
class SocketHistory:
    """One socket of a node, from its first sighting until it was closed."""

    node: str
    id: int
    protocol: str  # tcp | udp
    family: int  # 4 | 6
    local: Endpoint
    remote: Endpoint
    states: list[State] = field(default_factory=list)
    receive_queue: int = 0  # bytes when last seen; for a LISTEN socket, connections not yet accepted
    send_queue: int = 0
    most_received: int = 0  # the largest receive queue that was seen
    pid: int = 0  # the process that has it open; 0 if unknown
    command: str = ""

    @property
    def names(self) -> list[str]:
        """The names of its states in order of time."""
        return [state.name for state in self.states]

    @property
    def port(self) -> int:
        return self.local.port

    @property
    def remote_port(self) -> int:
        return self.remote.port

    @property
    def last(self) -> str:
        """The last state in which it was seen."""
        return self.states[-1].name

    @property
    def began(self) -> float:
        return self.states[0].at

    @property
    def ended(self) -> float | None:
        """The time at which it was closed; None if it was open at the end of the run."""
        return self.states[-1].until

    def alive(self, at: float) -> bool:
        """Whether the socket existed at ``at``."""
        return self.began <= at and (self.ended is None or at < self.ended)

    def state_at(self, at: float) -> str:
        """Its state at ``at``; "" before its first sighting and after it was closed."""
        found = [
            state for state in self.states if state.at <= at and (state.until is None or at < state.until)
        ]
        return found[-1].name if found else ""

    def to_dict(self) -> dict[str, Any]:
        """The history as a JSON object, for a record."""
        ends = {"local": str(self.local), "remote": str(self.remote)}
        return asdict(self) | ends | {"names": self.names}


def socket_histories(events: Iterable[Event]) -> list[SocketHistory]:
    """The sockets in ``events`` (in order of time), in the order in which they were first seen."""
    found: list[SocketHistory] = []
    current: dict[tuple[str, int], SocketHistory] = {}
    for event in events:
        if not isinstance(event, SocketChanged):
            continue
        key = (event.node, event.id)
        if not event.was or key not in current:
            current[key] = _new(event)
            found.append(current[key])
        _update(current[key], event)
    return found


def _new(event: SocketChanged) -> SocketHistory:
    return SocketHistory(
        event.node,
        event.id,
        event.protocol,
        event.family,
        event.local,
        event.remote,
        pid=event.pid,
        command=event.command,
    )


def _update(history: SocketHistory, event: SocketChanged) -> None:
    if event.state:  # a closed socket keeps the queues of the last poll
        history.receive_queue, history.send_queue = event.receive_queue, event.send_queue
        history.most_received = max(history.most_received, event.receive_queue)
    if history.states and history.last == event.state:
        return
    history.states[-1:] = [replace(state, until=event.at) for state in history.states[-1:]]
    if event.state:
        history.states.append(State(event.state, event.at))
