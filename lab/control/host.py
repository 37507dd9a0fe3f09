"""A node of the lab as a scenario sees it: commands run, programs started, files put and got, power."""

from __future__ import annotations

import itertools
import shlex
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, TypeAlias

import paramiko

from lab.control.errors import EnvironmentFailure, HostTimeout, LabError
from lab.control.ssh import CONNECT_TIMEOUT, Connection, Session
from lab.evidence.events import Event, Kind, Lines, Observe

RUN_TIMEOUT = 30.0
START_TIMEOUT = 10.0
STOP_TIMEOUT = 10.0
MAX_OUTPUT = 64 << 20  # bytes kept of one command's output; past it the command is killed

Command: TypeAlias = str | Sequence[str]

_program_numbers = itertools.count(1)


@dataclass(frozen=True)
class Node:
    """What the topology says of a host or router. A router has an address on each of its segments."""

    name: str  # the Compose service
    role: str  # host | router
    names: tuple[str, ...]  # all that resolve to it, its own first
    segments: tuple[str, ...]
    addresses: tuple[str, ...]  # IPv4, one a segment
    addresses6: tuple[str, ...]

    @property
    def title(self) -> str:
        """The name that is shown: win10, kali, router."""
        return self.names[-1] if self.names else self.name

    @property
    def address(self) -> str:
        return self.addresses[0]

    @property
    def address6(self) -> str:
        return self.addresses6[0]


class Power(Protocol):
    """Who can cut a node's power: the engine, or nobody (the runner has no engine)."""

    def off(self) -> None: ...
    def on(self) -> None: ...
    def pause(self) -> None: ...
    def resume(self) -> None: ...


@dataclass
class Result:
    """What a command did. ``exit_code`` is None where a signal ended it, or where it hasn't ended."""

    command: str
    node: str
    output: bytearray = field(default_factory=bytearray, repr=False)
    errors: bytearray = field(default_factory=bytearray, repr=False)
    exit_code: int | None = None
    signal: str | None = None
    seconds: float = 0.0

    @property
    def stdout(self) -> str:
        return self.output.decode(errors="backslashreplace")

    @property
    def stderr(self) -> str:
        return self.errors.decode(errors="backslashreplace")

    @property
    def lines(self) -> list[str]:
        return self.stdout.splitlines()

    @property
    def ok(self) -> bool:
        return self.exit_code == 0

    @property
    def ending(self) -> str:
        """How it ended, in words."""
        if self.signal:
            return f"killed by SIG{self.signal}"
        return "still running" if self.exit_code is None else f"exit code {self.exit_code}"

    def describe(self) -> str:
        """The command, its end, and the last of its output: what a failure shows."""
        shown = f"{self.node}$ {self.command}: {self.ending}"
        for name, text in (("stdout", self.stdout), ("stderr", self.stderr)):
            for line in text.splitlines()[-20:]:
                shown += f"\n  {name}: {line}"
        return shown


class CommandFailed(LabError):
    """A command or program on a host ended in another way than it should; ``result`` is all of it."""

    def __init__(self, result: Result, why: str = "") -> None:
        super().__init__(f"{why}{': ' if why else ''}{result.describe()}")
        self.result = result


class CommandTimeout(HostTimeout):
    """A command was killed at its deadline, or a program didn't say what was waited for."""

    def __init__(self, result: Result, why: str) -> None:
        super().__init__(f"{why}: {result.describe()}")
        self.result = result


