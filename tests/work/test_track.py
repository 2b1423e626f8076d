"""The producers' API: it records what the work does, and never breaks it."""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
import subprocess
import sys
import threading
import time
from collections.abc import AsyncGenerator, Callable, Generator
from pathlib import Path

import pytest

from jobctl.core.cursor import ZERO
from jobctl.core.job import Job, Steps
from jobctl.errors import IllegalTransition, StoreError
from jobctl.stores import Store, open_store
from jobctl.work import recorder
from jobctl.work.track import MIN_INTERVAL_S, track
from tests.stores.support import environment
from tests.work.support import only, output_of

STAGES = ["fetch", "clean", "load"]


def until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    """Wait for the condition, or fail."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.005)


def test_a_block_that_ends_completes_its_job(store: Store) -> None:
    """Through the stages that it brought, with its result."""
    with track("etl", title="Nightly", stages=STAGES, session="s", store=store) as job:
        for name in STAGES:
            job.stage(name)
        job.result({"rows": 3})
    done = only(store)
    assert [entry.stage for entry in done.timeline()] == ["pending", *STAGES, "completed"]
    assert (done.title, done.session_id, done.result) == ("Nightly", "s", {"rows": 3})


def test_the_type_defaults_to_job(store: Store) -> None:
    """And stages may be entered by name, or in turn."""
    with track(stages=["a", "b"], store=store) as job:
        job.stage()
        assert only(store).stage == "a"
    assert only(store).type == "job"


def test_an_exception_fails_the_job_with_its_text_and_goes_on(store: Store) -> None:
    """The work's own error reaches its caller unchanged."""
    with pytest.raises(ValueError, match="no such table"), track("etl", store=store):
        raise ValueError("no such table")
    assert (only(store).stage, only(store).error) == ("failed", "no such table")


@pytest.mark.parametrize("kind", [KeyboardInterrupt, asyncio.CancelledError])
def test_an_interruption_fails_the_job(store: Store, kind: type[BaseException]) -> None:
    """Ctrl-C, and a cancelled task."""
    with pytest.raises(kind), track("etl", store=store):
        raise kind
    assert (only(store).stage, only(store).error) == ("failed", "Interrupted")


def test_progress_may_be_called_for_every_row(store: Store) -> None:
    """At most ten writes a second; the last value lands."""
    with track("etl", stages=["load"], store=store) as job:
        job.stage("load")
        before = store.since(ZERO).through
        began = time.monotonic()
        for row in range(1, 50_001):
            job.progress(row, 50_000, f"row {row}")
        until(lambda: only(store).progress == Steps(done=50_000, total=50_000))
        writes = store.since(ZERO).through - before
        assert writes <= (time.monotonic() - began) / MIN_INTERVAL_S + 2
    assert only(store).stage == "completed"


def test_the_last_value_lands_though_the_work_pauses(store: Store) -> None:
    """Nobody has to call again."""
    with track("etl", stages=["load"], store=store) as job:
        job.stage("load")
        job.progress(1, 8)
        job.progress(2, 8, "orders.csv")
        until(lambda: only(store).message == "orders.csv")
        assert only(store).progress == Steps(done=2, total=8)


