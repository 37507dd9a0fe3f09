"""Commands that change the router's kernel. Their effects are tested in tests/control/link/test_link.py."""

import pytest

from lab.agent.lines import ENVIRONMENT, Refused
from lab.agent.link.kernel_settings import CommandFailure, run


@pytest.fixture
def hang(tmp_path, monkeypatch):
    """The name of a command on PATH that doesn't exit in time."""
    script = tmp_path / "hang"
    script.write_text("#!/bin/sh\nexec sleep 30\n")
    script.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    return script.name


def test_a_command_that_hangs_is_an_environment_failure_in_one_line(hang):
    with pytest.raises(Refused, match="^hang -j: not finished within 0.2 s$") as caught:
        run([hang, "-j"], timeout=0.2)
    assert caught.value.code == ENVIRONMENT
    assert not isinstance(caught.value, CommandFailure)  # so that a backend isn't reported as missing


def test_a_command_that_fails_is_reported_with_its_error_output():
    with pytest.raises(CommandFailure, match="^sh -c .*: no such qdisc$") as caught:
        run(["sh", "-c", "echo no such qdisc >&2; exit 2"])
    assert caught.value.code == ENVIRONMENT
