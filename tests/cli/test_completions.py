"""The completion scripts, in the shells themselves."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobctl.cli.commands import COMMANDS
from jobctl.cli.completions import FILES, check
from jobctl.cli.completions.tree import read
from jobctl.cli.dynamic_completion import KINDS
from jobctl.core.pipeline import BUILT_IN, CANCELLED, FAILED
from jobctl.hub.discovery import announced
from tests.cli.conftest import ROOT, Run
from tests.cli.shells import Shell, ShellFiles, opened, put_job

TYPES = sorted(BUILT_IN)
STAGES = [*BUILT_IN["create_session"].names(), FAILED, CANCELLED]
HOSTILE_TYPES = ["$(touch pwned)", "`touch pwned`", "*", "~root", "=ls", "{a,b}", "%1 ?"]
HOSTILE_SESSIONS = [
    'it\'s "so" bad',
    "run:build x=1",
    "back\\slash",
    "wow! & ; | <",
    "-dash",
    "#1",
    "größe ü",
]
HUB = "ws://127.0.0.1:8799"


def test_scripts_are_what_would_be_written() -> None:
    """No drift: python -m jobctl.cli.completions --write mends it."""
    assert check(ROOT / "completions") == []


@pytest.mark.parametrize("name", sorted(FILES))
def test_the_command_prints_the_script(run: Run, name: str) -> None:
    """The same text as in the file."""
    assert run("completion", name).out == (ROOT / "completions" / FILES[name]).read_text()


@pytest.mark.parametrize("name", sorted(FILES))
def test_the_help_says_where_the_script_belongs(run: Run, name: str) -> None:
    """One command for each shell, whole on its line."""
    assert f"jobctl completion {name} >~/." in run("completion", "--help").out


@pytest.mark.parametrize("name", sorted(FILES))
def test_the_shell_takes_the_script(name: str) -> None:
    """Its own parser finds no fault."""
    if shutil.which(name) is None:
        pytest.skip(f"{name} is not installed")
    path = ROOT / "completions" / FILES[name]
    done = subprocess.run([name, "-n", str(path)], capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")


def test_what_a_script_asks_for_is_known() -> None:
    """A kind is a list of words, something of the shell's, or of dynamic_completion.py."""
    of_shells = {"", "words", "files", "directories", "result", "environment", "command"}
    kinds = {
        value.kind
        for command in read()
        for value in (
            *(option.value for option in command.options if option.value),
            *(argument.value for argument in command.arguments),
        )
    }
    assert kinds <= of_shells | KINDS.keys()
    assert KINDS.keys() <= kinds


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ShellFiles]:
    """Jobs, honest and hostile, a running hub, and some files."""
    files = ShellFiles(tmp_path_factory.mktemp("completions"))
    put_job(files.jobs, "alpha", age_s=40, stage="failed", title="\x1b[31mred\n%F{red}`pwned`: 1")
    put_job(files.jobs, "beta", age_s=30, stage="completed")
    put_job(files.jobs, "gamma", age_s=20, stages=["fetch", "load", "two words", "$(touch pwned)"],
            labels={"team": "data", "env": "prod"})  # fmt: skip
    put_job(files.jobs, "gambit", age_s=10, type="create_session", stage="analyze")
    for n, type in enumerate(HOSTILE_TYPES):
        put_job(files.jobs, f"type{n}", age_s=100, type=type, stage="completed")
    for n, session in enumerate(HOSTILE_SESSIONS):
        put_job(files.jobs, f"session{n}", age_s=100 + n, sessionId=session, stage="completed")
    put_job(files.here / "other place", "only-there")
    (files.here / "result.json").write_text("{}")
    (files.here / "token file").write_text("secret")
    (files.here / "jobctl").symlink_to(files.root / "bin" / "jobctl")
    tool = files.root / "bin" / "our-own-tool"
    tool.write_text("#!/bin/sh\n")
    tool.chmod(0o755)
    (files.jobs / ".jobctl").mkdir()
    with announced(files.jobs, HUB):
        yield files