def test_a_store_that_cannot_be_written_warns_once_and_the_work_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Tracking never breaks the work that it tracks."""
    (tmp_path / "file").write_text("not a directory")
    done = []
    with track("etl", stages=STAGES, store=tmp_path / "file") as job:
        for name in STAGES:
            job.stage(name)
            job.progress(1, 2)
        done.append("the work")
    assert done == ["the work"]
    until(lambda: bool(caplog.records))
    assert len(caplog.records) == 1
    assert "file" in caplog.text
    (tmp_path / "file").unlink()
    recorder.drain()  # what waited is written, so that the recorder's thread ends
    store = open_store(tmp_path / "file")
    assert only(store).stage == "completed"
    store.close()


def test_strict_raises_what_would_be_warned_of(tmp_path: Path, store: Store) -> None:
    """For who would rather stop."""
    (tmp_path / "file").write_text("not a directory")
    with pytest.raises(StoreError), track(store=tmp_path / "file", strict=True):
        pass
    with track("etl", stages=STAGES, store=store, strict=True) as job:
        job.stage("clean")
        with pytest.raises(IllegalTransition):
            job.stage("fetch")


def test_an_illegal_move_is_warned_of(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    """The job stays where it was."""
    with (
        track("etl", stages=STAGES, store=store) as job,
        caplog.at_level(logging.WARNING, "jobctl"),
    ):
        job.stage("clean")
        job.stage("fetch")
        assert only(store).stage == "clean"
    assert "possible: " in caplog.text


def test_a_job_that_somebody_removed_stays_removed(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    """Warned of once; the work goes on."""
    with track("etl", stages=STAGES, store=store) as job:
        store.remove(job.id)
        job.stage("fetch")
        job.stage("clean")
    assert store.since(ZERO).jobs == ()
    assert len(caplog.records) == 1


def test_a_decorated_function_is_a_job_for_every_call(store: Store) -> None:
    """Each its own."""

    @track("etl", store=store)
    def work(number: int) -> int:
        return number + 1

    assert [work(1), work(2)] == [2, 3]
    assert [job.stage for job in store.since(ZERO).jobs] == ["completed", "completed"]


async def test_async_with_does_the_same(store: Store) -> None:
    """Entering and leaving wait, without the loop."""
    async with track("etl", stages=STAGES, store=store) as job:
        job.stage("fetch")
        job.progress(3, 8)
    assert only(store).stage == "completed"
    with pytest.raises(RuntimeError, match="broken"):
        async with track("etl", store=store):
            raise RuntimeError("broken")
    assert {job.stage for job in store.since(ZERO).jobs} == {"completed", "failed"}


async def test_async_writes_do_not_block_the_loop() -> None:
    """A slow store holds up the task that enters the block, and no other task of the loop."""
    inner = open_store("memory:")
    may_write = threading.Event()

    class Slow:
        def __getattr__(self, name: str) -> object:
            return getattr(inner, name)

        def create(self, job: Job) -> Job:
            assert may_write.wait(10)
            return inner.create(job)

        def update(self, id: str, change: Callable[[Job], Job]) -> Job:
            assert may_write.wait(10)
            return inner.update(id, change)

    order: list[str] = []

    async def tick(name: str) -> None:
        for _ in range(5):
            await asyncio.sleep(0)
        order.append(name)
        may_write.set()

    async def work() -> None:
        async with track("etl", stages=["a"], store=Slow()) as job:  # type: ignore[arg-type]
            order.append("entered")
            may_write.clear()
            job.stage("a")
            order.append("reported")
            await tick("ticked in the block")
        order.append("left")

    await asyncio.gather(work(), tick("ticked before"))
    assert order == ["ticked before", "entered", "reported", "ticked in the block", "left"]
    assert [entry.stage for entry in only(inner).timeline()] == ["pending", "a", "completed"]


@pytest.mark.slow
def test_a_forked_child_leaves_the_parents_job_alone(tmp_path: Path) -> None:
    """It inherits a handle that does nothing."""
    store = open_store(tmp_path / "jobs", create=True)
    with track("etl", stages=STAGES, store=tmp_path / "jobs") as job:
        code = (
            "import os, sys\nfrom jobctl import track\n"
            "with track('etl', stages=['a'], store=sys.argv[1]) as job:\n"
            "    pid = os.fork()\n"
            "    if pid == 0:\n"
            "        job.stage('a'); job.fail('the child'); sys.exit(0)\n"
            "    os.waitpid(pid, 0)\n"
            "print(job.id)"
        )
        printed = output_of(code, tmp_path / "jobs")
        assert store.get(printed.strip()).stage == "completed"
        assert store.get(job.id).stage == "pending"
    store.close()


@pytest.mark.slow
def test_ctrl_c_reaches_the_job_in_a_script(tmp_path: Path) -> None:
    """The whole way: signal, exception, file."""
    code = (
        "import sys, time\nfrom jobctl import track\n"
        "with track('etl', store=sys.argv[1]) as job:\n"
        "    print(job.id, flush=True)\n    time.sleep(60)"
    )
    script = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "jobs")],
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    assert script.stdout is not None
    id = script.stdout.readline().strip()
    script.send_signal(signal.SIGINT)
    script.communicate(timeout=20)
    store = open_store(tmp_path / "jobs")
    assert (store.get(id).stage, store.get(id).error) == ("failed", "Interrupted")
    store.close()


def test_a_job_that_is_not_left_does_not_hold_up_the_end(tmp_path: Path) -> None:
    """The process drains what is to be written, and waits for nothing else."""
    code = (
        "import atexit, sys, time\n"
        "atexit.register(lambda: print(time.monotonic() - ended < 5))\n"
        "from jobctl import track\n"
        "job = track('etl', store=sys.argv[1]).__enter__()\n"
        "ended = time.monotonic()"
    )
    printed = output_of(code, tmp_path / "jobs")
    assert printed == "True\n"


def test_types_of_the_settings_are_known_where_jobs_are_tracked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on the command line: the nearest jobctl.toml; a broken one is no fault of the work."""
    monkeypatch.delenv("JOBCTL_DIR", raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "jobctl.toml").write_text('dir = "jobs"\ntypes.etl.stages = ["fetch", "load"]\n')
    with track("etl") as job:
        job.stage()
        job.stage()
    store = open_store(tmp_path / "jobs")
    recorded = store.get(job.id)
    store.close()
    assert recorded.stages == ("fetch", "load")
    assert [entry.stage for entry in recorded.timeline()][1:3] == ["fetch", "load"]


