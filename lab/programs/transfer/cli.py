"""lab-transfer: files between hosts, verified by their digest, resumed where they broke off."""

from __future__ import annotations

import argparse
import contextlib
import errno
import logging
import os
import sys
import time
from collections.abc import Callable, Iterator

from lab.programs import console
from lab.programs.console import ENVIRONMENT, FAILED, OK, Console, Failure
from lab.programs.transfer.client import Client
from lab.programs.transfer.progress import Report, human
from lab.programs.transfer.serve import serve
from lab.programs.transfer.storage import Root
from lab.programs.transfer.tree import Getting, Putting
from lab.programs.transfer.wire import Timing
from lab.protocols.errors import TruncatedError
from lab.protocols.names import Path, shown, split_path
from lab.protocols.printable import printable
from lab.protocols.transfer import DEFAULT_PORT, Entry, Refusal
from lab.sockets.blocking import connect, listen
from lab.sockets.connection import MAX_CLIENTS
from lab.sockets.deadline import HEADER_TIMEOUT, IDLE_TIMEOUT

NAME = "lab-transfer"
logger = logging.getLogger(__name__)

# Not EPIPE: that is our own output, whose reader left; a socket's is told as what the peer did.
CONNECTION_LOST = {
    errno.ECONNRESET, errno.ECONNABORTED, errno.ETIMEDOUT,
    errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ENETDOWN,
}  # fmt: skip

DESCRIPTION = f"""\
Files between hosts. One end serves a directory, the other puts and gets:

  server:  lab-transfer serve --root /srv/files
  client:  lab-transfer put server report.pdf
           lab-transfer get server report.pdf

Every file is verified by its SHA-256 on both ends, and appears under its name only when it is
complete. What breaks off, also by Ctrl-C, goes on where it stopped: run the same command again.
The port is {DEFAULT_PORT}/tcp unless --port says another.
"""

SERVE = """\
Serves the files below a directory until SIGTERM or Ctrl-C.

  lab-transfer serve                                the current directory, on every address
  lab-transfer serve --root /srv/files --read-only

CAUTION: whoever reaches this address reads and writes these files: nobody is asked for a name or
a secret. Nothing outside the directory can be reached, symbolic links are never followed.
What a broken put left waits in a hidden file, .transfer-….part, for the client to go on.
"""

PUT = """\
Stores files on the server, with their permission bits and modification times.

  lab-transfer put server a.txt b.txt               below the server's root
  lab-transfer put server a.txt --to docs/          into a directory (it must exist)
  lab-transfer put server a.txt --to docs/b.txt     under another name
  lab-transfer put server -r project                a directory with all that is in it

A file of that name is replaced, at once and whole. In a directory, symbolic links, devices and
names that aren't UTF-8 are skipped with a line on stderr, and the exit code is 1 in the end.
"""

GET = """\
Fetches files from the server, with their permission bits and modification times.

  lab-transfer get server docs/a.txt                to a.txt, here
  lab-transfer get server docs/a.txt --to /tmp/     into a directory
  lab-transfer get server docs/a.txt --to b.txt     under another name
  lab-transfer get server -r docs                   a directory with all that is in it

A file of that name is replaced, at once and whole. In a directory, symbolic links, devices and
names that can't be sent are skipped with a line on stderr, and the exit code is 1 in the end.
"""

EXIT_CODES = """\
exit codes:
  0  ok
  1  the peer or the check failed: no such file, wrong digest, connection lost, a file was skipped
  2  wrong use
  3  the environment: can't bind, no route, no such local file, disk full (on either end)
  4  timeout
130  interrupted
"""


def main() -> None:
    """Entry point of ``python3 -m lab.programs.transfer``."""
    options = parse(sys.argv[1:])
    console.main(NAME, lambda: options.run(options))


def run_serve(options: argparse.Namespace) -> None:
    console.allow_descriptors(4 * options.max_clients)  # a client may hold a socket and three files
    timing = Timing(idle=options.idle, header=options.header_timeout)
    say = Console(as_json=options.json)
    with Root(options.root) as root, contextlib.closing(console.stop_on_signals()) as stop:
        listener = listen(options.host, options.port)
        say.announce(listener)
        what = "reads" if options.read_only else "reads and writes"
        logger.info("whoever reaches this address %s the files below %s", what, options.root)
        serve(
            listener, root, say, stop,
            read_only=options.read_only, windows_names=options.names == "windows",
            max_clients=options.max_clients, timing=timing,
        )  # fmt: skip


