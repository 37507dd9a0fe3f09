"""docker-compose.yml as parsed here, compared with the project that Compose resolves."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from lab.topology.compose_file import ComposeFile
from lab.topology.prefixes import variable

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def file():
    return ComposeFile.parse((ROOT / "docker-compose.yml").read_text())


@pytest.fixture(scope="module")
def resolved():
    """The project as Compose resolves it, with the defaults of all variables."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("LAB_", "PROFILE"))}
    argv = ["docker", "compose", "config", "--format", "json"]
    done = subprocess.run(argv, cwd=ROOT, env=plain, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_each_network_has_the_prefixes_that_compose_resolves(file, resolved):
    subnets = {
        name: [pool["subnet"] for pool in network["ipam"]["config"]]
        for name, network in resolved["networks"].items()
    }
    expected = {name: [f"{prefix}.0/24"] for name, prefix in file.prefixes.items()}
    for name, prefix in file.prefixes6.items():
        expected[name].append(f"{prefix}::/64")
    assert subnets == expected


def test_the_nodes_are_the_services_with_a_role(file, resolved):
    roles = {name: service["labels"]["socketlab.role"] for name, service in resolved["services"].items()}
    assert sorted(file.nodes) == sorted(name for name, role in roles.items() if role in ("host", "router"))


def test_the_profile_changes_the_image_of_these_services_only(file):
    assert file.profiled == ("server",)


def test_two_different_defaults_are_refused():
    text = "a: ${LAB_NET_PREFIX:-10.0.1}.1\nb: ${LAB_NET_PREFIX:-10.0.2}.1\n"
    with pytest.raises(ValueError, match="LAB_NET_PREFIX has two defaults: 10.0.1 and 10.0.2"):
        ComposeFile.parse(text)


@pytest.mark.parametrize(
    ("network", "ipv6", "name"),
    [("office", False, "LAB_OFFICE_PREFIX"), ("back-end", True, "LAB_BACK_END_PREFIX6")],
)
def test_a_network_s_variable(network, ipv6, name):
    assert variable(network, ipv6=ipv6) == name
