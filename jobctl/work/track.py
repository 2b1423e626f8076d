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

import asyncio
import functools
import inspect
import logging
import operator
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from time import monotonic
from types import TracebackType
from typing import Any, ParamSpec, TypeVar, cast

from jobctl._clock import now
from jobctl.config import Settings, is_durable, resolve_dir
from jobctl.core import transitions
from jobctl.core.codec import encode
from jobctl.core.job import Job, new_id
from jobctl.core.pipeline import BUILT_IN_ONLY, Pipelines, parse_types
from jobctl.core.transitions import check_result
from jobctl.errors import Cancelled, Conflict, InvalidJob, JobNotFound
from jobctl.stores import Store, open_store
from jobctl.work.recorder import Recorder, Write, one_line

__all__ = ["INTERRUPTED", "MIN_INTERVAL_S", "TrackedJob", "clean_text", "track"]

INTERRUPTED = "Interrupted"
"""The error of a job that Ctrl-C or a cancellation ended."""
MIN_INTERVAL_S = 0.1
"""Minimum time between written reports of progress."""
LINGER_S = 0.15
"""After that time plus this one, the recorder writes a pending report itself."""
MAX_TEXT = 4000
MAX_WARNINGS = 10
_NEVER = float("inf")

_log = logging.getLogger("jobctl")
_P = ParamSpec("_P")
_R = TypeVar("_R")


