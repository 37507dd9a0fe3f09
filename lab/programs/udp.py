"""lab-udp: datagrams one way (notice), there and back (echo), and as reliable requests (request)."""

from __future__ import annotations

import argparse
import contextlib
import os
import time
from collections.abc import Callable

from lab.locale import _
from lab.programs.console import (
    USAGE,
    Console,
    Failure,
    Parser,
    count,
    main,
    paragraphs,
    port_number,
    positive_seconds,
    stop_on_signals,
)
from lab.programs.udp_send import send
from lab.protocols.echo import encode
from lab.protocols.printable import printable, shown
from lab.protocols.udp import (
    ECHO_PORT,
    FIRST_RETRY,
    MAX_ANSWER,
    NOTICE_PORT,
    REQUEST_PORT,
    Request,
    RequestServer,
)
from lab.sockets import datagram
from lab.sockets.address import Address, format_address, plain_host

PORTS = {"notice": NOTICE_PORT, "echo": ECHO_PORT, "request": REQUEST_PORT}
MOST_BYTES = 1_000_000  # limit of --size: more than fits in a datagram, but not too much memory


class Server:
    """The reactions to a datagram, one method per mode. Each returns the datagram to send back, or None."""

    def __init__(self, console: Console, answer: str | None) -> None:
        self._console = console
        self._answer = None if answer is None else encode(answer)
        if self._answer is not None and len(self._answer) > MAX_ANSWER:
            text = _("an answer of {size} bytes exceeds the limit of {limit}")
            raise Failure(text.format(size=len(self._answer), limit=MAX_ANSWER), USAGE)
        self._requests = RequestServer(os.urandom(32))

    def notice(self, data: bytes, sender: Address) -> None:
        """Prints the sender and the text."""
        self._say("datagram", sender, data)

    def echo(self, data: bytes, sender: Address) -> bytes:
        return data

    def request(self, data: bytes, sender: Address) -> bytes | None:
        """Prints a new request and answers it with its payload in upper case."""
        now = time.monotonic()
        event = self._requests.received(data, format_address(sender), now)
        if isinstance(event, Request):
            self._say("request", sender, event.payload, id=event.request_id.hex())
            answer = event.payload.upper() if self._answer is None else self._answer
            event = self._requests.answer(event, answer, now)
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
    exit_codes = _(
        "exit codes: 0 ok (notice: sent, not necessarily received), 1 the peer failed or refused, 2 usage\n"
        "(also a datagram that is too long), 3 environment (can't bind, no route), 4 no answer in time"
    )
    top = Parser(prog="lab-udp", description=description(), epilog=exit_codes)
    commands = top.add_subparsers(dest="command", required=True, metavar="serve|send")
    server = commands.add_parser(
        "serve", help=_("receive"), description=serve_description(), epilog=exit_codes
    )
    client = commands.add_parser("send", help=_("send"), description=send_description(), epilog=exit_codes)
    server.set_defaults(run=serve)
    server.add_argument(
        "--host", default="", help=_("the address to receive on (default: all, IPv4 and IPv6)")
    )
    server.add_argument("--answer", metavar="TEXT", help=_("answer every request with TEXT"))
    add_send_options(client)
    for command in (server, client):
        command.add_argument("--mode", choices=tuple(PORTS), default="notice", help=_("default: %(default)s"))
        command.add_argument(
            "--port", type=port_number, help=_("default: 8090 for notice, 9090 for echo, 9091 for request")
        )
        command.add_argument("--json", action="store_true", help=_("one JSON object per line, for programs"))
    return top


def description() -> str:
    return paragraphs(
        _("Sends datagrams from one host to another."),
        _("""\
  notice   one way: the receiver prints the sender and the text; nothing comes back
  echo     each datagram comes back to its sender
  request  reliable request and response: each request is executed at most once and answered,
           even if the network loses, duplicates or reorders datagrams"""),
    )


def serve_description() -> str:
    return paragraphs(
        _("Receives datagrams until SIGTERM or Ctrl-C."),
        _("""\
  lab-udp serve                               prints the datagrams that arrive at port 8090
  lab-udp serve --port 2000                   the same on port 2000
  lab-udp serve --mode echo                   sends them back, port 9090
  lab-udp serve --mode request                answers requests in upper case, port 9091"""),
        _("Then, on another host: lab-udp send --mode echo server hello"),
    )


def send_description() -> str:
    return paragraphs(
        _("Sends one datagram for each TEXT."),
        _("""\
  lab-udp send server 你好                          from any free port to port 8090
  lab-udp send --bind 3000 --port 2000 server 你好  from port 3000 to port 2000
  lab-udp send --connect server 你好                reports an error if nothing listens there
  lab-udp send --mode echo --size 1473 server       one byte more than fits in one Ethernet frame
  lab-udp send --mode echo --size 65507 --count 5 server
  lab-udp send --mode request server a b c          retransmits each request until it is answered"""),
    )


def add_send_options(client: argparse.ArgumentParser) -> None:
    client.set_defaults(run=send)
    client.add_argument("host", metavar="HOST", help=_("name or address of the receiver"))
    client.add_argument(
        "text", metavar="TEXT", nargs="*", help=_("datagrams (default: the lines of standard input)")
    )
    client.add_argument("--bind", type=port_number, default=0, metavar="PORT", help=_("send from PORT"))
    client.add_argument(
        "--connect", action="store_true", help=_("connect the socket, so that a refusal is reported")
    )
    client.add_argument("--size", type=datagram_size, metavar="N", help=_("send datagrams of N bytes"))
    client.add_argument(
        "--count", type=count, default=1, metavar="N", help=_("send each datagram N times (default: 1)")
    )
    client.add_argument(
        "--window", type=count, default=16, metavar="N", help=_("requests open at once (default: 16)")
    )
    client.add_argument(
        "--retry", type=positive_seconds, default=FIRST_RETRY, metavar="SECONDS",
        help=_("retransmit a request after this time, then at growing intervals (default: 0.25)"),
    )  # fmt: skip
    client.add_argument(
        "--timeout", type=positive_seconds, metavar="SECONDS",
        help=_("wait for an answer (default: echo 5, request 10; notice with --connect 1)"),
    )  # fmt: skip


def datagram_size(text: str) -> int:
    """The argparse type of a size: 0 to MOST_BYTES. The kernel decides whether it fits in a datagram."""
    if not text.isascii() or not text.isdigit() or int(text[:10]) > MOST_BYTES:
        what = _("{value} is not a size in bytes (0 to {limit})")
        raise argparse.ArgumentTypeError(what.format(value=repr(printable(text)), limit=MOST_BYTES))
    return int(text)


def run() -> int | None:
    options = parser().parse_texts()
    if options.port is None:
        options.port = PORTS[options.mode]
    code: int | None = options.run(options)
    return code


if __name__ == "__main__":
    main("lab-udp", run)
