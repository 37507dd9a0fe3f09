"""The lab: its nodes by name, and how to reach each of them from here."""

from __future__ import annotations

import io
import json
import os
import random
import socket
import time
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import paramiko
from docker.models.containers import Container

from lab.control import engine
from lab.control.capture import Capture
from lab.control.engine import Engine
from lab.control.errors import EnvironmentFailure, Unsupported, UsageError
from lab.control.host import Host, Node
from lab.control.ssh import CONNECT_TIMEOUT, Connection, Identity
from lab.control.witness import Witness
from lab.evidence.diagnosis import Diagnosis, diagnose
from lab.evidence.events import Event, Observe
from lab.evidence.states import SocketLife, lives
from lab.evidence.traffic import Traffic

KEYS = "/etc/socketlab/keys"
USER = "lab"
# The exec stream ends in a TCP connection to the host's own sshd. Not `sshd -i`: it looks for a peer's
# name that isn't there, for seconds. nodelay: a command is many small messages both ways.
RELAY = ["socat", "STDIO", "TCP4:127.0.0.1:22,nodelay"]


class Lab:
    """The nodes of one lab. ``lab.server``, ``lab["win10"]``: any of a node's names will do.

    A scenario takes its random choices from ``random``, whose seed stands in the record.
    """

    def __init__(self, hosts: Iterable[Host], observe: Observe, title: str) -> None:
        self.hosts = list(hosts)
        self.title = title
        self.random = random.Random()
        self.witness: Witness | None = None  # while a scenario is played
        self._observe = observe
        self._by_name = {name: host for host in self.hosts for name in {host.name, *host.node.names}}

    def __getitem__(self, name: str) -> Host:
        try:
            return self._by_name[name]
        except KeyError:
            raise UsageError(f"no node {name!r}; there are {', '.join(sorted(self._by_name))}") from None

    def __getattr__(self, name: str) -> Host:
        if name.startswith("_"):
            raise AttributeError(name)
        return self[name]

    def note(self, text: str) -> None:
        """A line of the scenario's own in the timeline."""
        self._observe(Event(time.time(), "lab", "note", text))

    def packets(self) -> Traffic:
        """What has passed between the hosts so far in this run. Raises UsageError outside of one."""
        return self._witness().packets()

    def states(self) -> list[SocketLife]:
        """The sockets of all nodes so far in this run, each with its states through time."""
        return lives(self._witness().evidence().events)

    def diagnosis(self) -> Diagnosis:
        """What the evidence so far says of what went wrong."""
        return diagnose(self._witness().evidence())

    def capture(self, host: str, expression: str = "") -> AbstractContextManager[Capture]:
        """Captures on a host's own segment while the context lasts: HOST.pcapng in the run's folder."""
        return self._witness().capture(self[host], expression)

    def _witness(self) -> Witness:
        if self.witness is None:
            raise UsageError("packets and states are seen while a scenario is played")
        return self.witness

    def connect(self) -> None:
        """Logs in to every node, all at once. Raises EnvironmentFailure."""
        with ThreadPoolExecutor(max_workers=max(1, len(self.hosts))) as pool:
            for _ in pool.map(Host.connect, self.hosts):
                pass

    def close(self) -> None:
        for host in self.hosts:
            host.disconnect()


def ignore(_: Event) -> None:
    """Observes nothing."""


@contextmanager
def from_engine(project: str, observe: Observe = ignore) -> Iterator[Lab]:
    """The running lab ``project``, reached through the Docker Engine.

    Raises EnvironmentFailure where there is no engine or no such lab.
    """
    with Engine() as docker_engine:
        containers = docker_engine.nodes(project)
        if not containers:
            raise EnvironmentFailure(f"no lab {project!r} is up; `lab up` starts one")
        lab = Lab((_behind_engine(docker_engine, c, observe) for c in containers), observe, project)
        try:
            yield lab
        finally:
            lab.close()


@contextmanager
def from_mgmt(observe: Observe = ignore, environ: Mapping[str, str] = os.environ) -> Iterator[Lab]:
    """The lab as the runner sees it: its nodes are told by LAB_HOSTS and reached over mgmt.

    Raises EnvironmentFailure where this isn't the runner.
    """
    try:
        nodes = [_node(entry["service"], entry) for entry in json.loads(environ["LAB_HOSTS"])]
        keys = Path(environ["LAB_SSH_KEY"]), Path(environ["LAB_KNOWN_HOSTS"])
    except KeyError as error:
        raise EnvironmentFailure(f"{error} is not set: this runs in the lab's runner") from None
    lab = Lab((_over_mgmt(node, *keys, observe) for node in nodes), observe, "runner")
    try:
        yield lab
    finally:
        lab.close()


def _node(service: str, labels: Mapping[str, str], prefix: str = "") -> Node:
    def words(key: str) -> tuple[str, ...]:
        return tuple(labels.get(prefix + key, "").split())

    return Node(
        name=service,
        role=labels[prefix + "role"],
        names=words("names"),
        segments=words("segment"),
        addresses=words("address"),
        addresses6=words("address6"),
    )


def _behind_engine(docker_engine: Engine, container: Container, observe: Observe) -> Host:
    node = _node(container.labels[engine.SERVICE_LABEL], container.labels, "socketlab.")

    def dial() -> Connection:
        files = docker_engine.read_files(container, KEYS)
        identity = _identity(node, files["user"].decode(), files["known_hosts"].decode())
        return Connection(node.name, docker_engine.open_stream(container, RELAY), identity)

    return Host(node, dial, EnginePower(container), observe)


def _over_mgmt(node: Node, user_key: Path, known_hosts: Path, observe: Observe) -> Host:
    def dial() -> Connection:
        try:
            identity = _identity(node, user_key.read_text(), known_hosts.read_text())
            carrier = socket.create_connection((node.name, 22), CONNECT_TIMEOUT)
        except OSError as error:
            raise EnvironmentFailure(f"{node.name}: {error}") from error
        carrier.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return Connection(node.name, carrier, identity)

    return Host(node, dial, NoPower(), observe)


def _identity(node: Node, key: str, known_hosts: str) -> Identity:
    """Our key, and the host key that is known for this very node."""
    for line in known_hosts.splitlines():
        entry = paramiko.hostkeys.HostKeyEntry.from_line(line)
        if entry and node.name in (entry.hostnames or ()):
            assert entry.key is not None
            return Identity(USER, paramiko.Ed25519Key.from_private_key(io.StringIO(key)), entry.key)
    raise EnvironmentFailure(f"{node.name}: known_hosts has no key for it")


class EnginePower:
    """Power through the engine."""

    def __init__(self, container: Container) -> None:
        self._container = container

    def off(self) -> None:
        engine.power_off(self._container)

    def on(self) -> None:
        engine.power_on(self._container)

    def pause(self) -> None:
        engine.pause(self._container)

    def resume(self) -> None:
        engine.resume(self._container)


class NoPower:
    """The runner has no engine: no container ever gets the Docker socket."""

    def _refuse(self) -> None:
        raise Unsupported("power needs the engine: play this scenario from outside, with `lab run`")

    off = on = pause = resume = _refuse
