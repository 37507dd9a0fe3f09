"""The folders of the artifacts: one for each test, below that of --lab-artifacts."""

from __future__ import annotations

import errno
import os
import re
import shutil
import zlib
from pathlib import Path

from lab.locale import _

MAX_NAME = 150  # characters; a file system allows 255 bytes
SAFE = re.compile(r"[^\w.=-]+", re.ASCII)
PLAIN = re.compile(r"[\w./]+(::\w+)+(\[[\w.=-]+\])?", re.ASCII)
MARK = "events.jsonl"  # every folder of a test has this file


def folder_name(nodeid: str) -> str:
    """A file name for a test: "tests-test_web.py-test_get-retry". No two tests have the same name.

    A hash is added if another test could have the same name.
    """
    name = SAFE.sub("_", re.sub(r"::|/|\[|\]", "-", nodeid)).strip("-")
    if PLAIN.fullmatch(nodeid) and len(name) <= MAX_NAME:
        return name
    return f"{name[:MAX_NAME]}-{zlib.crc32(nodeid.encode()):08x}"


def fresh_folder(artifacts: Path, nodeid: str, attempt: int = 1) -> Path:
    """The folder for a test, which doesn't exist: one that an earlier session left is removed.

    ``attempt`` counts the runs of the test in this session, from 1; each has its own folder.
    """
    name = folder_name(nodeid)
    if attempt == 1:
        for old in artifacts.glob(f"{name}*"):
            if re.fullmatch(r"(-attempt\d+)?", old.name.removeprefix(name)) and (old / MARK).is_file():
                shutil.rmtree(old, ignore_errors=True)
    return artifacts / (name if attempt == 1 else f"{name}-attempt{attempt}")


def problem(folder: Path) -> str:
    """Why ``folder`` can't be written or created, as a line for the user; "" if it can."""
    existing = next(path for path in (folder, *folder.parents) if os.path.exists(path))
    if not existing.is_dir():
        return not_kept(NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(existing)))
    if not os.access(existing, os.W_OK | os.X_OK):
        return not_kept(PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(existing)))
    return ""


def not_kept(error: Exception) -> str:
    """The line about evidence that can't be kept."""
    return _("the evidence can't be kept: {reason}").format(reason=error)


def files(folder: Path) -> list[Path]:
    """The files of a test that a reader opens, the page first."""
    found = [folder / "trace.html", *sorted(folder.glob("*.pcapng")), folder / "events.jsonl"]
    return [path for path in found if path.is_file()]
