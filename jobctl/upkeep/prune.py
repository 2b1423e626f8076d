"""Prune: remove jobs that have ended, by age and by number.

The selected jobs are checked again under the store's lock, so a job that was retried or changed
stays. A job that cannot be removed does not keep the others.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import NamedTuple

from jobctl._clock import now_ms
from jobctl.core.cursor import ZERO
from jobctl.core.job import Job
from jobctl.core.labels import parse_selectors, selects
from jobctl.core.pipeline import BUILT_IN_ONLY, CANCELLED, TERMINAL, Pipelines
from jobctl.core.schedule import TypeRuns
from jobctl.errors import JobctlError, JobNotFound, StoreLocked, StoreMissing, UsageError
from jobctl.stores import Check, Store, foreign_jobs, logs_of, read_all, refresh

__all__ = ["OLDER_THAN_S", "Pruned", "Pruner", "Rule", "prune", "remove_orphaned_logs"]

_ORPHAN_MS = 60_000
"""A log without a job stays for so long: its job may be about to be recorded."""

OLDER_THAN_S = 7 * 86_400.0
"""Default age: jobs that ended longer ago are removed."""

_ENDINGS = TERMINAL | {CANCELLED}


class Pruned(NamedTuple):
    """The result for the selected jobs.

    ``removed`` are the ids that were removed (or would be, in a dry run). ``changed`` is how many
    were kept, or disappeared, because somebody changed them meanwhile. ``foreign`` is how many
    files of other programs were kept although they are old enough. ``needed`` is how many jobs
    were kept because each is the last success of a type that has to succeed regularly.
    """

    removed: tuple[str, ...] = ()
    changed: int = 0
    failed: tuple[JobctlError, ...] = ()
    foreign: int = 0
    needed: int = 0


@dataclass(frozen=True, slots=True)
class Rule:
    """Which jobs to remove: those that ended in ``stages``, of ``types`` (empty: any). Use `make`.

    ``labels`` are selectors that the job must meet (see core/labels.py).

    The newest ``keep`` of them are kept, and those that ended within ``older_than_s`` seconds.
    Without ``foreign``, files of other programs that may not be jobs (`foreign_jobs`) are kept and
    do not count as newest.
    """

    older_than_s: float | None
    keep: int
    stages: frozenset[str]
    types: frozenset[str]
    foreign: bool = False
    labels: frozenset[str] = frozenset()

    @classmethod
    def make(
        cls,
        *,
        older_than_s: float | None = None,
        keep: int | None = None,
        stages: Iterable[str] = (),
        types: Iterable[str] = (),
        foreign: bool = False,
        labels: Iterable[str] = (),
    ) -> Rule:
        """Make a rule; `UsageError` for a stage of active jobs, or a negative age or number."""
        wanted = frozenset(stages) or _ENDINGS
        if wanted - _ENDINGS:
            raise UsageError(
                f"{ascii(min(wanted - _ENDINGS))} is no stage to prune",
                hint="only completed, failed and cancelled jobs are ever removed",
            )
        if (keep or 0) < 0 or not (older_than_s is None or older_than_s >= 0):
            raise UsageError("an age and a number to keep are 0 or more")
        if keep is None and older_than_s is None:
            older_than_s = OLDER_THAN_S
        selected = parse_selectors(labels)
        return cls(older_than_s, keep or 0, wanted, frozenset(types), foreign, selected)

    def end_of(self, job: Job) -> int | None:
        """Return when the job ended at the latest, if the rule applies to it and a time is known.

        Else ``None``.
        """
        if job.active or job.shown_stage not in self.stages:
            return None
        if (self.types and job.type not in self.types) or not selects(self.labels, job.labels):
            return None
        return job.latest_end_ms()

    def spared(self, store: Store, jobs: Iterable[Job]) -> set[str]:
        """Return the ids of those jobs to which the rule does not apply."""
        return set() if self.foreign else foreign_jobs(store, jobs)

    def chosen(self, ends: Iterable[tuple[int, str]], now_ms: int) -> list[str]:
        """Return the ids to remove, oldest first, from ``(end, id)`` of all jobs under the rule."""
        newest_first = sorted(ends, reverse=True)[self.keep :]
        return [id for end, id in reversed(newest_first) if self.is_old(end, now_ms)]

    def is_old(self, end: int, now_ms: int) -> bool:
        """Whether a job that ended then is old enough."""
        return self.older_than_s is None or end <= now_ms - self.older_than_s * 1000


def prune(
    store: Store,
    *,
    older_than_s: float | None = None,
    keep: int | None = None,
    stages: Iterable[str] = (),
    types: Iterable[str] = (),
    foreign: bool = False,
    labels: Iterable[str] = (),
    logs: bool = False,
    pipelines: Pipelines = BUILT_IN_ONLY,
    dry_run: bool = False,
    before: Callable[[tuple[str, ...]], None] | None = None,
    each: Callable[[str], None] | None = None,
) -> Pruned:
    """Remove jobs that have ended (see `Rule`); by default those that ended over 7 days ago.

    Files of other programs that may not be jobs are kept, unless ``foreign`` is set. With ``logs``
    the logs of those jobs are removed, and the jobs are kept; ``removed`` are the ids of jobs that
    had a log. Logs whose jobs are gone are removed in any case.

    The last success of each type that ``pipelines`` expect regularly is kept, whatever the rule
    says: without it the type would look as if it had never succeeded (see core/schedule.py).

    ``before`` is called once with the ids; if it raises, all are kept. ``each`` is called with each
    id that is gone. Only errors of the whole store are raised.
    """
    rule = Rule.make(
        older_than_s=older_than_s,
        keep=keep,
        stages=stages,
        types=types,
        foreign=foreign,
        labels=labels,
    )
    now = now_ms()
    everything = read_all(store).jobs
    jobs = {job.id: job for job in everything if rule.end_of(job) is not None}
    if logs:
        kept = logs_of(store)
        logged = {info.id for info in kept.logs()} if kept is not None else set()
        jobs = {id: job for id, job in jobs.items() if id in logged}
    ends = [(end, job.id) for job in jobs.values() if (end := rule.end_of(job)) is not None]
    spared = rule.spared(store, jobs.values()) if not logs else set()
    left = sum(id in spared and rule.is_old(end, now) for end, id in ends)
    ids = tuple(rule.chosen(((end, id) for end, id in ends if id not in spared), now))
    needed: set[str] = set()
    if not logs and pipelines.expected():
        runs = TypeRuns(pipelines, pipelines.expected())
        runs.take(everything, now)
        needed = runs.last_successes().intersection(ids)
        ids = tuple(id for id in ids if id not in needed)
    if dry_run:
        if each is not None:
            for id in ids:
                each(id)
        return Pruned(ids, foreign=left, needed=len(needed))
    if before is not None and ids:
        before(ids)
    remove_orphaned_logs(store)
    if logs:
        return _remove_logs(store, rule, ids, each)
    checks = ((id, _checked(store, rule, _same(jobs[id]))) for id in ids)
    return _remove(store, checks, each)._replace(foreign=left, needed=len(needed))


def remove_orphaned_logs(store: Store) -> int:
    """Remove the logs whose jobs are gone; return how many. What cannot be removed stays."""
    kept = logs_of(store)
    removed = 0
    with suppress(JobctlError):
        found = kept.logs() if kept is not None else []
        if kept is None or not found:
            return 0
        ids = set(store.ids())
        old_ms = now_ms() - _ORPHAN_MS
        for info in found:
            if info.id not in ids and info.changed_ms < old_ms and _is_missing(store, info.id):
                removed += kept.remove_log(info.id)
    return removed


def _is_missing(store: Store, id: str) -> bool:
    """Whether the job does not exist: a listing may miss a file that is being replaced."""
    try:
        store.get(id)
    except JobNotFound:
        return True
    except JobctlError:
        return False
    return False


def _remove_logs(
    store: Store, rule: Rule, ids: tuple[str, ...], each: Callable[[str], None] | None
) -> Pruned:
    """Remove the logs of these jobs, unless a job has been retried meanwhile."""
    kept = logs_of(store)
    removed: list[str] = []
    failed: list[JobctlError] = []
    changed = 0
    for id in ids:
        try:
            if rule.end_of(store.get(id)) is None or kept is None or not kept.remove_log(id):
                changed += 1
                continue
        except JobNotFound:
            changed += 1
        except JobctlError as error:
            failed.append(error)
        else:
            removed.append(id)
            if each is not None:
                each(id)
    return Pruned(tuple(removed), changed, tuple(failed))


class Pruner:
    """Prunes a store repeatedly by one rule; the cost depends on what changed.

    Give it a store object of its own, because its first read blocks others that share it. As in
    `prune`, the last success of each type that ``pipelines`` expect is kept.
    """

    def __init__(self, store: Store, rule: Rule, pipelines: Pipelines = BUILT_IN_ONLY) -> None:
        self._store = store
        self._rule = rule
        self._runs = TypeRuns(pipelines, pipelines.expected())
        self._cursor = ZERO
        self._ends: dict[str, int] = {}

    def run(self, stopping: threading.Event | None = None) -> Pruned:
        """Remove what the rule selects now; stop soon after ``stopping`` is set."""
        refresh(self._store)  # other programs do not ring the bell
        self._read_on()
        ids = self._rule.chosen(((end, id) for id, end in self._ends.items()), now_ms())
        needed = self._runs.last_successes()
        remove_orphaned_logs(self._store)
        checks = (
            (id, _checked(self._store, self._rule, self._as_seen(self._ends[id])))
            for id in ids
            if id not in needed
        )
        return _remove(self._store, checks, None, stopping)

    def _read_on(self) -> None:
        delta = read_all(self._store, self._cursor)
        self._cursor = delta.cursor()
        self._runs.apply(delta, now_ms())
        if delta.since == 0:
            self._ends.clear()
        for item in delta.gone:
            self._ends.pop(item.id, None)
        ended = [job for job in delta.jobs if self._rule.end_of(job) is not None]
        spared = self._rule.spared(self._store, ended)
        for job in delta.jobs:
            end = self._rule.end_of(job)
            if end is None or job.id in spared:
                self._ends.pop(job.id, None)
            else:
                self._ends[job.id] = end

    def _as_seen(self, end: int) -> Check:
        """Return a check that the rule still selects the job for the same end."""

        def check(job: Job) -> None:
            if self._rule.end_of(job) != end:
                raise _Changed

        return check


class _Changed(Exception):
    """The job was changed since it was selected."""


def _same(chosen: Job) -> Check:
    def check(job: Job) -> None:
        if job.replace(revision=chosen.revision) != chosen:
            raise _Changed

    return check


def _checked(store: Store, rule: Rule, check: Check) -> Check:
    """Return the check, extended by a check that the rule still applies to the file."""

    def both(job: Job) -> None:
        check(job)
        if rule.spared(store, (job,)):
            raise _Changed

    return both


def _remove(
    store: Store,
    checks: Iterable[tuple[str, Check]],
    each: Callable[[str], None] | None,
    stopping: threading.Event | None = None,
) -> Pruned:
    """Remove each job that passes its check. An error of the whole store ends it."""
    removed: list[str] = []
    failed: list[JobctlError] = []
    changed = 0
    for id, check in checks:
        if stopping is not None and stopping.is_set():
            break
        try:
            store.remove(id, check)
        except (_Changed, JobNotFound):
            changed += 1
        except JobctlError as error:
            # The same text twice names no job: it is an error of the whole store.
            again = bool(failed) and str(error) == str(failed[-1])
            if not again:
                failed.append(error)
            if again or isinstance(error, StoreLocked | StoreMissing):
                break
        else:
            removed.append(id)
            if each is not None:
                each(id)
    return Pruned(tuple(removed), changed, tuple(failed))
