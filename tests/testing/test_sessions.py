"""The labs of test sessions: when and on which worker they are up, and the clean-up after a session."""

import os
import random
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from lab.engine.client import Engine
from lab.engine.lifecycle import leftovers
from lab.engine.lifecycle.cleanup import take_down
from lab.testing.lab_kind import LabKind
from lab.testing.lab_session import PREFIX
from tests.testing.conftest import OPTIONS

pytestmark = pytest.mark.lab

ONE_HOST = "[hosts.alone]\n"
SEVERAL_LABS = """
import pytest
from lab.engine.client import Engine

SEEN = []

def left(lab):
    with Engine() as engine:
        return engine.resources(lab.title) != []

@pytest.mark.lab(file="two.toml")
def test_second_lab(lab):
    assert [left(each) for each in SEEN] == [True, False], "the first lab isn't needed any more"
    assert lab.two.run("true").ok

@pytest.mark.lab(file="one.toml")
def test_first_lab(lab):
    SEEN.append(lab)
    assert lab.one.run("true").ok

def test_usual_lab(lab):
    assert SEEN == [], "it comes first"
    SEEN.append(lab)

@pytest.mark.lab(file="one.toml")
def test_first_lab_again(lab):
    assert lab is SEEN[1]
"""
ON_WORKERS = """
import time
import pytest

@pytest.mark.parametrize("n", range(4))
def test_it(lab, record_property, request, n):
    record_property("seen", f"{request.config.workerinput['workerid']} {lab.title} {lab.random.random()}")
    lab.alone.run("sleep 0.5", check=True)

@pytest.mark.needs("netem")
def test_without_a_router(lab):
    pass

def test_fails(lab):
    assert lab.alone.run("echo hello; false").ok
"""
WAITING = """
from pathlib import Path

def test_it(lab):
    Path("ready").write_text(lab.title)
    lab.alone.run("sleep 60", timeout=100)
"""
# The lab commands of other tests must not remove what is left of this session.
OTHER_MACHINE = "import socket; socket.gethostname = lambda: 'killed.test'"
SEVERAL_TESTS = """
import pytest

@pytest.mark.parametrize("n", range(9))
def test_it(lab, n):
    assert lab.alone.run("true").ok
"""
KEPT = """
from pathlib import Path

def test_it(lab):
    boot = lab.alone.run("cat /proc/1/stat | cut -d' ' -f22").stdout.strip()
    with open("titles", "a") as file:
        print(lab.title, boot, file=file)
"""


def resources_of(project):
    with Engine() as engine:
        return engine.resources(project)


def projects_of(pid):
    """The labs of a session."""
    with Engine() as engine:
        return [name for name in engine.projects() if name.startswith(f"socketlab-test-{pid}")]


@pytest.fixture
def started(pytester, monkeypatch, apart):
    """Starts a session of pytest in the test's folder, which has a lab of one host."""
    (pytester.path / "lab.toml").write_text(ONE_HOST)

    def start():
        return subprocess.Popen(
            [sys.executable, "-m", "pytest", *OPTIONS],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    return start


def wait_for(condition, seconds=60):
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.02)


def test_labs_of_other_kinds_are_up_one_at_a_time(lab_topology, pytester, session):
    for name in ("one", "two"):
        (pytester.path / f"{name}.toml").write_text(f"[hosts.{name}]")
    pytester.makepyfile(SEVERAL_LABS)
    session("--lab", lab_topology.project).assert_outcomes(passed=4)
    assert resources_of(lab_topology.project), "it was up before, and stays up"
    assert not [name for name in projects_of(os.getpid()) if name.endswith(("-one", "-two"))]


def test_each_worker_has_a_lab_and_all_have_the_same_seed(pytester, apart):
    (pytester.path / "lab.toml").write_text(ONE_HOST)
    pytester.makepyfile(test_it=ON_WORKERS)
    apart("-n", "2", "--junitxml", "junit.xml").assert_outcomes(passed=4, failed=1, errors=1)
    text = (pytester.path / "junit.xml").read_text()
    seen = {tuple(part.split('"')[0].split()) for part in text.split('name="seen" value="')[1:]}
    assert len({worker for worker, _, _ in seen}) == 2
    assert len({title for _, title, _ in seen}) == 2
    assert len({number for _, _, number in seen}) == 1
    assert "unsupported: this lab has no router, so it has no netem" in text
    assert 'name="lab_trace.html" value="lab-artifacts/test_it.py-test_fails/trace.html"' in text
    assert (pytester.path / "lab-artifacts/test_it.py-test_fails/output/alone.txt").read_text() == "hello\n"
    assert not [title for _, title, _ in seen if resources_of(title)]


