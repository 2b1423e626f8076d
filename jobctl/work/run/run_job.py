"""The job of a command: what is recorded of it, from its start to its end."""

from __future__ import annotations

import json
import os
import pwd
import signal
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from jobctl._clock import now
from jobctl.core import transitions
from jobctl.core.job import Command, Job
from jobctl.core.pipeline import BUILT_IN_ONLY, COMPLETED, FAILED, Pipelines
from jobctl.core.redaction import default_title
from jobctl.core.times import duration_text
from jobctl.errors import GOES_ON, Conflict, IllegalTransition, JobctlError, JobNotFound
from jobctl.stores import HasLogs, LogWriter, Store, logs_of
from jobctl.work.attempt import begin_attempt
from jobctl.work.enclosing import with_parent
from jobctl.work.recorder import Write
from jobctl.work.run.masking import Masks
from jobctl.work.run.options import RunOptions
from jobctl.work.text import clean_text, exception_line, without_escapes
from jobctl.work.track import TrackedJob

__all__ = ["RunJob", "command_to_keep", "retried", "signal_name"]

_STAGE = "run"
_MAX_COMMAND = 64 * 1024  # bytes; a job file holds 256 KiB in all
_MAX_SHOWN = 20  # words that are kept of a longer command


def command_to_keep(argv: Sequence[str], cwd: str, env: Mapping[str, str]) -> Command:
    """Return the command as the job keeps it: exact, or marked as not repeatable."""
    words = [*argv, cwd, *env, *env.values()]
    try:
        exact = sum(len(word.encode()) for word in words) <= _MAX_COMMAND
    except UnicodeEncodeError:
        exact = False  # for example a file name that is not valid text
    if exact:
        command = Command(argv=tuple(argv), cwd=cwd, env=dict(env) or None)
        if len(json.dumps(command.to_value(), ensure_ascii=False).encode()) <= _MAX_COMMAND:
            return command
    shown = [clean_text(word) for word in argv[:_MAX_SHOWN]]
    if len(argv) > _MAX_SHOWN:
        shown.append(f"… and {len(argv) - _MAX_SHOWN} more")
    return Command(argv=tuple(shown), cwd=clean_text(cwd), exact=False)


def retried(job: Job, at: str, *, is_lost: bool = False) -> Job:
    """Return the failed job as pending, or the pending one that waits for a worker."""
    if job.waits_for_worker:
        return transitions.take_up(job)
    return transitions.retry(job, now=at, is_lost=is_lost)


