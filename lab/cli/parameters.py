"""Parameters of commands that are used as they are given, without a conversion.

Typer 0.29 converts every value by pydantic, also None and strings. Its import takes as long as the rest of
`lab list`, so values that need no conversion are passed on unchanged.
"""

from __future__ import annotations

from typing import Any


def convert_only_if_needed(param: Any) -> None:
    """Lets ``param`` pass on its default, and strings if its type is str or list[str].

    Does nothing with a Typer before 0.29, which has no ``type_descriptor``.
    """
    descriptor = getattr(param, "type_descriptor", None)
    if descriptor is None or "process_value" in vars(param):
        return
    convert = param.process_value

    def process_value(ctx: Any, value: Any) -> Any:
        if not _is_final(param, descriptor.annotation, value):
            return convert(ctx, value)
        return value if param.callback is None else param.callback(ctx, param, value)

    param.process_value = process_value


def _is_final(param: Any, annotation: Any, value: Any) -> bool:
    if value is None or value == () or value == []:
        return not param.required
    if value is param.default or annotation is bool and isinstance(value, bool):
        return True
    if annotation is str:
        return isinstance(value, str)
    return annotation == list[str] and all(isinstance(each, str) for each in value)
