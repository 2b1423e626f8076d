"""README's recipes for cron, Make and GitHub Actions, run as these would run them."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from jobctl.core.cursor import ZERO
from jobctl.core.job import Job
from jobctl.stores import open_store
from tests.recipes.guide import block, program, programs

pytestmark = pytest.mark.slow

BARE = "/usr/bin:/bin"


def run(
    command: list[str], where: Path, env: dict[str, str], code: int | None = 0
) -> subprocess.CompletedProcess[str]:
    """Run it with no terminal and no more environment than this; with this exit code."""
    ran = subprocess.run(
        command, cwd=where, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True,
        start_new_session=True, timeout=50, check=False,
    )  # fmt: skip
    assert code is None or ran.returncode == code, ran.stdout + ran.stderr
    return ran


def jobs_in(directory: Path) -> list[Job]:
    """What is there, in the order of the last change."""
    store = open_store(directory)
    jobs = store.since(ZERO).jobs
    store.close()
    return list(jobs)


def stages(job: Job) -> list[str]:
    """The stages that the job went through."""
    return [entry.stage for entry in job.timeline()]


# -- cron -----------------------------------------------------------------------------------


class Crontab(NamedTuple):
    """What crontab(5) makes of the recipe."""

    env: dict[str, str]
    commands: list[str]


def crontab(text: str) -> Crontab:
    """Settings, and lines of five fields and a command, in which a bare % would end it."""
    made = Crontab({}, [])
    for line in text.splitlines():
        if setting := re.match(r"(\w+)=(.*)\Z", line):
            made.env[setting[1]] = setting[2]
            continue
        entry = re.match(r"(?:[\d*/,-]+ ){5}(.+)\Z", line)
        assert entry is not None, line
        assert not re.search(r"(?<!\\)%", entry[1]), "a bare % is a newline to cron"
        made.commands.append(entry[1].replace("\\%", "%"))
    return made


@pytest.fixture
def cron(tmp_path: Path) -> Crontab:
    """The recipe, with the home and the programs of this test."""
    text = block("cron", "crontab")
    text = text.replace("/home/ada", str(tmp_path)).replace(
        "/opt/jobctl/bin", str(programs(tmp_path / "venv"))
    )
    program(tmp_path / "venv" / "date", '[ "$*" = +%F ] && echo 2026-01-02')
    made = crontab(text)
    assert made.env["PATH"] == f"{tmp_path / 'venv'}:{BARE}"
    made.env.update(HOME=str(tmp_path), LOGNAME="ada", SHELL="/bin/sh")
    return made


def test_cron_tracks_the_backup_once_a_day(cron: Crontab, tmp_path: Path) -> None:
    """Its environment is enough, its mail the command's own, and a second one is kept off."""
    program(
        tmp_path / "bin" / "backup",
        "tty -s && exit 1; echo dumped; echo stage=upload >> $JOBCTL_EVENTS; echo x >> ran",
    )
    (tmp_path / "jobs").mkdir(mode=0o700)
    first = run(["sh", "-c", cron.commands[0]], tmp_path, cron.env)
    assert (first.stdout, first.stderr) == ("dumped\n", "")
    (job,) = jobs_in(tmp_path / "jobs")
    assert (job.id, job.type) == ("backup-2026-01-02", "backup")
    assert stages(job) == ["pending", "dump", "upload", "completed"]
    second = run(["sh", "-c", cron.commands[0]], tmp_path, cron.env, code=None)
    assert second.returncode != 0
    assert job.id in second.stderr
    assert (tmp_path / "ran").read_text() == "x\n"


def test_cron_mails_a_failure(cron: Crontab, tmp_path: Path) -> None:
    """Standard error comes through, and the job has its last line."""
    program(tmp_path / "bin" / "backup", "echo 'no space left' >&2; exit 7")
    ran = run(["sh", "-c", cron.commands[0]], tmp_path, cron.env, code=7)
    assert "no space left\n" in ran.stderr
    (job,) = jobs_in(tmp_path / "jobs")
    assert (job.stage, job.error) == ("failed", "Exit code 7: no space left")


