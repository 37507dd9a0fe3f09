"""Names of files as peers may say them: below a root, nothing hidden in them, safe to show.

A path travels as a list of components, so no separator can be smuggled in.
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

# What Windows keeps for itself, in any case and with any ending ("con.txt"), and what no name there may hold.
_DEVICE = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[1-9¹²³])( *\..*)?", re.IGNORECASE)
_NOT_ON_WINDOWS = re.compile(r'[<>:"\\|?*]')

Path: TypeAlias = tuple[str, ...]  # below the root; () is the root itself


def check_name(name: object) -> str:
    """One component of a path. Raises LocalProtocolError ``name-refused`` where it can't be one."""
    if not isinstance(name, str) or name in ("", ".", ".."):
        raise _refused(name, "is no name of a file")
    if "/" in name:
        raise _refused(name, "has a slash")
    # Cc: control characters and NUL; Zl, Zp: line and paragraph separators; Cs: what no UTF-8 can say.
    if any(unicodedata.category(character) in ("Cc", "Zl", "Zp", "Cs") for character in name):
        raise _refused(name, "has control characters, or isn't valid UTF-8")
    if len(name.encode()) > MAX_NAME:
        raise _refused(name, f"is longer than {MAX_NAME} bytes")
    if is_partial_name(name):
        raise _refused(name, "is the name of a partial file")
    return name


def forbidden_on_windows(path: Path) -> str:
    """Why a disk of Windows takes no file of that path; "" where it does."""
    for name in path:
        if found := _NOT_ON_WINDOWS.search(name):
            return f"{name!r} has {found[0]!r}, which Windows forbids in names"
        if name[-1] in ". ":
            return f"{name!r} ends with {name[-1]!r}, which Windows drops from names"
        if _DEVICE.fullmatch(name):
            return f"{name!r} is the name of a device on Windows"
    return ""


def split_path(text: str) -> Path:
    """The components of a path as people write it: ``a/b``, ``./a``, ``a/``; ``.`` and "" are the root.

    Raises LocalProtocolError ``name-refused``, also for an absolute path and one with ``..``.
    """
    if text.startswith("/"):
        raise _refused(text, "is absolute; paths are relative to the server's root")
    return check_path([name for name in text.split("/") if name not in ("", ".")])


def check_path(names: Sequence[object]) -> Path:
    """Raises LocalProtocolError ``name-refused``."""
    if len(names) > MAX_COMPONENTS:
        raise LocalProtocolError("name-refused", f"a path of more than {MAX_COMPONENTS} names")
    return tuple(check_name(name) for name in names)


def shown(path: Path) -> str:
    """``path`` as people write it."""
    return "/".join(path) or "."


def partial_name(name: str, slot: int) -> str:
    """The hidden name of what has arrived of ``name``. ``slot`` keeps apart several puts of one name."""
    key = hashlib.sha256(name.encode()).hexdigest()[:24]
    return f".transfer-{key}-{slot}.part"


def is_partial_name(name: str) -> bool:
    return re.fullmatch(r"\.transfer-[0-9a-f]{24}-\d{1,3}\.part", name) is not None


def _refused(name: object, why: str) -> LocalProtocolError:
    return LocalProtocolError("name-refused", f"name {str(name)[:300]!a} {why}")
