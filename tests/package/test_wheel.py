"""The contents of the wheel and of the source distribution."""

import re
import subprocess
import sys
import tarfile
import zipfile
from email.message import Message
from email.parser import Parser
from pathlib import Path

import pytest

from lab import __version__, shipped

from .conftest import ROOT, TIMEOUT

DATA = ("images", "scenarios", "templates", "topologies")


def files_of(folder: Path) -> set[str]:
    return {
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


@pytest.fixture(scope="module")
def wheel(dist: Path) -> zipfile.ZipFile:
    [path] = dist.glob("*.whl")
    return zipfile.ZipFile(path)


@pytest.fixture(scope="module")
def metadata(wheel: zipfile.ZipFile) -> Message:
    return Parser().parsestr(wheel.read(f"socketlab-{__version__}.dist-info/METADATA").decode())


def test_it_has_the_code_and_the_data_and_nothing_else(wheel: zipfile.ZipFile) -> None:
    expected = {f"lab/{name}" for name in files_of(shipped.CODE)}
    expected |= {f"lab/data/{folder}/{name}" for folder in DATA for name in files_of(ROOT / folder)}
    names = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert names == expected
    for needed in (
        "lab/py.typed",
        "lab/locale/zh_CN/LC_MESSAGES/socketlab.mo",
        "lab/topology/compose/compose.yml.jinja",
        "lab/evidence/trace/template.html",
        "lab/data/images/Dockerfile",
        "lab/data/topologies/default.toml",
        "lab/data/templates/.github/workflows/lab.yml",
        "lab/data/templates/.devcontainer/devcontainer.json",
    ):
        assert needed in names


def test_it_names_no_place_of_this_machine_and_no_package_index(wheel: zipfile.ZipFile) -> None:
    forbidden = [str(ROOT).encode(), str(Path.home()).encode() + b"/", sys.prefix.encode()]
    for name in wheel.namelist():
        content = wheel.read(name)
        assert not [each for each in forbidden if each in content], name
        assert not re.search(rb"(index-url|find-links|trusted-host)", content), name


def test_its_files_are_readable_by_everybody(wheel: zipfile.ZipFile) -> None:
    modes = {info.filename: info.external_attr >> 16 for info in wheel.infolist()}
    assert [name for name, mode in modes.items() if mode & 0o444 != 0o444] == []


def test_the_metadata_name_each_dependency_with_its_versions(metadata: Message) -> None:
    assert metadata["Name"] == "socketlab"
    assert metadata["Version"] == __version__
    required = metadata.get_all("Requires-Dist") or []
    assert len(required) >= 8
    assert all(re.search(r">=\d", each) for each in required), "a dependency has a lower bound"
    heavy = [each for each in required if "xdist" in each]
    assert heavy
    assert all("extra ==" in each for each in heavy)
    assert not metadata.get_all("Project-URL")


def test_the_entry_points_are_a_command_and_a_pytest_plugin(wheel: zipfile.ZipFile) -> None:
    text = wheel.read(f"socketlab-{__version__}.dist-info/entry_points.txt").decode()
    assert "[console_scripts]\nlab = lab.cli.app:main" in text
    assert "[pytest11]\nlab.testing.plugin = lab.testing.plugin" in text


def test_the_source_distribution_gives_the_same_wheel(
    dist: Path, wheel: zipfile.ZipFile, tmp_path: Path
) -> None:
    [path] = dist.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        archive.extractall(tmp_path, filter="data")
    [source] = tmp_path.iterdir()
    argv = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path]
    subprocess.run(argv, cwd=source, check=True, capture_output=True, timeout=TIMEOUT)
    [built] = tmp_path.glob("*.whl")
    again = zipfile.ZipFile(built)
    assert {info.filename: info.CRC for info in again.infolist()} == {
        info.filename: info.CRC for info in wheel.infolist()
    }
