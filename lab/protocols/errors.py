"""Errors of the wire protocols: our own mistakes and those of the peer are separate classes."""

from __future__ import annotations


class ProtocolError(Exception):
    """A violation of a wire protocol.

    ``code`` is a short, stable name of the violated rule (``header-too-long``), for programs and for the
    message to the peer. The text is for people and is safe to print.
    """

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


class LocalProtocolError(ProtocolError):
    """Our own mistake: the caller passed a value that the protocol can't express."""


class RemoteProtocolError(ProtocolError):
    """The peer's mistake: its data violates the protocol. Don't use its connection any more."""


class TruncatedError(RemoteProtocolError):
    """The peer's stream ended in the middle of a frame."""

    def __init__(self, text: str) -> None:
        super().__init__("truncated", text)
