"""lab-command run: one command, a script from standard input, or a prompt."""

from __future__ import annotations

import argparse
import codecs
import importlib
import io
import select
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

from lab.programs import console
from lab.programs.console import Failure
from lab.protocols.command import EXIT, Cancel, Run, encode_request, encode_tutorial_command
from lab.protocols.command_answers import DECODERS, AnswerEvent, Exit, Output
from lab.protocols.errors import LocalProtocolError, ProtocolError, TruncatedError
from lab.sockets.blocking import connect
from lab.sockets.deadline import Deadline

ANSWER_GRACE = 10.0  # seconds past the command's own time in which its answer must come
LEAVE = ("exit", "quit")


def run(options: argparse.Namespace) -> int:
    """The exit code of the program: that of the remote command where all else went well."""
    session = Session(options, Screen(options))
    try:
        code = _run(session, options)
    except BaseException:
        session.abort()
        raise
    session.close()
    return code


def _run(session: Session, options: argparse.Namespace) -> int:
    if options.command:
        return status(session.ask(" ".join(options.command)))
    if sys.stdin is None:  # closed by who started us
        return console.OK
    if sys.stdin.isatty():
        return Prompt(session, options).run()
    return run_script(session)


def run_script(session: Session) -> int:
    """Each line of standard input is a command. The exit code of the first that failed, else 0."""
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(errors="surrogateescape")  # what is no text is refused with its command
    first_failure = console.OK
    for line in sys.stdin:
        command = line.strip()
        if command in LEAVE:
            break
        if command:
            code = status(session.ask(command))
            first_failure = first_failure or code
    return first_failure


def status(ending: Exit) -> int:
    """The exit code that stands for ``ending``; a signal is 128 + its number, as shells have it."""
    if ending.timed_out:
        return console.TIMEOUT
    if ending.truncated:
        return console.FAILED
    return 128 + ending.signal if ending.signal is not None else ending.exit_code or console.OK


class Session:
    """A connection over which commands go, one after the other."""

    def __init__(self, options: argparse.Namespace, screen: Screen) -> None:
        self._options, self._screen = options, screen
        self._where = f"{options.host}:{options.port}"
        self._asked = False  # a whole request is with the server and its answer isn't here yet
        self._used = False
        self._connect()

    @property
    def cancels(self) -> bool:
        """Whether the protocol can interrupt a command; in the others only the end of the connection does."""
        return bool(self._options.protocol == "frame")

    def ask(self, command: str) -> Exit:
        """Sends ``command``, shows its output as it comes, and returns how it ended.

        Raises Failure where the answer can't be had whole, LocalProtocolError where the command can't be
        sent, BrokenPipeError where nobody reads our output any more.
        """
        request = self._encode(command)
        if self._used and self._is_stale():
            self.reconnect()
        self._used = True
        started = time.monotonic()
        try:
            with self._naming_the_server():
                self._stream.sendall(request, Deadline(ANSWER_GRACE))
            self._asked = True
            ending = self._answer_raw() if self._options.protocol == "raw" else self._answer()
        except TimeoutError:
            raise Failure(f"{self._where}: no answer in time", console.TIMEOUT) from None
        finally:
            self._asked = False
        self._screen.exit(command, ending, time.monotonic() - started)
        return ending

    def cancel(self) -> None:
        """Asks the server to interrupt the command that runs. For a signal handler."""
        if self._asked:
            with suppress(OSError):
                self._stream.sendall(encode_request(Cancel()), Deadline(1.0))

    def reconnect(self) -> None:
        """A new connection in place of the old one; with it ends the command that may run there."""
        self.abort()
        self._connect()

    def abort(self) -> None:
        """Leaves in the middle: the command that may run is killed at once.

        A tutorial server hardly survives a reset; it is left gently.
        """
        if self._options.protocol == "frame":
            self._stream.abort()
        else:
            self._stream.close(linger=0.0)

    def close(self) -> None:
        """Leaves. A length server waits for the word, and takes the next client then."""
        if self._options.protocol == "length":
            with suppress(OSError):
                self._stream.sendall(EXIT, Deadline(1.0))
        self._stream.close(linger=0.2)

    def _connect(self) -> None:
        self._stream = connect(self._options.host, self._options.port)
        self._decoder = DECODERS[self._options.protocol]()

    def _encode(self, command: str) -> bytes:
        if self._options.protocol != "frame":
            return encode_tutorial_command(command)
        return encode_request(Run(command, self._options.timeout, self._options.encoding))

    def _answer(self) -> Exit:
        while True:
            ending = self._show(self._receive(65_536, self._options.timeout + ANSWER_GRACE))
            if ending is not None:
                return ending

    def _answer_raw(self) -> Exit:
        """Nothing tells where a raw answer ends: it is what one recv brings, or all until a silence."""
        if self._options.recv_size:
            self._show(self._receive(self._options.recv_size, self._options.timeout))
            return Exit()
        with suppress(TimeoutError):
            while True:
                self._show(self._receive(65_536, self._options.silence))
        return Exit()

    def _receive(self, limit: int, seconds: float) -> list[AnswerEvent]:
        with self._naming_the_server():
            data = self._stream.recv(limit, Deadline(seconds))
            if data:
                return list(self._decoder.feed(data))
            self._decoder.end()
            raise TruncatedError("the server closed the connection before a whole answer")

    def _show(self, events: list[AnswerEvent]) -> Exit | None:
        for event in events:
            if isinstance(event, Exit):
                return event
            self._screen.output(event)
        return None

    @contextmanager
    def _naming_the_server(self) -> Iterator[None]:
        """What goes wrong in here goes wrong with the server, and says so."""
        try:
            yield
        except TimeoutError:
            raise
        except (ProtocolError, OSError) as error:
            raise Failure(f"{self._where}: {console.describe(error)}", console.exit_code(error)) from None

    def _is_stale(self) -> bool:
        """Whether the server closed meanwhile, as it does with the idle."""
        if self._options.protocol == "raw":
            return False  # it may be the rest of the last answer that waits
        poll = select.poll()
        poll.register(self._stream.fileno(), select.POLLIN)
        return bool(poll.poll(0))


