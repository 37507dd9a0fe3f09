"""An SSH connection to a real machine, with the lab's code and programs in the environment of each command.

The lab's images contain both, and their sshd allows any number of sessions. On a machine, the code is copied
to the user's cache folder. Its sshd allows ten sessions on a connection by default: for more, another
connection is made.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import shlex
import tarfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TypeVar

import paramiko

import lab
from lab.errors import EnvironmentFailure, HostTimeout
from lab.locale import Message, message
from lab.remote.ssh import CONNECT_TIMEOUT, Connection, Session, SessionRefused
from lab.remote.terminal import Terminal

ROOMS = ("agent", "link", "locale", "programs", "protocols", "sockets")  # those below the image boundary
PROGRAMS = ("echo", "udp", "command", "transfer")
PROGRAM = 'exec python3 -P -m "lab.programs.${0##*/lab-}" "$@"'  # as images/host/program
BOOTSTRAP = Path(__file__).with_name("bootstrap.py")
LOAD = "import sys; exec(compile(sys.stdin.buffer.read(int(sys.argv.pop(1))), sys.argv[0], 'exec'))"
NEEDS = (3, 11)  # the version of Python
TIMEOUT = 30.0  # seconds for each step of the preparation
ARGV0 = "socketlab"  # the name in the shell's error messages

T = TypeVar("T")


class MachineConnection(Connection):
    """The connections to one machine: the first one, and further ones if its sshd refuses another session."""

    def __init__(self, dial: Callable[[], Connection], setup: MachineSetup) -> None:
        """Examines and prepares the machine. Raises EnvironmentFailure, HostTimeout."""
        self._dial = dial
        self._all = [dial()]
        self.name = self._all[0].name
        try:
            self.survey = setup.prepare(self._all[0])
        except BaseException:
            self.close()
            raise
        self._environment = setup.environment(self.survey)

    @property
    def alive(self) -> bool:
        return all(connection.alive for connection in self._all)

    def execute(
        self, command: str, *, timeout: float = CONNECT_TIMEOUT, terminal: Terminal | None = None
    ) -> Session:
        line = f"exec {shlex.join([*self._environment, self.survey.shell, '-c', command, ARGV0])}"
        return self._with_session(
            lambda connection: connection.execute(line, timeout=timeout, terminal=terminal)
        )

    def files(self) -> paramiko.SFTPClient:
        return self._with_session(Connection.files)

    def _with_session(self, act: Callable[[Connection], T]) -> T:
        """Calls ``act`` with a connection that allows one more session."""
        for connection in self._all:
            try:
                return act(connection)
            except SessionRefused:
                continue
        self._all.append(self._dial())
        return act(self._all[-1])

    def close(self) -> None:
        for connection in self._all:
            connection.close()


@dataclass(frozen=True)
class Survey:
    """The facts about a machine. ``capture`` says why packets can't be captured; "" if they can."""

    python: tuple[int, ...]
    folder: str
    installed: bool
    path: str
    shell: str
    address: bool
    names: Mapping[str, Sequence[str]]
    capture: str
    hostname: str
    controller: Sequence[str]  # SSH_CONNECTION: the controller's address and port, and the server's


