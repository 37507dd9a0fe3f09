"""The programs' user interface: announcements, one-line errors, exit codes, signals, options."""

from __future__ import annotations

import argparse
import errno
import io
import json
import logging
import select
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, NoReturn

from lab.locale import _, from_environment, translate_libraries
from lab.protocols.errors import LocalProtocolError, ProtocolError
from lab.protocols.printable import printable
from lab.sockets.address import format_address
from lab.sockets.stop import Stop

OK, FAILED, USAGE, ENVIRONMENT, TIMEOUT, INTERRUPTED = 0, 1, 2, 3, 4, 130
SPARE_DESCRIPTORS = 64  # for files and pipes

_ENVIRONMENT_ERRNOS = {
    errno.EADDRINUSE, errno.EADDRNOTAVAIL, errno.EACCES, errno.EPERM, errno.ENETUNREACH, errno.EHOSTUNREACH,
    errno.ENETDOWN, errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EMFILE, errno.ENFILE, errno.EAFNOSUPPORT,
    errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ENOMEM,
}  # fmt: skip


class Failure(Exception):
    """Ends the program with ``exit_code`` and one line on stderr."""

    def __init__(self, text: str, exit_code: int = FAILED) -> None:
        super().__init__(text)
        self.exit_code = exit_code


class Console:
    """Standard output of a program: lines for people or, with ``--json``, one JSON object per line."""

    def __init__(self, *, as_json: bool = False) -> None:
        self.as_json = as_json

    def say(self, event: str, text: str, /, **fields: Any) -> None:
        """Prints one event and flushes it, so that the reader of a pipe gets it at once.

        JSON output is pure ASCII: it survives any locale and can't control a terminal. Its field "line" is
        the line for people.
        """
        line = printable(text)
        if self.as_json:
            line = json.dumps({"event": event, **fields, "line": line})
        print(line + "\n", end="", flush=True)  # one write, so that lines of several threads don't mix

    def announce(self, listener: socket.socket, what: str = "listening on") -> None:
        """Prints the address of a server after bind, when clients can connect."""
        address = listener.getsockname()
        self.say("listening", f"{what} {format_address(address)}", host=address[0], port=address[1])


def stop_on_signals() -> Stop:
    """A Stop that SIGTERM and SIGINT set. A second SIGINT raises KeyboardInterrupt."""
    stop = Stop()

    def on_signal(number: int, frame: object) -> None:
        if number == signal.SIGINT:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, on_signal)
    stop.wake_on_signals()
    return stop


def input_lines() -> Iterator[str]:
    """The lines of standard input without line ends. On a terminal there is a prompt."""
    if sys.stdin is None:
        return
    if not sys.stdin.isatty():
        for line in sys.stdin:
            yield line.rstrip("\r\n")
        return
    with suppress(ImportError):
        import readline  # noqa: F401  enables line editing in input()
    print(_('Type a message; "quit" or Ctrl-D ends.'), file=sys.stderr)
    with suppress(EOFError):
        while True:
            yield input("> ")


def allow_descriptors(number: int) -> None:
    """Raises the limit of descriptors to ``number`` sockets and some files. Raises Failure if it can't."""
    try:
        import resource
    except ImportError:  # Windows: no such limit
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = number + SPARE_DESCRIPTORS
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return
    if hard != resource.RLIM_INFINITY and hard < needed:
        text = _("{number} connections need {needed} descriptors, but the limit is {limit}")
        raise Failure(text.format(number=number, needed=needed, limit=hard), ENVIRONMENT)
    resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))


class Parser(argparse.ArgumentParser):
    """argparse with line breaks kept in help, one-line errors, and its own texts translated."""

    def __init__(self, **options: Any) -> None:
        if from_environment() != "en":
            translate_libraries()
        options.setdefault("formatter_class", argparse.RawDescriptionHelpFormatter)
        super().__init__(**options)

    def parse_texts(self) -> argparse.Namespace:
        """As parse_args, but any number of TEXT arguments may also follow options.

        argparse itself accepts them only in one place.
        """
        options, rest = self.parse_known_args()
        if rest and (not hasattr(options, "text") or any(word.startswith("-") for word in rest)):
            self.error(_("unrecognized arguments: %s") % printable(" ".join(rest)))
        if rest:
            options.text += rest
        return options

    def error(self, message: str) -> NoReturn:
        text = _("{program}: {message} (see {program} --help)")
        self.exit(USAGE, text.format(program=self.prog, message=message) + "\n")


