"""README's container: its command lines in namespaces of their own, with the mounted directory."""

from __future__ import annotations

import os
import select
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from jobctl.core.cursor import ZERO
from jobctl.core.job import Job
from jobctl.stores import open_store
from tests.cli.conftest import command, environment
from tests.recipes import docker_run
from tests.recipes.guide import block, program
from tests.stores.support import PRELUDE, new, until

SOMEBODY = 12345
DOCKERFILE = block("Docker", "dockerfile")
LINES = block("Docker", "sh").splitlines()
LOAD = "echo stage=load >> $JOBCTL_EVENTS; "


def can_contain() -> bool:
    """Whether namespaces can be made here."""
    if os.geteuid() != 0 or not all(map(shutil.which, ("unshare", "setpriv", "pivot_root"))):
        return False
    ran = subprocess.run(
        ["unshare", "-mpniu", "--fork", "mount", "-t", "proc", "proc", "/proc"],
        capture_output=True, check=False,
    )  # fmt: skip
    return ran.returncode == 0


pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not can_contain(), reason="needs root, unshare and setpriv"),
]


class Host:
    """A directory on the host, and containers in which it is mounted."""

    def __init__(self, place: Path) -> None:
        self.place, self.jobs, self.tools = place, place / "jobs", place / "tools"
        # What is started inside is in the image, so that any user there may read it.
        script = f'PYTHONPATH=/src exec {docker_run.PYTHON} -m jobctl "$@"'
        program(self.tools / "jobctl", script)
        emulator = Path(docker_run.__file__)
        program(place / "bin" / "docker", f'exec {sys.executable} {emulator} "$@"')
        program(place / "bin" / "jobctl", f'exec {sys.executable} -m jobctl "$@"')
        (place / "Dockerfile").write_text(DOCKERFILE)
        self.env = environment(
            PATH=f"{place / 'bin'}:{os.environ['PATH']}",
            DOCKERFILE=str(place / "Dockerfile"),
            DOCKER_TOOLS=str(self.tools),
        )

    def user(self, uid: int) -> None:
        """Whom `id` names from here on."""
        program(self.place / "bin" / "id", f"echo {uid}")

    @contextmanager
    def shell(self, line: str, **env: str) -> Iterator[subprocess.Popen[str]]:
        """A line of the recipe, in a shell; what is left of it is killed at the end."""
        process = subprocess.Popen(
            ["sh", "-c", f"exec {line}"], cwd=self.place, env=self.env | env,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        try:
            yield process
        finally:
            process.kill()
            process.communicate()

    def here(self) -> list[Job]:
        """The jobs, as the host reads them."""
        store = open_store(self.jobs)
        try:
            return list(store.since(ZERO).jobs)
        finally:
            store.close()

    def works(self) -> bool:
        """Whether the one job is in its stage *load*."""
        return self.jobs.is_dir() and [job.stage for job in self.here()] == ["load"]


@pytest.fixture
def host(tmp_path: Path) -> Host:
    """With a directory as the recipe makes it, of the user who runs this."""
    made = Host(tmp_path)
    made.user(os.getuid())
    (mkdir,) = [line for line in LINES if line.startswith("mkdir")]
    subprocess.run(["sh", "-c", mkdir], cwd=tmp_path, check=True)
    assert made.jobs.is_dir()
    return made


RUN, WATCH = LINES[1:]


def container(*words: str) -> str:
    """The recipe's container with another command; with no user, as root."""
    return " ".join([RUN.replace(' --user "$(id -u):$(id -g)"', ""), *words])


def test_recipe_runs_as_it_stands(host: Host) -> None:
    """The host sees the container's job live, its file is the user's, and SIGTERM is heard."""
    host.user(SOMEBODY)
    os.chown(host.jobs, SOMEBODY, SOMEBODY)
    program(host.tools / "load", f'{LOAD} [ "$*" = orders.csv ] && sleep 60 & wait $!')
    with host.shell(RUN) as run, host.shell(WATCH, COLUMNS="200") as watch:
        assert watch.stdout is not None
        until(host.works, deadline_s=20)
        assert any("load" in line and "orders.csv" in line for line in watch.stdout)
        (job,) = host.here()
        assert (host.jobs / f"{job.id}.json").stat().st_uid == SOMEBODY
        run.send_signal(signal.SIGTERM)
        assert run.wait(20) == 143
        until(lambda: host.here()[0].stage == "failed", deadline_s=20)
    assert host.here()[0].error == "SIGTERM"


def test_another_user_works_untracked(host: Host) -> None:
    """Not even root writes into somebody's directory; the work goes on, with a warning."""
    os.chown(host.jobs, SOMEBODY, SOMEBODY)
    program(host.tools / "load", "echo loaded")
    with host.shell(container()) as run:
        said, warned = run.communicate(timeout=30)
    assert (run.returncode, said) == (0, "loaded\n")
    assert f"belongs to another user (uid {SOMEBODY})" in warned
    assert host.here() == []


def test_root_of_a_rootless_container_is_its_user(host: Host) -> None:
    """Root in its user namespace only, where the directory is root's."""
    os.chown(host.jobs, SOMEBODY, SOMEBODY)
    program(host.tools / "load", f"{LOAD} id -u")
    with host.shell(container(), ROOTLESS=str(SOMEBODY)) as run:
        said, warned = run.communicate(timeout=30)
    assert (run.returncode, said, warned) == (0, "0\n", "")
    (job,) = host.here()
    assert job.stage == "completed"
    assert (host.jobs / f"{job.id}.json").stat().st_uid == SOMEBODY


def test_job_of_a_killed_container_is_lost(host: Host) -> None:
    """Not before; and within two seconds, which leaves the machine some time to be slow."""
    program(host.tools / "load", f"{LOAD} sleep 60")

    def lost() -> str:
        ran = subprocess.run(
            command("ls", "--dir", str(host.jobs)), env=host.env, capture_output=True, text=True,
            check=True,
        )  # fmt: skip
        return ran.stdout

    with host.shell(container()) as run:
        until(host.works, deadline_s=20)
        assert "lost" not in lost()
        run.kill()
        run.wait()
        until(lambda: "lost" in lost(), deadline_s=5)
    store = open_store(host.jobs)
    (job,) = host.here()
    assert job.owner is not None
    who = store.owners.info(job.owner)
    assert (who.host if who else None) == "container"
    store.close()


def test_cancel_reaches_into_a_container(host: Host) -> None:
    """The worker is asked from outside, and ends its command."""
    program(host.tools / "load", f"{LOAD} sleep 60")
    with host.shell(container()) as run:
        until(host.works, deadline_s=20)
        (job,) = host.here()
        subprocess.run(
            command("cancel", job.id, "--dir", str(host.jobs)), env=host.env, check=True,
            capture_output=True, timeout=30,
        )  # fmt: skip
        assert run.wait(20) == 143
    assert host.here()[0].error == "Cancelled by user"


TALLY = """
from jobctl.core import transitions as jobs
for _ in range(100):
    store.update("sum", lambda job: jobs.report(job, now=T0, message=str(int(job.message) + 1)))
"""


def test_containers_and_host_write_one_at_a_time(host: Host) -> None:
    """The lock holds across them: no addition is lost."""
    store = open_store(host.jobs, create=True)
    store.create(new("sum").replace(message="0"))
    host.tools.joinpath("tally.py").write_text(PRELUDE + TALLY)
    tally = container("env", "PYTHONPATH=/src", docker_run.PYTHON, "/tools/tally.py", "/jobs")
    (host.place / "tally.py").write_text(PRELUDE + TALLY)
    with host.shell(tally) as one, host.shell(tally) as two:
        ours = [sys.executable, str(host.place / "tally.py"), str(host.jobs)]
        subprocess.run(ours, env=host.env, check=True, timeout=50)
        for run in (one, two):
            _, warned = run.communicate(timeout=50)
            assert (run.returncode, warned) == (0, "")
    assert store.get("sum").message == "300"
    store.close()


def test_bell_rings_out_of_a_container(host: Host) -> None:
    """The host need not look again and again."""
    program(host.tools / "load", "exit 0")
    store = open_store(host.jobs, create=True)
    store.create(new("first"))
    listener = store.listen()
    with host.shell(container()) as run:
        assert select.select([listener.fileno()], [], [], 30)[0], "it rang"
        assert run.wait(30) == 0
    listener.close()
    store.close()


def test_dockerfile_and_command_line_agree() -> None:
    """What is mounted is what the environment names, and the entry point takes the command."""
    env, entry, cmd = docker_run.instructions(DOCKERFILE)
    assert f'-v "$PWD/jobs:{env["JOBCTL_DIR"]}"' in RUN
    assert WATCH.endswith("--dir jobs")
    assert (entry[:2], entry[-1], cmd) == (["jobctl", "run"], "--", ["load", "orders.csv"])
    names = [line.split()[0] for line in DOCKERFILE.splitlines()]
    assert names == ["FROM", "COPY", "RUN", "COPY", "ENV", "ENTRYPOINT", "CMD"]
