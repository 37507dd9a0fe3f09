"""Plain data as YAML, read back by Compose."""

import json
import subprocess

import pytest

from lab.topology.compose.yaml import as_yaml, scalar

DATA = {
    "services": {
        "web": {
            "image": "nginx:1.27",
            "command": ["sh", "-c", "echo 'a: b' # no comment\n\"next\""],
            "environment": {"YES": "yes", "NUMBER": "1", "EMPTY": "", "TEXT": "- 你好: {x}", "NOTHING": None},
            "healthcheck": {"test": ["CMD", "true"], "retries": 3, "disable": False},
            "ports": [],
            "volumes": [
                {"type": "bind", "source": "/a b", "target": "/c", "bind": {"create_host_path": False}},
                {"type": "tmpfs", "target": "/t"},
            ],
        }
    }
}


def resolved(text):
    done = subprocess.run(
        ["docker", "compose", "-p", "x", "-f", "-", "config", "--format", "json"],
        input=text,
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_compose_reads_the_same_values():
    assert resolved(as_yaml(DATA)) == resolved(json.dumps(DATA))


def test_every_character_is_kept():
    special = "\x85|\u2028|\t|\x7f|\ufeff|🙂|é"
    service = {"image": "x", "environment": {"A": special}}
    assert resolved(as_yaml({"services": {"web": service}}))["services"]["web"]["environment"] == {
        "A": special
    }


@pytest.mark.parametrize("text", ["nginx:1.27", "./lab:/opt/lab:ro", "/a", "${NAME:-x}/y", "a"])
def test_a_simple_string_has_no_quotes(text):
    assert scalar(text) == text


@pytest.mark.parametrize("text", ["yes", "Null", "a: b", "a:", "1.5", "-", "a #b", "", "*a", "{a}", "a\n"])
def test_a_string_with_another_meaning_in_yaml_has_quotes(text):
    assert scalar(text) == json.dumps(text)
