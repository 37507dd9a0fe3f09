"""Images are small, and hold no secret."""

import subprocess

import pytest

from .conftest import ROOT

FLAVOURS = ("host", "client", "router", "runner", "windows")
LIMIT = 300_000_000
LIMIT_WITH_WINE = 400_000_000
# -I skips binaries that contain the text; a key file begins with it.
FIND_KEYS = "find / -xdev -type f -size -64k -exec grep -lIE '^-----BEGIN ([A-Z]+ )*PRIVATE KEY' {} +"

pytestmark = pytest.mark.lab


def docker(*argv: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["docker", *argv], capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_an_image_is_small(flavour: str) -> None:
    size = int(docker("image", "inspect", "--format", "{{.Size}}", f"socketlab/{flavour}").stdout)
    assert 50_000_000 < size < (LIMIT_WITH_WINE if flavour == "windows" else LIMIT)


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_no_image_holds_a_private_key(flavour: str) -> None:
    inside = ("run", "--rm", "--network=none", "--user=root", "--entrypoint=sh", f"socketlab/{flavour}", "-c")
    assert docker(*inside, FIND_KEYS).stdout == ""
    # The search does find one that is there.
    made = docker(*inside, f"ssh-keygen -q -t ed25519 -N '' -f /var/key; {FIND_KEYS}")
    assert made.stdout == "/var/key\n"


@pytest.mark.parametrize("flavour", ["host", "client", "router", "windows"])
def test_a_hosts_image_starts_as_lab(flavour: str) -> None:
    assert (
        docker("image", "inspect", "--format", "{{.Config.User}}", f"socketlab/{flavour}").stdout == "lab\n"
    )


def test_modes_do_not_come_from_the_checkout() -> None:
    lines = (ROOT / "images/Dockerfile").read_text().splitlines()
    copies = [line for line in lines if line.startswith("COPY")]
    assert copies
    assert all("--chmod=" in line for line in copies)


def test_python_packages_come_from_the_distribution() -> None:
    assert "pip" not in (ROOT / "images/Dockerfile").read_text()
