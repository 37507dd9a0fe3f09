"""Request and response over UDP: each request is executed at most once and answered.

    REQUEST    1 | request id: 16 bytes | token: 16 bytes | payload
    ANSWER     2 | request id           | payload
    CHALLENGE  3 | request id           | token

The network loses, duplicates and reorders datagrams. The client therefore retransmits a request with
exponential backoff until it is answered, and accepts one answer per request. The server keeps its answers: a
duplicate request gets the same answer and isn't executed again.

Anyone can forge the source address of a datagram. To keep the server from being used to flood a third party,
it sends an address no more bytes than it received from there, until the client has shown that it receives at
that address: it returns the token of a CHALLENGE (QUIC does the same: RFC 9000, section 8.1). A challenge is
never longer than the request that caused it, because every request has room for the token.

This module has no socket and no clock. Datagrams and the time are arguments; datagrams to send and requests
to execute are results. The server's memory is bounded, and an answer is removed only when no duplicate can
arrive any more: a full server ignores new requests, and a half-full server accepts them only with a token.
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

FIRST_RETRY = 0.25  # seconds until the first retransmission
BACK_OFF = 2.0  # factor between one wait and the next
LONGEST_RETRY = 2.0  # seconds between retransmissions
GIVE_UP = 60.0  # the longest time in seconds that a client retransmits
REMEMBER = 2 * GIVE_UP  # seconds after which no duplicate of a request can arrive
TOKEN_LIFE = 30.0  # seconds; a token is valid for one to two of these periods


class Answered(NamedTuple):
    """The answer to an open request."""

    request_id: bytes
    payload: bytes


class Send(NamedTuple):
    """A datagram to send to the peer."""

    datagram: bytes


class Request(NamedTuple):
    """A new request: execute it and pass the result to RequestServer.answer."""

    peer: str
    request_id: bytes
    payload: bytes
    size: int  # of its datagram, in bytes
    validated: bool  # the peer has shown that it receives at its address


@dataclass
class _Open:
    """A request that hasn't been answered yet."""

    payload: bytes
    token: bytes  # the one it was last sent with
    retry_at: float
    wait: float
    give_up_at: float


class RequestClient:
    """The client's side, for one server. Any number of requests may be open at once."""

    def __init__(self, *, first_retry: float = FIRST_RETRY, give_up: float = 10.0) -> None:
        self._first_retry = first_retry
        self._give_up = min(give_up, GIVE_UP)
        self._open: dict[bytes, _Open] = {}
        self._token = NO_TOKEN

    def __len__(self) -> int:
        return len(self._open)

    def ask(self, request_id: bytes, payload: bytes, now: float) -> bytes:
        """The datagram of a new request; ``request_id`` is 16 random bytes.

        Raises LocalProtocolError if it is too long, or if the id has another size or is already in use.
        """
        if len(request_id) != ID_SIZE or request_id in self._open:
            raise LocalProtocolError("request-id", f"a request id must be {ID_SIZE} bytes and unique")
        _check_size(REQUEST_HEAD + len(payload))
        wait = self._first_retry
        self._open[request_id] = _Open(payload, self._token, now + wait, wait, now + self._give_up)
        return self._datagram(request_id)

    def received(self, datagram: bytes) -> Answered | Send | None:
        """The event that a server's datagram causes; None if it is invalid, late or a duplicate."""
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
        """The datagrams to retransmit at the time ``now``."""
        again = [request_id for request_id, request in self._open.items() if request.retry_at <= now]
        for request_id in again:
            request = self._open[request_id]
            request.wait = min(request.wait * BACK_OFF, LONGEST_RETRY)
            request.retry_at = now + request.wait
        return [self._datagram(request_id) for request_id in again]

    def expired(self, now: float) -> list[bytes]:
        """The ids of the requests that timed out by ``now``; later answers to them are ignored."""
        ids = [request_id for request_id, request in self._open.items() if request.give_up_at <= now]
        for request_id in ids:
            del self._open[request_id]
        return ids

    def next_event(self) -> float | None:
        """When to call ``expired`` and ``due`` next; None if no request is open."""
        times = [min(request.retry_at, request.give_up_at) for request in self._open.values()]
        return min(times, default=None)

    def _datagram(self, request_id: bytes) -> bytes:
        request = self._open[request_id]
        request.token = self._token
        return bytes([REQUEST]) + request_id + self._token + request.payload


_Key: TypeAlias = tuple[str, bytes]


@dataclass
class _KnownRequest:
    """A request that the server has received: when it arrived, and its answer once there is one."""

    arrived: float
    answer: bytes | None = None


class RequestServer:
    """The server's side, for any number of peers. ``secret`` must be random: tokens are derived from it."""

    def __init__(self, secret: bytes, *, max_requests: int = 4096, max_bytes: int = 16 << 20) -> None:
        self._secret = secret
        self._max_requests = max_requests
        self._max_bytes = max_bytes
        self._bytes = 0  # of all answers
        self._known: dict[_Key, _KnownRequest] = {}  # oldest first

    def __len__(self) -> int:
        return len(self._known)

    def received(self, datagram: bytes, peer: str, now: float) -> Request | Send | None:
        """The event that a datagram from ``peer`` (address and port) causes; None if it can be ignored.

        Execute a Request and pass the result to ``answer``; each request is returned only once.
        """
        if len(datagram) < REQUEST_HEAD or datagram[0] != REQUEST:
            return None
        self._remove_old(now)
        request_id, token = datagram[1:HEAD], datagram[HEAD:REQUEST_HEAD]
        validated = token != NO_TOKEN and any(
            hmac.compare_digest(token, good) for good in self._tokens(peer, now)
        )
        request = Request(peer, request_id, datagram[REQUEST_HEAD:], len(datagram), validated)
        known = self._known.get((peer, request_id))
        if known is not None:
            return None if known.answer is None else self._reply(request, known.answer, now)
        if self._load() >= 1.0:
            return None
        if self._load() >= 0.5 and not validated:
            return Send(self._challenge(request, now))
        self._known[peer, request_id] = _KnownRequest(now)
        return request

    def answer(self, request: Request, payload: bytes, now: float) -> Send:
        """The reply to ``request``: its answer, or a challenge if the answer is too long for an unvalidated
        peer. After a challenge the answer is kept until the peer sends the request again.

        Raises LocalProtocolError if the answer is too long for a datagram; the request can then be answered
        with another one.
        """
        _check_size(HEAD + len(payload))
        answer = bytes([ANSWER]) + request.request_id + payload
        known = self._known.get((request.peer, request.request_id))
        if known is not None and known.answer is None:
            known.answer = answer
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
        """The valid tokens of ``peer``, the newest first."""
        period = int(now // TOKEN_LIFE)
        for number in (period, period - 1):
            seal = hmac.new(self._secret, f"{number} {peer}".encode(), hashlib.sha256)
            yield seal.digest()[:TOKEN_SIZE]

    def _load(self) -> float:
        return max(len(self._known) / self._max_requests, self._bytes / self._max_bytes)

    def _remove_old(self, now: float) -> None:
        """Removes the requests of which no duplicate can arrive any more."""
        while self._known:
            key, known = next(iter(self._known.items()))
            if now - known.arrived < REMEMBER:
                return
            self._bytes -= len(known.answer or b"")
            del self._known[key]


def _check_size(size: int) -> None:
    if size > MAX_DATAGRAM:
        raise LocalProtocolError(
            "too-long", f"a datagram of {size} bytes exceeds the limit of {MAX_DATAGRAM}"
        )
