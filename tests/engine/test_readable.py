"""Files that the nodes mount must be readable by the user lab of the images."""

import os
from pathlib import Path

import pytest

from lab.engine.readable import NODE_ID, readable, require_readable
from lab.errors import EnvironmentFailure


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    code = tmp_path / "lab"
    (code / "agent").mkdir(parents=True, mode=0o755)
    (code / "agent/one.py").touch(mode=0o644)
    return code


def test_an_installation_that_everybody_can_read_is_accepted(folder: Path) -> None:
    (folder / "agent/__pycache__").mkdir(mode=0o700)
    (folder / "agent/gone.py").symlink_to("nowhere")
    require_readable([folder])


@pytest.mark.parametrize(("name", "mode"), [("agent/one.py", 0o600), ("agent", 0o700), (".", 0o750)])
def test_the_first_unreadable_file_or_folder_is_named(folder: Path, name: str, mode: int) -> None:
    (folder / name).chmod(mode)
    with pytest.raises(EnvironmentFailure) as raised:
        require_readable([folder])
    assert f"can't read {folder / name}" in str(raised.value)
    assert f"chmod -R go+rX {folder}" in str(raised.value)


@pytest.mark.parametrize(
    ("mode", "uid", "gid", "expected"),
    [
        (0o100644, 0, 0, True),
        (0o100600, 0, 0, False),
        (0o100600, NODE_ID, 0, True),
        (0o100640, 0, NODE_ID, True),
        (0o100204, 0, NODE_ID, False),
        (0o040755, 0, 0, True),
        (0o040744, 0, 0, False),
        (0o040700, NODE_ID, NODE_ID, True),
    ],
)
def test_the_modes_are_those_of_the_class_that_the_user_is_in(
    mode: int, uid: int, gid: int, expected: bool
) -> None:
    assert readable(os.stat_result((mode, 0, 0, 1, uid, gid, 0, 0, 0, 0))) is expected
