"""File names and paths from a peer: below a root, and safe to print.

A path is sent as a list of components, so a name can't contain a separator.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Sequence
from typing import TypeAlias

from lab.protocols.errors import LocalProtocolError

MAX_NAME = 255  # bytes of UTF-8 in one component
MAX_COMPONENTS = 128

# Device names, which Windows reserves in any case and with any extension ("con.txt"), and characters that
# Windows forbids in names.
_DEVICE = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[1-9¹²³])( *\..*)?", re.IGNORECASE)
_NOT_ON_WINDOWS = re.compile(r'[<>:"\\|?*]')

Path: TypeAlias = tuple[str, ...]  # below the root; () is the root


def check_name(name: object) -> str:
    """Returns ``name`` if it can be a component of a path. Raises LocalProtocolError ``name-refused``."""
    if not isinstance(name, str) or name in ("", ".", ".."):
        raise _refused(name, "can't be a file name")
    if "/" in name:
        raise _refused(name, "contains a slash")
    # Cc: control characters and NUL; Zl, Zp: line and paragraph separators; Cs: surrogates (invalid UTF-8).
    if any(unicodedata.category(character) in ("Cc", "Zl", "Zp", "Cs") for character in name):
        raise _refused(name, "contains control characters or isn't valid UTF-8")
    if len(name.encode()) > MAX_NAME:
        raise _refused(name, f"is longer than {MAX_NAME} bytes")
    if is_partial_name(name):
        raise _refused(name, "is reserved for a partial file")
    return name


def forbidden_on_windows(path: Path) -> str:
    """Why Windows doesn't allow a file at ``path``; "" if it does."""
    for name in path:
        if found := _NOT_ON_WINDOWS.search(name):
            return f"{name!r} contains {found[0]!r}, which Windows forbids in names"
        if name[-1] in ". ":
            return f"{name!r} ends with {name[-1]!r}, which Windows removes from names"
        if _DEVICE.fullmatch(name):
            return f"{name!r} is a device name on Windows"
    return ""


def split_path(text: str) -> Path:
    """The components of a written path: ``a/b``, ``./a``, ``a/``; ``.`` and "" are the root.

    Raises LocalProtocolError ``name-refused``, also for an absolute path or one that contains ``..``.
    """
    if text.startswith("/"):
        raise _refused(text, "is absolute; paths are relative to the server's root")
    return check_path([name for name in text.split("/") if name not in ("", ".")])


def check_path(names: Sequence[object]) -> Path:
    """Checks each component. Raises LocalProtocolError ``name-refused``."""
    if len(names) > MAX_COMPONENTS:
        raise LocalProtocolError("name-refused", f"the path has more than {MAX_COMPONENTS} names")
    return tuple(check_name(name) for name in names)


def shown(path: Path) -> str:
    """``path`` with slashes; "." for the root."""
    return "/".join(path) or "."


def partial_name(name: str, slot: int) -> str:
    """The hidden file of an incomplete ``name``. ``slot`` distinguishes concurrent puts of one name."""
    key = hashlib.sha256(name.encode()).hexdigest()[:24]
    return f".transfer-{key}-{slot}.part"


def is_partial_name(name: str) -> bool:
    """Whether ``partial_name`` may have produced ``name``."""
    return re.fullmatch(r"\.transfer-[0-9a-f]{24}-\d{1,3}\.part", name) is not None


def _refused(name: object, why: str) -> LocalProtocolError:
    return LocalProtocolError("name-refused", f"name {str(name)[:300]!a} {why}")
