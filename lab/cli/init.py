"""`lab init`: writes the files that a project needs to test its programs on a lab."""

from __future__ import annotations

import errno
import os
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from lab import shipped
from lab.cli.errors import errors_in_one_line
from lab.errors import EnvironmentFailure
from lab.locale import _, message

stdout = Console(highlight=False, soft_wrap=True)


def init(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="FOLDER", help=_("The project's folder."), show_default=_("the current folder")
        ),
    ] = Path(),
) -> None:
    with errors_in_one_line():
        for name, _content in files():
            require_place(folder / name)
        written = {name: write(folder / name, content) for name, content in files()}
    for name, is_new in written.items():
        stdout.print(f"{_('written') if is_new else _('kept')}  {name}", markup=False)
    stdout.print("\n" + _next_commands(folder), markup=False)


def files() -> Iterator[tuple[str, str]]:
    """The files' paths below the project's folder, and their contents."""
    for path in sorted(shipped.TEMPLATES.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            yield path.relative_to(shipped.TEMPLATES).as_posix(), path.read_text(encoding="utf-8")


def require_place(path: Path) -> None:
    """Raises EnvironmentFailure if there is neither a file nor a place for a new one."""
    existing = next(each for each in (path, *path.absolute().parents) if os.path.lexists(each))
    if existing == path:
        if not path.is_file():
            raise _not_written(path, os.strerror(errno.EEXIST))
    elif not existing.is_dir():
        raise _not_written(existing, os.strerror(errno.ENOTDIR))
    elif not os.access(existing, os.W_OK | os.X_OK):
        raise _not_written(path, os.strerror(errno.EACCES))


def write(path: Path, content: str) -> bool:
    """Writes a new file and its folders. Returns False if there is one. Raises EnvironmentFailure."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as file:
            file.write(content)
    except OSError as error:
        if path.is_file():
            return False
        raise _not_written(path, error.strerror) from error
    return True


def _not_written(path: Path, reason: str | None) -> EnvironmentFailure:
    return EnvironmentFailure(message("{path} can't be written: {reason}", path=path, reason=reason))


def _next_commands(folder: Path) -> str:
    commands = [
        *([(f"cd {shlex.quote(str(folder))}", "")] if folder != Path() else []),
        ("lab topology", _("check lab.toml and show the plan of the lab")),
        ("pytest", _("start the lab, run the tests on it, and remove it")),
        ("lab up", _("start the lab and leave it up; `lab down` removes it")),
    ]
    return "\n".join([_("Next:"), *(f"  {command:14}{text}".rstrip() for command, text in commands)])
