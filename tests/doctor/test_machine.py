"""Troubles of the machine: routes, firewalls, the kernel, disks. Each is made in namespaces of its own."""

import os
import subprocess

import pytest

from lab.doctor.checks.kernel import KernelFacts, check_kernel
from lab.doctor.checks.resources import Disk, ResourceFacts, check_resources
from lab.doctor.facts.routes import ipv4_routes, ipv6_routes
from lab.engine.client import Engine
from lab.locale import message
from tests.doctor.machines import doctor

NETWORK = ["--net"]
# The network of the test's machine: with the device and the rules that the engine has made.
BRIDGE = "ip link add docker0 type bridge"
ENGINE = f"{BRIDGE}; iptables -N DOCKER-USER; iptables -A FORWARD -j DOCKER-USER"
NOWHERE = "unix:///nowhere.sock"  # these checks need no engine


@pytest.mark.lab
def test_a_prefix_that_is_also_elsewhere():
    found = doctor(
        before=f"{ENGINE}; ip link set lo up; ip link add d0 type bridge; ip link set d0 up; "
        "ip addr add 172.28.66.7/20 dev d0; ip route add fd28:66::/64 dev d0; ip route add default dev d0",
        unshare=NETWORK,
    )
    assert {each["level"] for each in found["prefixes"]} == {"notice"}
    assert [each["text"].split(" is in use ")[0] for each in found["prefixes"]] == [
        "172.28.66.0/24 (the lab's servers)",
        "fd28:66::/64 (the lab's servers)",
    ]
    assert all("--prefix servers=PREFIX" in each["remedy"] for each in found["prefixes"])
    assert all("through d0" in each["text"] for each in found["prefixes"])


@pytest.mark.lab
@pytest.mark.parametrize(("variant", "engines"), [("nft", "legacy"), ("legacy", "nft")])
def test_a_firewall_that_drops_forwarded_packets(variant, engines):
    """The kernel has two packet filters: the engine's rules are in one, and a packet must pass both."""
    engine = f"{BRIDGE}; iptables-{engines} -N DOCKER-USER; iptables-{engines} -A FORWARD -j DOCKER-USER"
    found = doctor(before=f"{engine}; iptables-{variant} -P FORWARD DROP", unshare=NETWORK)
    dropped = [each for each in found["firewall"] if each["level"] == "trouble"]
    assert [each["text"] for each in dropped] == [
        f"the packet filter drops IPv4 packets between hosts (iptables-{variant} -P FORWARD DROP)"
    ]
    assert f"`sudo iptables-{variant} -P FORWARD ACCEPT`" in dropped[0]["remedy"]
    assert found.exit_code == 3


@pytest.mark.lab
def test_the_policy_that_a_newer_engine_leaves():
    left = "ip6tables -N DOCKER; ip6tables -N DOCKER-FORWARD; ip6tables -A FORWARD -j DOCKER-FORWARD"
    found = doctor(before=f"{ENGINE}; {left}; ip6tables -P FORWARD DROP", unshare=NETWORK)
    trouble = [each for each in found["firewall"] if each["level"] == "trouble"]
    assert len(trouble) == 1
    assert trouble[0]["text"].startswith("a newer engine has left the policy DROP: no IPv6 packets")
    assert "-P FORWARD ACCEPT" in trouble[0]["remedy"]


@pytest.mark.lab
def test_the_remedies_of_a_firewall_work():
    rule = f"{ENGINE}; iptables -A DOCKER-USER -s 192.168.0.0/16 -j DROP"
    broken = f"{rule}; ip6tables -P FORWARD DROP"
    found = doctor(before=broken, unshare=NETWORK)
    commands = [each["remedy"].split("`")[1].removeprefix("sudo ") for each in found["firewall"]]
    assert len(commands) == 1  # clients is in 192.168.0.0/16, servers isn't: the rule drops only some packets
    healed = doctor(before="; ".join([broken, *commands]), unshare=NETWORK)
    assert healed.only("firewall")[0] == "ok"


@pytest.mark.lab
def test_the_rules_of_the_engine_are_gone():
    found = doctor(before=f"{ENGINE}; iptables -F; iptables -X", unshare=NETWORK)
    level, text, remedy = found.only("firewall")
    assert level == "trouble"  # Engine 26 then can't create a network: "Chain 'DOCKER' does not exist"
    assert "another program has removed them" in text
    assert "systemctl restart docker" in remedy


@pytest.mark.lab
def test_an_engine_in_another_network_namespace():
    found = doctor(before="iptables -P FORWARD DROP", unshare=NETWORK)
    level, text, remedy = found.only("firewall")
    assert (level, "another network namespace" in text) == ("notice", True)
    assert "lab doctor --deep" in remedy


@pytest.mark.lab
@pytest.mark.skipif(os.geteuid() != 0, reason="the test gives up root's rights")
def test_only_root_can_read_the_rules():
    group = os.stat("/var/run/docker.sock").st_gid
    found = doctor(as_user=f"--reuid 65534 --regid {group}")
    level, text, remedy = found.only("firewall")
    assert level == "notice"
    assert "only root" in text
    assert "lab doctor --deep" in remedy


