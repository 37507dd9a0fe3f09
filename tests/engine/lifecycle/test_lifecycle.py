"""`lab up` and `lab down` as processes: they remove everything of the lab, and nothing else."""

import os
import re
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
from lab.engine.description import prefix_choice, topologies
from lab.engine.lifecycle.existing import ExistingLab
from lab.engine.lifecycle.project import LabProject
from lab.errors import EnvironmentFailure, UsageError
from lab.topology.prefixes import prefix_of

pytestmark = pytest.mark.lab

ROOT = Path(__file__).parents[3]


def default(project, **options):
    return LabProject.of_file(topologies.default(), project, environ={}, **options)


@pytest.fixture
def client():
    client = docker.from_env()
    yield client
    client.close()


@pytest.fixture
def project():
    project = default(f"socketlab-life-{os.getpid()}")
    yield project
    project.down()


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
def lab_command(project):
    """Starts `lab WORDS` for the project; whatever is still running at the end is killed."""
    processes = []

    def start(*words):
        process = subprocess.Popen(
            [sys.executable, "-m", "lab", *words, "-p", project.project],
            cwd=ROOT,
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


def test_up_logs_in_and_down_removes_exactly_what_up_made(lab_command, project, client, bystander):
    code, out, err = finish(lab_command("up"))
    assert code == 0, err
    assert "lab shell" in out
    assert len(left_of(project.project)) == 7  # three containers, three networks, the keys

    code, out, err = finish(lab_command("down"))
    assert code == 0, err
    assert "Removed 7" in out
    assert left_of(project.project) == []
    require_untouched(client, bystander)
    assert finish(lab_command("down"))[:2] == (0, "There was no lab.\n")


def test_down_of_a_project_that_is_not_a_lab_removes_nothing(project, client, bystander):
    default(bystander).down()
    require_untouched(client, bystander)


def test_a_lab_is_not_started_in_a_compose_project_of_somebody_else(client, bystander):
    with pytest.raises(
        UsageError, match=rf"^{bystander} .* isn't a lab \({bystander}-server-1, .*; give .*name"
    ):
        default(bystander).up()
    require_untouched(client, bystander)


@pytest.mark.parametrize("moment", ["Network", "Creating", "Starting", "Started"])
def test_ctrl_c_in_the_middle_of_up_leaves_nothing(lab_command, project, moment):
    process = lab_command("up")
    wait_for_stderr(process, moment)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: Compose gets the signal too
    code, _, err = finish(process)
    assert code == 130, err
    assert "Traceback" not in err
    assert left_of(project.project) == []


@pytest.mark.parametrize("moment", ["Creating", "Started"])
def test_after_sigkill_of_up_down_leaves_nothing(lab_command, project, moment):
    process = lab_command("up")
    wait_for_stderr(process, moment)
    process.kill()
    finish(process)
    code, _, err = finish(lab_command("down"))
    assert code == 0, err
    assert left_of(project.project) == []


def test_taken_prefixes_are_reported_with_their_networks(lab_command, project, lab_topology):
    taken = lab_topology.prefixes["servers"][0]
    code, _, err = finish(lab_command("up", "-q", "--prefix", f"servers={prefix_of(taken)}"))
    assert code == 3
    assert f"{taken} is taken by the network {lab_topology.project}_servers" in err
    assert "--prefix NETWORK=PREFIX" in err
    assert left_of(project.project) == []


def test_a_failed_start_removes_what_it_made_and_names_the_nodes_with_their_last_lines(project, tmp_path):
    """Nodes that never become healthy."""
    broken = tmp_path / "docker-compose.yml"
    text = (ROOT / "docker-compose.yml").read_text()
    text = text.replace("[CMD, /usr/lib/socketlab/health]", '[CMD-SHELL, "echo no network; exit 1"]')
    broken.write_text(
        text.replace("start_period: 20s", "start_period: 0s").replace("interval: 30s", "interval: 1s")
    )
    with pytest.raises(EnvironmentFailure, match=r"(server|client|router) \(unhealthy\)") as caught:
        replace(project, compose_file=broken).up()
    assert re.search(r"^(server|client|router): no network$", str(caught.value), re.MULTILINE)
    assert left_of(project.project) == []


def test_a_lab_that_was_up_survives_a_second_up(project):
    started = project.up()
    before = {r.id for r in left_of(project.project)}
    assert project.up() == started
    assert {r.id for r in left_of(project.project)} == before


def test_two_labs_side_by_side_are_isolated(project, shared_lab):
    project.up()
    with from_engine(project.project) as other:
        assert other.client.address != shared_lab.client.address
        for here, there in ((shared_lab, other), (other, shared_lab)):
            assert here.client.run("ping -c1 -W2 server").ok
            for address in (there.server.address, there.server.address6):
                assert not here.client.run(f"ping -c1 -W1 {address}").ok, f"{address} is in the other lab"


@pytest.fixture
def docker_compose(project):
    """Runs `docker compose` as a user does in the checkout, with the prefixes of the project or free ones."""

    def run(*words):
        environment = {**os.environ, "COMPOSE_PROJECT_NAME": project.project}
        done = subprocess.run(
            ["docker", "compose", *words],
            cwd=ROOT,
            env=environment | prefix_choice.variables(prefixes_of(project)),
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr

    return run


def prefixes_of(project):
    with Engine() as engine:
        existing = ExistingLab.of(engine, project.project)
        taken = [subnet for subnet, _ in engine.subnets()]
    return existing.prefixes if existing else prefix_choice.of_plan(project.plan(taken, project.project))


def containers_of(project):
    with Engine() as engine:
        return {node.name: node.id for node in engine.nodes(project)}


def test_compose_and_lab_take_over_each_others_lab(project, docker_compose, lab_command):
    docker_compose("up", "--detach", "server", "client", "router")
    by_compose = containers_of(project.project)
    assert finish(lab_command("up", "-q"))[0] == 0
    assert containers_of(project.project) == by_compose
    docker_compose("down", "--volumes")
    assert left_of(project.project) == []

    assert finish(lab_command("up", "-q"))[0] == 0
    by_lab = containers_of(project.project)
    docker_compose("up", "--detach", "server", "client", "router")
    assert containers_of(project.project) == by_lab
    assert finish(lab_command("down", "-q"))[0] == 0
    assert left_of(project.project) == []


def test_an_image_that_does_not_exist_is_named_in_one_line(tmp_path):
    file = tmp_path / "lab.toml"
    file.write_text('[hosts.web]\nimage = "no.such.host.invalid/web:1"\n')
    lab = LabProject.of_file(file, f"socketlab-image-{os.getpid()}", environ={})
    problem = r"^web: there is no image no\.such\.host\.invalid/web:1 on this machine.*$"
    with pytest.raises(EnvironmentFailure, match=problem):
        lab.up()
    with Engine() as engine:
        assert not engine.resources(lab.project)


def test_a_program_that_is_not_in_the_image_is_named_with_its_host_in_one_line(tmp_path):
    file = tmp_path / "lab.toml"
    file.write_text('[hosts.web]\nimage = "debian:trixie-slim"\ncommand = ["nosuchprogram"]\n')
    lab = LabProject.of_file(file, f"socketlab-program-{os.getpid()}", environ={})
    with pytest.raises(EnvironmentFailure) as caught:
        lab.up()
    assert str(caught.value) == (
        'web: its container can\'t be started: exec: "nosuchprogram": executable file not found in $PATH'
    )
