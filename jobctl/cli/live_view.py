"""The live view of `watch`, `run-dummy` and `demo`: which jobs to show, and as which lines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Container, Iterable
from dataclasses import dataclass, field

from jobctl.cli import formats
from jobctl.cli.job_table.columns import columns_of
from jobctl.cli.job_table.order import Order
from jobctl.cli.job_table.ranks import KINDS, Standing, standing
from jobctl.cli.job_table.rows import RowFormat
from jobctl.cli.messages import note
from jobctl.cli.text import fit, fits_encoding, visible
from jobctl.core.conditions import Condition, Outcome, Verdict, code_of, judge
from jobctl.core.cursor import Cursor
from jobctl.core.eta import UsualDurations
from jobctl.core.job import Job
from jobctl.core.jobset import Delta, JobSet
from jobctl.core.pipeline import FAILED, Pipelines
from jobctl.core.protocol import BadFiles
from jobctl.core.times import known_ms
from jobctl.reader.status import Status

__all__ = ["JobView", "Line", "LineContext", "StatusNotes", "change_line"]

Line = tuple[str, str]
"""A line, and its style: ``""``, ``failed``, ``cancelled``, ``stalled``, ``lost``, ``dim``…"""


class JobView:
    """A reader's jobs, and which of them to show.

    Active jobs are shown, and those that ended since the first complete read. ``everything`` shows
    all jobs, ``since_ms`` also those that ended since then. ``only`` shows exactly these ids,
    ``new_since_ms`` only attempts that began since then. Short ids must differ from ``others`` too.
    With ``ends``, the view has ended when no shown job is active, even if no ids were named.
    """

    def __init__(
        self,
        where: str,
        *,
        everything: bool = False,
        only: Iterable[str] | None = None,
        others: Iterable[str] = (),
        ends: bool = False,
        since_ms: int | None = None,
        usual: UsualDurations | None = None,
        wide: bool = False,
        new_since_ms: int | None = None,
    ) -> None:
        self.where = where
        self.usual = usual if usual is not None else UsualDurations()
        self.wide = wide
        self._since_ms, self._new_since_ms = since_ms, new_since_ms
        self.jobs = JobSet(max_tombstones=0)
        self.synced = False
        self.dead: frozenset[str] = frozenset()
        self._known_dead: set[str] = set()
        self._resumed = False
        self._named: dict[str, Job] = {}
        self._left: dict[str, Verdict] = {}
        self.bad_files = BadFiles({})
        self._damaged: dict[str, str] = {}  # jobs that we had, whose files are no jobs any more
        self._status: Status | None = None
        self._status_at_ms = 0
        self._everything = everything
        self._only = frozenset(only) if only is not None else None
        self.others = tuple(others)
        self._ends = ends
        self._ended: set[str] = set()
        self.just_ended: list[Job] = []  # in the last delta, while it was watched
        self._before_reset: dict[str, Job] = {}
        self._told: set[str] = set()  # new jobs
        self._resetting = False

    def resume_from(self, cursor: Cursor, named: Iterable[Job] = ()) -> None:
        """Set the cursor, so that the first delta continues from there.

        The view has none of the earlier jobs and does not recognise them when they are gone. The
        ``named`` jobs keep their state until there is a change.
        """
        self.jobs.epoch, self.jobs.revision = cursor.epoch, cursor.revision
        self._resumed, self._named = True, {job.id: job for job in named}

    def take(self, delta: Delta) -> list[str]:
        """Apply a delta; return the ids that are gone; after a reset, once it is complete."""
        if delta.since == 0:
            self._resumed, self._resetting = False, True
            self._before_reset |= self._named | {job.id: job for job in self.jobs}
            self._named.clear()
        known = [item.id for item in delta.gone if self.jobs.get(item.id) is not None]
        gone = [item.id for item in delta.gone] if self._resumed else known
        for job in delta.jobs:
            self._damaged.pop(job.id, None)
        for item in delta.gone:
            self._damaged.pop(item.id, None)
            if item.damage is not None:
                self._damaged[item.id] = item.damage
        before = {id: self.jobs.get(id) or self._named.pop(id, None) for id in gone}
        was_active = {
            job.id
            for job in delta.jobs
            if (old := self.jobs.get(job.id) or self._before_reset.get(job.id)) is None
            or old.active
            or old.retry_count != job.retry_count
        }
        moved = self.jobs.apply(delta)
        self.usual.take(delta.jobs)
        assert moved, "a client refuses a delta that does not follow"
        self._mark_ended(delta)
        self.just_ended = [
            job
            for job in delta.jobs
            if job.id in was_active and job.id in self._ended and not job.active and self.shows(job)
        ]
        if not delta.more:
            lost = sorted(id for id in self._before_reset if self.jobs.get(id) is None)
            before |= {id: self._before_reset[id] for id in lost}
            gone += lost
            self._before_reset.clear()
            self._resetting = False
            self.synced = True
        self._mark_left(before)
        return gone

    def new_only(self, delta: Delta, gone: list[str]) -> tuple[Delta, list[str]]:
        """Return what a delta, which was taken, tells of jobs that are new (see `is_new`).

        ``gone`` are the ids that the view has lost.
        """
        if self._new_since_ms is None:
            return delta, gone
        jobs = tuple(job for job in delta.jobs if self.is_new(job))
        told = [id for id in gone if id in self._told]
        self._told.difference_update(gone)
        self._told.update(job.id for job in jobs)
        return delta._replace(jobs=jobs), told

    def set_bad_files(self, bad: BadFiles) -> dict[str, str]:
        """Record the files in quarantine; return those that are new, with the reasons."""
        new = {
            name: reason
            for name, reason in bad.reasons.items()
            if self.bad_files.reasons.get(name) != reason
        }
        self.bad_files = bad
        return new

    def damage(self, id: str) -> str | None:
        """Return why the job's file is not a job any more, or ``None`` if that is not known."""
        return self._damaged.get(id, self.bad_files.reasons.get(f"{id}.json"))

    def set_dead_owners(self, dead: frozenset[str]) -> list[Job]:
        """Record the dead owners; return the jobs that are newly lost."""
        self.dead, new = dead, dead - self._known_dead
        self._known_dead |= new  # an owner that is no longer listed is still dead
        return [job for job in self.jobs if job.lost(new)] if new else []

    def _mark_ended(self, delta: Delta) -> None:
        """Record the jobs that ended while we watched; a reset also has jobs that ended before."""
        if not self.synced:
            return
        for job in delta.jobs:
            before = self._before_reset.get(job.id)
            in_sight = not self._resetting or (before is not None and before.active)
            if in_sight and not job.active:
                self._ended.add(job.id)

    def _mark_left(self, gone: dict[str, Job | None]) -> None:
        """Record the verdicts on shown jobs that are gone."""
        for id, job in gone.items():
            if job is not None and self.shows(job) and not job.active:
                self._left[id] = judge(job, Condition())

    def take_status(self, status: Status, now_ms: int) -> None:
        """Record the status of the reader."""
        self._status, self._status_at_ms = status, now_ms

    def shown(self) -> list[Job]:
        """Return the jobs to show, active ones first, newest first."""
        jobs = [job for job in self.jobs if self.shows(job)]
        jobs.sort(key=lambda job: (job.active, job.created_at, job.id), reverse=True)
        return jobs

    def shows(self, job: Job) -> bool:
        """Whether the job is shown."""
        if self._only is not None:
            return job.id in self._only
        if not self.is_new(job):
            return False
        if self._everything or job.active or job.id in self._ended:
            return True
        ended_ms = job.ended_ms() if self._since_ms is not None else None
        return ended_ms is not None and ended_ms >= (self._since_ms or 0)

    def lists(self, job: Job) -> bool:
        """Whether the job is in a list that can be scrolled, which also has what ended long ago."""
        if self._only is not None:
            return job.id in self._only
        if not self.is_new(job):
            return False
        if self._since_ms is None or job.active or job.id in self._ended:
            return True
        return (job.ended_ms() or 0) >= self._since_ms

    def is_new(self, job: Job) -> bool:
        """Whether the job's attempt began since ``new_since_ms``, if that was given."""
        if self._new_since_ms is None:
            return True
        began = job.attempt_timeline()[0].at if job.retry_count else job.created_at
        began_ms = known_ms(began) or 0
        start_ms = self._new_since_ms
        if began_ms % 1000 == 0:  # perhaps a program that keeps whole seconds
            start_ms = start_ms // 1000 * 1000
        return began_ms >= start_ms

    @property
    def complete(self) -> bool:
        """Whether all jobs are here: not while a first read, or one after a reset, is under way."""
        return self.synced and not self._resetting

    @property
    def waits_for(self) -> str:
        """What is waited for before anything can be read, or an empty string."""
        status = self._status
        return describe(status) if status is not None and status.state == "connecting" else ""

    @property
    def is_live(self) -> bool:
        """Whether changes arrive now."""
        return self._status is not None and self._status.state == "open"

    @property
    def counts_down(self) -> bool:
        """Whether `state_text` changes each second."""
        return self._status is not None and self._status.retry_s is not None

    def state_text(self, now_ms: int) -> str:
        """Return whether the view is live, and the source: one line of safe text."""
        if self._status is None:
            return visible(self.where)
        return describe(self._status, max(0, now_ms - self._status_at_ms) / 1000)

    def all_ended(self) -> bool:
        """Whether all named jobs have ended or are gone; a job with a damaged file is neither."""
        if not self.synced or self._resetting or (self._only is None and not self._ends):
            return False
        if self._only is None:
            shown = [job for job in self.jobs if self.shows(job)]
            return bool(shown) and not any(self._may_go_on(job) for job in shown)
        return not any(self._may_change(id) for id in self._only)

    def _may_change(self, id: str) -> bool:
        """Whether a named job may still change; a damaged file may become a job again."""
        job = self._job(id)
        return self.damage(id) is not None if job is None else self._may_go_on(job)

    def _may_go_on(self, job: Job) -> bool:
        """Whether the job may still change; with ``ends``, a lost job counts as ended."""
        return job.active and not (self._ends and job.lost(self.dead))

    def outcome(self) -> Outcome:
        """Return the outcome, as ``jobctl wait`` does."""
        watched = self._only if self._only is not None else {job.id for job in self.shown()}
        verdicts = tuple(self._verdict(id) for id in sorted({*watched, *self._left}))
        return Outcome(code_of(verdicts), verdicts)

    def exit_code(self) -> int:
        """Return the exit code of the outcome."""
        return self.outcome().code

    def _verdict(self, id: str) -> Verdict:
        job = self._job(id)
        if job is not None:
            return judge(job, Condition(), lost=job.lost(self.dead))
        return self._left.get(id) or Verdict(id, "vanished", "gone")

    def _job(self, id: str) -> Job | None:
        return self.jobs.get(id) or self._named.get(id)

    # -- lines ------------------------------------------------------------------------------

    def screen(self, columns: int, rows: int, now_ms: int) -> list[Line]:
        """Return the whole screen: jobs, how many more there are, and the status line."""
        jobs = [job for job in self.jobs if self.shows(job)]
        pipelines = self.usual.pipelines
        standings = {job.id: standing(job, now_ms, self.dead, pipelines) for job in jobs}
        order = Order(pipelines, merged=not self.wide)
        order.replace((job, standings[job.id].key) for job in jobs)
        places = order.places()
        room = max(rows - 2, 1)
        cut = places if len(places) <= room else places[: room - 1]
        shorts = formats.short_ids((id for id, _ in cut), self._ids())
        size = max((2 * depth + len(shorts[id]) for id, depth in cut), default=0)
        format = RowFormat(columns_of(columns, wide=self.wide, id_size=size), self.usual)
        lines: list[Line] = []
        for id, depth in cut:
            job = order.job(id)
            assert job is not None, "it has a place"
            kind = standings[id].kind
            [(text, style)], _ = format.row(job, kind, depth, shorts[id], now_ms)
            lines.append((text.rstrip(), style))
        if len(cut) < len(places):
            dots = "…" if fits_encoding("…") else "..."
            lines.append((fit(f"{dots} {len(places) - len(cut)} more", columns), "dim"))
        if not jobs and self.synced:
            lines.append((fit(f"No active jobs in {visible(self.where)}; waiting", columns), "dim"))
        return [*lines, (fit(self._status_line(standings.values(), now_ms), columns), "dim")]

    def _ids(self) -> Iterable[str]:
        yield from self.others
        for job in self.jobs:
            yield job.id

    def _status_line(self, standings: Iterable[Standing], now_ms: int) -> str:
        """Return the status line: live or not, the source, and the counts of each kind."""
        counts = Counter(each.kind for each in standings)
        counts["damaged"] = len(self.bad_files.reasons) + self.bad_files.omitted
        said = ", ".join(f"{counts[kind]} {kind}" for kind in (*KINDS, "damaged") if counts[kind])
        return self.state_text(now_ms) + (f" | {said}" if said else "")


