"""This node in topology.json, and its interfaces in the kernel. Shared by boot and cable.

Docker assigns the names of interfaces in any order, so an interface is found by its address. An interface
without an address of this node is `mgmt`, which the controller uses.
"""

import ipaddress
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

TOPOLOGY = Path("/usr/lib/socketlab/topology.json")  # only root can write it


def run(*argv: str, stdin: str | None = None) -> str:
    """The command's standard output. If it fails, the program exits with its error message."""
    done = subprocess.run(argv, input=stdin, capture_output=True, text=True, timeout=10)
    if done.returncode != 0:
        fail(f"{' '.join(argv)}: {done.stderr.strip() or done.returncode}")
    return done.stdout


def fail(text: str) -> None:
    """Exits with one line on stderr."""
    sys.exit(f"{os.path.basename(sys.argv[0])}: {text}")


def all_nodes() -> list[dict]:
    """The nodes of the lab (lab/topology/node.py defines their fields)."""
    return json.loads(TOPOLOGY.read_text())["nodes"]


def this_node(nodes: list[dict]) -> dict:
    """The node that this container is. Exits if there is none."""
    hostname = socket.gethostname()
    for node in nodes:
        if node["names"][-1] == hostname:
            return node
    fail(f"{TOPOLOGY} has no node {hostname!r}")


def addresses(node: dict) -> Iterator[tuple]:
    """The addresses of a node with their prefix lengths, each with the name of its segment."""
    for interface in node["interfaces"]:
        for key in "address", "address6":
            if key in interface:
                yield interface["segment"], ipaddress.ip_interface(interface[key])


def routes(node: dict) -> list[tuple]:
    """The routes of a node, as (to, via, name of the segment that the router is on)."""
    found = []
    for route in node.get("routes", []):
        via = ipaddress.ip_address(route["via"])
        found += [(route["to"], via, segment) for segment, own in addresses(node) if via in own.network]
    return found


def segment_devices(node: dict) -> dict[str, str]:
    """The name of the interface on each segment. Exits if one is missing."""
    owners = {}
    for link in json.loads(run("ip", "-j", "addr", "show")):
        for address in link["addr_info"]:
            owners[ipaddress.ip_address(address["local"])] = link["ifname"]
    found = {}
    for segment, own in addresses(node):
        if own.version == 4 and own.ip not in owners:
            fail(f"no interface has {own.ip}")
        found.setdefault(segment, owners.get(own.ip))
    return found
