"""Leftovers: found in any state, removed by the label of their owner, and nothing else."""

import os
import socket
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import docker
import pytest

from lab.engine.client import Engine
from lab.engine.http.resources import Resource, of_label
from lab.engine.lifecycle import leftovers
from lab.engine.lifecycle.owner import Owner
from lab.engine.lifecycle.project import LabProject

PROJECT = f"socketlab-left-{os.getpid()}"


@pytest.fixture(autouse=True)
def machine(monkeypatch):
    """A machine of its own: the lab commands of other tests must not remove these leftovers."""
    monkeypatch.setattr(socket, "gethostname", lambda: f"{PROJECT}.test")


@pytest.fixture
def gone(machine):
    """The label of a process that has ended."""
    process = subprocess.Popen(["sleep", "60"])
    process.kill()
    process.wait()
    return str(replace(Owner.current(), pid=process.pid))


def resource(kind, number, owner, project="one"):
    labels = {"com.docker.compose.project": project, "socketlab.owner": owner}
    return Resource(kind, f"{number}", f"{project}-{number}", labels)


def test_the_labs_of_an_owner_are_kept_apart(gone):
    found = leftovers.grouped(resource("network", n, gone, project) for n, project in enumerate("aba"))
    assert [(lab.project, len(lab.resources), lab.state) for lab in found] == [
        ("a", 2, "gone"),
        ("b", 1, "gone"),
    ]


def test_a_lab_without_an_owner_is_none_of_them(gone):
    assert leftovers.grouped([resource("container", 1, ""), resource("network", 2, "")]) == []
    assert leftovers.grouped([Resource("network", "1", "x", {"socketlab.owner": gone})]) == []


def test_networks_in_which_somebody_else_has_containers_are_in_use(gone):
    mine = str(Owner.current())
    networks = [resource("network", 1, gone), resource("volume", 2, gone)]
    for other in ("", mine):
        found = leftovers.grouped([*networks, resource("container", 3, other)])
        assert gone not in [lab.owner for lab in found]


def test_while_a_lab_starts_all_resources_of_its_name_belong_to_it(gone):
    marker = resource("volume", 1, gone)
    marker.labels["socketlab.starting"] = "true"
    others = [resource("network", 2, ""), resource("container", 3, ""), resource("volume", 4, "")]
    [lab] = leftovers.grouped([marker, *others, resource("volume", 5, "", "another")])
    assert [each.id for each in lab.resources] == ["3", "2", "1", "4"]
    assert lab.starting


@pytest.fixture
def client():
    client = docker.from_env()
    yield client
    client.close()


@pytest.fixture
def make(client):
    """Creates resources as Compose does, without starting a container. What is left at the end is removed."""
    made = []

    def make(owner, project=PROJECT, kinds=("network", "volume", "container")):
        labels = {"com.docker.compose.project": project, "socketlab.owner": owner, "socketlab.role": "host"}
        if "network" in kinds:
            made.append(client.networks.create(f"{project}_lan", labels=labels, internal=True))
        if "volume" in kinds:
            made.append(client.volumes.create(f"{project}_keys", labels=labels))
        if "container" in kinds:
            made.append(
                client.containers.create(
                    "socketlab/host",
                    name=f"{project}-a-1",
                    labels=labels,
                    network=f"{project}_lan" if "network" in kinds else None,
                    volumes=[f"{project}_keys:/keys"] if "volume" in kinds else [],
                )
            )

    yield make
    for each in reversed(made):
        try:
            each.remove(**({"force": True} if hasattr(each, "exec_run") else {}))
        except docker.errors.NotFound:
            pass


def named(engine, project=PROJECT):
    return [lab for lab in leftovers.find(engine) if lab.project == project]


@pytest.mark.lab
@pytest.mark.parametrize(
    "kinds", [("network", "volume", "container"), ("network",), ("volume",), ("container",)], ids="+".join
)
def test_a_lab_is_found_and_removed_in_any_state(make, gone, kinds):
    make(gone, kinds=kinds)
    with Engine() as engine:
        [lab] = named(engine)
        assert len(lab.resources) == len(kinds)
        assert leftovers.remove(engine, lab)
        assert not named(engine)


