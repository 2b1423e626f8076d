"""One run of a command: its job, its process, and what passes between them."""

from __future__ import annotations

import json
import logging
import os
import pwd
import signal
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep
from typing import Any

from jobctl._clock import now
from jobctl.core import transitions
from jobctl.core.job import Command, Job
from jobctl.core.pipeline import BUILT_IN_ONLY, COMPLETED, FAILED, Pipelines
from jobctl.core.redaction import default_title
from jobctl.core.times import duration_text
from jobctl.errors import (
    GOES_ON,
    Cancelled,
    Conflict,
    IllegalTransition,
    JobctlError,
    JobNotFound,
    UsageError,
)
from jobctl.stores import HasLogs, LogWriter, Store, logs_of, path_of, runnable_job
from jobctl.work.attempt import begin_attempt
from jobctl.work.enclosing import ATTEMPT_VARIABLE, with_parent
from jobctl.work.recorder import Write
from jobctl.work.run.child import Signals, given_environment, spawn, stop
from jobctl.work.run.event_file import EventFile
from jobctl.work.run.event_lines import Event
from jobctl.work.run.mask_lines import MaskLines
from jobctl.work.run.masking import Masks, secrets_in
from jobctl.work.run.output_log import OutputLog
from jobctl.work.run.processes import (
    adopting_orphans,
    cpu_ms,
    kill_descendants,
    own_peak_bytes,
    peak_memory_bytes,
    reap_orphans,
    send,
    signal_all,
)
from jobctl.work.run.relay import Relay
from jobctl.work.text import clean_text, exception_line, one_line, without_escapes
from jobctl.work.track import TrackedJob

__all__ = ["GRACE_S", "TIMED_OUT", "RunOptions", "rerun", "run"]

TIMED_OUT = 124  # as of timeout(1)
GRACE_S = 10.0
"""Seconds between SIGTERM and SIGKILL for a cancelled command."""
_TICK_S = 0.2
_DYING_TICK_S = 0.02
_MAX_DYING_S = 2.0  # a killed process that waits for a disk ends later
_STAGE = "run"
_MAX_COMMAND = 64 * 1024  # bytes; a job file holds 256 KiB in all
_MAX_SHOWN = 20  # words that are kept of a longer command

_log = logging.getLogger("jobctl")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """How a command is tracked.

    ``ok`` are exit codes that count as success, besides 0. After ``timeout_s`` the command is ended
    as on a cancel request, and the job fails. ``keep_env`` are the variables whose values the job
    keeps. Without ``relay`` the command writes to our standard error directly, and the job has no
    last lines. With ``again``, a job with this ``id`` that has ended gets another attempt.

    With ``adopt_orphans`` this process adopts, until the command has ended, the processes that it
    has started and whose parent is gone (on Linux). So they are found when the command is to be
    ended. Only for a process that has no children of its own, since all are reaped.

    ``on_start`` is called once the job is recorded and the command has started.

    ``log`` says which output is kept with the job: ``on`` (standard error, and standard output
    where it is a terminal or leads to the same place), ``all`` (standard output in any case),
    ``on-failure`` (as ``on``, but removed if the job completes), or ``off``. By default it is
    ``on``, without what is written to a terminal. ``unread`` are descriptors (1, 2) that nobody
    reads: what is written to them is kept as if it went to one terminal.
    """

    type: str = "run"
    title: str | None = None
    stages: tuple[str, ...] | None = None
    session: str | None = None
    labels: Mapping[str, str] | None = None
    id: str | None = None
    again: bool = False
    keep_env: tuple[str, ...] = ()
    ok: tuple[int, ...] = ()
    timeout_s: float | None = None
    grace_s: float = GRACE_S
    relay: bool = True
    adopt_orphans: bool = False
    on_start: Callable[[], None] | None = None
    log: str | None = None
    unread: tuple[int, ...] = ()


