"""Nodes, and the file that describes them."""

from lab.topology.model import Ready
from lab.topology.node import Interface, Node, PortForward, Route, from_file, to_file


def test_a_node_without_names_has_the_name_of_its_service():
    assert Node("web", "host", (), ()).title == "web"


def test_the_title_of_a_node_is_the_last_of_its_names():
    assert Node("router", "router", ("router", "gate"), ()).title == "gate"


def test_a_nodes_addresses_are_in_the_order_of_its_segments():
    office = Interface("office", "192.0.2.1/24", "2001:db8:1::1/64")
    node = Node("router", "router", ("router",), (office, Interface("lab", "198.51.100.1/24")))
    assert node.segments == ("office", "lab")
    assert node.addresses == ("192.0.2.1", "198.51.100.1")
    assert node.addresses6 == ("2001:db8:1::1",)
    assert (node.address, node.address6) == ("192.0.2.1", "2001:db8:1::1")
    assert node.platform == "linux"


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
    assert '    {"to": "default", "via": "192.0.2.1"}]},' in text.splitlines()
    assert server.address6 == "2001:db8::7"
    assert gate.address6 == ""