def test_cron_tidies_up_in_silence(cron: Crontab, tmp_path: Path) -> None:
    """A lost job fails, an old one goes, a new one stays, and there is nothing to mail."""
    program(tmp_path / "bin" / "backup", "kill -9 $PPID")
    run(["sh", "-c", cron.commands[0]], tmp_path, cron.env, code=None)
    (job,) = jobs_in(tmp_path / "jobs")
    assert job.active, "it is lost"
    file = tmp_path / "jobs" / f"{job.id}.json"
    old = json.loads(re.sub(r'"20\d\d-', '"2019-', file.read_text()))
    old |= {"id": "old", "stage": "completed", "completedAt": old["updatedAt"]}
    (tmp_path / "jobs" / "old.json").write_text(json.dumps(old))
    assert run(["jobctl", "ls", "-q"], tmp_path, cron.env).stdout.split() == [job.id, "old"]
    ran = run(["sh", "-c", cron.commands[1]], tmp_path, cron.env)
    assert (ran.stdout, ran.stderr) == ("", "")
    assert [(job.id, job.stage) for job in jobs_in(tmp_path / "jobs")] == [(job.id, "failed")]


# -- Make -----------------------------------------------------------------------------------

needs_make = pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
needs_tar = pytest.mark.skipif(shutil.which("tar") is None, reason="needs tar")


@pytest.fixture
def made(tmp_path: Path) -> dict[str, str]:
    """A project with the recipe's Makefile; the environment to make it in."""
    (tmp_path / "Makefile").write_text(block("Make", "make"))
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "test_it.py").write_text(
        "import os, unittest\n"
        "class It(unittest.TestCase):\n"
        "    def test_it(self):\n"
        "        self.assertNotIn('BROKEN', os.environ)\n"
    )
    (tmp_path / "jobs").mkdir(mode=0o700)
    path = f"{programs(tmp_path / 'bin')}:{os.environ['PATH']}"
    return {"PATH": path, "HOME": str(tmp_path), "JOBCTL_DIR": str(tmp_path / "jobs")}


@needs_make
@needs_tar
def test_make_is_a_job_with_stages(made: dict[str, str], tmp_path: Path) -> None:
    """Each target says where it is; the job slots come through."""
    ran = run(["make", "-j2"], tmp_path, made)
    assert "jobserver" not in ran.stderr
    assert (tmp_path / "package.tar.gz").exists()
    (job,) = jobs_in(tmp_path / "jobs")
    assert (job.type, job.title) == ("make", str(tmp_path))
    assert stages(job) == ["pending", "compile", "test", "package", "completed"]


@needs_make
def test_make_fails_its_job(made: dict[str, str], tmp_path: Path) -> None:
    """With make's exit code, in the stage that failed."""
    run(["make"], tmp_path, made | {"BROKEN": "1"}, code=2)
    (job,) = jobs_in(tmp_path / "jobs")
    assert stages(job) == ["pending", "compile", "test", "failed"]
    assert job.error is not None
    assert re.match(r"Exit code 2: make.*\btest\b.*Error 1", job.error)


@needs_make
def test_make_of_one_target_tells_nobody(made: dict[str, str], tmp_path: Path) -> None:
    """Outside of `jobctl run` there is nobody to tell."""
    run(["make", "test"], tmp_path, made)
    assert jobs_in(tmp_path / "jobs") == []


# -- GitHub Actions -------------------------------------------------------------------------


def workflow_steps(text: str) -> list[dict[str, str]]:
    """The steps' keys and values as texts: as much of YAML as the recipe needs, and no more."""
    lines = text.splitlines()
    steps: list[dict[str, str]] = []
    at = lines.index("    steps:") + 1
    while at < len(lines):
        line = lines[at]
        match = re.match(r"(      - |        )([a-z-]+): (.+)\Z", line)
        assert match is not None, line
        if match[1] == "      - ":
            steps.append({})
        value, at = match[3], at + 1
        if value == "|":
            script = []
            while at < len(lines) and lines[at].startswith(" " * 10):
                script.append(lines[at][10:])
                at += 1
            value = "\n".join(script) + "\n"
        else:
            value = re.sub(r"  # .*", "", value)
        steps[-1][match[2]] = value
    return steps


