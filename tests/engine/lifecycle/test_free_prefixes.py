"""Labs that start at the same moment: a prefix that the engine refuses is replaced by another one."""

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest

from lab.control.transport import from_engine
from lab.engine.client import Engine
from lab.engine.compose import Notice
from lab.engine.lifecycle.cleanup import take_down
from lab.engine.lifecycle.project import LabProject
from lab.topology.prefixes import overlap

pytestmark = pytest.mark.lab

LABS, ROUNDS = 10, 10
AT_ONCE = 30.0  # seconds for all to arrive at the start


@dataclass(frozen=True)
class NetworksOnly(LabProject):
    """A lab whose start creates its networks by the usual Compose command, but no container."""

    def _start(self, engine, report, observer):
        plan = self.plan()
        none = [word for node in plan.nodes for word in ("--scale", f"{node.name}=0")]
        text = self.compose_file_text(plan).text
        self._compose(text, "up", "--detach", *none, report=report, timeout=60)


class SameChoice(NetworksOnly):
    """Each of these labs chooses the same prefixes first."""

    def seeds(self):
        yield "the same"
        yield from super().seeds()


@pytest.fixture
def labs(tmp_path):
    """Makes labs with one host each, which are removed after the test."""
    path = tmp_path / "lab.toml"
    path.write_text('name = "one"\n[hosts.a]\n')
    made = []

    def make(kind, count, label):
        names = [f"socketlab-race-{os.getpid()}-{label}-{number}" for number in range(count)]
        made.extend(kind.of_file(path, name, environ={}) for name in names)
        return made[-count:]

    yield make
    with Engine() as engine, ThreadPoolExecutor(LABS) as pool:
        assert sum(pool.map(engine.remove, [lab.project for lab in made])) > 0
        list(
            pool.map(lambda lab: engine.resources(lab.project) and take_down(lab.project, settled=True), made)
        )
        assert not any(pool.map(engine.resources, [lab.project for lab in made]))


def start_at_once(labs, notices=None):
    """Brings all of them up, each in a thread that waits for the others. Returns them with their prefixes."""
    barrier = threading.Barrier(len(labs), timeout=AT_ONCE)

    def report(line):
        if notices is not None and isinstance(line, Notice):
            notices.append(line)

    def up(lab):
        barrier.wait()
        return lab.up(report=report)

    with ThreadPoolExecutor(len(labs)) as pool:
        return list(pool.map(up, labs))


def require_apart(labs):
    """The engine has the networks that were planned for these labs, and none overlaps another."""
    with Engine() as engine:
        there = [each for lab in labs for nets in engine.networks_of(lab.project).values() for each in nets]
    assert sorted(map(str, there)) == sorted(str(each) for lab in labs for each in lab.plan().networks())
    for at, one in enumerate(there):
        assert not [other for other in there[at + 1 :] if overlap(one, other)]


@pytest.mark.parametrize("number", range(ROUNDS))
def test_ten_labs_that_start_at_once_all_come_up(labs, number):
    started = start_at_once(labs(NetworksOnly, LABS, f"r{number}"))
    assert len(started) == LABS
    require_apart(started)


def test_labs_that_choose_the_same_prefixes_choose_again(labs):
    notices = []
    started = start_at_once(labs(SameChoice, 4, "same"), notices)
    require_apart(started)
    assert len(notices) >= 3, "all but one had to choose again"


def test_whole_labs_that_start_at_once_all_come_up(labs):
    started = start_at_once(labs(LabProject, 4, "whole"))
    require_apart(started)
    for each in started:
        with from_engine(each.project) as lab:
            assert lab.a.run("hostname", check=True).stdout == "a\n"
