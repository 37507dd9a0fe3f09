"""The standard-library part runs under every Python that it supports.

Interpreters are taken from the PATH, the distribution and pyenv. A version that this machine lacks is a
skipped test, which pytest's summary lists. The lab's hosts have a Python of their own.
"""

import functools
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import ROOT, ComposeLab

VERSIONS = ("3.11", "3.12", "3.13")
SMOKE = Path(__file__).with_name("standard_library_smoke.py")
UNIT_TESTS = ("locale", "protocols", "link", "sockets")
SLOW = "test_conformance.py"  # its timeouts take 15 s; SMOKE uses all I/O models


@functools.cache
def interpreter(version: str) -> str | None:
    """The path of an interpreter of that version, or None. (A shim of pyenv may exist without it.)"""
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    found = [shutil.which(f"python{version}"), f"/usr/bin/python{version}", f"/usr/local/bin/python{version}"]
    found += sorted(map(str, pyenv.glob(f"{version}.*/bin/python{version}")), reverse=True)
    return next((path for path in found if path and starts(path, version)), None)


def starts(path: str, version: str) -> bool:
    code = "import sys; print('{}.{}'.format(*sys.version_info))"
    try:
        done = subprocess.run([path, "-I", "-c", code], capture_output=True, text=True, timeout=20)
    except OSError:
        return False
    return done.stdout.strip() == version


@pytest.fixture(params=VERSIONS)
def python(request: pytest.FixtureRequest) -> str:
    path = interpreter(request.param)
    if path is None:
        pytest.skip(
            f"this machine has no Python {request.param}: the standard-library part was not run under it"
        )
    return path


def run(argv: list[str], timeout: float, **environment: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", **environment}
    return subprocess.run(
        argv, cwd=ROOT, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout
    )


def test_the_programs_work_with_each_other_under_every_version(python: str) -> None:
    done = run([python, "-I", "-W", "error", str(SMOKE), str(ROOT)], timeout=110)
    assert done.returncode == 0, done.stdout + done.stderr
    assert python.endswith(".".join(done.stdout.split()[-1].split(".")[:2]))


def unit_tests() -> list[str]:
    """The quick test files of the lower rooms that need neither an engine nor hypothesis.

    hypothesis is compiled for the Python of .venv, so its tests run under that one only.
    """
    paths = [path for room in UNIT_TESTS for path in sorted((ROOT / "tests" / room).glob("test_*.py"))]
    quick = [path for path in paths if path.name != SLOW]
    return [str(path) for path in quick if not re.search("hypothesis|mark.lab", path.read_text())]


def test_the_unit_tests_pass_under_every_version(python: str) -> None:
    """With the pytest of .venv, which is pure Python; .venv's own version has run them already."""
    if interpreter_version(python) == interpreter_version(sys.executable):
        return
    argv = [python, "-P", "-W", "error", "-m", "pytest", "-q", "-c", os.devnull, f"--rootdir={ROOT}"]
    argv += ["--import-mode=importlib", "-p", "no:cacheprovider", "--noconftest", *unit_tests()]
    packages = f"{ROOT}{os.pathsep}{Path(pytest.__file__).parents[1]}"
    done = run(argv, timeout=110, PYTHONPATH=packages, PYTEST_DISABLE_PLUGIN_AUTOLOAD="1")
    assert done.returncode == 0, done.stdout + done.stderr


def interpreter_version(path: str) -> str:
    return next(version for version in VERSIONS if starts(path, version))


@pytest.mark.lab
def test_it_runs_under_the_python_of_the_hosts(lab: ComposeLab) -> None:
    argv = ["exec", "-T", "server", "python3", "-W", "error", "-", "/opt/socketlab"]
    done = lab.compose(*argv, stdin=SMOKE.read_text())
    assert done.returncode == 0, done.stdout + done.stderr
