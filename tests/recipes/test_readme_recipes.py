"""The recipes in README.md, each run as it stands there."""

from __future__ import annotations

import asyncio
import functools
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from jobctl import job as jobs
from jobctl.clock import now
from jobctl.cursor import ZERO
from jobctl.job import Job
from jobctl.stores import Store, open_store
from tests.cli.conftest import ROOT, hub_on
from tests.net.browser import CHROMIUM, browser
from tests.net.kit import new_job, running_hub

pytestmark = pytest.mark.slow

TEXT = (ROOT / "README.md").read_text()


def recipe(name: str) -> str:
    """The block behind the mark."""
    (block,) = re.findall(rf"<!-- recipe: {name} -->\n```\w+\n(.*?)```", TEXT, flags=re.DOTALL)
    return block


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A directory with a ``jobctl`` in ``venv/bin``, and jobs in ``jobs``."""
    shim = tmp_path / "venv" / "bin" / "jobctl"
    shim.parent.mkdir(parents=True)
    shim.write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -m jobctl "$@"\n')
    shim.chmod(0o755)
    (tmp_path / "jobs").mkdir(mode=0o700)
    return tmp_path


@pytest.fixture
def store(place: Path) -> Iterator[Store]:
    """The jobs that the recipes leave."""
    made = open_store(place / "jobs")
    yield made
    made.close()


def only(store: Store, type: str) -> Job:
    """The one job of the type."""
    (job,) = [job for job in store.since(ZERO).jobs if job.type == type]
    return job


def until(condition: Any, deadline_s: float = 30.0) -> None:
    """Wait for it."""
    end_s = time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < end_s, "it did not come"
        time.sleep(0.05)


def sh(
    place: Path, text: str, *, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run it in a shell; ``jobctl`` is on its path unless ``env`` says otherwise."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("JOBCTL_")}
    path = f"{place / 'venv' / 'bin'}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        ["sh", "-euc", text],
        cwd=place,
        env=env or {**kept, "PATH": path, "JOBCTL_DIR": str(place / "jobs")},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_cron(place: Path, store: Store) -> None:
    """With what cron gives: no terminal, and a short path."""
    lines = recipe("cron").replace("/srv", str(place)).splitlines()
    name, directory = lines[0].split("=")
    (place / "backup.sh").write_text('#!/bin/sh\necho stage=send >> "$JOBCTL_EVENTS"\n')
    (place / "backup.sh").chmod(0o755)
    env = {"PATH": "/usr/bin:/bin", "HOME": str(place), "SHELL": "/bin/sh", name: directory}
    for line in lines[1:]:
        fields = line.split(maxsplit=5)
        assert all(re.fullmatch(r"[\d*]+", field) for field in fields[:5])
        ran = sh(place, fields[5], env=env)
        assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")
    job = only(store, "nightly")
    assert (job.stage, [entry.stage for entry in job.timeline()][1:]) == (
        "completed", ["dump", "send", "completed"],
    )  # fmt: skip


def test_make(place: Path, store: Store) -> None:
    """Two targets at once."""
    if shutil.which("make") is None:
        pytest.skip("make is not installed")
    (place / "Makefile").write_text(recipe("make"))
    for name in ("one", "two"):
        (place / f"{name}.txt").write_text(f"{name}\n")
    ran = sh(place, "make -s -j2 one.upper two.upper")
    assert (ran.returncode, ran.stderr) == (0, "")
    assert (place / "one.upper").read_text() == "ONE\n"
    done = {job.title: job.stage for job in store.since(ZERO).jobs}
    assert done == {"one.txt": "completed", "two.txt": "completed"}


def test_github_actions(place: Path, store: Store) -> None:
    """Its ``run:`` lines, in order, by the shell that is used there; also when the work fails."""
    text = recipe("actions")
    runs = re.findall(r"run: (.*)", text)
    assert len(re.findall(r"^ +- ", text, flags=re.MULTILINE)) == 6 - 1
    (place / "nightly.sh").write_text('#!/bin/sh\necho "disk full" >&2\nexit 3\n')
    (place / "nightly.sh").chmod(0o755)
    (place / "summary").touch()
    codes = []
    for line in runs:
        if line.startswith("pip install"):
            continue
        kept = {key: value for key, value in os.environ.items() if not key.startswith("JOBCTL_")}
        ran = subprocess.run(
            ["bash", "-e", "-c", line],
            cwd=place,
            env={
                **kept,
                "PATH": f"{place / 'venv' / 'bin'}{os.pathsep}{os.environ['PATH']}",
                "JOBCTL_DIR": "jobs",
                "GITHUB_WORKFLOW": "Nightly load",
                "GITHUB_STEP_SUMMARY": str(place / "summary"),
            },
            capture_output=True,
            check=False,
        )
        codes.append(ran.returncode)
    assert codes == [3, 0]
    assert only(store, "run").title == "Nightly load"
    assert "Exit code 3: disk full" in (place / "summary").read_text()


def test_systemd(place: Path, store: Store) -> None:
    """The unit is one, and what it starts serves until it is told to stop."""
    text = recipe("systemd").replace("/srv", str(place)).replace("/var/lib/jobs", f"{place}/jobs")
    unit = place / "jobctl.service"
    unit.write_text(text.replace("User=jobs", "User=root"))
    if shutil.which("systemd-analyze") is not None:
        told = subprocess.run(
            ["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, check=False
        )
        assert [line for line in told.stderr.splitlines() if str(unit) in line] == []
    (line,) = re.findall(r"^ExecStart=(.*)$", text, flags=re.MULTILINE)
    hub = subprocess.Popen([*shlex.split(line), "--port", "0"], stderr=subprocess.PIPE, text=True)
    assert hub.stderr is not None
    try:
        assert json.loads(next(said for said in hub.stderr if said.startswith("{")))["url"]
    finally:
        hub.terminate()
        hub.communicate(timeout=20)
    assert hub.returncode == 0


NAMESPACE = ["unshare", "--mount", "--pid", "--ipc", "--uts", "--fork", "--mount-proc"]


def test_docker(place: Path, store: Store) -> None:
    """What docker does with it: the directory at another path, process numbers of its own.

    There is no docker in a test; the namespaces are the same ones.
    """
    words = shlex.split(recipe("docker").replace("\\\n", " "))
    assert words[:2] == ["docker", "run"]
    mount = words[words.index("-v") + 1]
    assert mount == "$PWD/data/jobs:/jobs"
    command = words[words.index("worker") + 1 :]
    if os.geteuid() != 0 or subprocess.run([*NAMESPACE, "true"], check=False).returncode:
        pytest.skip("needs root, and a kernel that lets it make namespaces")
    inside = place / "inside"
    inside.mkdir()
    (place / "train.py").write_text("import time\nprint('ready', flush=True)\ntime.sleep(60)\n")
    command = [{"python": sys.executable}.get(word, word) for word in command]
    bound = f"mount --bind {place}/jobs {inside} && exec {shlex.join(command)}"
    path = f"{place / 'venv' / 'bin'}{os.pathsep}{os.environ['PATH']}"
    container = subprocess.Popen(
        [*NAMESPACE, "sh", "-euc", bound],
        cwd=place,
        env={**os.environ, "PATH": path, "JOBCTL_DIR": str(inside)},
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        assert container.stdout is not None
        assert container.stdout.readline() == b"ready\n"
        job = only(store, "train")
        assert job.active
        assert not job.lost(store.owners.dead())
    finally:
        os.killpg(container.pid, signal.SIGKILL)
        container.communicate(timeout=20)
    until(lambda: only(store, "train").lost(store.owners.dead()))


def test_node(place: Path, store: Store) -> None:
    """What it appends is in the job; alone it does nothing."""
    if shutil.which("node") is None:
        pytest.skip("node is not installed")
    (place / "worker.mjs").write_text(recipe("node"))
    ran = sh(place, "jobctl run --type node --stages fetch,load -- node worker.mjs")
    assert (ran.returncode, ran.stderr) == (0, "")
    job = only(store, "node")
    assert (job.stage, job.result) == ("completed", {"rows": 41200})
    assert [entry.stage for entry in job.timeline()][1:] == ["fetch", "load", "completed"]
    assert sh(place, "node worker.mjs").returncode == 0


ORIGINAL = """
import { renameSync, writeFileSync } from "node:fs";
const at = new Date().toISOString();
const job = { id: "0b961de6", type: "create_session", sessionId: null, stage: "analyze",
  createdAt: at, updatedAt: at, completedAt: null, stageStartedAt: at, error: null,
  retryCount: 0, resultSessionId: null };
