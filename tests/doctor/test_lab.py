"""Troubles of one lab: its prefixes, its images, labs left behind, and packets that don't arrive."""

import json
import os
import subprocess
import sys
from contextlib import contextmanager

import pytest

from lab.doctor.checks.images import ImageFacts, check_images
from tests.doctor.machines import doctor

pytestmark = pytest.mark.lab
NAME = f"doctor-{os.getpid()}"


def sh(*argv):
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout.strip()


@contextmanager
def network(subnet):
    """A Docker network that isn't a lab's."""
    sh("docker", "network", "create", "--subnet", subnet, NAME)
    try:
        yield
    finally:
        sh("docker", "network", "rm", NAME)


def test_a_prefix_that_a_docker_network_has():
    with network("10.66.7.0/25"):
        found = doctor("-p", NAME, "--prefix", "servers=10.66.7")
    level, text, remedy = found.only("prefixes")
    assert level == "trouble"
    assert text == f"10.66.7.0/24 (the lab's servers) is in use by the Docker network {NAME} (10.66.7.0/25)"
    assert f"docker network rm {NAME}" in remedy
    assert "--prefix servers=PREFIX" in remedy
    assert found.exit_code == 3
    assert doctor("-p", NAME, "--prefix", "servers=10.66.7").only("prefixes")[0] == "ok"


def test_the_prefixes_of_a_described_lab(tmp_path):
    file = tmp_path / "lab.toml"
    file.write_text(
        '[segments]\nlan = { prefix = "10.66.8.0/24", ipv6 = false }\n[hosts.a]\nsegment = "lan"\n'
    )
    with network("10.66.0.0/16"):
        level, text, _ = doctor("-f", str(file)).only("prefixes")
    assert level == "trouble"
    assert "10.66.8.0/24 (the lab's lan)" in text


def test_a_mistake_in_the_description_is_a_usage_error(tmp_path):
    (tmp_path / "lab.toml").write_text("[segments]\nlan = 1\n")
    argv = [sys.executable, "-m", "lab", "doctor", "-f", str(tmp_path)]
    done = subprocess.run(argv, capture_output=True, text=True)
    assert done.returncode == 2
    assert "lab.toml:2" in done.stderr


def test_an_image_that_no_registry_provides(tmp_path):
    (tmp_path / "lab.toml").write_text(
        '[segments]\nlan = {}\n[hosts.a]\nsegment = "lan"\nimage = "registry.invalid/nosuch:1"\n'
    )
    found = doctor("-f", str(tmp_path))
    level, text, remedy = next(
        (f["level"], f["text"], f["remedy"]) for f in found["images"] if "nosuch" in f["text"]
    )
    assert level == "trouble"
    assert text.startswith("registry.invalid/nosuch:1 isn't on this machine, and no registry provides it (")
    assert "docker load" in remedy


def test_the_images_belong_to_another_version():
    found = doctor(SERVER_BASE="registry.invalid/other-base:1")  # another base: another digest of the images
    assert {each["level"] for each in found["images"]} == {"trouble", "notice"}
    assert any("socketlab/host" in each["text"] and "lab up" in each["remedy"] for each in found["images"])


def test_a_registry_has_the_base_image():
    found = [*check_images(ImageFacts(missing=["socketlab/host"], to_download=["debian:trixie-slim"]))]
    assert [each.level for each in found] == ["notice", "notice"]
    base = ImageFacts(unavailable={"debian:trixie-slim": "no such host"}, default_base="debian:trixie-slim")
    (found,) = check_images(base)
    assert "mmdebstrap" in str(found.remedy)


def test_a_lab_whose_owner_was_killed():
    """The owner has a process ID namespace of its own: no other command removes the lab meanwhile."""
    owner = f"{sys.executable} -c 'from lab.engine.lifecycle.owner import Owner; print(Owner.current())'"
    labels = f"--label com.docker.compose.project={NAME}-left --label socketlab.lab=left"
    create = f"docker network create {labels} --label socketlab.owner=$({owner}) {NAME}-left >/dev/null"
    try:
        found = doctor(before=create, unshare=["--pid", "--fork", "--mount-proc"])
    finally:
        subprocess.run(["docker", "network", "rm", f"{NAME}-left"], capture_output=True)
    level, text, remedy = found.only("leftovers")
    assert level == "notice"
    assert f"{NAME}-left" in text
    assert "lab gc" in remedy


@contextmanager
def rule(*words):
    """A rule of the engine's chain for users, for the test's own prefix only."""
    sh("iptables", "--wait", "-I", *words)
    try:
        yield
    finally:
        sh("iptables", "--wait", "-D", *words)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can change the packet filter")
def test_packets_that_a_firewall_drops():
    """The rule is about some packets only, so the check of the rules doesn't decide."""
    options = ["-p", NAME, "--prefix", "clients=10.66.9", "--deep"]
    with rule("DOCKER-USER", "-s", "10.66.9.0/24", "-p", "icmp", "-j", "DROP"):
        found = doctor(*options)
    assert [each["text"] for each in found["packets"]] == [
        "no answer to an IPv4 packet from client to router on the segment clients",
        "no answer to an IPv4 packet from router to client on the segment clients",
    ]
    assert "iptables-save" in found["packets"][0]["remedy"]
    assert found.exit_code == 3
    assert json.loads(sh("docker", "ps", "--format", "json", "--filter", f"name={NAME}") or "[]") == []
