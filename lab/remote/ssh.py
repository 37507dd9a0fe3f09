"""One SSH connection to a host, over any byte stream, for all its commands.

Paramiko implements SSH. This module adds signals in both directions (RFC 4254, sections 6.9 and 6.10), strict
host keys, and reading output without a deadlock between stdout, stderr and the exit status.
"""

from __future__ import annotations

import io
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import paramiko

from lab.errors import EnvironmentFailure, HostTimeout
from lab.locale import message
from lab.remote.channel import OutputEvent, SignalTransport, exit_signal, send_signal
from lab.remote.terminal import Terminal

# Errors are raised here; paramiko would also log them, with a traceback.
logging.getLogger("paramiko").setLevel(logging.CRITICAL)

USER = "lab"
CONNECT_TIMEOUT = 15.0
CHUNK = 1 << 16
# The signature algorithms of a key of type ssh-rsa (RFC 8332).
RSA_SIGNATURES = {"rsa-sha2-512": "ssh-rsa", "rsa-sha2-256": "ssh-rsa"}


class ByteStream(Protocol):
    """The methods of a socket that SSH needs."""

    def send(self, data: bytes, /) -> int: ...
    def recv(self, limit: int, /) -> bytes: ...
    def settimeout(self, seconds: float | None, /) -> None: ...
    def close(self) -> None: ...


@dataclass(frozen=True)
class Identity:
    """The user, the user's key, and the host keys of which the host must have one.

    A host key is a public key, or its fingerprint "SHA256:…". ``source`` is the place that names them.
    """

    user: str
    key: paramiko.PKey
    host_keys: tuple[paramiko.PKey | str, ...]
    source: str = "known_hosts"

    @classmethod
    def of(cls, host: str, key: str, known_hosts: str) -> Identity:
        """The lab's user, its private key, and the key of ``host`` in known_hosts.

        ``key`` and ``known_hosts`` are the contents of the files. Raises EnvironmentFailure.
        """
        for line in known_hosts.splitlines():
            entry = paramiko.hostkeys.HostKeyEntry.from_line(line)
            if entry and entry.key is not None and host in (entry.hostnames or ()):
                return cls(USER, paramiko.Ed25519Key.from_private_key(io.StringIO(key)), (entry.key,))
        raise EnvironmentFailure(f"{host}: known_hosts has no key for it")

    def accepts(self, key: paramiko.PKey) -> bool:
        """True if a host with this key may be logged in to."""
        return key in self.host_keys or key.fingerprint in self.host_keys

    def select(self, supported: Sequence[str]) -> list[str]:
        """The supported algorithms for which a host key is known; all of them if a fingerprint is given."""
        types = {key if isinstance(key, str) else key.get_name() for key in self.host_keys}
        if any(name.startswith("SHA256:") for name in types):
            return list(supported)
        return [name for name in supported if RSA_SIGNATURES.get(name, name) in types]


class SessionRefused(EnvironmentFailure):
    """The host allows no further session on this connection (MaxSessions in sshd_config(5))."""


class ConnectionFailed(EnvironmentFailure):
    """The host can't connect to an address: nothing listens there, or there is no route."""


