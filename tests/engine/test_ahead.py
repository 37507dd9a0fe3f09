"""Connections that are made while a command starts."""

import time

import pytest

from lab.engine.ahead import ConnectedAhead

pytestmark = pytest.mark.lab


def test_the_first_dial_of_a_node_returns_the_connection_made_ahead(lab_topology):
    with ConnectedAhead(lab_topology.project, "cat") as ahead:
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
    with ConnectedAhead(lab_topology.project, "cat") as ahead:
        transport = ahead.transport()
        node = transport.nodes()[0]
        transport._dialled[node.name].result().close()
        connection = transport.dial(node)
        assert connection.alive
        connection.close()


def test_the_command_that_was_started_ahead_is_the_first_of_its_kind(lab_topology):
    command = "echo $$; exec cat"
    with ConnectedAhead(lab_topology.project, command) as ahead:
        connection = ahead.transport().dial(ahead.transport().nodes()[0])
        numbers = [output_of(connection.execute(line)) for line in ("echo $$", command, command)]
        connection.close()
    assert int(numbers[1]) < int(numbers[0]) < int(numbers[2])


def output_of(session):
    received = []
    session.close_stdin()
    assert session.pump(lambda stream, data: received.append(data), time.monotonic() + 10)
    return b"".join(received)


def test_a_lab_that_is_not_up_has_no_connections():
    with ConnectedAhead("socketlab-that-is-not-up", "cat") as ahead:
        assert ahead.transport() is None
