"""The labs of a test session: started once, with free prefixes, and taken down."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from lab.engine.client import Engine
from lab.engine.project import LabProject
from lab.errors import EnvironmentFailure
from lab.testing.lab_session import LabSession, start_beside

ROOT = Path(__file__).parents[2]
PROJECT = f"socketlab-session-{os.getpid()}"


def resources_of(project):
    with Engine() as engine:
        return engine.resources(project)


@pytest.fixture
def started():
    """Starts a lab beside the others; taken down after the test."""
    yield lambda: start_beside(PROJECT)
    LabProject(PROJECT).down(quiet=True)


@pytest.mark.lab
def test_a_lab_whose_prefixes_were_taken_meanwhile_chooses_others(started, lab_topology, monkeypatch):
    """Between choosing and starting, another lab got the same prefixes: as two workers do at once."""
    free = LabProject.beside
    taken = LabProject(PROJECT, lab_topology.prefixes, lab_topology.prefixes6)
    choices = [taken]
    monkeypatch.setattr(LabProject, "beside", lambda *name: choices.pop() if choices else free(*name))
    topology = started()
    assert not set(topology.networks()) & set(lab_topology.networks())
    assert resources_of(PROJECT)


@pytest.mark.lab
def test_a_lab_that_cannot_start_for_another_reason_says_so_at_once(tmp_path, monkeypatch):
    compose_file = tmp_path / "docker-compose.yml"
    compose_file.write_text(
        (ROOT / "docker-compose.yml").read_text().replace("NET_ADMIN", "NO_SUCH_CAPABILITY")
    )
    free = LabProject.beside
    monkeypatch.setattr(LabProject, "beside", lambda *name: replace(free(*name), compose_file=compose_file))
    with pytest.raises(EnvironmentFailure):
        start_beside(PROJECT)
    assert resources_of(PROJECT) == []


@pytest.mark.lab
def test_a_session_that_is_closed_leaves_nothing_and_one_that_was_given_a_lab_leaves_it_up(
    lab_topology, tmp_path
):
    given = LabSession(lab_topology.project, tmp_path)
    assert given.lab.client.run("true").ok
    given.close()
    assert resources_of(lab_topology.project)


def test_one_lab_is_not_shared_by_several_workers():
    argv = [sys.executable, "-m", "pytest", "-q", "--lab", "socketlab", "-n", "2", "tests/test_layers.py"]
    done = subprocess.run(
        argv, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert "--lab names one lab" in done.stderr


GROUPS = """
import pytest

class Groups:
    def pytest_collection_finish(self, session):
        for item in session.items:
            groups = {mark.args[0] for mark in item.iter_markers("xdist_group")}
            print("group", *groups, item.nodeid, sep="|")

pytest.main(["-q", "--collect-only", "tests/profiles", "tests/scenarios", "scenarios"], plugins=[Groups()])
"""


def test_tests_that_share_a_lab_or_a_played_scenario_are_on_one_worker():
    done = subprocess.run(
        [sys.executable, "-c", GROUPS],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )
    lines = [line.split("|", 2) for line in done.stdout.splitlines() if line.startswith("group|")]
    groups = {line[-1]: line[1] for line in lines}
    assert groups["scenarios/tcp_hello.py::tcp-hello"] == "scenario tcp-hello"
    assert groups["scenarios/windows_names.py::windows-names"] == "windows"
    on_windows = {node for node in groups if node.startswith("tests/profiles/")}
    assert on_windows
    assert {groups[node] for node in on_windows} == {"windows"}
