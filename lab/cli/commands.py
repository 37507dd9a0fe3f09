"""Typer with its fixed texts translated, such as "Usage" and the help of `--help`.

Typer translates its other texts itself, see ``lab.locale.translate_libraries``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import typer
from typer.core import TyperCommand, TyperGroup

from lab.locale import _

Function = TypeVar("Function", bound=Callable[..., Any])


class Command(TyperCommand):
    """A command with a translated usage line and `--help` option."""

    def format_usage(self, ctx: Any, formatter: Any) -> None:
        _write_usage(self, ctx, formatter)

    def get_help_option(self, ctx: Any) -> Any:
        return _translated(super().get_help_option(ctx))


class Group(TyperGroup):
    """A group of commands with a translated usage line and `--help` option."""

    def format_usage(self, ctx: Any, formatter: Any) -> None:
        _write_usage(self, ctx, formatter)

    def get_help_option(self, ctx: Any) -> Any:
        return _translated(super().get_help_option(ctx))


class App(typer.Typer):
    """Commands of the lab; called without arguments, it shows its help."""

    def __init__(self, name: str, **options: Any) -> None:
        super().__init__(
            name=name,
            cls=Group,
            no_args_is_help=True,
            add_completion=False,
            rich_markup_mode="rich",
            pretty_exceptions_enable=False,
            **options,
        )

    def command(self, name: str | None = None, **options: Any) -> Callable[[Function], Function]:
        return super().command(name, cls=Command, **options)


def _write_usage(command: TyperCommand | TyperGroup, ctx: Any, formatter: Any) -> None:
    pieces = " ".join(command.collect_usage_pieces(ctx))
    formatter.write_usage(ctx.command_path, pieces, prefix=_("Usage: "))


def _translated(help_option: Any) -> Any:
    if help_option is not None:
        help_option.help = _("Show this message and exit.")
    return help_option
