"""How a command becomes a process. Wine is tested on a host that has it (tests/profiles)."""

import os

import pytest

from lab.programs.command import cli as command
from lab.programs.command.interpreter import MAX_LINE, UnixShell, WineCmd, interpreter
from lab.programs.transfer import cli as transfer
from lab.protocols.errors import RemoteProtocolError
from tests.programs.command.command_rig import serving


def test_a_path_is_run_as_a_unix_shell():
    shell = interpreter("/bin/sh")
    assert shell.encoding == "utf-8"
    assert shell.call("echo 上海".encode()) == ([b"/bin/sh", b"-c", "echo 上海".encode()], {})
    assert interpreter("/bin/sh", "gbk").encoding == "gbk"


def test_a_command_for_cmd_is_passed_as_utf8_outside_the_arguments():
    argv, variables = WineCmd("/usr/bin/wine").call('echo "a|b" 上海 %OS%'.encode("gbk"))
    assert argv[0] == b"/usr/bin/wine"
    assert not any(b"echo" in argument or b'"' in argument or b" " in argument for argument in argv)
    assert variables == {b"LAB_COMMAND": 'echo "a|b" 上海 %OS%'.encode(), b"LAB_QUOTE": b'"'}


def test_the_limit_of_cmd_counts_characters():
    assert WineCmd("wine").call(("中" * MAX_LINE).encode("gbk"))
    with pytest.raises(RemoteProtocolError, match="at most 8000 characters") as caught:
        WineCmd("wine").call(b"x" * (MAX_LINE + 1))
    assert caught.value.code == "command-too-long"


def test_cmd_is_wine_on_the_path(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(FileNotFoundError, match="no wine on the PATH"):
        interpreter("cmd")
    wine = tmp_path / "wine"
    wine.write_text("#!/bin/sh\n")
    wine.chmod(0o755)
    assert interpreter("cmd") == WineCmd(str(wine), "gbk")


def test_a_missing_shell_is_reported():
    with pytest.raises(FileNotFoundError):
        interpreter("/nowhere/sh")


@pytest.mark.parametrize(("named", "shell"), [(None, "/bin/sh"), ("", "/bin/sh"), ("cmd", "cmd")])
def test_the_environment_names_the_default(named, shell, monkeypatch):
    monkeypatch.delenv("LAB_SHELL", raising=False)
    if named is not None:
        monkeypatch.setenv("LAB_SHELL", named)
    assert command.parse(["serve"]).shell == shell
    assert command.parse(["serve", "--shell", "/bin/bash"]).shell == "/bin/bash"


def test_an_invalid_rule_for_names_in_the_environment_is_refused(monkeypatch, capsys):
    monkeypatch.setenv("LAB_FILE_NAMES", "windows")
    assert transfer.parse(["serve"]).names == "windows"
    assert transfer.parse(["serve", "--names", "any"]).names == "any"
    monkeypatch.setenv("LAB_FILE_NAMES", "dos")
    with pytest.raises(SystemExit) as caught:
        transfer.parse(["serve"])
    assert caught.value.code == 2
    assert "'dos' is neither any nor windows" in capsys.readouterr().err


def test_without_wine_the_server_exits_with_an_error(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("sys.argv", ["lab-command", "serve", "--port", "0", "--shell", "cmd"])
    with pytest.raises(SystemExit) as caught:
        command.main()
    assert caught.value.code == 3
    assert "no wine on the PATH" in capsys.readouterr().err


def test_another_unix_shell_runs_commands(tmp_path):
    assert UnixShell("/bin/sh") == interpreter("/bin/sh")
    with serving("--shell", os.path.realpath("/bin/sh")) as server:
        assert server.port
