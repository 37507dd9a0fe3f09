"""A lab is one run's at a time: two at once would judge each other's packets."""

import os
import signal
import subprocess
import sys

import pytest

from lab.control.lab import ignore
from lab.control.transport import from_engine
from lab.errors import EnvironmentFailure
from lab.scenarios.catalog import Scenario
from lab.scenarios.play import play

pytestmark = pytest.mark.lab

HOLDS = """
import sys
from lab.control.lab import ignore
from lab.control.transport import from_engine

with from_engine(sys.argv[1], ignore) as lab, lab.claimed():
    print("claimed", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(lab_topology):
    """A process that has the lab."""
    command = [sys.executable, "-c", HOLDS, lab_topology.project]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "claimed\n"
        yield process
        process.kill()


def run_on(topology, tmp_path):
    scenario = Scenario("made-up", "A title", "", lambda lab: {"a": 1}, lambda record: None)
    return play(scenario, lambda observe: from_engine(topology.project, observe), ignore, tmp_path)


def test_a_second_run_on_the_same_lab_is_refused(lab_topology, holder, tmp_path):
    with pytest.raises(EnvironmentFailure, match="another run is on this lab"):
        run_on(lab_topology, tmp_path)
    holder.stdin.close()
    assert holder.wait(10) == 0
    assert run_on(lab_topology, tmp_path).verdict == "pass"


def test_a_run_that_is_killed_lets_the_lab_go(lab_topology, holder, tmp_path):
    os.kill(holder.pid, signal.SIGKILL)
    holder.wait(10)
    assert run_on(lab_topology, tmp_path).verdict == "pass"
