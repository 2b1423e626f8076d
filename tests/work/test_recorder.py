"""The recorder: what stands between the work and a store that does not answer."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from jobctl.core import transitions as jobs
from jobctl.core.job import Job, Steps
from jobctl.errors import Conflict, StoreLocked
from jobctl.stores import Store, open_store
from jobctl.work import recorder
from jobctl.work import report as report_module
from jobctl.work.recorder import MAX_QUEUED_OF_ONE, Write
from jobctl.work.track import track
from tests.conftest import Clock
from tests.stores.support import environment, until
from tests.strategies import T0


class Unreliable:
    """A store in memory that fails, or hangs, as long as it is told to."""

    where = "unreliable"

    def __init__(self) -> None:
        self.inner = open_store("memory:")
        self.works = threading.Event()
        self.works.set()
        self.hangs = False
        self.bad_id = ""
        self.attempts = 0
        self.writes: list[Job] = []

    def create(self, job: Job) -> Job:
        return self._do(job.id, lambda: self.inner.create(job))

    def update(self, id: str, change: Callable[[Job], Job]) -> Job:
        return self._do(id, lambda: self.inner.update(id, change))

    def _do(self, id: str, write: Callable[[], Job]) -> Job:
        self.attempts += 1
        if self.hangs:
            assert self.works.wait(10)
        if not self.works.is_set() or self.bad_id in (id, "all"):
            raise StoreLocked(self.where, 5.0, None)
        self.writes.append(write())
        return self.writes[-1]

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


@pytest.fixture
def unreliable(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The store; the recorder tries again soon, and is out of patience soon."""
    monkeypatch.setattr(recorder, "RETRY_S", 0.01)
    monkeypatch.setattr(recorder, "MAX_RETRY_S", 0.02)
    monkeypatch.setattr(recorder, "PATIENCE_S", 0.02)
    store = Unreliable()
    yield store
    store.works.set()
    until(lambda: not recorder._registry, what="the recorder's end")


def stages(store: Any, id: str) -> list[str]:
    """The stages that the job went through, as stored."""
    return [entry.stage for entry in store.get(id).timeline()]


# -- a store that does not answer -------------------------------------------------------------