class Program:
    """A program under way on a host, and then what it did."""

    def __init__(self, session: Session, result: Result, observe: Observe) -> None:
        self.result = result
        self.number = next(_program_numbers)
        self._session = session
        self._observe = observe
        self._started = time.monotonic()
        self._news = threading.Condition()
        self._lines: list[str] = []
        self._ended = False
        self._kept = 0
        self._cutters = {"stdout": Lines(self._said("stdout")), "stderr": Lines(self._said("stderr"))}
        self._tell("start", result.command)

    @property
    def lines(self) -> list[str]:
        """The lines of stdout so far."""
        with self._news:
            return self._lines.copy()

    @property
    def running(self) -> bool:
        return not self._ended

    def follow(self, deadline: float | None = None) -> bool:
        """Passes output on until the program ended (True) or the deadline passed (False)."""
        done = False
        try:
            done = self._session.pump(self._keep, deadline)
        finally:
            if done:
                self._end()
        return done

    def wait_for_line(self, text: str, timeout: float = START_TIMEOUT, *, after: int = 0) -> str:
        """The first line of stdout with ``text`` in it, from line number ``after`` (0: the first) on.

        Raises CommandTimeout, or CommandFailed where the program ends without having said it.
        """

        def found() -> str | None:
            return next((line for line in self._lines[after:] if text in line), None)

        with self._news:
            self._news.wait_for(lambda: found() is not None or self._ended, timeout)
            line = found()
        if line is not None:
            return line
        if self._ended:
            raise CommandFailed(self.result, f"ended without saying {text!r}")
        raise CommandTimeout(self.result, f"didn't say {text!r} within {timeout:g} s")

    def wait(self, timeout: float = RUN_TIMEOUT) -> Result:
        """Waits for its end. Raises CommandTimeout; the program then still runs."""
        with self._news:
            if not self._news.wait_for(lambda: self._ended, timeout):
                raise CommandTimeout(self.result, f"still running after {timeout:g} s")
        return self.result

    def send(self, data: str | bytes) -> None:
        """Writes to its standard input."""
        self._session.send(data.encode() if isinstance(data, str) else data)

    def close_stdin(self) -> None:
        self._session.close_stdin()

    def signal(self, name: str) -> None:
        """Sends "TERM", "KILL", … to its process group."""
        self._session.send_signal(name)

    def stop(self, timeout: float = STOP_TIMEOUT) -> Result:
        """Asks it to end (SIGTERM), and kills its process group where it doesn't. Returns what it did."""
        for name in ("TERM", "KILL"):
            if self._ended:
                break
            with suppress(paramiko.SSHException, OSError, EOFError):  # the host may be gone
                self.signal(name)
            with suppress(CommandTimeout):
                self.wait(timeout)
        self._session.close()
        return self.result

    def _keep(self, stream: str, data: bytes) -> None:
        self._kept += len(data)
        if self._kept > MAX_OUTPUT:
            self.signal("KILL")
            raise CommandFailed(self.result, f"killed, more than {MAX_OUTPUT >> 20} MiB of output")
        (self.result.output if stream == "stdout" else self.result.errors).extend(data)
        self._cutters[stream].feed(data)

    def _said(self, stream: Kind) -> Callable[[str], None]:
        def on_line(line: str) -> None:
            if stream == "stdout":
                with self._news:
                    self._lines.append(line)
                    self._news.notify_all()
            self._tell(stream, line)

        return on_line

    def _end(self) -> None:
        for cutter in self._cutters.values():
            cutter.end()
        result = self.result
        result.signal, result.exit_code = self._session.exit_signal, self._session.exit_code
        result.seconds = time.monotonic() - self._started
        self._tell("exit", result.ending)
        with self._news:
            self._ended = True
            self._news.notify_all()

    def _tell(self, kind: Kind, text: str) -> None:
        self._observe(Event(time.time(), self.result.node, kind, text, self.number))


