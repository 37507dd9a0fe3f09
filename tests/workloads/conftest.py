"""A lab of packaged servers, each image unmodified, and a client behind the router."""

from pathlib import Path

import pytest

from tests.described_lab import lab_from, opened

IMAGES = Path(__file__).parents[1] / "images"
PACKAGED = """
[segments]
clients = {{}}
servers = {{}}
[hosts.alice]
segment = "clients"
[hosts.cache]
segment = "servers"
build = "{images}/redis"
ready = "tcp 6379"
[hosts.web]
segment = "servers"
build = "{images}/nginx"
ready = "http 80/"
mounts = ["{pages}:/var/www/html", "{pages}:/read-only:ro"]
[hosts.db]
segment = "servers"
build = "{images}/postgres"
ready = "log database system is ready"
[hosts.greeter]
segment = "servers"
build = "{images}/scratch"
command = ["7000"]
ready = "tcp 7000"
[hosts.mortal]
segment = "servers"
build = "{images}/scratch"
command = ["7000", "1"]
ready = "tcp 7000"
"""


@pytest.fixture(scope="session")
def pages(tmp_path_factory):
    """A folder of the user's that the web server has mounted."""
    folder = tmp_path_factory.mktemp("pages")
    folder.chmod(0o755)  # nginx reads it as another user
    (folder / "index.html").write_text("first\n")
    return folder


@pytest.fixture(scope="session")
def packaged(pages, tmp_path_factory):
    """The name of the lab."""
    file = tmp_path_factory.mktemp("packaged") / "lab.toml"
    file.write_text(PACKAGED.format(images=IMAGES, pages=pages))
    with lab_from(file, "packaged") as project:
        yield project


@pytest.fixture(scope="session")
def observed(packaged):
    """The lab, open for all tests, and the list of its events."""
    events = []
    with opened(packaged, events.append) as lab:
        yield lab, events


@pytest.fixture
def seen(observed):
    """The events of the test."""
    _, events = observed
    events.clear()
    return events


@pytest.fixture
def servers(observed):
    """The lab."""
    lab, _ = observed
    return lab
