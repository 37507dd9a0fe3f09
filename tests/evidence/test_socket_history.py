"""Socket events become histories: each socket with its states over time."""

import json

from lab.evidence.endpoint import Endpoint
from lab.evidence.events import CounterChanged, Output, SocketChanged
from lab.evidence.socket_history import State, socket_histories


def event(at, state, was="", *, node="win10", number=1, **fields):
    local, remote = Endpoint("*", 8001), Endpoint("*", 0)
    queues = {"receive_queue": 0, "send_queue": 0}
    return SocketChanged(at, node, number, "tcp", 4, local, remote, state, was, **queues | fields)


def test_a_history_from_listen_to_the_end():
    (history,) = socket_histories([event(1.0, "LISTEN", pid=7, command="serve"), event(5.0, "", "LISTEN")])
    assert history.states == [State("LISTEN", 1.0, 5.0)]
    assert (history.port, history.pid, history.command, history.ended) == (8001, 7, "serve", 5.0)
    assert [history.alive(at) for at in (0.9, 1.0, 4.9, 5.0)] == [False, True, True, False]
    assert [history.state_at(at) for at in (0.9, 1.0, 4.9, 5.0)] == ["", "LISTEN", "LISTEN", ""]


def test_a_state_ends_when_the_next_one_begins():
    (history,) = socket_histories(
        [
            event(1.0, "SYN_SENT"),
            event(1.2, "ESTABLISHED", "SYN_SENT"),
            event(3.0, "TIME_WAIT", "ESTABLISHED"),
        ]
    )
    assert history.names == ["SYN_SENT", "ESTABLISHED", "TIME_WAIT"]
    assert [(s.at, s.until) for s in history.states] == [(1.0, 1.2), (1.2, 3.0), (3.0, None)]
    assert (history.last, history.ended, history.began) == ("TIME_WAIT", None, 1.0)


def test_queues_are_the_last_and_the_most():
    changes = [("", 0), ("ESTABLISHED", 900), ("ESTABLISHED", 30)]
    (history,) = socket_histories(
        [event(n, "ESTABLISHED", was, receive_queue=queue) for n, (was, queue) in enumerate(changes)]
    )
    assert (history.names, history.receive_queue, history.most_received) == (["ESTABLISHED"], 30, 900)


def test_sockets_differ_by_node_and_number():
    events = [event(1.0, "LISTEN"), event(1.1, "LISTEN", node="kali"), event(1.2, "LISTEN", number=2)]
    assert [(history.node, history.id) for history in socket_histories(events)] == [
        ("win10", 1),
        ("kali", 1),
        ("win10", 2),
    ]


def test_a_number_that_is_used_again_is_another_socket():
    """After a power cut the numbers begin at 1 again."""
    assert len(socket_histories([event(1.0, "LISTEN"), event(9.0, "LISTEN")])) == 2


def test_other_events_are_ignored():
    assert (
        socket_histories(
            [Output(1.0, "win10", 1, "stdout", "LISTEN"), CounterChanged(1.0, "win10", "Udp.NoPorts", 1, 1)]
        )
        == []
    )


def test_a_history_is_json_serializable():
    (history,) = socket_histories([event(1.0, "LISTEN")])
    plain = json.loads(json.dumps(history.to_dict()))
    assert (plain["names"], plain["states"][0]["name"]) == (["LISTEN"], "LISTEN")
    assert (plain["local"], plain["remote"]) == ("*:8001", "*:*")
