"""A test that runs `true` on two hosts: with the fixture lab, and as people write it with Docker."""

from __future__ import annotations

import itertools
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.rig import Rig, tool
from benchmarks.table import SECONDS, CannotMeasure, Table
from lab import shipped

OURS, KEPT = "fixture lab", "fixture lab, trace kept"
SDK, COMPOSE = "docker SDK", "docker compose exec"
TESTS = 12  # in a session; the first one, which opens the lab, doesn't count
WARM = 2
TIMEOUT = 300
# The time between the ends of two tests: with reports and artifacts, which JUnit's times don't contain.
CONFTEST = """
import time

def pytest_runtest_logfinish():
    with open("times", "a") as file:
        print(time.monotonic(), file=file)
"""
FIXTURE = """
import pytest

@pytest.mark.parametrize("n", range({tests}))
def test_true(lab, n):
    assert lab.client.run("true").ok
    assert lab.server.run("true").ok
"""
WITH_SDK = """
import docker
import pytest

@pytest.fixture(scope="session")
def hosts():
    client = docker.from_env()
    return [client.containers.get(f"{project}-{{name}}-1") for name in ("client", "server")]

@pytest.mark.parametrize("n", range({tests}))
def test_true(hosts, n):
    for host in hosts:
        assert host.exec_run("true").exit_code == 0
"""
WITH_COMPOSE = """
import subprocess
import pytest

@pytest.mark.parametrize("n", range({tests}))
def test_true(n):
    for host in ("client", "server"):
        subprocess.run(["{docker}", "compose", "-p", "{project}", "exec", "-T", host, "true"], check=True)
"""


def measure(rig: Rig) -> Iterator[Table]:
    rig.lab  # noqa: B018  (brings the lab up)
    table = Table("A test that runs `true` on two hosts, of a session", SECONDS, base=OURS)
    table.remarks[OURS] = "on hosts that were reset, with packets, sockets and output recorded"
    table.remarks[KEPT] = "the same, and trace.html and captures written"
    table.remarks[SDK] = table.remarks[COMPOSE] = "no reset, no evidence"
    for _ in range(rig.rounds(3)):
        for name, source, *words in (
            (OURS, FIXTURE, "--lab", rig.project()),
            (KEPT, FIXTURE, "--lab", rig.project(), "--lab-trace", "on"),
            (SDK, WITH_SDK),
            (COMPOSE, WITH_COMPOSE),
        ):
            text = source.format(tests=TESTS, project=rig.project(), docker=tool("docker"))
            table.add(name, seconds_of_a_test(text, words))
    table.at_most(0.08, OURS, table.median(OURS), SECONDS)
    yield table


def seconds_of_a_test(source: str, words: list[str]) -> float:
    """The median time of a test with its set-up, tear-down and reports, in a session of its own."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "conftest.py").write_text(CONFTEST)
        (folder / "test_true.py").write_text(source)
        argv = [sys.executable, "-m", "pytest", "-q", "-p", "lab.testing.plugin", "-p", "no:cacheprovider"]
        done = subprocess.run(
            [*argv, *words],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(shipped.CODE.parent)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
        )
        if done.returncode:
            raise CannotMeasure(f"the session failed: {done.stdout[-500:]}")
        ends = [float(line) for line in (folder / "times").read_text().split()][WARM:]
        return statistics.median(after - before for before, after in itertools.pairwise(ends))