class RunJob(TrackedJob):
    """A tracked job with its command."""

    def __init__(
        self,
        command: Command,
        where: str | Store,
        options: RunOptions,
        masks: Masks,
        *,
        retry: bool = False,
        pipelines: Pipelines | None = None,
    ) -> None:
        self.command = command
        self.cancel_sent = False
        self.started = False
        self.refused: Exception | None = None
        self.timed_out = False
        self.masks = masks
        self.log_writer: LogWriter | None = None
        self._logs: HasLogs | None = None
        self._log_mode = options.log
        self._closed = False
        self._ok = (0, *options.ok)
        self._timeout_s = options.timeout_s
        self._retry = retry
        title = options.title
        if title is None:
            title = default_title(command.argv, masks.text)
        else:
            title = masks.text(title)
        super().__init__(
            options.type,
            title=title,
            stages=options.stages,
            session=options.session,
            labels=options.labels,
            id=options.id,
            again=options.again,
            store=where,
            strict=False,
            on_record=None,
            pipelines=pipelines,
        )

    @property
    def attempt_number(self) -> int | None:
        """The ``retryCount`` of the attempt; ``None`` if it is not recorded."""
        return self._attempt[1] if self._attempt is not None else None

    def used(self, cpu_ms: int, max_rss_bytes: int | None) -> None:
        """Record the CPU time and the peak memory of the command."""
        self.command = self.command.replace(cpu_ms=cpu_ms, max_rss_bytes=max_rss_bytes)

    def ended(self, status: int, duration_ms: int, stderr: list[str]) -> None:
        """Record how the command ended."""
        self.command = self.command.replace(
            exit_code=status if status >= 0 else None,
            signal=signal_name(-status) if status < 0 else None,
            duration_ms=duration_ms,
            stderr=tuple(map(without_escapes, stderr)) if status and stderr else None,
        )

    def failed(self, write: Write, error: Exception) -> None:
        if write is self._first and isinstance(error, (Conflict, IllegalTransition, JobNotFound)):
            self.refused = error
        super().failed(write, error)

    def _warn(self, text: str) -> None:
        if self.refused is None or self.started:
            super()._warn(text)

    def _open(self, store: Store, first: Job) -> Job:
        """Create the job in its first stage: the command runs now, so it is never pending."""
        at = now()

        def start(job: Job) -> Job:
            named = {"run": self._run_key(), "owner": first.owner, **_place()}
            stage = self._first_stage(job)
            return self._advanced(job.replace(**named), stage, at)

        if self._retry:
            job = store.update(self.id, lambda old: start(retried(old, at)))
        else:
            first = with_parent(first, store)
            again_by = "run it with --again"
            job = begin_attempt(store, first, start, again=self._again, again_by=again_by)
        self._logs = logs_of(store)
        if self._logs is not None:
            self.log_writer = self._logs.log_writer(job)
        return job

    def _first_stage(self, job: Job) -> str:
        """Return the stage in which the command starts: its first one, if it has any."""
        pipeline = (self._pipelines or BUILT_IN_ONLY).of(job)
        stages = [stage.name for stage in pipeline.stages[1:-1]]
        return stages[0] if stages else _STAGE

    def _advanced(self, job: Job, stage: str | None, at: str) -> Job:
        pipelines = self._pipelines or BUILT_IN_ONLY
        if stage == COMPLETED:
            return transitions.finish_stages(job, now=at, pipelines=pipelines)
        return super()._advanced(job, stage, at)

    def _has_ended(self, job: Job) -> bool:
        return False  # the exit status is not known before

    def _close(self, old: Job, error: BaseException | None, at: str, result: Any) -> Job:
        job = self._ended_job(old, error, at, result)
        if job.error is not None and job.error != (hidden := self.masks.text(job.error)):
            job = job.replace(error=hidden)
        self._closed = True
        return job

    def recorded_as(self, job: Job) -> None:
        super().recorded_as(job)
        removes = self._log_mode == "on-failure" and self._closed and job.stage == COMPLETED
        if removes and self._logs is not None:
            with suppress(JobctlError, OSError):
                self._logs.remove_log(job.id)

    def _ended_job(self, old: Job, error: BaseException | None, at: str, result: Any) -> Job:
        """Return the job as the command left it: its exit status decides, or that it said fail."""
        old = old.replace(run=self._run_key())
        ran = self.command
        if old.stage == FAILED:
            return old
        if self.timed_out:
            failure = f"Timed out after {duration_text(self._timeout_s or 0)}"
        elif self.cancel_sent:
            return self._as_cancelled(old, at) if old.active else old
        elif error is None and ran.exit_code in self._ok:
            return transitions.complete(old, now=at, result=result) if old.active else old
        elif ran.exit_code is None and ran.signal is None:
            return super()._close(old, error, at, result) if old.active else old
        else:
            # Not a warning of jobctl itself: the command did not fail for that.
            said = [line for line in ran.stderr or () if not line.endswith(GOES_ON)]
            # Python exits with 1 after a traceback, of which only one line names the error.
            line = exception_line(said) if ran.exit_code == 1 else None
            last = f": {line or said[-1]}" if said else ""
            failure = f"{ran.signal or f'Exit code {ran.exit_code}'}{last}"
        if not old.active:
            return transitions.overrule(old, failure, now=at)
        return transitions.fail(old, failure, now=at)

    def _stripped(self, job: Job) -> Job:
        ran = self.command.replace(stderr=None)
        job = super()._stripped(job)
        return job.replace(run=ran.to_value())

    def _run_key(self) -> dict[str, Any]:
        return self.command.to_value()


def _place() -> dict[str, str]:
    """Return the machine and the user that the command runs on and as."""
    uid = os.geteuid()
    try:
        user = pwd.getpwuid(uid).pw_name
    except KeyError:
        user = str(uid)
    return {"host": clean_text(os.uname().nodename), "user": clean_text(user)}


def signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
