"""The options of the plugin, on the command line and in the configuration file."""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import pytest

from lab.locale import _

TRACE = ("on", "off", "retain-on-failure")
UNSUPPORTED = ("fail", "skip")
ARTIFACTS = "lab-artifacts"
SEEDS = 2**32
IN_WORKER = "lab_seed"  # in the input of a pytest-xdist worker


class Option(NamedTuple):
    """An option ``--lab-NAME``, and the key ``lab_NAME`` of the configuration file with the same meaning."""

    name: str
    help: str
    metavar: str = ""
    choices: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        return self.name.replace("-", "_")

    @property
    def is_flag(self) -> bool:
        return not (self.metavar or self.choices)

    def keywords(self) -> dict[str, Any]:
        """The keyword arguments for argparse. An option that isn't given is None."""
        if self.is_flag:
            return {"action": "store_true", "default": None}
        return {"choices": self.choices} if self.choices else {"metavar": self.metavar}


def options() -> tuple[Option, ...]:
    """All options, with their texts in the user's language."""
    return (
        Option(
            "lab-file",
            _(
                "the lab's description: a file, a folder with a lab.toml, or a shipped topology (by default "
                "lab.toml of the test's folder or of one above it, else the default topology)"
            ),
            "FILE",
        ),
        Option(
            "lab",
            _("use the lab NAME, which is up, and leave it up (by default the session starts its own labs)"),
            "NAME",
        ),
        Option("lab-keep", _("leave the session's labs up; the next session with this option uses them")),
        Option(
            "lab-trace",
            _("the tests whose trace.html, captures and logs are kept (by default retain-on-failure)"),
            choices=TRACE,
        ),
        Option(
            "lab-artifacts",
            _("the folder for these files, with a subfolder for each test (by default lab-artifacts)"),
            "DIR",
        ),
        Option(
            "lab-seed",
            _("the seed of lab.random and of the link's random choices (by default a new one; it is shown)"),
            "N",
        ),
        Option(
            "lab-unsupported",
            _("a test whose lab lacks something that it needs fails, or is skipped (by default fail)"),
            choices=UNSUPPORTED,
        ),
    )


def add_options(parser: pytest.Parser) -> None:
    """Adds the options to the command line and to the configuration file."""
    group = parser.getgroup("lab", _("lab: hosts and links for tests (Socket Lab)"))
    for option in options():
        group.addoption(f"--{option.name}", dest=option.key, help=option.help, **option.keywords())
        kind: Literal["bool", "string"] = "bool" if option.is_flag else "string"
        parser.addini(option.key, option.help, type=kind, default=None)


@dataclass(frozen=True)
class Settings:
    """The values of the options, from the command line, the configuration file, or the defaults."""

    file: Path | str | None  # a str is the name of a shipped topology
    lab: str | None
    keep: bool
    trace: str
    artifacts: Path
    seed: int
    unsupported: str

    @classmethod
    def of(cls, config: pytest.Config) -> Settings:
        """Raises UsageError for an invalid value."""
        given: dict[str, Any] = {option.key: _value(config, option) for option in options()}
        return cls(
            file=_file(config, given["lab_file"]),
            lab=given["lab"] or None,
            keep=bool(given["lab_keep"]),
            trace=given["lab_trace"] or "retain-on-failure",
            artifacts=_folder(config, "lab_artifacts") / (given["lab_artifacts"] or ARTIFACTS),
            seed=_seed(config, given["lab_seed"]),
            unsupported=given["lab_unsupported"] or "fail",
        )

    def header(self, config: pytest.Config) -> str:
        """The line of the session's header."""
        about = [
            _("seed {seed}").format(seed=self.seed),
            _("trace {trace}").format(trace=self.trace),
            _("artifacts in {folder}").format(folder=shown(self.artifacts, config)),
        ]
        about[:0] = [_("description {file}").format(file=shown(self.file, config))] if self.file else []
        about[:0] = [_("lab {name}").format(name=self.lab)] if self.lab else []
        return "lab: " + ", ".join(about)


SETTINGS = pytest.StashKey[Settings]()  # in the configuration of the session


def shown(path: Path | str, config: pytest.Config) -> str:
    """A path as in pytest's own output: relative to the root folder if it is below it."""
    path = Path(path)
    return str(path.relative_to(config.rootpath) if path.is_relative_to(config.rootpath) else path)


def _value(config: pytest.Config, option: Option) -> Any:
    given = config.getoption(option.key)
    if given is not None:
        return given
    value = config.getini(option.key)
    if value and option.choices and value not in option.choices:
        text = _("{key} = {value}: choose from {choices}")
        raise pytest.UsageError(text.format(key=option.key, value=value, choices=", ".join(option.choices)))
    return value


def _folder(config: pytest.Config, key: str) -> Path:
    """The base of a relative path: the current folder, or that of the configuration file."""
    if config.getoption(key) is not None:
        return config.invocation_params.dir
    return config.inipath.parent if config.inipath and config.getini(key) else config.rootpath


def _file(config: pytest.Config, value: str | None) -> Path | str | None:
    if not value:
        return None
    path = _folder(config, "lab_file") / value
    return path if path.exists() or "/" in value or path.suffix else value


def _seed(config: pytest.Config, value: str | None) -> int:
    """The seed; it is the same in all workers of a session."""
    in_worker: dict[str, Any] = getattr(config, "workerinput", {})
    if IN_WORKER in in_worker:
        return int(in_worker[IN_WORKER])
    if value in (None, ""):
        return random.SystemRandom().randrange(SEEDS)
    try:
        return int(str(value))
    except ValueError:
        raise pytest.UsageError(
            _("--lab-seed {value!r}: expected a whole number").format(value=value)
        ) from None
