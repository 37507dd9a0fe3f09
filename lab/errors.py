"""The errors that the lab reports to its user, each in one line."""

from __future__ import annotations

from lab.locale import Message


class LabError(Exception):
    """An error that the user can act on. ``exit_code`` is the exit code of a command that fails with it.

    Its text may be a Message; ``str`` returns it in English.
    """

    exit_code = 1

    def in_language(self, language: str) -> str:
        """The text in ``language`` if it can be translated, else in English."""
        text = self.args[0] if self.args else ""
        return text.in_language(language) if isinstance(text, Message) else str(self)


class UsageError(LabError):
    """The request itself is wrong: an unknown scenario, an invalid prefix."""

    exit_code = 2


class EnvironmentFailure(LabError):
    """The environment doesn't allow it: no engine, a subnet that is taken, a host that doesn't come up."""

    exit_code = 3


class Unsupported(LabError):
    """This lab lacks something that the scenario requires. The verdict is ``unsupported``, not a success."""

    exit_code = 3


class HostTimeout(LabError, TimeoutError):
    """An operation on a host didn't finish by its deadline."""

    exit_code = 4
