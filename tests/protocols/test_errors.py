"""Errors: whose mistake it is decides what a program makes of them."""

import pytest

from lab.programs import console
from lab.protocols.errors import LocalProtocolError, ProtocolError, RemoteProtocolError, TruncatedError


def test_each_error_carries_its_code_and_its_text():
    error = RemoteProtocolError("header-too-long", "header length 70000 is above 65536")
    assert error.code == "header-too-long"
    assert str(error) == "header length 70000 is above 65536"
    assert TruncatedError("the stream ended").code == "truncated"


def test_our_mistakes_and_the_peers_are_kept_apart():
    assert not issubclass(LocalProtocolError, RemoteProtocolError)
    assert not issubclass(RemoteProtocolError, LocalProtocolError)
    assert issubclass(TruncatedError, RemoteProtocolError)
    assert issubclass(RemoteProtocolError, ProtocolError)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (LocalProtocolError("x", "asked for what can't be said"), console.USAGE),
        (RemoteProtocolError("x", "said what can't be"), console.FAILED),
        (TruncatedError("stopped"), console.FAILED),
    ],
)
def test_the_exit_code_follows_from_whose_mistake_it_is(error, code):
    assert console.exit_code(error) == code
