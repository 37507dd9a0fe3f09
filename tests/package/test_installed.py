"""The wheel in an empty environment: everything that a user does in the first five minutes."""

import json
import subprocess
from pathlib import Path

import pytest

from lab import __version__, shipped
from lab.engine import images

from .conftest import STEPS, Installed

pytestmark = pytest.mark.xdist_group("package")


def test_the_commands_that_need_no_engine(installed: Installed, empty: Path) -> None:
    assert installed.succeed("lab --version", empty) == f"lab {__version__}\n"
    assert "tcp-hello" in installed.succeed("lab list", empty)
    assert "Usage: lab" in installed.succeed("lab --help", empty)
    assert "socketlab" in installed.succeed("lab topology", empty)
    assert "Play it" in installed.succeed("lab explain tcp-hello", empty)
    assert list(empty.iterdir()) == []


def test_the_images_are_those_of_the_checkout(installed: Installed, empty: Path) -> None:
    command = 'python -c "from lab.engine import images; print(images.source_digest())"'
    assert installed.succeed(command, empty).strip() == images.source_digest()


def test_the_plugin_is_loaded_once_if_it_is_also_loaded_by_name(installed: Installed, empty: Path) -> None:
    (empty / "test_one.py").write_text("def test_one(): pass\n")
    assert "--lab=NAME" in installed.succeed("pytest --help", empty)
    assert "1 passed" in installed.succeed("pytest -q -p lab.testing.plugin", empty)


@pytest.mark.lab
def test_lab_init_and_pytest_pass_in_an_empty_folder(installed: Installed, empty: Path) -> None:
    assert STEPS["Test"] == "pytest"
    output = installed.succeed("lab init && pytest", empty)
    assert "2 passed" in output
    assert 'tests="2"' in (empty / "lab-results.xml").read_text()
    written = {path.relative_to(empty) for path in empty.rglob("*") if path.is_file()}
    assert {Path("lab.toml"), Path("tests/test_lab.py")} <= written


@pytest.mark.lab
def test_the_nodes_run_what_was_installed(installed: Installed, empty: Path) -> None:
    name = empty.name
    try:
        installed.succeed(f"lab up -p {name}", empty)
        assert mounted(name) == {
            str(installed.packages / "lab"),
            str(installed.packages / "lab/data/scenarios"),
        }
        assert "PASS" in installed.succeed(f"lab run -p {name} tcp-hello", empty)
        assert list((empty / "runs").glob("tcp-hello/*/record.json"))
    finally:
        installed.succeed(f"lab down -p {name}", empty)


@pytest.mark.lab
def test_images_are_built_from_the_installed_package(installed: Installed, empty: Path) -> None:
    base = f"{empty.name}:base"
    image = f"socketlab/host-{empty.name}-base"
    subprocess.run(["docker", "tag", images.DEFAULT_BASE, base], check=True)
    (empty / "lab.toml").write_text(f'[hosts.one]\nbase = "{base}"\n')
    try:
        done = installed.run("lab up", empty)
        assert done.returncode == 0, done.stderr
        assert f"building {image}" in done.stderr
        assert source_of(image) == images.source_digest()
        assert installed.succeed("lab up", empty), "and not again"
    finally:
        installed.succeed("lab down", empty)
        subprocess.run(["docker", "image", "rm", "--force", image, base], check=True)


def source_of(image: str) -> str:
    """The digest that an image was built from."""
    argv = ["docker", "image", "inspect", "--format", '{{index .Config.Labels "socketlab.source"}}', image]
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout.strip()


def mounted(project: str) -> set[str]:
    """The folders of this machine that are mounted into the nodes of a lab."""
    label = f"label=com.docker.compose.project={project}"
    found = subprocess.run(["docker", "ps", "-q", "-f", label], capture_output=True, text=True, check=True)
    argv = ["docker", "inspect", *found.stdout.split()]
    nodes = json.loads(subprocess.run(argv, capture_output=True, check=True).stdout)
    return {mount["Source"] for node in nodes for mount in node["Mounts"] if mount["Type"] == "bind"}


@pytest.mark.lab
def test_an_installation_that_the_nodes_cannot_read_is_named(installed: Installed, empty: Path) -> None:
    code = installed.packages / "lab"
    code.chmod(0o700)
    try:
        done = installed.run(f"lab up -p {empty.name}", empty)
    finally:
        code.chmod(0o755)
    assert done.returncode == 3
    assert f"the nodes can't read {code}" in done.stderr


def test_nothing_is_written_into_the_package(installed: Installed) -> None:
    code = installed.packages / "lab"
    found = {path.relative_to(code).parts for path in code.rglob("*") if path.is_file()}
    [record] = installed.packages.glob("socketlab-*.dist-info/RECORD")
    listed = [line.split(",")[0] for line in record.read_text().splitlines()]
    known = {Path(name).parts[1:] for name in listed if name.startswith("lab/")}
    assert {parts for parts in found - known if "__pycache__" not in parts} == set()
    assert (code / "data").is_dir()
    assert not shipped.IS_INSTALLED, "the tests themselves run in a checkout"