@pytest.fixture(scope="module", params=sorted(FILES))
def shell(request: pytest.FixtureRequest, files: ShellFiles) -> Iterator[Shell]:
    """Each of the shells, with our script loaded. Nothing that stands in a job is ever run."""
    with opened(request.param, files, JOBCTL_TEST_VARIABLE="1") as shell:
        yield shell
    assert sorted(path.name for path in files.here.iterdir()) == [
        "jobctl", "other place", "result.json", "token file",
    ]  # fmt: skip


ENDED = [f"type{n}" for n in range(len(HOSTILE_TYPES))]
ENDED += [f"session{n}" for n in range(len(HOSTILE_SESSIONS))]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("jobctl ", [*COMMANDS]),
        ("jobctl run", ["run", "run-dummy"]),
        ("jobctl ls -o ", ["json", "jsonl", "name", "table", "wide"]),
        ("jobctl completion ", ["bash", "fish", "zsh"]),
        ("jobctl show ", ["gambit", "gamma", "beta", "alpha", *ENDED]),
        ("jobctl show ga", ["gambit", "gamma"]),
        ("jobctl retry ", ["alpha"]),
        ("jobctl cancel ", ["gambit", "gamma"]),
        ("jobctl complete ", ["gambit", "gamma"]),
        ("jobctl rm gam", ["gambit", "gamma"]),
        ("jobctl rm gamma gam", ["gambit"]),
        ("jobctl rm -- gamb ", ["gamma", "beta", "alpha", *ENDED]),
        ("jobctl cancel --timeout 5 gambit ", ["gamma"]),
        ("jobctl advance gamma ", ["two words", "$(touch pwned)", "completed"]),
        ("jobctl advance gambit ", ["generate", "finalize", "completed"]),
        ("jobctl create ", [*TYPES, *HOSTILE_TYPES, "nightly"]),
        ("jobctl ls --type ", [*TYPES, *HOSTILE_TYPES, "nightly"]),
        ("jobctl ls --type nightly --type cr", ["create_next_round", "create_session"]),
        ("jobctl ls --stage ", [*STAGES, "load"]),
        ("jobctl ls --session ", HOSTILE_SESSIONS),
        ("jobctl prune --stage ", ["completed", "failed", "cancelled"]),
        ("jobctl ls -l ", ["env=prod", "team=data"]),
        ("jobctl wait --selector te", ["team=data"]),
        ("jobctl create --label e", ["env=prod"]),
        ("jobctl wait --for g", ["gone"]),
        ("jobctl watch --url ", [HUB]),
        ("jobctl watch --url ws://elsewhere ", []),
        ("jobctl watch --url ws://elsewhere --type ", [*TYPES]),
        ("jobctl create --title ", []),
        ("jobctl ls --dir 'other place' ", ["only-there"]),
        ("jobctl ls --dir=other\\ place ", ["only-there"]),
        ("jobctl ls --dir ~/nowhere ", []),
        ("jobctl run our-own-tool --t", []),
        ("jobctl run --keep-env JOBCTL_T", ["JOBCTL_TEST_VARIABLE"]),
        ("jobctl unknown ", []),
    ],
)
def test_tab_offers(shell: Shell, line: str, expected: list[str]) -> None:
    """Everything that may stand there, and nothing else."""
    assert sorted(shell.candidates(line)) == sorted(expected)


@pytest.mark.slow
def test_the_newest_job_comes_first(shell: Shell) -> None:
    """It is the one that people mean."""
    if shell.name == "zsh":
        assert re.search("gambit .*gamma .*beta .*alpha ", shell.listed("jobctl show "), re.DOTALL)
    else:
        assert shell.candidates("jobctl show ")[:4] == ["gambit", "gamma", "beta", "alpha"]


