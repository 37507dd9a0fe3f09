"""One warm SSH connection to a host, over whatever carries its bytes.

Paramiko does the SSH; this adds what it leaves out: signals both ways (RFC 4254, sections 6.9 and 6.10),
strict host keys, and an output pump that can't deadlock between stdout, stderr and the exit status.
"""

from __future__ import annotations

import io
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import paramiko

from lab.errors import EnvironmentFailure, HostTimeout
from lab.remote.channel import OutputEvent, SignalTransport, exit_signal, send_signal

# What goes wrong is raised and told in one line; paramiko would also log it, with a traceback.
logging.getLogger("paramiko").setLevel(logging.CRITICAL)

USER = "lab"
CONNECT_TIMEOUT = 15.0
CHUNK = 1 << 16


class ByteStream(Protocol):
    """What SSH needs of its carrier: a socket, or something that looks like one."""

    def send(self, data: bytes, /) -> int: ...
    def recv(self, limit: int, /) -> bytes: ...
    def settimeout(self, seconds: float | None, /) -> None: ...
    def close(self) -> None: ...


@dataclass(frozen=True)
class Identity:
    """Who logs in, and which host key must answer."""

    user: str
    key: paramiko.PKey
    host_key: paramiko.PKey

    @classmethod
    def of(cls, host: str, key: str, known_hosts: str) -> Identity:
        """The lab's user with its private key, and the key that is known for this very host.

        ``key`` and ``known_hosts`` are the contents of the files. Raises EnvironmentFailure.
        """
        for line in known_hosts.splitlines():
            entry = paramiko.hostkeys.HostKeyEntry.from_line(line)
            if entry and entry.key is not None and host in (entry.hostnames or ()):
                return cls(USER, paramiko.Ed25519Key.from_private_key(io.StringIO(key)), entry.key)
        raise EnvironmentFailure(f"{host}: known_hosts has no key for it")


class Connection:
    """An authenticated connection. Commands run on it side by side, each in a session of its own."""

    def __init__(self, name: str, carrier: ByteStream, identity: Identity) -> None:
        """Raises EnvironmentFailure where the host doesn't answer, isn't itself, or won't let us in."""
        self.name = name
        self._transport = SignalTransport(carrier)  # type: ignore[arg-type]  # the stubs want a real socket
        self._files: paramiko.SFTPClient | None = None
        try:
            self._transport.start_client(timeout=CONNECT_TIMEOUT)
            if self._transport.get_remote_server_key() != identity.host_key:
                raise EnvironmentFailure(f"{name}: its host key isn't the one that is known")
            self._transport.auth_publickey(identity.user, identity.key)
            self._transport.set_keepalive(15)
        except (paramiko.SSHException, EOFError, OSError) as error:
            self.close()
            raise EnvironmentFailure(f"{name}: no SSH: {error or type(error).__name__}") from error
        except BaseException:
            self.close()
            raise

    @property
    def alive(self) -> bool:
        return self._transport.is_active()

    def execute(self, command: str, *, timeout: float = CONNECT_TIMEOUT) -> Session:
        """Starts ``command`` in the user's shell on the host. Raises EnvironmentFailure, HostTimeout."""
        try:
            channel = self._transport.open_session(timeout=timeout)
            channel.settimeout(timeout)
            channel.exec_command(command)
        except TimeoutError as error:
            raise HostTimeout(f"{self.name}: no answer within {timeout:g} s") from error
        except (paramiko.SSHException, EOFError, OSError) as error:
            if self.alive:  # paramiko has no class of its own for a deadline
                raise HostTimeout(f"{self.name}: {error}") from error
            raise EnvironmentFailure(f"{self.name}: the SSH connection broke: {error}") from error
        return Session(channel)

    def files(self) -> paramiko.SFTPClient:
        """The host's files, by SFTP; opened once. Raises EnvironmentFailure."""
        if self._files is None:
            try:
                self._files = paramiko.SFTPClient.from_transport(self._transport)
            except (paramiko.SSHException, EOFError, OSError) as error:
                raise EnvironmentFailure(f"{self.name}: no SFTP: {error}") from error
        assert self._files is not None
        return self._files

    def close(self) -> None:
        self._transport.close()


class Session:
    """A command that runs on a host: its streams, its exit, and signals to it."""

    def __init__(self, channel: paramiko.Channel) -> None:
        self._channel = channel
        self._output = OutputEvent(channel)

    def pump(self, on_output: Callable[[str, bytes], Any], deadline: float | None) -> bool:
        """Passes on ("stdout" | "stderr", bytes) as they come, until the command has exited.

        ``deadline`` is a time.monotonic() value. Returns False if it passed first.
        Both streams are read together and the exit status last: any other order can deadlock.
        """
        channel = self._channel
        while True:
            self._output.reset()
            closed = channel.closed  # by sshd, after the exit status or exit signal
            while channel.recv_ready():
                on_output("stdout", channel.recv(CHUNK))
            while channel.recv_stderr_ready():
                on_output("stderr", channel.recv_stderr(CHUNK))
            if closed:
                return True
            if not self._output.wait(_left(deadline)):
                return False

    @property
    def exit_code(self) -> int | None:
        """None if a signal ended the command, if the connection broke, or if the command still runs."""
        if not self._channel.exit_status_ready():
            return None
        code = self._channel.recv_exit_status()
        return code if code >= 0 else None

    @property
    def exit_signal(self) -> str | None:
        """The name of the signal that ended the command, without SIG."""
        return exit_signal(self._channel)

    def send(self, data: bytes) -> None:
        self._channel.sendall(data)

    def close_stdin(self) -> None:
        self._channel.shutdown_write()

    def send_signal(self, name: str) -> None:
        """Sends the signal ("TERM", "KILL") to the command's process group; sshd delivers it."""
        send_signal(self._channel, name)

    def close(self) -> None:
        self._channel.close()


def _left(deadline: float | None) -> float | None:
    return None if deadline is None else max(0.0, deadline - time.monotonic())
