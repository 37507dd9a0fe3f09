"""The description of a lab is found by file, by folder or by name, and gives the lab its name."""

import pytest

from lab.engine import topologies
from lab.errors import UsageError

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
