"""Nodes as described by the labels of Compose services."""

import pytest

from lab.topology.model import Ready
from lab.topology.node import Interface, Node, PortForward, Route, from_file, to_file

LABELS = {
    "role": "router",
    "names": "router gate",
    "segment": "office lab",
    "address": "192.0.2.1 198.51.100.1",
    "address6": "2001:db8:1::1 2001:db8:2::1",
}


@pytest.mark.parametrize("prefix", ["", "socketlab."])
def test_a_node_is_read_from_labels(prefix):
    node = Node.from_labels("router", {prefix + key: value for key, value in LABELS.items()}, prefix)
    assert (node.name, node.role, node.platform) == ("router", "router", "linux")
    assert (node.names, node.segments) == (("router", "gate"), ("office", "lab"))
    assert (node.address, node.address6) == ("192.0.2.1", "2001:db8:1::1")
    assert node.title == "gate"


def test_a_node_without_names_has_the_name_of_its_service():
    assert Node.from_labels("web", {"role": "host"}).title == "web"


def test_a_service_without_a_role_is_not_a_node():
    with pytest.raises(KeyError, match="role"):
        Node.from_labels("web", {"names": "web"})


def test_the_file_of_nodes_is_read_back_as_it_was_written():
    server = Node(
        "web-1",
        "host",
        ("web-1", "www"),
        (Interface("dmz", "192.0.2.7/24", "2001:db8::7/64"), Interface("office", "198.51.100.7/24")),
        routes=(Route("default", "192.0.2.1"),),
        workload="web-1-workload",
        ready=Ready("http", 80, "/health"),
    )
    gate = Node(
        "gate",
        "router",
        ("gate",),
        (Interface("dmz", "192.0.2.1/24"),),
        nat=("dmz",),
        forwards=(PortForward(8080, 80, "192.0.2.7"),),
    )
    text = to_file([server, gate])
    assert from_file(text) == [server, gate]
    assert len(text.splitlines()) == 4  # one line for each node
    assert server.address6 == "2001:db8::7"
    assert gate.address6 == ""
