"""Reads the description of a lab, in TOML. docs/topologies.md describes its keys."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from lab.errors import UsageError
from lab.locale import message
from lab.topology import errors
from lab.topology.checks.limits import FILE_SIZE
from lab.topology.checks.topology import mistakes
from lab.topology.errors import Mistake, TopologyError
from lab.topology.model import Topology
from lab.topology.reading import toml
from lab.topology.reading.builder import Builder
from lab.topology.reading.lines import Lines

FILE = "lab.toml"


class DescriptionError(TopologyError):
    """A description with mistakes. Each is one line of the text: FILE:LINE: where: problem; remedy."""

    def __init__(self, file: str, found: Iterable[tuple[int, Mistake]]) -> None:
        self.file = file
        self.found = sorted(found, key=lambda each: each[0])
        super().__init__(*(mistake for _, mistake in self.found))

    def in_language(self, language: str) -> str:
        return "\n".join(
            f"{self.file}:{line}: {mistake.text.in_language(language)}" for line, mistake in self.found
        )


def read(path: Path) -> Topology:
    """The topology that a file describes. Raises UsageError if it can't be read, DescriptionError if it has
    mistakes.

    A file or folder that it names must exist.
    """
    try:
        with path.open("rb") as file:
            content = file.read(FILE_SIZE + 1)
        if len(content) > FILE_SIZE:
            raise UsageError(message("{file} is larger than {size} bytes", file=path, size=FILE_SIZE))
        text = content.decode("utf-8-sig")
    except OSError as error:
        raise UsageError(message("{file}: {error}", file=path, error=error.strerror or error)) from None
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise UsageError(
            message("{file}:{line}: this isn't UTF-8; save the file as UTF-8", file=path, line=line)
        ) from None
    folder = path.absolute().parent
    topology = parse(text, file=_shown(path), folder=folder, name=own_name(path))
    missing = list(_missing(topology))
    if missing:
        lines = Lines(text)
        raise DescriptionError(_shown(path), ((lines[each.path], each) for each in missing))
    return topology


def own_name(path: Path) -> str:
    """The name for a lab without a `name`: that of its folder, or of the file if it isn't called lab.toml."""
    return path.absolute().parent.name if path.name == FILE else path.stem


def located(error: TopologyError, path: Path) -> TopologyError:
    """The mistakes of ``error`` with their lines in the description ``path``, if that can still be read."""
    try:
        lines = Lines(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return error
    return DescriptionError(_shown(path), ((lines[each.path], each) for each in error.mistakes))


def _shown(path: Path) -> str:
    """The path as the user would write it."""
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


def parse(text: str, *, file: str = FILE, folder: Path = Path("/"), name: str = "lab") -> Topology:
    """The topology that ``text`` describes. Raises DescriptionError; ``file`` is the name in its text.

    Relative paths are relative to ``folder``. ``name`` is the lab's name unless the text has one.
    """
    try:
        content, lines = toml.load(text)
    except toml.TomlError as error:
        raise DescriptionError(file, [(error.line, Mistake((), error.problem, error.remedy))]) from None
    builder = Builder(folder)
    topology = builder.topology(content, name)
    wrong = builder.mistakes or mistakes(topology)
    if wrong:
        raise DescriptionError(file, ((lines[each.path], each) for each in wrong))
    return topology


def _missing(topology: Topology) -> Iterator[Mistake]:
    """The files and folders that a topology names and that don't exist."""
    if topology.compose and not Path(topology.compose).is_file():
        yield _no_file(("compose",), topology.compose)
    for host in topology.hosts:
        for index, mount in enumerate(host.mounts):
            if not Path(mount.source).exists():
                yield _no_file(("hosts", host.name, "mounts", str(index)), mount.source)
        build = host.workload.build if host.workload else ""
        if build and not Path(build).is_dir():
            yield _no_file(("hosts", host.name, "build"), build)
        elif build and not any((Path(build) / name).is_file() for name in ("Dockerfile", "dockerfile")):
            yield Mistake(
                ("hosts", host.name, "build"),
                message("{path} has no Dockerfile", path=build),
                message("add one, or name the folder that has it"),
            )


def _no_file(path: errors.Path, missing: str) -> Mistake:
    return Mistake(
        path,
        message("{path} doesn't exist", path=missing),
        message("relative paths are relative to the folder of the description"),
    )
