"""README's Node application: its own files as they are, and workers that report."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from jobctl.core.cursor import ZERO
from jobctl.core.job import Job
from jobctl.stores import open_store
from tests.cli.conftest import DATA, ROOT, environment
from tests.hub.network import HubProcess, Reader, until
from tests.recipes.guide import block, programs

NODE = shutil.which("node")
TITLE = "A Node application that has its own job files"

pytestmark = [pytest.mark.slow, pytest.mark.skipif(NODE is None, reason="needs node")]


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    """An environment with a ``jobctl`` in it, and a directory."""
    path = f"{programs(tmp_path / 'bin')}:{os.environ['PATH']}"
    return environment(PATH=path, JOBCTL_DIR=str(tmp_path / "jobs"))


def run(command: list[str], where: Path, env: dict[str, str]) -> str:
    """Run it to a good end, in which nobody warns of anything; what it said."""
    ran = subprocess.run(
        command, cwd=where, env=env, capture_output=True, text=True, timeout=50, check=False
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    return ran.stdout


def jobs_in(directory: Path) -> list[Job]:
    """What is there."""
    store = open_store(directory)
    jobs = store.since(ZERO).jobs
    store.close()
    return list(jobs)


def stages(job: Job) -> list[str]:
    """The stages that the job went through."""
    return [entry.stage for entry in job.timeline()]


# Saves each job that it is told, a line each, and says when it has.
APPLICATION = """
import { createInterface } from "node:readline";
import { save } from "./jobs.mjs";
for await (const line of createInterface({ input: process.stdin })) {
  await save(JSON.parse(line));
  console.log("saved");
}
"""


async def test_application_stays_as_it_is(tmp_path: Path, env: dict[str, str]) -> None:
    """Its jobs are listed, a hub shows each of its writes, and nobody rewrites them."""
    (tmp_path / "jobs.mjs").write_text(block(TITLE, "js", 0))
    (tmp_path / "application.mjs").write_text(APPLICATION)
    original = json.loads(next(iter(sorted((DATA / "node-app-jobs").iterdir()))).read_text())
    del env["JOBCTL_DIR"]
    application = subprocess.Popen(
        ["node", "application.mjs"], cwd=tmp_path, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        text=True,
    )  # fmt: skip
    assert application.stdin is not None
    assert application.stdout is not None

    def save(**changes: object) -> None:
        assert application.stdin is not None
        assert application.stdout is not None
        application.stdin.write(json.dumps({**original, **changes}) + "\n")
        application.stdin.flush()
        assert application.stdout.readline() == "saved\n"

    try:
        save(stage="pending")
        listing, serving = block(TITLE, "sh").splitlines()
        assert serving == "jobctl serve --dir data/jobs"
        assert original["id"] in run(["sh", "-c", listing], tmp_path, env)
        with HubProcess(tmp_path / "data" / "jobs", watch_files=True) as hub:
            async with Reader.of_hub(hub.url) as reader:
                await until(lambda: reader.contents)
                for stage in ("extract", "analyze", "completed"):
                    save(stage=stage, answer=[{"ours": True}])
                    await until(lambda stage=stage: reader.contents[original["id"]][0] == stage, 10)
        directory = tmp_path / "data" / "jobs"
        names = {path.name for path in directory.iterdir()}
        assert names == {".jobctl", f"{original['id']}.json"}
        value = json.loads((directory / f"{original['id']}.json").read_text())
        assert (value["stage"], value["answer"]) == ("completed", [{"ours": True}])
        assert value.keys() == {*original, "answer"}, "nothing of jobctl's is in it"
    finally:
        application.stdin.close()
        application.wait(20)
        application.stdout.close()


def test_worker_reports_by_its_file(tmp_path: Path, env: dict[str, str]) -> None:
    """By the command line that README gives; and without `run` it works all the same."""
    (tmp_path / "worker.mjs").write_text(block(TITLE, "js", 1))
    text = (ROOT / "README.md").read_text()
    line = "jobctl run --stages fetch,load -- node worker.mjs"
    assert f"`{line}`" in text
    (tmp_path / "jobs").mkdir(mode=0o700)
    run(["sh", "-c", line], tmp_path, env)
    (job,) = jobs_in(tmp_path / "jobs")
    assert stages(job) == ["pending", "fetch", "load", "completed"]
    assert job.result == {"files": ["customers.csv", "orders.csv"]}
    run(["node", "worker.mjs"], tmp_path, env)
    assert len(jobs_in(tmp_path / "jobs")) == 1


def test_worker_reports_by_our_commands(tmp_path: Path, env: dict[str, str]) -> None:
    """Each is a process, and its end says that it was written."""
    (tmp_path / "worker.mjs").write_text(block(TITLE, "js", 2))
    (tmp_path / "jobs").mkdir(mode=0o700)
    run(["node", "worker.mjs"], tmp_path, env)
    (job,) = jobs_in(tmp_path / "jobs")
    assert (job.type, job.title, job.result) == ("etl", "Nightly load", {"rows": 41200})
    assert stages(job) == ["pending", "fetch", "load", "completed"]