@pytest.mark.slow
@pytest.mark.parametrize("line", ["jobctl ack gamma ", "jobctl fail gamma "])
def test_where_no_second_id_belongs_none_is_offered(shell: Shell, line: str) -> None:
    """At most options, which zsh offers where there can be nothing else."""
    assert [word for word in shell.candidates(line) if not word.startswith("-")] == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("jobctl adv", "jobctl advance "),
        ("jobctl -h adv", "jobctl -h advance "),
        ("./jobctl show al", "./jobctl show alpha "),
        ("jobctl show al", "jobctl show alpha "),
        ("jobctl show ga", "jobctl show gam"),
        ("jobctl show AL", "jobctl show AL"),
        ("jobctl show -- al", "jobctl show -- alpha "),
        ("jobctl ls -o wi", "jobctl ls -o wide "),
        ("jobctl ls -owi", "jobctl ls -owide "),
        ("jobctl ls -qowi", "jobctl ls -qowide "),
        ("jobctl ls -vo wi", "jobctl ls -vo wide "),
        ("jobctl ls --output=wi", "jobctl ls --output=wide "),
        ("jobctl ls --no-h", "jobctl ls --no-headers "),
        ("jobctl ls --stage=fai", "jobctl ls --stage=failed "),
        ("jobctl ls --stage=failed --stage=comp", "jobctl ls --stage=failed --stage=completed "),
        ("jobctl wait --for=stage=fai", "jobctl wait --for=stage=failed "),
        ("jobctl wait --for stage=fai", "jobctl wait --for stage=failed "),
        ("jobctl prune --stage completed,f", "jobctl prune --stage completed,failed "),
        ("jobctl ls -l team=d", "jobctl ls -l team=data "),
        ("jobctl ls --selector=te", "jobctl ls --selector=team=data "),
        ("jobctl watch --url ws://127.0.0.1:87", f"jobctl watch --url {HUB} "),
        ("jobctl watch --url=ws", f"jobctl watch --url={HUB} "),
        ("jobctl ls --session run al", "jobctl ls --session run alpha "),
        ("jobctl ls --session -- al", "jobctl ls --session -- alpha "),
        ("jobctl ls -o show --type=run al", "jobctl ls -o show --type=run alpha "),
        ("jobctl ls --url ws://x al", "jobctl ls --url ws://x al"),
        ("jobctl complete --result @res", "jobctl complete --result @result.json "),
        ("jobctl complete --result=@res", "jobctl complete --result=@result.json "),
        ("jobctl complete --result res", "jobctl complete --result res"),
        ("jobctl watch --cursor-file res", "jobctl watch --cursor-file result.json "),
        ("jobctl serve --tls-cert=res", "jobctl serve --tls-cert=result.json "),
        ("jobctl ls --token-file tok", "jobctl ls --token-file token\\ file "),
        ("jobctl ls --dir oth", "jobctl ls --dir other\\ place/"),
        ("jobctl ls --dir=oth", "jobctl ls --dir=other\\ place/"),
        ("jobctl ls --dir res", "jobctl ls --dir res"),
        ("jobctl ls > res", "jobctl ls > result.json "),
        ("jobctl run -- our-o", "jobctl run -- our-own-tool "),
        ("jobctl run --type x our-o", "jobctl run --type x our-own-tool "),
        ("jobctl run -- cat res", "jobctl run -- cat result.json "),
        ("jobctl run --title t cat res", "jobctl run --title t cat result.json "),
        ("true && jobctl adv", "true && jobctl advance "),
        ("JOBCTL_X=1 jobctl show al", "JOBCTL_X=1 jobctl show alpha "),
    ],
)
def test_tab_completes(shell: Shell, line: str, expected: str) -> None:
    """The word at the cursor, and nothing where nobody can tell."""
    if shell.name == "zsh" and "--session -- " in line:
        pytest.skip("zsh ends the options at -- even where it is a value")
    assert shell.tab(line) == expected


@pytest.mark.slow
@pytest.mark.parametrize("dashes", ["", "-- "])
def test_the_command_of_run_is_completed_as_if_alone(shell: Shell, dashes: str) -> None:
    """With its own options. bash does so where bash-completion is installed."""
    if shell.name == "bash":
        pytest.skip("bash itself completes no command line within another")
    line = f"jobctl run --title t {dashes}jobctl ls --dir 'other place' "
    assert shell.tab(line + "on") == line + "only-there "
    assert shell.tab(line + "--no-h") == line + "--no-headers "


