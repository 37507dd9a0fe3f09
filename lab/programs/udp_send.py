"""The sending side of lab-udp."""

from __future__ import annotations

import argparse
import contextlib
import errno
import os
import time
from collections.abc import Iterator

from lab.programs.console import OK, TIMEOUT, USAGE, Console, Failure, input_lines
from lab.protocols.echo import QUIT, encode
from lab.protocols.printable import shown
from lab.protocols.udp import Answered, RequestClient, Send
from lab.sockets.datagram import Datagrams
from lab.sockets.deadline import Deadline

TIMEOUTS = {"notice": 1.0, "echo": 5.0, "request": 10.0}  # seconds to wait for what may come back


def send(options: argparse.Namespace) -> int:
    """Sends what the options say. Returns the exit code; raises Failure, OSError, ProtocolError."""
    console = Console(as_json=options.json)
    payloads = make_payloads(options)
    link = Datagrams(options.host, options.port, local_port=options.bind, connected=options.connect)
    timeout = options.timeout or TIMEOUTS[options.mode]
    with link, telling(link):
        if options.mode == "notice":
            return send_notices(console, link, payloads, timeout)
        if options.mode == "echo":
            return send_echoes(console, link, payloads, timeout)
        one_by_one = options.size is None and not options.text  # they are being typed
        return Requests(console, link, 1 if one_by_one else options.window, timeout).send(payloads)


@contextlib.contextmanager
def telling(link: Datagrams) -> Iterator[None]:
    """Says in words what UDP's errors mean."""
    try:
        yield
    except ConnectionRefusedError:
        raise Failure(f"{link.peer}: Connection refused: that host says that nothing listens there") from None
    except OSError as error:
        if error.errno != errno.EMSGSIZE:
            raise
        what = "the datagram is too long, so nothing was sent: over IPv4 UDP takes 65507 bytes (EMSGSIZE)"
        raise Failure(what, USAGE) from None


def make_payloads(options: argparse.Namespace) -> Iterator[bytes]:
    """What to send, a datagram each: by --size, from the arguments, or from standard input."""
    if options.size is not None:
        if options.text:
            raise Failure("--size makes its own datagrams: leave TEXT out", USAGE)
        return (filler(number, options.size) for number in range(1, options.count + 1))
    texts = [encode(text) for text in options.text]  # all of them can be sent, or none is
    source = iter(texts) if texts else typed()
    return (text for text in source for _ in range(options.count))


def filler(number: int, size: int) -> bytes:
    """``size`` bytes that differ from one datagram to the next, where there is room for that."""
    line = f"datagram {number} of {size} bytes, ".encode()
    return (line * (size // len(line) + 1))[:size]


def typed() -> Iterator[bytes]:
    for text in input_lines():
        if text == QUIT:
            return
        yield encode(text)


def send_notices(console: Console, link: Datagrams, payloads: Iterator[bytes], timeout: float) -> int:
    """Sends and is done. Connected, it waits whether the other host says that nothing listens there."""
    for payload in payloads:
        send_one(console, link, payload)
        if link.connected:
            with contextlib.suppress(TimeoutError):  # no news is all the good news there is
                link.recv(Deadline(timeout))
    return OK


def send_one(console: Console, link: Datagrams, payload: bytes) -> None:
    link.send(payload)
    size = len(payload)
    text = f"sent {size} bytes from port {link.local_port} to {link.peer}"
    console.say("sent", text, size=size, local_port=link.local_port, peer=link.peer)


def send_echoes(console: Console, link: Datagrams, payloads: Iterator[bytes], timeout: float) -> int:
    """Sends each datagram and waits for it to come back; one that doesn't is told, and lost."""
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
        hint = "" if link.connected else "; with --connect you hear it when nothing listens there"
        raise Failure(f"{lost} unanswered after {timeout:g} s each{hint}", TIMEOUT)
    return OK


def receive_echo(link: Datagrams, payload: bytes, deadline: Deadline) -> bytes:
    """The echo of ``payload``; one of an earlier datagram comes too late, and is dropped."""
    while True:
        data = link.recv(deadline)
        if data == payload:
            return data


class Requests:
    """Requests, ``window`` at a time, each asked again until it is answered or given up."""

    def __init__(self, console: Console, link: Datagrams, window: int, give_up: float) -> None:
        self._console = console
        self._link = link
        self._window = window
        self._give_up = give_up
        self._asking = RequestClient(give_up=give_up)
        self._sent: dict[bytes, bytes] = {}  # the payloads of the open ones
        self._tally = {"asked": 0, "answered": 0, "sent_again": 0, "dropped": 0}

    def send(self, payloads: Iterator[bytes]) -> int:
        """Sends them all. Returns the exit code; raises Failure where one is given up."""
        self._fill(payloads)
        while (next_event := self._asking.next_event()) is not None:
            self._listen(next_event)
            self._tend()
            self._fill(payloads)
        tally = self._tally
        self._console.say("done", f"{tally['answered']} of {tally['asked']} answered", **tally)
        if tally["answered"] < tally["asked"]:
            given_up = tally["asked"] - tally["answered"]
            raise Failure(f"{given_up} given up after {self._give_up:g} s", TIMEOUT)
        return OK

    def _fill(self, payloads: Iterator[bytes]) -> None:
        while len(self._asking) < self._window and (payload := next(payloads, None)) is not None:
            request_id = os.urandom(16)
            self._sent[request_id] = payload
            self._link.send(self._asking.ask(request_id, payload, time.monotonic()))
            self._tally["asked"] += 1

    def _listen(self, until: float) -> None:
        """Takes one datagram, if one comes before ``until``."""
        try:
            data = self._link.recv(Deadline(until - time.monotonic()))
        except TimeoutError:
            return
        event = self._asking.received(data)
        if isinstance(event, Answered):
            self._tally["answered"] += 1
            sent, text = shown(self._sent.pop(event.request_id)), shown(event.payload)
            self._console.say("answer", text, id=event.request_id.hex(), sent=sent, text=text)
        elif isinstance(event, Send):
            self._link.send(event.datagram)
        else:
            self._tally["dropped"] += 1

    def _tend(self) -> None:
        """Gives up what took too long, and sends again what it is time for."""
        now = time.monotonic()
        for request_id in self._asking.expired(now):
            text = shown(self._sent.pop(request_id))
            self._console.say("lost", f"no answer to: {text}", id=request_id.hex(), sent=text)
        for datagram in self._asking.due(now):
            self._link.send(datagram)
            self._tally["sent_again"] += 1
