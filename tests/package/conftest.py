"""The wheel, and an environment into which it was installed as a user does it."""

import hashlib
import os
import re
import subprocess
import sys
import tempfile
import tomllib
import venv
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from lab import shipped

ROOT = Path(__file__).parents[2]
WORKFLOW = yaml.safe_load((shipped.TEMPLATES / ".github/workflows/lab.yml").read_text())
TIMEOUT = 100  # seconds for one command


JOB = WORKFLOW["jobs"]["test"]
STEPS = {step["name"]: step["run"] for step in JOB["steps"] if "run" in step}


@pytest.fixture(scope="session")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel and the source distribution."""
    folder = tmp_path_factory.mktemp("dist")
    argv = [sys.executable, "-m", "hatchling", "build", "-d", folder]
    subprocess.run(argv, cwd=ROOT, check=True, capture_output=True, timeout=TIMEOUT)
    return folder


@pytest.fixture(scope="session")
def dependencies() -> Path:
    """A folder with the wheels of the dependencies, in the pinned versions; it outlives the session."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    pins = re.findall(r"^[\w.-]+==[^ ]+", (ROOT / "requirements.txt").read_text(), re.MULTILINE)
    wanted = "\n".join([*project["dependencies"], *pins])
    folder = Path(sys.prefix) / "wheels" / hashlib.sha256(wanted.encode()).hexdigest()[:16]
    if not folder.is_dir():
        folder.parent.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as made:
            constraints = Path(made, "constraints")
            constraints.write_text("\n".join(pins))
            argv = ["download", "-q", "-d", f"{made}/wheels", "-c", constraints, *project["dependencies"]]
            subprocess.run([sys.executable, "-m", "pip", *argv], check=True, timeout=TIMEOUT)
            with suppress(OSError):  # another worker was first
                Path(made, "wheels").rename(folder)
    return folder


@dataclass(frozen=True)
class Installed:
    """An environment in which the wheel is installed. Commands see nothing of the checkout."""

    folder: Path
    environment: dict[str, str]

    @property
    def packages(self) -> Path:
        [found] = self.folder.glob("lib/python*/site-packages")
        return found

    def run(self, command: str, cwd: Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", "-c", command],
            cwd=cwd,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
        )

    def succeed(self, command: str, cwd: Path) -> str:
        """The output of a command that exits with 0."""
        done = self.run(command, cwd)
        assert done.returncode == 0, f"{command}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout


@pytest.fixture(scope="session")
def installed(dist: Path, dependencies: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """The wheel installed by the command of the workflow, into an empty environment."""
    folder = tmp_path_factory.mktemp("installed")
    venv.create(folder, with_pip=True)
    kept = {name: os.environ[name] for name in ("HOME", "DOCKER_HOST", "TMPDIR") if name in os.environ}
    environment = (
        kept
        | JOB["env"]
        | {
            "PATH": f"{folder}/bin:{os.environ['PATH']}",
            "LANG": "C.UTF-8",
            "PIP_NO_INDEX": "1",
            "PIP_FIND_LINKS": f"{dist} {dependencies}",
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        }
    )
    environment_of_user = Installed(folder, environment)
    environment_of_user.succeed(STEPS["Install"], cwd=tmp_path_factory.mktemp("anywhere"))
    return environment_of_user


@pytest.fixture
def empty(tmp_path: Path) -> Path:
    """An empty folder. Its name is that of the lab in it, which no other session has."""
    folder = tmp_path / f"socketlab-package-{os.getpid()}"
    folder.mkdir()
    return folder