WORKFLOW = block("GitHub Actions", "yaml")
STEPS = workflow_steps(WORKFLOW)


class Workflow:
    """The runner's part: one shell after another in the workspace, until one fails."""

    def __init__(self, place: Path, load: str) -> None:
        self.place, self.summary = place / "workspace", place / "summary.md"
        program(self.place / "load.sh", load)
        program(self.place / "lint.sh", "echo linted")
        tools = programs(place / "bin")
        program(tools / "pip", f'echo "$@" > {place}/installed')
        assert "    env: {JOBCTL_DIR: jobs}\n" in WORKFLOW
        self.env = {
            "PATH": f"{tools}:{os.environ['PATH']}", "HOME": str(place), "JOBCTL_DIR": "jobs",
            "JOBCTL": "jobctl.whl", "GITHUB_STEP_SUMMARY": str(self.summary),
        }  # fmt: skip
        self.codes: list[int] = []

    def run(self) -> Any:
        """What `jobs.json` holds at the end."""
        for step in STEPS:
            failed = any(self.codes)
            if "run" in step and (not failed or step.get("if") == "always()"):
                ran = run(["bash", "-e", "-c", step["run"]], self.place, self.env, code=None)
                self.codes.append(ran.returncode)
        return json.loads((self.place / "jobs.json").read_text())


needs_bash = pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")


@needs_bash
def test_workflow_waits_for_the_long_job(tmp_path: Path) -> None:
    """It goes on beside the next step; its end is in the summary and in the artifact."""
    # It goes on only when the step after it has been at work.
    workflow = Workflow(
        tmp_path,
        "while [ ! -e linted ]; do sleep 0.05; done; echo stage=load >> $JOBCTL_EVENTS; echo done",
    )
    program(workflow.place / "lint.sh", "jobctl show load | grep -q fetch && touch linted")
    value = workflow.run()
    assert workflow.codes == [0, 0, 0, 0, 0]
    assert (tmp_path / "installed").read_text() == "install -q jobctl.whl\n"
    (job,) = value["jobs"]
    assert (job["id"], job["stage"]) == ("load", "completed")
    assert [entry["stage"] for entry in job["history"]][-3:] == ["fetch", "load", "completed"]
    summary = workflow.summary.read_text().splitlines()
    assert {line[:4] for line in summary} == {"    "}, "as it stands, in Markdown"
    assert any("completed" in line for line in summary)
    assert (workflow.place / "load.log").read_text().endswith("done\n")


@needs_bash
def test_workflow_fails_with_its_job(tmp_path: Path) -> None:
    """The waiting step fails, and what is known is kept all the same."""
    workflow = Workflow(tmp_path, "echo 'no such host' >&2; exit 1")
    (job,) = workflow.run()["jobs"]
    assert workflow.codes == [0, 0, 0, 3, 0]
    assert (job["stage"], job["error"]) == ("failed", "Exit code 1: no such host")
    assert "no such host" in workflow.summary.read_text()


def test_workflow_is_what_github_reads() -> None:
    """Its structure; and, where there is a parser, that ours reads YAML as it is."""
    for step in STEPS:
        assert ("run" in step) != ("uses" in step)
        assert step.keys() <= {"run", "uses", "if", "with", "timeout-minutes"}
        assert re.fullmatch(r"actions/[a-z-]+@v\d+", step.get("uses", "actions/x@v1"))
    artifact = STEPS[-1]["with"]
    assert "jobs.json" in artifact
    assert "load.log" in artifact
    yaml = pytest.importorskip("yaml", reason="needs PyYAML to compare with")
    (job,) = yaml.safe_load(WORKFLOW)["jobs"].values()
    assert job["env"] == {"JOBCTL_DIR": "jobs"}
    assert yaml.safe_load(WORKFLOW).keys() == {True, "jobs"}, "to YAML 1.1 `on` is true"
    for ours, real in zip(STEPS, job["steps"], strict=True):
        assert ours.keys() == real.keys()
        for key in ("run", "uses", "if"):
            assert ours.get(key) == real.get(key)
