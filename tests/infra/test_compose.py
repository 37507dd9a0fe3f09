"""The privileges, limits and labels in docker-compose.yml."""

import json
import os
import subprocess
from typing import Any

import pytest

from .conftest import NODES, ROOT

ALLOWED = {
    "server": {"NET_ADMIN", "NET_RAW", "SETUID", "SETGID"},
    "client": {"NET_ADMIN", "NET_RAW", "SETUID", "SETGID"},
    "router": {"NET_ADMIN", "NET_RAW", "SETUID", "SETGID", "SYS_NICE"},
    "runner": {"CHOWN", "DAC_OVERRIDE", "SETUID", "SETGID", "SETPCAP"},
}


def config(**environment: str) -> dict[str, Any]:
    done = subprocess.run(
        ["docker", "compose", "config", "--format", "json"],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


@pytest.mark.parametrize("service", ALLOWED)
def test_a_service_has_only_the_capabilities_it_needs(service: str) -> None:
    found = config()["services"][service]
    assert found["cap_drop"] == ["ALL"]
    assert set(found["cap_add"]) == ALLOWED[service]
    assert not found.get("privileged")


def test_the_runner_gains_no_privileges() -> None:
    assert config()["services"]["runner"]["security_opt"] == ["no-new-privileges:true"]


@pytest.mark.parametrize("service", ALLOWED)
def test_a_service_has_limits_and_stops_at_once(service: str) -> None:
    found = config()["services"][service]
    assert int(found["mem_limit"]) <= 2**30
    assert found["pids_limit"] <= 4096
    assert found["init"] is True
    assert found["stop_grace_period"] == "1s"


@pytest.mark.parametrize("service", ALLOWED)
def test_a_service_publishes_no_port_and_has_no_docker_socket(service: str) -> None:
    found = config()["services"][service]
    assert "ports" not in found
    assert "container_name" not in found  # two labs would conflict
    assert all("docker.sock" not in str(mount) for mount in found["volumes"])
    writable = {m["target"] for m in found["volumes"] if m["type"] == "bind" and not m.get("read_only")}
    assert writable == ({"/opt/socketlab/runs"} if service == "runner" else set())


def test_everything_that_a_lab_makes_is_labelled() -> None:
    found = config()
    for name, service in found["services"].items():
        assert service["labels"]["socketlab.role"] in ("host", "router", "runner"), name
    for kind in "networks", "volumes":
        for name, made in found[kind].items():
            assert made["labels"] == {"socketlab.lab": "1"}, name


@pytest.mark.parametrize("node", NODES)
def test_labels_list_a_nodes_addresses(node: str) -> None:
    service = config()["services"][node]
    labels = service["labels"]
    segments = labels["socketlab.segment"].split()
    networks = service["networks"]
    assert [networks[s]["ipv4_address"] for s in segments] == labels["socketlab.address"].split()
    assert [networks[s]["ipv6_address"] for s in segments] == labels["socketlab.address6"].split()
    assert labels["socketlab.names"].split()[0] == node
    assert service["environment"]["LAB_NAMES"] == labels["socketlab.names"]


def test_the_runner_gets_the_data_of_the_labels() -> None:
    services = config()["services"]
    told = {node["service"]: node for node in json.loads(services["runner"]["environment"]["LAB_HOSTS"])}
    assert set(told) == set(NODES)
    for name, node in told.items():
        labels = services[name]["labels"]
        assert {f"socketlab.{key}": value for key, value in node.items() if key != "service"} == labels


def test_prefixes_move_the_whole_lab() -> None:
    moved = config(
        LAB_CLIENTS_PREFIX="10.1.1",
        LAB_CLIENTS_PREFIX6="fd01:1",
        LAB_SERVERS_PREFIX="10.1.2",
        LAB_SERVERS_PREFIX6="fd01:2",
        LAB_MGMT_PREFIX="10.1.3",
    )
    text = json.dumps(moved)
    for stays in "192.168.40", "172.28.", "fd28:":
        assert stays not in text


def test_the_profile_changes_the_server_and_its_labels() -> None:
    plain, windows = config()["services"], config(PROFILE="windows")["services"]
    assert windows["server"]["image"] == "socketlab/windows"
    assert windows["server"]["build"]["target"] == "windows"
    assert windows["server"]["labels"]["socketlab.platform"] == "windows"
    for services, platform in (plain, "linux"), (windows, "windows"):
        told = {
            n["service"]: n["platform"] for n in json.loads(services["runner"]["environment"]["LAB_HOSTS"])
        }
        assert told == {"server": platform, "client": "linux", "router": "linux"}
    for service in (plain["server"], windows["server"]):
        for key in "image", "build", "labels":
            del service[key]
    assert windows["server"] == plain["server"]  # the same privileges and limits
    assert windows["client"] == plain["client"]


def test_the_client_can_have_another_base() -> None:
    found = config(CLIENT_BASE="kalilinux/kali-rolling")["services"]
    assert found["client"]["build"]["args"]["BASE"] == "kalilinux/kali-rolling"
    assert found["server"]["build"]["args"]["BASE"] == "debian:trixie-slim"
