"""host.exec without a user's container. With one: tests/workloads/test_exec.py."""

import pytest

from lab.control.host import Host
from lab.errors import Unsupported, UsageError
from lab.remote.mgmt_transport import NoPower
from lab.topology.node import Interface, Node


def host(workload=""):
    node = Node("web", "host", ("web",), (Interface("lan", "10.0.0.2/24"),), workload=workload)
    return Host(node, dial=pytest.fail, power=NoPower("no engine"), observe=pytest.fail)


def test_without_the_engine_it_is_unsupported():
    with pytest.raises(Unsupported, match="a command in the container of web needs the engine"):
        host("web-workload").exec(["true"])


def test_without_a_container_it_is_a_usage_error():
    with pytest.raises(UsageError, match="web has no container of yours"):
        host().exec(["true"])
