"""The ids of a directory's jobs and their creation times, without the jobs."""

from __future__ import annotations

from jobctl.core.codec import created_at
from jobctl.core.job import check_id
from jobctl.errors import InvalidId, InvalidJob
from jobctl.stores.directory.files import read_file
from jobctl.stores.directory.index import Index

TYPE_CHECKING = False
if TYPE_CHECKING:
    from jobctl.stores.directory.changelog import Log
    from jobctl.stores.directory.parsing import JobParser

__all__ = ["list_created"]


def list_created(
    dir_fd: int, log: Log | None, parser: JobParser
) -> tuple[dict[str, str], dict[str, str]]:
    """Return the creation time of each job by id, and by name why other files are no jobs.

    Each file is read once, as it is now, and checked as strictly as another program's. The names
    are those of the directory and of the change log, because a listing may miss a file that is
    being replaced (FAULTS 0.1).
    """
    ids, bad = Index.names(dir_fd)
    if log is not None:
        listed = {id.encode().ljust(64) for id in ids}
        for padded in log.mentioned() - listed:
            try:
                ids.add(check_id(padded.decode("latin-1").rstrip(" ")))
            except InvalidId:
                continue  # of a line that is not whole
    times: dict[str, str] = {}
    for id in ids:
        found = read_file(dir_fd, id + ".json")
        if found is None:
            continue
        try:
            usual = None if found.problem is not None else created_at(found.data, id=id)
            times[id] = usual if usual is not None else parser.parse(id, found).created_at
        except InvalidJob as error:
            bad[id + ".json"] = error.reason
    return times, bad
