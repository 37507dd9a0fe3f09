"""Plans: prefixes, addresses, names and routes of a described lab."""

import re
from ipaddress import ip_network

import pytest

from lab.topology.model import Attachment, Forward, Host, Ready, Router, Segment, Topology, Workload
from lab.topology.node import PortForward, Route
from lab.topology.plan import TopologyError, plan

OFFICE = Segment("office", "10.10.1.0/24", "fd10:1::/64")
SERVERS = Segment("servers", "10.10.2.0/24", "fd10:2::/64")
CORE = Segment("core", "10.10.3.0/24", ipv6=False)


def on(*segments):
    return tuple(Attachment(segment) for segment in segments)


def nodes(topology, **options):
    return {node.name: node for node in plan(topology, **options).nodes}


def test_one_router_joins_all_segments_of_a_lab_without_routers():
    found = nodes(
        Topology("shop", (OFFICE, SERVERS), (Host("alice", on("office")), Host("web", on("servers"))))
    )
    assert list(found) == ["alice", "web", "router"]
    assert (found["alice"].address, found["alice"].address6) == ("10.10.1.10", "fd10:1::10")
    assert found["router"].addresses == ("10.10.1.2", "10.10.2.2")
    assert found["alice"].routes == (Route("default", "10.10.1.2"), Route("default", "fd10:1::2"))
    assert found["router"].routes == ()


def test_a_lab_of_one_segment_has_no_router():
    found = nodes(Topology("shop", (OFFICE,), (Host("alice", on("office")), Host("bob", on("office")))))
    assert list(found) == ["alice", "bob"]
    assert found["bob"].routes == ()
    assert found["bob"].address == "10.10.1.11"


def test_each_host_without_a_segment_gets_its_own():
    found = plan(Topology("star", hosts=(Host("node", count=3, aliases=("peer",)), Host("web"))))
    assert [segment.name for segment in found.segments] == ["node-1", "node-2", "node-3", "web"]
    assert [node.names for node in found.nodes][0] == ("node-1", "peer-1")
    assert found.nodes[-1].segments == ("node-1", "node-2", "node-3", "web")
    assert found.hosts["node-2"].name == "node"


def test_given_addresses_are_kept_and_avoided():
    given = Attachment("office", "10.10.1.10", "fd10:1::11")
    hosts = (Host("alice", on("office")), Host("bob", (given,)))
    found = nodes(Topology("shop", (OFFICE,), hosts))
    assert (found["bob"].address, found["bob"].address6) == ("10.10.1.10", "fd10:1::11")
    assert (found["alice"].address, found["alice"].address6) == ("10.10.1.11", "fd10:1::12")


def test_an_address_keeps_its_host_number_if_the_prefix_is_replaced():
    given = Attachment("office", "10.10.1.163")
    other = {"office": [ip_network("192.168.7.0/24"), ip_network("fd99::/64")]}
    found = nodes(Topology("shop", (OFFICE,), (Host("bob", (given,)),)), prefixes=other)
    assert (found["bob"].address, found["bob"].address6) == ("192.168.7.163", "fd99::163")


@pytest.mark.parametrize(("length", "fit"), [(29, 5), (28, 13), (27, 29)])
def test_a_segment_holds_as_many_hosts_as_its_prefix_has_addresses(length, fit):
    small = Segment("office", f"10.10.1.0/{length}", ipv6=False)
    found = plan(Topology("shop", (small,), (Host("h", on("office"), count=fit),)))
    assert len({node.address for node in found.nodes}) == fit
    with pytest.raises(
        TopologyError, match=rf"segments.office.prefix: 10.10.1.0/{length} is too small for its"
    ):
        plan(Topology("shop", (small,), (Host("h", on("office"), count=fit + 1),)))


