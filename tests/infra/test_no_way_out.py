"""No packet leaves the lab: to the internet, to a resolver or to the machine that runs it."""

import json
import socket
import subprocess
from collections.abc import Iterator

import pytest

from .conftest import HOSTS, NODES, ComposeLab

pytestmark = pytest.mark.lab

# Tries all the addresses at once and prints each result.
CONNECT = """python3 - <<'END'
import concurrent.futures, socket
def attempt(address):
    try:
        socket.create_connection((address, {port}), timeout=2).close()
        return "connected"
    except OSError as error:
        return f"{{type(error).__name__}} {{error}}"
addresses = {addresses}
with concurrent.futures.ThreadPoolExecutor(64) as pool:
    for address, result in zip(addresses, pool.map(attempt, addresses)):
        print(address, result)
END"""


@pytest.fixture
def machine_port() -> Iterator[int]:
    """A port on which this machine answers, on all of its addresses."""
    with socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True) as listener:
        port = listener.getsockname()[1]
        for address in "127.0.0.1", "::1":
            socket.create_connection((address, port), timeout=5).close()  # the listener does answer
        yield port


def machine_addresses() -> set[str]:
    shown = subprocess.run(["ip", "-j", "addr"], capture_output=True, text=True, timeout=10, check=True)
    found = {a["local"] for link in json.loads(shown.stdout) for a in link["addr_info"]}
    return found - {"127.0.0.1", "::1"}


def connect(lab: ComposeLab, node: str, addresses: set[str], port: int) -> dict[str, str]:
    out = lab.ask(node, CONNECT.format(addresses=sorted(addresses), port=port))
    results = dict(line.split(" ", 1) for line in out.splitlines())
    assert set(results) == addresses
    return results


@pytest.mark.parametrize("node", NODES)
def test_the_internet_is_unreachable(lab: ComposeLab, node: str) -> None:
    results = connect(lab, node, {"192.0.2.1", "198.51.100.53", "2001:db8::1"}, 53)
    for address, result in results.items():
        assert "unreachable" in result, address


@pytest.mark.parametrize("node", NODES)
def test_the_machine_is_unreachable(lab: ComposeLab, node: str, machine_port: int) -> None:
    interfaces = lab.ask(node, "ls /sys/class/net").split()
    targets = set()
    for address in machine_addresses() | bridge_addresses(lab):
        # A link-local address is an address only together with an interface.
        local = address.startswith("fe80:")
        targets |= {f"{address}%{i}" for i in interfaces if i != "lo"} if local else {address}
    for target, result in connect(lab, node, targets, machine_port).items():
        assert result != "connected", target


def bridge_addresses(lab: ComposeLab) -> set[str]:
    e = lab.environment
    v4 = {f"{e[key]}.1" for key in ("LAB_CLIENTS_PREFIX", "LAB_SERVERS_PREFIX", "LAB_MGMT_PREFIX")}
    return v4 | {f"{e[key]}::1" for key in ("LAB_CLIENTS_PREFIX6", "LAB_SERVERS_PREFIX6")}


@pytest.mark.parametrize("node", NODES)
@pytest.mark.parametrize("name", ["example.org", "nowhere"])
def test_an_unknown_name_fails_at_once(lab: ComposeLab, node: str, name: str) -> None:
    done = lab.run(node, f"timeout 1 getent ahosts {name}")
    assert done.returncode == 2, done.stdout  # not found, and not 124 (timeout)


@pytest.mark.parametrize("node", NODES)
def test_the_routers_are_the_only_routes(lab: ComposeLab, node: str) -> None:
    for family in "-4", "-6":
        default = lab.ask(node, f"ip {family} route show default")
        assert (default.count("via") == 1) if node in HOSTS else (default == ""), default
