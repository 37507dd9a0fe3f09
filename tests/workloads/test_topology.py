"""`lab topology` shows a user's container that has ended."""

import json
import time

import pytest
from typer.testing import CliRunner

from lab.cli.app import app
from tests.workloads.conftest import IMAGES, PACKAGED

pytestmark = [pytest.mark.lab, pytest.mark.xdist_group("workloads")]
TIMEOUT = 10.0  # seconds for a container to end


@pytest.fixture
def states(packaged, pages, tmp_path):
    """A function that returns the state of each node."""
    file = tmp_path / "lab.toml"
    file.write_text(PACKAGED.format(images=IMAGES, pages=pages))

    def shown():
        result = CliRunner().invoke(app, ["topology", "-f", str(file), "-p", packaged, "--json"])
        return {node["name"]: node["state"] for node in json.loads(result.stdout)["nodes"]}

    return shown


def test_a_host_whose_container_has_ended_is_not_healthy(servers, states):
    assert states()["mortal"] == "healthy"
    servers.alice.run("nc mortal 7000", check=True)
    deadline = time.monotonic() + TIMEOUT
    while servers.mortal.workload.state().running:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    try:
        found = states()
        assert found.pop("mortal") == "container exited"
        assert "container exited" not in found.values()
    finally:
        servers.mortal.reboot()
    assert states()["mortal"] == "healthy"
