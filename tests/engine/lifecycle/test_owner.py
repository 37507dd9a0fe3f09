"""The owner of a lab: a process is recognized, and never mistaken for another one."""

import os
import subprocess
import sys
from dataclasses import replace

import pytest

from lab.engine.lifecycle import owner
from lab.engine.lifecycle.owner import Owner, state_of


@pytest.fixture
def sleeper():
    process = subprocess.Popen(["sleep", "60"])
    yield process
    process.kill()
    process.wait()


def owner_in(process):
    """The owner that another Python process sees in itself; the process waits for its end of input."""
    code = "from lab.engine.lifecycle.owner import Owner; print(Owner.current(), flush=True); input()"
    child = subprocess.Popen(
        [*process, sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    return child, child.stdout.readline().strip()


def test_this_process_runs():
    mine = Owner.current()
    assert mine.pid == os.getpid()
    assert Owner.parse(str(mine)) == mine
    assert state_of(str(mine)) == "running"


def test_a_killed_process_is_gone_even_before_its_parent_collects_its_exit_code():
    child, label = owner_in([])
    assert state_of(label) == "running"
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # it is a zombie now
    assert state_of(label) == "gone"
    child.communicate()
    assert state_of(label) == "gone"


def test_another_process_with_the_same_id_is_not_the_owner(sleeper):
    assert replace(Owner.current(), pid=sleeper.pid).state() == "gone"


def test_after_a_restart_of_the_machine_the_owner_is_gone():
    assert replace(Owner.current(), boot="another").state() == "gone"


@pytest.mark.parametrize("place", ["machine", "namespace"])
@pytest.mark.parametrize("pid", [os.getpid(), 4_000_000], ids=["this", "none"])
def test_a_process_of_another_machine_or_namespace_is_unknown(place, pid):
    for boot in (Owner.current().boot, "another"):
        assert replace(Owner.current(), pid=pid, boot=boot, **{place: "another"}).state() == "unknown"


def test_a_process_in_a_container_of_its_own_is_unknown():
    unshare = ["unshare", "--user", "--map-root-user", "--pid", "--fork", "--kill-child"]
    if subprocess.run([*unshare, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this machine allows no new namespaces")
    child, label = owner_in([*unshare, "--mount-proc"])
    child.communicate()
    assert Owner.parse(label).pid < 10
    assert state_of(label) == "unknown"


def test_a_process_that_sees_another_proc_owns_nothing():
    """Its process ID means another process there."""
    unshare = ["unshare", "--user", "--map-root-user", "--pid", "--fork", "--kill-child"]
    if subprocess.run([*unshare, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this machine allows no new namespaces")
    child, label = owner_in(unshare)
    child.communicate()
    assert label == "None"


@pytest.mark.parametrize(
    "label", ["", "x", "a/b/c/d/e", "a/b/c/-1/e", "a/b/c/1/", "a/b/c/1/e/f", "a/b/c/²/e"]
)
def test_a_label_of_another_form_is_unknown(label):
    assert state_of(label) == "unknown"


def test_without_proc_the_start_time_comes_from_ps(sleeper):
    """As on macOS."""
    assert len(owner._started_by_ps(sleeper.pid).split("-")) == 5  # "Sat-Nov-21-21:25:52-2026"
    assert owner._started_by_ps(os.getpid()) == owner._started_by_ps(os.getpid())
    sleeper.kill()
    os.waitid(os.P_PID, sleeper.pid, os.WEXITED | os.WNOWAIT)
    assert owner._started_by_ps(sleeper.pid) == ""
    sleeper.wait()
    assert owner._started_by_ps(sleeper.pid) == ""


def test_a_process_that_cannot_be_looked_up_is_unknown(sleeper, monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert owner._started_by_ps(sleeper.pid) is None
