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

from lab.locale import _
from lab.programs import console
from lab.programs.console import Failure
from lab.protocols.command import EXIT, MAX_OUTPUT, Cancel, Run, encode_request, encode_tutorial_command
from lab.protocols.command_answers import DECODERS, AnswerEvent, Exit, Output
from lab.protocols.errors import LocalProtocolError, ProtocolError, TruncatedError
from lab.sockets.blocking import connect
from lab.sockets.deadline import Deadline

ANSWER_GRACE = 10.0  # seconds that an answer may take in addition to the command's time limit
SLOWEST_SERVER = 100_000.0  # bytes/s; a slower answer is abandoned
LEAVE = ("exit", "quit")


def run(options: argparse.Namespace) -> int:
    """Returns the exit code: that of the remote command, if there was no other error."""
    session = Session(options, OutputPrinter(options))
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
    if sys.stdin is None:  # closed by the parent process
        return console.OK
    if sys.stdin.isatty():
        return InteractivePrompt(session, options).run()
    return run_script(session)


def run_script(session: Session) -> int:
    """Runs each line of standard input as a command. Returns the exit code of the first that failed, or 0."""
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(errors="surrogateescape")  # such a command is refused later
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
    """The exit code for ``ending``; a signal is 128 + its number, as in shells."""
    if ending.timed_out:
        return console.TIMEOUT
    if ending.truncated:
        return console.FAILED
    return 128 + ending.signal if ending.signal is not None else ending.exit_code or console.OK


class Session:
    """A connection on which commands run, one after the other."""

    def __init__(self, options: argparse.Namespace, printer: OutputPrinter) -> None:
        self._options, self._printer = options, printer
        self._server = f"{options.host}:{options.port}"
        self._asked = False  # a request has been sent and its answer isn't complete
        self._used = False
        self._connect()

    @property
    def cancels(self) -> bool:
        """Whether the protocol can interrupt a command. Otherwise only closing the connection ends it."""
        return bool(self._options.protocol == "frame")

    def ask(self, command: str) -> Exit:
        """Sends ``command``, prints its output as it arrives, and returns how it ended.

        Raises Failure if the answer isn't complete, LocalProtocolError if the command can't be sent,
        BrokenPipeError if the reader of our output is gone.
        """
        request = self._encode(command)
        if self._used and self._is_stale():
            self.reconnect()
        self._used = True
        started = time.monotonic()
        try:
            with self._errors_name_server():
                self._stream.sendall(request, Deadline(ANSWER_GRACE))
            self._asked = True
            ending = self._answer_raw() if self._options.protocol == "raw" else self._answer()
        except TimeoutError:
            raise Failure(
                _("{server}: no answer in time").format(server=self._server), console.TIMEOUT
            ) from None
        finally:
            self._asked = False
        self._printer.exit(command, ending, time.monotonic() - started)
        return ending

    def cancel(self) -> None:
        """Asks the server to interrupt the running command. For use in a signal handler."""
        if self._asked:
            with suppress(OSError):
                self._stream.sendall(encode_request(Cancel()), Deadline(1.0))

    def reconnect(self) -> None:
        """Replaces the connection. A running command ends with the old one."""
        self.abort()
        self._connect()

    def abort(self) -> None:
        """Closes the connection at once; the server kills a running command.

        Tutorial servers may not survive a reset, so with their protocols it isn't used.
        """
        if self._options.protocol == "frame":
            self._stream.abort()
        else:
            self._stream.close(linger=0.0)

    def close(self) -> None:
        """Closes the connection. A length server serves the next client only after it has received "exit"."""
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
        stall = self._options.timeout + ANSWER_GRACE
        whole = Deadline(stall + MAX_OUTPUT / SLOWEST_SERVER)
        while True:
            ending = self._show(self._receive(65_536, whole.or_earlier(stall)))
            if ending is not None:
                return ending

    def _answer_raw(self) -> Exit:
        """A raw answer has no end mark: it is the result of one recv, or all data until a silence."""
        if self._options.recv_size:
            self._show(self._receive(self._options.recv_size, Deadline(self._options.timeout)))
            return Exit()
        whole = Deadline(self._options.timeout + ANSWER_GRACE)
        with suppress(TimeoutError):
            while True:
                self._show(self._receive(65_536, whole.or_earlier(self._options.silence)))
        whole.remaining()
        return Exit()

    def _receive(self, limit: int, deadline: Deadline) -> list[AnswerEvent]:
        with self._errors_name_server():
            data = self._stream.recv(limit, deadline)
            if data:
                return list(self._decoder.feed(data))
            self._decoder.end()
            raise TruncatedError("the server closed the connection before the answer was complete")

    def _show(self, events: list[AnswerEvent]) -> Exit | None:
        for event in events:
            if isinstance(event, Exit):
                return event
            self._printer.output(event)
        return None

    @contextmanager
    def _errors_name_server(self) -> Iterator[None]:
        """Errors inside this context name the server."""
        try:
            yield
        except TimeoutError:
            raise
        except (ProtocolError, OSError) as error:
            raise Failure(f"{self._server}: {console.describe(error)}", console.exit_code(error)) from None

    def _is_stale(self) -> bool:
        """Whether the server has closed the connection, as it does with idle clients."""
        if self._options.protocol == "raw":
            return False  # the data may be the rest of the last answer
        poll = select.poll()
        poll.register(self._stream.fileno(), select.POLLIN)
        return bool(poll.poll(0))


