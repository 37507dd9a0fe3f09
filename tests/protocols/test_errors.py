"""Errors: local and remote mistakes have separate classes and exit codes."""

import pytest

from lab.programs import console
from lab.protocols.errors import LocalProtocolError, ProtocolError, RemoteProtocolError, TruncatedError


def test_each_error_has_its_code_and_text():
    error = RemoteProtocolError("header-too-long", "header length 70000 is above 65536")
    assert error.code == "header-too-long"
    assert str(error) == "header length 70000 is above 65536"
    assert TruncatedError("the stream ended").code == "truncated"


def test_local_and_remote_errors_are_separate_classes():
    assert not issubclass(LocalProtocolError, RemoteProtocolError)
    assert not issubclass(RemoteProtocolError, LocalProtocolError)
    assert issubclass(TruncatedError, RemoteProtocolError)
    assert issubclass(RemoteProtocolError, ProtocolError)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (LocalProtocolError("x", "not serializable"), console.USAGE),
        (RemoteProtocolError("x", "invalid message"), console.FAILED),
        (TruncatedError("stopped"), console.FAILED),
    ],
)
def test_the_exit_code_depends_on_the_class_of_the_error(error, code):
    assert console.exit_code(error) == code
