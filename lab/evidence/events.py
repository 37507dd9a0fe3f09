"""Events: what a run consists of, each at one moment on the controller's clock."""

from __future__ import annotations

import codecs
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias

Kind: TypeAlias = Literal[
    "start",
    "stdout",
    "stderr",
    "exit",
    "fault",
    "link",
    "note",
    "variant",
    "socket",
    "counter",
    "packet",
    "verdict",
]


@dataclass(frozen=True)
class Event:
    """Something that happened. ``at`` is seconds since the epoch; ``node`` is a host's or router's name,
    or "lab"; ``program`` numbers the programs of a run, from 1 (0: none); ``text`` is one line.

    ``data`` says more to machines. What it holds depends on the kind:

    socket   a socket of the host changed: id (the same through its life), protocol (tcp | udp), family (4, or
             6, which takes IPv4 too unless it is told not to), local and remote ("address:port", IPv6 in
             brackets, "*" for any), state (LISTEN …; of UDP OPEN or CONNECTED; "" when it is gone),
             was (the state before, "" when it is new), receive_queue and send_queue (bytes; of a LISTEN
             socket: connections that wait, and the backlog), pid and command of who has it (of LISTEN and
             UDP sockets, where it can be told)
    counter  a counter of the host's kernel moved: name ("Udp.RcvbufErrors"), value, change
    fault    something was done to a host: fault (the text of its beginning), edge (begin | end)
    link     the link was changed: asked (LinkSettings), backend; or it was measured: measured (checks by
             direction); or it doesn't do what it should: failure
    packet   a packet that passed: segment and number (in its capture), source and destination
             ("address:port"), protocol, flags, length, fate and mark (see transits), arrived (the time at
             which it was seen past the router; None where it wasn't)
    """

    at: float
    node: str
    kind: Kind
    text: str
    program: int = 0
    data: dict[str, Any] | None = None

    def as_json(self) -> dict[str, Any]:
        """As it stands in events.jsonl; without ``data`` where there is none."""
        fields = asdict(self)
        if self.data is None:
            del fields["data"]
        return fields

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> Event:
        return cls(**fields)


Observe: TypeAlias = Callable[[Event], None]


MAX_LINE = 8192  # characters; a longer line is passed on in pieces


class Lines:
    """Cuts one output stream into lines as its bytes come; what isn't UTF-8 is shown escaped."""

    def __init__(self, on_line: Callable[[str], None]) -> None:
        self._on_line = on_line
        self._decoder = codecs.getincrementaldecoder("utf-8")("backslashreplace")
        self._rest = ""

    def feed(self, data: bytes) -> None:
        *lines, self._rest = (self._rest + self._decoder.decode(data)).split("\n")
        for line in lines:
            self._pass_on(line)
        while len(self._rest) > MAX_LINE:
            self._on_line(self._rest[:MAX_LINE])
            self._rest = self._rest[MAX_LINE:]

    def end(self) -> None:
        """Passes on a last line that has no line end."""
        last = self._rest + self._decoder.decode(b"", final=True)
        self._rest = ""
        if last:
            self._pass_on(last)

    def _pass_on(self, line: str) -> None:
        self._on_line(line.removesuffix("\r"))
