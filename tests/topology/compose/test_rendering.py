"""The Compose file of a plan, compared with the project that Compose resolves."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from ipaddress import ip_interface
from pathlib import Path

import pytest

from lab.topology.compose.images import node_images
from lab.topology.compose.rendering import Folders, render, render_with_variables
from lab.topology.description import read
from lab.topology.model import (
    Attachment,
    Forward,
    Host,
    Mount,
    Ready,
    Router,
    Segment,
    Topology,
    Workload,
)
from lab.topology.node import from_file
from lab.topology.plan import plan

ROOT = Path(__file__).parents[3]
FOLDERS = Folders(ROOT / "lab", ROOT / "scenarios", ROOT / "images")

ALICE = Host("alice", (Attachment("home"),), count=2, mounts=(Mount("/srv/my $files", "/src", True),))
NGINX = Workload("nginx:1", ready=Ready("log", 0, "$up"))
WEB = Host("web", (Attachment("dmz"), Attachment("home")), workload=NGINX)
OLD = Host("old", (Attachment("dmz"),), base="kalilinux/kali-rolling", environment={"A": "yes: $b"})
WINDOWS = Host("win", (Attachment("dmz"),), profile="windows")
FORWARD = Forward(8080, "web", 80)
EDGE = Router("edge", (Attachment("home"), Attachment("wan")), nat=("home",), forwards=(FORWARD,))
CORE = Router("core", (Attachment("wan"), Attachment("dmz")))
SEGMENTS = (
    Segment("home", "10.1.1.0/24"),
    Segment("wan", "10.1.2.0/28", ipv6=False, mtu=1400),
    Segment("dmz"),
)
CHAIN = Topology("chain", SEGMENTS, (ALICE, WEB, OLD, WINDOWS), (EDGE, CORE))


def resolved(text, **environment):
    """The project as Compose resolves it."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("LAB_", "PROFILE"))}
    argv = ["docker", "compose", "--project-directory", ROOT, "-f", "-", "config", "--format", "json"]
    done = subprocess.run(
        argv, input=text, env=plain | environment, capture_output=True, text=True, timeout=30
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def check_services(project, planned):
    """Each node is a service with the addresses of the plan, and each segment a network."""
    content = project["configs"]["topology"]["content"].replace("$$", "$")
    assert from_file(content) == list(planned.nodes)
    for node in planned.nodes:
        service = project["services"][node.name]
        assert service["hostname"] == node.title
        assert service["labels"]["socketlab.role"] == node.role
        assert service["configs"][0]["source"] == "topology"
        networks = service["networks"]
        assert list(networks.pop("mgmt") or {}) == []
        expected = {}
        for interface in node.interfaces:
            expected[interface.segment] = {"ipv4_address": str(ip_interface(interface.address).ip)}
            if interface.address6:
                expected[interface.segment]["ipv6_address"] = str(ip_interface(interface.address6).ip)
        assert networks == expected
    subnets = {
        name: [pool["subnet"] for pool in network["ipam"]["config"]]
        for name, network in project["networks"].items()
    }
    assert subnets == {s.name: [str(n) for n in s.networks()] for s in planned.segments} | {
        "mgmt": [str(planned.mgmt)]
    }
    for segment in planned.segments:
        assert project["networks"][segment.name].get("enable_ipv6", False) == bool(segment.prefix6)


@pytest.fixture(scope="module")
def chain():
    planned = plan(CHAIN)
    project = resolved(render(planned, FOLDERS))
    return planned, project


def test_every_node_and_segment_of_the_plan_is_in_the_file(chain):
    planned, project = chain
    check_services(project, planned)
    assert project["name"] == "chain"
    assert "runner" not in project["services"]


def test_a_segment_has_its_mtu_beside_the_usual_options(chain):
    _, project = chain
    usual = project["networks"]["home"]["driver_opts"]
    assert project["networks"]["wan"]["driver_opts"] == usual | {"com.docker.network.driver.mtu": "1400"}


def test_docker_compose_yml_is_the_default_lab():
    planned = plan(read(ROOT / "topologies/default.toml"))
    text = (ROOT / "docker-compose.yml").read_text()
    linux = tuple(replace(node, platform="linux") for node in planned.nodes)
    project = resolved(text)
    check_services(project, replace(planned, nodes=linux))
    assert set(project["services"]) == {*(node.name for node in linux), "runner"}


@pytest.mark.parametrize("owner", ["", "a/b/c/1/d"])
def test_every_container_network_and_volume_has_its_owner(chain, owner):
    planned, _ = chain
    for text in render(planned, FOLDERS), (ROOT / "docker-compose.yml").read_text():
        project = resolved(text, **({"LAB_OWNER": owner} if owner else {}))
        for kind in "services", "networks", "volumes":
            found = {name: each["labels"].get("socketlab.owner") for name, each in project[kind].items()}
            assert found == dict.fromkeys(project[kind], owner)


def test_make_compose_writes_docker_compose_yml(tmp_path):
    made = tmp_path / "docker-compose.yml"
    subprocess.run([sys.executable, ROOT / "scripts/compose.py", made], timeout=30, check=True)
    assert (ROOT / "docker-compose.yml").read_text() == made.read_text()


def test_hosts_have_the_images_of_their_description(chain):
    services = chain[1]["services"]
    assert services["alice-1"]["image"] == services["web"]["image"] == "socketlab/host"
    assert services["alice-1"]["build"]["target"] == services["old"]["build"]["target"] == "host"
    assert services["old"]["image"] == "socketlab/host-kalilinux-kali-rolling"
    assert services["old"]["build"]["args"]["BASE"] == "kalilinux/kali-rolling"
    assert services["win"]["image"] == "socketlab/windows"
    assert services["win"]["build"]["target"] == "windows"
    assert services["edge"]["image"] == "socketlab/router"


def test_a_plain_host_has_its_mounts_and_environment(chain):
    services = chain[1]["services"]
    mount = next(each for each in services["alice-2"]["volumes"] if each["target"] == "/src")
    assert (mount["source"], mount["read_only"]) == ("/srv/my $$files", True)
    assert services["old"]["environment"] == {"A": "yes: $$b"}
    targets = {each["target"] for each in services["alice-2"]["volumes"]}
    assert targets == {"/etc/socketlab/keys", "/opt/socketlab/lab", "/opt/socketlab/scenarios", "/src"}


def test_the_small_disk_of_a_host_with_a_workload_is_a_volume_that_both_have(chain):
    project = chain[1]
    for name in "web", "web-workload":
        small = [each for each in project["services"][name]["volumes"] if each["target"] == "/mnt/small"]
        assert [each["source"] for each in small] == ["web-small"]
    assert not project["services"]["web"].get("tmpfs")
    assert project["services"]["old"]["tmpfs"] == ["/mnt/small:size=8m"]
    assert project["services"]["web-workload"]["network_mode"] == "service:web"
    assert project["volumes"]["web-small"]["driver_opts"]["o"] == "size=8m,mode=1777"


def test_only_a_router_that_translates_has_the_settings_of_connection_tracking(chain):
    services = chain[1]["services"]
    tracking = {name for name in services if any("conntrack" in s for s in services[name].get("sysctls", {}))}
    assert tracking == {"edge"}
    assert services["edge"]["sysctls"]["net.ipv4.ip_forward"] == "1"


def test_the_nodes_of_a_large_lab_are_checked_less_often_while_they_start():
    def start_interval(count):
        project = resolved(render(plan(replace(CHAIN, hosts=(replace(ALICE, count=count), WEB))), FOLDERS))
        return project["services"]["edge"]["healthcheck"]["start_interval"]

    assert start_interval(2) == "150ms"
    assert start_interval(47) == "1s"


def test_a_container_is_replaced_if_another_node_changes():
    def version(topology):
        project = resolved(render(plan(topology), FOLDERS))
        services = project["services"].values()
        return {each["labels"].get("socketlab.topology") for each in services} - {None}

    before, after = version(CHAIN), version(replace(CHAIN, hosts=CHAIN.hosts[:-1]))
    assert len(before) == len(after) == 1
    assert before != after


def test_a_path_with_special_characters_is_quoted():
    folder = Path("/a #b/$c")
    project = resolved(render(plan(CHAIN), Folders(folder / "lab", folder / "scenarios", folder / "images")))
    sources = {each["source"] for each in project["services"]["edge"]["volumes"]}
    assert "/a #b/$$c/lab" in sources


def test_a_prefix_that_no_variable_can_replace_is_refused():
    with pytest.raises(ValueError, match="wan: 10.1.2.0/28 has no prefix that a variable can replace"):
        render_with_variables(plan(CHAIN), "")


@pytest.mark.parametrize("profile", ["", "windows"])
def test_the_images_of_the_nodes_are_those_of_the_compose_file(profile):
    topology = read(ROOT / "topologies/default.toml")
    for planned in (plan(CHAIN), plan(topology)):
        project = resolved(render(planned, FOLDERS), PROFILE=profile, SERVER_BASE="other:1")
        images = node_images(planned, {"PROFILE": profile, "SERVER_BASE": "other:1"})
        expected = {
            service["image"]: service["build"]["args"]["BASE"]
            for service in project["services"].values()
            if "build" in service
        }
        assert {image.name: image.base for image in images} == expected
        assert all(project["services"][image.service]["image"] == image.name for image in images)
