"""lab-echo: hello, reverse and upper, the first TCP programs of many socket tutorials."""

from __future__ import annotations

import argparse
import contextlib
import socket
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, TypeAlias

from lab.locale import _
from lab.programs.console import (
    Console,
    Parser,
    allow_descriptors,
    count,
    main,
    paragraphs,
    port_number,
    positive_seconds,
    stop_on_signals,
)
from lab.protocols.echo import (
    HELLO_ANSWER,
    HELLO_PORT,
    REVERSE_PORT,
    UPPER_PORT,
    Hello,
    Reverse,
    Session,
    Upper,
)
from lab.sockets import blocking
from lab.sockets.blocking import Stream
from lab.sockets.connection import MAX_CLIENTS
from lab.sockets.deadline import IDLE_TIMEOUT, Deadline
from lab.sockets.stop import Stop

if TYPE_CHECKING:
    from lab.sockets import aio

PORTS = {"hello": HELLO_PORT, "reverse": REVERSE_PORT, "upper": UPPER_PORT}
IO_MODELS = {"hello": "blocking", "reverse": "blocking", "upper": "threaded"}  # as in the tutorials
TIMEOUT = 10.0  # seconds for the connection and for each answer


class Server:
    """The answers and the printed lines, which the I/O models share. Each model adds only its waits."""

    def __init__(self, console: Console, sessions: Callable[[], Session], idle: float) -> None:
        self._console = console
        self._sessions = sessions
        self._idle = idle

    def handle(self, stream: Stream) -> None:
        """Serves one client of the blocking and threaded I/O models."""
        with self._printed(stream.peer) as client:
            while not client.session.over:
                chunk = stream.recv_request(client.session.limit, Deadline(self._idle))
                if not chunk:
                    break
                stream.sendall(client.reply(chunk), Deadline(self._idle))

    async def handle_async(self, stream: aio.Stream) -> None:
        """Serves one client of the asyncio I/O model."""
        with self._printed(stream.peer) as client:
            while not client.session.over:
                chunk = await stream.recv_request(client.session.limit, Deadline(self._idle))
                if not chunk:
                    break
                await stream.sendall(client.reply(chunk), Deadline(self._idle))

    @contextlib.contextmanager
    def _printed(self, peer: str) -> Iterator[PrintedSession]:
        self._console.say("connected", f"{peer} connected", peer=peer)
        session = PrintedSession(self._console, peer, self._sessions())
        try:
            yield session
        finally:
            self._console.say(
                "closed", f"{peer} done, {session.answered} answered", peer=peer, answered=session.answered
            )


ServeClients: TypeAlias = Callable[[socket.socket, Server, Stop, int], None]


class PrintedSession:
    """One client's session, with the lines that the server prints about it."""

    def __init__(self, console: Console, peer: str, session: Session) -> None:
        self.session = session
        self.answered = 0
        self._console = console
        self._peer = peer

    def reply(self, chunk: bytes) -> bytes:
        """The answer to ``chunk``. Raises RemoteProtocolError if the session can't continue."""
        send, text = self.session.received(chunk)
        self.answered += bool(send)
        if text is not None:
            self._console.say("text", f"{self._peer} says: {text}", peer=self._peer, text=text)
        return send


def serve(options: argparse.Namespace) -> None:
    console = Console(as_json=options.json)
    mode = options.mode
    sessions: dict[str, Callable[[], Session]] = {
        "hello": lambda: Hello(options.answer),
        "reverse": Reverse,
        "upper": Upper,
    }
    sessions[mode]()  # raises now if the answer can't be sent
    server = Server(console, sessions[mode], options.idle)
    with contextlib.closing(stop_on_signals()) as stop:
        io_model = options.io_model or IO_MODELS[mode]
        if io_model != "blocking":
            allow_descriptors(options.max_clients)
        serve_clients = serving_with(io_model)
        listener = blocking.listen(options.host, options.port)
        console.announce(listener, f"{mode} ({io_model}), listening on")
        serve_clients(listener, server, stop, options.max_clients)


def serving_with(io_model: str) -> ServeClients:
    """The function that serves clients with this I/O model. Its modules are imported now.

    Importing asyncio takes longer than the rest of the start.
    """
    if io_model == "blocking":
        return lambda listener, server, stop, _most: blocking.serve(listener, server.handle, stop)
    if io_model == "threaded":
        from lab.sockets import threaded

        return lambda listener, server, stop, most: threaded.serve(
            listener, server.handle, stop, max_clients=most
        )
    import asyncio

    from lab.sockets import aio

    return lambda listener, server, stop, most: asyncio.run(
        aio.serve(listener, server.handle_async, stop, max_clients=most)
    )


