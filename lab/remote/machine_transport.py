"""Reaches the machines of an inventory over SSH. Their power can't be switched."""

from __future__ import annotations

import binascii
import os
import socket
from functools import partial
from pathlib import Path

import paramiko

from lab.errors import EnvironmentFailure, UsageError
from lab.locale import message
from lab.remote.machine_connection import MachineConnection, MachineSetup
from lab.remote.mgmt_transport import NoPower
from lab.remote.ssh import CONNECT_TIMEOUT, Connection, Identity
from lab.topology.inventory import Machine, parse
from lab.topology.node import Node


class MachineTransport:
    """The machines of the inventory in the file ``path``."""

    def __init__(self, path: Path) -> None:
        """Raises UsageError if the file can't be read, InventoryError if it has a mistake."""
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) else error
            raise UsageError(f"{path}: {why}") from error
        self._file = path
        self._machines = {machine.node.name: machine for machine in parse(text, str(path))}

    def nodes(self) -> list[Node]:
        return [machine.node for machine in self._machines.values()]

    def dial(self, node: Node) -> MachineConnection:
        """A new connection to a machine that has been prepared. Raises EnvironmentFailure, HostTimeout."""
        machine = self._machines[node.name]
        return MachineConnection(partial(self._log_in, machine), self._setup(machine))

    def remove(self, node: Node) -> None:
        """Removes the lab's code from a machine. Raises EnvironmentFailure, HostTimeout."""
        machine = self._machines[node.name]
        connection = self._log_in(machine)
        try:
            self._setup(machine).remove(connection)
        finally:
            connection.close()

    def power(self, _: Node) -> NoPower:
        return NoPower(message("the power of a real machine can't be switched"))

    def workload(self, _: Node) -> None:
        """A real machine has no container of the user's."""

    def _setup(self, machine: Machine) -> MachineSetup:
        others = [each.node for each in self._machines.values() if each is not machine]
        peers = {name: node.address for node in others for name in node.names}
        return MachineSetup(machine.node.title, machine.python, machine.node.address, peers)

    def _log_in(self, machine: Machine) -> Connection:
        title = machine.node.title
        key = _private_key(title, self._path(machine.key), self._file)
        identity = Identity(machine.user, key, *self._host_keys(machine))
        try:
            carrier = socket.create_connection((machine.ssh, machine.port), CONNECT_TIMEOUT)
        except OSError as error:
            why = error.strerror or "no answer"
            raise EnvironmentFailure(f"{title}: {machine.ssh}:{machine.port}: {why}") from error
        carrier.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return Connection(title, carrier, identity)

    def _host_keys(self, machine: Machine) -> tuple[tuple[paramiko.PKey | str, ...], str]:
        """The keys of which the machine must have one, and the place that names them."""
        if machine.host_key.startswith("SHA256:"):
            return (machine.host_key.rstrip("="),), "host_key"
        if machine.host_key:
            return (_public_key(machine),), "host_key"
        path = self._path(machine.known_hosts)
        name = machine.ssh if machine.port == 22 else f"[{machine.ssh}]:{machine.port}"
        try:
            known = paramiko.HostKeys(str(path)).lookup(name) if path.exists() else None
        except OSError as error:
            raise EnvironmentFailure(f"{machine.node.title}: {path}: {error.strerror}") from error
        if not known:
            raise EnvironmentFailure(
                message(
                    "{machine}: {path} has no key of {name}: log in with ssh once, or give host_key in the"
                    " inventory",
                    machine=machine.node.title,
                    path=path,
                    name=name,
                )
            )
        return tuple(known.values()), str(path)

    def _path(self, text: str) -> Path:
        """A path of the inventory: relative to its folder, with ~ replaced."""
        return self._file.parent / os.path.expanduser(text)


def _public_key(machine: Machine) -> paramiko.PKey:
    kind, encoded = machine.host_key.split()[:2]
    try:
        return paramiko.PKey.from_type_string(kind, binascii.a2b_base64(encoded))
    except (paramiko.SSHException, paramiko.pkey.UnknownKeyType, ValueError) as error:
        raise UsageError(
            message("{machine}: host_key isn't a public key", machine=machine.node.title)
        ) from error


def _private_key(title: str, path: Path, inventory: Path) -> paramiko.PKey:
    """The private key in the file ``path``, which ``inventory`` names. Raises EnvironmentFailure."""
    try:
        return paramiko.PKey.from_path(path)
    except (paramiko.PasswordRequiredException, TypeError) as error:  # TypeError: from cryptography
        raise EnvironmentFailure(
            message("{machine}: the key {path} has a passphrase; name one without", machine=title, path=path)
        ) from error
    except OSError as error:
        raise EnvironmentFailure(
            message(
                '{machine}: {path}: {why}; set key = "…" in {file}',
                machine=title,
                path=path,
                why=error.strerror,
                file=inventory,
            )
        ) from error
    except (paramiko.SSHException, ValueError) as error:
        raise EnvironmentFailure(
            message("{machine}: {path} isn't a private key", machine=title, path=path)
        ) from error