class Screen:
    """Shows output where it belongs; with ``--json``, events instead."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._json: bool = options.json
        self._encoding: str | None = options.encoding
        self._protocol: str = options.protocol
        self._say = console.Console(as_json=True)
        self._decoders: dict[str, codecs.IncrementalDecoder] = {}
        self._sizes = {"stdout": 0, "stderr": 0}

    def output(self, output: Output) -> None:
        """The next bytes, at once. What is UTF-8 already passes unchanged, so that a file survives it."""
        self._sizes[output.stream] += len(output.data)
        encoding = self._encoding or output.encoding or "utf-8"
        if encoding == "utf-8" and not self._json:
            self._write(output.stream, output.data)
            return
        if output.stream not in self._decoders:
            self._decoders[output.stream] = codecs.getincrementaldecoder(encoding)("replace")
        self._write_text(output.stream, self._decoders[output.stream].decode(output.data))

    def exit(self, command: str, ending: Exit, seconds: float) -> None:
        """The end of an answer, and a line where it isn't what its exit code says."""
        for stream, decoder in self._decoders.items():
            self._write_text(stream, decoder.decode(b"", True))
        self._decoders.clear()
        if self._json:
            self._say.say("exit", f"{command} ({ending.summary})", **self._record(command, ending, seconds))
        elif ending.note and self._protocol != "header":  # its stderr said so already
            self.remark(ending.note)
        elif ending.signal is not None:
            self.remark(f"ended by signal {ending.signal} ({_signal_name(ending.signal)})")
        elif self._protocol == "raw" and not any(self._sizes.values()):
            self.remark("nothing came; a raw answer has no end that could be waited for")
        self._sizes = dict.fromkeys(self._sizes, 0)

    def remark(self, text: str) -> None:
        """A line of ours on stderr."""
        print(f"lab-command: {text}", file=sys.stderr, flush=True)

    def _record(self, command: str, ending: Exit, seconds: float) -> dict[str, Any]:
        sizes = {f"{stream}_size": size for stream, size in self._sizes.items()}
        return {
            "command": command,
            "exit_code": ending.exit_code,
            "signal": ending.signal,
            **{name: getattr(ending, name) for name in ("truncated", "timed_out", "cancelled")},
            **sizes,
            "whole": self._protocol != "raw" and not ending.note,
            "verified": self._protocol in ("header", "frame"),
            "seconds": round(seconds, 6),
        }

    def _write_text(self, stream: str, text: str) -> None:
        if text and self._json:
            self._say.say(stream, text, text=text)
        elif text:
            self._write(stream, text.encode(errors="replace"))

    def _write(self, stream: str, data: bytes) -> None:
        file = sys.stdout if stream == "stdout" else sys.stderr
        if file is None:  # closed by who started us
            return
        file.flush()
        file.buffer.write(data)
        file.buffer.flush()


class Prompt:
    """The interactive face: line editing, Ctrl-C for the command, Ctrl-D to leave."""

    def __init__(self, session: Session, options: argparse.Namespace) -> None:
        self._session = session
        self._prompt = f"{options.host}> "
        self._interrupted = False

    def run(self) -> int:
        """The status of the last command."""
        with suppress(ImportError):
            importlib.import_module("readline")  # that alone gives input() line editing and history
        print("Each command runs in a shell of its own: cd and variables don't last.", file=sys.stderr)
        print("Ctrl-C interrupts a command, Ctrl-D or exit leaves.", file=sys.stderr)
        last = console.OK
        for command in self._commands():
            try:
                last = self._ask(command)
            except LocalProtocolError as error:
                print(f"lab-command: {console.describe(error)}", file=sys.stderr)
        return last

    def _commands(self) -> Iterator[str]:
        while True:
            try:
                command = input(self._prompt).strip()
            except KeyboardInterrupt:
                print(file=sys.stderr)
                continue
            except EOFError:
                print(file=sys.stderr)
                return
            if command in LEAVE:
                return
            if command:
                yield command

    def _ask(self, command: str) -> int:
        self._interrupted = False
        before = signal.signal(signal.SIGINT, self._on_interrupt)
        try:
            code = status(self._session.ask(command))
        except KeyboardInterrupt:
            if self._session.cancels:
                raise  # twice: the user wants out
            print("\nlab-command: interrupted; connecting anew", file=sys.stderr)
            self._session.reconnect()
            code = console.INTERRUPTED
        finally:
            signal.signal(signal.SIGINT, before)
        if code:
            print(f"[exit {code}]", file=sys.stderr)
        return code

    def _on_interrupt(self, number: int, frame: FrameType | None) -> None:
        if self._interrupted or not self._session.cancels:
            raise KeyboardInterrupt
        self._interrupted = True
        self._session.cancel()


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return "unknown here"