@pytest.mark.slow
@pytest.mark.parametrize("start", ["jobctl ls --session ", "jobctl ls --session="])
@pytest.mark.parametrize(
    ("prefix", "value"),
    [
        ("it", HOSTILE_SESSIONS[0]),
        ('"it', HOSTILE_SESSIONS[0]),
        ("'it", HOSTILE_SESSIONS[0]),
        ("it\\'s\\ ", HOSTILE_SESSIONS[0]),
        ("ru", HOSTILE_SESSIONS[1]),
        ("run:bu", HOSTILE_SESSIONS[1]),
        ("run:build\\ x", HOSTILE_SESSIONS[1]),
        ('"run:build x=', HOSTILE_SESSIONS[1]),
        ("back", HOSTILE_SESSIONS[2]),
        ('"back', HOSTILE_SESSIONS[2]),
        ("back\\\\", HOSTILE_SESSIONS[2]),
        ("wo", HOSTILE_SESSIONS[3]),
        ('"wo', HOSTILE_SESSIONS[3]),
        ("'wo", HOSTILE_SESSIONS[3]),
        ("-d", HOSTILE_SESSIONS[4]),
        ("\\#", HOSTILE_SESSIONS[5]),
        ("gr", HOSTILE_SESSIONS[6]),
        ("grö", HOSTILE_SESSIONS[6]),
    ],
)
def test_a_value_arrives_as_it_is(shell: Shell, start: str, prefix: str, value: str) -> None:
    """Whatever it is made of, and however it was begun; when the line is run, jobctl gets it."""
    if shell.name == "fish" and (start[-1], prefix) == (" ", "-d"):
        pytest.skip("fish takes it for an option")
    words = ["ls", f"--session={value}"] if start.endswith("=") else ["ls", "--session", value]
    assert shell.given(start + prefix) == words


@pytest.mark.slow
@pytest.mark.parametrize("prefix", ["\\$", "'$", "\\`", "'`", "\\*", "'~", "\\=", "\\{", "%"])
def test_a_value_is_never_run(shell: Shell, prefix: str) -> None:
    """Neither by the completion nor by the line that it makes."""
    (value,) = (type for type in HOSTILE_TYPES if type[0] == prefix[-1])
    assert shell.given(f"jobctl ls --type {prefix}") == ["ls", "--type", value]
    assert not (shell.files.here / "pwned").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("line", "after", "expected"),
    [
        ("jobctl sh", " --dir x", "jobctl show --dir x"),
        ("jobctl show on", " --dir 'other place'", "jobctl show only-there --dir 'other place'"),
        ("jobctl show al", " --dir 'other place'", "jobctl show al --dir 'other place'"),
        ("jobctl rm gam", " gambit", "jobctl rm gamma gambit"),
        ("jobctl show ", " --dir 'other place'", "jobctl show only-there --dir 'other place'"),
    ],
)
def test_tab_in_the_middle(shell: Shell, line: str, after: str, expected: str) -> None:
    """What follows the cursor counts as well."""
    if shell.name == "fish" and after != " --dir x":
        pytest.skip("fish does not tell what follows the cursor")
    assert shell.tab(line, after=after).split() == expected.split()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["fish", "zsh"])
def test_jobs_are_described(files: ShellFiles, name: str) -> None:
    """By stage and title, made harmless."""
    with opened(name, files) as shell:
        listed = shell.listed("jobctl show ")
    assert "failed  \\e[31mred\\n%F{red}`pwned`: 1" in listed
    assert "analyze  create_session" in listed


@pytest.mark.slow
def test_zsh_loads_the_script_by_itself(files: ShellFiles, tmp_path: Path) -> None:
    """From $fpath, where people put it; elsewhere here it is sourced."""
    with opened("zsh", files, AUTOLOAD=str(ROOT / "completions")) as zsh:
        assert zsh.tab("jobctl adv") == "jobctl advance "
        assert zsh.tab("jobctl show al") == "jobctl show alpha "


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(FILES))
def test_the_program_may_be_named_by_its_path(tmp_path: Path, name: str) -> None:
    """It is asked where PATH has none. Without any, commands and options still are completed."""
    files = ShellFiles(tmp_path)
    put_job(files.jobs, "alpha")
    (tmp_path / "bin" / "jobctl").rename(files.here / "jobctl")
    with opened(name, files) as shell:
        assert shell.tab("./jobctl show al") == "./jobctl show alpha "
        assert shell.tab("jobctl show al") == "jobctl show al"
        assert shell.tab("jobctl adv") == "jobctl advance "
