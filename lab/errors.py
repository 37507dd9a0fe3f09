"""What can keep the lab from doing its work; each is told in one line."""

from __future__ import annotations

from lab.locale import Message


class LabError(Exception):
    """Something that the user can read and act on. ``exit_code`` is that of the command that hits it.

    Its text may be a Message; ``str`` gives it in English.
    """

    exit_code = 1

    def in_language(self, language: str) -> str:
        """The text in ``language`` if it can be translated, else in English."""
        text = self.args[0] if self.args else ""
        return text.in_language(language) if isinstance(text, Message) else str(self)


class UsageError(LabError):
    """The request itself is wrong: an unknown scenario, a bad prefix."""

    exit_code = 2


class EnvironmentFailure(LabError):
    """The machine can't do it: no engine, a port or subnet taken, a host that doesn't come up."""

    exit_code = 3


class Unsupported(LabError):
    """This lab can't do what the scenario asks for; the verdict is ``unsupported``, which is never green."""

    exit_code = 3


class HostTimeout(LabError, TimeoutError):
    """Something on a host wasn't done by its deadline."""

    exit_code = 4