writeFileSync("jobs/0b961de6.json.tmp", JSON.stringify(job, null, 2));
renameSync("jobs/0b961de6.json.tmp", "jobs/0b961de6.json");
"""


def test_existing_node_application(place: Path) -> None:
    """Its own writes are listed, and arrive live through a hub."""
    if shutil.which("node") is None:
        pytest.skip("node is not installed")
    (place / "app.mjs").write_text(ORIGINAL)
    with hub_on(place / "jobs") as url:
        path = f"{place / 'venv' / 'bin'}{os.pathsep}{os.environ['PATH']}"
        watch = subprocess.Popen(
            ["jobctl", "watch", "--url", url, "-o", "jsonl"],
            env={**os.environ, "PATH": path},
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            assert watch.stdout is not None
            events = (json.loads(line) for line in watch.stdout)
            next(event for event in events if event["event"] == "status")
            assert sh(place, "node app.mjs").returncode == 0
            seen = next(event for event in events if event["event"] == "put")
            assert (seen["job"]["id"], seen["job"]["stage"]) == ("0b961de6", "analyze")
        finally:
            watch.kill()
            watch.communicate()
    assert sh(place, "jobctl ls -q").stdout == "0b961de6\n"


@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
def test_page(place: Path, store: Store) -> None:
    """In a real browser, from another port, as Vite serves it; and through the hub's restart."""
    site = place / "site"
    site.mkdir()
    (site / "follow.js").write_text(recipe("page"))
    (main,) = re.findall(r"```js\n(import \{ follow \}.*?)```", TEXT, flags=re.DOTALL)
    (site / "index.html").write_text(
        '<pre id="app"></pre><script type="module" src="main.js"></script>'
    )
    handler = functools.partial(_Quiet, directory=str(site))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()

    async def look() -> None:
        writer = open_store(place / "jobs")
        shown = "document.querySelector('#app')?.textContent"
        async with browser() as page:
            async with running_hub(open_store(place / "jobs", adopt=True)) as hub:
                url = f"ws://localhost:{hub.port}/ws/jobs"
                (site / "main.js").write_text(main.replace("ws://localhost:8765/ws/jobs", url))
                writer.create(new_job("a1"))
                writer.create(new_job("a2"))
                await page.go(f"http://localhost:{server.server_port}/")
                await page.shows(shown, "a1: pending\na2: pending")
                writer.update("a1", lambda job: jobs.complete(job, now=now()))
                writer.remove("a2")
                await page.shows(shown, "a1: completed")
                port = hub.port
            writer.create(new_job("a3"))
            async with running_hub(open_store(place / "jobs", adopt=True), port=port):
                await page.shows(shown, "a1: completed\na3: pending", 30)
        writer.close()

    try:
        asyncio.run(look())
    finally:
        server.shutdown()
        server.server_close()


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        """Nothing."""


def test_recipes_are_all_run() -> None:
    """Each mark has a test here."""
    names = set(re.findall(r"<!-- recipe: (\w+) -->", TEXT))
    assert names == {"cron", "make", "actions", "systemd", "docker", "node", "page"}
    code = Path(__file__).read_text()
    assert all(f'recipe("{name}")' in code for name in names)


def test_python_recipes_are_cuts_of_those_that_are_run() -> None:
    """Each line of code that is shown stands in the file that is named, but for comments."""
    for name in ("process_pool", "llm_pipeline"):
        shown = TEXT.split(f"`tests/recipes/{name}.py`", 1)[1]
        block = shown.split("```python\n", 1)[1].split("```", 1)[0]
        code = (Path(__file__).parent / f"{name}.py").read_text()
        for line in block.splitlines():
            bare = line.partition("  #")[0].strip()
            if bare not in ("...", "") and not bare.startswith("#"):
                assert bare.replace("lambda: ask", "lambda question=question: ask") in code, line
