"""host.exec: a command in the user's container."""

import time

import pytest

from lab.control.program import CommandFailed, CommandTimeout
from lab.errors import UsageError

pytestmark = [pytest.mark.lab, pytest.mark.xdist_group("workloads")]


def test_a_list_is_started_as_it_is_and_a_text_by_the_shell(servers):
    assert servers.cache.exec(["echo", "$HOME *"]).stdout == "$HOME *\n"
    result = servers.cache.exec("echo out; echo err >&2; exit 3")
    assert (result.stdout, result.stderr, result.exit_code) == ("out\n", "err\n", 3)


def test_it_runs_as_the_user_of_the_image(servers):
    assert servers.db.exec(["whoami"]).stdout == "postgres\n"
    assert servers.cache.exec(["whoami"]).stdout == "redis\n"


def test_input_is_passed_on(servers):
    assert servers.cache.exec(["cat"], stdin="hello").stdout == "hello"
    assert servers.greeter.exec(["/hello", "echo"], stdin=b"hello").stdout == "hello"


def test_a_failure_is_raised_on_request(servers):
    with pytest.raises(CommandFailed, match="cache.*false: exit code 1"):
        servers.cache.exec(["false"], check=True)


def test_an_end_by_a_signal_is_reported(servers):
    result = servers.cache.exec("kill -TERM $$")
    assert (result.exit_code, result.signal, result.ending) == (None, "TERM", "killed by SIGTERM")


@pytest.mark.parametrize(
    ("host", "command"),
    [("cache", "sleep 1000"), ("greeter", ["/hello", "sleep"])],
    ids=["shell", "no shell"],
)
def test_the_command_is_killed_at_the_deadline(servers, host, command):
    before = len(servers[host].workload.container.top()["Processes"])
    started = time.monotonic()
    with pytest.raises(CommandTimeout, match=r"killed after 0.3 s"):
        servers[host].exec(command, timeout=0.3)
    assert time.monotonic() - started < 10
    assert len(servers[host].workload.container.top()["Processes"]) == before


def test_a_text_for_an_image_without_a_shell_is_an_error_with_its_remedy(servers):
    with pytest.raises(UsageError, match="the image of greeter has no shell: pass the command as a list"):
        servers.greeter.exec("echo hello")


def test_a_program_that_is_not_in_the_image_fails_as_in_a_shell(servers):
    result = servers.greeter.exec(["/bin/nothing"])
    assert result.exit_code in (126, 127)
    assert "no such file or directory" in result.stderr


def test_a_host_without_a_container_refuses(servers):
    with pytest.raises(UsageError, match="alice has no container of yours; `run` runs a command on the host"):
        servers.alice.exec(["true"])


def test_it_is_in_the_timeline_as_a_command_is(servers, seen):
    servers.cache.exec("echo hello; exit 3")
    assert [(event.kind, getattr(event, "line", "")) for event in seen] == [
        ("start", ""),
        ("output", "hello"),
        ("exit", ""),
    ]
    assert seen[0].node == "cache"
