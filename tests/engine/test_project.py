"""Names and prefixes: what can't be one is refused by name, before anything is made."""

import pytest

from lab.cli.options import new_topology
from lab.engine.project import Topology
from lab.errors import UsageError


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"project": "Up"}, "'Up' is no project name"),
        ({"project": "-x"}, "'-x' is no project name"),
        ({"project": ""}, "'' is no project name"),
        ({"servers_prefix": "172.28"}, "'172.28' is no prefix"),
        ({"servers_prefix": "172.28.66.0"}, "'172.28.66.0' is no prefix"),
        ({"servers_prefix": "172.28.256"}, "'172.28.256' is no prefix"),
        ({"clients_prefix": "x; reboot"}, "'x; reboot' is no prefix"),
        ({"servers_prefix": "172.40.66"}, "172.40.66 is a public address range"),
        ({"servers_prefix6": "2a00:1450"}, "2a00:1450 is a public address range"),
        ({"servers_prefix6": "fd28::66"}, "'fd28::66' is no prefix"),
        ({"clients_prefix": "172.28.66"}, "two networks have the prefix"),
        ({"clients_prefix6": "fd28:66"}, "two networks have the prefix"),
        ({"mgmt_prefix": "172.28.66"}, "two networks have the prefix"),
        ({"profile": "dos"}, "no profile 'dos'; there is: windows"),
    ],
)
def test_nonsense_is_refused_by_name(options, said):
    with pytest.raises(UsageError, match=said):
        Topology(**options)


def test_the_environment_names_the_lab_as_for_compose(monkeypatch):
    monkeypatch.setenv("COMPOSE_PROJECT_NAME", "other")
    monkeypatch.setenv("LAB_SERVERS_PREFIX", "10.1.2")
    monkeypatch.setenv("LAB_CLIENTS_PREFIX", "")
    topology = Topology.from_environment()
    assert (topology.project, topology.servers_prefix) == ("other", "10.1.2")
    assert topology.clients_prefix == Topology().clients_prefix
    assert Topology.from_environment("mine").project == "mine"


def test_compose_gets_all_of_it_and_the_users_own_environment(monkeypatch):
    monkeypatch.setenv("SOMETHING", "else")
    environment = Topology("p", "10.1.2", "10.1.3", "10.1.4", "fd00:1", "fd00:2").environment()
    names = ("COMPOSE_PROJECT_NAME", "LAB_SERVERS_PREFIX", "LAB_CLIENTS_PREFIX", "LAB_MGMT_PREFIX")
    assert [environment[name] for name in names] == ["p", "10.1.2", "10.1.3", "10.1.4"]
    assert (environment["LAB_SERVERS_PREFIX6"], environment["LAB_CLIENTS_PREFIX6"]) == ("fd00:1", "fd00:2")
    assert environment["SOMETHING"] == "else"


@pytest.mark.lab
def test_a_lab_beside_takes_prefixes_that_nobody_has(lab_topology):
    beside = Topology.beside("another")
    assert not set(map(str, beside.networks())) & set(map(str, lab_topology.networks()))


@pytest.mark.lab
def test_a_lab_that_is_up_is_known_as_it_was_brought_up(lab_topology):
    assert Topology.of_lab(lab_topology.project) == lab_topology
    assert new_topology(lab_topology.project, None, None) == lab_topology
    assert Topology.of_lab("nobody-has-this") is None


def test_a_profile_comes_from_the_environment_and_goes_to_compose(monkeypatch):
    monkeypatch.delenv("PROFILE", raising=False)
    assert Topology.from_environment().profile == ""
    assert Topology.from_environment().environment()["PROFILE"] == ""
    monkeypatch.setenv("PROFILE", "windows")
    assert Topology.from_environment().profile == "windows"
    assert Topology.from_environment().environment()["PROFILE"] == "windows"
