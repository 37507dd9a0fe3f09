"""Socket events become lives: each socket with its states through time."""

import json

from lab.evidence.endpoint import Endpoint
from lab.evidence.events import CounterChanged, Output, SocketChanged
from lab.evidence.socket_history import State, socket_histories


def event(at, state, was="", *, node="win10", number=1, **fields):
    local, remote = Endpoint("*", 8001), Endpoint("*", 0)
    queues = {"receive_queue": 0, "send_queue": 0}
    return SocketChanged(at, node, number, "tcp", 4, local, remote, state, was, **queues | fields)


def test_a_life_from_listen_to_the_end():
    (life,) = socket_histories([event(1.0, "LISTEN", pid=7, command="serve"), event(5.0, "", "LISTEN")])
    assert life.states == [State("LISTEN", 1.0, 5.0)]
    assert (life.port, life.pid, life.command, life.ended) == (8001, 7, "serve", 5.0)
    assert [life.alive(at) for at in (0.9, 1.0, 4.9, 5.0)] == [False, True, True, False]
    assert [life.state_at(at) for at in (0.9, 1.0, 4.9, 5.0)] == ["", "LISTEN", "LISTEN", ""]


def test_states_follow_each_other():
    (life,) = socket_histories(
        [
            event(1.0, "SYN_SENT"),
            event(1.2, "ESTABLISHED", "SYN_SENT"),
            event(3.0, "TIME_WAIT", "ESTABLISHED"),
        ]
    )
    assert life.names == ["SYN_SENT", "ESTABLISHED", "TIME_WAIT"]
    assert [(s.at, s.until) for s in life.states] == [(1.0, 1.2), (1.2, 3.0), (3.0, None)]
    assert (life.last, life.ended, life.began) == ("TIME_WAIT", None, 1.0)


def test_queues_are_the_last_and_the_most():
    told = [("", 0), ("ESTABLISHED", 900), ("ESTABLISHED", 30)]
    (life,) = socket_histories(
        [event(n, "ESTABLISHED", was, receive_queue=queue) for n, (was, queue) in enumerate(told)]
    )
    assert (life.names, life.receive_queue, life.most_received) == (["ESTABLISHED"], 30, 900)


def test_sockets_are_told_apart_by_node_and_number():
    events = [event(1.0, "LISTEN"), event(1.1, "LISTEN", node="kali"), event(1.2, "LISTEN", number=2)]
    assert [(life.node, life.id) for life in socket_histories(events)] == [
        ("win10", 1),
        ("kali", 1),
        ("win10", 2),
    ]


def test_a_number_that_comes_again_is_another_socket():
    """As after a power cut, when counting begins again."""
    assert len(socket_histories([event(1.0, "LISTEN"), event(9.0, "LISTEN")])) == 2


def test_other_events_say_nothing():
    assert (
        socket_histories(
            [Output(1.0, "win10", 1, "stdout", "LISTEN"), CounterChanged(1.0, "win10", "Udp.NoPorts", 1, 1)]
        )
        == []
    )


def test_a_life_is_plain_in_a_record():
    (life,) = socket_histories([event(1.0, "LISTEN")])
    plain = json.loads(json.dumps(life.to_dict()))
    assert (plain["names"], plain["states"][0]["name"]) == (["LISTEN"], "LISTEN")
    assert (plain["local"], plain["remote"]) == ("*:8001", "*:*")