def test_a_kernel_whose_ipv6_is_disabled():
    found = doctor(before="sysctl -qw net.ipv6.conf.all.disable_ipv6=1", unshare=NETWORK, DOCKER_HOST=NOWHERE)
    level, text, remedy = found.only("ipv6")
    assert level == "notice"
    assert "disabled" in text
    assert "sysctl -w net.ipv6.conf.all.disable_ipv6=0" in remedy


def test_a_kernel_without_ipv6():
    facts = KernelFacts(ipv6=False)
    (needed,) = check_kernel(facts, needs_ipv6=True)
    (unused,) = check_kernel(facts, needs_ipv6=False)
    assert (needed.level, unused.level) == ("trouble", "notice")
    assert "ipv6 = false" in str(needed.remedy)


def test_the_kernel_has_netem_or_not():
    argv = "unshare --user --map-root-user --net tc qdisc replace dev lo root netem loss 1%"
    has = subprocess.run(argv.split(), capture_output=True).returncode == 0
    level, text, remedy = doctor(DOCKER_HOST=NOWHERE).only("netem")
    assert level == ("ok" if has else "notice")
    assert has or "NFQUEUE" in text


def test_netem_without_tools_is_not_known_or_read_from_the_kernels_configuration(tmp_path):
    hide = "mount -t tmpfs tmpfs /usr/sbin; mount -t tmpfs tmpfs /sbin 2>/dev/null || true"
    found = doctor(before=hide, unshare=["--mount"], DOCKER_HOST=NOWHERE)
    with_tools = doctor(DOCKER_HOST=NOWHERE)
    assert not found["netem"] or found.only("netem") == with_tools.only("netem")


def full(path, size="64k", options="", fill=True):
    """Mounts a small file system there and fills it."""
    words = f"mount -t tmpfs -o size={size}{options} tmpfs {path}"
    return f"{words}; head -c 1M /dev/zero >{path}/filling 2>/dev/null || true" if fill else words


@pytest.mark.lab
def test_the_engines_disk_is_full(engine_root):
    found = doctor(before=full(engine_root), unshare=["--mount"])
    level, text, remedy = found.only("disk")
    assert level == "trouble"
    assert text == f"the disk of {engine_root} (the engine's images and containers) is full: 0 MiB are free"
    assert "docker system prune" in remedy
    assert found.exit_code == 3


@pytest.mark.lab
def test_the_engines_disk_has_little_room(engine_root):
    found = doctor(before=full(engine_root, size="500m", fill=False), unshare=["--mount"])
    level, text, _ = found.only("disk")
    assert level == "notice"
    assert text.startswith("500 MiB are free")


@pytest.fixture
def engine_root():
    with Engine() as engine:
        return engine.info()["DockerRootDir"]


def test_every_disk_of_the_user_is_full(tmp_path):
    fill = full(tmp_path)
    found = doctor(
        before=f"{fill}; cd {tmp_path}", unshare=["--mount"], DOCKER_HOST=NOWHERE, TMPDIR=str(tmp_path)
    )
    assert [each["text"].split(" (")[0] for each in found["disk"]] == [
        "the disk of .",
        f"the disk of {tmp_path}",
    ]
    assert {each["level"] for each in found["disk"]} == {"trouble"}


def test_no_room_for_more_files(tmp_path):
    found = doctor(
        before=full(tmp_path, "2g", ",nr_inodes=20"),
        unshare=["--mount"],
        DOCKER_HOST=NOWHERE,
        TMPDIR=str(tmp_path),
    )
    assert "has no free inodes" in found.only("disk")[1]


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "runs").mkdir()
    before = f"mount --bind {tmp_path} {tmp_path}; mount -o remount,bind,ro {tmp_path}; cd {tmp_path}"
    found = doctor(before=before, unshare=["--mount"], DOCKER_HOST=NOWHERE)
    assert found.only("disk")[1] == "runs (the recorded runs) is not writable"


def test_little_memory_and_few_processes():
    disk = Disk("/tmp", message("temporary files"), message("delete"), free=1 << 40)
    found = [*check_resources(ResourceFacts([disk], memory=100 << 20, processes=12))]
    assert [(each.check, each.level) for each in found] == [
        ("disk", "ok"), ("memory", "notice"), ("processes", "notice"),
    ]  # fmt: skip


def test_routes_are_read_as_the_kernel_writes_them():
    text = (
        "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"
        "eth0\t00000000\t0100A8C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n"
        "wg0\t00421CAC\t00000000\t0001\t0\t0\t0\t00FEFFFF\t0\t0\t0\n"
        "*\t00281CAC\t00000000\t0201\t0\t0\t0\t00FFFFFF\t0\t0\t0\n"
    )
    assert [(str(route.to), route.device) for route in ipv4_routes(text)] == [
        ("0.0.0.0/0", "eth0"),
        ("172.28.66.0/23", "wg0"),
    ]
    zero, own = "0" * 32, "fd280066" + "0" * 23
    line = f"{own}0 40 {zero} 00 {zero} 00000100 00000001 00000000 00000001 "
    assert [(str(r.to), r.device) for r in ipv6_routes(f"{line}    br-1\n{line}       lo\n")] == [
        ("fd28:66::/64", "br-1")
    ]
