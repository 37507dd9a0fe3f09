"""Connections that are made while a command starts."""

import pytest

from lab.engine.ahead import ConnectedAhead

pytestmark = pytest.mark.lab


def test_the_first_dial_of_a_node_returns_the_connection_made_ahead(lab_topology):
    with ConnectedAhead(lab_topology.project) as ahead:
        transport = ahead.transport()
        node = transport.nodes()[0]
        made = transport._dialled[node.name].result()
        assert transport.dial(node) is made
        with_another = transport.dial(node)
        assert with_another is not made
        assert with_another.alive
        made.close()
        with_another.close()
        unused = [each.result() for each in transport._dialled.values()]
    assert unused
    assert not any(connection.alive for connection in unused)


def test_a_connection_that_has_ended_meanwhile_is_replaced(lab_topology):
    with ConnectedAhead(lab_topology.project) as ahead:
        transport = ahead.transport()
        node = transport.nodes()[0]
        transport._dialled[node.name].result().close()
        connection = transport.dial(node)
        assert connection.alive
        connection.close()


def test_a_lab_that_is_not_up_has_no_connections():
    with ConnectedAhead("socketlab-that-is-not-up") as ahead:
        assert ahead.transport() is None
