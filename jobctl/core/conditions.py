"""Conditions on jobs, without I/O: deltas in, verdicts out, and finally an outcome.

There is no task and no clock here; the shell around it is `jobctl.reader.wait`. Jobs are judged by
what the reader knows now: a failed job that is retried before the decision counts as pending.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from jobctl.core.job import Job
from jobctl.core.jobset import Delta, JobSet
from jobctl.core.pipeline import BUILT_IN_ONLY, CANCELLED, COMPLETED, FAILED, Pipelines
from jobctl.errors import TimedOut, UsageError, did_you_mean

__all__ = ["LOST", "Condition", "ConditionTracker", "Outcome", "Verdict", "code_of", "judge"]

Kind = Literal["waiting", "met", "failed", "cancelled", "missed", "vanished"]

LOST = "lost: its worker is gone"
"""The reason of a verdict on a job whose worker is dead."""

_NAMED = 4  # ids in one line; the rest is counted


@dataclass(frozen=True, slots=True)
class Condition:
    """What to wait for: ``terminal``, ``completed``, ``gone``, or ``stage`` with a name.

    A later stage of the job's pipeline meets ``stage`` too; ``pipelines`` are those that are known.
    """

    kind: Literal["terminal", "completed", "stage", "gone"] = "terminal"
    stage: str = ""
    pipelines: Pipelines = BUILT_IN_ONLY

    @classmethod
    def parse(cls, text: str, pipelines: Pipelines = BUILT_IN_ONLY) -> Condition:
        """Parse ``terminal``, ``completed``, ``gone`` or ``stage=NAME``; `UsageError` otherwise."""
        for kind in ("terminal", "completed", "gone"):
            if text == kind:
                return cls(kind)
        name, _, stage = text.partition("=")
        if name == "stage" and stage:
            return cls("stage", stage, pipelines)
        raise UsageError(
            f"{ascii(text)} is nothing to wait for",
            hint="wait for terminal, completed, gone or stage=NAME",
        )

    def unmet(self) -> str:
        """Return the words for jobs that do not meet the condition yet."""
        if self.kind == "stage":
            return f"not in stage {ascii(self.stage)}"
        return {"terminal": "not ended", "completed": "not completed", "gone": "still there"}[
            self.kind
        ]


@dataclass(frozen=True, slots=True)
class Verdict:
    """How one job stands to the condition, and why. ``job`` is its last known version, if any.

    ``met``; ``failed``: it failed, or its worker is dead; ``cancelled``; ``missed``: it completed
    without meeting the condition; ``vanished``: it does not exist, or no longer. While ``waiting``
    it may become any of these.
    """

    id: str
    kind: Kind
    reason: str
    job: Job | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of waiting: one verdict per job, and the exit code of ``jobctl wait``.

    Codes: 0 met; 4 a job vanished, or there was no job that could meet the condition; 3 a job
    failed; 6 a job was cancelled; 1 a job completed without meeting it. Of several the first
    counts.
    """

    code: int
    verdicts: tuple[Verdict, ...]

    @property
    def met(self) -> bool:
        """Whether the condition was met."""
        return self.code == 0

    def __str__(self) -> str:
        """Return one line: what happened, to which jobs, and what to do next."""
        if self.met:
            return "the condition is met"
        kind = next((kind for kind, code in _CODES.items() if code == self.code), None)
        guilty = [verdict for verdict in self.verdicts if verdict.kind == kind]
        if not guilty:
            return "no job that could meet the condition"
        if len(guilty) == 1:
            verb = "is " if guilty[0].reason == LOST else "was " if kind == "cancelled" else ""
            said = f"job {guilty[0].id} {verb}{guilty[0].reason}"
        else:
            said = f"{len(guilty)} of {len(self.verdicts)} jobs {_DONE[guilty[0].kind]}: "
            said += _join_ids([verdict.id for verdict in guilty])
        return said if kind == "vanished" else f"{said}; see 'jobctl show {guilty[0].id}'"


_CODES: dict[Kind, int] = {"vanished": 4, "failed": 3, "cancelled": 6, "missed": 1}
"""Exit codes by verdict; the first that occurs counts."""
_ENDED: tuple[Kind, ...] = ("met", "failed", "cancelled")
_DONE: dict[Kind, str] = {
    "failed": "failed",
    "cancelled": "were cancelled",
    "vanished": "are gone",
    "missed": "completed without what was waited for",
}


def code_of(verdicts: Iterable[Verdict]) -> int:
    """Return the exit code of the worst verdict; ``waiting`` counts as met."""
    kinds = {verdict.kind for verdict in verdicts}
    return next((code for kind, code in _CODES.items() if kind in kinds), 0)