@pytest.mark.lab
def test_a_lab_whose_start_was_interrupted_is_removed_and_its_mark_comes_last(make, gone, client):
    make("")
    labels = {"com.docker.compose.project": PROJECT, "socketlab.owner": gone, "socketlab.starting": "true"}
    mark = client.volumes.create(f"{PROJECT}-starting", labels=labels)
    with Engine() as engine:
        [lab] = named(engine)
        assert len(lab.resources) == 4
        assert leftovers.remove(engine, lab)
        assert client.volumes.get(mark.name)
        assert leftovers.remove_completely(engine, named(engine)[0])
        assert not named(engine)
        assert not of_label(engine.api, f"com.docker.compose.project={PROJECT}")


@pytest.mark.lab
def test_labs_with_a_running_owner_an_unknown_one_or_none_are_not_found(make):
    labels = [str(Owner.current()), str(replace(Owner.current(), machine="another")), ""]
    for number, owner in enumerate(labels):
        make(owner, f"{PROJECT}-{number}", ("network",))
    with Engine() as engine:
        assert not [lab for lab in leftovers.find(engine) if lab.project.startswith(PROJECT)]
        states = {lab.project: lab.state for lab in leftovers.owned(engine)}
    assert (states[f"{PROJECT}-0"], states[f"{PROJECT}-1"]) == ("running", "unknown")


@pytest.mark.lab
def test_a_lab_that_starts_under_the_same_name_meanwhile_is_not_touched(make, gone, client):
    make(gone)
    with Engine() as engine:
        [lab] = named(engine)
        assert leftovers.remove(engine, lab)
        make(str(Owner.current()))  # it starts after the leftover was found, and before that is removed
        assert not leftovers.remove(engine, lab)
    assert client.containers.get(f"{PROJECT}-a-1")
    assert client.networks.get(f"{PROJECT}_lan")
    assert client.volumes.get(f"{PROJECT}_keys")


DESCRIPTION = """
[segments]
lan = {}
[hosts.a]
segment = "lan"
[hosts.b]
segment = "lan"
image = "debian:trixie-slim"
command = ["sleep", "60"]
"""


@pytest.fixture
def session_lab(tmp_path, make):
    path = tmp_path / "lab.toml"
    path.write_text(DESCRIPTION)
    lab = LabProject.of_file(path, PROJECT, environ={})
    yield lab
    lab.down()


@pytest.mark.lab
def test_a_session_replaces_a_leftover_of_its_name_and_its_lab_keeps_its_owner(
    session_lab, make, gone, client
):
    make(gone)
    left = {
        each.id for each in client.containers.list(all=True, filters={"label": f"socketlab.owner={gone}"})
    }
    lab = session_lab.up(owner=True)
    with Engine() as engine:
        assert not named(engine)
        found = of_label(engine.api, f"com.docker.compose.project={PROJECT}")
    assert {each.kind for each in found} == {"container", "network", "volume"}
    assert {each.labels["socketlab.owner"] for each in found} == {str(Owner.current())}
    containers = {each.id for each in found if each.kind == "container"}
    assert len(containers) == 3
    assert not left & containers
    assert session_lab.up() == lab  # as `lab up` in the meantime
    with Engine() as engine:
        assert {each.id for each in of_label(engine.api, f"com.docker.compose.project={PROJECT}")} == {
            each.id for each in found
        }


@pytest.mark.lab
def test_one_of_several_processes_that_remove_a_lab_reports_it(make, gone):
    make(gone)
    with Engine() as engine:
        [lab] = named(engine)
        barrier = threading.Barrier(4)

        def remove(_):
            with Engine() as own:
                barrier.wait(10)
                return leftovers.remove(own, lab)

        with ThreadPoolExecutor(4) as pool:
            assert sum(pool.map(remove, range(4))) <= 1
        while named(engine):  # the others found it busy
            leftovers.remove(engine, lab)
