"""Only one run at a time uses a lab; two would capture each other's packets."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from lab.control.faults import Power
from lab.control.host import Host
from lab.control.lab import Lab, NoSuchNode, ignore
from lab.control.transport import from_engine
from lab.errors import EnvironmentFailure, UsageError
from lab.scenarios.catalog import Scenario
from lab.scenarios.play import play
from lab.topology.node import Interface, Node

ROOT = Path(__file__).parents[2]

needs_lab = pytest.mark.lab

HOLDS = """
import sys
from lab.control.faults import Power
from lab.control.host import Host
from lab.control.lab import Lab, NoSuchNode, ignore
from lab.control.transport import from_engine

with from_engine(sys.argv[1], ignore) as lab, lab.claimed():
    print("claimed", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(lab_topology):
    """A process that has claimed the lab."""
    command = [sys.executable, "-c", HOLDS, lab_topology.project]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "claimed\n"
        yield process
        process.kill()


def run_on(topology, tmp_path):
    scenario = Scenario("made-up", "A title", "", lambda lab: {"a": 1}, lambda record: None)
    return play(scenario, lambda observe: from_engine(topology.project, observe), ignore, tmp_path)


@needs_lab
def test_a_second_run_on_the_same_lab_is_refused(lab_topology, holder, tmp_path):
    with pytest.raises(EnvironmentFailure, match="another run is on this lab"):
        run_on(lab_topology, tmp_path)
    holder.stdin.close()
    assert holder.wait(10) == 0
    assert run_on(lab_topology, tmp_path).verdict == "pass"


@needs_lab
def test_a_killed_run_releases_the_lab(lab_topology, holder, tmp_path):
    os.kill(holder.pid, signal.SIGKILL)
    holder.wait(10)
    assert run_on(lab_topology, tmp_path).verdict == "pass"


@needs_lab
def test_a_claim_lasts_for_all_runs_within_it_and_is_renewed_if_it_was_lost(lab_topology, tmp_path):
    with from_engine(lab_topology.project) as lab, lab.claimed():
        held = list(lab._claims)
        with lab.claimed():
            assert lab._claims == held
        with from_engine(lab_topology.project) as other:
            with pytest.raises(EnvironmentFailure, match="another run is on this lab"), other.claimed():
                pass
            lab.router.reboot()
            with lab.claimed():
                assert lab._claims != held
                with pytest.raises(EnvironmentFailure, match="another run is on this lab"), other.claimed():
                    pass
            with other.claimed():
                pass


@pytest.fixture
def two_hosts():
    """A lab without connections to its hosts."""
    nodes = [
        Node(name, "host", (name, alias), (Interface("net", f"{address}/24"),))
        for name, alias, address in (("alpha", "anna", "10.0.0.1"), ("beta", "bert", "10.0.0.2"))
    ]
    return Lab([Host(node, NotImplemented, Power, ignore) for node in nodes], ignore, "made up")


def test_a_node_is_found_by_each_of_its_names(two_hosts):
    assert two_hosts.alpha is two_hosts["alpha"] is two_hosts.anna is two_hosts["anna"]
    assert hasattr(two_hosts, "bert")


def test_the_hosts_of_a_set_are_partitioned_in_the_order_of_the_lab(two_hosts, monkeypatch):
    asked = []
    monkeypatch.setattr(two_hosts.link, "separate", lambda sets, **_: asked.extend(sets))
    names = [host.name for host in two_hosts.hosts]
    for members in names, names[::-1], set(names), two_hosts.hosts[::-1]:
        two_hosts.partition(members, one_way=True)
    assert asked == [two_hosts.hosts] * 4


def test_an_unknown_name_is_not_an_attribute(two_hosts):
    assert not hasattr(two_hosts, "nobody")
    assert getattr(two_hosts, "alfa", None) is None
    with pytest.raises(AttributeError, match="no node 'alfa'; there are alpha, anna, bert, beta"):
        two_hosts.alfa  # noqa: B018
    with pytest.raises(UsageError, match="no node 'alfa'; there are alpha, anna, bert, beta"):
        two_hosts["alfa"]
    assert issubclass(NoSuchNode, (AttributeError, UsageError))


TYPED = """
from lab.control.host import Host
from lab.control.lab import Lab

class Pair(Lab):
    server: Host

def run(lab: Lab, pair: Pair) -> None:
    reveal_type(lab["server"])
    reveal_type(pair.server)
    lab.servr
    pair.servr
"""


def test_a_type_checker_reports_a_misspelt_name(tmp_path):
    file = tmp_path / "scenario.py"
    file.write_text(TYPED)
    argv = [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", str(file)]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=110)
    said = [line.partition(".py:")[2] for line in done.stdout.splitlines()]
    assert said == [
        '9: note: Revealed type is "lab.control.host.Host"',
        '10: note: Revealed type is "lab.control.host.Host"',
        '11: error: "Lab" has no attribute "servr"  [attr-defined]',
        '12: error: "Pair" has no attribute "servr"; maybe "server"?  [attr-defined]',
    ]
