"""A lab as a Compose project: what it is called, which prefixes it has, brought up and taken down.

A start that fails, or that is interrupted, takes down again what it made. Clean-up is by label.
"""

from __future__ import annotations

import ipaddress
import itertools
import os
import re
import select
import shutil
import subprocess
import sys
import time
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab.engine.client import Engine, Network, wait_until_up
from lab.errors import EnvironmentFailure, UsageError
from lab.topology.node import PROFILES

COMPOSE_FILE = Path(__file__).parents[2] / "docker-compose.yml"
UP_TIMEOUT = 120.0  # seconds for Compose to start all hosts, and as much for them to become healthy
BUILD_TIMEOUT = 600.0  # for an image, on a slow line
DOWN_TIMEOUT = 60.0
INTERRUPT_TIMEOUT = 15.0  # for Compose to end after a Ctrl-C
SETTLE = 1.0

PROFILE_SIZE = "120 MB are fetched, the image has 150 MB more than a plain host's"

VARIABLES = {
    "project": "COMPOSE_PROJECT_NAME",
    "servers_prefix": "LAB_SERVERS_PREFIX",
    "clients_prefix": "LAB_CLIENTS_PREFIX",
    "mgmt_prefix": "LAB_MGMT_PREFIX",
    "servers_prefix6": "LAB_SERVERS_PREFIX6",
    "clients_prefix6": "LAB_CLIENTS_PREFIX6",
    "profile": "PROFILE",
}

_PROJECT_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")  # Compose's own rule


