"""`lab init`: the files that it writes, and that all of them work as they stand."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from lab import shipped
from lab.cli.app import app
from lab.engine.lifecycle.project import LabProject

from .conftest import STEPS, WORKFLOW, Installed

FILES = (".devcontainer/devcontainer.json", ".github/workflows/lab.yml", "lab.toml", "tests/test_lab.py")
DEVCONTAINER = json.loads((shipped.TEMPLATES / FILES[0]).read_text())
# Keys of the published schema for a container of an image: those required, and some of those allowed.
REQUIRED = {"image"}
ALLOWED = REQUIRED | {"name", "features", "customizations", "containerEnv", "postCreateCommand"}


def init(*words: str) -> str:
    done = CliRunner().invoke(app, ["init", *words])
    assert done.exit_code == 0, done.output
    return done.stdout


def test_it_writes_each_file_and_names_the_next_commands(tmp_path: Path) -> None:
    output = init(str(tmp_path / "a/new one"))
    for name in FILES:
        written = (tmp_path / "a/new one" / name).read_text()
        assert written == (shipped.TEMPLATES / name).read_text()
        assert f"written  {name}\n" in output
    assert f"cd '{tmp_path}/a/new one'" in output
    assert "pytest" in output.partition("Next:")[2]


def test_the_current_folder_is_the_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert "  cd " not in init()
    assert (tmp_path / "lab.toml").is_file()


def test_existing_files_are_kept(tmp_path: Path) -> None:
    (tmp_path / "lab.toml").write_text("mine")
    output = init(str(tmp_path))
    assert (tmp_path / "lab.toml").read_text() == "mine"
    assert "kept  lab.toml\n" in output
    assert "written  tests/test_lab.py\n" in output
    again = init(str(tmp_path))
    assert again.count("kept  ") == len(FILES)


def test_a_link_that_leads_nowhere_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "lab.toml").symlink_to(tmp_path / "elsewhere")
    done = CliRunner().invoke(app, ["init", str(tmp_path)])
    assert done.exit_code == 3
    assert not (tmp_path / "elsewhere").exists()


def test_a_folder_that_cannot_be_written_is_named_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "tests").write_text("a file")
    done = CliRunner().invoke(app, ["init", str(tmp_path)])
    assert done.exit_code == 3
    assert done.stderr == f"lab: {tmp_path}/tests can't be written: Not a directory\n"
    assert [path.name for path in tmp_path.iterdir()] == ["tests"]


# --- what the files say


def test_the_lab_has_two_hosts_and_a_router(tmp_path: Path) -> None:
    init(str(tmp_path))
    plan = LabProject.of_file(tmp_path / "lab.toml", environ={}).plan()
    assert [(node.name, node.role) for node in plan.nodes] == [
        ("client", "host"),
        ("server", "host"),
        ("router", "router"),
    ]


def test_the_devcontainer_has_the_keys_of_the_published_schema() -> None:
    assert REQUIRED <= DEVCONTAINER.keys() <= ALLOWED
    assert DEVCONTAINER["image"].startswith("mcr.microsoft.com/devcontainers/python:")
    assert all(isinstance(options, dict) for options in DEVCONTAINER["features"].values())
    # Folders of the container are mounted into the nodes, so its engine runs inside it.
    assert any("/docker-in-docker:" in name for name in DEVCONTAINER["features"])


def test_the_workflow_has_the_keys_that_a_code_host_needs() -> None:
    assert {"name", True, "jobs"} <= WORKFLOW.keys(), "YAML reads the key `on` as true"
    for job in WORKFLOW["jobs"].values():
        assert job["runs-on"]
        assert all(("uses" in step) != ("run" in step) for step in job["steps"])
    assert STEPS["Install"] == DEVCONTAINER["postCreateCommand"]


@pytest.mark.xdist_group("package")
def test_the_command_of_the_devcontainer_succeeds(installed: Installed, empty: Path) -> None:
    """The step Install has made the environment, and the step Test is run in test_installed.py."""
    assert set(STEPS) == {"Install", "Test", "Look for troubles of the machine"}
    installed.succeed(DEVCONTAINER["postCreateCommand"], empty)


@pytest.mark.lab
@pytest.mark.xdist_group("package")
def test_the_workflow_looks_for_troubles_of_the_machine(installed: Installed, empty: Path) -> None:
    done = installed.run(STEPS["Look for troubles of the machine"], empty)
    assert done.returncode in (0, 3), done.stderr
    assert "Docker Engine" in done.stdout
