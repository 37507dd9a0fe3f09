"""The labs of a test session: started once, with free prefixes, and taken down after their last test."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from lab.engine.client import Engine
from lab.testing.lab_session import LabKind, LabSession

ROOT = Path(__file__).parents[2]


def resources_of(project):
    with Engine() as engine:
        return engine.resources(project)


@pytest.mark.lab
def test_a_session_that_is_closed_leaves_nothing_and_one_that_was_given_a_lab_leaves_it_up(
    lab_topology, tmp_path
):
    given = LabSession(lab_topology.project, tmp_path)
    assert given.project == lab_topology
    assert given.lab.client.run("true").ok
    given.close()
    assert resources_of(lab_topology.project)


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (LabKind(), ""),
        (LabKind("star"), "topology star"),
        (LabKind(profile="windows"), "windows"),
        (LabKind("star", "windows"), "topology star windows"),
    ],
)
def test_the_kind_of_a_lab_is_the_name_of_a_group(kind, text):
    assert str(kind) == text
    assert kind.is_plain == (not text)


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


CONFTEST = """
import shutil
from pathlib import Path
from lab.engine import topologies

shutil.copy(topologies.default(), Path(__file__).parent)
topologies.FOLDER = Path(__file__).parent
for name in ("one", "two"):
    (topologies.FOLDER / f"{name}.toml").write_text(f"[hosts.{name}]")
"""
ON_SEVERAL_LABS = """
import pytest
from lab.engine.client import Engine

SEEN = []

def left(lab):
    with Engine() as engine:
        return engine.resources(lab.title) != []

@pytest.mark.lab_with("two")
def test_second_lab(lab_with):
    assert [left(each) for each in SEEN] == [True, False], "the lab one isn't needed any more"
    assert lab_with("two").two.run("true").ok

@pytest.mark.lab_with("one")
def test_first_lab(lab_with):
    SEEN.append(lab_with("one"))
    assert SEEN[-1].one.run("true").ok

def test_usual_lab(lab):
    assert SEEN == [], "it comes first"
    SEEN.append(lab)

@pytest.mark.lab_with("one")
def test_first_lab_again(lab_with):
    assert lab_with("one") is SEEN[1]
"""


@pytest.mark.lab
def test_labs_of_other_kinds_are_up_one_at_a_time(lab_topology, tmp_path):
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "test_labs.py").write_text(ON_SEVERAL_LABS)
    options = ["-q", "-p", "lab.testing.plugin", "-p", "no:cacheprovider", "--lab", lab_topology.project]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, str(tmp_path)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert "4 passed" in done.stdout, done.stdout + done.stderr
    assert resources_of(lab_topology.project)
    with Engine() as engine:
        assert not [name for name in engine.projects() if name.endswith(("-one", "-two"))]
