"""A lab with several links: each has its own settings, and lab.link lists them. Without an engine."""

import pytest

from lab.control.host import Host
from lab.control.link.links import Links
from lab.control.link.router import LinkFailure
from lab.errors import Unsupported, UsageError
from lab.evidence.events import LinkChanged, LinkFailed, Note
from lab.link.settings import Impairment
from lab.topology.node import Interface, Node, PortForward, Route
from tests.control.link.played_router import NETWORKS, NO_IMPAIRMENT, Router, node


def host(name, *segments, via="", number=10):
    """A host with the address .10 on each of its segments."""
    interfaces = tuple(
        Interface(s, f"{NETWORKS[s]}.{number}/24", f"fd00:{NETWORKS[s][3]}::{number}/64") for s in segments
    )
    routes = (Route("default", via),) if via else ()
    return Host(Node(name, "host", (name,), interfaces, routes=routes), None, None, lambda event: None)


@pytest.fixture
def seen():
    return []


@pytest.fixture
def router():
    return Router(node("r", "office", "dmz", "lab"))


@pytest.fixture
def links(router, seen):
    """Three segments, a host on each."""
    links = Links([router, host("alice", "office"), host("bob", "dmz"), host("carol", "lab")], seen.append)
    links.begin("1")
    return links


def test_each_link_has_its_own_settings(links, router):
    links("office", "dmz").set(delay=0.02, verify=False)
    links("lab", "dmz").set(loss=0.1, direction="to-lab", verify=False)
    assert links("dmz", "office").show().settings.describe() == "both ways: 20 ms"
    assert links("dmz", "lab").settings.describe() == "to-dmz: unimpaired; to-lab: 10% loss"
    assert links("office", "lab").show().settings.is_nothing
    assert [request["between"] for request in router.requests] == [["office", "dmz"], ["dmz", "lab"]]


def test_contexts_of_different_links_are_independent(links):
    with links("office", "dmz").impaired(delay=0.02, verify=False):
        with links("office", "lab").partitioned("to-lab", verify=False), links("office", "lab").dropping(3):
            assert links("office", "lab").show().settings.cut == {"to-lab"}
        assert links("office", "dmz").show().settings.describe() == "both ways: 20 ms"
    assert all(status.settings.is_nothing for status in links.status().values())


def test_a_link_is_found_by_its_hosts(links):
    carol = links.hosts[3]
    assert links("alice", "bob").segments == ("office", "dmz")
    assert links(carol, "bob").segments == ("dmz", "lab")
    assert links("alice", "lab").segments == ("office", "lab")


def test_lab_link_alone_is_ambiguous_and_lists_the_links(links):
    for use in (
        lambda: links.set(delay=0.01), links.partition, links.heal, links.show, links.verify,
        lambda: links.drop(1), lambda: links.settings, lambda: links.directions,
    ):  # fmt: skip
        with pytest.raises(UsageError, match="office–dmz, office–lab, dmz–lab"):
            use()


def test_clear_concerns_all_links(links, router):
    links("office", "dmz").set(delay=0.02, verify=False)
    links("lab", "dmz").set(loss=0.1, verify=False)
    links.clear()
    assert router.is_nothing
    assert links("lab", "dmz").settings.is_nothing
    assert [change.link for change in links.changes] == ["office–dmz", "dmz–lab", "office–dmz", "dmz–lab"]


def test_the_record_and_the_events_name_the_link(links, seen):
    links("office", "dmz").set(delay=0.02, verify=False)
    links("lab", "dmz").set(loss=0.1, verify=False)
    links.end()
    record = links.to_dict()
    assert [(c["link"], c["asked"]["cut"]) for c in record["changes"]] == [
        ("office–dmz", []), ("dmz–lab", []), ("office–dmz", []), ("dmz–lab", []),
    ]  # fmt: skip
    assert [event.link for event in seen if isinstance(event, LinkChanged)] == [
        c["link"] for c in record["changes"]
    ]
    assert (links.failure, "partitions" in record) == ("", False)


def test_links_with_the_same_seed_decide_differently(links, router):
    links("office", "dmz").set(loss=0.1, verify=False)
    links("lab", "dmz").set(loss=0.1, verify=False)
    assert [request["seed"] for request in router.requests] == ["1/office–dmz/0", "1/dmz–lab/0"]