def test_a_store_that_hangs_costs_the_work_one_wait(
    unreliable: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """FAULTS row 7: after the first call that waited in vain, nobody waits for it."""
    waits: list[float | None] = []
    wait = Write.wait

    def noted(self: Write, timeout_s: float | None) -> None:
        waits.append(timeout_s)
        wait(self, timeout_s)

    monkeypatch.setattr(Write, "wait", noted)
    with track("etl", store=unreliable) as job:
        unreliable.works.clear()
        unreliable.hangs = True
        waits.clear()
        for number in range(20):
            job.stage(f"s{number}")
            job.progress(1, 2)
    assert waits[0] == recorder.PATIENCE_S
    assert set(waits[1:]) == {0.0}
    unreliable.works.set()
    until(lambda: unreliable.get(job.id).stage == "completed")


@pytest.mark.parametrize("others_write", [True, False])
def test_the_end_waits_longer_while_others_write(
    unreliable: Any, monkeypatch: pytest.MonkeyPatch, others_write: bool
) -> None:
    """120 runs at once on two cores: each is recorded to its end; a stopped holder is given up."""
    monkeypatch.setattr(recorder, "EXIT_S", 0.1)
    with track("etl", store=unreliable) as job:
        unreliable.works.clear()
        unreliable.hangs = True

    def write() -> None:
        for number in range(20):
            if others_write:
                unreliable.inner.create(jobs.create("other", now=T0, id=f"o{number}"))
            threading.Event().wait(0.02)
        unreliable.works.set()

    other = threading.Thread(target=write)
    other.start()
    recorder.drain()
    assert (unreliable.get(job.id).stage == "completed") is others_write
    other.join()
    until(lambda: unreliable.get(job.id).stage == "completed", what="it is recorded in the end")


def test_what_happened_meanwhile_is_recorded_when_the_store_is_back(unreliable: Any) -> None:
    """Creation, stages and end, in order, with the times at which they happened."""
    unreliable.works.clear()
    with track("etl", stages=["fetch", "clean"], store=unreliable) as job:
        job.stage("fetch")
        job.stage("clean")
    unreliable.works.set()
    until(lambda: unreliable.writes and unreliable.writes[-1].stage == "completed")
    assert stages(unreliable, job.id) == ["pending", "fetch", "clean", "completed"]
    times = [entry.at for entry in unreliable.get(job.id).timeline()]
    assert times == sorted(times)


def test_an_outage_is_warned_of_once(unreliable: Any, caplog: pytest.LogCaptureFixture) -> None:
    """However many jobs and tries it takes, in one line that names the store; so is its end."""
    unreliable.works.clear()
    with (
        caplog.at_level(logging.WARNING, "jobctl"),
        track("etl", store=unreliable) as first,
        track("etl", store=unreliable) as second,
    ):
        for job in (first, second):
            job.stage("load")
        tried = unreliable.attempts
        until(lambda: unreliable.attempts > tried + 5)

    def said() -> list[str]:
        texts = [record.getMessage() for record in caplog.records]
        while texts and texts[0] == "jobctl: jobs are recorded again":
            del texts[0]  # an outage of an earlier test ended only now
        return texts

    (text,) = said()
    assert text.startswith("jobctl: jobs are not recorded, the work goes on:")
    assert "unreliable" in text
    assert "\n" not in text
    with caplog.at_level(logging.WARNING, "jobctl"):
        unreliable.works.set()
        until(lambda: len(said()) > 1)
        until(lambda: unreliable.get(second.id).stage == "completed")
    assert said()[1:] == ["jobctl: jobs are recorded again"]


def test_one_bad_file_does_not_hold_up_the_others(unreliable: Any) -> None:
    """A job that cannot be written goes to the end of the line."""
    with track("etl", store=unreliable) as bad, track("etl", store=unreliable) as good:
        unreliable.bad_id = bad.id
        bad.stage("load")
        for number in range(3):
            good.stage(f"s{number}")
        until(lambda: unreliable.get(good.id).stage == "s2")
        assert unreliable.get(bad.id).stage == "pending"
        unreliable.bad_id = ""
    until(lambda: unreliable.get(bad.id).stage == "completed")


def test_what_waits_for_the_store_is_bounded(unreliable: Any) -> None:
    """The newest moves of a job are kept, and its creation; the job ends as it ended."""
    unreliable.works.clear()
    with track("etl", store=unreliable) as job:
        for number in range(1000):
            job.stage(f"s{number}")
        (running,) = recorder._registry.values()
        assert len(running._ready) <= MAX_QUEUED_OF_ONE + 1
    unreliable.works.set()
    until(lambda: unreliable.writes and unreliable.writes[-1].stage == "completed")
    assert stages(unreliable, job.id)[0] == "pending"
    assert stages(unreliable, job.id)[-2:] == ["s999", "completed"]


def test_too_many_jobs_waiting_is_said_and_no_more_are_queued(
    unreliable: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A worker of many tasks does not grow without end beside a full disk."""
    monkeypatch.setattr(recorder, "MAX_QUEUED", 4)
    unreliable.works.clear()
    done = []
    with caplog.at_level(logging.WARNING, "jobctl"):
        for number in range(10):
            with track("etl", store=unreliable):
                done.append(number)
    assert done == list(range(10))
    assert "this job is not" in caplog.text
    unreliable.works.set()
    until(lambda: not recorder._registry)
    assert 2 <= len({job.id for job in unreliable.writes}) < 10


async def test_a_strict_failure_fails_what_waited_with_it(unreliable: Any) -> None:
    """Not each in turn after its own five seconds."""
    unreliable.works.clear()
    unreliable.hangs = True

    async def work() -> None:
        async with track("etl", store=unreliable, strict=True):
            raise AssertionError("the block was entered")

    tasks = [asyncio.create_task(work()) for _ in range(20)]
    await asyncio.sleep(0)  # each has asked to be created
    unreliable.bad_id = "all"
    unreliable.works.set()
    errors = await asyncio.gather(*tasks, return_exceptions=True)
    assert {type(error) for error in errors} == {StoreLocked}
    assert unreliable.attempts <= 2


@pytest.mark.slow
def test_the_end_of_the_process_waits_for_a_locked_store(tmp_path: Path) -> None:
    """FAULTS row 7: the work is not held up, and its end is recorded all the same."""
    store = open_store(tmp_path / "jobs", create=True)
    code = (
        "import sys, time\nfrom jobctl import track\n"
        "job = track('etl', id='a1', store=sys.argv[1])\n"
        "with job:\n"
        "    print('entered', flush=True); sys.stdin.readline()\n"
        "    began = time.monotonic()\n"
        "    for number in range(20): job.stage(f's{number}')\n"
        "print(time.monotonic() - began < 3, flush=True)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "jobs")],
        env=environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == "entered\n"

        def hold(job: Job) -> Job:
            """Under the store's lock, until the work has ended."""
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write("\n")
            process.stdin.flush()
            assert process.stdout.readline() == "True\n"
            return job

        store.create(jobs.create("etl", now=T0, id="other"))
        store.update("other", hold)
        assert process.wait(20) == 0
    assert stages(store, "a1") == ["pending", *(f"s{number}" for number in range(20)), "completed"]
    store.close()


# -- how often, and what ----------------------------------------------------------------------


@pytest.fixture
def still(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Time as the tracker and the recorder see it stands still."""
    monkeypatch.setattr(report_module, "monotonic", clock.monotonic)
    monkeypatch.setattr(recorder, "monotonic", clock.monotonic)
    return clock


def test_reports_are_written_ten_times_a_second(
    still: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the call that finds it is time; the many in between write nothing."""
    monkeypatch.setattr(report_module, "LINGER_S", 1e6)  # the recorder leaves it to the calls
    store: Any = Unreliable()
    with track("etl", store=store) as job:
        for tenth in range(5):
            for call in range(100):
                job.progress(100 * tenth + call, 1000)
            still.advance(1.5 * report_module.MIN_INTERVAL_S)
        written = [one.progress for one in store.writes if one.progress]
    assert written == [Steps(done=done, total=1000) for done in (0, 100, 200, 300, 400)]


def test_the_last_value_of_a_stage_lands_before_the_next(still: Clock) -> None:
    """Also of the last stage, and with the message that was said with an earlier one."""
    store: Any = Unreliable()
    with track("etl", store=store) as job:
        for stage in ("fetch", "clean"):
            job.stage(stage)
            job.progress(1, 8, "orders.csv")
            job.progress(2, 8, "items.csv")
            job.progress(8, 8)
            still.advance(1.0)
            job.progress(8, 8)
            job.progress(8.5, 9)
    last = {one.stage: (one.progress, one.message) for one in store.writes}
    assert last["fetch"] == last["clean"] == (Steps(done=8.5, total=9), "items.csv")


class Countable:
    """What numpy's integers are like: no int, but usable as one."""

    def __init__(self, value: int) -> None:
        self._value = value

    def __index__(self) -> int:
        return self._value


@pytest.mark.parametrize(
    ("done", "total", "written"),
    [
        (3, 8, Steps(done=3, total=8)),
        (Countable(3), Countable(8), Steps(done=3, total=8)),
        (50, None, 50),
        (0, 0, None),
    ],
)
def test_whatever_counts_is_progress(done: Any, total: Any, written: Any) -> None:
    """And nothing of nothing is none, rather than an error."""
    store: Any = Unreliable()
    with track("etl", store=store) as job:
        job.progress(done, total, "m")
        assert (store.get(job.id).progress, store.get(job.id).message) == (written, "m")


def test_text_that_no_file_can_hold_is_made_to_fit() -> None:
    """Names of files may hold lone surrogates, and exceptions may hold a whole page."""
    store: Any = Unreliable()
    job = track("etl", title="\udcff", store=store)

    def work() -> None:
        with job:
            job.message("caf\udce9")
            assert store.get(job.id).message == "caf\\udce9"
            raise RuntimeError("x" * 100_000 + "\ud800")

    with pytest.raises(RuntimeError):
        work()
    failed = store.get(job.id)
    assert failed.title == "\\udcff"
    assert len(failed.error) < 5000
    assert failed.error.endswith("\\ud800")


def test_nonsense_from_the_work_is_warned_of_once_and_costs_nothing_else(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Neither the job nor the work."""
    store: Any = Unreliable()
    with caplog.at_level(logging.WARNING, "jobctl"), track("etl", store=store) as job:
        for _ in range(3):
            job.result({"a": object()})
            job.stage("a,b")
    assert store.get(job.id).stage == "completed"
    assert len(caplog.records) == 2


# -- whose job it is --------------------------------------------------------------------------


def test_a_job_of_the_same_id_is_left_alone(caplog: pytest.LogCaptureFixture) -> None:
    """The id was taken: what has it is somebody else's."""
    store: Any = Unreliable()
    store.inner.create(jobs.create("other", now=T0, id="a1"))
    with caplog.at_level(logging.WARNING, "jobctl"), track("etl", id="a1", store=store) as job:
        job.stage("load")
        job.progress(1, 2)
    assert (store.get("a1").type, store.get("a1").stage) == ("other", "pending")
    assert "exists already" in caplog.text
    with pytest.raises(Conflict), track("etl", id="a1", store=store, strict=True):
        pass
    assert store.get("a1").stage == "pending"


@pytest.mark.parametrize(
    ("code", "stage", "error"),
    [(0, "completed", None), (None, "completed", None), (3, "failed", "Exit code 3")],
)
def test_a_script_that_exits_ends_its_job(code: int | None, stage: str, error: str | None) -> None:
    """With 0 it has done its work."""
    store: Any = Unreliable()
    with pytest.raises(SystemExit), track("etl", store=store) as job:
        sys.exit(code)
    assert (store.get(job.id).stage, store.get(job.id).error) == (stage, error)


def test_a_job_that_the_work_has_ended_stays_as_it_is(caplog: pytest.LogCaptureFixture) -> None:
    """The end of the block has nothing to add, and nothing to complain of."""
    store: Any = Unreliable()
    with caplog.at_level(logging.WARNING, "jobctl"):
        with track("etl", store=store) as done:
            done.complete(result={"rows": 3}, result_session_id="r")
        with track("etl", store=store) as failed:
            failed.fail("no rows")
    assert (store.get(done.id).result, store.get(done.id).result_session_id) == ({"rows": 3}, "r")
    assert (store.get(failed.id).stage, store.get(failed.id).error) == ("failed", "no rows")
    assert caplog.records == []


def test_entering_the_present_stage_again_is_no_news(caplog: pytest.LogCaptureFixture) -> None:
    """A loop may name its stage in every turn."""
    store: Any = Unreliable()
    with caplog.at_level(logging.WARNING, "jobctl"), track("etl", store=store) as job:
        for _ in range(3):
            job.stage("load")
    assert stages(store, job.id) == ["pending", "load", "completed"]
    assert caplog.records == []


def test_an_id_that_is_none_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    """Ids may come out of data."""
    store: Any = Unreliable()
    with caplog.at_level(logging.WARNING, "jobctl"), track("etl", id="../x", store=store) as job:
        job.stage("load")
    assert store.attempts == 0
    assert "is not a job id" in caplog.text


def test_jobs_of_one_store_share_a_thread_and_leave_none(tmp_path: Path) -> None:
    """The last one takes the thread, and the store that was opened for it, with it."""
    before = set(threading.enumerate())
    with track(store=tmp_path / "jobs"), track(store=str(tmp_path / "jobs")):
        assert len(set(threading.enumerate()) - before) == 1
    until(lambda: set(threading.enumerate()) <= before)
    assert not recorder._registry


def test_a_store_that_was_given_is_not_closed() -> None:
    """It belongs to who opened it."""
    store: Store = open_store("memory:")
    closed = []
    store.close = lambda: closed.append(True)  # type: ignore[method-assign]
    with track(store=store):
        pass
    until(lambda: not recorder._registry)
    assert closed == []
