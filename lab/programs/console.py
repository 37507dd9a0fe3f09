"""What the programs share towards their user: announcements, one-line errors, exit codes, signals."""

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

from lab.protocols.errors import LocalProtocolError, ProtocolError
from lab.protocols.printable import printable
from lab.sockets.address import format_address
from lab.sockets.stop import Stop

OK, FAILED, USAGE, ENVIRONMENT, TIMEOUT, INTERRUPTED = 0, 1, 2, 3, 4, 130
SPARE_DESCRIPTORS = 64

_ENVIRONMENT_ERRNOS = {
    errno.EADDRINUSE, errno.EADDRNOTAVAIL, errno.EACCES, errno.EPERM, errno.ENETUNREACH, errno.EHOSTUNREACH,
    errno.ENETDOWN, errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EMFILE, errno.ENFILE, errno.EAFNOSUPPORT,
    errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ENOMEM,
}  # fmt: skip


class Failure(Exception):
    """Ends the program with one line on stderr and ``exit_code``."""

    def __init__(self, text: str, exit_code: int = FAILED) -> None:
        super().__init__(text)
        self.exit_code = exit_code


class Console:
    """Standard output of a program: lines for people or, with ``--json``, one JSON object a line."""

    def __init__(self, *, as_json: bool = False) -> None:
        self.as_json = as_json

    def say(self, event: str, text: str, /, **fields: Any) -> None:
        """One event, at once visible to whoever reads the other end of a pipe.

        JSON is pure ASCII: whole in any locale, and nothing in it can steer a terminal. Its "line" is what
        people would have read.
        """
        line = printable(text)
        if self.as_json:
            line = json.dumps({"event": event, **fields, "line": line})
        print(line + "\n", end="", flush=True)  # in one write: lines of several threads stay whole

    def announce(self, listener: socket.socket, what: str = "listening on") -> None:
        """Says where a server can be reached, after bind: clients may come from now on."""
        address = listener.getsockname()
        self.say("listening", f"{what} {format_address(address)}", host=address[0], port=address[1])


def stop_on_signals() -> Stop:
    """A Stop that SIGTERM and SIGINT set. A second SIGINT doesn't wait: KeyboardInterrupt."""
    stop = Stop()

    def on_signal(number: int, _: object) -> None:
        if number == signal.SIGINT:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, on_signal)
    stop.wake_on_signals()
    return stop


def input_lines() -> Iterator[str]:
    """The lines of standard input, without their ends; with a prompt where a person types them."""
    if sys.stdin is None:
        return
    if not sys.stdin.isatty():
        for line in sys.stdin:
            yield line.rstrip("\r\n")
        return
    with suppress(ImportError):
        import readline  # noqa: F401  gives input() line editing
    print('Type a message; "quit" or Ctrl-D ends.', file=sys.stderr)
    with suppress(EOFError):
        while True:
            yield input("> ")


def allow_descriptors(number: int) -> None:
    """Lets the process hold ``number`` sockets open, and some files. Raises Failure where it may not."""
    try:
        import resource
    except ImportError:  # Windows: no such limit
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = number + SPARE_DESCRIPTORS
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return
    if hard != resource.RLIM_INFINITY and hard < needed:
        raise Failure(f"{number} connections need {needed} descriptors, and the limit is {hard}", ENVIRONMENT)
    resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))


class Parser(argparse.ArgumentParser):
    """argparse, with help that keeps its line breaks and a wrong use told in one line."""

    def __init__(self, **options: Any) -> None:
        options.setdefault("formatter_class", argparse.RawDescriptionHelpFormatter)
        super().__init__(**options)

    def parse_texts(self) -> argparse.Namespace:
        """As parse_args, for programs that take any number of TEXTs: also between and behind options, where
        argparse itself doesn't look for them.
        """
        options, rest = self.parse_known_args()
        if rest and (not hasattr(options, "text") or any(word.startswith("-") for word in rest)):
            self.error(f"unrecognized arguments: {printable(' '.join(rest))}")
        if rest:
            options.text += rest
        return options

    def error(self, message: str) -> NoReturn:
        self.exit(USAGE, f"{self.prog}: {message} (see {self.prog} --help)\n")


def port_number(text: str) -> int:
    """A port for argparse: 0 (any free one) … 65535."""
    if not text.isascii() or not text.isdigit() or int(text[:6]) > 65_535:
        raise argparse.ArgumentTypeError(f"{printable(text)!r} is no port (0 … 65535)")
    return int(text)


def positive_seconds(text: str) -> float:
    """A duration in seconds for argparse: finite, above 0, at most a day."""
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= 86_400:
        raise argparse.ArgumentTypeError(f"{printable(text)!r} is no duration (0 < seconds ≤ 86400)")
    return seconds


def count(text: str) -> int:
    """A number of things for argparse: 1 … 10^12."""
    if not text.isascii() or not text.isdigit() or not 1 <= int(text[:20]) <= 10**12:
        raise argparse.ArgumentTypeError(f"{printable(text)!r} is no count (1 or more)")
    return int(text)


def main(name: str, program: Callable[[], int | None]) -> NoReturn:
    """Runs ``program`` and exits with its code; whatever it raises becomes one line on stderr."""
    logging.basicConfig(level=logging.INFO, format=f"{name}: %(message)s", stream=sys.stderr)
    if isinstance(sys.stdout, io.TextIOWrapper):  # a character that the locale lacks is no reason to die
        sys.stdout.reconfigure(errors="backslashreplace")
    if isinstance(sys.stdin, io.TextIOWrapper):  # nor are bytes that aren't text: as in argv
        sys.stdin.reconfigure(errors="surrogateescape")
    try:
        code = program() or OK
        if sys.stdout is not None:
            sys.stdout.flush()
    except KeyboardInterrupt:
        code = INTERRUPTED
        if sys.stderr.isatty():
            print(file=sys.stderr)  # the shell's prompt isn't to stand behind ^C
    except (Failure, ProtocolError, OSError) as error:
        code = exit_code(error)
        if not (isinstance(error, BrokenPipeError) and _output_has_no_reader()):
            print(f"{name}: {describe(error)}", file=sys.stderr)
    _let_go_of_output()
    sys.exit(code)


def _let_go_of_output() -> None:
    """Drops what standard output can't get rid of: the interpreter would try again, and complain."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except (OSError, ValueError):
        with suppress(OSError, ValueError):
            sys.stdout.close()


def _output_has_no_reader() -> bool:
    """Whether whoever read our output has gone: then nobody is left to tell. A socket's EPIPE isn't meant."""
    poll = select.poll()
    try:
        poll.register(sys.stdout.fileno(), 0)
    except (AttributeError, OSError, ValueError):  # no standard output, or none with a descriptor
        return False
    return bool(poll.poll(0))


def exit_code(error: Failure | ProtocolError | OSError) -> int:
    """The exit code that stands for ``error``."""
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
    """One line about ``error``, without anything that could steer a terminal."""
    if isinstance(error, OSError) and error.strerror:
        file = f"{error.filename}: " if error.filename is not None else ""
        return printable(f"{file}{error.strerror}")
    return printable(str(error) or type(error).__name__)
