"""The interfaces that a run captures, and the packets of each."""

from types import SimpleNamespace

import pytest

from lab.control.collection.capture_plan import between_neighbours, capture_names
from lab.topology.node import Interface, Node


def nodes(**segments):
    """Nodes by their names, with a role and interfaces."""
    return [
        SimpleNamespace(
            title=name,
            node=Node(name, role, (name,), tuple(Interface(s, f"10.0.{n}.9/24") for n, s in enumerate(on))),
        )
        for name, (role, *on) in segments.items()
    ]


@pytest.mark.parametrize(
    ("hosts", "expected"),
    [
        ({"a": ["host", "x"], "r": ["router", "x", "y"], "b": ["host", "y"]}, ["x", "y"]),
        ({"r": ["router", "x", "y"], "s": ["router", "y", "z"]}, ["x", "y", "y@s", "z"]),
        ({"a": ["host", "x"], "b": ["host", "x"], "r": ["router", "x", "y"]}, ["x", "y", "x@a", "x@b"]),
        ({"a": ["host", "x", "z"], "b": ["host", "z"], "r": ["router", "x"]}, ["x", "z@a", "z@b"]),
        ({"a": ["host", "x"], "b": ["host", "x"]}, ["x", "x@b"]),
        ({f"h{n}": ["host", "x"] for n in range(9)} | {"r": ["router", "x"]}, ["x"]),
    ],
)
def test_the_interfaces_that_are_captured(hosts, expected):
    assert list(capture_names(nodes(**hosts))) == expected


def test_a_host_captures_only_the_packets_to_its_neighbours():
    interface = Interface("x", "10.0.1.5/24", "fd28:1::5/64")
    routers = [Node("r", "router", ("r",), (Interface("x", "10.0.1.2/24", "fd28:1::2/64"),))]
    assert between_neighbours(interface, routers) == (
        "((src net 10.0.1.0/24 and dst net 10.0.1.0/24) or (src net fd28:1::/64 and dst net fd28:1::/64))"
        " and not host 10.0.1.2 and not host fd28:1::2 and not ether multicast"
    )