def judge(job: Job, condition: Condition, *, lost: bool = False) -> Verdict:
    """Return the verdict on an existing job."""
    if condition.kind == "gone":
        return Verdict(job.id, "waiting", job.stage, job)
    if condition.kind == "stage" and _has_reached(job, condition):
        return Verdict(job.id, "met", f"reached {condition.stage}", job)
    if (cancellation := job.cancellation) is not None:
        return Verdict(job.id, "cancelled", str(cancellation).replace("C", "c", 1), job)
    if job.stage == FAILED:
        return Verdict(job.id, "failed", f"failed: {job.error}" if job.error else "failed", job)
    if job.stage == COMPLETED:
        if condition.kind == "stage":
            without = f"completed without stage {ascii(condition.stage)}"
            return Verdict(job.id, "missed", without, job)
        return Verdict(job.id, "met", COMPLETED, job)
    return Verdict(job.id, "failed", LOST, job) if lost else Verdict(job.id, "waiting", "", job)


def _has_reached(job: Job, condition: Condition) -> bool:
    """Whether this attempt has been in the stage, or in a later one of the job's pipeline.

    A cancelled job has not been in ``failed``, whatever its file says.
    """
    pipeline = condition.pipelines.of(job)
    wanted = pipeline.index(condition.stage)
    entered = [entry.stage for entry in job.attempt_timeline()]
    for stage in [*entered[:-1], job.shown_stage]:
        here = pipeline.index(stage)
        if stage == condition.stage or (wanted is not None and here is not None and here >= wanted):
            return True
    return False


