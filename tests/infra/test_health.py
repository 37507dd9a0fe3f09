"""A node is healthy only while its addresses and routes work."""

import pytest

from .conftest import HOSTS, NODES, ComposeLab

pytestmark = pytest.mark.lab
HEALTH = "/usr/lib/socketlab/health"


def as_root(lab: ComposeLab, node: str, script: str) -> None:
    done = lab.compose("exec", "-T", "--user", "root", node, "sh", "-c", script)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("node", NODES)
def test_a_node_that_is_up_is_healthy(lab: ComposeLab, node: str) -> None:
    lab.ask(node, HEALTH)


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("family", ["-4", "-6"])
def test_a_host_without_its_route_is_unhealthy(lab: ComposeLab, host: str, family: str) -> None:
    route = " ".join(lab.ask(host, f"ip {family} route show default").split()[:3])
    assert route.startswith("default via ")
    try:
        as_root(lab, host, f"ip {family} route del default")
        done = lab.run(host, HEALTH)
        assert done.returncode == 1
        assert f"no route {route}" in done.stdout
    finally:
        lab.ask(host, "sudo -n /usr/lib/socketlab/boot")
    lab.ask(host, HEALTH)


def test_a_router_that_lost_an_address_is_unhealthy(lab: ComposeLab) -> None:
    address = f"{lab.environment['LAB_SERVERS_PREFIX']}.2"
    device = lab.ask("router", f"ip -o addr show to {address}").split()[1]
    try:
        as_root(lab, "router", f"ip addr del {address}/24 dev {device}")
        done = lab.run("router", HEALTH)
        assert done.returncode == 1
        assert f"no interface has {address}" in done.stdout
    finally:
        as_root(lab, "router", f"ip addr add {address}/24 dev {device}")
    lab.ask("router", HEALTH)


def test_a_host_whose_address_is_still_tentative_is_unhealthy(lab: ComposeLab) -> None:
    device = lab.ask("client", "ip -4 route show default").split()[4]
    address = f"{lab.environment['LAB_CLIENTS_PREFIX6']}::ffff/64"
    try:
        # The kernel looks for a duplicate for about a second, and a check takes a twentieth of that.
        as_root(lab, "client", f"ip -6 addr add {address} dev {device}; {HEALTH} | grep -q tentative")
    finally:
        as_root(lab, "client", f"ip -6 addr del {address} dev {device}")
    lab.ask("client", HEALTH)
