"""The runner's welcome: what can be done on the lab."""

import pytest

from lab.cli import runner
from lab.cli.runner import welcome
from lab.scenarios import catalog
from lab.topology.node import Interface, Node, to_file

NODES = [
    Node("web", "host", ("web", "nginx"), (Interface("office", "192.0.2.9/24", "2001:db8::9/64"),)),
    Node("edge", "router", ("edge",), (Interface("office", "192.0.2.2/24", "2001:db8::2/64"),)),
]


def test_it_names_the_nodes_of_the_lab_and_the_scenarios():
    shown = welcome(NODES, "en")
    assert shown.startswith("The lab is up: web (nginx) · edge\n")
    assert "docker compose exec web bash           a shell on nginx" in shown
    assert "docker compose exec edge" not in shown
    assert all(name in shown for name in catalog.names())


def test_it_is_in_the_readers_language():
    assert welcome(NODES, "zh-CN").startswith("实验环境已启动：web (nginx) · edge\n")


@pytest.fixture
def in_the_runner(monkeypatch, tmp_path):
    topology = tmp_path / "topology.json"
    topology.write_text(to_file(NODES))
    monkeypatch.setenv("LAB_TOPOLOGY", str(topology))
    monkeypatch.setenv("LAB_SSH_KEY", str(tmp_path / "key"))
    monkeypatch.setenv("LAB_KNOWN_HOSTS", str(tmp_path / "known"))
    monkeypatch.delenv("SCENARIO", raising=False)


def test_without_a_scenario_the_welcome_is_printed(in_the_runner, capsys):
    assert runner.main([]) == 0
    assert capsys.readouterr().out.startswith("The lab is up: web (nginx) · edge\n")


def test_an_unknown_scenario_is_a_usage_error(in_the_runner, capsys):
    assert runner.main(["tcp-hallo"]) == 2
    assert capsys.readouterr().err.startswith("runner: no scenario 'tcp-hallo'; did you mean tcp-hello?")
