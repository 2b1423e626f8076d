"""jobctl 0.1.0 at work in the same directory: nothing is lost, and each reads what the other wrote.

0.1.0 is the commit `OLD` of this repository. `.ci/run` unpacks it and names the folder in
``JOBCTL_TEST_OLD``; in a checkout that has the commit it is unpacked here.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jobctl.core.cursor import Cursor
from jobctl.core.filters import Filter
from jobctl.stores import open_store, read_all

ROOT = Path(__file__).parents[2]
OLD = "cd61613"

pytestmark = pytest.mark.slow

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def old_tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tree of 0.1.0."""
    given = os.environ.get("JOBCTL_TEST_OLD")
    if given and (Path(given) / "jobctl").is_dir():
        return Path(given)
    folder = tmp_path_factory.mktemp("old")
    archive = subprocess.run(
        ["git", "-C", str(ROOT), "archive", OLD, "jobctl"], capture_output=True, check=False
    )
    if archive.returncode:
        pytest.skip(f"needs commit {OLD} in git, or JOBCTL_TEST_OLD")
    subprocess.run(["tar", "-C", str(folder), "-x"], input=archive.stdout, check=True)
    return folder


@pytest.fixture(params=["old", "new"])
def trees(request: pytest.FixtureRequest, old_tree: Path) -> tuple[Path, Path]:
    """The tree that acts first, and the other one."""
    return (old_tree, ROOT) if request.param == "old" else (ROOT, old_tree)


def environment(tree: Path) -> dict[str, str]:
    own = {key: value for key, value in os.environ.items() if not key.startswith("JOBCTL")}
    return {**own, "PYTHONPATH": str(tree), "NO_COLOR": "1"}


