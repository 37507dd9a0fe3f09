"""The lab's request/response over UDP: each request is carried out at most once, and answered.

    REQUEST    1 | request id: 16 bytes | token: 16 bytes | payload
    ANSWER     2 | request id           | payload
    CHALLENGE  3 | request id           | token

A network loses datagrams, doubles them and lets one overtake another. So the asking side sends a request
again, ever more rarely, until it is answered, and takes one answer for each. The answering side remembers
what it has answered and gives a duplicate the same answer without doing the work again.

Anyone can write any sender's address on a datagram. So that nobody can use the server to flood a third
party, an address is sent no more bytes than came from it until it has shown, by the token of a CHALLENGE,
that it receives what is sent to it (QUIC does the same: RFC 9000, section 8.1). A challenge is never longer
than the request that caused it: every request has room for the token.

Strategy: no socket, no clock. Datagrams and the time come in as arguments; what to send and what to do comes
out. What is remembered is bounded, and forgotten only when no duplicate can come any more: a full server
takes no new requests, and one that is half full takes them from addresses with a token only.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from lab.protocols.errors import LocalProtocolError

NOTICE_PORT, ECHO_PORT, REQUEST_PORT = 8090, 9090, 9091

MAX_DATAGRAM = 65_507  # 65,535 of IPv4 less its header (20) and that of UDP (8)
REQUEST, ANSWER, CHALLENGE = 1, 2, 3
ID_SIZE = TOKEN_SIZE = 16
NO_TOKEN = bytes(TOKEN_SIZE)
HEAD = 1 + ID_SIZE
REQUEST_HEAD = HEAD + TOKEN_SIZE
MAX_ANSWER = MAX_DATAGRAM - HEAD

FIRST_RETRY = 0.25  # seconds from sending a request to sending it again
BACK_OFF = 2.0  # by which each wait is longer than the one before
LONGEST_RETRY = 2.0
GIVE_UP = 60.0  # the most seconds that an asking side may go on
REMEMBER = 2 * GIVE_UP  # seconds after which no duplicate of a request comes any more
TOKEN_LIFE = 30.0  # a token is good for one to two of these


class Answered(NamedTuple):
    """The answer to a request that was waiting for one."""

    request_id: bytes
    payload: bytes


class Send(NamedTuple):
    """A datagram that is to be sent to the peer."""

    datagram: bytes


class Request(NamedTuple):
    """A new request, to be carried out and then given to RequestServer.answer."""

    peer: str
    request_id: bytes
    payload: bytes
    size: int  # of its datagram
    validated: bool  # the peer showed that it receives what is sent to its address


@dataclass
class _Open:
    """A request without an answer so far."""

    payload: bytes
    token: bytes  # with which it was sent last
    again_at: float
    wait: float
    give_up_at: float


class RequestClient:
    """The asking side, towards one server. Any number of requests may be open at once."""

    def __init__(self, *, first_retry: float = FIRST_RETRY, give_up: float = 10.0) -> None:
        self._first_retry = first_retry
        self._give_up = min(give_up, GIVE_UP)
        self._open: dict[bytes, _Open] = {}
        self._token = NO_TOKEN

    def __len__(self) -> int:
        return len(self._open)

    def ask(self, request_id: bytes, payload: bytes, now: float) -> bytes:
        """The datagram of a new request; ``request_id`` is 16 random bytes.

        Raises LocalProtocolError where it is too long, or the id is taken or no id.
        """
        if len(request_id) != ID_SIZE or request_id in self._open:
            raise LocalProtocolError("request-id", f"a request id is {ID_SIZE} bytes, and used once")
        _check_size(REQUEST_HEAD + len(payload))
        wait = self._first_retry
        self._open[request_id] = _Open(payload, self._token, now + wait, wait, now + self._give_up)
        return self._datagram(request_id)

    def received(self, datagram: bytes) -> Answered | Send | None:
        """What a datagram from the server leads to; None where it is garbage, late or a duplicate."""
        kind, request_id, rest = datagram[:1], datagram[1:HEAD], datagram[HEAD:]
        if request_id not in self._open:
            return None
        if kind == bytes([ANSWER]):
            del self._open[request_id]
            return Answered(request_id, rest)
        if kind != bytes([CHALLENGE]) or len(rest) != TOKEN_SIZE or rest == self._open[request_id].token:
            return None
        self._token = rest
        return Send(self._datagram(request_id))

    def due(self, now: float) -> list[bytes]:
        """The datagrams that are to be sent again by now."""
        again = [request_id for request_id, request in self._open.items() if request.again_at <= now]
        for request_id in again:
            request = self._open[request_id]
            request.wait = min(request.wait * BACK_OFF, LONGEST_RETRY)
            request.again_at = now + request.wait
        return [self._datagram(request_id) for request_id in again]

    def expired(self, now: float) -> list[bytes]:
        """The ids of the requests that are given up by now; an answer to them will be dropped."""
        ids = [request_id for request_id, request in self._open.items() if request.give_up_at <= now]
        for request_id in ids:
            del self._open[request_id]
        return ids

    def next_event(self) -> float | None:
        """When to look at ``expired`` and ``due`` again; None where nothing is open."""
        times = [min(request.again_at, request.give_up_at) for request in self._open.values()]
        return min(times, default=None)

    def _datagram(self, request_id: bytes) -> bytes:
        request = self._open[request_id]
        request.token = self._token
        return bytes([REQUEST]) + request_id + self._token + request.payload


_Key: TypeAlias = tuple[str, bytes]


@dataclass
class _Memory:
    """What is remembered of a request: since when, and its answer once there is one."""

    since: float
    answer: bytes | None = None


class RequestServer:
    """The answering side, for any number of peers. ``secret`` is random, for tokens are made of it."""

    def __init__(self, secret: bytes, *, max_requests: int = 4096, max_bytes: int = 16 << 20) -> None:
        self._secret = secret
        self._max_requests = max_requests
        self._max_bytes = max_bytes
        self._bytes = 0  # of the answers in memory
        self._memory: dict[_Key, _Memory] = {}  # oldest first

    def __len__(self) -> int:
        return len(self._memory)

    def received(self, datagram: bytes, peer: str, now: float) -> Request | Send | None:
        """What a datagram from ``peer`` leads to; None where it is garbage, or nothing is to be done.

        A Request is carried out, once; its answer goes through ``answer``. ``peer`` is its address and port.
        """
        if len(datagram) < REQUEST_HEAD or datagram[0] != REQUEST:
            return None
        self._forget(now)
        request_id, token = datagram[1:HEAD], datagram[HEAD:REQUEST_HEAD]
        validated = token != NO_TOKEN and any(
            hmac.compare_digest(token, good) for good in self._tokens(peer, now)
        )
        request = Request(peer, request_id, datagram[REQUEST_HEAD:], len(datagram), validated)
        memory = self._memory.get((peer, request_id))
        if memory is not None:
            return None if memory.answer is None else self._reply(request, memory.answer, now)
        if self._load() >= 1.0:
            return None
        if self._load() >= 0.5 and not validated:
            return Send(self._challenge(request, now))
        self._memory[peer, request_id] = _Memory(now)
        return request

    def answer(self, request: Request, payload: bytes, now: float) -> Send:
        """The reply to ``request``: its answer or, where that is longer than an unvalidated peer may be
        sent, a challenge; then the answer waits for the peer to ask again.

        Raises LocalProtocolError where the answer is too long for a datagram; the request may be answered
        again then.
        """
        _check_size(HEAD + len(payload))
        answer = bytes([ANSWER]) + request.request_id + payload
        memory = self._memory.get((request.peer, request.request_id))
        if memory is not None and memory.answer is None:
            memory.answer = answer
            self._bytes += len(answer)
        return self._reply(request, answer, now)

    def _reply(self, request: Request, answer: bytes, now: float) -> Send:
        if len(answer) > request.size and not request.validated:
            return Send(self._challenge(request, now))
        return Send(answer)

    def _challenge(self, request: Request, now: float) -> bytes:
        token = next(self._tokens(request.peer, now))
        return bytes([CHALLENGE]) + request.request_id + token

    def _tokens(self, peer: str, now: float) -> Iterator[bytes]:
        """The tokens that are good for ``peer`` now, the newest first."""
        period = int(now // TOKEN_LIFE)
        for number in (period, period - 1):
            seal = hmac.new(self._secret, f"{number} {peer}".encode(), hashlib.sha256)
            yield seal.digest()[:TOKEN_SIZE]

    def _load(self) -> float:
        return max(len(self._memory) / self._max_requests, self._bytes / self._max_bytes)

    def _forget(self, now: float) -> None:
        """Drops what is so old that no duplicate can come any more."""
        while self._memory:
            key, memory = next(iter(self._memory.items()))
            if now - memory.since < REMEMBER:
                return
            self._bytes -= len(memory.answer or b"")
            del self._memory[key]


def _check_size(size: int) -> None:
    if size > MAX_DATAGRAM:
        raise LocalProtocolError("too-long", f"a datagram of {size} bytes is above {MAX_DATAGRAM}")
