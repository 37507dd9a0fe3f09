"""The privileges, limits and labels in docker-compose.yml."""

import json
import os
import subprocess
from ipaddress import ip_interface
from typing import Any

import pytest

from lab.topology.node import FILE, Node, from_file

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
            assert made["labels"] == {"socketlab.lab": "socketlab", "socketlab.owner": ""}, name


def nodes(project: dict[str, Any]) -> dict[str, Node]:
    return {node.name: node for node in from_file(project["configs"]["topology"]["content"])}


@pytest.mark.parametrize("node", NODES)
def test_the_description_of_a_node_is_that_of_its_service(node: str) -> None:
    found = config()
    described, service = nodes(found)[node], found["services"][node]
    assert described.name == node
    assert described.names[0] == node
    assert described.title == service["hostname"]
    assert described.role == service["labels"]["socketlab.role"]
    networks = service["networks"]
    assert set(networks) == {*described.segments, "mgmt"}
    for interface in described.interfaces:
        pools = found["networks"][interface.segment]["ipam"]["config"]
        for address, key, pool in zip(
            (interface.address, interface.address6), ("ipv4_address", "ipv6_address"), pools, strict=True
        ):
            assert str(ip_interface(address).ip) == networks[interface.segment][key]
            assert str(ip_interface(address).network) == pool["subnet"]


@pytest.mark.parametrize("service", ALLOWED)
def test_every_container_has_the_description(service: str) -> None:
    found = config()
    assert set(nodes(found)) == set(NODES)
    assert found["services"][service]["configs"] == [{"source": "topology", "target": FILE}]


def test_every_container_is_replaced_if_the_description_changes() -> None:
    plain = config()
    versions = {service["labels"]["socketlab.topology"] for service in plain["services"].values()}
    assert len(versions) == 1
    for change in {"LAB_SERVERS_PREFIX": "10.1.2"}, {"LAB_CLIENTS_PREFIX6": "fd01:1"}, {"PROFILE": "windows"}:
        changed = config(**change)
        assert nodes(changed) != nodes(plain)
        for service in changed["services"].values():
            assert service["labels"]["socketlab.topology"] not in versions


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


def test_the_profile_changes_the_server_only() -> None:
    plain, windows = config(), config(PROFILE="windows")
    for found, platform in (plain, "linux"), (windows, "windows"):
        assert {name: node.platform for name, node in nodes(found).items()} == {
            "server": platform,
            "client": "linux",
            "router": "linux",
        }
    assert windows["services"]["server"]["image"] == "socketlab/windows"
    assert windows["services"]["server"]["build"]["target"] == "windows"
    for found in plain, windows:
        for key in "image", "build":
            del found["services"]["server"][key]
        for service in found["services"].values():
            del service["labels"]["socketlab.topology"]
    assert windows["services"] == plain["services"]  # the same privileges and limits


def test_the_client_can_have_another_base() -> None:
    found = config(CLIENT_BASE="kalilinux/kali-rolling")["services"]
    assert found["client"]["build"]["args"]["BASE"] == "kalilinux/kali-rolling"
    assert found["server"]["build"]["args"]["BASE"] == "debian:trixie-slim"