def track(
    type: str = "job",
    *,
    title: str | None = None,
    stages: Sequence[str] | None = None,
    session: str | None = None,
    id: str | None = None,
    store: Store | str | os.PathLike[str] | None = None,
    strict: bool = False,
    on_record: Callable[[Job], None] | None = None,
) -> TrackedJob:
    """Return a job for ``with`` or ``async with``, or a decorator that tracks every call.

    ``store`` is a store, a path or a URL. The default is the directory that the command line uses;
    it is created if it is missing. ``strict`` raises errors that are otherwise logged: in the call,
    or under ``async with`` in a later one. ``on_record`` is called from another thread with each
    recorded version.
    """
    return TrackedJob(
        type,
        title=title,
        stages=stages,
        session=session,
        id=id,
        store=store,
        strict=strict,
        on_record=on_record,
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
        pipelines: Pipelines | None = None,
    ) -> None:
        self.id = new_id() if id is None else id
        self.scheduled = False
        self._type, self._title, self._session = type, title, session
        self._stages, self._given_id = stages, id
        self._where, self._strict, self._on_record = store, strict, on_record
        self._pipelines = pipelines  # those of the settings by default, read when it is entered
        self._pid = os.getpid()
        self._recorder: Recorder | None = None
        self._waits = True
        self._entered = self._ended = False
        self._first: Write | None = None
        self._last: Write | None = None
        self.gone = False
        self._attempt: tuple[str, int, str | None] | None = None
        self._late_error: Exception | None = None
        self._warned: set[str] = set()
        self._job: Job | None = None
        self._result: Any = None
        self._cancelled = False
        self._task: asyncio.Task[Any] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task_cancelled = False
        self._cancelling = 0
        # The last report, whether it is pending, and when it may be written (monotonic). While it
        # is pending, a call before `_look_s` returns at once.
        self._steps: tuple[float, float | None] | None = None
        self._message: object = None
        self._pending = True
        self._next_s = self._look_s = _NEVER

    # -- what the work says -------------------------------------------------------------------

    def progress(self, done: float, total: float | None = None, message: object = None) -> None:
        """Report ``done`` of ``total``, or ``done`` percent. Without a message the last one stays.

        May be called for every row: at most ten reports a second are written, and always the last.
        """
        self._steps = (done, total)
        if message is not None:
            self._message = message
        if self._pending and monotonic() < self._look_s:
            return
        self._report()

    def message(self, text: object) -> None:
        """Report what is being done, in a few words. Written as rarely as `progress`."""
        self._message = text
        if self._pending and monotonic() < self._look_s:
            return
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
        self._record_move(
            lambda old: transitions.complete(
                old, now=at, result=value, result_session_id=result_session_id
            )
        )

    def fail(self, text: object) -> None:
        """Fail the job now, whatever the rest of the block does."""
        error, at = clean_text(text), now()
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
        self._waits = False
        self._loop, self._task = asyncio.get_running_loop(), asyncio.current_task()
        self._cancelling = self._task.cancelling() if self._task is not None else 0
        write = self._begin()
        try:
            await self._wait_async(write)
        except BaseException as error:
            await self._wait_async(self._end(error), quietly=True)
            raise
        return self

    async def __aexit__(
        self,
        type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        cancelled = await self._take_cancellation(error)
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

    async def _take_cancellation(
        self, error: BaseException | None
    ) -> Cancelled | asyncio.CancelledError | None:
        """Undo our cancellation of the task; return the exception to raise instead, if any.

        There is none if the cancellation has not reached the work. A cancellation by others that
        arrived together with ours is kept. Precedent: ``asyncio.timeout``.
        """
        task, self._task = self._task, None  # we cancel it no more from here on
        if not self._task_cancelled or task is None:
            return None
        struck = isinstance(error, asyncio.CancelledError)
        if not struck:
            try:
                await asyncio.sleep(
                    0
                )  # it has not been delivered: take it here, where it does no harm
            except asyncio.CancelledError:
                pass
        outer = task.uncancel() > self._cancelling
        if outer:
            return None if struck else asyncio.CancelledError()
        return Cancelled(self.id) if struck else None

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
                id=self._given_id,
                store=self._where,
                strict=self._strict,
                on_record=self._on_record,
                pipelines=self._pipelines,
            )

        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def tracked_async(*args: _P.args, **kwargs: _P.kwargs) -> Any:
                async with again():
                    return await function(*args, **kwargs)

            return cast("Callable[_P, _R]", tracked_async)

        @functools.wraps(function)
        def tracked(*args: _P.args, **kwargs: _P.kwargs) -> _R:
            with again():
                return function(*args, **kwargs)

        return tracked

    # -- from the first write to the last -----------------------------------------------------

    def _begin(self) -> Write | None:
        if self._entered:
            raise RuntimeError("a tracked job is entered once; call track() for another")
        self._entered, self._pid = True, os.getpid()
        try:
            settings = self._read_settings()
            first = transitions.create(
                self._type,
                now=now(),
                id=self.id,
                session_id=None if self._session is None else clean_text(self._session),
                title=None if self._title is None else clean_text(self._title),
                stages=self._stages,
                pipelines=self._pipelines or BUILT_IN_ONLY,
            )
            recorder = self._join_recorder(settings)
        except Exception as error:  # whatever it is, the work goes on
            self._warn_or_raise(error)
            return None
        if recorder is None:
            self._warn("too much waits to be recorded already: this job is not")
            return None
        with recorder.guard:
            self._recorder = recorder
            self._pending, self._next_s = False, 0.0
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
        self._attempt = (job.created_at, job.retry_count, owner)
        self._recorder.watch_for_cancel(self)
        return job

    def _open(self, store: Store, first: Job) -> Job:
        return store.create(first)

    def _advanced(self, job: Job, stage: str | None, at: str) -> Job:
        return transitions.advance(job, stage, now=at, pipelines=self._pipelines or BUILT_IN_ONLY)

    def _read_settings(self) -> Settings | None:
        """Read the settings, if the pipelines or the directory come from there."""
        needs_pipelines = self._pipelines is None and self._stages is None
        if not needs_pipelines and self._where is not None:
            return None
        settings = Settings(os.environ, Path.cwd())
        if needs_pipelines:
            self._pipelines = Pipelines(parse_types(settings.types))
        return settings

    def _join_recorder(self, settings: Settings | None) -> Recorder | None:
        store, durable = self._where, None
        if store is None:
            assert settings is not None, "they were read for this"
            where = resolve_dir(None, os.environ, Path.cwd(), settings)
            store, durable = where.path, is_durable(os.environ, Path.cwd(), settings)
        if isinstance(store, (str, os.PathLike)):
            text = os.fspath(store)
            path = text if "://" in text or text == "memory:" else os.path.abspath(text)
            return Recorder.join(
                (path, durable),
                lambda: open_store(path, create=True, durable=durable),
                owned=True,
                strict=self._strict,
            )
        given = store
        return Recorder.join(id(given), lambda: given, owned=False, strict=self._strict)

    def _end(self, error: BaseException | None) -> Write | None:
        recorder = self._active_recorder()
        if recorder is None:
            return None
        at, result = now(), self._result

        def finish(old: Job) -> Job:
            if not old.active and self._job is not None and self._job.stage == old.stage:
                return old  # complete() or fail() was called
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
            self._forget_report()
            return self._post(self._update(finish), awaited=True, last=True)

    def _close(self, old: Job, error: BaseException | None, at: str, result: Any) -> Job:
        """Return the job as the block left it."""
        if error is None or _is_success(error):
            return transitions.complete(old, now=at, result=result)
        if isinstance(error, Cancelled) and self._cancelled:
            return transitions.cancel(old, now=at, at_work=True)
        return transitions.fail(old, _text_of(error), now=at)

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
            self._steps = self._message = None
            write = self._post(self._update(change), awaited=self._waits, droppable=droppable)
        if self._waits:
            self._wait(write)

    def _report(self) -> None:
        """Write the report if it is due, or schedule it."""
        recorder = self._active_recorder()
        if recorder is None:
            self._forget_report()
            return
        self._raise_cancelled()
        self._raise_late()
        with recorder.guard:
            now_s = monotonic()
            if self._waits and max(self._next_s, recorder.retry_at) <= now_s and self._is_idle():
                write = recorder.post(self.take_report(awaited=True))
            else:
                write = None
                self._pending = True
                self._look_s = self._next_s if self._next_s > now_s else now_s + MIN_INTERVAL_S
                recorder.schedule(self)
        self._wait(write)

    def _flush(self, recorder: Recorder) -> None:
        """Write the pending report, unless writes are queued: the next one replaces it."""
        if self._pending and self._next_s < _NEVER and not recorder.busy:
            recorder.post(self.take_report())
        self._pending = False

    def _forget_report(self) -> None:
        self._pending, self._next_s, self._look_s = True, _NEVER, _NEVER

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

    async def _wait_async(self, write: Write | None, *, quietly: bool = False) -> None:
        if write is None or self._recorder is None:
            return
        loop = asyncio.get_running_loop()
        written = loop.create_future()

        def resolve() -> None:
            if not written.done():
                written.set_result(None)

        def notify() -> None:
            try:
                loop.call_soon_threadsafe(resolve)
            except RuntimeError:
                pass  # the loop was closed meanwhile

        write.on_done(notify)
        await asyncio.wait([written], timeout=self._recorder.patience_s)
        if not quietly:
            self._recorder.finish_wait(write)

    def _raise_cancelled(self) -> None:
        if self._cancelled and self._active_recorder() is not None:
            raise Cancelled(self.id)

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
            _log.warning("jobctl: %s%s; the work goes on", about, text)

    # -- what the recorder asks for -----------------------------------------------------------

    def cancel(self) -> None:
        self._cancelled = True
        self._look_s = 0.0  # the next report must raise
        if self._loop is not None:
            try:
                self._loop.call_soon_threadsafe(self._cancel_task)
            except RuntimeError:
                pass  # the loop is closed

    def _cancel_task(self) -> None:
        if self._task is not None and not self._ended and not self._task_cancelled:
            self._task_cancelled = True
            self._task.cancel()

    def due_s(self) -> float | None:
        if not self._pending or self._next_s == _NEVER:
            return None
        return self._next_s + (LINGER_S if self._waits else 0.0)

    def take_report(self, *, awaited: bool = False) -> Write:
        self._pending = False  # first, so that a later report is pending again
        steps, message, at = self._steps, self._message, now()
        self._next_s = monotonic() + MIN_INTERVAL_S

        def report(old: Job) -> Job:
            done, total = (None, None) if steps is None else _numbers(*steps)
            text = None if message is None else clean_text(message)
            return transitions.report(old, now=at, done=done, total=total, message=text)

        self._last = Write(self, self._update(report), report=True, awaited=awaited)
        return self._last

    def restore_report(self) -> None:
        if not self._ended:
            self._pending = True

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
            self._forget_report()
        if not self._strict:
            removed = isinstance(error, JobNotFound)
            self._warn("somebody removed the job" if removed else one_line(error))
        elif not write.awaited:
            self._late_error = self._late_error or error


