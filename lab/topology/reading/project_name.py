"""The name of a lab's Compose project: that in its description, or else that of the folder or the file."""

from __future__ import annotations

import re
from collections.abc import Mapping

# In the name of a lab that has none itself: a Compose project of the user has the name of the same folder.
BESIDE_COMPOSE = "-lab"

_NOT_ALLOWED = re.compile(r"[^-_a-z0-9]")


def described_name(keys: Mapping[str, object], stem: str) -> str:
    """The name in a description with these top-level ``keys``; without one, that of its folder or file."""
    return str(keys.get("name") or (f"{stem}{BESIDE_COMPOSE}" if keys.get("compose") else stem))


def allowed_name(name: str) -> str:
    """``name`` without the characters that Compose doesn't allow. It may be empty."""
    return _NOT_ALLOWED.sub("", name.lower()).lstrip("-_")