@dataclass(frozen=True)
class MachineSetup:
    """The preparation of the machine ``name``. ``peers`` are the addresses of the others, by name."""

    name: str
    python: str
    address: str
    peers: Mapping[str, str]

    def prepare(self, connection: Connection) -> Survey:
        """Examines the machine and installs the code if it isn't there. Raises EnvironmentFailure."""
        code = bundle(self.python)
        survey = self._survey(connection, code.name)
        for problem in self._problems(survey):
            raise EnvironmentFailure(message("{machine}: {problem}", machine=self.name, problem=problem))
        if not survey.installed:
            self._run(connection, ("install", code.name), code.archive)
        return survey

    def environment(self, survey: Survey) -> list[str]:
        """The command that sets the environment of the lab's images and then runs another command."""
        return [
            "env",
            f"PATH={survey.folder}/bin:{survey.path}",
            f"PYTHONPATH={survey.folder}",
            "LC_ALL=C.UTF-8",
        ]

    def remove(self, connection: Connection) -> None:
        """Removes all code of the lab from the machine. Raises EnvironmentFailure."""
        self._run(connection, ("remove",))

    def _survey(self, connection: Connection, code: str) -> Survey:
        asked = {"code": code, "needs": NEEDS, "address": self.address, "names": list(self.peers)}
        found = json.loads(self._run(connection, ("survey", json.dumps(asked))))
        version = ".".join(map(str, found["python"]))
        if tuple(found["python"]) < NEEDS:
            problem = message(
                "{python} is Python {version}, and the lab's programs need {needed}: name another one in the"
                " inventory with python",
                python=self.python,
                version=version,
                needed=".".join(map(str, NEEDS)),
            )
            raise EnvironmentFailure(message("{machine}: {problem}", machine=self.name, problem=problem))
        return Survey(**found)

    def _problems(self, survey: Survey) -> list[Message]:
        """The reasons why scenarios can't be played on the machine, each with its remedy."""
        if not survey.address:
            return [
                message(
                    "{address} isn't one of its addresses: give its own, and the one for the login as ssh",
                    address=self.address,
                )
            ]
        wrong = [name for name, address in self.peers.items() if address not in survey.names[name]]
        if not wrong:
            return []
        lines: dict[str, list[str]] = {}
        for name in wrong:
            lines.setdefault(self.peers[name], []).append(name)
        missing = ", ".join(f"'{address} {' '.join(names)}'" for address, names in lines.items())
        return [message("its /etc/hosts needs: {lines}", lines=missing)]

    def _run(self, connection: Connection, arguments: Sequence[str], data: bytes = b"") -> str:
        """Runs bootstrap.py on the machine. Returns its output. Raises EnvironmentFailure, HostTimeout."""
        program = BOOTSTRAP.read_bytes()
        command = shlex.join([self.python, "-W", "ignore", "-c", LOAD, str(len(program)), *arguments])
        session = connection.execute(command)
        output = {"stdout": bytearray(), "stderr": bytearray()}
        try:
            with suppress(OSError):  # if it exits before it has read everything, stderr has the reason
                session.send(program + data)
                session.close_stdin()
            until = time.monotonic() + TIMEOUT
            if not session.pump(lambda stream, piece: output[stream].extend(piece), until):
                raise HostTimeout(f"{self.name}: no answer within {TIMEOUT:g} s")
        finally:
            session.close()
        if session.exit_code != 0:
            raise self._failed(output["stderr"].decode(errors="backslashreplace"))
        return output["stdout"].decode()

    def _failed(self, errors: str) -> EnvironmentFailure:
        why = (errors.strip().splitlines() or ["the connection broke"])[-1]
        return EnvironmentFailure(
            message("{machine}: can't run {python}: {why}", machine=self.name, python=self.python, why=why)
        )


@dataclass(frozen=True)
class Bundle:
    """The lab's code for a machine: an archive (tar, gzip), and a name made from its content."""

    name: str
    archive: bytes


@cache
def bundle(python: str) -> Bundle:
    """The code below the image boundary, the programs, and ``python`` as python3."""
    root = Path(lab.__file__).parent
    files = {"lab/__init__.py": (root / "__init__.py").read_bytes()}
    for room in ROOMS:
        for path in (root / room).rglob("*"):
            if path.suffix in (".py", ".mo"):
                files[str(path.relative_to(root.parent))] = path.read_bytes()
    scripts = {f"bin/lab-{name}": PROGRAM for name in PROGRAMS}
    if python != "python3":
        scripts["bin/python3"] = f'exec {shlex.quote(python)} "$@"'
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as archive:
        for name, data in sorted(files.items()):
            _add(archive, name, data, 0o644)
        for name, line in sorted(scripts.items()):
            _add(archive, name, f"#!/bin/sh\n{line}\n".encode(), 0o755)
    return Bundle(
        hashlib.sha256(content.getvalue()).hexdigest()[:16], gzip.compress(content.getvalue(), mtime=0)
    )


def _add(archive: tarfile.TarFile, name: str, data: bytes, mode: int) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(data), mode
    archive.addfile(entry, io.BytesIO(data))
