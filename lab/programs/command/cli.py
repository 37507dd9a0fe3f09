"""lab-command: a remote shell in four protocols, from the one that sticks to one that can be trusted."""

from __future__ import annotations

import argparse
import os
import sys

from lab.programs import console
from lab.protocols.command import ENCODINGS, MAX_OUTPUT, PORTS, PROTOCOLS, TIMEOUT
from lab.protocols.printable import printable
from lab.sockets.connection import MAX_CLIENTS
from lab.sockets.deadline import HEADER_TIMEOUT, IDLE_TIMEOUT
from lab.sockets.stop import GRACE

DESCRIPTION = """\
Runs commands on another host. One end serves, the other asks:

  server:  lab-command serve
  client:  lab-command run server uname -a

Four protocols answer the question "where does an answer end?":

  raw      nothing tells: answers stick together           (port 8080)
  length   a length stands before the answer               (port 11111)
  header   a JSON header with size, md5 and exit code      (port 20000)
  frame    as header, both ways, streamed as it comes      (port 20000)

raw, length and header are those of many tutorials: their clients and servers work with these.
"""

SERVE = """\
Runs what its clients ask for in a shell, each command with /dev/null as its input and in a
session of its own. On the header port it speaks header to tutorial clients and frames to ours.

  lab-command serve                          header and frames, on every address
  lab-command serve --host 127.0.0.1         for this host only
  lab-command serve --protocol length --max-output 1000000

CAUTION: whoever reaches this address runs any command with the rights of this program: nobody
is asked for a name or a secret. Keep it inside a lab, or give it an address with --host.

A command ends with its time (--timeout), its output (--max-output) or its client, and is killed
with its children and grandchildren, those that called setsid or became daemons included. That
also goes for what a command leaves in the background. Only what both cleared its environment
and lost its parent may live on until no other command runs.
A client that shuts down its sending side is given one more second.
"""

RUN = """\
Runs one command, or, without one, each line of standard input; on a terminal it prompts.

  lab-command run server ls -l /etc          one command; options of ours stand before the host
  lab-command run server 'du -s * | sort -n' quotes keep the pipe for the other end
  printf 'hostname\\nuptime\\n' | lab-command run server
  lab-command run --protocol raw --recv-size 1024 server   as a naive client: one recv an answer

stdout comes to stdout and stderr to stderr, as they come and byte for byte; header and frame
answers are verified by their digest.

The exit code is that of the remote command (128 + n where signal n ended it); of a script, that
of the first command that failed. raw and length don't transmit it: 0. Our own failures
stand at the end of this text.
"""

EXIT_CODES = """\
exit codes:
  0  ok
  1  the peer or the check failed: connection lost, wrong digest, output cut off
  2  wrong use
  3  the environment: can't bind, no route, no such host
  4  timeout
130  interrupted
"""

MAX_LENGTH = 2**31 - 65_536  # an int32 says it, and a remark of ours fits behind

AMBIGUOUS = "--json tells them from the remote command's own.\n"


def main() -> None:
    """Entry point of ``python3 -m lab.programs.command``."""
    options = parse(sys.argv[1:])
    console.main("lab-command", lambda: _dispatch(options))


def _dispatch(options: argparse.Namespace) -> int:
    # Each side imports only its own: a client starts faster, and needs no Linux.
    if options.action == "serve":
        from lab.programs.command import serve

        serve.serve(options)
        return console.OK
    from lab.programs.command import run

    return run.run(options)


def parse(arguments: list[str]) -> argparse.Namespace:
    """The options; exits with 2 where they are wrong."""
    parser = console.Parser(prog="lab-command", description=DESCRIPTION, epilog=EXIT_CODES)
    actions = parser.add_subparsers(dest="action", required=True, metavar="serve|run")
    serve = actions.add_parser("serve", help="run commands for clients", description=SERVE, epilog=EXIT_CODES)
    run = actions.add_parser(
        "run",
        help="run commands on a server",
        description=RUN,
        epilog=EXIT_CODES + AMBIGUOUS,
        usage="%(prog)s [options] HOST [COMMAND ...]",
    )
    for one in (serve, run):
        _add_common(one)
    _add_serve(serve)
    _add_run(run)
    options = parser.parse_args(arguments)
    if options.port is None:
        options.port = PORTS[options.protocol]
    if options.action == "run":
        _check_run(run, options)
    elif options.protocol == "length" and options.max_output > MAX_LENGTH:
        parser.error(f"--max-output: a length answer has at most {MAX_LENGTH} bytes")
    return options


