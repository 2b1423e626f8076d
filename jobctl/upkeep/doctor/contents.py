"""Checks of the jobs: the files, and whether they match the change log.

Writers may be active during the check. So what does not match is checked again before it is
reported: a write may have been in flight.
"""

from __future__ import annotations

import os
import shlex
import stat as stats
import time
from collections.abc import Iterator

from jobctl._clock import now_ms
from jobctl._trust import check_trust, is_safe, my_uids
from jobctl.config import Settings, safe_directories
from jobctl.core.job import Job, check_id
from jobctl.core.pipeline import Pipelines, parse_types
from jobctl.core.schedule import TypeRuns
from jobctl.core.times import known_ms
from jobctl.errors import InvalidId, InvalidJob, UsageError
from jobctl.stores.directory.changelog import DEL, LINE, Damaged, Log, Record, digest_of
from jobctl.stores.directory.files import FoundFile, job_names, read_file
from jobctl.stores.directory.index import TORN_GRACE_S
from jobctl.stores.directory.parsing import JobParser
from jobctl.stores.directory.place import Place
from jobctl.upkeep.doctor.finding import CheckContext, Finding, Level, names, opened, plural

__all__ = ["change_log", "jobs"]

_MAX_BAD = 20  # files that are reported one by one
_MAX_REMARKED = 10  # and odd ones
_MAX_IN_FLIGHT = 1000  # more mismatches than this are not writes in flight
_AGAIN_S = 0.03
_MAX_CHECKS = 4
_FUTURE_MS = 3_600_000
_UNTOUCHED_MS = 86_400_000
_CHUNK = 50_000  # records
_RECONCILED_BY = "the next 'jobctl ls' of its owner, or a hub, takes that up"
_CLOSE = "'chmod 600' closes them, as 'chmod 700' of the directory does"
_KINDS: dict[str, tuple[Level, str, str, str]] = {
    "odd": (
        "warning",
        "file whose name is not a job id",
        "files whose names are no job ids",
        "an id has 1 to 64 ASCII letters, digits, '.', '_' or '-'",
    ),
    "unknown": (
        "info",
        "file is not what the change log says",
        "files are not what the change log says",
        _RECONCILED_BY,
    ),
    "missing": ("info", "recorded job has no file", "recorded jobs have no file", _RECONCILED_BY),
    "writable": (
        "error",
        "job file can be written by everybody",
        "job files can be written by everybody",
        _CLOSE,
    ),
    "group": (
        "warning",
        "job file can be written by the group",
        "job files can be written by the group",
        _CLOSE,
    ),
    "readable": (
        "info",
        "job file can be read by everybody",
        "job files can be read by everybody",
        _CLOSE,
    ),
    "others": (
        "warning",
        "job file belongs to another user: its command line is not run",
        "job files belong to another user: their command lines are not run",
        "'chown' them, if the jobs are yours",
    ),
    "future": (
        "warning",
        "job is of the future",
        "jobs are of the future",
        "a clock that was wrong? they come before all others until then",
    ),
    "untouched": (
        "info",
        "active job untouched for over a day",
        "active jobs untouched for over a day",
        "is anybody still at it? 'jobctl fail' ends it",
    ),
}
"""Findings about several jobs: level, text for one, text for many, what to do next."""


def change_log(context: CheckContext) -> Iterator[Finding]:
    """Check that the change log is undamaged and belongs to this directory."""
    here = str(context.path / ".jobctl" / "changes")
    anew = "the next write or hub begins a new epoch, and every reader starts over"
    with opened(context.path) as dir_fd, opened(".jobctl", dir_fd) as meta_fd:
        try:
            fd = os.open(
                "changes",
                os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC,
                dir_fd=meta_fd,
            )
        except FileNotFoundError:
            yield Finding("info", "there is no change log", here, anew)
            return
    try:
        log = Log(fd)
    except Damaged as error:
        yield Finding("error", f"the change log is damaged: {error}", here, anew)
        return
    if log.inode != log.key[1]:
        what = "the change log was copied here from elsewhere, and does not count"
        yield Finding("info", what, here, anew)
        return
    try:
        records, revision = _read_through(log, context)
    except Damaged as error:
        yield Finding("error", f"the change log is damaged: {error}", here, anew)
        return
    if Place(context.path).current().log is None:
        what = "the change log is from before the last start of this machine, or a copy"
        yield Finding("info", what, here, anew)
        return
    if _is_torn(log):
        what = "the last line of the change log is torn: a writer died at work"
        yield Finding("info", what, here, "the next write cuts it off")
    what = f"the change log is whole: {plural(records, 'record')}, revision {revision}"
    yield Finding("ok", what, here)


