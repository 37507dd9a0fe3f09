"""Images of the nodes: which of them have to be built, and from which files."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import shipped
from lab.engine import images
from lab.engine.client import Engine
from lab.engine.compose import Notice
from lab.engine.lifecycle.project import LabProject
from lab.errors import EnvironmentFailure
from lab.topology.compose.images import NodeImage

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    "environment",
    [{}, {"SERVER_BASE": "debian:13"}, {"SERVER_BASE": "z", "CLIENT_BASE": "b"}, {"CLIENT_BASE": ""}],
)
def test_the_digest_is_that_of_the_setup_script(environment: dict[str, str]) -> None:
    script = ["bash", "-c", '. "$0"/scripts/setup; source_digest', str(ROOT)]
    plain = {name: value for name, value in os.environ.items() if name not in images.BASES}
    done = subprocess.run(script, env=plain | environment, capture_output=True, text=True, timeout=60)
    assert images.source_digest(shipped.IMAGES, environment) == done.stdout.strip()


def test_bytecode_is_no_part_of_the_digest(tmp_path: Path) -> None:
    images_folder = tmp_path / "images"
    shutil.copytree(shipped.IMAGES, images_folder)
    (images_folder / "host/__pycache__").mkdir(exist_ok=True)
    (images_folder / "host/__pycache__/boot.cpython-311.pyc").write_text("bytecode")
    script = ["bash", "-c", '. "$0"/scripts/setup; root=$1; source_digest', str(ROOT), str(tmp_path)]
    done = subprocess.run(script, capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == images.source_digest(images_folder) == images.source_digest()


def test_the_digest_changes_with_each_file_and_name(tmp_path: Path) -> None:
    def digest() -> str:
        return images.source_digest(tmp_path, {})

    digests = [digest()]
    (tmp_path / "Dockerfile").write_text("FROM a")
    digests.append(digest())
    (tmp_path / "Dockerfile").write_text("FROM b")
    digests.append(digest())
    (tmp_path / "Dockerfile").rename(tmp_path / "Other")
    digests.append(digest())
    (tmp_path / "host").mkdir()
    (tmp_path / "Other").rename(tmp_path / "host/Other")
    digests.append(digest())
    assert len({*digests}) == len(digests)


def test_a_user_reads_which_images_are_built_and_why() -> None:
    def texts(**sources: str | None) -> list[str]:
        needed = [(NodeImage(f"socketlab/{name}", name, "b"), source) for name, source in sources.items()]
        return [str(notice) for notice in images.notices(needed)]

    assert texts(host=None, router=None) == [
        "building socketlab/host, socketlab/router: this takes about a minute the first time"
    ]
    assert texts(host="0123", router=None) == [
        "building socketlab/host again: they belong to another version",
        "building socketlab/router: this takes about a minute the first time",
    ]
    assert "150 MB larger" in texts(windows=None)[-1]
    assert "150 MB" not in str(texts(windows="0123"))


# --- on an engine

DESCRIPTION = """
name = "{name}"
[hosts.one]
base = "{base}"
"""


@pytest.fixture
def described(tmp_path: Path) -> Iterator[LabProject]:
    """A lab with one host, whose image has a name that no other lab uses."""
    name = f"socketlab-images-{os.getpid()}"
    base = f"{name}:base"
    subprocess.run(["docker", "tag", images.DEFAULT_BASE, base], check=True, timeout=60)
    (tmp_path / "lab.toml").write_text(DESCRIPTION.format(name=name, base=base))
    project = LabProject.of_file(tmp_path / "lab.toml", environ={})
    [image] = {image.name for image in project.images(project.plan())} - {"socketlab/router"}
    yield project
    project.down()
    subprocess.run(["docker", "image", "rm", "--force", image, base], timeout=60, capture_output=True)


@pytest.mark.lab
def test_an_image_of_another_version_is_built_again_with_a_notice(
    described: LabProject, tmp_path: Path
) -> None:
    [image] = [image for image in described.images(described.plan()) if image.service == "one"]
    (tmp_path / "Dockerfile").write_text("FROM scratch\nLABEL socketlab.source=0123456789abcdef\n")
    subprocess.run(["docker", "build", "-q", "-t", image.name, tmp_path], check=True, timeout=60)
    reported: list[str] = []
    described.up(report=reported.append)
    notices = [line for line in reported if isinstance(line, Notice)]
    assert notices == [f"building {image.name} again: they belong to another version"]
    with Engine() as engine:
        assert engine.image_labels(images.LABEL)[f"{image.name}:latest"] == images.source_digest()
        assert engine.states(described.project)["one"] == "healthy"
        assert images.outdated(engine, described.images(described.plan()), images.source_digest()) == []


@pytest.mark.lab
def test_a_node_with_an_image_of_another_version_is_not_used(described: LabProject) -> None:
    described.up()
    with Engine() as engine:
        images.require_version(engine, described.project, images.source_digest())
        with pytest.raises(EnvironmentFailure, match="another version built its images"):
            images.require_version(engine, described.project, "0123456789abcdef")


@pytest.mark.lab
def test_a_missing_base_image_is_named_with_its_remedy(tmp_path: Path) -> None:
    (tmp_path / "lab.toml").write_text(DESCRIPTION.format(name="no-base", base="socketlab-test/no-base:1"))
    project = LabProject.of_file(tmp_path / "lab.toml", environ={})
    with pytest.raises(EnvironmentFailure, match="^socketlab-test/no-base:1 is not on") as raised:
        project.up()
    assert "docker load" in str(raised.value)
    assert "\n" not in str(raised.value)
    with Engine() as engine:
        assert engine.resources(project.project) == []


@pytest.mark.lab
def test_the_remedy_for_the_default_base_is_a_command() -> None:
    missing = [NodeImage("socketlab/host", "one", images.DEFAULT_BASE)]

    class WithoutImages(Engine):
        def has_image(self, name: str) -> bool:
            return False

    with WithoutImages() as engine, pytest.raises(EnvironmentFailure) as raised:
        images.require_bases(engine, missing, EnvironmentFailure("a\nfailed to resolve"))
    assert "(failed to resolve)" in str(raised.value)
    assert "| docker import - debian:trixie-slim" in str(raised.value)
