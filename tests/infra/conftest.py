"""One lab for all of tests/infra, brought up by Compose alone, beside any other lab."""

import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
HOSTS = ("server", "client")
NODES = (*HOSTS, "router")


@dataclass(frozen=True)
class ComposeLab:
    """A Compose project with prefixes of its own, in ranges that Docker gives to nobody."""

    number: int

    @property
    def project(self) -> str:
        return f"socketlab-infra-{self.number}"

    @property
    def environment(self) -> dict[str, str]:
        return {
            "LAB_CLIENTS_PREFIX": f"10.40.{self.number}",
            "LAB_CLIENTS_PREFIX6": f"fd28:40:{self.number}",
            "LAB_SERVERS_PREFIX": f"10.66.{self.number}",
            "LAB_SERVERS_PREFIX6": f"fd28:66:{self.number}",
            "LAB_MGMT_PREFIX": f"10.99.{self.number}",
        }

    @property
    def addresses(self) -> dict[str, tuple[str, str]]:
        e = self.environment
        return {
            "server": (e["LAB_SERVERS_PREFIX"] + ".163", e["LAB_SERVERS_PREFIX6"] + "::163"),
            "client": (e["LAB_CLIENTS_PREFIX"] + ".129", e["LAB_CLIENTS_PREFIX6"] + "::129"),
        }

    def compose(self, *argv: str, timeout: float = 60) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["docker", "compose", "--project-name", self.project, *argv],
            cwd=ROOT,
            env={**os.environ, **self.environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
        )

    def run(self, node: str, script: str, timeout: float = 20) -> subprocess.CompletedProcess[str]:
        """What `docker compose exec` gives a user: bash, as lab."""
        return self.compose("exec", "-T", node, "bash", "-c", script, timeout=timeout)

    def ask(self, node: str, script: str) -> str:
        done = self.run(node, script)
        assert done.returncode == 0, f"{node}: {script}: {done.stdout}{done.stderr}"
        return done.stdout.strip()

    def mgmt_address(self, node: str) -> str:
        container = self.compose("ps", "--quiet", node).stdout.strip()
        found = subprocess.run(
            ["docker", "inspect", "--format", "{{json .NetworkSettings.Networks}}", container],
            capture_output=True,
            text=True,
            timeout=20,
            check=True,
        )
        return str(json.loads(found.stdout)[f"{self.project}_mgmt"]["IPAddress"])


@pytest.fixture(scope="session")
def lab() -> Iterator[ComposeLab]:
    lab = ComposeLab(os.getpid() % 250)
    try:
        up = lab.compose("up", "--detach", "--wait", *NODES, timeout=300)
        assert up.returncode == 0, up.stderr + lab.compose("logs").stdout
        yield lab
    finally:
        down = lab.compose("down", "--volumes", "--timeout", "1")
        assert down.returncode == 0, down.stderr
