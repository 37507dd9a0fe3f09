"""docker-compose.yml: the same project in every checkout."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from lab.engine.lifecycle.project import PROJECT

ROOT = Path(__file__).parents[2]


def config(folder, *options, **environment):
    """The project as Compose resolves it."""
    plain = {name: value for name, value in os.environ.items() if name != "COMPOSE_PROJECT_NAME"}
    done = subprocess.run(
        ["docker", "compose", *options, "config", "--format", "json"],
        cwd=folder,
        env=plain | environment,
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture
def checkout(tmp_path):
    """A checkout in a folder with another name."""
    folder = tmp_path / "my-network-course"
    folder.mkdir()
    shutil.copy(ROOT / "docker-compose.yml", folder)
    return folder


def test_the_project_is_the_one_that_lab_looks_for_whatever_the_folder_is_called(checkout):
    assert config(checkout)["name"] == PROJECT


def test_another_project_can_still_be_chosen(checkout):
    assert config(checkout, COMPOSE_PROJECT_NAME="other")["name"] == "other"
    assert config(checkout, "-p", "third", COMPOSE_PROJECT_NAME="other")["name"] == "third"
