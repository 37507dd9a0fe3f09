"""The files of the package are found in a checkout and in an installed package."""

import runpy
import shutil
from pathlib import Path

import pytest

from lab import shipped


@pytest.fixture
def code(tmp_path: Path) -> Path:
    """A package folder with the module alone."""
    folder = tmp_path / "lab"
    folder.mkdir()
    shutil.copy(shipped.__file__, folder)
    return folder


def test_a_checkout_has_them_at_its_root(code: Path) -> None:
    (code.parent / "docker-compose.yml").touch()
    found = runpy.run_path(str(code / "shipped.py"))
    assert found["CODE"] == code
    assert found["IMAGES"] == code.parent / "images"
    assert found["TOPOLOGIES"] == code.parent / "topologies"
    assert found["SCENARIOS"] == code.parent / "scenarios"
    assert found["COMPOSE_FILE"] == code.parent / "docker-compose.yml"
    assert not found["IS_INSTALLED"]


def test_an_installed_package_has_them_in_data_and_no_compose_file(code: Path) -> None:
    (code / "data").mkdir()
    (code.parent / "docker-compose.yml").touch()  # somebody else's: site-packages is shared
    found = runpy.run_path(str(code / "shipped.py"))
    assert found["IMAGES"] == code / "data/images"
    assert found["TOPOLOGIES"] == code / "data/topologies"
    assert found["SCENARIOS"] == code / "data/scenarios"
    assert found["COMPOSE_FILE"] is None
    assert found["IS_INSTALLED"]


def test_the_runner_container_has_no_compose_file(code: Path) -> None:
    assert runpy.run_path(str(code / "shipped.py"))["COMPOSE_FILE"] is None


def test_nothing_else_computes_a_place_from_that_of_its_module() -> None:
    found = [
        path.relative_to(shipped.CODE).as_posix()
        for path in shipped.CODE.rglob("*.py")
        if "agent" not in path.parts  # it runs on the nodes
        if "__file__).parents" in path.read_text(encoding="utf-8")
    ]
    assert found == []
