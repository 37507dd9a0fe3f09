"""The definition of a lab: an invalid name or prefix is refused before anything is created."""

import os
from ipaddress import ip_network

import pytest

from lab.engine.description import topologies
from lab.engine.description.prefix_choice import of_plan
from lab.engine.lifecycle.existing import ExistingLab
from lab.engine.lifecycle.project import PROJECT, LabProject
from lab.errors import EnvironmentFailure, UsageError
from lab.topology.prefixes import overlap

OFFICE = """
[segments]
office = "10.1.2.0/24"
servers = {}
campus = "10.9.0.0/16"

[hosts.alice]
segment = "office"
address = "10.1.2.77"
[hosts.bob]
segment = "campus"
address = "10.9.3.4"
[hosts.web]
segment = "servers"
"""


def default(project=None, *, environ=None, **options):
    return LabProject.of_file(topologies.default(), project, environ=environ or {}, **options)


@pytest.fixture
def office(tmp_path):
    path = tmp_path / "lab.toml"
    path.write_text(f'name = "office"\n{OFFICE}')
    return lambda project=None, **options: LabProject.of_file(path, project, **{"environ": {}} | options)


def prefix(lab, name, version=4):
    return next(str(each) for each in of_plan(lab.plan())[name] if each.version == version)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"project": "Up"}, "'Up' is not a project name"),
        ({"project": "-x"}, "'-x' is not a project name"),
        ({"project": ""}, "'' is not a project name"),
        ({"profile": "dos"}, "no profile 'dos'; there is: windows"),
        ({"prefixes": ["servers"]}, "'servers' is not NETWORK=PREFIX"),
        ({"prefixes": ["servers=172.28"]}, "'172.28' is not a prefix"),
        ({"prefixes": ["servers=8.8.8"]}, "8.8.8 is a public address range"),
        ({"prefixes": ["servers=fd28::66"]}, "'fd28::66' is not a prefix"),
        ({"prefixes": ["office=10.1.2"]}, "no network 'office' with such a prefix; .* clients, .*, mgmt"),
        ({"prefixes": ["mgmt=fd00:1"]}, "no network 'mgmt' with such a prefix; there are clients, servers"),
        ({"prefixes": ["clients=172.28.66"]}, "overlaps"),
        ({"prefixes": ["clients=fd28:66"]}, "overlaps"),
        ({"prefixes": ["mgmt=172.28.66"]}, "overlaps"),
        ({"environ": {"LAB_SERVERS_PREFIX": "172.28"}}, "'172.28' is not a prefix"),
    ],
)  # fmt: skip
def test_an_invalid_option_is_refused_by_name(options, said):
    with pytest.raises(UsageError, match=said):
        default(**options)


def test_the_environment_names_the_lab_as_for_compose():
    lab = default(
        environ={"COMPOSE_PROJECT_NAME": "other", "LAB_SERVERS_PREFIX": "10.1.2", "LAB_CLIENTS_PREFIX": ""}
    )
    assert (lab.project, prefix(lab, "servers")) == ("other", "10.1.2.0/24")
    assert default("mine", environ={"COMPOSE_PROJECT_NAME": "other"}).project == "mine"


def test_a_prefix_option_comes_before_the_environment():
    environ = {"LAB_SERVERS_PREFIX": "10.1.2", "LAB_SERVERS_PREFIX6": "fd00:1"}
    lab = default(environ=environ, prefixes=["servers=10.1.3"])
    assert (prefix(lab, "servers"), prefix(lab, "servers", 6)) == ("10.1.3.0/24", "fd00:1::/64")


def test_the_default_lab_has_the_prefixes_of_its_description_unless_others_are_given():
    assert (default().project, prefix(default(), "servers")) == (PROJECT, "172.28.66.0/24")
    moved = default(prefixes=["servers=10.1.2", "servers=fd00:1"])
    assert (prefix(moved, "servers"), prefix(moved, "servers", 6)) == ("10.1.2.0/24", "fd00:1::/64")
    assert prefix(moved, "clients") == prefix(default(), "clients")


def test_another_name_gives_other_prefixes_to_all_networks_whose_prefixes_are_not_given():
    usual = default().plan().networks()
    other = default("another", prefixes=["servers=10.1.2"])
    assert prefix(other, "servers") == "10.1.2.0/24"
    assert not any(overlap(mine, theirs) for mine in other.plan().networks() for theirs in usual)


def test_free_prefixes_avoid_those_that_are_taken_and_depend_on_the_seed(office):
    taken = [ip_network("172.28.0.0/16")]
    for lab in (office(), office("second")):
        assert prefix(lab, "servers").startswith("172.28.")
        assert not any(overlap(mine, taken[0]) for mine in lab.plan(taken).networks())
        assert lab.plan(seed="a").networks() != lab.plan(seed="b").networks()