def _add_common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--port", type=console.port_number, help="default: that of the protocol")
    parser.add_argument("--json", action="store_true", help="one JSON object a line, for machines")
    parser.add_argument(
        "--timeout", type=console.positive_seconds, default=TIMEOUT, metavar="SECONDS",
        help="the most that a command may take; the smaller one of both ends holds (default: %(default)g)",
    )  # fmt: skip


def _add_serve(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--protocol", choices=PROTOCOLS, default="header", help="default: %(default)s")
    parser.add_argument("--host", default="", help="the address to bind (default: every address)")
    parser.add_argument(
        "--shell", default=os.environ.get("LAB_SHELL") or "/bin/sh", metavar="PATH",
        help="run as PATH -c COMMAND; or cmd, for Wine's (default: LAB_SHELL, here %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--encoding", type=_encoding,
        help="what the shell speaks, told to clients; output isn't changed (default: gbk of cmd, else utf-8)",
    )  # fmt: skip
    parser.add_argument(
        "--max-output", type=console.count, default=MAX_OUTPUT, metavar="BYTES",
        help="the most that a command may put out (default: %(default)d)",
    )  # fmt: skip
    parser.add_argument(
        "--max-clients", type=console.count, default=MAX_CLIENTS, metavar="N",
        help="one more is told to come back (default: %(default)d)",
    )  # fmt: skip
    parser.add_argument(
        "--header-timeout", type=console.positive_seconds, default=HEADER_TIMEOUT, metavar="SECONDS",
        help="from the first byte of a request's header to its last (default: %(default)g)",
    )  # fmt: skip
    parser.add_argument(
        "--idle-timeout", type=console.positive_seconds, default=IDLE_TIMEOUT, metavar="SECONDS",
        help="the most that a client may be silent between two commands (default: %(default)g)",
    )  # fmt: skip
    parser.add_argument(
        "--grace", type=console.positive_seconds, default=GRACE, metavar="SECONDS",
        help="for commands that run when the server is told to stop (default: %(default)g)",
    )  # fmt: skip


def _add_run(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--protocol", choices=PROTOCOLS, default="frame", help="default: %(default)s")
    parser.add_argument(
        "--encoding", type=_encoding, help="what the other shell speaks (default: what the answer says)"
    )
    parser.add_argument(
        "--recv-size", type=_recv_size, metavar="BYTES",
        help="raw: take one recv of this size for an answer, as naive clients do",
    )  # fmt: skip
    parser.add_argument(
        "--silence", type=console.positive_seconds, default=1.0, metavar="SECONDS",
        help="raw: the silence that is taken for an answer's end (default: %(default)g)",
    )  # fmt: skip
    parser.add_argument("host", metavar="HOST")
    command = parser.add_argument("command", metavar="COMMAND", nargs=argparse.REMAINDER)
    command.required = False  # for the message when HOST is missing


def _check_run(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    if options.command[:1] == ["--"]:
        del options.command[0]
    elif options.command and options.command[0].startswith("-"):
        parser.error(f"options stand before HOST: {printable(options.command[0])}")
    if options.command and not " ".join(options.command).strip():
        parser.error("the command is empty")
    if options.recv_size and options.protocol != "raw":
        parser.error("--recv-size is for --protocol raw: the others know where an answer ends")


def _encoding(text: str) -> str:
    if text.lower() not in ENCODINGS:
        raise argparse.ArgumentTypeError(f"{printable(text)!r} is none of {', '.join(sorted(ENCODINGS))}")
    return text.lower()


def _recv_size(text: str) -> int:
    size = console.count(text)
    if size > 1 << 24:
        raise argparse.ArgumentTypeError(f"{size} is more than 16 MiB at once")
    return size
