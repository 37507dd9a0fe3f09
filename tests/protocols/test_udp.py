"""Request and response over UDP, with an unreliable network, hostile senders and a simulated clock."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lab.protocols.errors import LocalProtocolError
from lab.protocols.udp import (
    GIVE_UP,
    HEAD,
    LONGEST_RETRY,
    MAX_DATAGRAM,
    NO_TOKEN,
    REMEMBER,
    REQUEST_HEAD,
    TOKEN_LIFE,
    Answered,
    Request,
    RequestClient,
    RequestServer,
    Send,
)

SECRET = b"s" * 32
PEER = "192.0.2.1:5000"


def request_id(number):
    return number.to_bytes(16, "big")


def carry_out(answering, datagram, peer=PEER, now=0.0, answer=None):
    """The server's datagrams, and the payload if the request was executed."""
    event = answering.received(datagram, peer, now)
    if not isinstance(event, Request):
        return (event.datagram if event else None), None
    payload = event.payload.upper() if answer is None else answer
    return answering.answer(event, payload, now).datagram, event.payload


def test_a_request_is_answered():
    asking, answering = RequestClient(), RequestServer(SECRET)
    answer, carried_out = carry_out(answering, asking.ask(request_id(1), b"abc", 0.0))
    assert carried_out == b"abc"
    assert asking.received(answer) == Answered(request_id(1), b"ABC")
    assert len(asking) == 0


def test_a_duplicate_gets_the_same_answer_and_is_not_executed_again():
    asking, answering = RequestClient(), RequestServer(SECRET)
    datagram = asking.ask(request_id(1), b"abc", 0.0)
    first, _ = carry_out(answering, datagram)
    again, carried_out = carry_out(answering, datagram, now=5.0, answer=b"other")
    assert again == first
    assert carried_out is None
    assert len(answering) == 1


def test_a_duplicate_of_a_request_in_execution_is_dropped():
    answering = RequestServer(SECRET)
    datagram = RequestClient().ask(request_id(1), b"abc", 0.0)
    event = answering.received(datagram, PEER, 0.0)
    assert answering.received(datagram, PEER, 0.1) is None
    assert isinstance(answering.answer(event, b"x", 0.2), Send)
    assert isinstance(answering.received(datagram, PEER, 0.3), Send)


def test_the_same_id_from_another_peer_is_another_request():
    answering = RequestServer(SECRET)
    datagram = RequestClient().ask(request_id(1), b"abc", 0.0)
    assert isinstance(answering.received(datagram, PEER, 0.0), Request)
    assert isinstance(answering.received(datagram, "192.0.2.2:5000", 0.0), Request)


def test_late_and_duplicate_answers_are_dropped():
    asking, answering = RequestClient(), RequestServer(SECRET)
    answer, _ = carry_out(answering, asking.ask(request_id(1), b"abc", 0.0))
    assert asking.received(answer) is not None
    assert asking.received(answer) is None
    asking.ask(request_id(2), b"x", 0.0)
    assert asking.expired(10.0) == [request_id(2)]
    late, _ = carry_out(answering, RequestClient().ask(request_id(2), b"x", 0.0))
    assert asking.received(late) is None


def test_answers_may_come_in_any_order():
    asking, answering = RequestClient(), RequestServer(SECRET)
    datagrams = [asking.ask(request_id(n), b"%d" % n, 0.0) for n in range(5)]
    answers = [carry_out(answering, datagram)[0] for datagram in datagrams]
    assert [asking.received(answer).payload for answer in reversed(answers)] == [b"4", b"3", b"2", b"1", b"0"]


def test_a_request_is_retransmitted_with_backoff_and_then_fails():
    asking = RequestClient(first_retry=0.25, give_up=10.0)
    datagram = asking.ask(request_id(1), b"abc", 100.0)
    sent, expired, now = [], [], 100.0
    while (now := asking.next_event() or 0.0) and now < 200:
        expired += asking.expired(now)
        for again in asking.due(now):
            assert again == datagram
            sent.append(now - 100.0)
    assert sent == [0.25, 0.75, 1.75, 3.75, 5.75, 7.75, 9.75]
    assert LONGEST_RETRY == 2.0
    assert expired == [request_id(1)]
    assert asking.next_event() is None


def test_nothing_is_due_before_its_time():
    asking = RequestClient()
    asking.ask(request_id(1), b"", 0.0)
    assert asking.due(0.2) == []
    assert asking.expired(9.9) == []


def test_clients_give_up_before_the_server_forgets():
    asking = RequestClient(give_up=1e9)
    asking.ask(request_id(1), b"", 0.0)
    assert asking.expired(GIVE_UP) == [request_id(1)]
    assert GIVE_UP + LONGEST_RETRY < REMEMBER


