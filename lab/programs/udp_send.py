"""The sender of lab-udp."""

from __future__ import annotations

import argparse
import contextlib
import errno
import os
import time
from collections.abc import Iterator

from lab.locale import _
from lab.programs.console import OK, TIMEOUT, USAGE, Console, Failure, input_lines
from lab.protocols.echo import QUIT, encode
from lab.protocols.printable import shown
from lab.protocols.udp import Answered, RequestClient, Send
from lab.sockets.datagram import Datagrams
from lab.sockets.deadline import Deadline

TIMEOUTS = {"notice": 1.0, "echo": 5.0, "request": 10.0}  # seconds to wait for an answer or a refusal


def send(options: argparse.Namespace) -> int:
    """Carries out ``options``. Returns the exit code; raises Failure, OSError, ProtocolError."""
    console = Console(as_json=options.json)
    payloads = make_payloads(options)
    link = Datagrams(options.host, options.port, local_port=options.bind, connected=options.connect)
    timeout = options.timeout or TIMEOUTS[options.mode]
    with link, errors_explained(link):
        if options.mode == "notice":
            return send_notices(console, link, payloads, timeout)
        if options.mode == "echo":
            return send_echoes(console, link, payloads, timeout)
        one_by_one = options.size is None and not options.text  # they may be typed by a person
        window = 1 if one_by_one else options.window
        return Requests(console, link, window, options.retry, timeout).send(payloads)


@contextlib.contextmanager
def errors_explained(link: Datagrams) -> Iterator[None]:
    """Replaces the errors of UDP sockets with explanations."""
    try:
        yield
    except ConnectionRefusedError:
        text = _("{peer}: Connection refused: the host reports that nothing listens on this port")
        raise Failure(text.format(peer=link.peer)) from None
    except OSError as error:
        if error.errno != errno.EMSGSIZE:
            raise
        text = _("the datagram is too long and was not sent: over IPv4 the limit is 65507 bytes (EMSGSIZE)")
        raise Failure(text, USAGE) from None


def make_payloads(options: argparse.Namespace) -> Iterator[bytes]:
    """The datagrams to send: generated (--size), from the arguments, or from standard input."""
    if options.size is not None:
        if options.text:
            raise Failure(_("--size generates its own datagrams: omit TEXT"), USAGE)
        return (filler(number, options.size) for number in range(1, options.count + 1))
    texts = [encode(text) for text in options.text]  # checks all of them before the first is sent
    source = iter(texts) if texts else typed()
    return (text for text in source for _ in range(options.count))


def filler(number: int, size: int) -> bytes:
    """``size`` bytes, different for each ``number`` if ``size`` allows it."""
    line = f"datagram {number} of {size} bytes, ".encode()
    return (line * (size // len(line) + 1))[:size]


def typed() -> Iterator[bytes]:
    for text in input_lines():
        if text == QUIT:
            return
        yield encode(text)


def send_notices(console: Console, link: Datagrams, payloads: Iterator[bytes], timeout: float) -> int:
    """Sends all datagrams. On a connected socket it waits for a refusal after each."""
    for payload in payloads:
        send_one(console, link, payload)
        if link.connected:
            with contextlib.suppress(TimeoutError):  # no refusal came
                link.recv(Deadline(timeout))
    return OK


def send_one(console: Console, link: Datagrams, payload: bytes) -> None:
    link.send(payload)
    size = len(payload)
    text = f"sent {size} bytes from port {link.local_port} to {link.peer}"
    console.say("sent", text, size=size, local_port=link.local_port, peer=link.peer)


def send_echoes(console: Console, link: Datagrams, payloads: Iterator[bytes], timeout: float) -> int:
    """Sends each datagram and waits for its echo; one that doesn't come back is reported as lost."""
    lost = 0
    for payload in payloads:
        link.send(payload)
        try:
            answer = receive_echo(link, payload, Deadline(timeout))
            console.say("answer", shown(answer) or "(no bytes)", size=len(answer), text=shown(answer))
        except TimeoutError:
            lost += 1
            console.say("lost", f"{len(payload)} bytes didn't come back", size=len(payload))
    if lost:
        text = _("{count} unanswered, each after {seconds:g} s")
        if not link.connected:
            text = _(
                "{count} unanswered, each after {seconds:g} s; use --connect to see whether anything listens"
            )
        raise Failure(text.format(count=lost, seconds=timeout), TIMEOUT)
    return OK


def receive_echo(link: Datagrams, payload: bytes, deadline: Deadline) -> bytes:
    """The echo of ``payload``. Late echoes of earlier datagrams are dropped."""
    while True:
        data = link.recv(deadline)
        if data == payload:
            return data


class Requests:
    """Sends requests, up to ``window`` at a time, and retransmits each until it is answered or times out."""

    def __init__(
        self, console: Console, link: Datagrams, window: int, first_retry: float, give_up: float
    ) -> None:
        self._console = console
        self._link = link
        self._window = window
        self._give_up = give_up
        self._client = RequestClient(first_retry=first_retry, give_up=give_up)
        self._sent: dict[bytes, bytes] = {}  # the payloads of open requests
        self._counts = {"asked": 0, "answered": 0, "sent_again": 0, "dropped": 0}

    def send(self, payloads: Iterator[bytes]) -> int:
        """Sends all of them. Returns the exit code; raises Failure if one isn't answered."""
        self._fill(payloads)
        while (next_event := self._client.next_event()) is not None:
            self._receive(next_event)
            self._retransmit()
            self._fill(payloads)
        counts = self._counts
        self._console.say("done", f"{counts['answered']} of {counts['asked']} answered", **counts)
        if counts["answered"] < counts["asked"]:
            given_up = counts["asked"] - counts["answered"]
            text = _("{count} not answered within {seconds:g} s")
            raise Failure(text.format(count=given_up, seconds=self._give_up), TIMEOUT)
        return OK

    def _fill(self, payloads: Iterator[bytes]) -> None:
        while len(self._client) < self._window and (payload := next(payloads, None)) is not None:
            request_id = os.urandom(16)
            self._sent[request_id] = payload
            self._link.send(self._client.ask(request_id, payload, time.monotonic()))
            self._counts["asked"] += 1

    def _receive(self, until: float) -> None:
        """Receives one datagram, if one arrives before ``until``."""
        try:
            data = self._link.recv(Deadline(until - time.monotonic()))
        except TimeoutError:
            return
        event = self._client.received(data)
        if isinstance(event, Answered):
            self._counts["answered"] += 1
            sent, text = shown(self._sent.pop(event.request_id)), shown(event.payload)
            self._console.say("answer", text, id=event.request_id.hex(), sent=sent, text=text)
        elif isinstance(event, Send):
            self._link.send(event.datagram)
        else:
            self._counts["dropped"] += 1

    def _retransmit(self) -> None:
        """Removes requests that have timed out and retransmits those that are due."""
        now = time.monotonic()
        for request_id in self._client.expired(now):
            text = shown(self._sent.pop(request_id))
            self._console.say("lost", f"no answer to: {text}", id=request_id.hex(), sent=text)
        for datagram in self._client.due(now):
            self._link.send(datagram)
            self._counts["sent_again"] += 1