class OutputPrinter:
    """Prints the remote stdout and stderr to ours or, with ``--json``, as events."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._json: bool = options.json
        self._encoding: str | None = options.encoding
        self._protocol: str = options.protocol
        self._say = console.Console(as_json=True)
        self._decoders: dict[str, codecs.IncrementalDecoder] = {}
        self._sizes = {"stdout": 0, "stderr": 0}

    def output(self, output: Output) -> None:
        """Prints the next bytes at once. Bytes in UTF-8 aren't converted, so that binary data stays
        intact.
        """
        self._sizes[output.stream] += len(output.data)
        encoding = self._encoding or output.encoding or "utf-8"
        if encoding == "utf-8" and not self._json:
            self._write(output.stream, output.data)
            return
        if output.stream not in self._decoders:
            self._decoders[output.stream] = codecs.getincrementaldecoder(encoding)("replace")
        self._write_text(output.stream, self._decoders[output.stream].decode(output.data))

    def exit(self, command: str, ending: Exit, seconds: float) -> None:
        """Ends an answer; prints a line if the exit code doesn't show how it ended."""
        for stream, decoder in self._decoders.items():
            self._write_text(stream, decoder.decode(b"", True))
        self._decoders.clear()
        if self._json:
            self._say.say("exit", f"{command} ({ending.summary})", **self._record(command, ending, seconds))
        elif ending.note and self._protocol != "header":  # its stderr has this line already
            self.remark(ending.note)
        elif ending.signal is not None:
            text = _("ended by signal {number} ({name})")
            self.remark(text.format(number=ending.signal, name=_signal_name(ending.signal)))
        elif self._protocol == "raw" and not any(self._sizes.values()):
            self.remark(_("no data; the end of a raw answer can't be detected"))
        self._sizes = dict.fromkeys(self._sizes, 0)

    def remark(self, text: str) -> None:
        """Prints a line of our own on stderr."""
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
        if file is None:  # closed by the parent process
            return
        file.flush()
        file.buffer.write(data)
        file.buffer.flush()


class InteractivePrompt:
    """The prompt on a terminal: line editing, Ctrl-C interrupts a command, Ctrl-D exits."""

    def __init__(self, session: Session, options: argparse.Namespace) -> None:
        self._session = session
        self._prompt = f"{options.host}> "
        self._interrupted = False

    def run(self) -> int:
        """Returns the exit code of the last command."""
        with suppress(ImportError):
            importlib.import_module("readline")  # importing it enables line editing and history in input()
        print(
            _("Each command runs in its own shell: cd and variables have no effect on the next."),
            file=sys.stderr,
        )
        print(_("Ctrl-C interrupts a command; Ctrl-D or exit ends the session."), file=sys.stderr)
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
                raise  # the second Ctrl-C
            print("\nlab-command: " + _("interrupted; reconnecting"), file=sys.stderr)
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
        return _("unknown")
