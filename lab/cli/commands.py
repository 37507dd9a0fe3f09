"""Commands whose modules are imported when they run, and Typer with its fixed texts translated.

A command's module imports the Docker SDK, paramiko and more. `lab --help` and shell completion need none of
it, so the app holds only the names and help texts. Typer translates its other texts itself, see
``lab.locale.translate_libraries``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from importlib import import_module
from typing import Any, TypeVar

import typer
from rich.markup import escape
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

from lab.cli.parameters import convert_only_if_needed
from lab.locale import _

Function = TypeVar("Function", bound=Callable[..., Any])


class Command(TyperCommand):
    """A command with a translated usage line and `--help` option."""

    def __init__(self, *arguments: Any, **attributes: Any) -> None:
        super().__init__(*arguments, **attributes)
        for param in self.params:
            convert_only_if_needed(param)

    def format_usage(self, ctx: Any, formatter: Any) -> None:
        _write_usage(self, ctx, formatter)

    def get_help_option(self, ctx: Any) -> Any:
        return _translated(super().get_help_option(ctx))


class Group(TyperGroup):
    """A group of commands with translated texts."""

    def format_usage(self, ctx: Any, formatter: Any) -> None:
        _write_usage(self, ctx, formatter)

    def get_help_option(self, ctx: Any) -> Any:
        return _translated(super().get_help_option(ctx))

    def get_params(self, ctx: Any) -> Any:
        texts = {
            "install_completion": _("Install completion for the current shell."),
            "show_completion": _("Print the completion script of the current shell."),
        }
        params = super().get_params(ctx)
        for param in params:
            if isinstance(param, typer.core.TyperOption):
                param.help = texts.get(param.name or "", param.help)
            convert_only_if_needed(param)
        return params


class DeferredCommand(Command):
    """The name and the help of a command or group; the rest is loaded when it is used."""

    def __init__(self, *, load: Callable[[], Any], **attributes: Any) -> None:
        super().__init__(**attributes)
        self._load = load

    def loaded(self) -> Any:
        """The command itself, or the group."""
        command = self._load()
        command.name, command.help = self.name, self.help
        return command

    def make_context(self, info_name: Any, args: Any, parent: Any = None, **extra: Any) -> Any:
        return self.loaded().make_context(info_name, args, parent, **extra)


class App(typer.Typer):
    """Commands of the lab; called without arguments, it shows its help."""

    def __init__(self, name: str, **options: Any) -> None:
        super().__init__(
            name=name,
            cls=Group,
            no_args_is_help=True,
            rich_markup_mode="rich",
            pretty_exceptions_enable=False,
            **{"add_completion": False, **options},
        )

    def command(
        self,
        name: str | None = None,
        *,
        help: str | None = None,
        examples: Sequence[str] = (),
        **options: Any,
    ) -> Callable[[Function], Function]:
        """Adds a command; ``examples`` are shown below its help."""
        text = "\n\n".join(filter(None, [help, "\n".join(map(escape, examples))]))
        return super().command(name, **{"cls": Command, "help": text, **options})

    def deferred(
        self, name: str, place: str, *, help: str, examples: Sequence[str] = (), **options: Any
    ) -> None:
        """Adds the command or group at ``place``, "MODULE:NAME": a function, or an App.

        ``options`` are those of ``command``.
        """
        load = partial(_load, place, options)
        command = partial(DeferredCommand, load=load)
        self.command(name, cls=command, help=help, examples=examples)(_nothing)


def _load(place: str, options: dict[str, Any]) -> Any:
    module, _colon, name = place.partition(":")
    found = getattr(import_module(module), name)
    if isinstance(found, App):
        return get_command(found)
    single = App(name)
    single.command(**options)(found)
    return get_command(single)


def _nothing() -> None:
    """The callback of a command that isn't loaded yet."""


def _write_usage(command: TyperCommand | TyperGroup, ctx: Any, formatter: Any) -> None:
    pieces = " ".join(command.collect_usage_pieces(ctx))
    formatter.write_usage(ctx.command_path, pieces, prefix=_("Usage: "))


def _translated(help_option: Any) -> Any:
    if help_option is not None:
        help_option.help = _("Show this message and exit.")
        convert_only_if_needed(help_option)
    return help_option