def paragraphs(*texts: str) -> str:
    """A help text of several paragraphs."""
    return "\n\n".join(texts)


def port_number(text: str) -> int:
    """The argparse type of a port: 0 (any free one) to 65535."""
    if not text.isascii() or not text.isdigit() or int(text[:6]) > 65_535:
        raise _wrong(text, _("{value} is not a port (0 to 65535)"))
    return int(text)


def positive_seconds(text: str) -> float:
    """The argparse type of a duration in seconds: more than 0, at most a day."""
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= 86_400:
        raise _wrong(text, _("{value} is not a duration in seconds (more than 0, at most 86400)"))
    return seconds


def _wrong(value: str, text: str) -> argparse.ArgumentTypeError:
    return argparse.ArgumentTypeError(text.format(value=repr(printable(value))))


def count(text: str) -> int:
    """The argparse type of a count: 1 to 10^12."""
    if not text.isascii() or not text.isdigit() or not 1 <= int(text[:20]) <= 10**12:
        raise _wrong(text, _("{value} is not a count (1 or more)"))
    return int(text)


def main(name: str, program: Callable[[], int | None]) -> NoReturn:
    """Runs ``program`` and exits with its code. An error becomes one line on stderr."""
    logging.basicConfig(level=logging.INFO, format=f"{name}: %(message)s", stream=sys.stderr)
    if isinstance(sys.stdout, io.TextIOWrapper):  # print any character in any locale
        sys.stdout.reconfigure(errors="backslashreplace")
    if isinstance(sys.stdin, io.TextIOWrapper):  # read any bytes, as in argv
        sys.stdin.reconfigure(errors="surrogateescape")
    try:
        code = program() or OK
        if sys.stdout is not None:
            sys.stdout.flush()
    except KeyboardInterrupt:
        code = INTERRUPTED
        if sys.stderr.isatty():
            print(file=sys.stderr)  # so that the shell's prompt isn't on the same line as ^C
    except (Failure, ProtocolError, OSError) as error:
        code = exit_code(error)
        if not (isinstance(error, BrokenPipeError) and _output_has_no_reader()):
            print(f"{name}: {describe(error)}", file=sys.stderr)
    _flush_output()
    sys.exit(code)


def _flush_output() -> None:
    """Flushes standard output. If that fails, drops it: the interpreter would try again and report it."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except (OSError, ValueError):
        with suppress(OSError, ValueError):
            sys.stdout.close()


def _output_has_no_reader() -> bool:
    """Whether the reader of our output is gone, as opposed to the peer of a socket (EPIPE too)."""
    poll = select.poll()
    try:
        poll.register(sys.stdout.fileno(), 0)
    except (AttributeError, OSError, ValueError):  # no standard output, or none with a descriptor
        return False
    return bool(poll.poll(0))


def exit_code(error: Failure | ProtocolError | OSError) -> int:
    """The exit code for ``error``."""
    if isinstance(error, Failure):
        return error.exit_code
    if isinstance(error, LocalProtocolError):
        return USAGE
    if isinstance(error, TimeoutError):
        return TIMEOUT
    if isinstance(error, socket.gaierror):
        return ENVIRONMENT
    if isinstance(error, OSError) and error.errno in _ENVIRONMENT_ERRNOS:
        return ENVIRONMENT
    return FAILED


def describe(error: BaseException) -> str:
    """One line about ``error``, without control characters."""
    if isinstance(error, OSError) and error.strerror:
        file = f"{error.filename}: " if error.filename is not None else ""
        return printable(f"{file}{error.strerror}")
    return printable(str(error) or type(error).__name__)
