"""Names and prefixes: an invalid one is refused by name, before anything is created."""

import pytest

from lab.cli.options import new_topology
from lab.engine.project import PROJECT, LabProject
from lab.errors import UsageError


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"project": "Up"}, "'Up' is not a project name"),
        ({"project": "-x"}, "'-x' is not a project name"),
        ({"project": ""}, "'' is not a project name"),
        ({"prefixes": {"servers": "172.28"}}, "'172.28' is not a prefix"),
        ({"prefixes": {"servers": "172.40.66"}}, "172.40.66 is a public address range"),
        ({"prefixes6": {"servers": "fd28::66"}}, "'fd28::66' is not a prefix"),
        ({"prefixes": {"clients": "172.28.66"}}, "two networks have the prefix"),
        ({"prefixes6": {"clients": "fd28:66"}}, "two networks have the prefix"),
        ({"prefixes": {"mgmt": "172.28.66"}}, "two networks have the prefix"),
        ({"profile": "dos"}, "no profile 'dos'; there is: windows"),
    ],
)
def test_an_invalid_option_is_refused_by_name(options, said):
    with pytest.raises(UsageError, match=said):
        LabProject(**options)


def test_a_file_that_can_t_be_read_is_refused_by_name(tmp_path):
    with pytest.raises(UsageError, match="nothing.yml"):
        LabProject(compose_file=tmp_path / "nothing.yml")


def test_the_networks_are_those_of_the_compose_file(tmp_path):
    file = tmp_path / "docker-compose.yml"
    file.write_text("subnet: ${LAB_OFFICE_PREFIX:-10.1.2}.0/24\nsubnet: ${LAB_OFFICE_PREFIX6:-fd00:1}::/64\n")
    lab = LabProject(compose_file=file)
    assert [str(network) for network in lab.networks()] == ["10.1.2.0/24", "fd00:1::/64"]
    moved = lab.with_prefixes(["office=10.9.9", "office=fd00:9"]).environment()
    assert (moved["LAB_OFFICE_PREFIX"], moved["LAB_OFFICE_PREFIX6"]) == ("10.9.9", "fd00:9")


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("servers", "'servers' is not NETWORK=PREFIX"),
        ("servers=8.8.8", "8.8.8 is a public address range"),
        ("office=10.1.2", "no network 'office' with such a prefix; there are clients, servers, mgmt"),
        ("mgmt=fd00:1", "no network 'mgmt' with such a prefix; there are clients, servers"),
    ],
)
def test_an_invalid_prefix_option_is_refused(word, said):
    with pytest.raises(UsageError, match=said):
        LabProject().with_prefixes([word])


def test_the_environment_names_the_lab_as_for_compose(monkeypatch):
    monkeypatch.setenv("COMPOSE_PROJECT_NAME", "other")
    monkeypatch.setenv("LAB_SERVERS_PREFIX", "10.1.2")
    monkeypatch.setenv("LAB_CLIENTS_PREFIX", "")
    lab = LabProject.from_environment()
    assert (lab.project, lab.prefixes["servers"]) == ("other", "10.1.2")
    assert lab.prefixes["clients"] == LabProject().prefixes["clients"]
    assert LabProject.from_environment("mine").project == "mine"


def test_compose_gets_the_lab_s_names_and_the_users_own_environment(monkeypatch):
    monkeypatch.setenv("SOMETHING", "else")
    prefixes = {"servers": "10.1.2", "clients": "10.1.3", "mgmt": "10.1.4"}
    environment = LabProject("p", prefixes, {"servers": "fd00:1", "clients": "fd00:2"}).environment()
    names = ("COMPOSE_PROJECT_NAME", "LAB_SERVERS_PREFIX", "LAB_CLIENTS_PREFIX", "LAB_MGMT_PREFIX")
    assert [environment[name] for name in names] == ["p", "10.1.2", "10.1.3", "10.1.4"]
    assert (environment["LAB_SERVERS_PREFIX6"], environment["LAB_CLIENTS_PREFIX6"]) == ("fd00:1", "fd00:2")
    assert environment["SOMETHING"] == "else"


@pytest.mark.lab
def test_a_second_lab_gets_free_prefixes(lab_topology):
    beside = LabProject.beside("another")
    assert not set(map(str, beside.networks())) & set(map(str, lab_topology.networks()))


@pytest.mark.lab
def test_a_running_lab_is_found_with_its_prefixes_and_profile(lab_topology):
    assert LabProject.of_lab(lab_topology.project) == lab_topology
    assert new_topology(lab_topology.project) == lab_topology
    assert LabProject.of_lab("nobody-has-this") is None


@pytest.mark.lab
def test_another_project_gets_other_prefixes_unless_some_are_given():
    plain = LabProject()
    chosen = new_topology("another")
    assert not set(plain.prefixes.items()) & set(chosen.prefixes.items())
    given = new_topology("another", ["servers=10.1.2"])
    assert given.prefixes == {**plain.prefixes, "servers": "10.1.2"}
    assert PROJECT == plain.project


def test_a_profile_comes_from_the_environment_and_goes_to_compose(monkeypatch):
    monkeypatch.delenv("PROFILE", raising=False)
    assert LabProject.from_environment().profile == ""
    assert LabProject.from_environment().environment()["PROFILE"] == ""
    monkeypatch.setenv("PROFILE", "windows")
    assert LabProject.from_environment().profile == "windows"
    assert LabProject.from_environment().environment()["PROFILE"] == "windows"
