"""lab-transfer: transfers files between hosts, verifies them by digest, resumes interrupted transfers."""

from __future__ import annotations

import argparse
import contextlib
import errno
import logging
import os
import sys
import time
from collections.abc import Callable, Iterator

from lab.locale import _
from lab.programs import console
from lab.programs.console import ENVIRONMENT, FAILED, OK, Console, Failure
from lab.programs.transfer import help
from lab.programs.transfer.client import Client
from lab.programs.transfer.frame_stream import TimeLimits
from lab.programs.transfer.progress import Report, human
from lab.programs.transfer.storage.root import Root
from lab.programs.transfer.tree import Download, Upload
from lab.protocols.errors import TruncatedError
from lab.protocols.names import Path, shown, split_path
from lab.protocols.printable import printable
from lab.protocols.transfer import DEFAULT_PORT, Entry, Refusal
from lab.sockets.blocking import connect, listen
from lab.sockets.connection import MAX_CLIENTS
from lab.sockets.deadline import HEADER_TIMEOUT, IDLE_TIMEOUT

NAME = "lab-transfer"
logger = logging.getLogger(__name__)

# Not EPIPE, which means that the reader of our own output is gone. FrameStream.send replaces a socket's
# EPIPE.
CONNECTION_LOST = {
    errno.ECONNRESET, errno.ECONNABORTED, errno.ETIMEDOUT,
    errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ENETDOWN,
}  # fmt: skip


def main() -> None:
    """Entry point of ``python3 -m lab.programs.transfer``."""
    options = parse(sys.argv[1:])
    console.main(NAME, lambda: options.run(options))


def run_serve(options: argparse.Namespace) -> None:
    from lab.programs.transfer.serve import serve  # a client starts faster without it

    console.allow_descriptors(4 * options.max_clients)  # a client may hold a socket and three files
    limits = TimeLimits(idle=options.idle, header=options.header_timeout)
    say = Console(as_json=options.json)
    with Root(options.root) as root, contextlib.closing(console.stop_on_signals()) as stop:
        listener = listen(options.host, options.port)
        say.announce(listener)
        can = "read" if options.read_only else "read and write"
        logger.info("anyone who can reach this address can %s the files below %s", can, options.root)
        serve(
            listener, root, say, stop,
            read_only=options.read_only, windows_names=options.names == "windows",
            max_clients=options.max_clients, limits=limits,
        )  # fmt: skip


def run_put(options: argparse.Namespace) -> int:
    with connected(options) as (client, report):
        upload = Upload(client, report, recursive=options.recursive, resume=options.resume)
        upload.put(options.file, options.to)
    return FAILED if report.skipped else OK


def run_get(options: argparse.Namespace) -> int:
    with connected(options) as (client, report):
        download = Download(client, report, recursive=options.recursive, resume=options.resume)
        download.get(options.file, options.to)
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
    """A client of the server in ``options``. Errors name the server and explain how to resume."""
    report = Report(Console(as_json=options.json), NAME)
    with connect(options.server, options.port) as stream:
        try:
            yield Client(stream, TimeLimits(idle=options.timeout)), report
        except KeyboardInterrupt:
            report.clear()
            print(NAME + ": " + _("interrupted") + hint(report), file=sys.stderr)
            raise
        except Refusal as refusal:
            raise Failure(str(refusal), ENVIRONMENT if refusal.code == "no-space" else FAILED) from None
        except (TruncatedError, OSError) as error:
            if (what := lost(error, options.timeout)) is None:
                raise  # an error of a local file
            raise Failure(f"{options.server}: {what}{hint(report)}", console.exit_code(error)) from None
        finally:
            report.clear()


def lost(error: TruncatedError | OSError, timeout: float) -> str | None:
    """A description if the connection was lost; None if ``error`` has another cause."""
    if isinstance(error, TimeoutError) and not error.errno:
        return _("no progress for {seconds:g} s").format(seconds=timeout)
    if isinstance(error, TruncatedError) or error.errno in CONNECTION_LOST:
        return _("connection lost: {error}").format(error=console.describe(error))
    return None