def test_a_host_keeps_its_number_in_another_prefix(office):
    addresses = {node.name: node.address for node in office("second").plan().nodes}
    assert addresses["alice"].endswith(".77")
    assert not addresses["alice"].startswith("10.1.2.")
    assert addresses["bob"] == "10.9.3.4"  # a free prefix would be too small for it


def test_compose_gets_the_labs_name_profile_and_prefixes_and_the_users_own_environment(monkeypatch):
    monkeypatch.setenv("SOMETHING", "else")
    monkeypatch.setenv("COMPOSE_FILE", "theirs.yml")
    words = ["servers=10.1.2", "clients=10.1.3", "mgmt=10.1.4", "servers=fd00:1", "clients=fd00:2"]
    environment = default("p", prefixes=words, profile="windows").environment()
    names = ("COMPOSE_PROJECT_NAME", "LAB_SERVERS_PREFIX", "LAB_CLIENTS_PREFIX", "LAB_MGMT_PREFIX", "PROFILE")
    assert [environment[name] for name in names] == ["p", "10.1.2", "10.1.3", "10.1.4", "windows"]
    assert (environment["LAB_SERVERS_PREFIX6"], environment["LAB_CLIENTS_PREFIX6"]) == ("fd00:1", "fd00:2")
    assert environment["SOMETHING"] == "else"
    assert "COMPOSE_FILE" not in environment


def test_a_profile_comes_from_the_option_or_the_environment():
    assert default().profile == default().environment()["PROFILE"] == ""
    assert default(environ={"PROFILE": "windows"}).profile == "windows"
    assert default(environ={"PROFILE": "windows"}, profile="").profile == ""
    platforms = {node.name: node.platform for node in default(profile="windows").nodes()}
    assert platforms == {"server": "windows", "client": "linux", "router": "linux"}


def existing(lab):
    return ExistingLab(tuple(lab.nodes()), of_plan(lab.plan()))


def test_a_lab_that_is_up_keeps_its_prefixes_and_its_profile():
    there = existing(default(prefixes=["servers=10.1.2"], profile="windows"))
    lab = default("another").as_existing(there)
    assert lab.nodes() == list(there.nodes)
    assert of_plan(lab.plan()) == there.prefixes


def test_a_lab_that_is_up_can_get_more_hosts(office, tmp_path):
    there = existing(office())
    (tmp_path / "lab.toml").write_text(f'name = "office"\n{OFFICE}\n[hosts.carol]\nsegment = "servers"\n')
    lab = office().as_existing(there)
    assert [node.name for node in lab.nodes()] == ["alice", "bob", "web", "carol", "router"]
    assert of_plan(lab.plan()) == there.prefixes


def test_a_new_segment_of_a_lab_that_is_up_avoids_the_networks_of_all_labs(office, tmp_path):
    there = existing(office())
    (tmp_path / "lab.toml").write_text(f'name = "office"\n{OFFICE}\n[hosts.carol]\n')
    wanted = office().as_existing(there).prefixes["carol"]
    lab = office().as_existing(there, taken=wanted)
    assert not any(overlap(mine, theirs) for mine in lab.plan().networks() for theirs in wanted)
    assert lab.prefixes.items() >= there.prefixes.items()


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (("[hosts.web]", "[hosts.db]"), "web"),
        (("servers = {}", "servers = { ipv6 = false }"), "servers"),
    ],
)
def test_a_lab_that_is_up_and_would_have_to_lose_something_must_be_taken_down_first(
    office, tmp_path, change, named
):
    there = existing(office())
    (tmp_path / "lab.toml").write_text('name = "office"\n' + OFFICE.replace(*change))
    with pytest.raises(
        UsageError, match=rf"office is up with another topology \({named}\); `lab down -p office`"
    ):
        office().as_existing(there)


def test_other_prefixes_than_those_of_the_lab_that_is_up_are_refused(office):
    with pytest.raises(UsageError, match=r"office is up with another topology \(office\)"):
        office(prefixes=["office=10.7.7"]).as_existing(existing(office()))


@pytest.mark.lab
def test_a_second_lab_gets_free_prefixes(lab_topology):
    with pytest.raises(EnvironmentFailure, match="is taken by the network"):
        LabProject.of_file(
            topologies.default(), "another", prefixes=[f"servers={first_three(lab_topology)}"]
        ).up()


def first_three(lab):
    return prefix(lab, "servers").rpartition(".0/")[0]


@pytest.mark.lab
def test_a_running_lab_is_found_with_its_prefixes_and_profile(lab_topology):
    found = LabProject.of_file(topologies.default(), lab_topology.project, environ={}).attached()
    assert found == lab_topology
    with pytest.raises(EnvironmentFailure, match="no lab 'nobody-has-this' is up"):
        default("nobody-has-this").attached()


def test_the_environment_of_this_process_is_the_usual_one(monkeypatch):
    monkeypatch.setenv("COMPOSE_PROJECT_NAME", "by-environment")
    assert LabProject.of_file(topologies.default()).project == os.environ["COMPOSE_PROJECT_NAME"]