def test_settings_of_somebody_else_on_another_link_are_detected(links, router, seen):
    links("office", "dmz").set(delay=0.02, verify=False)
    router.apply({"to-lab": NO_IMPAIRMENT | {"delay": 0.5}, "cut": [], "drops": []}, pair=("dmz", "lab"))
    expected = "somebody else changed the link: asked unimpaired, found to-lab: 500 ms"
    with pytest.raises(LinkFailure, match=f"dmz–lab: {expected}"):
        links("office", "dmz").show()
    assert links.failure == f"dmz–lab: {expected}"
    assert [(e.link, e.reason) for e in seen if isinstance(e, LinkFailed)] == [("dmz–lab", expected)]


def test_all_routers_are_restored_at_the_begin_of_a_run(links, router, seen):
    links("office", "dmz").set(delay=0.02, verify=False)
    seen.clear()
    links.begin("2")
    assert router.is_nothing
    assert [event.link for event in seen if isinstance(event, LinkChanged)] == ["office–dmz"]
    assert [event.text for event in seen if isinstance(event, Note)] == [
        "link: an earlier run had left its settings; they were cleared"
    ]


@pytest.mark.parametrize(
    ("a", "b", "problem"),
    [
        ("office", "office", "no router is between office and office: they share a segment"),
        ("alice", "office", "they share a segment"),
        ("office", "west", "no segment or host 'west'; there are office, dmz, lab, r, alice, bob, carol"),
        ("r", "office", "several links join"),
    ],
)
def test_ends_that_are_no_link_are_refused(links, a, b, problem):
    with pytest.raises(UsageError, match=problem):
        links(a, b)


def two_routers(*more):
    """office – r1 – core – r2 – dmz"""
    r1 = node("r1", "office", "core", routes=(Route("10.2.0.0/24", "10.4.0.3"),))
    r2 = Node(
        "r2", "router", ("r2",), (Interface("core", "10.4.0.3/24"), Interface("dmz", "10.2.0.2/24")),
        routes=(Route("10.1.0.0/24", "10.4.0.2"),),
    )  # fmt: skip
    return Links([Router(r1), Router(r2), *more], lambda event: None)


ALICE, BOB = host("alice", "office", via="10.1.0.2"), host("bob", "dmz", via="10.2.0.2")


def test_hosts_behind_different_routers_are_refused_with_the_links_on_the_way():
    with pytest.raises(UsageError, match=r"no single router joins office and dmz; .* office–core, core–dmz$"):
        two_routers()("office", "dmz")
    with pytest.raises(UsageError, match="office–core, core–dmz"):
        two_routers(ALICE, BOB)("alice", BOB)


def test_two_routers_that_join_the_same_segments_are_chosen_by_name():
    links = Links(
        [Router(node("r1", "office", "dmz")), Router(node("r2", "dmz", "office"))], lambda event: None
    )
    with pytest.raises(UsageError, match=r"office–dmz \(r1\), dmz–office \(r2\); choose"):
        links("office", "dmz")
    assert links("office", "dmz", router="r2").name == "dmz–office (r2)"


def probing(links, a, b):
    link = links(a, b)
    links.begin("1")
    return links._hosts_of(link._session)


def test_a_link_is_measured_by_a_host_on_each_of_its_segments(links):
    found = probing(links, "dmz", "lab")
    assert {found.first.title, found.second.title} == {"bob", "carol"}
    assert (found.out, found.back) == ("to-dmz", "to-lab")
    assert {found.target, found.source} == {"10.2.0.10", "10.3.0.10"}
    assert not found.translated


def test_a_link_between_two_routers_is_measured_by_the_nearest_hosts():
    found = probing(two_routers(ALICE, BOB), "core", "dmz")
    assert (found.out, found.back, found.first.title, found.second.title) == (
        "to-core",
        "to-dmz",
        "bob",
        "alice",
    )


def test_a_measurement_across_another_impaired_link_is_unsupported():
    links = two_routers(ALICE, BOB)
    links.begin("1")
    links("office", "core").set(delay=0.02, verify=False)
    with pytest.raises(
        Unsupported, match="core–dmz can't be measured: packets between bob and alice also cross"
    ):
        links("core", "dmz").set(loss=0.1)
    links("core", "dmz").set(loss=0.1, verify=False)
    assert links("core", "dmz").show().settings["to-dmz"] == Impairment(loss=0.1)


def test_a_link_that_no_hosts_use_is_unsupported():
    with pytest.raises(Unsupported, match="no two hosts send packets across it"):
        probing(two_routers(ALICE), "office", "core")


def test_a_host_behind_address_translation_opens_the_way():
    nat = node("r", "office", "dmz", "lab", nat=("office",))
    links = Links(
        [Router(nat), host("alice", "office", via="10.1.0.2"), host("bob", "dmz")], lambda event: None
    )
    found = probing(links, "office", "dmz")
    assert (found.first.title, found.target, found.source) == ("alice", "10.2.0.10", "10.2.0.2")
    assert (found.out, found.back, found.translated) == ("to-dmz", "to-office", True)