def test_a_long_answer_waits_until_the_peer_is_validated():
    asking, answering = RequestClient(), RequestServer(SECRET)
    datagram = asking.ask(request_id(1), b"?", 0.0)
    challenge, carried_out = carry_out(answering, datagram, answer=b"a" * 5000)
    assert carried_out == b"?"
    assert len(challenge) <= len(datagram)
    with_token = asking.received(challenge)
    assert isinstance(with_token, Send)
    answer, carried_out = carry_out(answering, with_token.datagram, now=0.1)
    assert carried_out is None  # it has been executed already
    assert asking.received(answer).payload == b"a" * 5000
    # From now on every request has the token.
    answer, _ = carry_out(answering, asking.ask(request_id(2), b"?", 1.0), now=1.0, answer=b"b" * 5000)
    assert asking.received(answer).payload == b"b" * 5000


def test_each_open_request_is_retransmitted_once_when_the_token_arrives():
    asking, answering = RequestClient(), RequestServer(SECRET)
    datagrams = [asking.ask(request_id(n), b"?", 0.0) for n in range(3)]
    challenges = [carry_out(answering, datagram, answer=b"a" * 99)[0] for datagram in datagrams]
    again = [asking.received(challenge) for challenge in challenges]
    assert all(isinstance(event, Send) for event in again)
    assert [asking.received(challenge) for challenge in challenges] == [None] * 3


def with_token(answering, now, peer=PEER):
    asking = RequestClient()
    challenge, _ = carry_out(answering, asking.ask(request_id(99), b"", now), peer, now, answer=b"a" * 99)
    return asking.received(challenge).datagram


@pytest.mark.parametrize(
    ("age", "peer", "good"),
    [
        (0.0, PEER, True),
        (TOKEN_LIFE, PEER, True),
        (2 * TOKEN_LIFE, PEER, False),
        (0.0, "192.0.2.1:5001", False),
        (0.0, "192.0.2.2:5000", False),
    ],
)
def test_a_token_is_valid_for_one_address_and_a_limited_time(age, peer, good):
    answering = RequestServer(SECRET)
    event = answering.received(with_token(answering, 0.0), PEER, 0.0)
    assert isinstance(event, Send)  # the stored answer
    datagram = bytearray(with_token(answering, 0.0))
    datagram[1:HEAD] = request_id(7)
    event = answering.received(bytes(datagram), peer, age)
    assert isinstance(event, Request)
    assert event.validated is good


def test_missing_and_foreign_tokens_do_not_validate():
    answering = RequestServer(SECRET)
    foreign = bytearray(with_token(RequestServer(b"other" * 8), 0.0))
    foreign[1:HEAD] = request_id(7)
    assert not answering.received(bytes(foreign), PEER, 0.0).validated
    assert not answering.received(b"\x01" + request_id(8) + NO_TOKEN, PEER, 0.0).validated


@given(st.binary(max_size=80))
def test_garbage_is_dropped_by_client_and_server(data):
    asking, answering = RequestClient(), RequestServer(SECRET)
    asking.ask(request_id(1), b"x", 0.0)
    assert asking.received(data) is None
    if len(data) < REQUEST_HEAD or data[0] != 1:
        assert answering.received(data, PEER, 0.0) is None
        assert len(answering) == 0


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 3), st.binary(max_size=60), st.integers(0, 90))))
def test_an_unvalidated_address_never_gets_more_bytes_than_it_sent(steps):
    """With any forged source addresses, no victim gets more bytes than the attacker has sent."""
    answering = RequestServer(SECRET)
    came, went, now = {}, {}, 0.0
    for number, peer_number, payload, size in steps:
        peer = f"192.0.2.{peer_number}:9"
        datagram = b"\x01" + request_id(number) + NO_TOKEN + payload
        sent, _ = carry_out(answering, datagram, peer, now, answer=b"a" * size * 10)
        came[peer] = came.get(peer, 0) + len(datagram)
        went[peer] = went.get(peer, 0) + len(sent or b"")
        now += 0.1
    assert all(went[peer] <= came[peer] for peer in came)


def test_bounded_memory_causes_no_second_execution():
    answering = RequestServer(SECRET, max_requests=10)
    token = with_token(answering, 0.0)[HEAD:REQUEST_HEAD]
    carried_out = []
    for _ in range(2):
        for number in range(30):
            event = answering.received(b"\x01" + request_id(number) + token, PEER, 0.0)
            if isinstance(event, Request):
                carried_out.append(number)
                answering.answer(event, b"", 0.0)
    assert carried_out == list(range(9))  # including the one that got the token
    assert len(answering) == 10


