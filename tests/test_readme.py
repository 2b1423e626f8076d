"""The README's examples run as they stand, and its transcripts are what is really said."""

from __future__ import annotations

import json
import os
import re
import select
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from jobctl.cli.commands import COMMANDS
from jobctl.config import Settings
from jobctl.core.pipeline import parse_types

README = Path(__file__).parent.parent / "README.md"
TEXT = README.read_text()
EXAMPLES = re.findall(r"<!-- runs -->\n```(sh|python)\n(.*?)```", TEXT, flags=re.DOTALL)
TRANSCRIPTS = re.findall(r"<!-- transcript -->\n```console\n(.*?)```", TEXT, flags=re.DOTALL)


def test_there_are_examples() -> None:
    """The patterns above find what the README marks."""
    assert [language for language, _ in EXAMPLES] == ["python", "python"]
    assert len(TRANSCRIPTS) == 8


def test_transcripts_say_which_directory_they_use() -> None:
    """At the top, so that each can be typed on its own."""
    tops = {next(iter(_turns(text)))[0] for text in TRANSCRIPTS}
    assert tops == {"export JOBCTL_DIR=data/jobs"}


@pytest.mark.slow
def test_loop_reports_its_progress(tmp_path: Path) -> None:
    """The loop runs as it stands, within a run and without one."""
    (loop,) = re.findall(r"<!-- loop -->\n```sh\n(.*?)```", TEXT, flags=re.DOTALL)
    (tmp_path / "data").mkdir()
    for name in ("a", "b c", "d"):
        (tmp_path / "data" / f"{name}.csv").touch()
    (tmp_path / "load").write_text('#!/bin/sh\nexec test -f "$1"\n')
    (tmp_path / "load").chmod(0o755)
    (tmp_path / "loop.sh").write_text(f"set -eu\n{loop}")
    env = _environment(tmp_path) | {"JOBCTL_DIR": str(tmp_path / "jobs")}
    subprocess.run(["sh", "loop.sh"], cwd=tmp_path, env=env, check=True, timeout=60)
    until = "until jobctl show x -o json | tee last | grep -q '\"done\":3'; do sleep 0.1; done"
    inside = f"sh loop.sh; {until}; cat last"
    command = ["jobctl", "run", "--id", "x", "--", "sh", "-c", inside]
    run = subprocess.run(
        command, cwd=tmp_path, env=env, check=True, capture_output=True, timeout=60
    )
    job = json.loads(run.stdout)
    assert (job["progress"], job["message"]) == ({"done": 3, "total": 3}, "data/d.csv")


def _environment(directory: Path) -> dict[str, str]:
    shim = directory / "bin" / "jobctl"
    shim.parent.mkdir()
    shim.write_text(f'#!/bin/sh\nexec {sys.executable} -m jobctl "$@"\n')
    shim.chmod(0o755)
    kept = {key: value for key, value in os.environ.items() if not key.startswith("JOBCTL_")}
    return kept | {
        "PATH": f"{shim.parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(README.parent),
        "TZ": "UTC0",
    }


