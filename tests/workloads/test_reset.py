"""A reset replaces a user's container that took part in anything, and no other one."""

import pytest

from tests.described_lab import lab_from, opened
from tests.workloads.conftest import IMAGES

pytestmark = [pytest.mark.lab, pytest.mark.xdist_group("workloads")]

STORES = """
[segments]
clients = {{}}
servers = {{}}
[hosts.alice]
segment = "clients"
[hosts.cache]
segment = "servers"
build = "{images}/redis"
ready = "tcp 6379"
[hosts.kept]
segment = "servers"
build = "{images}/redis"
ready = "tcp 6379"
reset = "keep"
"""
SET = "printf 'SET key value\\r\\n' | nc -N -w 2 {}"
GET = "printf 'GET key\\r\\n' | nc -N -w 2 {}"


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    file = tmp_path_factory.mktemp("stores") / "lab.toml"
    file.write_text(STORES.format(images=IMAGES))
    with lab_from(file, "stores") as project, opened(project, lambda event: None) as lab:
        lab.reset()
        yield lab


def replaced(report):
    return {node.node for node in report.nodes if node.workload_replaced}


def test_a_container_that_was_asked_is_replaced_and_works(stores):
    for name in ("cache", "kept"):
        assert "+OK" in stores.alice.run(SET.format(f"{name} 6379")).stdout
    assert replaced(stores.reset()) == {"cache"}
    assert stores.alice.run(GET.format("cache 6379")).stdout == "$-1\r\n"
    assert "value" in stores.alice.run(GET.format("kept 6379")).stdout


def test_a_container_that_nothing_reached_stays(stores):
    stores.reset()
    assert replaced(stores.reset()) == set()
    stores.alice.run("true")
    assert replaced(stores.reset()) == set()


@pytest.mark.parametrize("use", ["run", "exec"])
def test_a_command_on_the_host_or_in_the_container_replaces_it(stores, use):
    stores.reset()
    getattr(stores.cache, use)(["true"])
    assert replaced(stores.reset()) == {"cache"}
    assert "PONG" in stores.alice.run("echo PING | nc -N -w 2 cache 6379").stdout


def test_a_replaced_host_has_a_new_container(stores):
    stores.cache.run("prlimit --nofile=1000:1000 --pid $(pgrep -o -x sshd)", check=True)
    report = stores.reset()
    assert report.replaced == ("cache",)
    assert "PONG" in stores.alice.run("echo PING | nc -N -w 2 cache 6379").stdout
