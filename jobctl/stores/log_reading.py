"""Reading a job's log: whether it is there, and why not."""

from __future__ import annotations

from collections.abc import Iterator

from jobctl.core.job import Job
from jobctl.core.log import LogPart, decode_lines, is_of_job
from jobctl.errors import LogNotFound
from jobctl.stores.contract import HasLogs, Store, logs_of

__all__ = ["has_log", "is_log_of", "may_get_log", "read_parts", "why_no_log"]


def is_log_of(logs: HasLogs, job: Job) -> bool:
    """Whether the log of this id is the job's, and not that of an earlier job of the same id."""
    part = logs.read_log(job.id, limit=1)
    first = next(decode_lines(part.data), None) if part is not None else None
    return first is None or is_of_job(first, job.created_at)


def has_log(store: Store, job: Job) -> bool:
    """Whether the store has a log of this very job."""
    logs = logs_of(store)
    return logs is not None and logs.log_info(job.id) is not None and is_log_of(logs, job)


def may_get_log(store: Store, job: Job) -> bool:
    """Whether a job without a log may still get one: it is a command that runs."""
    return job.active and job.command is not None and logs_of(store) is not None


_TERMINAL = "what goes to a terminal is kept only with 'jobctl run --log on'"


def why_no_log(job: Job) -> LogNotFound:
    """Return the error that the job has no log."""
    if job.command is None and job.parent is not None:
        return LogNotFound(job.id, f"what it printed is in that of its run, {job.parent}")
    if job.command is None:
        return LogNotFound(job.id, "only 'jobctl run' keeps the output of its command")
    if job.active:
        return LogNotFound(
            job.id, f"it has printed nothing that is kept, or its log is off; {_TERMINAL}"
        )
    return LogNotFound(
        job.id,
        "it printed nothing that is kept, its log was off, or 'prune --logs' or the limit of all "
        f"logs removed it; {_TERMINAL}",
    )


def read_parts(logs: HasLogs, id: str, offset: int = 0) -> Iterator[LogPart]:
    """Yield what the log has now from ``offset`` on."""
    at = offset
    while (part := logs.read_log(id, at)) is not None and part.data:
        yield part
        at = part.end
