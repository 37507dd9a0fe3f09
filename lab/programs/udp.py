"""lab-udp: datagrams, one way (notice), there and back (echo), and made reliable (request)."""

from __future__ import annotations

import argparse
import contextlib
import os
import time
from collections.abc import Callable

from lab.programs.console import (
    USAGE,
    Console,
    Failure,
    Parser,
    count,
    main,
    port_number,
    positive_seconds,
    stop_on_signals,
)
from lab.programs.udp_send import send
from lab.protocols.echo import encode
from lab.protocols.printable import printable, shown
from lab.protocols.udp import (
    ECHO_PORT,
    MAX_ANSWER,
    NOTICE_PORT,
    REQUEST_PORT,
    Request,
    RequestServer,
)
from lab.sockets import datagram
from lab.sockets.address import Address, format_address, plain_host

PORTS = {"notice": NOTICE_PORT, "echo": ECHO_PORT, "request": REQUEST_PORT}
MOST_BYTES = 1_000_000  # of --size: far more than a datagram holds, and little enough to be made

HELP = """\
Datagrams, from one host to another.

  notice   one way: the receiver prints who sent what; nothing comes back
  echo     each datagram comes back to its sender
  request  request and response over UDP, made reliable: each is carried out at most once and answered,
           whatever the network loses, doubles or reorders
"""

SERVE_HELP = """\
Receives until SIGTERM or Ctrl-C.

  lab-udp serve                               prints what comes to port 8090
  lab-udp serve --port 2000                   the same on port 2000
  lab-udp serve --mode echo                   sends it back, port 9090
  lab-udp serve --mode request                answers requests in upper case, port 9091

Then, on another host: lab-udp send --mode echo server hello
"""

SEND_HELP = """\
Sends datagrams, one for each TEXT.

  lab-udp send server 你好                          from any free port to port 8090
  lab-udp send --bind 3000 --port 2000 server 你好  from port 3000 to port 2000
  lab-udp send --connect server 你好                hears it when nothing listens there
  lab-udp send --mode echo --size 1473 server       one byte more than an Ethernet frame takes unfragmented
  lab-udp send --mode echo --size 65507 --count 5 server
  lab-udp send --mode request server a b c          asks again until each is answered
"""

EXIT_CODES = """
exit codes: 0 ok (notice: sent, which isn't received), 1 the peer failed or refused, 2 usage (a datagram too
long, too), 3 environment (can't bind, no route), 4 no answer in time
"""


class Server:
    """What happens with a datagram, by mode: each method returns what is sent back, or None."""

    def __init__(self, console: Console, answer: str | None) -> None:
        self._console = console
        self._answer = None if answer is None else encode(answer)
        if self._answer is not None and len(self._answer) > MAX_ANSWER:
            raise Failure(f"an answer of {len(self._answer)} bytes is above {MAX_ANSWER}", USAGE)
        self._answering = RequestServer(os.urandom(32))

    def notice(self, data: bytes, sender: Address) -> None:
        """Says who sent what."""
        self._say("datagram", sender, data)

    def echo(self, data: bytes, sender: Address) -> bytes:
        return data

    def request(self, data: bytes, sender: Address) -> bytes | None:
        """Carries out a new request (its answer is its payload in upper case), and says so."""
        now = time.monotonic()
        event = self._answering.received(data, format_address(sender), now)
        if isinstance(event, Request):
            self._say("request", sender, event.payload, id=event.request_id.hex())
            answer = event.payload.upper() if self._answer is None else self._answer
            event = self._answering.answer(event, answer, now)
        return None if event is None else event.datagram

    def _say(self, event: str, sender: Address, data: bytes, **fields: str) -> None:
        text = shown(data)
        line = f"{format_address(sender)} says: {text}" if data else f"{format_address(sender)} sent no bytes"
        self._console.say(
            event, line, host=plain_host(sender), port=sender[1], size=len(data), text=text, **fields
        )


def serve(options: argparse.Namespace) -> None:
    console = Console(as_json=options.json)
    server = Server(console, options.answer)
    handle: Callable[[bytes, Address], bytes | None] = getattr(server, options.mode)
    with contextlib.closing(stop_on_signals()) as stop:
        sock = datagram.listen(options.host, options.port)
        console.announce(sock, f"{options.mode}, listening on")
        datagram.serve(sock, handle, stop)


def parser() -> Parser:
    top = Parser(prog="lab-udp", description=HELP, epilog=EXIT_CODES)
    commands = top.add_subparsers(dest="command", required=True, metavar="serve|send")
    server = commands.add_parser("serve", help="receive", description=SERVE_HELP, epilog=EXIT_CODES)
    server.set_defaults(run=serve)
    server.add_argument("--host", default="", help="the address to receive on (default: all, IPv4 and IPv6)")
    server.add_argument("--answer", metavar="TEXT", help="answer every request with TEXT")

    client = commands.add_parser("send", help="send", description=SEND_HELP, epilog=EXIT_CODES)
    client.set_defaults(run=send)
    client.add_argument("host", metavar="HOST", help="name or address of the receiver")
    client.add_argument(
        "text", metavar="TEXT", nargs="*", help="datagrams (default: standard input, a line each)"
    )
    client.add_argument("--bind", type=port_number, default=0, metavar="PORT", help="send from PORT")
    client.add_argument("--connect", action="store_true", help="connect first: a refusal is heard")
    client.add_argument("--size", type=datagram_size, metavar="N", help="send datagrams of N bytes")
    client.add_argument("--count", type=count, default=1, metavar="N", help="send each N times (default 1)")
    client.add_argument(
        "--window", type=count, default=16, metavar="N", help="requests open at once (default 16)"
    )
    client.add_argument(
        "--timeout", type=positive_seconds, metavar="SECONDS",
        help="wait for an answer (default: echo 5, request 10; notice 1 for a refusal, with --connect)",
    )  # fmt: skip

    for command in (server, client):
        command.add_argument("--mode", choices=tuple(PORTS), default="notice", help="default: %(default)s")
        command.add_argument("--port", type=port_number, help="default: 8090 notice, 9090 echo, 9091 request")
        command.add_argument("--json", action="store_true", help="one JSON object a line, for programs")
    return top


def datagram_size(text: str) -> int:
    """A number of bytes for argparse: 0 … MOST_BYTES. Whether a datagram takes them, the kernel decides."""
    if not text.isascii() or not text.isdigit() or int(text[:10]) > MOST_BYTES:
        raise argparse.ArgumentTypeError(f"{printable(text)!r} is no size (0 … {MOST_BYTES})")
    return int(text)


def run() -> int | None:
    options = parser().parse_texts()
    if options.port is None:
        options.port = PORTS[options.mode]
    code: int | None = options.run(options)
    return code


if __name__ == "__main__":
    main("lab-udp", run)
