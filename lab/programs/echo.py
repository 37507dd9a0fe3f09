"""lab-echo: hello, reverse and upper, the first TCP programs of every socket tutorial."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
from collections.abc import Callable, Iterator

from lab.programs.console import (
    Console,
    Parser,
    allow_descriptors,
    count,
    main,
    port_number,
    positive_seconds,
    stop_on_signals,
)
from lab.programs.echo_send import send
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
from lab.sockets import aio, blocking, threaded
from lab.sockets.blocking import Stream
from lab.sockets.connection import MAX_CLIENTS
from lab.sockets.deadline import IDLE_TIMEOUT, Deadline

PORTS = {"hello": HELLO_PORT, "reverse": REVERSE_PORT, "upper": UPPER_PORT}
IO_MODELS = {"hello": "blocking", "reverse": "blocking", "upper": "threaded"}  # as in the tutorials
TIMEOUT = 10.0  # seconds for a connection, and for each answer

HELP = """\
The first TCP programs of every socket tutorial, as server (serve) and client (send).

  hello    the client sends a text, the server prints it, answers with a fixed text and closes
  reverse  each message comes back reversed, until the client sends "quit"
  upper    each message comes back in upper case, until the client closes

A message is what one recv gives, as the tutorials have it; their programs and ours work together.
"""

SERVE_HELP = """\
Serves until SIGTERM or Ctrl-C.

  lab-echo serve                              hello on port 8001, one client after the other
  lab-echo serve --mode reverse               reverse on port 20000, one client after the other
  lab-echo serve --mode upper                 upper on port 8000, a thread for each client
  lab-echo serve --mode upper --io async      the same with asyncio, one thread for all

Then, on another host: lab-echo send --mode upper server
"""

SEND_HELP = """\
Sends texts and prints the answers.

  lab-echo send server                            says hello
  lab-echo send --mode reverse server 上海 abc    two messages, two answers
  lab-echo send --mode upper server               asks for messages; "quit" ends
  lab-echo send --mode upper --connections 1000 --messages 5 --hold server
                                                  1,000 connections held open, every answer verified
"""

EXIT_CODES = """
exit codes: 0 ok, 1 the peer failed or answered wrongly, 2 usage, 3 environment (can't bind, no route),
4 timeout
"""


class Server:
    """What the I/O models share: what is sent to a client, and what is shown; each adds only its waits."""

    def __init__(self, console: Console, sessions: Callable[[], Session], idle: float) -> None:
        self._console = console
        self._sessions = sessions
        self._idle = idle

    def handle(self, stream: Stream) -> None:
        """One client of the blocking and threaded I/O models."""
        with self._visit(stream.peer) as visit:
            while not visit.session.over:
                chunk = stream.recv_request(visit.session.limit, Deadline(self._idle))
                if not chunk:
                    break
                stream.sendall(visit.reply(chunk), Deadline(self._idle))

    async def handle_async(self, stream: aio.Stream) -> None:
        """One client of the asyncio I/O model."""
        with self._visit(stream.peer) as visit:
            while not visit.session.over:
                chunk = await stream.recv_request(visit.session.limit, Deadline(self._idle))
                if not chunk:
                    break
                await stream.sendall(visit.reply(chunk), Deadline(self._idle))

    @contextlib.contextmanager
    def _visit(self, peer: str) -> Iterator[Visit]:
        self._console.say("connected", f"{peer} connected", peer=peer)
        visit = Visit(self._console, peer, self._sessions())
        try:
            yield visit
        finally:
            self._console.say(
                "closed", f"{peer} done, {visit.answered} answered", peer=peer, answered=visit.answered
            )


class Visit:
    """One client's conversation, as the server shows it."""

    def __init__(self, console: Console, peer: str, session: Session) -> None:
        self.session = session
        self.answered = 0
        self._console = console
        self._peer = peer

    def reply(self, chunk: bytes) -> bytes:
        """What to send back for ``chunk``. Raises RemoteProtocolError where the conversation is over."""
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
    sessions[mode]()  # an answer that can't be sent is told now
    server = Server(console, sessions[mode], options.idle)
    with contextlib.closing(stop_on_signals()) as stop:
        io_model = options.io_model or IO_MODELS[mode]
        if io_model != "blocking":
            allow_descriptors(options.max_clients)
        listener = blocking.listen(options.host, options.port)
        console.announce(listener, f"{mode} ({io_model}), listening on")
        if io_model == "blocking":
            blocking.serve(listener, server.handle, stop)
        elif io_model == "threaded":
            threaded.serve(listener, server.handle, stop, max_clients=options.max_clients)
        else:
            asyncio.run(aio.serve(listener, server.handle_async, stop, max_clients=options.max_clients))


def parser() -> Parser:
    top = Parser(prog="lab-echo", description=HELP, epilog=EXIT_CODES)
    commands = top.add_subparsers(dest="command", required=True, metavar="serve|send")
    server = commands.add_parser("serve", help="answer clients", description=SERVE_HELP, epilog=EXIT_CODES)
    server.set_defaults(run=serve)
    server.add_argument(
        "--io",
        dest="io_model",
        choices=("blocking", "threaded", "async"),
        help="the I/O model; default: as in the tutorials",
    )
    server.add_argument("--host", default="", help="the address to listen on (default: all, IPv4 and IPv6)")
    server.add_argument(
        "--answer", default=HELLO_ANSWER, help='what hello answers; "" is nothing: just close'
    )
    server.add_argument(
        "--max-clients", type=count, default=MAX_CLIENTS, metavar="N",
        help="at once; one more is told busy (default %(default)s; blocking serves one at a time)",
    )  # fmt: skip
    server.add_argument(
        "--idle", type=positive_seconds, default=IDLE_TIMEOUT, metavar="SECONDS",
        help="how long a client may be silent (default %(default)g)",
    )  # fmt: skip

    client = commands.add_parser("send", help="ask a server", description=SEND_HELP, epilog=EXIT_CODES)
    client.set_defaults(run=send)
    client.add_argument("host", metavar="HOST", help="name or address of the server")
    client.add_argument(
        "text", metavar="TEXT", nargs="*", help="messages (default: standard input, a line each)"
    )
    client.add_argument(
        "--timeout", type=positive_seconds, default=TIMEOUT, metavar="SECONDS",
        help="for the connection, and for each answer (default %(default)g)",
    )  # fmt: skip
    client.add_argument("--connections", type=count, metavar="N", help="open N at once, verify every answer")
    client.add_argument(
        "--messages", type=count, default=1, metavar="M", help="of each connection (default 1)"
    )
    client.add_argument("--hold", action="store_true", help="close no connection before all are done")

    for command in (server, client):
        command.add_argument("--mode", choices=tuple(PORTS), default="hello", help="default: %(default)s")
        command.add_argument(
            "--port", type=port_number, help="default: 8001 hello, 20000 reverse, 8000 upper"
        )
        command.add_argument("--json", action="store_true", help="one JSON object a line, for programs")
    return top


def run() -> None:
    options = parser().parse_texts()
    if options.port is None:
        options.port = PORTS[options.mode]
    options.run(options)


if __name__ == "__main__":
    main("lab-echo", run)