def test_free_prefixes_avoid_those_that_are_taken():
    topology = Topology("shop", hosts=(Host("alice"), Host("bob")))
    first = plan(topology, seed="one").networks()
    second = plan(topology, taken=first, seed="one").networks()
    assert len(first) == len(second) == 5
    assert not any(one.overlaps(other) for one in first for other in second if one.version == other.version)
    assert plan(topology, seed="two").networks() != first


def test_a_free_pair_of_prefixes_has_the_same_number():
    (office,) = plan(Topology("shop", (Segment("office"),), (Host("alice", on("office")),))).segments
    assert (str(office.prefix), str(office.prefix6)) == ("172.28.1.0/24", "fd28:1::/64")
    taken = [ip_network("172.28.0.0/17")]
    (office,) = plan(
        Topology("shop", (Segment("office"),), (Host("alice", on("office")),)), taken=taken
    ).segments
    assert (str(office.prefix), str(office.prefix6)) == ("172.28.128.0/24", "fd28:128::/64")


def test_an_engine_without_a_free_prefix_is_reported():
    taken = [ip_network("172.28.0.0/16"), ip_network("10.0.0.0/8")]
    with pytest.raises(TopologyError, match="segments.alice: there is no free prefix left for it; remove"):
        plan(Topology("shop", hosts=(Host("alice"), Host("bob"))), taken=taken)


ROW = (
    (Host("alice", on("office")), Host("web", on("servers"))),
    (Router("east", on("office", "core")), Router("west", on("core", "servers"))),
)


def test_two_routers_in_a_row_have_routes_to_both_ends():
    found = nodes(Topology("row", (OFFICE, SERVERS, CORE), *ROW))
    assert found["alice"].routes == (Route("default", "10.10.1.2"),)  # there is no IPv6 in the middle
    assert found["east"].routes == (Route("10.10.2.0/24", "10.10.3.3"),)
    assert found["west"].routes == (Route("10.10.1.0/24", "10.10.3.2"),)


def test_a_host_on_two_segments_has_a_route_for_each_router():
    hosts = (Host("alice", on("office", "core")), Host("web", on("servers")), Host("db", on("den")))
    routers = (Router("b", on("office", "servers")), Router("a", on("core", "den")))
    segments = (OFFICE, SERVERS, CORE, Segment("den", "10.10.9.0/24", ipv6=False))
    joined = (*routers, Router("c", on("servers", "den")))
    found = nodes(Topology("multi", segments, hosts, joined))
    assert found["alice"].routes[:2] == (Route("default", "10.10.3.2"), Route("10.10.2.0/24", "10.10.1.2"))
    assert found["alice"].segments == ("office", "core")


def test_an_override_replaces_the_shortest_path():
    routers = (
        Router("a", on("office", "core", "servers"), routes={}),
        Router("b", on("core", "den"), routes={"office": "c"}),
        Router("c", on("core", "office")),
    )
    hosts = (Host("alice", on("office")), Host("db", on("den")))
    found = nodes(Topology("multi", (OFFICE, SERVERS, CORE, Segment("den", ipv6=False)), hosts, routers))
    assert Route("10.10.1.0/24", "10.10.3.4") in found["b"].routes


def test_there_is_no_route_into_segments_behind_address_translation():
    forward = Forward(8080, "alice", 80)
    routers = (Router("gate", on("office", "servers"), nat=("office",), forwards=(forward,)),)
    hosts = (Host("alice", on("office")), Host("web", on("servers")))
    found = nodes(Topology("home", (OFFICE, SERVERS), hosts, routers))
    assert found["web"].routes == ()
    assert found["alice"].routes[0] == Route("default", "10.10.1.2")
    assert found["gate"].nat == ("office",)
    assert found["gate"].forwards == (PortForward(8080, 80, "10.10.1.10", "fd10:1::10"),)


def test_a_workload_is_a_service_of_its_own():
    ready = Ready("tcp", 80)
    host = Host("web", on("office"), workload=Workload(image="nginx", ready=ready), profile="$PROFILE")
    (node,) = plan(Topology("shop", (OFFICE,), (host,))).nodes
    assert (node.workload, node.ready, node.platform) == ("web-workload", ready, "${PROFILE:-linux}")