def separated(links, *sets, one_way=False):
    hosts = {each.node.name: each for each in links.hosts}
    return links.separate([[hosts[n] for n in names] for names in sets], one_way=one_way, verify=False)


def test_a_partition_is_in_force_while_its_context_lasts(links, router, seen):
    with separated(links, ["alice", "bob"], ["carol"]) as outer:
        with separated(links, ["alice"], ["bob"], one_way=True):
            assert len(router.partitions) == 2
        (state,) = router.partitions.values()
        assert state["partition"] == {
            "sets": [["10.1.0.10", "fd00:1::10", "10.2.0.10", "fd00:2::10"], ["10.3.0.10", "fd00:3::10"]],
            "one_way": False,
        }
        state["dropped"] = [[0, 1, 5], [1, 0, 2]]
        assert outer.dropped == 7
    assert router.is_nothing
    assert outer.dropped == 7
    assert [(e.fault, e.edge) for e in seen if e.kind == "fault"] == [
        ("partition: alice, bob | carol", "begin"), ("partition: alice → bob", "begin"),
        ("partition: alice → bob", "end"), ("partition: alice, bob | carol", "end"),
    ]  # fmt: skip
    first = links.to_dict()["partitions"][0]
    assert first["dropped"] == [{"from": 0, "to": 1, "packets": 5}, {"from": 1, "to": 0, "packets": 2}]
    assert (first["sets"], first["routers"]) == ([["alice", "bob"], ["carol"]], ["r"])


def test_a_partition_that_was_flushed_fails_the_run(links, router):
    with (
        pytest.raises(LinkFailure, match="rules of a partition were removed"),
        separated(links, ["alice"], ["bob"]),
    ):
        next(iter(router.partitions.values()))["alive"] = False
    assert "removed" in links.failure
    assert router.is_nothing


def test_a_partition_that_somebody_else_healed_fails_the_run(links, router):
    with pytest.raises(LinkFailure, match="somebody else healed"), separated(links, ["alice"], ["bob"]):
        router.partitions.clear()


def test_a_link_is_not_measured_between_hosts_that_a_partition_separates(links):
    with separated(links, ["alice"], ["bob"]):
        with pytest.raises(Unsupported, match="a partition separates"):
            links("office", "dmz").set(delay=0.01)


@pytest.mark.parametrize(
    ("sets", "problem"),
    [
        ([["alice"], ["dave"]], "alice and dave are both on the segment office: no router is between"),
        ([["alice"], ["alice"]], "alice is listed twice"),
        ([["alice"], ["r"]], "r is not a host"),
        ([["alice"]], "2 to 16 sets, not 1"),
        ([["alice"], []], "each set must have"),
    ],
)
def test_sets_that_no_router_separates_are_refused(router, sets, problem):
    dave = host("dave", "office", number=11)
    links = Links([router, host("alice", "office"), dave, host("bob", "dmz")], lambda event: None)
    with pytest.raises((UsageError, Unsupported), match=problem):
        separated(links, *sets)
    assert router.requests == []


def test_a_partition_is_made_on_every_router_on_the_way():
    links = two_routers(ALICE, BOB)
    links.begin("1")
    with separated(links, ["alice"], ["bob"]):
        assert [len(router.router.partitions) for router in links.routers] == [1, 1]


NAT = node("r1", "office", "core", nat=("office",), routes=(Route("10.2.0.0/24", "10.4.0.3"),))


def test_a_partition_is_made_on_a_router_that_sees_the_untranslated_address():
    r2 = Node("r2", "router", ("r2",), (Interface("core", "10.4.0.3/24"), Interface("dmz", "10.2.0.2/24")))
    links = Links([Router(NAT), Router(r2), ALICE, BOB], lambda event: None)
    links.begin("1")
    with separated(links, ["alice"], ["bob"]):
        assert [len(router.router.partitions) for router in links.routers] == [1, 0]


def test_a_partition_of_two_translated_hosts_is_unsupported():
    forward = PortForward(80, 80, "10.2.0.10")
    r2 = Node(
        "r2", "router", ("r2",), (Interface("core", "10.4.0.3/24"), Interface("dmz", "10.2.0.2/24")),
        nat=("dmz",), forwards=(forward,),
    )  # fmt: skip
    r1 = node("r1", "office", "core", nat=("office",))
    links = Links([Router(r1), Router(r2), ALICE, BOB], lambda event: None)
    with pytest.raises(Unsupported, match="no router sees the addresses of both alice and bob"):
        separated(links, ["alice"], ["bob"])
