"""What can go wrong on the wire, and whose mistake it is."""

from __future__ import annotations


class ProtocolError(Exception):
    """A rule of a wire protocol was broken.

    ``code`` is a short stable name of the rule (``header-too-long``), for machines and for the
    message to the peer; the text is for people and is safe to print.
    """

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


class LocalProtocolError(ProtocolError):
    """Our own mistake: the caller asked for something that the protocol can't say."""


class RemoteProtocolError(ProtocolError):
    """The peer's mistake: what it sent breaks the protocol. Its connection is not to be trusted any more."""


class TruncatedError(RemoteProtocolError):
    """The peer's stream ended in the middle of a frame."""

    def __init__(self, text: str) -> None:
        super().__init__("truncated", text)