def run_put(options: argparse.Namespace) -> int:
    with connected(options) as (client, report):
        putting = Putting(client, report, recursive=options.recursive, resume=options.resume)
        putting.put(options.file, options.to)
    return FAILED if report.skipped else OK


def run_get(options: argparse.Namespace) -> int:
    with connected(options) as (client, report):
        getting = Getting(client, report, recursive=options.recursive, resume=options.resume)
        getting.get(options.file, options.to)
    return FAILED if report.skipped else OK


def run_list(options: argparse.Namespace) -> None:
    say = Console(as_json=options.json)
    with connected(options) as (client, _):
        pending = [split_path(options.path)]
        while pending:
            directory = pending.pop()
            below = []
            for entry in client.entries(directory):
                show_entry(say, entry, directory, whole=options.recursive)
                if entry.kind == "directory" and options.recursive:
                    below.append((*directory, entry.name))
            pending.extend(reversed(below))


def run_stat(options: argparse.Namespace) -> None:
    path = split_path(options.path)
    with connected(options) as (client, _):
        status = client.stat(path, digest=options.digest)
    digest = f", sha256 {status.digest}" if status.digest else ""
    Console(as_json=options.json).say(
        "status",
        f"{shown(path)}: {status.kind}, {human(status.size)} ({status.size} bytes), mode {status.mode:03o}, "
        f"changed {when(status.mtime)}{digest}",
        path=shown(path), kind=status.kind, size=status.size, mode=status.mode, mtime=status.mtime,
        digest=status.digest,
    )  # fmt: skip


def run_remove(options: argparse.Namespace) -> None:
    change(options, "removed", lambda client, path: client.remove(path, recursive=options.recursive))


def run_mkdir(options: argparse.Namespace) -> None:
    change(options, "made", lambda client, path: client.make_directory(path, parents=options.parents))


def change(options: argparse.Namespace, event: str, ask: Callable[[Client, Path], int]) -> None:
    say = Console(as_json=options.json)
    paths = [split_path(path) for path in options.path]
    with connected(options) as (client, _):
        for path in paths:
            count = ask(client, path)
            say.say(event, f"{event} {shown(path)} ({count})", path=shown(path), count=count)


@contextlib.contextmanager
def connected(options: argparse.Namespace) -> Iterator[tuple[Client, Report]]:
    """A client of the server that was named; what goes wrong is told with its name, and how to go on."""
    report = Report(Console(as_json=options.json), NAME)
    with connect(options.server, options.port) as stream:
        try:
            yield Client(stream, Timing(idle=options.timeout)), report
        except KeyboardInterrupt:
            report.clear()
            print(f"{NAME}: interrupted{hint(report)}", file=sys.stderr)
            raise
        except Refusal as refusal:
            raise Failure(str(refusal), ENVIRONMENT if refusal.code == "no-space" else FAILED) from None
        except (TruncatedError, OSError) as error:
            if (what := lost(error, options.timeout)) is None:
                raise  # a local file's
            raise Failure(f"{options.server}: {what}{hint(report)}", console.exit_code(error)) from None
        finally:
            report.clear()


def lost(error: TruncatedError | OSError, timeout: float) -> str | None:
    """What happened to the connection; None where ``error`` isn't about it."""
    if isinstance(error, TimeoutError) and not error.errno:
        return f"nothing moved for {timeout:g} s"
    if isinstance(error, TruncatedError) or error.errno in CONNECTION_LOST:
        return f"connection lost: {console.describe(error)}"
    return None


def hint(report: Report) -> str:
    return "; the same command again goes on where this stopped" if report.resumable else ""


def show_entry(say: Console, entry: Entry, directory: Path, *, whole: bool) -> None:
    path = "/".join((*directory, entry.name))
    shown_path = path if whole else entry.name
    letter = {"file": "-", "directory": "d", "symlink": "l", "special": "?", "unnamable": "!"}[entry.kind]
    slash = "/" if entry.kind == "directory" else ""
    say.say(
        "entry",
        f"{letter} {entry.mode:03o} {entry.size:>14} {when(entry.mtime)} {shown_path}{slash}",
        path=path, kind=entry.kind, size=entry.size, mode=entry.mode, mtime=entry.mtime,
    )  # fmt: skip


