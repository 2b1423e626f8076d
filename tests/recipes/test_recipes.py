"""The recipes, run for real, by the jobs that they leave."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobctl.core.cursor import ZERO
from jobctl.core.job import Job
from jobctl.stores import Store, open_store
from tests.cli.conftest import environment

pytestmark = pytest.mark.slow

HERE = Path(__file__).parent


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """The store that the recipes take by default."""
    monkeypatch.setenv("JOBCTL_DIR", str(tmp_path / "jobs"))
    made = open_store(tmp_path / "jobs", create=True)
    yield made
    left = list((tmp_path / "jobs" / ".jobctl" / "owners").iterdir())
    made.close()
    assert left == []


def recipe(name: str, *args: str, code: int = 0) -> str:
    """Run it as a program; what it said on standard error."""
    ran = subprocess.run(
        [sys.executable, str(HERE / name), *args],
        env=environment(), capture_output=True, text=True, timeout=50, check=False,
    )  # fmt: skip
    assert ran.returncode == code, ran.stderr
    return ran.stderr


def by_type(store: Store) -> dict[str, list[Job]]:
    """What there is, in the order of the last change."""
    found: dict[str, list[Job]] = {}
    for job in store.since(ZERO).jobs:
        found.setdefault(job.type, []).append(job)
    return found


def stages(job: Job) -> list[str]:
    """The stages that the job went through."""
    return [entry.stage for entry in job.timeline()]


@pytest.mark.parametrize("method", ["spawn", "fork", "forkserver"])
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_process_pool(store: Store, method: str) -> None:
    """A job for the whole, one for each task; a task that fails fails its own only."""
    recipe("process_pool.py", method, "a", "bb", "bad", "dddd")
    found = by_type(store)
    (whole,) = found["nightly"]
    assert (whole.stage, whole.result) == ("completed", {"cleaned": 3, "failed": 1})
    tasks = {job.title: (job.stage, job.error) for job in found["clean"]}
    assert tasks == {
        "a": ("completed", None),
        "bb": ("completed", None),
        "bad": ("failed", "cannot clean bad"),
        "dddd": ("completed", None),
    }


def test_asyncio_tasks(store: Store) -> None:
    """Two hundred at once."""
    assert recipe("asyncio_tasks.py", "200") == ""
    jobs = by_type(store)["fetch"]
    assert len(jobs) == 200
    assert {tuple(stages(job)) for job in jobs} == {("pending", "wait", "load", "completed")}


def test_threads(store: Store) -> None:
    """They share the job."""
    assert recipe("threads.py", "1000") == ""
    (job,) = by_type(store)["square"]
    assert job.result == sum(number * number for number in range(1000))
    assert stages(job) == ["pending", "square", "add", "completed"]


def test_tqdm_loop(store: Store) -> None:
    """The bar is drawn, and its state is the job's."""
    told: list[tuple[float, str | None]] = []
    unsubscribe = store.subscribe(
        lambda delta: told.extend((job.fraction, job.message) for job in delta.jobs)
    )
    assert "rows:" in recipe("tqdm_loop.py", "200000")
    unsubscribe()
    (job,) = by_type(store)["load"]
    assert job.stage == "completed"
    assert any(message and message.startswith("rows") for _, message in told)


def test_llm_pipeline(store: Store) -> None:
    """Pauses are told; too many refusals fail the job with the last one's text."""
    assert recipe("llm_pipeline.py", "2") == ""
    assert "RateLimited" in recipe("llm_pipeline.py", "9", code=1)
    good, bad = by_type(store)["answers"]
    assert (good.stage, good.session_id) == ("completed", "chat-1")
    assert good.result == {"answers": ["WHO", "WHAT", "WHY"]}
    assert stages(good) == ["pending", "load", "generate", "save", "completed"]
    assert (bad.stage, bad.error) == ("failed", "429 Too Many Requests")


def test_celery(store: Store) -> None:
    """A real worker: the tasks' ids are the jobs'."""
    ran = subprocess.run(
        [sys.executable, "-m", "tests.recipes.celery_tasks"],
        env=environment(), capture_output=True, text=True, timeout=50, check=True,
    )  # fmt: skip
    good, bad, again = (line.split() for line in ran.stdout.splitlines())
    assert (good[1], bad[1], again[1]) == ("6", "FAILURE", "fine")
    done, failed, shaky = (store.get(words[0]) for words in (good, bad, again))
    assert (done.type, done.stage, done.result) == ("add", "completed", 6)
    assert (failed.type, failed.stage, failed.error) == ("boom", "failed", "no such table")
    assert (shaky.stage, shaky.result, shaky.retry_count) == ("completed", "fine", 1)
    assert stages(shaky) == ["pending", "failed", "pending", "completed"]


@pytest.mark.parametrize(
    ("limit", "error"),
    [
        ("time_limit", "Time limit exceeded"),
        ("soft_time_limit", "Soft time limit exceeded"),
        ("revoke", "Terminated by SIGTERM"),
    ],
)
def test_celery_says_what_ended_a_task(store: Store, limit: str, error: str) -> None:
    """Its pool ends the task's process by SystemExit(-241), whatever the cause."""
    ran = subprocess.run(
        [sys.executable, "-m", "tests.recipes.celery_limits", limit],
        env=environment(), capture_output=True, text=True, timeout=50, check=True,
    )  # fmt: skip
    job = store.get(ran.stdout.split()[1])
    assert (job.type, job.stage, job.error) == ("slow", "failed", error)


SUITE = """
import pytest

@pytest.mark.parametrize("number", range(5))
def test_it(number):
    assert number != 3

@pytest.mark.skip
def test_later(): ...

def test_set_up(missing): ...
"""


def test_pytest_run(store: Store, tmp_path: Path) -> None:
    """One job for the run, which fails when a test does."""
    (tmp_path / "suite").mkdir()
    (tmp_path / "suite" / "test_them.py").write_text(SUITE)
    for args, code in (([], 1), (["-k", "test_it and not 3"], 0)):
        plugin = ["-p", "tests.recipes.pytest_plugin", "-p", "no:cacheprovider"]
        ran = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "--rootdir", ".", *plugin, *args],
            cwd=tmp_path / "suite", env=environment(), capture_output=True, text=True,
            timeout=50, check=False,
        )  # fmt: skip
        assert ran.returncode == code, ran.stdout
    bad, good = by_type(store)["pytest"]
    assert (bad.title, bad.stage) == ("7 tests in suite", "failed")
    assert Counter(stages(bad))["failed"] == 1
    assert bad.error == "2 failed, 4 passed, 1 skipped"
    assert (good.stage, good.result) == ("completed", {"passed": 4})
