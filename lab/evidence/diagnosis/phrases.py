"""Parts of sentences that several rules share."""

from __future__ import annotations

from lab.evidence.diagnosis.model import Evidence
from lab.evidence.event_text import describe
from lab.evidence.packets.connections import Connection, Direction
from lab.locale import Message, message, messages

# The state of a node during a fault. A node still answers during a fault that isn't listed here.
NODE_STATES = {
    "power cut": message("its power is off"),
    "paused": message("it is paused"),
    "cable pulled": message("its cable is unplugged"),
}


def byte_count(count: int) -> Message:
    return messages("{count} byte", "{count} bytes", count=count)


def datagram_count(count: int) -> Message:
    return messages("{count} datagram", "{count} datagrams", count=count)


def connection_name(connection: Connection) -> Message:
    """ "the connection from alice to bob:80"."""
    return message(
        "the connection from {client} to {server}:{port}",
        client=connection.client,
        server=connection.server,
        port=connection.port,
    )


def node_state(evidence: Evidence, node: str, at: float) -> Message | None:
    """The reason why a node didn't answer at ``at``, if a fault explains it."""
    states = [NODE_STATES.get(fault.fault) for fault in evidence.node_faults(node, at)]
    return next(filter(None, states), None)


def active_fault(evidence: Evidence, connection: Connection, at: float) -> Message | str:
    """The latest fault between the ends of a connection in parentheses; empty if there was none."""
    faults = evidence.faults(
        at, connection.client, connection.server, path=evidence.expected_path(connection)
    )
    return message(" ({fault})", fault=describe(faults[0])) if faults else ""


def router_name(evidence: Evidence, title: str) -> Message | str:
    """The router's name, if there are several."""
    return title if title and len(evidence.routers) > 1 else message("the router")


def last_router(evidence: Evidence, connection: Connection) -> Message | str:
    """The last router on the way to the server."""
    server = connection.translated[1] if connection.translated else connection.server_address
    client = connection.translated[0] if connection.translated else connection.client_address
    path = evidence.traffic.network.expected_path(server.address, client.address)
    return router_name(evidence, path.routers[0] if path and path.routers else "")


def next_node(evidence: Evidence, receiver: str, segment: str) -> Message | str:
    """The node that should have captured a packet on a segment: the receiver, or a router."""
    captures = evidence.traffic.captures.values()
    at_receiver = any((c.node, c.segment) == (receiver, segment) for c in captures)
    return receiver if at_receiver or not evidence.routers else message("the next router")


def missed(evidence: Evidence, way: Direction, receiver: str) -> Message:
    """ "left the router", "left r1", "reached the next router on the segment middle": after "none"."""
    if way.lost_on:
        node = next_node(evidence, receiver, way.lost_on)
        return message("reached {node} on the segment {segment}", node=node, segment=way.lost_on)
    return message("left {router}", router=router_name(evidence, way.lost_at))
