"""The completion scripts."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pexpect
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
        (["jobctl", "run-"], {"run-dummy"}),
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


FISH = [
    ("jobctl ", set(COMMANDS)),
    ("jobctl run-", {"run-dummy"}),
    ("jobctl ls --st", {"--stage"}),
    ("jobctl ls -o js", {"json", "jsonl"}),
    ("jobctl completion ", {"bash", "zsh", "fish"}),
]


@pytest.mark.parametrize(("line", "expected"), FISH)
def test_fish_completes(line: str, expected: set[str]) -> None:
    """Commands, options and choices, in the real shell."""
    if shutil.which("fish") is None:
        pytest.skip("fish is not installed")
    script = ROOT / "completions" / FILES["fish"]
    code = f"source {script}; complete -C '{line}'"
    done = subprocess.run(
        ["fish", "--no-config", "-c", code], capture_output=True, text=True, check=True
    )
    words = {row.split("\t")[0].removeprefix("-o") for row in done.stdout.splitlines()}
    assert words == expected


@pytest.mark.slow
@pytest.mark.parametrize("autoloaded", [False, True])
def test_zsh_completes(autoloaded: bool) -> None:
    """From $fpath, and sourced as people do it: ``source <(jobctl completion zsh)``."""
    if shutil.which("zsh") is None:
        pytest.skip("zsh is not installed")
    folder = ROOT / "completions"
    load = f"fpath=({folder} $fpath)" if autoloaded else ":"
    load += "; autoload -Uz compinit; compinit -u -D"
    load += "" if autoloaded else f"; source {folder / FILES['zsh']}"
    with _shell("zsh", ["-f", "-i"], load) as zsh:
        zsh.send("jobctl adv\t")
        zsh.expect("jobctl advance ")
        zsh.sendcontrol("u")
        zsh.send("jobctl ls --sta\t")
        zsh.expect("jobctl ls --stage ")
        zsh.sendcontrol("u")
        zsh.send("jobctl completion f\t")
        zsh.expect("jobctl completion fish")


@pytest.mark.slow
def test_bash_completes_file_names_with_blanks(tmp_path: Path) -> None:
    """And puts a slash behind a directory."""
    if shutil.which("bash") is None:
        pytest.skip("bash is not installed")
    (tmp_path / "two words").mkdir()
    load = f"source {ROOT / 'completions' / FILES['bash']}; cd {tmp_path}"
    with _shell("bash", ["--norc", "--noprofile", "-i"], load) as bash:
        bash.send("jobctl ls --dir tw\t")
        bash.expect_exact("--dir two\\ words/")


@contextmanager
def _shell(name: str, args: list[str], load: str) -> Iterator[Any]:
    """The shell on a terminal, after it took a line."""
    env = {"PATH": "/usr/local/bin:/usr/bin:/bin", "TERM": "dumb", "HOME": "/tmp", "PS1": "ready> "}
    shell = pexpect.spawn(name, args, env=env, dimensions=(24, 200), encoding="utf-8", timeout=20)
    shell.expect("ready> ")
    shell.sendline(f"{load}; PS1='loaded''> '")
    shell.expect("loaded> ")
    try:
        yield shell
    finally:
        shell.close(force=True)
