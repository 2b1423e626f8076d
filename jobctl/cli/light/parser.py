"""Parse a command line by the options in a command's signature, as the typer application does.

Both read the same `Option` and `Argument` values, so they cannot disagree on what a command takes.
This parser knows the usual spellings only. It returns ``None`` for everything else (``--help``, an
unknown option, a missing or extra argument, a value of the wrong kind), and the caller then asks
the typer application, which answers with help or with an error.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import Enum
from types import NoneType

from jobctl.cli.options import Argument, Option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["Parameter", "annotation_of", "parameters_of", "parse"]


class Parameter:
    """One parameter of a command: its name, its option or argument, and its kind of value.

    ``kind`` is ``bool`` for a flag, else ``str``, ``int``, ``float`` or an `Enum` of strings;
    ``many`` says that it takes a list of such values; ``required`` that there is no default.
    """

    __slots__ = ("about", "kind", "many", "name", "required")

    def __init__(
        self, name: str, about: Option | Argument, kind: Any, *, many: bool, required: bool
    ) -> None:
        self.name, self.about, self.kind = name, about, kind
        self.many, self.required = many, required


def parameters_of(command: Callable[..., Any]) -> list[Parameter]:
    """Return the parameters of a command, in the order of its signature."""
    code = command.__code__
    names = code.co_varnames[: code.co_argcount]
    with_default = names[len(names) - len(command.__defaults__ or ()) :]
    found = []
    for name in names:
        hint, about = annotation_of(command, name)
        kinds = [one for one in getattr(hint, "__args__", ()) if one is not NoneType]
        kind = hint if not kinds else kinds[0]
        many = getattr(hint, "__origin__", None) is list
        if getattr(kind, "__origin__", None) is list:
            many, kind = True, kind.__args__[0]
        found.append(Parameter(name, about, kind, many=many, required=name not in with_default))
    return found


def annotation_of(command: Callable[..., Any], name: str) -> tuple[Any, Option | Argument]:
    """The type of a command's parameter, and its option or argument."""
    annotated = eval(command.__annotations__[name], command.__globals__)  # noqa: S307 - ours
    return annotated.__origin__, annotated.__metadata__[0]


def parse(command: Callable[..., Any], words: Sequence[str]) -> dict[str, Any] | None:
    """Return the values for a call of the command; ``None`` to use the typer application."""
    parameters = parameters_of(command)
    options = {
        flag: one
        for one in parameters
        if isinstance(one.about, Option)
        for flag in one.about.flags_of(one.name)
    }
    values: dict[str, Any] = {}
    rest: list[str] = []
    left = list(reversed(words))
    while left:
        word = left.pop()
        if word == "--":
            rest += reversed(left)
            break
        if not word.startswith("-") or word == "-":
            rest.append(word)
            continue
        flag, text = _split(word)
        one = options.get(flag)
        if one is None:
            return None
        if one.kind is bool:
            if text is not None:
                return None
            values[one.name] = True
            continue
        if text is None:
            if not left:
                return None
            text = left.pop()
        if not _keep(values, one, text):
            return None
    return _with_arguments(parameters, values, rest)


def _split(word: str) -> tuple[str, str | None]:
    """Split ``--dir=x`` and ``-ojson`` into flag and value; the value is ``None`` without one."""
    if word.startswith("--"):
        flag, equals, text = word.partition("=")
        return flag, text if equals else None
    return word[:2], word[2:] or None


def _with_arguments(
    parameters: list[Parameter], values: dict[str, Any], rest: list[str]
) -> dict[str, Any] | None:
    for one in parameters:
        if isinstance(one.about, Argument):
            taken, rest = (rest, []) if one.many else (rest[:1], rest[1:])
            for text in taken:
                if not _keep(values, one, text):
                    return None
        if one.required and one.name not in values:
            return None
    return values if not rest else None


def _keep(values: dict[str, Any], one: Parameter, text: str) -> bool:
    """Convert the text and keep it; return whether it is a valid value."""
    value: Any = text
    if one.kind is not str:
        try:
            value = one.kind(text)
        except ValueError:
            return False
        if not issubclass(one.kind, Enum) and not one.about.allows(value):
            return False
    if one.many:
        values.setdefault(one.name, []).append(value)
    else:
        values[one.name] = value
    return True
