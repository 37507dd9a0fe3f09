"""`--help` and errors in the reader's language, including the texts of the libraries."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.main import get_command

from lab.cli.app import app

ROOT = Path(__file__).parents[2]
LETTERS = re.compile(r"[a-z]{3,}", re.IGNORECASE)
CHINESE = re.compile(r"[\u3400-\u9fff]")
FRAME = ("Usage", "Options", "Arguments", "Commands", "Show this message")
PRINT_ALL = """
import json, sys
from lab.locale import translate_libraries
translate_libraries()
from typer.testing import CliRunner
from lab.cli.app import app
print(json.dumps([CliRunner().invoke(app, [*words, "--help"]).stdout for words in json.load(sys.stdin)]))
"""


def commands(group=None, path=()):
    """The words of each command and group: (), ("run",), ("link", "set"), …"""
    group = group or get_command(app)
    yield path
    for name, command in group.commands.items():
        below = (*path, name)
        command = command.loaded() if hasattr(command, "loaded") else command
        yield from commands(command, below) if hasattr(command, "commands") else [below]


ALL = list(commands())


def python(*arguments, language, **options):
    """Python in a process of its own: the language of the help is decided at its start."""
    environment = {**os.environ, "LANG": language, "COLUMNS": "200", "NO_COLOR": "1", "PYTHONPATH": str(ROOT)}
    for name in ("LANGUAGE", "LC_ALL", "LC_MESSAGES"):
        environment.pop(name, None)
    argv = [sys.executable, "-P", *arguments]
    return subprocess.run(argv, env=environment, capture_output=True, encoding="utf-8", timeout=60, **options)


def lab(*words, language):
    return python("-m", "lab", *words, language=language)


@pytest.fixture(scope="module")
def chinese():
    """The help of every command, by its words."""
    done = python("-c", PRINT_ALL, language="zh_CN.UTF-8", input=json.dumps(ALL))
    assert done.returncode == 0, done.stderr
    return dict(zip(ALL, json.loads(done.stdout), strict=True))


@pytest.mark.parametrize("words", ALL, ids=" ".join)
def test_the_help_of_every_command_is_chinese(chinese, words):
    shown = chinese[words]
    assert not [word for word in FRAME if word in shown]
    assert "用法：" in shown
    assert [text for text in help_texts(shown) if not CHINESE.search(text)] == []


@pytest.mark.parametrize("words", ALL[1:], ids=" ".join)
def test_the_help_of_every_command_has_an_example(chinese, words):
    line = " ".join(["lab", *words])
    assert any(shown.strip().startswith(line) for shown in chinese[words].splitlines())


def options(words):
    command = get_command(app)
    for word in words:
        command = command.commands[word]
        command = command.loaded() if hasattr(command, "loaded") else command
    return {name for param in command.params for name in param.opts}


@pytest.mark.parametrize("words", [words for words in ALL if "--project" in options(words)], ids=" ".join)
def test_every_command_that_takes_the_name_of_a_lab_takes_its_description(words):
    assert {"-p", "--file", "-f"} <= options(words)


def help_texts(shown):
    """The texts of options, arguments and commands: the last column of each row of a panel."""
    rows = [line.strip("│ ").rstrip() for line in shown.splitlines() if line.startswith("│")]
    texts = [re.split(r"\s{2,}", row)[-1] for row in rows]
    return [text for text in texts if LETTERS.search(text)]


def test_the_help_is_english_in_other_languages():
    shown = lab("run", "--help", language="fr_FR.UTF-8").stdout
    assert "Usage: lab run" in shown
    assert "Show this message and exit." in shown
    assert not CHINESE.search(shown)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["run"], "没有指定场景"),
        (["run", "tcp-hallo"], "没有场景 'tcp-hallo'"),
        (["trace", "nope", "--runs", "/nowhere"], "/nowhere 中没有运行记录"),
        (["dance"], "没有命令 'dance'"),
        (["up", "-p", "No Name"], "'No Name' 不能用作项目名"),
        (["up", "--prefix", "8.8.8"], "'8.8.8' 不是 NETWORK=PREFIX 的形式"),
    ],
)
def test_errors_are_in_the_readers_language(words, said):
    done = lab(*words, language="zh_CN.UTF-8")
    assert done.returncode == 2
    assert said in done.stderr


def test_the_option_decides_on_the_language_of_an_error():
    assert "没有场景" in lab("run", "tcp-hallo", "--lang", "zh", language="C.UTF-8").stderr


PROGRAMS = {
    "echo": ("serve", "send"),
    "udp": ("serve", "send"),
    "command": ("serve", "run"),
    "transfer": ("serve", "put", "get", "list", "stat", "mkdir", "remove"),
}


@pytest.mark.parametrize(
    "words", [(program, *action) for program, actions in PROGRAMS.items() for action in ((), *zip(actions))]
)
def test_the_help_of_the_programs_is_chinese(words):
    program, *action = words
    done = python("-m", f"lab.programs.{program}", *action, "--help", language="zh_CN.UTF-8")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("用法：")
    assert not re.search("usage|options:|show this|default: ", done.stdout)
    assert CHINESE.search(done.stdout.partition("\n\n")[2].partition("\n")[0])