@dataclass(frozen=True)
class Topology:
    """Which lab. Prefixes are the first three numbers of an IPv4 /24 and the first two groups of an
    IPv6 /64; two labs side by side differ in the project and in all of them.
    """

    project: str = "socketlab"
    servers_prefix: str = "172.28.66"
    clients_prefix: str = "192.168.40"
    mgmt_prefix: str = "172.28.255"
    servers_prefix6: str = "fd28:66"
    clients_prefix6: str = "fd28:40"
    profile: str = ""  # or windows
    compose_file: Path = COMPOSE_FILE

    @classmethod
    def from_environment(cls, project: str | None = None) -> Topology:
        """The lab that COMPOSE_PROJECT_NAME and LAB_*_PREFIX* name, as for `docker compose` itself."""
        named: dict[str, Any] = {key: os.environ.get(variable) for key, variable in VARIABLES.items()}
        if project:
            named["project"] = project
        return cls(**{key: value for key, value in named.items() if value})

    @classmethod
    def beside(cls, project: str, profile: str = "") -> Topology:
        """A lab with prefixes that no network on this engine has. Raises EnvironmentFailure."""
        with Engine() as engine:
            taken = [subnet for subnet, _ in engine.subnets()]
        # Each project begins to look elsewhere, so that two that start at once don't choose the same.
        first = zlib.crc32(project.encode())
        for number in (1 + (first + step) % 99 for step in range(99)):
            topology = cls(
                project,
                f"172.28.{66 + number}",
                f"192.168.{40 + number}",
                f"172.28.{255 - number}",
                f"fd28:{66 + number}",
                f"fd28:{40 + number}",
                profile,
            )
            if not any(overlap(mine, other) for mine in topology.networks() for other in taken):
                return topology
        raise EnvironmentFailure("no free prefixes; `docker network prune` removes unused networks")

    @classmethod
    def of_lab(cls, project: str) -> Topology | None:
        """The lab of that name as it was brought up; None where there is none. Raises EnvironmentFailure."""
        with Engine() as engine:
            platforms = {node.labels.get("socketlab.platform") for node in engine.nodes(project)}
            subnets = engine.subnets()
        if not platforms:
            return None
        named: dict[str, Any] = {"profile": next((name for name in PROFILES if name in platforms), "")}
        for subnet, name in subnets:
            owner, _, network = name.rpartition("_")
            key = f"{network}_prefix{'6' * (subnet.version == 6)}"
            if owner == project and key in VARIABLES:
                address = str(subnet.network_address)
                named[key] = address.removesuffix("::") if subnet.version == 6 else address.rpartition(".")[0]
        return cls(project, **named)

    def __post_init__(self) -> None:
        """Raises UsageError for a name or prefix that can't be one."""
        if not _PROJECT_NAME.fullmatch(self.project):
            raise UsageError(f"{self.project!r} is no project name: small letters, digits, - and _")
        if self.profile and self.profile not in PROFILES:
            raise UsageError(f"no profile {self.profile!r}; there is: {', '.join(PROFILES)}")
        networks = self.networks()
        for one, other in itertools.combinations(networks, 2):
            if overlap(one, other):
                raise UsageError(f"two networks have the prefix of {one}")

    def networks(self) -> list[Network]:
        """The lab's networks, IPv4 and IPv6."""
        prefixes = (self.servers_prefix, self.clients_prefix, self.mgmt_prefix)
        prefixes6 = (self.servers_prefix6, self.clients_prefix6)
        return [_private(f"{prefix}.0/24", prefix, "172.28.66") for prefix in prefixes] + [
            _private(f"{prefix}::/64", prefix, "fd28:66") for prefix in prefixes6
        ]

    def environment(self) -> dict[str, str]:
        """The environment for Compose: the user's own, with this lab's names in it."""
        return {**os.environ, **{variable: getattr(self, key) for key, variable in VARIABLES.items()}}

    def compose(self, *words: str) -> list[str]:
        """The argv of ``docker compose`` for this lab."""
        return ["docker", "compose", "-p", self.project, "-f", str(self.compose_file), *words]

    def exists(self) -> bool:
        """True where any of its hosts exists, running or not."""
        with Engine() as engine:
            return bool(engine.nodes(self.project))

    def up(self, services: Sequence[str] = ("server", "client", "router"), *, quiet: bool = False) -> None:
        """Brings the lab up and returns when its hosts are healthy.

        Where that fails or is interrupted, nothing that it made is left: a lab that was there before stays.
        Raises EnvironmentFailure.
        """
        existed = self.exists()
        if not existed:
            self._require_free_prefixes()
        self._build_profile(quiet)
        try:
            _run(
                self.compose("up", "--detach", *services), self.environment(), quiet=quiet, timeout=UP_TIMEOUT
            )
            with Engine() as engine:  # and not --wait, which looks only twice a second
                wait_until_up(engine.nodes(self.project), UP_TIMEOUT)
        except EnvironmentFailure as error:
            said = self._last_words()
            self._undo(existed)
            raise EnvironmentFailure(f"{error}\n{said}".strip()) from None
        except BaseException:
            self._undo(existed)
            raise

    def _build_profile(self, quiet: bool) -> None:
        """Builds the profile's image where there is none; how much that is stands before it is done."""
        if not self.profile:
            return
        with Engine() as engine:
            if engine.has_image(f"socketlab/{self.profile}"):
                return
        print(f"building socketlab/{self.profile}: {PROFILE_SIZE}", file=sys.stderr, flush=True)
        _run(self.compose("build", "server"), self.environment(), quiet=quiet, timeout=BUILD_TIMEOUT)

    @contextmanager
    def running(self, *, keep: bool = False, quiet: bool = False) -> Iterator[None]:
        """A lab that is up while the context lasts. One that had to be started is taken down at its end,
        however it ends, unless ``keep``. Raises EnvironmentFailure.
        """
        started = not self.exists()
        try:
            if started:
                self.up(quiet=quiet)
            yield
        finally:
            if started and not keep:
                self.down(quiet=True)

    def _undo(self, existed: bool) -> None:
        if not existed:
            with suppress(EnvironmentFailure):  # the first failure is the one to tell
                self.down(quiet=True)

    def _last_words(self) -> str:
        """What the hosts logged last: why one of them didn't come up."""
        with suppress(OSError, subprocess.SubprocessError):
            logs = self.compose("logs", "--no-color", "--tail", "5")
            done = subprocess.run(logs, env=self.environment(), capture_output=True, text=True, timeout=10)
            return done.stdout.strip()
        return ""

    def _require_free_prefixes(self) -> None:
        with Engine() as engine:
            taken = [(s, n) for s, n in engine.subnets() if not n.startswith(f"{self.project}_")]
        for mine in self.networks():
            for subnet, name in taken:
                if overlap(mine, subnet):
                    raise EnvironmentFailure(
                        f"{mine} is taken by the network {name} (a lab? `lab down -p NAME` removes it); "
                        "or choose others with --servers-prefix and --clients-prefix"
                    )

    def down(self, *, quiet: bool = False) -> int:
        """Removes everything that the lab made, whatever state it is in. Returns how much that was.

        Raises EnvironmentFailure where something is left at the deadline.
        """
        with Engine() as engine:
            found = len(engine.resources(self.project))
            nodes = engine.nodes(self.project)
            complete = bool(nodes) and all(node.status == "running" for node in nodes)
            if found:
                argv = self.compose("down", "-v", "--remove-orphans", "-t", "1")
                with suppress(EnvironmentFailure):  # what it couldn't do is done below, or told below
                    _run(argv, self.environment(), quiet=quiet)
            return max(found, self._sweep(engine, settle=0.0 if complete else SETTLE))

    def _sweep(self, engine: Engine, settle: float) -> int:
        """Removes what is left until nothing has come for ``settle`` seconds. Returns how much that was.

        A start that was interrupted may have left the engine with a request that it still carries out.
        """
        deadline = time.monotonic() + DOWN_TIMEOUT
        clean_until = time.monotonic() + settle
        removed = 0
        while True:
            left = engine.remove(self.project)
            removed += left
            now = time.monotonic()
            if left:
                clean_until = now + max(settle, 0.1)
            elif now >= clean_until:
                return removed
            if now > deadline:
                raise EnvironmentFailure(f"{self.project}: {left} containers, networks or volumes are left")
            time.sleep(0.1)  # between two looks


