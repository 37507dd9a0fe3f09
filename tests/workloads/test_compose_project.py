"""A Compose project of two services, written without the lab in mind, as two hosts of a lab."""

from pathlib import Path

import pytest

from lab.engine.workloads.user_config import user_config
from lab.errors import UsageError
from tests.described_lab import lab_from, opened

pytestmark = [pytest.mark.lab, pytest.mark.xdist_group("workloads")]

PROJECT = Path(__file__).parent / "counter"
FETCH = "import urllib.request; print(urllib.request.urlopen('http://web:8000/', timeout=5).read().decode())"


REPORTED = []


@pytest.fixture(scope="module")
def project():
    with lab_from(PROJECT / "lab.toml", "counter", REPORTED) as project:
        yield project


@pytest.fixture
def counter(project):
    with opened(project, lambda event: None) as lab:
        yield lab


def test_both_services_work_together_over_the_router(counter):
    """With build, env_file, environment, bind mount, dependency; and the name of the service db resolves."""
    pages = [counter.alice.python(FETCH, check=True).stdout.strip() for _ in range(2)]
    first = int(pages[0].split("visitor ")[1].split(".")[0])
    assert pages == [f"Welcome! You are visitor {first + n}. Pay 5$." for n in range(2)]
    path = counter.alice.run("traceroute -n -q 1 -w 1 web", check=True).lines[1:]
    assert len(path) == 2


def test_a_named_volume_outlives_a_power_cut(counter):
    counter.database.exec(["redis-cli", "SET", "kept", "yes"], check=True)
    assert counter.database.exec(["redis-cli", "SAVE"]).stdout == "OK\n"
    counter.database.reboot()
    assert counter.database.exec(["redis-cli", "GET", "kept"]).stdout == "yes\n"


def test_only_the_named_services_run_and_the_others_are_reported(counter):
    assert sorted(host.name for host in counter.hosts if host.workload) == ["database", "web"]
    assert "The service inspector is left out: no host uses it." in REPORTED
    assert any(line.startswith("The published ports of web are left out") for line in REPORTED)
    assert "database is ready: healthcheck" in REPORTED


def test_a_compose_file_with_a_mistake_is_an_error_in_one_line(tmp_path):
    file = tmp_path / "docker-compose.yml"
    file.write_text("services:\n  web: {imag: x}\n")
    with pytest.raises(UsageError) as caught:
        user_config(file)
    assert "imag" in str(caught.value)
    assert str(file) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_variable_without_a_value_is_no_error(tmp_path):
    file = tmp_path / "docker-compose.yml"
    file.write_text("services:\n  web: {image: x, profiles: [dev], environment: {A: $NOT_SET_ANYWHERE}}\n")
    assert user_config(file)["services"]["web"]["environment"] == {"A": ""}
