"""The application: its help, and what is common to all commands."""

from __future__ import annotations

import pytest

from jobctl.cli.commands import COMMANDS
from tests.cli.conftest import Run


@pytest.fixture(autouse=True)
def on_80_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    """As wide as a terminal ever was."""
    monkeypatch.setenv("COLUMNS", "80")


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_help_fits_and_has_an_example(run: Run, name: str) -> None:
    """Each option is said in a sentence, and nothing is cut."""
    result = run(name, "--help")
    assert (result.code, result.err) == (0, "")
    lines = result.out.splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[-1].startswith("  Example: ")
    assert f"jobctl {name}" in lines[-1]
    assert "[[" not in result.out
    assert "<str>" not in result.out
    assert "<list" not in result.out
    assert run(name, "-h").out == result.out


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_help_is_short(run: Run, name: str) -> None:
    """Formats are named in the sentence, not beside the option, where they made all lines narrow;
    and an option that only turns something off has no empty first half (`` / --no-relay``).
    """
    lines = run(name, "--help").out.splitlines()
    assert len(lines) <= 46
    assert not [line for line in lines if "|json" in line or line.startswith("   / --")]


def test_the_root_help_names_every_command_with_a_whole_sentence(run: Run) -> None:
    """None is cut with dots."""
    out = run("--help").out
    lines = {line.split()[0]: line for line in out.splitlines() if line.strip()}
    assert set(COMMANDS) <= set(lines)
    assert all(lines[name].endswith(".") for name in COMMANDS)
    assert "..." not in "".join(lines[name] for name in COMMANDS)
    assert max(map(len, out.splitlines())) <= 80


def test_no_command_shows_the_help(run: Run) -> None:
    """On standard output; it is a usage error all the same."""
    result = run()
    assert (result.code, result.err) == (2, "")
    assert result.out == run("--help").out


@pytest.mark.parametrize("flag", ["--version", "-V"])
def test_version_is_the_same_by_the_long_way(run: Run, flag: str) -> None:
    """The light path answers when it stands alone; this is the one with typer."""
    result = run(flag, "ls")
    assert result.code == 0
    assert result.out.startswith("jobctl ")


def test_a_defect_stays_a_traceback(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only errors that were raised on purpose become one line."""
    monkeypatch.setattr("jobctl.api.show", lambda *_: {}["defect"])
    with pytest.raises(KeyError, match="defect"):
        run("show", "j", "--dir", "/")