def send(options: argparse.Namespace) -> None:
    """Runs the client, whose modules a server doesn't need."""
    from lab.programs import echo_send

    echo_send.send(options)


def parser() -> Parser:
    exit_codes = _(
        "exit codes: 0 ok, 1 the peer failed or gave a wrong answer, 2 usage, 3 environment (can't bind, no\n"
        "route), 4 timeout"
    )
    top = Parser(prog="lab-echo", description=description(), epilog=exit_codes)
    commands = top.add_subparsers(dest="command", required=True, metavar="serve|send")
    server = commands.add_parser(
        "serve", help=_("answer clients"), description=serve_description(), epilog=exit_codes
    )
    client = commands.add_parser(
        "send", help=_("send to a server"), description=send_description(), epilog=exit_codes
    )
    add_serve_options(server)
    add_send_options(client)
    for command in (server, client):
        command.add_argument("--mode", choices=tuple(PORTS), default="hello", help=_("default: %(default)s"))
        command.add_argument(
            "--port", type=port_number, help=_("default: 8001 for hello, 20000 for reverse, 8000 for upper")
        )
        command.add_argument("--json", action="store_true", help=_("one JSON object per line, for programs"))
    return top


def description() -> str:
    return paragraphs(
        _("The first TCP programs of many socket tutorials: a server (serve) and a client (send)."),
        _("""\
  hello    the client sends a text; the server prints it, sends a fixed answer and closes
  reverse  each message comes back reversed, until the client sends "quit"
  upper    each message comes back in upper case, until the client closes"""),
        _("""\
As in the tutorials, a message is the result of one recv. Their programs and these work together."""),
    )


def serve_description() -> str:
    return paragraphs(
        _("Serves clients until SIGTERM or Ctrl-C."),
        _("""\
  lab-echo serve                              hello on port 8001, one client after the other
  lab-echo serve --mode reverse               reverse on port 20000, one client after the other
  lab-echo serve --mode upper                 upper on port 8000, one thread per client
  lab-echo serve --mode upper --io async      the same with asyncio, one thread for all clients"""),
        _("Then, on another host: lab-echo send --mode upper server"),
    )


def send_description() -> str:
    return paragraphs(
        _("Sends texts and prints the answers."),
        _("""\
  lab-echo send server                            sends the hello text
  lab-echo send --mode reverse server 上海 abc    two messages, two answers
  lab-echo send --mode upper server               prompts for messages; "quit" ends
  lab-echo send --mode upper --connections 1000 --messages 5 --hold server
                                                  keeps 1,000 connections open, verifies every answer"""),
    )


def add_serve_options(server: argparse.ArgumentParser) -> None:
    server.set_defaults(run=serve)
    server.add_argument(
        "--io",
        dest="io_model",
        choices=("blocking", "threaded", "async"),
        help=_("the I/O model (default: as in the tutorials)"),
    )
    server.add_argument(
        "--host", default="", help=_("the address to listen on (default: all, IPv4 and IPv6)")
    )
    server.add_argument(
        "--answer", default=HELLO_ANSWER, help=_('the answer of hello; "" closes without an answer')
    )
    server.add_argument(
        "--max-clients", type=count, default=MAX_CLIENTS, metavar="N",
        help=_("clients served at once; others are refused (default: %(default)s; blocking: one at a time)"),
    )  # fmt: skip
    server.add_argument(
        "--idle", type=positive_seconds, default=IDLE_TIMEOUT, metavar="SECONDS",
        help=_("how long a client may be silent (default: %(default)g)"),
    )  # fmt: skip


def add_send_options(client: argparse.ArgumentParser) -> None:
    client.set_defaults(run=send)
    client.add_argument("host", metavar="HOST", help=_("name or address of the server"))
    client.add_argument(
        "text", metavar="TEXT", nargs="*", help=_("messages (default: the lines of standard input)")
    )
    client.add_argument(
        "--timeout", type=positive_seconds, default=TIMEOUT, metavar="SECONDS",
        help=_("for the connection and for each answer (default: %(default)g)"),
    )  # fmt: skip
    client.add_argument(
        "--connections", type=count, metavar="N", help=_("open N connections at once, verify every answer")
    )
    client.add_argument(
        "--messages", type=count, default=1, metavar="M", help=_("messages per connection (default: 1)")
    )
    client.add_argument(
        "--hold", action="store_true", help=_("keep every connection open until all are done")
    )


def run() -> None:
    options = parser().parse_texts()
    if options.port is None:
        options.port = PORTS[options.mode]
    options.run(options)


if __name__ == "__main__":
    main("lab-echo", run)
