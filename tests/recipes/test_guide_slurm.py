"""README's recipes for SLURM and torchrun, with programs that start tasks as these do.

``srun`` sets ``SLURM_PROCID`` and passes USR1 to its tasks (srun(1)); ``torchrun`` sets ``RANK``,
and exits with 1 if a worker fails (PyTorch's documentation of torch.distributed.run).
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from jobctl.core.job import Job
from jobctl.stores import open_store
from tests.cli.conftest import ROOT
from tests.recipes.guide import block, program, programs
from tests.stores.support import until

pytestmark = pytest.mark.slow

TITLE = "SLURM and torchrun"

SRUN = """
for n in 0 1 2 3; do SLURM_PROCID=$n "$@" & pids="$pids $!"; done
trap 'kill -USR1 $pids' USR1
code=0
for pid in $pids; do
    wait $pid; one=$?
    while [ $one -gt 128 ] && kill -0 $pid 2>/dev/null; do wait $pid; one=$?; done
    [ $one -eq 0 ] || code=$one
done
exit $code
"""

TORCHRUN = """
[ "$1" = --nproc-per-node ] || exit 2
size=$2; shift 2
for n in $(seq 0 $((size - 1))); do
    RANK=$n LOCAL_RANK=$n WORLD_SIZE=$size PYTHON "$@" & pids="$pids $!"
done
for pid in $pids; do wait $pid || code=1; done
sleep 0.5; cp $JOBCTL_DIR/t.json reported
exit ${code:-0}
"""


class Cluster:
    """A place with the recipe's scripts and the programs that they call."""

    def __init__(self, place: Path) -> None:
        self.place, self.jobs = place, place / "jobs"
        bin = programs(place / "bin")
        program(bin / "srun", SRUN)
        program(bin / "sleep", 'echo "$SLURM_PROCID" >> asleep; exec /bin/sleep "$@"')
        program(bin / "torchrun", TORCHRUN.replace("PYTHON", sys.executable))
        for name, number in (("batch", 0), ("task", 1)):
            path = place / name
            path.write_text(block(TITLE, "sh", number))
            path.chmod(0o755)
        self.env = {
            "PATH": f"{bin}:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "JOBCTL_DIR": str(self.jobs),
            "HOME": str(place),
            "SLURM_JOB_ID": "4711",
        }

    def start(self, *argv: str, **env: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            argv, cwd=self.place, env={**self.env, **env}, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip

    def run(self, *argv: str, **env: str) -> tuple[int, str]:
        process = self.start(*argv, **env)
        out, _ = process.communicate(timeout=50)
        return process.returncode, out

    def wait_for_tasks(self) -> None:
        """Wait until all four tasks have set their traps, and the first one has reported."""
        asleep = self.place / "asleep"
        until(lambda: asleep.exists() and len(asleep.read_text().splitlines()) == 4)
        until(lambda: self.only().stage == "train")

    def only(self) -> Job:
        store = open_store(self.jobs)
        [id] = store.ids()
        job = store.get(id)
        store.close()
        return job


@pytest.fixture
def cluster(tmp_path: Path) -> Cluster:
    """The place of this test."""
    return Cluster(tmp_path)


def stages(job: Job) -> list[str]:
    return [entry.stage for entry in job.timeline()]


def test_requeued_job_is_the_next_attempt(cluster: Cluster) -> None:
    """USR1 reaches the tasks, which save what they have; then the job goes on."""
    process = cluster.start("./batch")
    cluster.wait_for_tasks()
    process.send_signal(signal.SIGUSR1)
    process.communicate(timeout=20)
    assert process.returncode == 75
    assert (cluster.place / "checkpoint").exists()
    job = cluster.only()
    assert (job.id, job.error, job.retry_count) == ("slurm-4711", "Exit code 75", 0)
    code, out = cluster.run("./batch", TRAIN_S="0")
    assert (code, out) == (0, "")
    job = cluster.only()
    assert (job.id, job.stage, job.retry_count) == ("slurm-4711", "completed", 1)
    assert stages(job)[-4:] == ["pending", "load", "train", "completed"]


def test_only_the_first_task_reports(cluster: Cluster) -> None:
    """The others have neither the job nor the file."""
    program(cluster.place / "bin" / "touch", 'echo "$SLURM_PROCID $JOBCTL_JOB" >> seen')
    process = cluster.start("./batch")
    cluster.wait_for_tasks()
    process.send_signal(signal.SIGUSR1)
    process.communicate(timeout=20)
    seen = sorted((cluster.place / "seen").read_text().splitlines())
    assert seen == ["0 slurm-4711", "1 ", "2 ", "3 "]


@pytest.mark.parametrize("failing", ["", "0", "2"])
def test_rank_0_reports_into_the_run(cluster: Cluster, failing: str) -> None:
    """With what it says of the epochs; a worker that fails makes the job fail."""
    code, out = cluster.run(
        "jobctl", "run", "--id", "t", "--", "torchrun", "--nproc-per-node", "3",
        str(ROOT / "tests" / "recipes" / "torchrun_train.py"), FAILING_RANK=failing or "none",
    )  # fmt: skip
    job = cluster.only()
    if not failing:
        assert (code, job.stage, out) == (0, "completed", "")
    else:
        assert (code, job.stage) == (1, "failed")
        assert job.error == "Exit code 1: RuntimeError: out of memory"
    if failing != "0":
        reported = json.loads((cluster.place / "reported").read_text())
        assert (reported["progress"], reported["message"]) == (
            {"done": 4, "total": 4}, "loss 0.250",
        )  # fmt: skip


def test_program_is_the_one_of_readme() -> None:
    """What README shows is a part of it."""
    text = (ROOT / "tests" / "recipes" / "torchrun_train.py").read_text()
    assert block(TITLE, "python") in text