def _run(argv: list[str], environment: dict[str, str], *, quiet: bool, timeout: float = DOWN_TIMEOUT) -> None:
    """Runs Compose; quiet keeps its words for the case that it fails. Raises EnvironmentFailure.

    When this is interrupted, it returns only after Compose has ended, with all its processes.
    """
    output = subprocess.PIPE if quiet else None
    leash, held = os.pipe()  # all of Compose's processes hold the other end; end of file says they're gone
    try:
        child = subprocess.Popen(
            _dies_with_us(argv),
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            pass_fds=[held],
        )
    except FileNotFoundError as error:
        os.close(leash)
        raise EnvironmentFailure("there is no docker client; run scripts/setup") from error
    finally:
        os.close(held)
    try:
        said, complained = child.communicate(timeout=timeout)
    except BaseException as error:
        child.terminate()  # a Ctrl-C in a terminal has reached it already; it may be told twice
        select.select([leash], [], [], INTERRUPT_TIMEOUT)
        child.kill()
        child.communicate()
        if isinstance(error, subprocess.TimeoutExpired):
            raise EnvironmentFailure(f"Compose didn't finish within {timeout:g} s") from None
        raise
    finally:
        os.close(leash)
    if child.returncode != 0:
        words = b"".join(filter(None, (said, complained))).decode(errors="replace").strip()
        last = "\n".join(words.splitlines()[-15:])
        raise EnvironmentFailure(last or f"docker compose failed (exit code {child.returncode})")


def overlap(one: Network, other: Network) -> bool:
    """True where the two networks have an address in common."""
    return one.version == other.version and one.overlaps(other)


def _dies_with_us(argv: list[str]) -> list[str]:
    """Compose, in a way that a SIGKILL of ours ends it too: else it would go on making things."""
    setpriv = shutil.which("setpriv")  # util-linux
    return [setpriv, "--pdeathsig", "TERM", "--", *argv] if setpriv else argv


def _private(network: str, prefix: str, example: str) -> Network:
    try:
        parsed = ipaddress.ip_network(network)
    except ValueError:
        raise UsageError(f"{prefix!r} is no prefix; one looks like {example}") from None
    if not parsed.is_private:
        raise UsageError(f"{prefix} is a public address range; a lab lives in private ones, like {example}")
    return parsed
