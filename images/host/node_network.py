"""This node's interfaces and neighbours, from the kernel and /etc/hosts. Shared by boot and cable.

An interface belongs to a segment if /etc/hosts has another node in its network; any other interface is
`mgmt`, which the controller uses. Docker assigns the names of interfaces in any order, so they mean nothing.
"""

import ipaddress
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

HOSTS = Path("/etc/hosts")


def run(*argv: str, stdin: str | None = None) -> str:
    """The command's standard output. If it fails, the program exits with its error message."""
    done = subprocess.run(argv, input=stdin, capture_output=True, text=True, timeout=10)
    if done.returncode != 0:
        fail(f"{' '.join(argv)}: {done.stderr.strip() or done.returncode}")
    return done.stdout


def fail(text: str) -> None:
    """Exits with one line on stderr."""
    sys.exit(f"{os.path.basename(sys.argv[0])}: {text}")


def interface_networks(*, include_down: bool) -> dict[str, list]:
    """The global addresses of each interface, with their networks."""
    return {
        link["ifname"]: [
            ipaddress.ip_interface(f"{address['local']}/{address['prefixlen']}")
            for address in link["addr_info"]
            if address.get("scope") == "global"
        ]
        for link in json.loads(run("ip", "-j", "addr", "show"))
        if link["ifname"] != "lo" and (include_down or link["operstate"] != "DOWN")
    }


def peer_names() -> list[tuple]:
    """The (address, names) of the other nodes. This node's own lines are skipped: Docker adds mgmt."""
    lines = [line.split() for line in HOSTS.read_text().splitlines() if not line.startswith("#")]
    me = socket.gethostname()
    return [(ipaddress.ip_address(w[0]), w[1:]) for w in lines if len(w) > 1 and me not in w[1:]]


def segment_interfaces(networks: dict, peers: list) -> list[str]:
    """The names of the interfaces on segments. Exits if there are none."""
    found = [
        name
        for name, interfaces in networks.items()
        if any(address in interface.network for address, _ in peers for interface in interfaces)
    ]
    if not found:
        fail("/etc/hosts names no other node in any of this node's networks")
    return found
