"""The completion scripts."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from jobctl.cli.app import COMMANDS
from jobctl.cli.completions import FILES, check
from tests.cli.conftest import ROOT, Run


def test_scripts_are_what_would_be_written() -> None:
    """No drift: python -m jobctl.cli.completions --write mends it."""
    assert check(ROOT / "completions") == []


@pytest.mark.parametrize("shell", sorted(FILES))
def test_the_command_prints_the_script(run: Run, shell: str) -> None:
    """The same text as in the file."""
    assert run("completion", shell).out == (ROOT / "completions" / FILES[shell]).read_text()


@pytest.mark.parametrize("shell", sorted(FILES))
def test_the_shell_takes_the_script(shell: str) -> None:
    """Its own parser finds no fault."""
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    path = ROOT / "completions" / FILES[shell]
    done = subprocess.run([shell, "-n", str(path)], capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["jobctl", ""], set(COMMANDS)),
        (["jobctl", "run"], {"run-dummy"}),
        (["jobctl", "ls", "--st"], {"--stage"}),
        (["jobctl", "ls", "-o", "js"], {"json", "jsonl"}),
        (["jobctl", "completion", ""], {"bash", "zsh", "fish"}),
    ],
)
def test_bash_completes(words: list[str], expected: set[str]) -> None:
    """Commands, options and choices, in the real shell."""
    if shutil.which("bash") is None:
        pytest.skip("bash is not installed")
    script = ROOT / "completions" / FILES["bash"]
    quoted = " ".join(f"'{word}'" for word in words)
    code = (
        f"source {script}; COMP_WORDS=({quoted}); COMP_CWORD={len(words) - 1}; "
        '_jobctl; printf "%s\\n" "${COMPREPLY[@]}"'
    )
    done = subprocess.run(["bash", "-c", code], capture_output=True, text=True, check=True)
    assert expected <= set(done.stdout.split())
    assert words[-1] == "" or set(done.stdout.split()) == expected