class Connection:
    """An authenticated connection. Commands on it run concurrently, each in its own session."""

    def __init__(self, name: str, carrier: ByteStream, identity: Identity) -> None:
        """Raises EnvironmentFailure if the host doesn't answer, has another key, or refuses the login."""
        self.name = name
        self._transport = SignalTransport(carrier)  # type: ignore[arg-type]  # the stubs require a real socket
        self._files: paramiko.SFTPClient | None = None
        self._ahead: dict[str, Session] = {}  # by command
        try:
            options = self._transport.get_security_options()
            options.key_types = identity.select(options.key_types)
            self._transport.start_client(timeout=CONNECT_TIMEOUT)
            found = self._transport.get_remote_server_key()
            if not identity.accepts(found):
                raise EnvironmentFailure(
                    message(
                        "{host}: its host key isn't the one in {source}: it is {type} {fingerprint}",
                        host=name,
                        source=identity.source,
                        type=found.get_name(),
                        fingerprint=found.fingerprint,
                    )
                )
            self._transport.auth_publickey(identity.user, identity.key)
            self._transport.set_keepalive(15)
        except paramiko.AuthenticationException as error:
            self.close()
            raise EnvironmentFailure(
                message(
                    "{host}: {user} can't log in with this key: {why}",
                    host=name,
                    user=identity.user,
                    why=error,
                )
            ) from error
        except (paramiko.SSHException, EOFError, OSError) as error:
            self.close()
            raise EnvironmentFailure(f"{name}: no SSH: {error or type(error).__name__}") from error
        except BaseException:
            self.close()
            raise

    @property
    def alive(self) -> bool:
        return self._transport.is_active()

    def execute(
        self, command: str, *, timeout: float = CONNECT_TIMEOUT, terminal: Terminal | None = None
    ) -> Session:
        """Starts ``command`` in the user's shell on the host. Raises EnvironmentFailure, HostTimeout."""
        if terminal is None and (started := self._ahead.pop(command, None)) is not None:
            return started
        try:
            channel = self._transport.open_session(timeout=timeout)
            channel.settimeout(timeout)
            if terminal is not None:
                channel.get_pty(terminal.kind, terminal.columns, terminal.rows)
            channel.exec_command(command)
        except TimeoutError as error:
            raise HostTimeout(f"{self.name}: no answer within {timeout:g} s") from error
        except paramiko.ChannelException as error:
            raise SessionRefused(f"{self.name}: no further session: {error.text}") from error
        except (paramiko.SSHException, EOFError, OSError) as error:
            if self.alive:  # paramiko has no separate exception for a timeout
                raise HostTimeout(f"{self.name}: {error}") from error
            raise EnvironmentFailure(f"{self.name}: the SSH connection broke: {error}") from error
        return Session(channel)

    def execute_ahead(self, command: str) -> None:
        """Starts ``command`` for the next ``execute`` of it. Raises EnvironmentFailure, HostTimeout."""
        self._ahead[command] = self.execute(command)

    def forward(self, address: str, port: int, *, timeout: float = CONNECT_TIMEOUT) -> paramiko.Channel:
        """A TCP connection from the host to ``address`` and ``port``, as a channel.

        Raises ConnectionFailed if the host can't connect, EnvironmentFailure if this connection broke.
        """
        try:
            return self._transport.open_channel(
                "direct-tcpip", (address, port), ("127.0.0.1", 0), timeout=timeout
            )
        except (paramiko.SSHException, EOFError, OSError) as error:
            if not self.alive:
                raise EnvironmentFailure(f"{self.name}: the SSH connection broke: {error}") from error
            # Paramiko mixes up the reasons of channels that are opened at the same time.
            raise ConnectionFailed(message("nothing listens there")) from error

    def files(self) -> paramiko.SFTPClient:
        """An SFTP client for the host's files; it is opened once. Raises EnvironmentFailure."""
        if self._files is None:
            try:
                self._files = paramiko.SFTPClient.from_transport(self._transport)
            except paramiko.ChannelException as error:
                raise SessionRefused(f"{self.name}: no SFTP: {error.text}") from error
            except (paramiko.SSHException, EOFError, OSError) as error:
                raise EnvironmentFailure(f"{self.name}: no SFTP: {error}") from error
        assert self._files is not None
        return self._files

    def close_files(self) -> None:
        """Ends the SFTP session; ``files`` opens another one."""
        files, self._files = self._files, None
        if files is not None:
            files.close()

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

    def feed(self, data: bytes) -> None:
        """Sends input, for a thread of its own: waits for as long as the command doesn't read it."""
        self._channel.settimeout(None)
        self._channel.sendall(data)

    def close_stdin(self) -> None:
        self._channel.shutdown_write()

    def resize(self, columns: int, rows: int) -> None:
        """Changes the size of the command's terminal."""
        self._channel.resize_pty(columns, rows)

    def send_signal(self, name: str) -> None:
        """Sends the signal ("TERM", "KILL") to the command's process group; sshd delivers it."""
        send_signal(self._channel, name)

    def close(self) -> None:
        self._channel.close()


def _left(deadline: float | None) -> float | None:
    return None if deadline is None else max(0.0, deadline - time.monotonic())
