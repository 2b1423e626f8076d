"""`track`: record what a piece of work does while it runs.

    with track("etl", title="Nightly load", stages=["fetch", "clean", "load"]) as job:
        job.stage("fetch")
        for done, name in enumerate(names):
            job.progress(done, len(names), name)

The job completes when the block ends, and fails with the exception's text if it raises. After a
cancel request the next report raises `Cancelled`; under ``async with`` the next await does.

Tracking never breaks the work. What cannot be recorded is logged once with the logger ``jobctl``
(on stderr if logging is not configured), and the work goes on. It is not a warning of the module
`warnings`, because many test runs turn those into exceptions.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from time import monotonic
from types import TracebackType
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from jobctl._clock import now
from jobctl.core import transitions
from jobctl.core.codec import encode
from jobctl.core.job import Job, new_id
from jobctl.core.pipeline import BUILT_IN_ONLY, COMPLETED, Pipelines
from jobctl.core.transitions import check_result, short_reason
from jobctl.errors import GOES_ON, Cancelled, Conflict, InvalidJob, JobNotFound
from jobctl.stores import Store
from jobctl.stores.owners import CancelRequest
from jobctl.work.attempt import begin_attempt
from jobctl.work.decorator import tracked
from jobctl.work.enclosing import enclosing_run, with_parent
from jobctl.work.recorder import Recorder, Write
from jobctl.work.report import MIN_INTERVAL_S, Report
from jobctl.work.target import Target
from jobctl.work.text import (
    INTERRUPTED,
    clean_text,
    error_text,
    is_success,
    one_line,
    without_escapes,
)
from jobctl.work.worker_pool import explained

if TYPE_CHECKING:
    from jobctl.work.cancellation import TaskCancellation

__all__ = ["INTERRUPTED", "MIN_INTERVAL_S", "TrackedJob", "clean_text", "track"]

MAX_WARNINGS = 10

_log = logging.getLogger("jobctl")
_P = ParamSpec("_P")
_R = TypeVar("_R")


def track(
    type: str = "job",
    *,
    title: str | None = None,
    stages: Sequence[str] | None = None,
    session: str | None = None,
    labels: Mapping[str, str] | None = None,
    id: str | None = None,
    again: bool = False,
    store: Store | str | os.PathLike[str] | None = None,
    strict: bool = False,
    on_record: Callable[[Job], None] | None = None,
    into_run: bool = False,
) -> TrackedJob:
    """Return a job for ``with`` or ``async with``, or a decorator that tracks every call.

    A job with this ``id`` whose worker is lost is taken over, as its next attempt. With ``again``
    so is one that has ended. A job that somebody works on is a conflict. ``labels`` are short texts
    by key, for selection: ``{"team": "data"}``.

    ``store`` is a store, a path or a URL. The default is the directory that the command line uses;
    it is created if it is missing. ``strict`` raises errors that are otherwise logged: in the call,
    or under ``async with`` in a later one. ``on_record`` is called from another thread with each
    recorded version.

    In a process that ``jobctl run`` has started the job is one of its own, and its ``parent`` is
    the run's job. With ``into_run`` it is the run's job itself: it enters stages and reports, but
    whether it completes is for the exit status of the command. Elsewhere that changes nothing.
    """
    return TrackedJob(
        type,
        title=title,
        stages=stages,
        session=session,
        labels=labels,
        id=id,
        again=again,
        store=store,
        strict=strict,
        on_record=on_record,
        into_run=into_run,
    )


class TrackedJob:
    """A job that is being worked on; made by `track`. It can be entered once.

    Calls may come from any thread. Under ``with`` they return when the store has the change, after
    a second at most. Under ``async with`` they return at once, and only entering and leaving wait.
    In a forked child the object does nothing.
    """

    def __init__(
        self,
        type: str,
        *,
        title: str | None,
        stages: Sequence[str] | None,
        session: str | None,
        id: str | None,
        store: Store | str | os.PathLike[str] | None,
        strict: bool,
        on_record: Callable[[Job], None] | None,
        again: bool = False,
        labels: Mapping[str, str] | None = None,
        pipelines: Pipelines | None = None,
        into_run: bool = False,
    ) -> None:
        self.id = new_id() if id is None else id
        self.scheduled = False
        self._type, self._title, self._session = type, title, session
        self._stages, self._given_id, self._again = stages, id, again
        self._labels = labels
        self._where, self._strict, self._on_record = store, strict, on_record
        self._into_run, self._in_run = into_run, False  # asked for, and so it is
        self._pipelines = pipelines  # those of the settings by default, read when it is entered
        self._pid = os.getpid()
        self._recorder: Recorder | None = None
        self._waits = True
        self._entered = self._ended = False
        self._entered_s = 0.0
        self._first: Write | None = None
        self._last: Write | None = None
        self.gone = False
        self._attempt: tuple[str, int, str | None] | None = None
        self._late_error: Exception | None = None
        self._warned: set[str] = set()
        self._job: Job | None = None
        self._result: Any = None
        self._cancelled = False
        self._cancel_request = CancelRequest()
        self._task_cancellation: TaskCancellation | None = None
        self._progress = Report()

    # -- what the work says -------------------------------------------------------------------

    def progress(self, done: float, total: float | None = None, message: object = None) -> None:
        """Report ``done`` of ``total``, or ``done`` percent. Without a message the last one stays.

        May be called for every row: at most ten reports a second are written, and always the last.
        """
        self._progress.set((done, total), message)
        if not self._progress.is_early():
            self._report()

    def message(self, text: object) -> None:
        """Report what is being done, in a few words. Written as rarely as `progress`."""
        self._progress.set(None, text)
        if not self._progress.is_early():
            self._report()

    def stage(self, name: str | None = None) -> None:
        """Enter a stage, or the next one. Entering the current stage again changes nothing."""
        self._raise_cancelled()
        at = now()

        def enter(old: Job) -> Job:
            return old if old.stage == name else self._advanced(old, name, at)

        self._record_move(enter, droppable=True)

    def result(self, value: Any) -> None:
        """Set the result that the job completes with: any JSON, at most 64 KiB."""
        try:
            self._result = check_result(value, id=self.id)
        except InvalidJob as error:
            self._warn_or_raise(error)

    def complete(self, *, result: Any = None, result_session_id: str | None = None) -> None:
        """Complete the job now, whatever the rest of the block does."""
        if result is not None:
            self.result(result)
        value, at = self._result, now()
        self._record_move(lambda old: self._completed(old, at, value, result_session_id))

    def fail(self, text: object) -> None:
        """Fail the job now, whatever the rest of the block does."""
        error, at = without_escapes(clean_text(text)), now()
        self._record_move(lambda old: transitions.fail(old, error, now=at))

    @property
    def cancelled(self) -> bool:
        """Whether the job is to be cancelled."""
        return self._cancelled

    # -- with, async with, decorator ----------------------------------------------------------

    def __enter__(self) -> TrackedJob:
        write = self._begin()
        try:
            self._wait(write)
        except BaseException as error:
            self._end(error)
            raise
        return self

    def __exit__(
        self,
        type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        write = self._end(error)
        try:
            self._wait(write)
            self._raise_late()
        except Exception as unrecorded:
            if error is None:
                raise
            self._warn(one_line(unrecorded))  # the work's own error matters more

    async def __aenter__(self) -> TrackedJob:
        from jobctl.work.cancellation import TaskCancellation  # imports asyncio, in 30 ms

        self._waits = False
        self._task_cancellation = TaskCancellation()
        write = self._begin()
        try:
            await self._wait_async(write)
        except BaseException as error:
            last = self._end(error)
            if last is not None and self._recorder is not None:
                await self._recorder.wait_async(last, quietly=True)  # the first error matters more
            raise
        return self

    async def __aexit__(
        self,
        type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._task_cancellation is not None, "the block was entered"
        cancelled = await self._task_cancellation.take(
            error, id=self.id, request=self._cancel_request
        )
        write = self._end(cancelled if isinstance(cancelled, Cancelled) else error)
        try:
            await self._wait_async(write)
            self._raise_late()
        except Exception as unrecorded:
            if error is None:
                raise
            self._warn(one_line(unrecorded))
        if cancelled is not None:
            raise cancelled from error

    def __call__(self, function: Callable[_P, _R]) -> Callable[_P, _R]:
        """Return a function that tracks each call as its own job.

        Coroutine functions are supported.
        """

        def again() -> TrackedJob:
            return TrackedJob(
                self._type,
                title=self._title,
                stages=self._stages,
                session=self._session,
                labels=self._labels,
                id=self._given_id,
                again=self._again,
                store=self._where,
                strict=self._strict,
                on_record=self._on_record,
                pipelines=self._pipelines,
                into_run=self._into_run,
            )

        return tracked(function, again)

    # -- from the first write to the last -----------------------------------------------------

    def _begin(self) -> Write | None:
        if self._entered:
            raise RuntimeError("a tracked job is entered once; call track() for another")
        self._entered, self._pid, self._entered_s = True, os.getpid(), monotonic()
        try:
            target = Target(self._where, self._pipelines, own_stages=self._stages is not None)
            self._pipelines = target.pipelines
            first = transitions.create(
                self._type,
                now=now(),
                id=self.id,
                session_id=None if self._session is None else clean_text(self._session),
                title=None if self._title is None else clean_text(self._title),
                stages=self._stages,
                labels=self._labels,
                pipelines=self._pipelines or BUILT_IN_ONLY,
            )
            recorder = target.join_recorder(strict=self._strict)
        except Exception as error:  # whatever it is, the work goes on
            self._warn_or_raise(error)
            return None
        if recorder is None:
            self._warn("too much waits to be recorded already: this job is not")
            return None
        with recorder.guard:
            self._recorder = recorder
            self._progress.open()
            self._first = self._post(lambda store: self._start(store, first), awaited=True)
            return self._first

    def _start(self, store: Store, first: Job) -> Job:
        """Own the job first and create it then, so that it never counts as lost while we live."""
        assert self._recorder is not None, "it does the write"
        owner = self._recorder.hold(self)
        try:
            job = self._open(store, first.replace(owner=owner))
        except BaseException:
            self._recorder.drop(self)
            raise
        self._attempt = (job.created_at, job.retry_count, job.owned_by)
        self._recorder.watch_for_cancel(self)
        return job

    def _open(self, store: Store, first: Job) -> Job:
        if self._into_run and (run := enclosing_run(store)) is not None:
            self.id, self._in_run = run.id, True
            return run
        first = with_parent(first, store)
        return begin_attempt(
            store, first, lambda job: job, again=self._again, again_by="track it with again=True"
        )

    def _advanced(self, job: Job, stage: str | None, at: str) -> Job:
        if self._in_run and stage == COMPLETED:
            return self._completed(job, at, None, None)
        return transitions.advance(job, stage, now=at, pipelines=self._pipelines or BUILT_IN_ONLY)

    def _completed(self, job: Job, at: str, result: Any, result_session_id: str | None) -> Job:
        done = {"now": at, "result": result, "result_session_id": result_session_id}
        if self._in_run:
            return transitions.finish_stages(
                job, **done, pipelines=self._pipelines or BUILT_IN_ONLY
            )
        return transitions.complete(job, **done)

    def _end(self, error: BaseException | None) -> Write | None:
        recorder = self._active_recorder()
        if recorder is None:
            return None
        at, result = now(), self._result
        error = explained(error, monotonic() - self._entered_s)

        def finish(old: Job) -> Job:
            if self._has_ended(old):
                return old
            job = self._close(old, error, at, result)
            try:
                encode(job)
            except InvalidJob as refusal:
                self._warn(f"it ends without its result: {one_line(refusal)}")
                return self._stripped(job)
            return job

        with recorder.guard:
            self._flush(recorder)
            self._ended = True
            self._progress.close()
            if self._task_cancellation is not None:
                self._task_cancellation.close()
            return self._post(self._update(finish), awaited=True, last=True)

    def _has_ended(self, job: Job) -> bool:
        """Whether complete() or fail() was called, so that the end of the block changes nothing."""
        if self._in_run:
            return not job.active
        return not job.active and self._job is not None and self._job.stage == job.stage

    def _close(self, old: Job, error: BaseException | None, at: str, result: Any) -> Job:
        """Return the job as the block left it."""
        if self._in_run:  # it goes on until the command ends
            return old.replace(result=result, updated_at=at) if result is not None else old
        if is_success(error):
            return transitions.complete(old, now=at, result=result)
        if isinstance(error, Cancelled) and self._cancelled:
            return self._as_cancelled(old, at)
        assert error is not None, "it would be a success"
        return transitions.fail(old, error_text(error), now=at)

    def _as_cancelled(self, old: Job, at: str) -> Job:
        by, reason = self._cancel_request
        return transitions.cancel(
            old,
            now=at,
            at_work=True,
            by=short_reason(by) if by else None,
            reason=short_reason(reason) if reason else None,
        )

    def _stripped(self, job: Job) -> Job:
        """Return the job without the parts that may make it too large: its end matters more."""
        return job.replace(result=None)

    def _record_move(self, change: Callable[[Job], Job], *, droppable: bool = False) -> None:
        """Record a move, and before it the pending report of the stage that ends."""
        recorder = self._active_recorder()
        if recorder is None:
            return
        self._raise_late()
        with recorder.guard:
            self._flush(recorder)
            self._progress.clear()
            write = self._post(self._update(change), awaited=self._waits, droppable=droppable)
        if self._waits:
            self._wait(write)

    def _report(self) -> None:
        """Write the report if it is due, or schedule it."""
        recorder = self._active_recorder()
        if recorder is None:
            self._progress.close()
            return
        self._raise_cancelled()
        self._raise_late()
        write = None
        with recorder.guard:
            if self._waits and self._progress.may_write(recorder.retry_at) and self._is_idle():
                write = recorder.post(self.take_report(awaited=True))
            else:
                self._progress.postpone()
                recorder.schedule(self)
        self._wait(write)

    def _flush(self, recorder: Recorder) -> None:
        """Write the pending report, unless writes are queued: the next one replaces it."""
        if self._progress.is_pending() and not recorder.busy:
            recorder.post(self.take_report())
        self._progress.discard_pending()

    def _active_recorder(self) -> Recorder | None:
        """Return the recorder while there is something to record; ``None`` in a forked child."""
        return None if self._ended or os.getpid() != self._pid else self._recorder

    def _is_idle(self) -> bool:
        return self._last is None or self._last.done

    def _post(self, action: Callable[[Store], Job | None], **how: bool) -> Write:
        assert self._recorder is not None, "it is set before the first write"
        self._last = self._recorder.post(Write(self, action, **how))
        return self._last

    def _update(self, change: Callable[[Job], Job]) -> Callable[[Store], Job | None]:
        def change_ours(old: Job) -> Job:
            if not self._is_ours(old):
                raise _TakenOver(f"job {self.id} was started anew by somebody else")
            return change(old)

        return lambda store: None if self.gone else store.update(self.id, change_ours)

    def _is_ours(self, job: Job) -> bool:
        """Whether the job is still our attempt; not if it failed and somebody retried it."""
        if self._attempt is None:
            return True  # the store created it but could not confirm that
        created_at, retry_count, owner = self._attempt
        same = (job.created_at, job.retry_count) == (created_at, retry_count)
        return same and job.owned_by in (None, owner)

    # -- waiting and warning ------------------------------------------------------------------

    def _wait(self, write: Write | None) -> None:
        if write is not None and self._recorder is not None:
            self._recorder.wait(write)

    async def _wait_async(self, write: Write | None) -> None:
        if write is not None and self._recorder is not None:
            await self._recorder.wait_async(write)

    def _raise_cancelled(self) -> None:
        if self._cancelled and self._active_recorder() is not None:
            raise Cancelled(self.id, self._cancel_request.by, self._cancel_request.reason)

    def _raise_late(self) -> None:
        """Raise an error since the last call, in strict tracking."""
        error, self._late_error = self._late_error, None
        if error is not None:
            raise error

    def _warn_or_raise(self, error: Exception) -> None:
        if self._strict:
            raise error
        self._warn(one_line(error))

    def _warn(self, text: str) -> None:
        if text not in self._warned and len(self._warned) < MAX_WARNINGS:
            self._warned.add(text)
            about = "" if self.id in text else f"job {self.id}: "
            _log.warning("jobctl: %s%s%s", about, text, GOES_ON)

    # -- what the recorder asks for -----------------------------------------------------------

    def cancel(self, request: CancelRequest | None = None) -> None:
        self._cancel_request = request or CancelRequest()
        self._cancelled = True
        self._progress.look_now()
        if self._task_cancellation is not None:
            self._task_cancellation.request()

    def due_s(self) -> float | None:
        return self._progress.due_s(linger=self._waits)

    def take_report(self, *, awaited: bool = False) -> Write:
        change = self._update(self._progress.take())
        self._last = Write(self, change, report=True, awaited=awaited)
        return self._last

    def restore_report(self) -> None:
        if not self._ended:
            self._progress.restore()

    def recorded_as(self, job: Job) -> None:
        if self._job is not None and self._job.revision == job.revision:
            return  # unchanged: nothing was written
        self._job = job
        if self._on_record is not None:
            try:
                self._on_record(job)
            except Exception:
                _log.exception("jobctl: on_record raised (tracking job %s)", self.id)

    def failed(self, write: Write, error: Exception) -> None:
        if write is self._first or isinstance(error, (JobNotFound, _TakenOver)):
            self.gone = True
            self._progress.close()
        if not self._strict:
            removed = isinstance(error, JobNotFound)
            self._warn("somebody removed the job" if removed else one_line(error))
        elif not write.awaited:
            self._late_error = self._late_error or error


class _TakenOver(Conflict):
    """The job is another attempt by now, into which we must not write."""