class Host:
    """A node that is logged in to. The connection is made at first need, and again after a power cut."""

    def __init__(self, node: Node, dial: Callable[[], Connection], power: Power, observe: Observe) -> None:
        self.node = node
        self.name = node.name
        self.title = node.title
        self._dial = dial
        self._power = power
        self._observe = observe
        self._connection: Connection | None = None
        self._lock = threading.Lock()

    @property
    def address(self) -> str:
        """Its IPv4 address on its (first) segment."""
        return self.node.address

    @property
    def address6(self) -> str:
        return self.node.address6

    def run(
        self,
        command: Command,
        *,
        timeout: float = RUN_TIMEOUT,
        stdin: str | bytes = b"",
        check: bool = False,
    ) -> Result:
        """Runs ``command`` in the user's shell on the host and waits for its end.

        At the deadline its process group is killed and CommandTimeout raised, with the output so far.
        With ``check`` an end other than exit code 0 raises CommandFailed.
        """
        program = self._execute(command, timeout)
        if stdin:
            program.send(stdin)
        program.close_stdin()
        try:
            if not program.follow(time.monotonic() + timeout):
                program.signal("KILL")
                program.follow(time.monotonic() + STOP_TIMEOUT)
                raise CommandTimeout(program.result, f"killed after {timeout:g} s")
        except BaseException:
            program.stop(timeout=0.5)
            raise
        program._session.close()
        if check and not program.result.ok:
            raise CommandFailed(program.result)
        return program.result

    @contextmanager
    def start(
        self, command: Command, *, announce: str = "listening on", timeout: float = START_TIMEOUT
    ) -> Iterator[Program]:
        """Starts a program, waits until it announces itself, and stops it when the context ends.

        ``announce`` "" waits for nothing. Raises CommandFailed, with its output, where it ends before.
        """
        program = self._execute(command, timeout)
        follower = threading.Thread(target=_follow, args=(program,), daemon=True)
        follower.start()
        try:
            if announce:
                program.wait_for_line(announce, timeout)
            yield program
        finally:
            program.stop()
            follower.join(STOP_TIMEOUT)

    def put(self, content: bytes | str | Path, path: str) -> None:
        """Writes a file on the host; it appears under its name only when whole."""
        temporary = f"{path}.{time.time_ns():x}.part"
        with self._files() as files:
            if isinstance(content, Path):
                files.put(str(content), temporary)
            else:
                with files.open(temporary, "wb") as file:
                    file.set_pipelined(True)
                    file.write(content.encode() if isinstance(content, str) else content)
            files.posix_rename(temporary, path)

    def get(self, path: str) -> bytes:
        """A file of the host, whole."""
        with self._files() as files, files.open(path, "rb") as file:
            size = file.stat().st_size or 0
            if size > MAX_OUTPUT:
                raise EnvironmentFailure(f"{self.name}: {path} has {size} bytes; get takes {MAX_OUTPUT}")
            file.prefetch(size)
            return file.read()

    def power_off(self) -> None:
        """Cuts the power: everything on the host is gone at once, without a FIN. Raises Unsupported."""
        self._fault("power cut", self._power.off)
        self.disconnect()

    def power_on(self) -> None:
        """Starts the host again; returns when it can be logged in to. Raises Unsupported."""
        self._fault("power on", self._power.on)
        self.connect()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Freezes every process of the host while the context lasts. Raises Unsupported."""
        self._fault("paused", self._power.pause)
        try:
            yield
        finally:
            self._fault("resumed", self._power.resume)

    def connect(self) -> Connection:
        """The warm connection, made or made again where there is none. Raises EnvironmentFailure."""
        with self._lock:
            if self._connection is None or not self._connection.alive:
                self._connection = self._dial()
            return self._connection

    def disconnect(self) -> None:
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def _execute(self, command: Command, timeout: float) -> Program:
        line = command if isinstance(command, str) else shlex.join(command)
        session = self.connect().execute(line, timeout=min(timeout, CONNECT_TIMEOUT))
        return Program(session, Result(line, self.title), self._observe)

    @contextmanager
    def _files(self) -> Iterator[paramiko.SFTPClient]:
        try:
            yield self.connect().files()
        except (paramiko.SSHException, OSError, EOFError) as error:
            raise EnvironmentFailure(f"{self.name}: {error}") from error

    def _fault(self, text: str, act: Callable[[], None]) -> None:
        self._observe(Event(time.time(), self.title, "fault", text))
        act()


def _follow(program: Program) -> None:
    # A failure is in the result and in the events; the thread that waits for the program reports it.
    with suppress(CommandFailed, paramiko.SSHException, OSError, EOFError):
        program.follow()