@pytest.mark.parametrize(
    ("name", "prefix", "text"),
    [
        ("offce", "10.9.0.0/24", "segments.offce: there is no segment 'offce'; did you mean 'office'?"),
        ("office", "10.10.2.0/23", "segments.servers: 10.10.2.0/24 overlaps 10.10.2.0/23 of office; choose"),
        ("mgmt", "10.10.0.0/16", "10.10.0.0/16 overlaps 10.10.1.0/24 of office; choose another prefix"),
        (
            "office",
            "10.9.0.0/25",
            "segments.office: 10.9.0.0/25 is too small for its nodes; give it a larger",
        ),
    ],
)
def test_a_replaced_prefix_must_fit(name, prefix, text):
    hosts = (Host("bob", (Attachment("office", "10.10.1.163"),)), Host("web", on("servers")))
    with pytest.raises(TopologyError, match=re.escape(text)):
        plan(Topology("shop", (OFFICE, SERVERS), hosts), prefixes={name: [ip_network(prefix)]})


def test_the_prefix_of_mgmt_is_free_given_or_replaced():
    hosts = (Host("alice"), Host("bob"))
    assert plan(Topology("shop", hosts=hosts, mgmt="10.9.0.0/24")).mgmt == ip_network("10.9.0.0/24")
    other = {"mgmt": [ip_network("10.8.0.0/24")]}
    assert plan(Topology("shop", hosts=hosts, mgmt="10.9.0.0/24"), prefixes=other).mgmt == other["mgmt"][0]
    free = plan(Topology("shop", hosts=hosts))
    assert not any(free.mgmt.overlaps(segment.prefix) for segment in free.segments)


def test_a_topology_with_mistakes_has_no_plan():
    with pytest.raises(TopologyError) as raised:
        plan(Topology("shop", hosts=(Host("Alice"), Host("bob", on("office")))))
    assert raised.value.exit_code == 2
    assert [mistake.where for mistake in raised.value.mistakes] == ["hosts.Alice", "hosts.bob.segment"]
    assert raised.value.where == "hosts.Alice"
    assert str(raised.value.problem) == "'Alice' is not a host name"
    assert str(raised.value.remedy).startswith("use at most 63 lowercase letters")


def names_with(*hosts):
    topology = Topology("shop", hosts=(*hosts, Host("client")), compose="/x/docker-compose.yml")
    return {node.name: node.names for node in plan(topology).nodes}


def service(name):
    return Workload(service=name)


def test_a_service_of_another_name_is_a_further_name_of_its_host():
    hosts = (Host("db", workload=service("postgres")), Host("web", aliases=("www",), workload=service("app")))
    found = names_with(*hosts)
    assert found["db"] == ("postgres", "db")  # the last one is the hostname
    assert found["web"] == ("app", "web", "www")


@pytest.mark.parametrize(
    "hosts",
    [
        (Host("a", workload=service("a")),),
        (Host("a", workload=service("my_service")),),  # no host name
        (Host("a", workload=service("client")),),  # another host
        (Host("a", workload=service("b")), Host("b", workload=service("a"))),
        (Host("a", workload=service("x")), Host("b", workload=service("x"))),  # not one host
        (Host("a", workload=service("router")),),
        (Host("a", workload=service("runner")),),
    ],
)
def test_a_service_name_that_is_taken_or_isn_t_a_host_name_is_not_added(hosts):
    found = names_with(*hosts)
    assert all(found[host.name] == (host.name,) for host in hosts)


def test_several_hosts_of_a_service_don_t_get_its_name():
    found = names_with(Host("web", count=2, workload=service("app")))
    assert [found["web-1"], found["web-2"]] == [("web-1",), ("web-2",)]
