"""The session's lab, used by Compose alone."""

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from lab.engine.lifecycle.project import LabProject

ROOT = Path(__file__).resolve().parents[2]
HOSTS = ("server", "client")
NODES = (*HOSTS, "router")


@dataclass(frozen=True)
class ComposeLab:
    """The session's lab, as seen by a user who has only Compose."""

    topology: LabProject

    @property
    def project(self) -> str:
        return self.topology.project

    @property
    def environment(self) -> dict[str, str]:
        return self.topology.environment()

    @property
    def addresses(self) -> dict[str, tuple[str, str]]:
        e = self.environment
        return {
            "server": (e["LAB_SERVERS_PREFIX"] + ".163", e["LAB_SERVERS_PREFIX6"] + "::163"),
            "client": (e["LAB_CLIENTS_PREFIX"] + ".129", e["LAB_CLIENTS_PREFIX6"] + "::129"),
        }

    def compose(self, *argv: str, timeout: float = 60, stdin: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["docker", "compose", "--project-name", self.project, *argv],
            cwd=ROOT,
            env=self.environment,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=timeout,
        )

    def run(self, node: str, script: str, timeout: float = 20) -> subprocess.CompletedProcess[str]:
        """Runs a command as `docker compose exec` does for a user: in bash, as lab."""
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
def lab(lab_topology: LabProject) -> ComposeLab:
    return ComposeLab(lab_topology)
