"""A node of the lab, as scenarios use it: commands, programs, files, and (through Faults) power and cable."""

from __future__ import annotations

import shlex
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, TypeAlias

import paramiko

from lab.control.agent import COMMAND, NodeAgent
from lab.control.faults import FAULT_TIMEOUT, Faults, Power
from lab.control.process import HelperProcess, with_pid
from lab.control.program import (
    MAX_OUTPUT,
    RUN_TIMEOUT,
    START_TIMEOUT,
    STOP_TIMEOUT,
    CommandFailed,
    CommandTimeout,
    Program,
    Result,
)
from lab.control.readiness import until_line, until_listening
from lab.control.workload import Workload
from lab.errors import EnvironmentFailure, Unsupported, UsageError
from lab.evidence.events import Event, Observe
from lab.locale import message
from lab.remote.ssh import CONNECT_TIMEOUT, Connection
from lab.topology.node import Node

CLAIM_TIMEOUT = 2  # seconds: the holder may be about to exit
LOCKED = 1  # flock's exit code if another process holds the lock

Command: TypeAlias = str | Sequence[str]


class Host(Faults):
    """A node with an SSH connection, which is made when first needed, and again after a power cut."""

    agent_command = COMMAND
    ssh_for_scenarios = True  # scenarios may use its SSH server: the controller uses another address

    def __init__(
        self,
        node: Node,
        dial: Callable[[], Connection],
        power: Power,
        observe: Observe,
        workload: Workload | None = None,
    ) -> None:
        """``workload`` is the user's container on the host, if there is one and the engine can be reached."""
        self.node = node
        self.name = node.name
        self.title = node.title
        self._dial = dial
        self.workload = workload
        self._power = power
        self._observe = observe
        self.returned = []
        self.helpers: list[HelperProcess] = []  # those that run; a reset spares them
        self.was_used = True  # commands may have run on it since it was reset
        self._connection: Connection | None = None
        self._lock = threading.Lock()
        self.agent = NodeAgent(self.connect, self.title, self.agent_command)

    @property
    def address(self) -> str:
        """Its IPv4 address on its (first) segment."""
        return self.node.address

    @property
    def address6(self) -> str:
        return self.node.address6

    @property
    def platform(self) -> str:
        """``linux``, or ``windows`` if its command line is Wine's."""
        return self.node.platform

    def run(
        self,
        command: Command,
        *,
        timeout: float = RUN_TIMEOUT,
        stdin: str | bytes = b"",
        check: bool = False,
    ) -> Result:
        """Runs ``command`` in the user's shell on the host and waits for it to exit.

        On timeout its process group is killed, and CommandTimeout is raised with the output so far.
        With ``check``, any result but exit code 0 raises CommandFailed.
        """
        result = _finish(self._execute(command, timeout, self._observe), stdin, timeout)
        if check and not result.ok:
            raise CommandFailed(result)
        return result

    def exec(
        self,
        command: Command,
        *,
        timeout: float = RUN_TIMEOUT,
        stdin: str | bytes = b"",
        check: bool = False,
    ) -> Result:
        """Runs ``command`` in the user's container on the host, as its user, and waits for it to exit.

        A list is started as it is; a string needs /bin/sh in the image. On timeout the command and the
        processes that it started are killed, and CommandTimeout is raised. With ``check``, any result but
        exit code 0 raises CommandFailed. The engine reports a command that exits with 128 + n like one that
        signal n ended, so ``signal`` is set for both. Raises UsageError if the host has no such container
        or the image has no shell, and Unsupported without the engine.
        """
        session, asked = self.require_workload().execute(_argv(command)), time.time()
        program = Program(session, Result(_line(command), self.title), self._observe, asked)
        result = _finish(program, stdin, timeout)
        if isinstance(command, str) and session.refused:
            raise UsageError(
                message("the image of {host} has no shell: pass the command as a list", host=self.title)
            )
        if check and not result.ok:
            raise CommandFailed(result)
        return result

    def require_workload(self) -> Workload:
        """The user's container. Raises UsageError if there is none, and Unsupported without the engine."""
        if self.workload is not None:
            return self.workload
        if self.node.workload:
            raise Unsupported(
                message(
                    "a command in the container of {host} needs the engine: use `lab run`", host=self.title
                )
            )
        raise UsageError(
            message("{host} has no container of yours; `run` runs a command on the host", host=self.title)
        )

    def ask(self, command: str, *, stdin: str | bytes = b"", timeout: float = FAULT_TIMEOUT) -> Result:
        """``run`` for the controller's own queries: they are not in the timeline."""
        return _finish(self._execute(command, timeout, _nobody), stdin, timeout)

    @contextmanager
    def start(
        self, command: Command, *, announce: str | None = None, timeout: float = START_TIMEOUT
    ) -> Iterator[Program]:
        """Starts a program, waits until it is ready, and stops it when the context ends.

        It is ready when it has printed a line with ``announce`` in it. By default, that is "listening on",
        and a program that has been listening for a moment without such a line is ready, too. With
        ``announce`` "" there is no wait. Raises CommandFailed, with the output, if it exits first, and
        CommandTimeout.
        """
        with self._started(command, announce, timeout, self._observe) as program:
            yield program

    def helper(self, command: str, on_output: Callable[[bytes], None]) -> HelperProcess:
        """Starts a helper of the controller. ``on_output`` is called with each piece of its stdout.

        Raises EnvironmentFailure, HostTimeout.
        """
        process = HelperProcess(self.connect().execute(with_pid(command)), self.title, on_output)
        process.follow_in_background()
        self.helpers = [each for each in self.helpers if not each.ended] + [process]
        return process

    def python(self, code: str, *arguments: str, **options: Any) -> Result:
        """Runs Python code; ``arguments`` are its sys.argv[1:], ``options`` are those of ``run``."""
        return self.run(_python(code, arguments), **options)

    def start_python(self, code: str, *arguments: str, **options: Any) -> AbstractContextManager[Program]:
        """Starts Python code, as ``start`` starts a command."""
        return self.start(_python(code, arguments), **options)

    @contextmanager
    def claimed(self, path: str) -> Iterator[HelperProcess | None]:
        """Holds the lock file ``path`` on the host while the context lasts. Yields the process that holds it,
        or None if another process does. The lock is released even if the controller is killed.
        """
        hold = f"exec 9>>{shlex.quote(path)}; flock --wait {CLAIM_TIMEOUT} 9 && echo held && exec cat"
        output = bytearray()
        holder = self.helper(hold, output.extend)
        try:
            holder.wait_until(lambda: bool(output) or holder.ended, f"can't lock {path}", START_TIMEOUT)
            if not output and holder.exit_code != LOCKED:
                raise EnvironmentFailure(f"{self.title}: can't lock {path}: {holder.last_words}")
            yield holder if output else None
        finally:
            holder.close_stdin()
            holder.finish()

    @contextmanager
    def _started(
        self, command: Command, announce: str | None, timeout: float, observe: Observe
    ) -> Iterator[Program]:
        ready = until_listening(self.agent, timeout) if announce is None else until_line(announce, timeout)
        program = self._execute(command, timeout, observe)
        program.follow_in_background()
        try:
            ready(program)
            yield program
        finally:
            program.stop()

    def put(self, content: bytes | str | Path, path: str) -> None:
        """Writes a file on the host. It appears under its name when it is complete."""
        temporary = f"{path}.{time.time_ns():x}.part"
        with self._files(path) as files:
            if isinstance(content, Path):
                files.put(str(content), temporary)
            else:
                with files.open(temporary, "wb") as file:
                    file.set_pipelined(True)
                    file.write(content.encode() if isinstance(content, str) else content)
            files.posix_rename(temporary, path)

    def get(self, path: str) -> bytes:
        """Reads a file of the host, at most MAX_OUTPUT bytes. Raises EnvironmentFailure."""
        with self._files(path) as files, files.open(path, "rb") as file:
            size = file.stat().st_size or 0
            if size > MAX_OUTPUT:
                raise EnvironmentFailure(f"{self.name}: {path} has {size} bytes; the limit is {MAX_OUTPUT}")
            file.prefetch(size)
            return file.read()

    def capture_problem(self) -> str:
        """Why packets can't be captured on it; "" if they can."""
        return ""

    def capture_filter(self, addresses: Sequence[str]) -> str:
        """A pcap-filter(7) for the lab's packets; "" if its interfaces have no others. ``addresses`` are
        those of all nodes.
        """
        return ""

    def connect(self) -> Connection:
        """The connection; it is made if there is none. Raises EnvironmentFailure."""
        with self._lock:
            if self._connection is None or not self._connection.alive:
                self._connection = self._dial()
            return self._connection

    @property
    def is_connected(self) -> bool:
        return self._connection is not None and self._connection.alive

    def disconnect(self) -> None:
        self.agent.abandon()  # else the next request could still be sent to it
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def _execute(self, command: Command, timeout: float, observe: Observe) -> Program:
        line, connection, asked = _line(command), self.connect(), time.time()
        self.was_used = self.was_used or observe is not _nobody
        session = connection.execute(line, timeout=min(timeout, CONNECT_TIMEOUT))
        return Program(session, Result(line, self.title), observe, asked)

    @contextmanager
    def _files(self, path: str) -> Iterator[paramiko.SFTPClient]:
        """The files of the host. ``path`` is for the text of an error, unless that has a local path."""
        try:
            yield self.connect().files()
        except OSError as error:
            place = error.filename or path
            raise EnvironmentFailure(f"{self.name}: {place}: {error.strerror or error}") from error
        except (paramiko.SSHException, EOFError) as error:
            raise EnvironmentFailure(f"{self.name}: {path}: {error or 'the connection is lost'}") from error


def titles(hosts: Iterable[Host]) -> dict[str, str]:
    """The nodes' titles by address."""
    return {a: host.title for host in hosts for a in (*host.node.addresses, *host.node.addresses6)}


def _line(command: Command) -> str:
    """The command for a shell."""
    return command if isinstance(command, str) else shlex.join(command)


def _argv(command: Command) -> list[str]:
    return ["/bin/sh", "-c", command] if isinstance(command, str) else list(command)


def _finish(program: Program, stdin: str | bytes, timeout: float) -> Result:
    """Writes its input, waits for it to exit, and kills it on timeout."""
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
    program.close()
    return program.result


def _python(code: str, arguments: Sequence[str]) -> list[str]:
    """-P: without it, a json.py in the user's home directory would replace the library's."""
    return ["python3", "-P", "-c", code, *arguments]


def _nobody(_: Event) -> None:
    """Ignores an event."""
