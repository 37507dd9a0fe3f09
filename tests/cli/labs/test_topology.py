"""`lab topology`: the plan as a table, as a Compose file, as pictures and as JSON."""

import gc
import json
import shutil

import pytest
from typer.testing import CliRunner

from lab.cli.app import app
from lab.topology.description import parse
from lab.topology.picture import mermaid, svg
from lab.topology.plan import plan

LAB = """
mgmt = "10.9.0.0/24"
[segments]
home = "10.1.0.0/24"
wan = { prefix = "10.2.0.0/24", ipv6 = false, mtu = 1400 }
[hosts.alice]
segment = "home"
count = 2
[hosts.web]
segment = "wan"
aliases = ["www"]
image = "nginx:1.27"
ready = "http 80/[health]"
[routers.box]
segments = ["home", "wan"]
nat = "home"
forward = { 8080 = "alice-1:80" }
"""
NO_ENGINE = "unix:///nowhere.sock"

pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")


@pytest.fixture
def lab_cli(monkeypatch, tmp_path):
    """Runs a command in a folder with LAB as its lab.toml."""
    for name in ("COMPOSE_PROJECT_NAME", "LAB_HOME_PREFIX"):
        monkeypatch.delenv(name, raising=False)
    folder = tmp_path / "shop"
    folder.mkdir()
    (folder / "lab.toml").write_text(LAB)
    monkeypatch.chdir(folder)
    return lambda *words: CliRunner().invoke(app, words)


@pytest.fixture
def no_engine(monkeypatch):
    """The Docker SDK leaves a socket that failed to connect to the garbage collector."""
    monkeypatch.setenv("DOCKER_HOST", NO_ENGINE)
    yield
    gc.collect()


def rows(output):
    """The lines of the output, each as its words."""
    return [line.split() for line in output.splitlines()]


@pytest.mark.usefixtures("no_engine")
def test_the_plan_is_a_table_of_segments_and_one_of_nodes(lab_cli):
    result = lab_cli("topology")
    assert (result.exit_code, result.stderr) == (0, "")
    lines = rows(result.stdout)
    assert lines[0] == "shop · not up · mgmt 10.9.0.0/24".split()
    assert ["home", "10.1.0.0/24", "fd28:1::/64"] in lines
    assert ["wan", "10.2.0.0/24", "–", "1400"] in lines
    assert ["alice-2", "home", "10.1.0.11", "fd28:1::11", "default", "via", "10.1.0.2"] in lines
    assert ["www", "(web)", "wan", "10.2.0.10", "–", "nginx:1.27", "http", "80/[health]"] in lines
    assert ["box", "home", "10.1.0.2", "fd28:1::2", "NAT", "for", "home"] in lines
    assert ["wan", "10.2.0.2", "–", "8080", "→", "alice-1:80"] in lines


@pytest.mark.usefixtures("no_engine")
def test_a_column_without_values_is_left_out(lab_cli, tmp_path):
    (tmp_path / "shop/lab.toml").write_text("[hosts.alice]\n[hosts.bob]\n")
    heading = next(line for line in rows(lab_cli("topology").stdout) if line[:1] == ["node"])
    assert heading == ["node", "segment", "IPv4", "IPv6", "routes"]


@pytest.mark.usefixtures("no_engine")
def test_the_pictures_are_printed(lab_cli):
    planned = plan(parse(LAB, name="shop"))
    assert lab_cli("topology", "--svg").stdout == svg(planned)
    assert lab_cli("topology", "--mermaid").stdout == mermaid(planned)


@pytest.mark.usefixtures("no_engine")
def test_the_plan_is_json_for_programs(lab_cli):
    found = json.loads(lab_cli("topology", "--json").stdout)
    assert found["project"] == "shop"
    assert found["mgmt"] == "10.9.0.0/24"
    assert found["segments"][1] == {"name": "wan", "networks": ["10.2.0.0/24"], "mtu": 1400}
    assert [node["name"] for node in found["nodes"]] == ["alice-1", "alice-2", "web", "box"]
    assert found["nodes"][3]["forwards"] == [
        {"port": 8080, "to": 80, "address": "10.1.0.10", "address6": "fd28:1::10", "protocol": "tcp"}
    ]


@pytest.mark.usefixtures("no_engine")
def test_the_compose_file_has_each_node_and_workload(lab_cli):
    text = lab_cli("topology", "--compose").stdout
    for service in ("alice-1", "alice-2", "web", "web-workload", "box"):
        assert f"\n  {service}:\n" in text
    assert "ipv4_address: 10.1.0.10\n" in text


@pytest.mark.usefixtures("no_engine")
@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--svg", "--json"], "choose one of --compose, --mermaid, --svg and --json"),
        (["-f", "nowhere.toml"], "no file nowhere.toml"),
    ],
)
def test_a_usage_error_is_one_line(lab_cli, words, text):
    result = lab_cli("topology", *words)
    assert result.exit_code == 2
    assert text in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_each_mistake_is_a_line_with_file_line_and_remedy(lab_cli, tmp_path):
    (tmp_path / "shop/lab.toml").write_text("[hosts.alice]\nimgae = 'x'\ncount = 0\n")
    result = lab_cli("topology")
    assert result.exit_code == 2
    first, second = result.stderr.splitlines()
    assert first.startswith("lab: lab.toml:2: hosts.alice.imgae: unknown key; did you mean 'image'?")
    assert second.startswith("lab.toml:3: hosts.alice.count: 0 is out of range; use 1 to 200")


@pytest.mark.skipif(not shutil.which("docker"), reason="Compose reads the user's file")
@pytest.mark.usefixtures("no_engine")
@pytest.mark.parametrize("words", [[], ["--compose"], ["--json"]])
def test_a_mistake_in_the_users_compose_file_is_a_line_with_file_and_line_too(lab_cli, tmp_path, words):
    services = "services:\n  web: {image: x, depends_on: [db]}\n  db: {image: x}\n"
    (tmp_path / "shop/theirs.yml").write_text(services)
    (tmp_path / "shop/lab.toml").write_text('compose = "theirs.yml"\n[hosts.web]\nservice = "web"\n')
    result = lab_cli("topology", *words)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == (
        "lab: lab.toml:3: hosts.web.service: the service web depends on db, which isn't a host; "
        'add [hosts.db] with service = "db"\n'
    )


@pytest.mark.lab
def test_the_state_of_each_node_of_a_lab_that_is_up_is_shown(lab_cli, lab_topology):
    result = lab_cli("topology", "-f", "default", "-p", lab_topology.project)
    lines = rows(result.stdout)
    assert lines[0][:3] == [lab_topology.project, "·", "up"]
    states = [line[:3] for line in lines if "healthy" in line]
    assert states == [
        ["win10", "(server)", "healthy"],
        ["kali", "(client)", "healthy"],
        ["router", "healthy", "clients"],
    ]
    found = json.loads(lab_cli("topology", "-f", "default", "-p", lab_topology.project, "--json").stdout)
    assert {node["state"] for node in found["nodes"]} == {"healthy"}
    for node in lab_topology.attached().plan().nodes:
        assert node.address in result.stdout  # the prefixes that it was started with