def test_types_that_make_no_sense_are_warned_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """And the work goes on."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "jobctl.toml").write_text("types.etl.eta = 'soon'\n")
    with track("etl", store=tmp_path / "jobs") as job:
        job.progress(1, 2)
    assert "types.etl.eta" in caplog.text


@pytest.mark.slow
def test_a_plain_with_block_imports_no_asyncio(tmp_path: Path) -> None:
    """Its import takes 30 ms, which ``jobctl run`` and short scripts would pay too."""
    code = (
        "import sys\nimport jobctl.work.run\nfrom jobctl import track\n"
        "with track('etl', store=sys.argv[1]) as job:\n    job.progress(50)\n"
        "print('asyncio' in sys.modules)"
    )
    assert output_of(code, tmp_path / "jobs") == "False\n"


# -- what a decorated function may be -----------------------------------------------------------


class _Callable:
    """An object whose call is asynchronous."""

    async def __call__(self, value: int) -> int:
        await asyncio.sleep(0.01)
        return value + 1


def _stage_of(store: Store) -> list[str]:
    return [job.stage for job in store.since(ZERO).jobs]


def test_generator_is_tracked_until_its_last_value(store: Store) -> None:
    """Its job was completed before it had begun."""

    @track("etl", store=store)
    def rows() -> Generator[int, str, str]:
        heard = yield 1
        assert heard == "go"
        yield 2
        return "end"

    values = rows()
    assert _stage_of(store) == []
    assert next(values) == 1
    assert _stage_of(store) == ["pending"]
    assert values.send("go") == 2
    with pytest.raises(StopIteration) as ended:
        next(values)
    assert ended.value.value == "end"
    assert _stage_of(store) == ["completed"]
    for _ in rows():
        break  # the caller has enough
    gc.collect()
    assert _stage_of(store) == ["completed", "completed"]

    @track("etl", store=store)
    def bad() -> Generator[int, None, None]:
        yield 1
        raise ValueError("boom")

    with pytest.raises(ValueError, match="boom"):
        list(bad())
    assert _stage_of(store) == ["completed", "completed", "failed"]


async def test_asynchronous_work_of_each_kind_is_tracked_to_its_end(store: Store) -> None:
    """Asynchronous generators, objects with an ``async __call__``, functions that return one."""

    @track("etl", store=store)
    async def rows() -> AsyncGenerator[int, str]:
        try:
            heard = yield 1
        except ValueError as error:
            heard = str(error)
        await asyncio.sleep(0.01)
        yield len(heard)

    values = rows()
    assert await anext(values) == 1
    assert _stage_of(store) == ["pending"]
    assert await values.asend("four") == 4
    assert [value async for value in values] == []
    assert _stage_of(store) == ["completed"]
    values = rows()
    await anext(values)
    assert await values.athrow(ValueError("three")) == 5
    await values.aclose()
    assert _stage_of(store) == ["completed"] * 2
    assert await track("etl", store=store)(_Callable())(1) == 2
    coroutine = track("etl", store=store)(lambda: _Callable()(2))()
    assert _stage_of(store) == [*["completed"] * 3, "pending"]
    assert await coroutine == 3
    assert _stage_of(store) == ["completed"] * 4

    async def fails() -> None:
        raise ValueError("boom")

    with pytest.raises(ValueError, match="boom"):
        await track("etl", store=store)(lambda: fails())()
    assert _stage_of(store) == [*["completed"] * 4, "failed"]