def test_a_lab_that_is_kept_serves_the_next_session(pytester, apart):
    (pytester.path / "lab.toml").write_text(ONE_HOST)
    pytester.makepyfile(KEPT)
    try:
        for _ in range(2):
            result = apart("--lab-keep")
            result.assert_outcomes(passed=1)
        first, second = (pytester.path / "titles").read_text().splitlines()
        assert first == second
        project = first.split()[0]
        result.stderr.fnmatch_lines([f"the lab {project} stays up; `lab down -p {project}` removes it"])
        assert not [lab for lab in all_owned() if lab.project == project]
    finally:
        take_down((pytester.path / "titles").read_text().split()[0])


def all_owned():
    with Engine() as engine:
        return leftovers.owned(engine)


def test_ctrl_c_takes_the_lab_down_and_a_second_one_does_not_stop_that(pytester, started):
    pytester.makepyfile(WAITING)
    with started() as session:
        wait_for((pytester.path / "ready").exists)
        project = (pytester.path / "ready").read_text()
        assert resources_of(project)
        session.send_signal(signal.SIGINT)
        wait_for(lambda: "Interrupted" in session.stdout.readline() or session.poll() is not None)
        session.send_signal(signal.SIGINT)
        output = session.communicate(timeout=60)[0]
    assert session.returncode == pytest.ExitCode.INTERRUPTED, output
    assert resources_of(project) == []


def test_nothing_is_left_of_a_session_that_was_killed_at_any_time(lab_topology, pytester, started):
    pytester.makepyfile(SEVERAL_TESTS)
    before = {each.id for each in resources_of(lab_topology.project)}
    moments = random.Random(7)

    def killed(number):
        with started() as session:
            if number % 4 == 0:  # on a busy machine, the others may be killed before they have a lab
                wait_for(lambda: session.pid in owners() or session.poll() is not None)
            time.sleep(moments.uniform(0, 1) if number % 4 == 0 else moments.uniform(0.4, 5))
            session.kill()
        return session.pid

    with ThreadPoolExecutor(max_workers=4) as pool:
        pids = pool.map(killed, range(20))
        found = sum(leftovers_removed(pid) for pid in pids)
    assert found >= 3, "most sessions were killed while they had a lab"
    assert {each.id for each in resources_of(lab_topology.project)} == before


def owners():
    """The processes that own labs."""
    return {lab.pid for lab in all_owned()}


def leftovers_removed(pid, seconds=60):
    """Repeats the clean-up of the next session until nothing is left. Returns whether there was a lab."""
    until, quiet, found = time.monotonic() + seconds, 0, False
    name = f"{PREFIX}-{pid}-{LabKind.of(Path('lab.toml').absolute()).name}"
    while quiet < 3:
        assert time.monotonic() < until, resources_of(name)
        with Engine() as engine:
            mine = [lab for lab in leftovers.find(engine) if lab.pid == pid]
            for lab in mine:
                leftovers.remove_completely(engine, lab)
        found |= bool(mine)
        quiet = 0 if mine or resources_of(name) else quiet + 1
        time.sleep(0.2)
    return found


def test_the_next_session_removes_the_lab_of_one_that_was_killed(pytester, started):
    pytester.makeconftest(OTHER_MACHINE)
    pytester.makepyfile(test_waiting=WAITING)
    with started() as session:
        wait_for((pytester.path / "ready").exists)
        session.kill()
    project = (pytester.path / "ready").read_text()
    assert resources_of(project)
    pytester.makepyfile(test_waiting="def test_it(lab): pass")
    with started() as session:
        output = session.communicate(timeout=60)[0]
    assert f"lab: removed {project}: process " in output
    assert resources_of(project) == []