def when(mtime: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(mtime))


def parse(arguments: list[str]) -> argparse.Namespace:
    """The options; exits with 2 where they are wrong."""
    parser = console.Parser(prog=NAME, description=DESCRIPTION, epilog=EXIT_CODES)
    actions = parser.add_subparsers(required=True, metavar="serve|put|get|list|stat|remove|mkdir")

    def add(
        name: str, run: Callable[[argparse.Namespace], int | None], text: str, description: str = ""
    ) -> console.Parser:
        one = actions.add_parser(name, help=text, description=description or text, epilog=EXIT_CODES)
        one.set_defaults(run=run)
        one.add_argument(
            "--port", type=console.port_number, default=DEFAULT_PORT, help="default: %(default)d"
        )
        one.add_argument("--json", action="store_true", help="one JSON object a line, for machines")
        return one

    add_serve(add("serve", run_serve, "serve the files below a directory", SERVE))
    add_transfer(add("put", run_put, "store files on the server", PUT), "LOCAL", "REMOTE", "")
    add_transfer(add("get", run_get, "fetch files of the server", GET), "REMOTE", "LOCAL", ".")
    listing = add_server(add("list", run_list, "list a directory of the server"))
    listing.add_argument("path", nargs="?", default="", help="default: the server's root")
    listing.add_argument("-r", "--recursive", action="store_true", help="and what is below")
    status = add_server(add("stat", run_stat, "tell what is at a path of the server"))
    status.add_argument("path")
    status.add_argument("--digest", action="store_true", help="also the SHA-256 of a file")
    removal = add_server(add("remove", run_remove, "remove files and empty directories"))
    removal.add_argument("path", nargs="+")
    removal.add_argument(
        "-r", "--recursive", action="store_true", help="directories with all that is in them"
    )
    making = add_server(add("mkdir", run_mkdir, "make directories"))
    making.add_argument("path", nargs="+")
    making.add_argument(
        "-p", "--parents", action="store_true", help="also those above; no error if it exists"
    )
    return parser.parse_args(arguments)


def add_serve(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--root", default=".", metavar="DIR", help="default: the current directory")
    parser.add_argument("--host", default="", help="the address to bind (default: every address)")
    parser.add_argument("--read-only", action="store_true", help="refuse put, remove and mkdir")
    parser.add_argument(
        "--names", type=naming, default=os.environ.get("LAB_FILE_NAMES") or "any", metavar="any|windows",
        help="windows: refuse names that Windows forbids (default: LAB_FILE_NAMES, here %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--max-clients", type=console.count, default=MAX_CLIENTS, metavar="N",
        help="one more is told to come back (default: %(default)d)",
    )  # fmt: skip
    parser.add_argument(
        "--idle", type=console.positive_seconds, default=IDLE_TIMEOUT, metavar="SECONDS",
        help="a client that is silent for so long is closed (default: %(default)g)",
    )  # fmt: skip
    parser.add_argument(
        "--header-timeout", type=console.positive_seconds, default=HEADER_TIMEOUT, metavar="SECONDS",
        help="from the first byte of a header to its last (default: %(default)g)",
    )  # fmt: skip


def naming(text: str) -> str:
    if text not in ("any", "windows"):
        raise argparse.ArgumentTypeError(f"{printable(text)!r} is neither any nor windows")
    return text


def add_server(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    parser.add_argument("server", metavar="HOST", help="name or address of the server")
    parser.add_argument(
        "--timeout", type=console.positive_seconds, default=IDLE_TIMEOUT, metavar="SECONDS",
        help="give up where nothing moves for so long (default: %(default)g)",
    )  # fmt: skip
    return parser


def add_transfer(parser: argparse.ArgumentParser, source: str, target: str, default: str) -> None:
    add_server(parser)
    parser.add_argument("file", nargs="+", metavar=source)
    parser.add_argument("--to", default=default, metavar=target, help="a directory, or the name to get")
    parser.add_argument("-r", "--recursive", action="store_true", help="directories with all that is in them")
    parser.add_argument(
        "--no-resume", dest="resume", action="store_false",
        help="from the start, also where a part of the file is there already",
    )  # fmt: skip
