"""Types of jobs that are overdue, as `ls` and `stats` name them; see core/schedule.py."""

from __future__ import annotations

from jobctl.cli.common import note, pipelines

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable

    from jobctl.core.filters import Filter
    from jobctl.core.job import Job
    from jobctl.core.schedule import Overdue

__all__ = ["find_overdue", "note_overdue"]


def find_overdue(
    jobs: Iterable[Job],
    filter: Filter,
    at_ms: int,
    dead: Container[str],
    read_all: Callable[[], Iterable[Job]] | None = None,
) -> list[Overdue] | None:
    """Return the overdue types by all jobs under the filter.

    ``None`` if they cannot be known because the filter leaves successes out. ``read_all`` reads the
    jobs of all types: it is called where a type has no success, which is then measured from the
    oldest job of any type.
    """
    known = pipelines()
    if not known.expected():
        return []
    from jobctl.core.schedule import TypeRuns, expected_types  # few have such settings

    types = expected_types(known, filter)
    if types is None:
        return None
    runs = TypeRuns(known, types)
    runs.take(jobs, at_ms)
    is_unknown = any(runs.last_success(type) is None for type in types)
    if is_unknown and filter.types and read_all is not None:
        runs.take(read_all(), at_ms)
    return runs.overdue(at_ms, dead)


def note_overdue(found: Iterable[Overdue], at_ms: int) -> None:
    """Print one line for each of them, on standard error."""
    for item in found:
        note(item.describe(at_ms))