@pytest.mark.slow
@pytest.mark.parametrize(("language", "text"), EXAMPLES)
def test_example_runs(language: str, text: str, tmp_path: Path) -> None:
    """Each marked block runs without an error in an empty directory."""
    (tmp_path / "jobs").mkdir(mode=0o700)
    env = _environment(tmp_path) | {"JOBCTL_DIR": str(tmp_path / "jobs")}
    command = ["sh", "-euc", text] if language == "sh" else [sys.executable, "-c", text]
    run = subprocess.run(
        command, env=env, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    assert (run.returncode, run.stderr) == (0, "")


def test_library_example_says_what_it_prints(tmp_path: Path) -> None:
    """The one output that the README shows in a comment is the real one."""
    run = subprocess.run(
        [sys.executable, "-c", EXAMPLES[1][1]],
        cwd=README.parent,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert run.stdout.splitlines()[0] == "['extract']"


# -- transcripts ----------------------------------------------------------------------------

END = "--end--"


class Shell:
    """A shell that is typed at; what it and its programs say, on both streams, line by line."""

    def __init__(self, directory: Path) -> None:
        (directory / "data").mkdir()
        env = _environment(directory) | {"JOBCTL_DIR": str(directory / "data" / "jobs")}
        self._process = subprocess.Popen(
            ["bash", "--norc"],
            env=env,
            cwd=directory,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._in, self._out = self._process.stdin, self._process.stdout
        self._said = b""

    def type(self, line: str, *, answers: int) -> list[str]:
        """What is said to the line; one that goes on beside us is listened to for its answers."""
        self._in.write(f"{line}\n".encode())
        if not line.endswith("&"):
            self._in.write(f"echo {END}\n".encode())
        self._in.flush()
        heard: list[str] = []
        while (line.endswith("&") and len(heard) < answers) or not line.endswith("&"):
            text = self._line()
            if text == END:
                break
            heard.append(text)
        return heard

    def _line(self) -> str:
        deadline_s = time.monotonic() + 40
        while b"\n" not in self._said:
            left_s = deadline_s - time.monotonic()
            assert left_s > 0, f"nothing more after {self._said!r}"
            if select.select([self._out], [], [], left_s)[0]:
                data = os.read(self._out.fileno(), 65536)
                assert data, "the shell has ended"
                self._said += data
        line, _, self._said = self._said.partition(b"\n")
        return line.decode()

    def close(self) -> None:
        """End it, and what it left behind."""
        self._in.write(b"kill $(jobs -p) 2>/dev/null; wait; exit\n")
        self._in.close()
        self._process.wait(timeout=40)
        self._out.close()


@contextmanager
def shell(directory: Path) -> Iterator[Shell]:
    """A shell in the directory, for as long as the block."""
    typed = Shell(directory)
    try:
        yield typed
    finally:
        typed.close()


def _turns(text: str) -> Iterator[tuple[str, list[str]]]:
    """Each line that is typed, and what is said to it."""
    for turn in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        line, *said = turn.rstrip("\n").split("\n")
        yield line.rstrip(), said


_SAME = (
    (r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|\+0000)", "<time>"),
    (r"(?<![\w.])\d+(?:ms|s|m\d\ds)(?!\w)", "<a while>"),
    (r":\d{4,5}/", ":<port>/"),
    (r":\d{4,5}$", ":<port>"),
    (r"revision +\d+", "revision <n>"),
    (r" +", " "),
)


def _alike(lines: list[str], directory: Path) -> list[str]:
    """Without what differs from run to run: times, ports, and how wide a column is."""
    alike = []
    for line in lines:
        line = line.replace(f"{directory}/", "")
        for pattern, word in _SAME:
            line = re.sub(pattern, word, line)
        alike.append(line.rstrip())
    return alike


@pytest.mark.slow
def test_transcripts_are_what_is_said(tmp_path: Path) -> None:
    """One after the other, in one directory."""
    with shell(tmp_path) as typed:
        for transcript in TRANSCRIPTS:
            for line, said in _turns(transcript):
                line = line.replace("jobctl serve &", "jobctl serve --port 0 &")
                heard = typed.type(line, answers=len(said))
                assert _alike(_kept(line, heard), tmp_path) == _alike(said, tmp_path), line


def _kept(line: str, heard: list[str]) -> list[str]:
    """Without what a shell says of its own, and the remark that comes with the first job."""
    dull = re.compile(r"jobctl: created |.*\bKilled\b|\[\d+\]")
    return [text for text in heard if not dull.match(text)]


def test_each_command_has_a_run() -> None:
    """In a transcript, or by a command of its own kind."""
    typed = [line for text in TRANSCRIPTS for line, _ in _turns(text)]
    shown = {word for line in typed for word in re.findall(r"jobctl ([a-z-]+)", line)}
    blocks = "\n".join(re.findall(r"```sh\n(.*?)```", TEXT, flags=re.DOTALL))
    apart = {
        "demo",
        "doctor",
        "completion",
        "js",
        "token",
    }  # five seconds; the machine's own; a script
    assert shown | apart == set(COMMANDS)
    assert all(f"jobctl {name}" in blocks + TEXT for name in apart)


def test_settings_that_are_shown_are_understood(tmp_path: Path) -> None:
    """By the reader of ``jobctl.toml``, without a doubt."""
    (block,) = re.findall(r"<!-- settings -->\n```toml\n(.*?)```", TEXT, flags=re.DOTALL)
    (tmp_path / "jobctl.toml").write_text(block)
    known = Settings({}, tmp_path)
    assert known.doubts == []
    assert [known.get(name) is not None for name in tomllib.loads(block) if name != "types"] == [
        True
    ] * 6
    etl = parse_types(known.types)["etl"]
    assert [stage.percent for stage in etl.stages] == [0, 0, 20, 40, 100]


def test_every_link_within_the_page_leads_somewhere() -> None:
    """GitHub makes the anchors out of the headings."""
    headings = {
        re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-")
        for heading in re.findall(r"^#+ (.*)$", TEXT, flags=re.MULTILINE)
    }
    links = re.findall(r"\]\(#([^)]*)\)", TEXT)
    assert links
    assert set(links) <= headings