class _TakenOver(Conflict):
    """The job is another attempt by now, into which we must not write."""


def _is_success(error: BaseException) -> bool:
    return isinstance(error, SystemExit) and error.code in (None, 0)


def _text_of(error: BaseException) -> str:
    """Return the error text of a job: the exception's text, or its type if that says nothing."""
    if isinstance(error, (KeyboardInterrupt, asyncio.CancelledError, GeneratorExit)):
        return INTERRUPTED
    if isinstance(error, SystemExit):
        return clean_text(error.code if isinstance(error.code, str) else f"Exit code {error.code}")
    text = clean_text(error)
    if not text or isinstance(error, KeyError):
        text = f"{type(error).__name__}: {text}" if text else type(error).__name__
    return text


def clean_text(text: object) -> str:
    """Return text that a job file can hold: without lone surrogates, and not too long."""
    try:
        whole = str(text)
    except Exception as error:
        return f"{type(text).__name__} without a text: {type(error).__name__}"
    if len(whole) > MAX_TEXT:
        whole = f"{whole[: MAX_TEXT // 2]} … {whole[-MAX_TEXT // 2 + 3 :]}"
    return whole.encode(errors="backslashreplace").decode()


def _numbers(done: float, total: float | None) -> tuple[float | None, float | None]:
    """Convert to plain numbers (numpy's, for example); 0 of 0 is no progress."""
    if total is not None and not total:
        return None, None
    return _number(done), None if total is None else _number(total)


def _number(value: Any) -> float:
    if type(value) in (int, float):
        return cast("float", value)
    return operator.index(value) if hasattr(value, "__index__") else float(value)
