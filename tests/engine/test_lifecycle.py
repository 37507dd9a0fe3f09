"""`lab up` and `lab down` as processes: they remove everything of the lab, and nothing else."""

import os
import select
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import docker
import pytest

from lab.control.transport import from_engine
from lab.engine.client import Engine
from lab.engine.project import LabProject
from lab.errors import EnvironmentFailure

pytestmark = pytest.mark.lab

ROOT = Path(__file__).parents[2]


@pytest.fixture
def client():
    client = docker.from_env()
    yield client
    client.close()


@pytest.fixture
def topology():
    topology = LabProject.beside(f"socketlab-life-{os.getpid()}")
    yield topology
    topology.down(quiet=True)


@pytest.fixture
def bystander(client):
    """A container, a network and a volume of somebody else, with names like those of a lab."""
    name = f"bystander-{os.getpid()}"
    labels = {"com.docker.compose.project": name}
    network = client.networks.create(f"{name}_clients", labels=labels)
    volume = client.volumes.create(f"{name}_keys", labels=labels)
    container = client.containers.create(
        "socketlab/host", name=f"{name}-server-1", labels=labels, network=network.name
    )
    yield name
    container.remove(force=True)
    network.remove()
    volume.remove()


@pytest.fixture
def lab_command(topology):
    """Starts `lab WORDS` for the topology; whatever is still running at the end is killed."""
    processes = []

    def start(*words, of=topology):
        process = subprocess.Popen(
            [sys.executable, "-m", "lab", *words, "-p", of.project],
            cwd=ROOT,
            env=of.environment(),
            stderr=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        processes.append(process)
        return process

    yield start
    for process in processes:
        process.kill()
        process.communicate(timeout=30)


def left_of(project):
    with Engine() as engine:
        return engine.resources(project)


def wait_for_stderr(process, text, timeout=30):
    """Reads stderr, in which Compose reports its progress, up to ``text``."""
    seen, deadline = "", time.monotonic() + timeout
    while text not in seen:
        assert select.select([process.stderr], [], [], deadline - time.monotonic())[0], (
            f"no {text!r} in {seen!r}"
        )
        part = os.read(process.stderr.fileno(), 4096).decode()
        assert part, f"ended without {text!r}: {seen!r}"
        seen += part
    return seen


def finish(process, timeout=60):
    out, err = process.communicate(timeout=timeout)
    return process.returncode, out, err


def require_untouched(client, bystander):
    assert client.containers.get(f"{bystander}-server-1").status == "created"
    assert client.networks.get(f"{bystander}_clients")
    assert client.volumes.get(f"{bystander}_keys")


def test_up_logs_in_and_down_removes_exactly_what_up_made(lab_command, topology, client, bystander):
    code, out, err = finish(lab_command("up"))
    assert code == 0, err
    assert "lab shell" in out
    assert len(left_of(topology.project)) == 7  # three containers, three networks, the keys

    code, out, err = finish(lab_command("down"))
    assert code == 0, err
    assert "Removed 7" in out
    assert left_of(topology.project) == []
    require_untouched(client, bystander)
    assert finish(lab_command("down"))[:2] == (0, "There was no lab.\n")


def test_down_of_a_project_that_is_not_a_lab_removes_nothing(topology, client, bystander):
    LabProject.beside(bystander).down(quiet=True)
    require_untouched(client, bystander)


@pytest.mark.parametrize("moment", ["Network", "Creating", "Starting", "Started"])
def test_ctrl_c_in_the_middle_of_up_leaves_nothing(lab_command, topology, moment):
    process = lab_command("up")
    wait_for_stderr(process, moment)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: Compose gets the signal too
    code, _, err = finish(process)
    assert code == 130, err
    assert "Traceback" not in err
    assert left_of(topology.project) == []


@pytest.mark.parametrize("moment", ["Creating", "Started"])
def test_after_sigkill_of_up_down_leaves_nothing(lab_command, topology, moment):
    process = lab_command("up")
    wait_for_stderr(process, moment)
    process.kill()
    finish(process)
    code, _, err = finish(lab_command("down"))
    assert code == 0, err
    assert left_of(topology.project) == []


def test_taken_prefixes_are_reported_with_their_networks(lab_command, topology, lab_topology):
    clash = LabProject(topology.project, lab_topology.prefixes)
    code, _, err = finish(lab_command("up", "-q", of=clash))
    assert code == 3
    prefix = lab_topology.prefixes["clients"]
    assert f"{prefix}.0/24 is taken by the network {lab_topology.project}_clients" in err
    assert "--prefix NETWORK=PREFIX" in err
    assert left_of(topology.project) == []


def test_a_failed_start_removes_what_it_made(topology, tmp_path):
    """A host that never becomes healthy."""
    broken = tmp_path / "docker-compose.yml"
    text = (ROOT / "docker-compose.yml").read_text().replace("/usr/lib/socketlab/health", "/bin/false")
    broken.write_text(
        text.replace("start_period: 20s", "start_period: 0s").replace("interval: 30s", "interval: 1s")
    )
    with pytest.raises(EnvironmentFailure, match="unhealthy"):
        replace(topology, compose_file=broken).up(quiet=True)
    assert left_of(topology.project) == []


def test_a_lab_that_was_up_survives_a_second_up(topology):
    topology.up(quiet=True)
    before = {r.id for r in left_of(topology.project)}
    topology.up(quiet=True)
    assert {r.id for r in left_of(topology.project)} == before


def test_two_labs_side_by_side_are_isolated(topology, lab):
    topology.up(quiet=True)
    with from_engine(topology.project) as other:
        assert other.client.address != lab.client.address
        for here, there in ((lab, other), (other, lab)):
            assert here.client.run("ping -c1 -W2 server").ok
            for address in (there.server.address, there.server.address6):
                assert not here.client.run(f"ping -c1 -W1 {address}").ok, f"{address} is in the other lab"
