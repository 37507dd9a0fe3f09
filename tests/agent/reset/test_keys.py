"""The keys that all nodes share are restored, whatever a program has put in their place."""

import os

import pytest

from lab.agent.reset import keys

NAMES = ("authorized_keys", "user", "user.pub", "host_server", "host_server.pub")


@pytest.fixture
def folder(tmp_path):
    for name in NAMES:
        (tmp_path / name).write_text(f"ssh-ed25519 {name} lab\n")
    (tmp_path / "known_hosts").write_text("server ssh-ed25519 host_server.pub\n")
    (tmp_path / ".lock").touch()
    return tmp_path


def replaced_by_pipe(folder, name):
    (folder / name).unlink(missing_ok=True)
    os.mkfifo(folder / name)


def replaced_by_folder(folder, name):
    (folder / name).unlink(missing_ok=True)
    (folder / name / "below").mkdir(parents=True)


def replaced_by_link(folder, name):
    (folder / name).unlink(missing_ok=True)
    (folder / name).symlink_to("/nowhere")


@pytest.mark.timeout(10)
@pytest.mark.parametrize("replace", [replaced_by_pipe, replaced_by_folder, replaced_by_link])
@pytest.mark.parametrize("name", [*NAMES, "known_hosts", ".lock", "host_other.pub", "junk"])
def test_only_the_kept_files_are_left(folder, name, replace):
    kept = keys.current("server", folder)
    replace(folder, name)
    (found,) = keys.reset(kept, folder)
    assert str(folder / name) in found.items
    assert {path.name for path in folder.iterdir()} == {*NAMES, "known_hosts", ".lock"}
    assert keys.current("server", folder) == kept
    assert keys.reset(kept, folder) == []