class ConditionTracker:
    """Tracks whether all of the jobs, or ``any`` of them, meet the condition.

    Give it the deltas of one reader, from the start; they may have other jobs too. ``outcome`` is
    set once the decision is made, and does not change any more. For all jobs, the decision is made
    when all have a verdict. It is made earlier when one vanishes, or can no longer meet
    ``completed`` or ``stage``; with ``terminal`` the other jobs are still waited for. For any job,
    the first that meets the condition decides; of several at once, the one with the lowest
    revision.

    A job that was seen to end, and was removed later, counts as ended. Versions may be merged: a
    job that was removed and created again between two reads counts as one job.

    A reader cannot tell a damaged file from a deleted one. With ``confirm_absence`` such a job is
    only ``absent`` and is waited for, until the caller has checked and calls `mark_gone`.
    """

    def __init__(
        self,
        ids: Iterable[str],
        condition: Condition,
        *,
        any: bool = False,
        confirm_absence: bool = False,
    ) -> None:
        self.condition = condition
        self.synced = False
        self.absent: set[str] = set()
        self._confirm_absence = confirm_absence
        self._gone: set[str] = set()  # confirmed, until they reappear
        self._jobs = JobSet(max_tombstones=0)
        self._any = any
        self._lost: dict[str, Job] = {}  # their versions when their workers died
        self._owners: frozenset[str] = frozenset()
        self._dead: set[str] = set()  # reported before the first complete read
        self._verdicts = {id: Verdict(id, "waiting", "") for id in ids}
        self._counts = Counter[Kind]({"waiting": len(self._verdicts)})
        self.outcome: Outcome | None = None
        if not self._verdicts:
            self.outcome = Outcome(4 if any else 0, ())

    @property
    def verdicts(self) -> tuple[Verdict, ...]:
        """One verdict per job, as of now."""
        return tuple(self._verdicts.values())

    def take(self, delta: Delta) -> list[Verdict]:
        """Apply a delta; return the verdicts that are no longer ``waiting`` because of it."""
        if self.outcome is not None:
            return []
        moved = self._jobs.apply(delta)
        assert moved, "a reader passes on only deltas that follow"
        changed = [job.id for job in delta.jobs] + [item.id for item in delta.gone]
        if delta.since == 0:
            self.synced = False
        if not self.synced:
            # A job that is missing on this page may be on the next one.
            if delta.more:
                return []
            self.synced = True
            self._mark_lost(self._dead)
            self._dead = set()
            changed = list(self._verdicts)
        self._mark_lost(set(self._lost_of(changed)))
        return self._judge(changed)

    def set_dead_owners(self, owners: frozenset[str]) -> list[Verdict]:
        """Record the dead owners, whose last writes have been read.

        Return verdicts as `take` does.
        """
        self._owners = owners
        return self.mark_lost(self._lost_of(self._verdicts)) if self.synced else []

    def _lost_of(self, ids: Iterable[str]) -> list[str]:
        jobs = [job for id in ids if (job := self._jobs.get(id)) is not None]
        return [job.id for job in jobs if job.lost(self._owners)]

    def mark_lost(self, ids: Iterable[str]) -> list[Verdict]:
        """Record that the workers of these jobs are dead; return verdicts as `take` does.

        Read once more after the worker died and before calling this, because its last write may
        have ended the job. A later version of the job means that somebody works on it again.
        """
        if self.outcome is not None:
            return []
        ids = set(ids)
        if not self.synced:
            self._dead |= ids
            return []
        self._mark_lost(ids)
        return self._judge(ids)

    def _mark_lost(self, ids: set[str]) -> None:
        self._lost |= {id: job for id in ids if (job := self._jobs.get(id)) is not None}

    def mark_gone(self, ids: Iterable[str]) -> list[Verdict]:
        """Record that these ``absent`` jobs are deleted; return verdicts as `take` does."""
        if self.outcome is not None:
            return []
        ids = set(ids)
        self._gone |= ids
        return self._judge(ids)

    def check_stage(self) -> str | None:
        """Look whether the jobs that are waited for can be in the condition's stage at all.

        Call it once after the first complete read. Raises `UsageError` if a job has declared
        stages and this is none of them; for ``any``, if that is so for all jobs. Returns a note
        for jobs without declared stages, which may still enter any stage; ``None`` if there is
        nothing to say.
        """
        stage, pipelines = self.condition.stage, self.condition.pipelines
        if self.condition.kind != "stage" or stage in (FAILED, CANCELLED):
            return None
        waiting = [verdict.job for verdict in self.verdicts if verdict.kind == "waiting"]
        jobs = [job for job in waiting if job is not None]
        unknown = [job for job in jobs if stage not in pipelines.of(job).names()]
        closed = [job for job in unknown if pipelines.of(job).is_closed]
        if closed and (not self._any or len(closed) == len(waiting)):
            job = closed[0]
            names = pipelines.of(job).names()
            meant = did_you_mean(stage, names)
            raise UsageError(
                f"job {job.id} has no stage {ascii(stage)}",
                hint=meant or f"its stages are {', '.join(names)}",
            )
        if not unknown or closed:
            return None
        job = unknown[0]
        meant = did_you_mean(stage, {entry.stage for entry in job.timeline()})
        more = f" (of {len(unknown)} such jobs)" if len(unknown) > 1 else ""
        said = f"job {job.id}{more} declares no stages and has not been in {ascii(stage)}"
        return f"{said}: waiting for it{f'; {meant}' if meant else ''}"

    @property
    def may_still_be_met(self) -> bool:
        """Whether, for ``any``, a job that is not ``absent`` may still meet the condition."""
        return self._any and self._counts["waiting"] > len(self.absent)

    def timed_out(self, after: str, where: str) -> TimedOut:
        """Return the error that says which jobs did not meet the condition in time."""
        if not self.synced:
            return TimedOut(f"{where} could not be read within {after}")
        unmet = [verdict for verdict in self.verdicts if verdict.kind == "waiting"]
        shown = [f"{verdict.id} ({verdict.job.stage})" for verdict in unmet if verdict.job]
        jobs = "job" if len(self._verdicts) == 1 else "jobs"
        return TimedOut(
            f"{len(unmet)} of {len(self._verdicts)} {jobs} {self.condition.unmet()} after {after}: "
            f"{_join_ids(shown)}",
            hint=f"see 'jobctl show {unmet[0].id}'",
        )

    def _judge(self, ids: Iterable[str]) -> list[Verdict]:
        decided = []
        for id in ids:
            old = self._verdicts.get(id)
            if old is None:
                continue
            new = self._verdict(old)
            self._verdicts[id] = new
            self._counts[old.kind] -= 1
            self._counts[new.kind] += 1
            if new.kind not in ("waiting", old.kind):
                decided.append(new)
            if new.kind == "waiting" and self._jobs.get(id) is None:
                self.absent.add(id)
            else:
                self.absent.discard(id)
        if self.synced and (code := self._decide(decided)) is not None:
            self.outcome = Outcome(code, self.verdicts)
        return decided

    def _verdict(self, old: Verdict) -> Verdict:
        job = self._jobs.get(old.id)
        if job is None:
            if self._confirm_absence and old.id not in self._gone:
                return old
            if self.condition.kind == "gone":
                return Verdict(old.id, "met", "gone", old.job)
            if old.kind != "waiting":
                return old
            seen = old.job is not None
            reason = "was removed while it was waited for" if seen else "is not there"
            return Verdict(old.id, "vanished", reason, old.job)
        self._gone.discard(old.id)
        if self.condition.kind == "stage" and old.kind == "met":
            return Verdict(
                old.id, "met", old.reason, job
            )  # it has been in that stage, which is enough
        lost = self._lost.get(old.id)
        if lost is not None and lost.replace(revision=job.revision) != job:
            del self._lost[old.id]
            lost = None
        return judge(job, self.condition, lost=lost is not None)

    def _decide(self, decided: list[Verdict]) -> int | None:
        """Return the exit code once the decision is made, else ``None``."""
        worst = next((code for kind, code in _CODES.items() if self._counts[kind]), 0)
        if self._any:
            ended = [verdict for verdict in decided if verdict.kind in _ENDED]
            if self.condition.kind == "terminal" and ended:
                return _CODES.get(min(ended, key=_decided_at).kind, 0)
            if self._counts["met"]:
                return 0
            return worst if not self._counts["waiting"] else None
        patient = self.condition.kind == "terminal" and not self._counts["vanished"]
        if self._counts["waiting"] and (patient or not worst):
            return None
        return worst


def _decided_at(verdict: Verdict) -> tuple[bool, int]:
    """Return the sort key of a verdict: the revision at which it was decided."""
    return verdict.reason == LOST, verdict.job.revision if verdict.job is not None else 0


def _join_ids(ids: list[str]) -> str:
    return ", ".join(ids[:_NAMED]) + (", ..." if len(ids) > _NAMED else "")
