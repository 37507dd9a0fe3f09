"""The description of a lab is found by file, by folder or by name, and gives the lab its name."""

import re

import pytest

from lab.engine.description import topologies
from lab.errors import UsageError
from lab.testing.lab_kind import described_for
from lab.topology.description import read

SMALL = "[hosts.a]\n"


def write(folder, text=SMALL, name="lab.toml"):
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(text)
    return folder / name


def test_lab_toml_of_the_current_folder_is_found_by_itself(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert topologies.find() == topologies.default()
    file = write(tmp_path)
    assert topologies.find() == file


def test_a_file_a_folder_or_a_shipped_topology_can_be_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    file = write(tmp_path / "office", name="net.toml")
    assert topologies.find("office/net.toml") == file
    assert topologies.find(str(file)) == file
    file = write(tmp_path / "office")
    assert topologies.find("office") == file
    assert topologies.find("default") == topologies.default()


@pytest.mark.parametrize("wanted", ["nothing.toml", "nothing", "folder"])
def test_a_description_that_does_not_exist_is_refused_with_the_shipped_names(tmp_path, monkeypatch, wanted):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    with pytest.raises(UsageError, match=rf"no file {wanted}.*; the shipped ones are .*default"):
        topologies.find(wanted)


@pytest.mark.parametrize(
    ("folder", "text", "name"),
    [
        ("office", SMALL, "office"),
        ("My Office (2)", SMALL, "myoffice2"),
        ("_x-1", SMALL, "x-1"),
        ("office", 'name = "branch"\n[hosts.a]\n', "branch"),
        ("office", 'name = "Branch 7"\n[hosts.a]\n', "branch7"),
        ("office", 'name = "branch"\nhosts = "a mistake elsewhere"\n', "branch"),
        ("shop", 'compose = "docker-compose.yml"\n[hosts.web]\nservice = "web"\n', "shop-lab"),
        ("shop", 'name = "shop"\ncompose = "docker-compose.yml"\n', "shop"),
    ],
)
def test_the_lab_has_the_name_of_the_description_or_of_its_folder(tmp_path, folder, text, name):
    assert topologies.project_name(write(tmp_path / folder, text)) == name


def test_another_file_than_lab_toml_gives_its_own_name(tmp_path):
    assert topologies.project_name(write(tmp_path, name="star5.toml")) == "star5"


def test_a_relative_path_has_the_name_of_the_current_folder(tmp_path, monkeypatch):
    write(tmp_path / "office")
    monkeypatch.chdir(tmp_path / "office")
    assert topologies.project_name(topologies.find("lab.toml")) == "office"


@pytest.mark.parametrize(
    ("text", "said"), [("name = ", "lab.toml:1: this isn.t TOML"), ('name = "…"', "no letter")]
)
def test_a_file_without_a_usable_name_is_refused(tmp_path, text, said):
    with pytest.raises(UsageError, match=said):
        topologies.project_name(write(tmp_path, text))


def test_a_folder_whose_characters_compose_does_not_allow_has_a_name_of_its_path(tmp_path):
    first, second = (topologies.project_name(write(tmp_path / folder)) for folder in ("中文", "文中"))
    assert re.fullmatch(r"lab-[0-9a-f]{8}", first)
    assert re.fullmatch(r"lab-[0-9a-f]{8}", second)
    assert first != second
    assert topologies.project_name(tmp_path / "中文" / "lab.toml") == first
    compose = write(tmp_path / "文", 'compose = "docker-compose.yml"\n')
    assert re.fullmatch(r"lab-[0-9a-f]{8}", topologies.project_name(compose))


def test_a_byte_order_mark_is_accepted(tmp_path):
    path = write(tmp_path, '\ufeffname = "branch"\n[hosts.a]\n')
    assert topologies.project_name(path) == "branch"
    assert [host.name for host in read(path).hosts] == ["a"]


@pytest.mark.parametrize("kind", ["folder", "link"])
def test_lab_toml_that_is_no_file_is_refused(tmp_path, monkeypatch, kind):
    monkeypatch.chdir(tmp_path)
    if kind == "folder":
        (tmp_path / "lab.toml").mkdir()
    else:
        (tmp_path / "lab.toml").symlink_to("nowhere")
    with pytest.raises(UsageError, match="lab.toml: (Is a directory|No such file)"):
        read(topologies.find())
    with pytest.raises(UsageError, match="lab.toml: (Is a directory|No such file)"):
        topologies.project_name(topologies.find())
    assert described_for(tmp_path / "test_a.py", tmp_path) == tmp_path / "lab.toml"


def test_a_shipped_topology_has_a_lab_of_its_own():
    assert topologies.project_name(topologies.default()) == "socketlab"
    assert topologies.project_name(topologies.FOLDER / "star.toml") == "socketlab-star"


def test_the_name_given_comes_first_then_that_of_the_environment(tmp_path):
    path = write(tmp_path / "office")
    environ = {"COMPOSE_PROJECT_NAME": "other"}
    assert topologies.chosen_name(path, "mine", environ) == "mine"
    assert topologies.chosen_name(path, None, environ) == "other"
    assert topologies.chosen_name(path, None, {"COMPOSE_PROJECT_NAME": ""}) == "office"


@pytest.mark.parametrize("name", topologies.names())
def test_every_shipped_topology_can_be_planned(name):
    assert topologies.node_names(name)


def test_an_unknown_shipped_topology_is_refused_with_the_known_ones():
    with pytest.raises(UsageError, match="no topology 'ring'; there are: .*default"):
        topologies.shipped("ring")
