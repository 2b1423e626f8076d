"""The light parser and the typer application: the same options, the same values."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from importlib import import_module
from typing import Any

import pytest
import typer
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.core import TyperArgument, TyperOption

from jobctl.cli import typer_app
from jobctl.cli.commands import COMMANDS, LIGHT
from jobctl.cli.light.parser import Parameter, parameters_of, parse
from jobctl.cli.options import Option


def command_of(name: str) -> Callable[..., Any]:
    """The function of a command."""
    return getattr(import_module(f"jobctl.cli.{COMMANDS[name]}"), COMMANDS[name])  # type: ignore[no-any-return]


def typers(name: str) -> Any:
    """The command as typer sees it."""
    group: Any = typer.main.get_command(typer_app.build([name]))
    return group.commands[name]


@pytest.mark.parametrize("name", COMMANDS)
def test_both_know_the_same_options(name: str) -> None:
    """Each flag of one is a flag of the other, for the same kind of value, as often."""
    ours = parameters_of(command_of(name))
    theirs = {one.name: one for one in typers(name).params if one.name != "help"}
    assert [one.name for one in ours] == list(theirs)
    for one in ours:
        other = theirs[one.name]
        assert isinstance(other, TyperOption if isinstance(one.about, Option) else TyperArgument)
        assert one.required == other.required
        assert one.many == (other.multiple or other.nargs == -1)
        if isinstance(one.about, Option):
            flags = [flag for pair in one.about.flags_of(one.name) for flag in pair.split("/")]
            assert [flag.strip() for flag in flags if flag.strip()] == [
                *other.opts,
                *other.secondary_opts,
            ]
            assert (one.kind is bool) == bool(getattr(other, "is_flag", False))


def words_of(one: Parameter) -> st.SearchStrategy[list[str]]:
    """One way to write an option with a value, or an argument."""
    if one.kind is bool:
        value = st.just("")
    elif issubclass(one.kind, Enum):
        value = st.sampled_from([str(each.value) for each in one.kind])
    elif one.kind is int:
        value = st.integers(0, 99).map(str)
    else:
        value = st.sampled_from(["a", "", "x y", "k=v", "3/8", "é", "@f", "10m", "-"])
    if not isinstance(one.about, Option):
        return value.map(lambda text: [text])
    flags = st.sampled_from(one.about.flags_of(one.name))
    if one.kind is bool:
        return flags.map(lambda flag: [flag])

    def written(flag: str, text: str, together: bool) -> list[str]:
        if not together:
            return [flag, text]
        if flag.startswith("--"):
            return [f"{flag}={text}"]
        return [flag + text] if text and not text.startswith("=") else [flag, text]

    return st.builds(written, flags, value, st.booleans())


@st.composite
def command_lines(draw: st.DrawFn) -> tuple[str, list[str]]:
    """A command of the light path, and words that it may be called with, good and bad."""
    name = draw(st.sampled_from(sorted(LIGHT)))
    parameters = parameters_of(command_of(name))
    chosen = draw(st.lists(st.sampled_from(parameters), max_size=5))
    groups = [draw(words_of(one)) for one in chosen]
    groups += draw(st.sampled_from([[], [["--"]], [["--unknown"]], [["-h"]], [["extra"]]]))
    groups = draw(st.permutations(groups))
    return name, [word for group in groups for word in group]


@settings(max_examples=400)
@given(command_lines())
@pytest.mark.slow
def test_both_give_the_same_values(line: tuple[str, list[str]]) -> None:
    """What the light parser takes, typer takes as the same values; else typer is asked anyway."""
    name, words = line
    command = command_of(name)
    values = parse(command, words)
    if values is None:
        return
    given_by_typer: dict[str, Any] = {}
    wrapped = typer_app._typed(command)
    assert wrapped.__closure__ is not None
    (cell,) = wrapped.__closure__
    cell.cell_contents = lambda **got: given_by_typer.update(got)
    app = typer.Typer(add_completion=False)
    app.command(context_settings={"help_option_names": ["-h", "--help"]})(wrapped)
    typer.main.get_command(app)(words, standalone_mode=False)
    defaults = dict(
        zip(
            command.__code__.co_varnames[
                command.__code__.co_argcount - len(command.__defaults__ or ()) :
            ],
            command.__defaults__ or (),
            strict=False,
        )
    )
    ours = {**defaults, **values}
    assert {key: value or None for key, value in ours.items()} == {
        key: value or None for key, value in given_by_typer.items()
    }


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("create", ["etl", "--id", "a", "-q"]),
        ("advance", ["a", "load", "--force", "--dir=x"]),
        ("progress", ["a", "3/8", "orders.csv"]),
        ("complete", ["a", "--result", "{}", "-o", "json"]),
        ("fail", ["a", "--", "--not-an-option"]),
        ("retry", ["a", "b"]),
        ("rm", ["a", "-ojsonl"]),
        ("show", ["a", "-o", "json"]),
        ("ls", ["-q"]),
        ("ls", ["--type", "a", "--type", "b", "--active", "--limit", "5"]),
    ],
)
def test_usual_command_lines_take_the_light_path(name: str, words: list[str]) -> None:
    """None of these needs typer."""
    assert parse(command_of(name), words) is not None


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("create", ["--help"]),
        ("create", ["a", "b"]),
        ("advance", ["--forse"]),
        ("retry", []),
        ("show", ["a", "-o", "yaml"]),
        ("ls", ["--limit", "-1"]),
        ("ls", ["--limit", "many"]),
        ("ls", ["--dir"]),
        ("ls", ["--active=yes"]),
        ("ls", ["-qv"]),
    ],
)
def test_everything_else_is_left_to_typer(name: str, words: list[str]) -> None:
    """Help, errors, and rare spellings."""
    assert parse(command_of(name), words) is None