def describe(status: Status, ago_s: float = 0.0) -> str:
    """Return a status that is ``ago_s`` seconds old as one line."""
    where = visible(status.where)
    if status.state == "open":
        hub = "" if status.source == "hub" else " (no hub)"
        return f"live: {where}{hub}"
    if status.state == "connecting":
        return f"waiting until {where} exists" if status.detail else f"connecting to {where}"
    left_s = max(0.0, status.retry_s - ago_s) if status.retry_s is not None else None
    retry = f", next try in {max(left_s, 0.1):.1f} s" if left_s is not None else ""
    return f"{status.state}: {where}: {visible(status.detail)}{retry}"


@dataclass(frozen=True, slots=True)
class LineContext:
    """What a job's line depends on besides the job: the time, dead owners, and the format."""

    now_ms: int
    dead: Container[str] = ()
    usual: UsualDurations = field(default_factory=UsualDurations)
    form: str | None = None
    wide: bool = False


class StatusNotes:
    """Prints connection problems, which the reader handles by itself, by ``write``.

    A problem, and what is waited for, is printed once while it lasts. When it is over, the new
    state is printed; with ``always`` it is printed whether or not there was a problem.
    """

    def __init__(self, write: Callable[[str], object] = note, *, always: bool = False) -> None:
        self._write, self._always = write, always
        self._told: set[str] = set()

    def __call__(self, status: Status) -> None:
        if status.state in ("closed", "error"):
            if status.detail in self._told:
                return
            self._told.add(status.detail)
        elif status.state == "open" and (self._always or self._told):
            self._told.clear()
        elif status.state == "connecting" and status.detail:
            self._told.add(status.detail)
        else:
            return
        self._write(describe(status))


def summary(job: Job, now_ms: int, dead: Container[str], pipelines: Pipelines) -> str:
    """Return a job's state mark, title and error, or its state mark, title and message."""
    error = formats.error(job)
    said = [formats.mark(job, now_ms, dead, pipelines)]
    said += [formats.titled(job, error)] if error else [job.title or ""]
    return ": ".join(part for part in (*said, job.current_message or "") if part)


def change_line(job: Job, context: LineContext) -> str:
    """Return one change as a line for a pipe."""
    at = formats.moment(job.updated_at, context.form or "iso", context.now_ms)
    done = job.percent_of(context.usual.pipelines)
    percent = f"{done}%" if done is not None and job.stage != FAILED else "-"
    session = [visible(job.session_id or "-")] if context.wide else []
    said = visible(summary(job, context.now_ms, context.dead, context.usual.pipelines))
    parts = [at, job.id, visible(job.type), *session, visible(job.shown_stage), percent, said]
    return "  ".join(part for part in parts if part)