def test_the_size_of_stored_answers_is_bounded():
    answering = RequestServer(SECRET, max_bytes=10_000)
    for number in range(100):
        carry_out(answering, b"\x01" + request_id(number) + NO_TOKEN + b"x" * 3000, answer=b"a" * 3000)
    assert len(answering) == 2  # half full: only validated peers from here on


def test_a_half_full_server_takes_requests_from_validated_peers_only():
    answering = RequestServer(SECRET, max_requests=10)
    for number in range(5):
        carry_out(answering, b"\x01" + request_id(number) + NO_TOKEN)
    event = answering.received(b"\x01" + request_id(6) + NO_TOKEN, PEER, 0.0)
    assert isinstance(event, Send)
    token = event.datagram[HEAD:]
    assert isinstance(answering.received(b"\x01" + request_id(6) + token, PEER, 0.0), Request)


def test_old_answers_are_forgotten():
    answering = RequestServer(SECRET, max_requests=4, max_bytes=1000)
    for number in range(2):
        carry_out(answering, b"\x01" + request_id(number) + NO_TOKEN + b"x" * 200, answer=b"a" * 200)
    assert len(answering) == 2
    answering.received(b"\x01" + request_id(9) + NO_TOKEN, PEER, REMEMBER - 0.1)
    assert len(answering) == 2
    assert isinstance(answering.received(b"\x01" + request_id(9) + NO_TOKEN, PEER, REMEMBER), Request)
    assert len(answering) == 1


def test_a_payload_too_long_for_a_datagram_is_a_local_error():
    asking, answering = RequestClient(), RequestServer(SECRET)
    with pytest.raises(LocalProtocolError):
        asking.ask(request_id(1), b"x" * (MAX_DATAGRAM - REQUEST_HEAD + 1), 0.0)
    assert len(asking) == 0
    asking.ask(request_id(1), b"x" * (MAX_DATAGRAM - REQUEST_HEAD), 0.0)
    event = answering.received(asking.due(1.0)[0], PEER, 0.0)
    with pytest.raises(LocalProtocolError):
        answering.answer(event, b"x" * (MAX_DATAGRAM - HEAD + 1), 0.0)
    assert isinstance(answering.answer(event, b"too long", 0.0), Send)


@pytest.mark.parametrize("bad", [b"", b"short", b"x" * 17])
def test_a_request_id_is_16_bytes(bad):
    with pytest.raises(LocalProtocolError):
        RequestClient().ask(bad, b"", 0.0)


def test_a_request_id_is_used_once():
    asking = RequestClient()
    asking.ask(request_id(1), b"", 0.0)
    with pytest.raises(LocalProtocolError):
        asking.ask(request_id(1), b"", 0.0)


@settings(max_examples=60)
@given(
    st.integers(0, 2**32),
    st.floats(0.0, 0.3),
    st.floats(0.0, 0.5),
    st.floats(0.0, 1.0),
    st.sampled_from([1, 40, 900]),
)
def test_every_request_is_answered_exactly_once_over_a_bad_network(seed, loss, doubled, delay, answer_size):
    """20 requests over a network with loss, duplicates and reordering."""
    chance = random.Random(seed)
    asking, answering = RequestClient(give_up=60.0), RequestServer(SECRET)
    flying = []  # (arrival time, tie-breaker, whether to the server, datagram)
    carried_out, answered = [], []

    def send(to_server, datagram, now):
        for _ in range(1 + (chance.random() < doubled)):
            if chance.random() >= loss:
                flying.append((now + chance.random() * delay, chance.random(), to_server, datagram))

    for number in range(20):
        send(True, asking.ask(request_id(number), b"%d" % number, 0.0), 0.0)
    while asking.next_event() is not None:
        flying.sort(reverse=True)
        now = min(asking.next_event(), flying[-1][0] if flying else 1e9)
        while flying and flying[-1][0] <= now:
            _, _, to_server, datagram = flying.pop()
            if to_server:
                back, payload = carry_out(answering, datagram, now=now, answer=b"a" * answer_size)
                carried_out += [] if payload is None else [payload]
                if back is not None:
                    send(False, back, now)
            else:
                event = asking.received(datagram)
                if isinstance(event, Answered):
                    assert event.payload == b"a" * answer_size
                    answered.append(event.request_id)
                elif isinstance(event, Send):
                    send(True, event.datagram, now)
        assert asking.expired(now) == []
        for datagram in asking.due(now):
            send(True, datagram, now)
    assert sorted(answered) == [request_id(number) for number in range(20)]
    assert len(carried_out) == len(set(carried_out)) == 20