def hint(report: Report) -> str:
    return _("; run the same command again to resume") if report.resumable else ""


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
    """The options. Exits with 2 if they are wrong."""
    parser = console.Parser(prog=NAME, description=help.program(), epilog=help.exit_codes())
    actions = parser.add_subparsers(required=True, metavar="serve|put|get|list|stat|remove|mkdir")

    def add(
        name: str, run: Callable[[argparse.Namespace], int | None], text: str, description: str = ""
    ) -> console.Parser:
        one = actions.add_parser(name, help=text, description=description or text, epilog=help.exit_codes())
        one.set_defaults(run=run)
        one.add_argument(
            "--port", type=console.port_number, default=DEFAULT_PORT, help=_("default: %(default)d")
        )
        one.add_argument("--json", action="store_true", help=_("one JSON object per line, for programs"))
        return one

    add_serve(add("serve", run_serve, _("serve the files below a directory"), help.serve()))
    add_transfer(add("put", run_put, _("store files on the server"), help.put()), "LOCAL", "REMOTE", "")
    add_transfer(add("get", run_get, _("fetch files from the server"), help.get()), "REMOTE", "LOCAL", ".")
    listing = add_server(add("list", run_list, _("list a directory of the server")))
    listing.add_argument("path", nargs="?", default="", help=_("default: the server's root"))
    listing.add_argument("-r", "--recursive", action="store_true", help=_("with all subdirectories"))
    status = add_server(add("stat", run_stat, _("print the status of a path on the server")))
    status.add_argument("path")
    status.add_argument("--digest", action="store_true", help=_("with the SHA-256 of a file"))
    removal = add_server(add("remove", run_remove, _("remove files and empty directories")))
    removal.add_argument("path", nargs="+")
    removal.add_argument(
        "-r", "--recursive", action="store_true", help=_("directories with everything in them")
    )
    making = add_server(add("mkdir", run_mkdir, _("create directories")))
    making.add_argument("path", nargs="+")
    making.add_argument(
        "-p",
        "--parents",
        action="store_true",
        help=_("create missing parents; no error if the directory exists"),
    )
    return parser.parse_args(arguments)


def add_serve(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--root", default=".", metavar="DIR", help=_("default: the current directory"))
    parser.add_argument("--host", default="", help=_("the address to listen on (default: all)"))
    parser.add_argument("--read-only", action="store_true", help=_("refuse put, remove and mkdir"))
    parser.add_argument(
        "--names", type=name_rules, default=os.environ.get("LAB_FILE_NAMES") or "any", metavar="any|windows",
        help=_("windows: refuse names that Windows forbids (default: LAB_FILE_NAMES, here %(default)s)"),
    )  # fmt: skip
    parser.add_argument(
        "--max-clients", type=console.count, default=MAX_CLIENTS, metavar="N",
        help=_("clients served at once; others are refused (default: %(default)d)"),
    )  # fmt: skip
    parser.add_argument(
        "--idle", type=console.positive_seconds, default=IDLE_TIMEOUT, metavar="SECONDS",
        help=_("how long a client may be silent (default: %(default)g)"),
    )  # fmt: skip
    parser.add_argument(
        "--header-timeout", type=console.positive_seconds, default=HEADER_TIMEOUT, metavar="SECONDS",
        help=_("time limit from the first to the last byte of a header (default: %(default)g)"),
    )  # fmt: skip


def name_rules(text: str) -> str:
    if text not in ("any", "windows"):
        raise argparse.ArgumentTypeError(
            _("{value} is neither any nor windows").format(value=repr(printable(text)))
        )
    return text


def add_server(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    parser.add_argument("server", metavar="HOST", help=_("name or address of the server"))
    parser.add_argument(
        "--timeout", type=console.positive_seconds, default=IDLE_TIMEOUT, metavar="SECONDS",
        help=_("give up after this time without progress (default: %(default)g)"),
    )  # fmt: skip
    return parser


def add_transfer(parser: argparse.ArgumentParser, source: str, target: str, default: str) -> None:
    add_server(parser)
    parser.add_argument("file", nargs="+", metavar=source)
    parser.add_argument("--to", default=default, metavar=target, help=_("a directory, or the new name"))
    parser.add_argument(
        "-r", "--recursive", action="store_true", help=_("directories with everything in them")
    )
    parser.add_argument(
        "--no-resume", dest="resume", action="store_false",
        help=_("start from the beginning, even if a part of the file has been transferred already"),
    )  # fmt: skip
