"""Jobs as a user may have them, for the tests of the live view. Nothing in them is by chance."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import md5

from jobctl.cli.live import Frame, LiveView
from jobctl.cli.live_view import JobView
from jobctl.core import transitions
from jobctl.core.cursor import ZERO
from jobctl.core.job import Job
from jobctl.core.jobset import Delta, Gone, JobSet
from jobctl.core.times import to_text
from jobctl.reader.status import Status

NOW_MS = 1_800_000_000_000  # 2027-01-15T08:00:00Z
HERE = "/home/ada/.local/state/jobctl"
DEAD = "1-0123456789ab"

_TITLES = (
    "Nightly export",
    "Quartalsbericht für Zürich",
    "東京の売上",
    "Resize 4,000 images",
    None,
)
_TYPES = ("create_session", "submit_answers", "etl", "backup", "render_video_in_4k")
_ERROR = "connection refused: db.example.org:5432 does not answer"


def job_id(number: int) -> str:
    """An id that looks like a random one."""
    digits = md5(str(number).encode(), usedforsecurity=False).hexdigest()
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def some_jobs(count: int) -> list[Job]:
    """These many jobs: one in six is active, one in eight of the others has failed."""
    return [_job(number, active=number < max(count // 6, 3)) for number in range(count)]


def _job(number: int, *, active: bool) -> Job:
    type = _TYPES[number % len(_TYPES)]
    stages = tuple(f"part{part}" for part in range(40)) if type == "etl" else ("fetch", "load")
    age_ms = 7_000 * (number + 1) if active else 61_000 * (number + 1)
    at = NOW_MS - age_ms
    job = transitions.create(
        type,
        now=to_text(at),
        id=job_id(number),
        title=_TITLES[number % 7] if number % 7 < 4 else None,
        stages=None if type in ("create_session", "submit_answers") else stages,
        labels={"team": "data"} if number % 3 == 0 else None,
    )
    if active and number % 5 == 4:
        return job
    for step in range(number % 3 + 1 if type != "etl" else 12):
        job = transitions.advance(job, now=to_text(at + 100 * step))
        if not job.active:
            break
    if active:
        if job.active:
            message = "reading part 3" if number % 2 else None
            job = transitions.report(
                job, now=to_text(at + 2000), done=number * 13 % 100, message=message
            )
        return job.replace(owner=DEAD) if number == 1 else job
    ended = to_text(at + 1000 * (number * 37 % 4000))
    if job.active and number % 8 == 7:
        return transitions.fail(job, _ERROR, now=ended)
    if job.active and number % 40 == 11:
        return transitions.cancel(job, now=ended, at_work=True, by="ops")
    return transitions.complete(job, now=ended) if job.active else job


class Shown:
    """A live view over a set of jobs that a test changes."""

    def __init__(
        self,
        jobs: Iterable[Job] = (),
        *,
        refused: str = "",
        expected: Iterable[str] = (),
        **options: object,
    ) -> None:
        self.now_ms = NOW_MS
        self.jobs = JobSet("e")
        self.view = JobView(HERE, **options)  # type: ignore[arg-type]
        self.live = LiveView(self.view, refused=refused, expected=expected)
        self.view.take_status(Status("open", "directory", HERE), NOW_MS)
        for job in jobs:
            self.jobs.put(job.replace(revision=self.jobs.revision + 1))
        self._take(self.jobs.since(ZERO))

    def _take(self, delta: Delta) -> None:
        self.view.take(delta)
        self.live.take(delta)

    def put(self, *jobs: Job) -> None:
        """Record these jobs, and show them."""
        before = self.jobs.cursor
        for job in jobs:
            self.jobs.put(job.replace(revision=self.jobs.revision + 1))
        self._take(self.jobs.since(before))

    def remove(self, id: str) -> None:
        """Remove a job."""
        before = self.jobs.revision
        self.jobs.delete(id, before + 1)
        self._take(Delta("e", before, before + 1, (), (Gone(id, before + 1),)))

    def die(self, *owners: str) -> None:
        """Let these owners be dead."""
        self.view.set_dead_owners(frozenset(owners))
        self.live.owners_changed()

    def press(self, *keys: str) -> object:
        """Press the keys; return what the last one asks for."""
        act: object = None
        for key in keys:
            act = self.live.press(key, self.now_ms)
        return act

    def frame(self, columns: int = 80, rows: int = 24) -> Frame:
        """The frame at this time."""
        return self.live.frame(columns, rows, self.now_ms)

    def text(self, columns: int = 80, rows: int = 24) -> list[str]:
        """The rows as text, without styles."""
        return [text_of(row) for row in self.frame(columns, rows)]

    def ids(self, columns: int = 80, rows: int = 200) -> list[str]:
        """The starts of the ids in the list, in order."""
        known = {job.id[:8] for job in self.jobs}
        words = [line.split() for line in self.text(columns, rows)[1:-2]]
        return [word for line in words for word in line[:3] if word in known]

    def selected(self) -> str:
        """The row that is selected, or an empty text."""
        for row in self.frame():
            if any("reverse" in style for _, style in row):
                return text_of(row)
        return ""


def text_of(row: list[tuple[str, str]]) -> str:
    """A row without styles."""
    return "".join(text for text, _ in row)
