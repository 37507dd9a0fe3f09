"""Containers of the tests' own, beside the session's lab."""

import subprocess
from contextlib import ExitStack, closing
from pathlib import Path

import docker
import pytest

from lab.engine.client import Engine, sdk_call
from lab.engine.workloads.workload import EngineWorkload

IMAGES = Path(__file__).parents[2] / "images"


def built(name):
    """Builds the image in tests/images/NAME, from the engine's cache if nothing has changed."""
    tag = f"socketlab-test/{name}"
    subprocess.run(
        ["docker", "build", "--quiet", "--tag", tag, str(IMAGES / name)],
        check=True,
        capture_output=True,
        timeout=300,
    )
    return tag


@pytest.fixture(scope="session")
def scratch_image():
    """One program, no shell, no Python, no root user."""
    return built("scratch")


@pytest.fixture
def start(lab_topology):
    """Starts containers without a network; they are removed at the end."""
    with closing(docker.from_env()) as client, Engine() as engine, ExitStack() as stack:
        node = engine.nodes(lab_topology.project)[0]

        def start_container(image, *argv, **options):
            labels = {
                "socketlab.host": "web",
                "com.docker.compose.service": "web-workload",
                "com.docker.compose.project": lab_topology.project,
            }
            container = client.containers.create(
                image, list(argv) or None, network_mode="none", labels=labels, **options
            )
            stack.callback(container.remove, force=True)
            sdk_call(container.start)
            container.reload()
            return EngineWorkload(container, node)

        yield start_container
