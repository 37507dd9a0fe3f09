"""The exception that this package raises."""

from __future__ import annotations

from lab.protocols.errors import LocalProtocolError


class ImpairmentError(LocalProtocolError):
    """A setting of the link is invalid. ``code`` is the name of the setting."""