def jobctl(tree: Path, directory: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a command of that version on the directory."""
    command, *rest = words
    return subprocess.run(
        [sys.executable, "-m", "jobctl", command, "--dir", str(directory), *rest],
        cwd=tree, env=environment(tree), capture_output=True, text=True, timeout=50, check=False,
    )  # fmt: skip


def said(tree: Path, directory: Path, *words: str) -> str:
    ran = jobctl(tree, directory, *words)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.strip()


def listed(tree: Path, directory: Path, *words: str) -> dict[str, Any]:
    return json.loads(said(tree, directory, "ls", "-o", "json", *words))  # type: ignore[no-any-return]


def essence(listing: dict[str, Any]) -> dict[str, tuple[Any, ...]]:
    return {
        job["id"]: (job["revision"], job["stage"], job.get("message"), job.get("progress"))
        for job in listing["jobs"]
    }


COUNT = """
import sys
from jobctl.stores import open_store
try:
    from jobctl.core.transitions import report
except ImportError:
    from jobctl.job import report
try:
    from jobctl._clock import now
except ImportError:
    from jobctl.clock import now
store = open_store(sys.argv[1])
for _ in range(int(sys.argv[2])):
    store.update(
        "sum", lambda job: report(job, now=now(), message=str(int(job.message or 0) + 1))
    )
    print("counted", flush=True)
"""


def counter(tree: Path, directory: Path, times: int) -> subprocess.Popen[str]:
    """A process of that version that counts up one job's message."""
    return subprocess.Popen(
        [sys.executable, "-c", COUNT, str(directory), str(times)],
        cwd=tree, env=environment(tree), stdout=subprocess.PIPE, text=True,
    )  # fmt: skip


def test_each_reads_what_the_other_wrote(trees: tuple[Path, Path], tmp_path: Path) -> None:
    """Creation, stages, progress, failure, retry and removal, in turns."""
    first, second = trees
    directory = tmp_path / "jobs"
    said(first, directory, "create", "create_session", "--id", "a", "--title", "one")
    said(second, directory, "advance", "a")
    said(first, directory, "progress", "a", "3/8", "on it")
    said(second, directory, "fail", "a", "it broke")
    said(first, directory, "retry", "a")
    said(second, directory, "create", "etl", "--id", "b", "--stages", "fetch,load")
    said(first, directory, "advance", "b", "load")
    said(second, directory, "complete", "b", "--result", '{"rows": 3}')
    said(first, directory, "create", "etl", "--id", "c")
    said(second, directory, "rm", "c")
    one, two = (essence(listed(tree, directory)) for tree in trees)
    assert one == two
    assert {id: job[1] for id, job in one.items()} == {"a": "pending", "b": "completed"}
    for tree in trees:
        shown = json.loads(said(tree, directory, "show", "a", "-o", "json"))
        assert [entry["stage"] for entry in shown["history"]] == [
            "pending", "extract", "failed", "pending",
        ]  # fmt: skip


def test_a_cursor_of_one_is_resumed_by_the_other(trees: tuple[Path, Path], tmp_path: Path) -> None:
    """Without a filter and under one, whose tag is the same; a deletion is in it."""
    first, second = trees
    directory = tmp_path / "jobs"
    for id in "abc":
        said(first, directory, "create", "etl", "--id", id)
    words = [[], ["--type", "etl", "--active"]]
    cursors = [listed(first, directory, *filter)["cursor"] for filter in words]
    said(second, directory, "progress", "b", "50")
    said(second, directory, "rm", "c")
    for filter, cursor in zip(words, cursors, strict=True):
        later = listed(second, directory, "--cursor", cursor, *filter)
        assert ([job["id"] for job in later["jobs"]], later["gone"]) == (["b"], ["c"])
    tags = {cursor.split(":", 2)[2] for cursor in cursors if cursor.count(":") == 2}
    assert tags == {Filter.make(types=["etl"], active=True).tag}


def test_no_update_is_lost_between_them(old_tree: Path, tmp_path: Path) -> None:
    """One lock, one counter of revisions: two versions count up one job, and some are killed."""
    directory = tmp_path / "jobs"
    said(ROOT, directory, "create", "etl", "--id", "sum")
    acknowledged = 0
    for round in range(3):
        counters = [counter(tree, directory, 150) for tree in (old_tree, ROOT) * 2]
        if round:
            time.sleep(0.6)
            counters[round].send_signal(signal.SIGKILL)
        acknowledged += sum(one.communicate(timeout=50)[0].count("counted") for one in counters)
    store = open_store(directory)
    total = int(store.get("sum").message or 0)
    store.close()
    # A killed one may have written once more than it could say.
    assert acknowledged <= total <= acknowledged + 2


def test_a_follower_of_one_keeps_up_with_writers_of_both(
    trees: tuple[Path, Path], tmp_path: Path
) -> None:
    """``watch`` of one version beside writers of both, through a compaction by the other."""
    first, second = trees
    directory = tmp_path / "jobs"
    said(second, directory, "create", "etl", "--id", "sum")
    watch = subprocess.Popen(
        [sys.executable, "-m", "jobctl", "watch", "--dir", str(directory), "-o", "jsonl", "sum",
         "--exit-status"],
        cwd=first, env=environment(first), stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        counters = [counter(tree, directory, 1200) for tree in (first, second, second, second)]
        for one in counters:
            one.communicate(timeout=50)
        said(second, directory, "complete", "sum")
        lines = watch.communicate(timeout=20)[0].splitlines()
    finally:
        watch.kill()
    jobs = [json.loads(line)["job"] for line in lines if '"job"' in line]
    last = [job for job in jobs if job]
    assert last[-1]["stage"] == "completed"
    revisions = [job["revision"] for job in last]
    assert revisions == sorted(revisions)
    store = open_store(directory)
    log = (directory / ".jobctl" / "changes").stat().st_size // 128
    assert log < 4800, "it was compacted"
    delta = read_all(store, Cursor(store.head().epoch, 1))
    assert [job.id for job in delta.jobs] == ["sum"]
    store.close()


def test_workers_of_one_are_seen_alive_and_dead_by_the_other(
    trees: tuple[Path, Path], tmp_path: Path
) -> None:
    """A held lock is alive; a killed worker's job is lost, and reaped."""
    first, second = trees
    directory = tmp_path / "jobs"
    directory.mkdir(mode=0o700)
    worker = subprocess.Popen(
        [sys.executable, "-m", "jobctl", "run", "--dir", str(directory), "--id", "w", "--",
         "sleep", "60"],
        cwd=first, env=environment(first), start_new_session=True,
    )  # fmt: skip
    try:
        deadline_s = time.monotonic() + 20
        while "w" not in said(second, directory, "ls", "-o", "name"):
            assert time.monotonic() < deadline_s
            time.sleep(0.1)
        (job,) = listed(second, directory)["jobs"]
        assert (job["derived"]["active"], job["derived"]["lost"]) == (True, False)
        os.killpg(worker.pid, signal.SIGKILL)
        worker.wait()
        (job,) = listed(second, directory)["jobs"]
        assert (job["derived"]["active"], job["derived"]["lost"]) == (True, True)
        said(second, directory, "reap")
        (job,) = listed(first, directory)["jobs"]
        assert (job["stage"], job["derived"]["lost"]) == ("failed", False)
    finally:
        worker.kill()
        worker.wait()


def test_a_worker_of_one_is_cancelled_by_the_other(
    trees: tuple[Path, Path], tmp_path: Path
) -> None:
    """Whatever stands beside the id in the request: the command ends, and the job says why."""
    first, second = trees
    directory = tmp_path / "jobs"
    directory.mkdir(mode=0o700)
    worker = subprocess.Popen(
        [sys.executable, "-m", "jobctl", "run", "--dir", str(directory), "--id", "w", "--",
         "sleep", "60"],
        cwd=first, env=environment(first), start_new_session=True,
    )  # fmt: skip
    try:
        deadline_s = time.monotonic() + 20
        while "w" not in said(second, directory, "ls", "--active", "-o", "name"):
            assert time.monotonic() < deadline_s
            time.sleep(0.1)
        reason = ["--reason", "w is not needed"] if second == ROOT else []
        said(second, directory, "cancel", "w", *reason)
        worker.wait(10)
        for tree in trees:
            (job,) = listed(tree, directory)["jobs"]
            assert (job["stage"], job["error"]) == ("failed", "Cancelled by user")
        assert said(ROOT, directory, "ls", "--stage", "cancelled", "-o", "name").strip() == "w"
        if second == ROOT:  # a worker of 0.1.0 does not record it, so the command does
            (job,) = listed(ROOT, directory)["jobs"]
            assert job["cancelled"]["reason"] == "w is not needed"
        assert jobctl(ROOT, directory, "wait", "w").returncode == 6
    finally:
        worker.kill()
        worker.wait()


def test_a_cursor_under_failed_is_reset_as_it_means_another_set(
    trees: tuple[Path, Path], tmp_path: Path
) -> None:
    """Else a reader would keep the cancelled jobs that it held as failed ones."""
    first, second = trees
    directory = tmp_path / "jobs"
    said(first, directory, "create", "etl", "--id", "a")
    said(first, directory, "cancel", "a")
    cursor = listed(first, directory, "--stage", "failed")["cursor"]
    said(first, directory, "create", "etl", "--id", "b")
    said(first, directory, "fail", "b", "disk full")
    later = listed(second, directory, "--stage", "failed", "--cursor", cursor)
    wanted = {"b"} if second == ROOT else {"a", "b"}
    assert {job["id"] for job in later["jobs"]} == wanted
    assert later["gone"] == []
