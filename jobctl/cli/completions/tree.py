"""The command tree for the scripts: the options, and what their values are."""

from __future__ import annotations

from enum import EnumMeta
from pathlib import Path
from typing import Any, NamedTuple, get_args

import typer
from typer.core import TyperArgument

from jobctl.cli.commands import COMMANDS
from jobctl.cli.help import TOPICS
from jobctl.cli.typer_app import build

__all__ = ["HEAD", "Argument", "Command", "Option", "Value", "read"]

HEAD = "# Made by 'python -m jobctl.cli.completions --write'; do not edit."


class Value(NamedTuple):
    """What a value is: ``kind`` is ``words``, one of `candidates.KINDS`, or a kind of the shell.

    Kinds of the shell: ``files``, ``directories``, ``result`` (a file after ``@``), ``environment``
    (the name of a variable) and ``command`` (a command line). ``""``: unknown.
    """

    name: str
    kind: str
    words: list[str]


class Option(NamedTuple):
    """An option; ``value`` is ``None`` for a flag."""

    names: list[str]
    help: str
    value: Value | None
    multiple: bool


class Argument(NamedTuple):
    """The position of one argument, or, as the last one, of any number of arguments."""

    value: Value
    many: bool


class Command(NamedTuple):
    """A command; the program itself has the name ``""``."""

    name: str
    help: str
    options: list[Option]
    arguments: list[Argument]
    interspersed: bool
    """Whether options may follow the first argument."""


_HELP = Option(["-h", "--help"], "Show this message and exit.", None, multiple=False)

_IDS = {
    "advance": "active",
    "cancel": "active",
    "complete": "active",
    "fail": "active",
    "progress": "active",
    "retry": "failed",
    "ack": "failed",
}

_BY_METAVAR = {
    "COMMAND": "command",
    "CONDITION": "conditions",
    "FILE": "files",
    "ID": "ids",
    "KEY=VALUE": "labels",
    "SELECTOR": "labels",
    "SESSION": "sessions",
    "STAGE": "stages",
    "TYPE": "types",
    "URL": "hubs",
}

_BY_NAME = {
    "--dir": "directories",
    "--id": "",  # a new one
    "--keep-env": "environment",
    "--result": "result",
    "prune --stage": "endings",
    "advance STAGE": "next",
}


def read() -> list[Command]:
    """Return the program itself and all its commands."""
    group: Any = typer.main.get_command(build())
    root = Command("", "", [_HELP, *_options("", group)], [], interspersed=False)
    return [root, *(_command(name, group.commands[name]) for name in COMMANDS)]


def _command(name: str, command: Any) -> Command:
    arguments = [
        Argument(_value(name, parameter), many=parameter.nargs != 1)
        for parameter in command.params
        if isinstance(parameter, TyperArgument)
    ]
    text = (command.help or "").strip().splitlines()[0]
    interspersed = command.context_settings.get("allow_interspersed_args", True)
    return Command(name, text, [_HELP, *_options(name, command)], arguments, interspersed)


def _options(command: str, of: Any) -> list[Option]:
    return [
        Option(
            [*parameter.opts, *parameter.secondary_opts],
            parameter.help or "",
            None if parameter.is_flag else _value(command, parameter),
            parameter.multiple,
        )
        for parameter in of.params
        if not isinstance(parameter, TyperArgument) and not parameter.hidden
    ]


def _value(command: str, parameter: Any) -> Value:
    is_argument = isinstance(parameter, TyperArgument)
    metavar = parameter.metavar or ""
    name = metavar if is_argument else parameter.opts[0]
    types = [parameter.type_descriptor.annotation]
    types += get_args(types[0])
    enums: list[Any] = [type for type in types if isinstance(type, EnumMeta)]
    choices = [str(word.value) for enum in enums for word in enum]
    label = (metavar or parameter.name).lower()
    if choices:
        return Value(label, "words", choices)
    if (command, metavar) == ("help", "TOPIC"):
        return Value(label, "words", [*COMMANDS, *TOPICS])
    for known in (f"{command} {name}", name):
        if known in _BY_NAME:
            return Value(label, _BY_NAME[known], [])
    if is_argument and metavar == "ID":
        return Value(label, _IDS.get(command, "ids"), [])
    return Value(label, _BY_METAVAR.get(metavar, "files" if Path in types else ""), [])