def _read_through(log: Log, context: CheckContext) -> tuple[int, int]:
    """Return the number of records and the last revision.

    Raise `Damaged`, also for a wrong order.
    """
    position, last = 0, 0
    while records := log.read(position, position + _CHUNK):
        for record in records:
            if record.revision <= last:
                raise Damaged(f"revision {record.revision} comes after {last}")
            last = record.revision
        position += len(records)
        if not context.left_s:
            break
    return position, max(last, log.base, log.floor)


def _is_torn(log: Log) -> bool:
    """Whether the log ends in a torn line that stays torn."""
    for _ in range(_MAX_CHECKS):
        size = os.fstat(log.fd).st_size
        if size % LINE == 0 and (size == LINE or log.read(size // LINE - 2)):
            return False
        time.sleep(_AGAIN_S)
    return True


def jobs(context: CheckContext) -> Iterator[Finding]:
    """Check for files that are not jobs, mismatches with the log, file modes, and odd times."""
    with opened(context.path) as dir_fd:
        survey = _Survey(context, dir_fd)
        survey.run()
        yield from survey.findings()


class _Survey:
    """Checks all files once, and those that do not match again."""

    def __init__(self, context: CheckContext, dir_fd: int) -> None:
        self._context = context
        self._dir_fd = dir_fd
        about = os.fstat(dir_fd)
        self._mode = about.st_mode
        # Where a directory is not obeyed, or is safe, the owners of its files change nothing.
        uids = my_uids(context.env)
        obeyed = check_trust(about, dir_fd, uids) is None
        obeyed = obeyed and not is_safe(context.path, about, safe_directories(context.env))
        self._owners = uids if obeyed else None
        self._parser = JobParser(Place(context.path))
        self._log: Log | None = None
        self._position = 0
        self._newest: dict[str, Record] = {}
        self._now_ms = now_ms()
        self._runs = _expected_runs(context)
        self.total = self.looked = self.active = 0
        self.bad: dict[str, str] = {}  # by file name
        self.remarks: dict[str, str] = {}  # by file name
        self.unreadable: set[str] = set()  # those of them that may be jobs
        self.kinds: dict[str, set[str]] = {kind: set() for kind in _KINDS}

    def run(self) -> None:
        """Check all files, as far as the time allows."""
        self._follow()
        ids = []
        for id in job_names(self._dir_fd):
            try:
                ids.append(check_id(id))
            except InvalidId:
                self.kinds["odd"].add(f"{id}.json")
        self.total = len(ids)
        present = set(ids)
        mismatches = {
            id: False
            for id, record in self._newest.items()
            if record.verb != DEL and id not in present
        }
        torn: dict[str, float] = {}
        for id in sorted(ids):
            if not self._context.left_s:
                break
            self.looked += 1
            found = read_file(self._dir_fd, f"{id}.json")
            if found is None or not self._matches_log(id, found):
                mismatches[id] = found is not None
            if found is not None and not self._take(id, found) and found.problem is None:
                age_s = abs(time.time() - found.signature[1] / 1e9)
                if age_s < TORN_GRACE_S:
                    torn[id] = time.monotonic() + TORN_GRACE_S - age_s
        self._recheck(mismatches)
        self._wait_for_writers(torn)

    def _follow(self) -> None:
        """Read new records of the current log, if there is one."""
        log = Place(self._context.path).current().log
        if log is None:
            return
        try:
            if self._log is None or self._log.key != log.key:
                self._log, self._position = log, 0
                self._newest.clear()
            records = self._log.read(self._position)
        except Damaged:  # the check of the log reports it
            self._log = None
            self._newest.clear()
            return
        self._position += len(records)
        self._newest.update((record.id, record) for record in records)

    def _matches_log(self, id: str, found: FoundFile | None) -> bool:
        """Whether the file matches its newest record."""
        if self._log is None:
            return True
        record = self._newest.get(id)
        if found is None:
            return record is None or record.verb == DEL
        return record is not None and record.digest == digest_of(found.data)

    def _take(self, id: str, found: FoundFile) -> bool:
        """Note what there is to report about a file; return whether it is a job."""
        name = f"{id}.json"
        try:
            job = self._parser.parse(id, found)
        except InvalidJob as error:
            self.bad[name] = error.reason
            if found.unreadable:
                self.unreadable.add(name)
            return False
        self.bad.pop(name, None)
        if job.remarks:
            self.remarks[name] = "; ".join(map(str, job.remarks))
        self.unreadable.discard(name)
        if self._mode & stats.S_IXOTH and found.mode & stats.S_IWOTH:
            self.kinds["writable"].add(name)
        elif self._mode & stats.S_IXGRP and found.mode & stats.S_IWGRP:
            self.kinds["group"].add(name)
        elif self._mode & stats.S_IXOTH and found.mode & stats.S_IROTH:
            self.kinds["readable"].add(name)
        if self._owners is not None and found.uid not in self._owners:
            self.kinds["others"].add(name)
        self._take_times(job)
        self._runs.take((job,), self._now_ms)
        return True

    def _take_times(self, job: Job) -> None:
        given = (job.created_at, job.updated_at, job.completed_at, job.stage_started_at)
        newest_ms = max((ms for text in given if (ms := known_ms(text)) is not None), default=None)
        self.active += job.active
        if newest_ms is None:
            return
        if newest_ms > self._now_ms + _FUTURE_MS:
            self.kinds["future"].add(job.id)
        elif job.active and newest_ms < self._now_ms - _UNTOUCHED_MS:
            self.kinds["untouched"].add(job.id)

    def _recheck(self, mismatches: dict[str, bool]) -> None:
        """Check mismatches again, then report those that remain, with or without a file.

        A mismatch remains if neither the file nor its record has changed between two looks.
        Otherwise somebody is writing the file at this moment.
        """
        before: dict[str, tuple[Record | None, str | None]] = {}
        last = before
        for _ in range(_MAX_CHECKS):
            if not 0 < len(mismatches) <= _MAX_IN_FLIGHT:
                break
            time.sleep(_AGAIN_S)
            self._follow()
            found = {id: read_file(self._dir_fd, f"{id}.json") for id in mismatches}
            mismatches = {
                id: file is not None
                for id, file in found.items()
                if not self._matches_log(id, file)
            }
            last, before = (
                before,
                {
                    id: (self._newest.get(id), digest_of(file.data) if file is not None else None)
                    for id, file in found.items()
                },
            )
        else:
            mismatches = {id: there for id, there in mismatches.items() if last[id] == before[id]}
        for id, there in mismatches.items():
            self.kinds["unknown" if there else "missing"].add(id)

    def _wait_for_writers(self, torn: dict[str, float]) -> None:
        """Give another program a second to finish writing a file."""
        for id, until_s in torn.items():
            while time.monotonic() < min(until_s, self._context.until_s):
                found = read_file(self._dir_fd, f"{id}.json")
                if found is None:
                    self.bad.pop(f"{id}.json", None)
                if found is None or self._take(id, found):
                    break
                time.sleep(_AGAIN_S)

    def findings(self) -> Iterator[Finding]:
        """Yield all findings."""
        here = str(self._context.path)
        if self.looked < self.total:
            what = f"there was time for {self.looked:,} of {self.total:,} job files"
            yield Finding("info", what, here)
        yield Finding(
            "ok", f"{plural(self.looked - len(self.bad), 'job')}, {self.active} active", here
        )
        yield from self._overdue(here)
        for name, reason in sorted(self.bad.items())[:_MAX_BAD]:
            path = self._context.path / name
            if name in self.unreadable:
                yield Finding("error", reason, str(path), "its owner can make it readable")
                continue
            hint = f"mend it, or remove it with 'jobctl rm --damaged {path.stem}'"
            if path.is_dir() and not path.is_symlink():
                hint = "remove it by hand, or move it elsewhere"
            yield Finding("error", f"no job: {reason}", str(path), hint)
        if len(self.bad) > _MAX_BAD:
            what = f"and {len(self.bad) - _MAX_BAD} more files are no jobs"
            yield Finding("error", what, here, "'jobctl ls -v' names them all")
        for name, remarks in sorted(self.remarks.items())[:_MAX_REMARKED]:
            yield Finding("info", f"odd but read: {remarks}", str(self._context.path / name))
        if len(self.remarks) > _MAX_REMARKED:
            what = f"and {len(self.remarks) - _MAX_REMARKED} more job files are odd but read"
            yield Finding("info", what, here, "'jobctl ls -v' names them all")
        for kind, which in self.kinds.items():
            level, one, many, hint = _KINDS[kind]
            if which:
                what = f"{plural(len(which), one, many)}: {names(which)}"
                yield Finding(level, what, here, hint)

    def _overdue(self, here: str) -> Iterator[Finding]:
        """Yield the types that are overdue; none if a success may be among files not looked at."""
        if self.looked < self.total:
            return
        for item in self._runs.overdue(self._now_ms):
            # Whether a run is at work is not known: its worker may have died.
            what = item._replace(running_since_ms=None).describe(self._now_ms)
            hint = f"its jobs: jobctl ls --type {shlex.quote(item.type)}"
            yield Finding("error", what, here, hint)


def _expected_runs(context: CheckContext) -> TypeRuns:
    """Return what tracks the types that settings expect regularly, still empty."""
    try:
        known = context.settings or Settings(context.env, context.cwd)
        pipelines = Pipelines(parse_types(known.types))
    except UsageError:  # the check of the settings reports it
        pipelines = Pipelines()
    return TypeRuns(pipelines, pipelines.expected())
