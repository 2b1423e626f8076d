"""The typer application, made from the options in each command's signature.

It answers ``--help`` and every command line that the light parser leaves to it (see
light/parser.py), and the shells' completion scripts are made from it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperArgument

from jobctl._version import __version__
from jobctl.cli.commands import COMMANDS
from jobctl.cli.exits import Exit
from jobctl.cli.light.parser import annotation_of
from jobctl.cli.options import Argument, Option

__all__ = ["build", "run"]

_HELP = {"help_option_names": ["-h", "--help"]}


def build(names: list[str] | None = None) -> typer.Typer:
    """Return the typer application with these commands, or with all."""
    app = typer.Typer(
        name="jobctl",
        help="Live job tracking across processes: record anywhere, watch anywhere.",
        epilog="Start with: jobctl demo. Exit codes, settings and more: jobctl help TOPIC",
        add_completion=False,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        context_settings=_HELP,
    )

    @app.callback()
    def root(
        version: bool = typer.Option(
            False, "--version", "-V", help="Print the version.", callback=_version, is_eager=True
        ),
    ) -> None: ...

    for name in names or list(COMMANDS):
        module = import_module(f"jobctl.cli.{COMMANDS[name]}")
        function = getattr(module, COMMANDS[name])
        settings = {**_HELP, **getattr(module, "SETTINGS", {})}
        app.command(name, context_settings=settings, epilog=module.EXAMPLE)(_typed(function))
    return app


def run(args: list[str], command: str | None) -> int:
    """Parse and run the command line, with the application for ``command`` only, or for all."""
    application = typer.main.get_command(build([command] if command is not None else None))
    _without_types(application)
    code = application.main(args, prog_name="jobctl", standalone_mode=False)
    return code if isinstance(code, int) else 0


def _typed(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the command with typer's options instead of ours."""
    parameters = []
    for parameter in inspect.signature(function).parameters.values():
        hint, about = annotation_of(function, parameter.name)
        parameters.append(parameter.replace(annotation=Annotated[hint, _of(about)]))

    def command(**values: Any) -> Any:
        return function(**values)

    command.__name__, command.__doc__ = function.__name__, function.__doc__
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {one.name: one.annotation for one in parameters}
    return command


def _of(about: Option | Argument) -> Any:
    """Return our option or argument as typer's."""
    same: dict[str, Any] = {
        "help": about.help,
        "metavar": about.metavar,
        "min": about.min,
        "max": about.max,
        "show_default": about.show_default,
    }
    if isinstance(about, Option):
        return typer.Option(*about.flags, **same)
    return typer.Argument(**same)


def _without_types(group: Any) -> None:
    """Remove what tells users nothing: Python's type names (``ID <list[str]>``), and the missing
    first half of an option that only turns something off (`` / --no-relay``).
    """
    for command in group.commands.values():
        for parameter in command.params:
            if isinstance(parameter, TyperArgument) and parameter.metavar:
                parameter.display_type_rich = lambda ctx: None  # type: ignore[method-assign]
            if parameter.secondary_opts and not any(parameter.opts):
                parameter.get_help_record = partial(_second_half, parameter.get_help_record)


def _second_half(record: Callable[[Any], tuple[str, str]], context: Any) -> tuple[str, str]:
    flags, help = record(context)
    return flags.removeprefix(" / "), help


def _version(value: bool) -> None:
    if value:
        import sys

        sys.stdout.write(f"jobctl {__version__}\n")
        raise Exit
