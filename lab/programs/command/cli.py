"""lab-command: a remote shell with four protocols, from one without framing to one with verified answers."""

from __future__ import annotations

import argparse
import os
import sys

from lab.locale import _
from lab.programs import console
from lab.programs.command import help
from lab.protocols.command import ENCODINGS, MAX_OUTPUT, PORTS, PROTOCOLS, TIMEOUT
from lab.protocols.printable import printable
from lab.sockets.connection import MAX_CLIENTS
from lab.sockets.deadline import HEADER_TIMEOUT, IDLE_TIMEOUT
from lab.sockets.stop import GRACE

MAX_LENGTH = 2**31 - 65_536  # of an answer: fits in an int32, with room for a note from the server


def main() -> None:
    """Entry point of ``python3 -m lab.programs.command``."""
    options = parse(sys.argv[1:])
    console.main("lab-command", lambda: _dispatch(options))


def _dispatch(options: argparse.Namespace) -> int:
    # Import only what is needed: the client starts faster and doesn't need Linux.
    if options.action == "serve":
        from lab.programs.command import serve

        serve.serve(options)
        return console.OK
    from lab.programs.command import run

    return run.run(options)


def parse(arguments: list[str]) -> argparse.Namespace:
    """The options. Exits with 2 if they are wrong."""
    parser = console.Parser(prog="lab-command", description=help.program(), epilog=help.exit_codes())
    actions = parser.add_subparsers(dest="action", required=True, metavar="serve|run")
    serve = actions.add_parser(
        "serve", help=_("run commands for clients"), description=help.serve(), epilog=help.exit_codes()
    )
    run = actions.add_parser(
        "run",
        help=_("run commands on a server"),
        description=help.run(),
        epilog=help.exit_codes(remote=True),
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
        text = _("--max-output: an answer of the protocol length has at most {limit} bytes")
        parser.error(text.format(limit=MAX_LENGTH))
    return options


def _add_common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--port", type=console.port_number, help=_("default: depends on the protocol"))
    parser.add_argument("--json", action="store_true", help=_("one JSON object per line, for programs"))
    parser.add_argument(
        "--timeout", type=console.positive_seconds, default=TIMEOUT, metavar="SECONDS",
        help=_("time limit of a command; the smaller one of client and server counts (default: %(default)g)"),
    )  # fmt: skip


def _add_serve(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--protocol", choices=PROTOCOLS, default="header", help=_("default: %(default)s"))
    parser.add_argument("--host", default="", help=_("the address to listen on (default: all)"))
    parser.add_argument(
        "--shell", default=os.environ.get("LAB_SHELL") or "/bin/sh", metavar="PATH",
        help=_("run PATH -c COMMAND; cmd is Wine's cmd.exe (default: LAB_SHELL, here %(default)s)"),
    )  # fmt: skip
    parser.add_argument(
        "--encoding", type=_encoding,
        help=_("encoding of the shell; output isn't converted (default: gbk for cmd, otherwise utf-8)"),
    )  # fmt: skip
    parser.add_argument(
        "--max-output", type=console.count, default=MAX_OUTPUT, metavar="BYTES",
        help=_("output limit of a command (default: %(default)d)"),
    )  # fmt: skip
    parser.add_argument(
        "--max-clients", type=console.count, default=MAX_CLIENTS, metavar="N",
        help=_("clients served at once; others are refused (default: %(default)d)"),
    )  # fmt: skip
    parser.add_argument(
        "--header-timeout", type=console.positive_seconds, default=HEADER_TIMEOUT, metavar="SECONDS",
        help=_("time limit from the first to the last byte of a request's header (default: %(default)g)"),
    )  # fmt: skip
    parser.add_argument(
        "--idle-timeout", type=console.positive_seconds, default=IDLE_TIMEOUT, metavar="SECONDS",
        help=_("how long a client may be silent between two commands (default: %(default)g)"),
    )  # fmt: skip
    parser.add_argument(
        "--grace", type=console.positive_seconds, default=GRACE, metavar="SECONDS",
        help=_("time for running commands when the server stops (default: %(default)g)"),
    )  # fmt: skip


def _add_run(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--protocol", choices=PROTOCOLS, default="frame", help=_("default: %(default)s"))
    parser.add_argument(
        "--encoding", type=_encoding, help=_("encoding of the remote shell (default: as in the answer)")
    )
    parser.add_argument(
        "--recv-size", type=_recv_size, metavar="BYTES",
        help=_("raw: treat one recv of this size as an answer, as naive clients do"),
    )  # fmt: skip
    parser.add_argument(
        "--silence", type=console.positive_seconds, default=1.0, metavar="SECONDS",
        help=_("raw: the silence that counts as the end of an answer (default: %(default)g)"),
    )  # fmt: skip
    parser.add_argument("host", metavar="HOST")
    command = parser.add_argument("command", metavar="COMMAND", nargs=argparse.REMAINDER)
    command.required = False  # so that the error message names only HOST


def _check_run(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    if options.command[:1] == ["--"]:
        del options.command[0]
    elif options.command and options.command[0].startswith("-"):
        parser.error(_("put options before HOST: {option}").format(option=printable(options.command[0])))
    if options.command and not " ".join(options.command).strip():
        parser.error(_("the command is empty"))
    if options.recv_size and options.protocol != "raw":
        parser.error(_("--recv-size is only for --protocol raw"))


def _encoding(text: str) -> str:
    if text.lower() not in ENCODINGS:
        what = _("{value} is not a known encoding; known: {known}")
        known = ", ".join(sorted(ENCODINGS))
        raise argparse.ArgumentTypeError(what.format(value=repr(printable(text)), known=known))
    return text.lower()


def _recv_size(text: str) -> int:
    size = console.count(text)
    if size > 1 << 24:
        raise argparse.ArgumentTypeError(_("at most 16 MiB at once, not {size} bytes").format(size=size))
    return size