def run(
    argv: Sequence[str],
    where: str | Store,
    options: RunOptions | None = None,
    *,
    pipelines: Pipelines | None = None,
) -> int:
    """Run the command as a job of the store; return its exit code, or minus its signal.

    `TIMED_OUT` stands for a command that was ended after its ``timeout_s``.

    ``where`` is the store, or its path; ``pipelines`` are by default those of the settings. What
    cannot be recorded is logged, and the command runs all the same. Raises `CannotRun` if it cannot
    be started; the job fails then. A job with the given id whose worker is lost is taken over, as
    its next attempt.
    """
    options = options or RunOptions()
    if not argv:
        raise UsageError("no command to run", hint="jobctl run -- COMMAND…")
    transitions.create(
        options.type,
        now=now(),
        id=options.id,
        title=options.title,
        stages=options.stages,
        labels=options.labels,
    )  # report invalid options before anything runs
    keep = {name: os.environ[name] for name in options.keep_env if name in os.environ}
    command = _command(argv, os.getcwd(), keep).replace(
        ok=options.ok or None,
        timeout_ms=round(options.timeout_s * 1000) if options.timeout_s is not None else None,
    )
    job = _RunJob(command, where, options, _masks({}), pipelines=pipelines)
    return _Run(job, argv, where, options, {}).run()


def _command(argv: Sequence[str], cwd: str, env: Mapping[str, str]) -> Command:
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


def rerun(
    id: str,
    store: Store,
    *,
    grace_s: float = GRACE_S,
    adopt_orphans: bool = False,
    log: str | None = None,
) -> int:
    """Run the command of a failed job again, in its directory, as the same job; see `run`.

    Or of one that was retried and is pending since, because nobody took it up.

    The environment is ours, plus the variables that the job has kept. Its exit codes for success
    and its time limit are those of the first run. Raises `NotObeyed` if another
    user could have written the command.
    """
    old = runnable_job(store, id)
    command = old.command
    if command is None:
        raise UsageError(
            f"job {id} is not a command's: there is nothing to run again",
            hint="leave --rerun out to make it pending",
        )
    if command.exact is False:
        raise UsageError(
            f"job {id} has its command in short only: it was too long to keep, or no text",
            hint="type it again, after 'jobctl run --'",
        )
    _retried(old, now())  # raises if it is not allowed
    try:
        os.chdir(command.cwd)
    except OSError as error:
        raise UsageError(f"cannot run {id} in {command.cwd}: {error.strerror}") from error
    again = command.replace(
        exact=None,
        exit_code=None,
        signal=None,
        duration_ms=None,
        max_rss_bytes=None,
        cpu_ms=None,
        stderr=None,
    )
    options = RunOptions(
        type=old.type,
        stages=old.stages,
        id=id,
        ok=command.ok or (),
        timeout_s=command.timeout_ms / 1000 if command.timeout_ms is not None else None,
        grace_s=grace_s,
        adopt_orphans=adopt_orphans,
        log=log,
    )
    job = _RunJob(again, store, options, _masks(command.env or {}), retry=True)
    return _Run(job, command.argv, store, options, command.env or {}).run()


def _retried(job: Job, at: str) -> Job:
    """Return the failed job as pending, or the pending one that waits for a worker."""
    if job.waits_for_worker:
        return transitions.take_up(job)
    return transitions.retry(job, now=at)


class _Ended(Exception):
    """A signal arrived before the command was started."""

    def __init__(self, number: int) -> None:
        super().__init__(_name_of(number))
        self.number = number


class _RunJob(TrackedJob):
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
            signal=_name_of(-status) if status < 0 else None,
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
            job = store.update(self.id, lambda old: start(_retried(old, at)))
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


