"""Texts of libraries that appear in `--help`, listed here only so that they are collected into the catalogs.

The libraries look them up themselves (see ``lab.locale.translate_libraries``). A text that isn't listed here,
or that another version of the library words differently, is shown in English.
"""

from __future__ import annotations

from lab.locale import message

TYPER = (
    message("Arguments"),
    message("Commands"),
    message("Error"),
    message("Missing command."),
    message("No such command {name!r}."),
    message("Options"),
    message("Try [blue]'{command_path} {help_option}'[/] for help."),
    message("[default: {}]"),
    message("[required]"),
)

ARGPARSE = (
    message("argument %(argument_name)s: %(message)s"),
    message("expected at least one argument"),
    message("expected one argument"),
    message("invalid choice: %(value)r (choose from %(choices)s)"),
    message("invalid %(type)s value: %(value)r"),
    message("options"),
    message("positional arguments"),
    message("show this help message and exit"),
    message("the following arguments are required: %s"),
    message("unrecognized arguments: %s"),
    message("usage: "),
)
