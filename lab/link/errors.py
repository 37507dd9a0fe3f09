"""The error of this package."""

from __future__ import annotations

from lab.protocols.errors import LocalProtocolError


class ImpairmentError(LocalProtocolError):
    """A setting of the link is invalid. ``code`` is the name of the setting."""