class _Run:
    """The process, from its start to its end."""

    def __init__(
        self,
        job: _RunJob,
        argv: Sequence[str],
        where: str | Store,
        options: RunOptions,
        env: Mapping[str, str],
    ) -> None:
        self._job, self._argv, self._options = job, argv, options
        self._path = where if isinstance(where, str) else path_of(where)
        self._env = env
        self._signals = Signals()
        self._kill_at: float | None = None
        self._ends_at_s: float | None = None
        self._killed = False
        self._warned: set[str] = set()
        self._poll_at_s = 0.0
        self._own_peak_bytes = 0

    def run(self) -> int:
        try:
            adopting = adopting_orphans() if self._options.adopt_orphans else nullcontext()
            with self._signals.held(), self._job, adopting:
                return self._run()
        except _Ended as ended:
            return -ended.number

    def _run(self) -> int:
        if self._job.refused is not None:
            raise self._job.refused  # the existing job is not ours
        self._job.started = True
        events = self._event_file()
        relay = self._relay(events) if self._options.relay else None
        try:
            if (number := self._signals.before_start()) is not None:
                raise _Ended(number)
            began_s = monotonic()
            if self._options.timeout_s is not None:
                self._ends_at_s = began_s + self._options.timeout_s
            pid = spawn(
                self._argv,
                self._environment(events),
                fds=relay.child_fds if relay else {},
                mask=self._signals.before,
            )
            self._own_peak_bytes = own_peak_bytes()
            for number in self._signals.since_then():
                send(pid, number)
            if relay is not None:
                relay.start()
            if events is not None:
                events.start()
            if self._options.on_start is not None:
                self._options.on_start()
            status = self._wait(pid, relay, events)
            self._end_rest()
            took_ms = round((monotonic() - began_s) * 1000)
            if relay is not None:
                relay.finish(self._is_interrupted)
                if (problem := relay.problem()) is not None:
                    _log.warning("jobctl: some output of the command is not kept: %s", problem)
            if events is not None:
                self._finish_events(events)
            self._job.ended(status, took_ms, relay.last_lines() if relay else [])
        finally:
            if relay is not None:
                relay.close()
            if events is not None:
                events.close()
        return TIMED_OUT if self._job.timed_out else status

    def _relay(self, events: EventFile | None) -> Relay | None:
        """Return a relay of the command's output; ``None`` if resources are exhausted."""
        log, mode, masks = None, self._options.log, self._job.masks
        if mode != "off":
            new_masks = MaskLines(events.path, masks.add) if events is not None else None
            refresh = new_masks.read if new_masks is not None else lambda: None
            log = OutputLog(lambda: self._job.log_writer, masks, refresh)
        try:
            return Relay(
                log,
                masks,
                data=mode == "all",
                terminal=mode not in (None, "off"),
                unread=self._options.unread,
            )
        except OSError:
            return None

    def _environment(self, events: EventFile | None) -> dict[str, str]:
        env = {**given_environment(), **self._env, "JOBCTL_JOB": self._job.id}
        env.pop(ATTEMPT_VARIABLE, None)
        if (attempt := self._job.attempt_number) is not None:
            env[ATTEMPT_VARIABLE] = str(attempt)
        if self._path is not None:
            env["JOBCTL_DIR"] = str(Path(self._path).absolute())
        if events is not None:
            env["JOBCTL_EVENTS"] = events.path
        return env

    def _wait(self, pid: int, relay: Relay | None, events: EventFile | None) -> int:
        """Wait until the command ends; return its status.

        Handles signals, events and cancel requests.
        """
        while True:
            heard = self._signals.next(max(0.0, self._poll_at_s - monotonic()))
            if heard is not None:
                number, forward = heard
                if forward:
                    send(pid, number)  # it is our child, and not waited for yet
                if number in (signal.SIGWINCH, signal.SIGCONT) and relay and relay.resize():
                    send(pid, signal.SIGWINCH)  # it may have read the old size
            due = monotonic() >= self._poll_at_s
            if due or (heard is not None and heard[0] == signal.SIGCHLD):
                if self._options.adopt_orphans:
                    reap_orphans(pid)
                ended, status, usage = os.wait4(pid, os.WNOHANG | os.WUNTRACED)
                if ended and os.WIFSTOPPED(status):
                    self._stop_too(os.WSTOPSIG(status), relay)
                elif ended:
                    self._job.used(cpu_ms(usage), peak_memory_bytes(usage, self._own_peak_bytes))
                    return os.waitstatus_to_exitcode(status)
            if due:
                self._poll(pid, relay, events)
                self._poll_at_s = monotonic() + _TICK_S

    def _stop_too(self, number: int, relay: Relay | None) -> None:
        """Stop as the command has stopped, after what it wrote before that.

        Whoever waits for us would print before it otherwise, while it restores the terminal; and a
        command that does not stop on Ctrl-Z would go on without the terminal.
        """
        if number == signal.SIGTSTP:
            if relay is not None:
                relay.suspend()
            stop()

    def _poll(self, pid: int, relay: Relay | None, events: EventFile | None) -> None:
        """Do the periodic work. Whatever fails here, the command is waited for."""
        try:
            if events is not None:
                events.poll()
        except Exception as error:
            self._warn_event("file", one_line(error))
        if relay is not None:
            with suppress(OSError):
                relay.poll()
        self._end_if_due(pid)

    def _finish_events(self, events: EventFile) -> None:
        """Take the last events. Whatever fails here, the exit status decides."""
        try:
            events.finish(self._is_interrupted)
        except Exception as error:
            self._warn_event("file", one_line(error))

    def _is_interrupted(self) -> bool:
        """Whether we are asked to end, after the command has ended."""
        return self._signals.ends() or self._job.cancelled or self._job.timed_out

    def _end_if_due(self, pid: int) -> None:
        """End the command on a cancel request, and after its time."""
        cancelled = self._job.cancelled
        late = self._ends_at_s is not None and monotonic() >= self._ends_at_s
        if self._killed or not (cancelled or late):
            return
        if self._kill_at is None:
            self._job.cancel_sent, self._job.timed_out = cancelled, late and not cancelled
            self._kill_at = monotonic() + self._options.grace_s
            signal_all(pid, self._root(pid), signal.SIGTERM)
        elif monotonic() >= self._kill_at:
            self._killed = True
            signal_all(pid, self._root(pid), signal.SIGKILL)

    def _root(self, pid: int) -> int:
        """Return the process below which everything belongs to the command."""
        return os.getpid() if self._options.adopt_orphans else pid

    def _end_rest(self) -> None:
        """Wait for what a cancelled command has left behind, and kill it when the time is over.

        A signal shortens the wait.
        """
        if self._kill_at is None or not self._options.adopt_orphans:
            return
        none = 0  # the command has been reaped already
        while reap_orphans(none) and monotonic() < self._kill_at + _MAX_DYING_S:
            if monotonic() >= self._kill_at:
                kill_descendants(os.getpid())
            if self._signals.ends():
                self._kill_at = min(self._kill_at, monotonic())
            sleep(_DYING_TICK_S)

    def _take(self, event: Event) -> None:
        with suppress(Cancelled):  # the command gets a signal instead
            self._record(event)

    def _record(self, event: Event) -> None:
        if event.mask is not None:
            self._job.masks.add(event.mask)
        if event.stage is not None:
            self._job.stage(event.stage)
        if event.steps is not None:
            self._job.progress(*event.steps, event.message)
        elif event.message is not None:
            self._job.message(event.message)
        if event.result is not None:
            self._job.result(event.result)
        if event.remark is not None:
            _log.warning("jobctl: $JOBCTL_EVENTS: %s", event.remark)

    def _warn_event(self, kind: str, reason: str) -> None:
        if kind not in self._warned:
            self._warned.add(kind)
            _log.warning("jobctl: $JOBCTL_EVENTS: %s", reason)

    def _event_file(self) -> EventFile | None:
        """Return the event file beside the job's records; ``None`` where none can be made."""
        parent = (
            os.path.join(os.path.abspath(self._path), ".jobctl") if self._path is not None else None
        )
        try:
            return EventFile(self._take, self._warn_event, parent)
        except OSError as error:
            reason = error.strerror
            _log.warning("jobctl: no $JOBCTL_EVENTS: %s; the command runs all the same", reason)
            return None


def _place() -> dict[str, str]:
    """Return the machine and the user that the command runs on and as."""
    uid = os.geteuid()
    try:
        user = pwd.getpwuid(uid).pw_name
    except KeyError:
        user = str(uid)
    return {"host": clean_text(os.uname().nodename), "user": clean_text(user)}


def _masks(env: Mapping[str, str]) -> Masks:
    """Return the secrets in the environment that the command gets."""
    return Masks(secrets_in({**os.environ, **env}))


def _name_of(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
