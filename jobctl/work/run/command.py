"""One run of a command: its process, and what passes between it and its job."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Mapping, Sequence
from contextlib import nullcontext, suppress
from pathlib import Path
from time import monotonic, sleep

from jobctl._clock import now
from jobctl.core import transitions
from jobctl.core.pipeline import Pipelines
from jobctl.errors import Cancelled, UsageError
from jobctl.stores import Store, path_of, runnable_job
from jobctl.work.enclosing import ATTEMPT_VARIABLE
from jobctl.work.run.child import Signals, given_environment, spawn, stop
from jobctl.work.run.event_file import EventFile
from jobctl.work.run.event_lines import Event
from jobctl.work.run.mask_lines import MaskLines
from jobctl.work.run.masking import Masks, secrets_in
from jobctl.work.run.options import GRACE_S, RunOptions
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
from jobctl.work.run.run_job import RunJob, command_to_keep, retried, signal_name
from jobctl.work.run.streams import discarded
from jobctl.work.text import one_line

__all__ = ["GRACE_S", "TIMED_OUT", "RunOptions", "rerun", "run"]

TIMED_OUT = 124  # as of timeout(1)
_TICK_S = 0.2
_DYING_TICK_S = 0.02
_MAX_DYING_S = 2.0  # a killed process that waits for a disk ends later

_log = logging.getLogger("jobctl")


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
    command = command_to_keep(argv, os.getcwd(), keep).replace(
        ok=options.ok or None,
        timeout_ms=round(options.timeout_s * 1000) if options.timeout_s is not None else None,
    )
    job = RunJob(command, where, options, _masks({}), pipelines=pipelines)
    return _Run(job, argv, where, options, {}).run()


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
    is_lost = old.active and old.lost(store.owners.dead())
    retried(old, now(), is_lost=is_lost)  # raises if it is not allowed
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
    job = RunJob(again, store, options, _masks(command.env or {}), retry=True)
    return _Run(job, command.argv, store, options, command.env or {}).run()


class _Ended(Exception):
    """A signal arrived before the command was started."""

    def __init__(self, number: int) -> None:
        super().__init__(signal_name(number))
        self.number = number


class _Run:
    """The process, from its start to its end."""

    def __init__(
        self,
        job: RunJob,
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
        relay = self._started_relay(events) if self._options.relay else None
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
            self._after_start(relay, events)
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

    def _after_start(self, relay: Relay | None, events: EventFile | None) -> None:
        """Do what follows the start. Whatever fails here, the command is waited for."""
        if relay is not None:
            relay.hand_over()
        try:
            if events is not None:
                events.start()
            if self._options.on_start is not None:
                self._options.on_start()
        except Exception as error:
            _log.warning("jobctl: after the start: %s; the command runs on", one_line(error))

    def _started_relay(self, events: EventFile | None) -> Relay | None:
        """Return a relay that passes output on; ``None`` if there can be none, with a warning."""
        relay = self._relay(events)
        if relay is not None:
            try:
                relay.start()
            except RuntimeError as error:
                relay.close()
                relay = None
                _log.warning("jobctl: the command's output is not kept: %s", one_line(error))
        return relay

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
                unread=self._options.unread
                or (discarded(data=mode == "all") if mode not in (None, "off") else ()),
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


def _masks(env: Mapping[str, str]) -> Masks:
    """Return the secrets in the environment that the command gets."""
    return Masks(secrets_in({**os.environ, **env}))
