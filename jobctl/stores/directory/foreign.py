"""Which files may not be jobs although they can be read as one.

Any JSON object with a ``stage`` can be read as a job, so a file that another program uses for
itself may be one. It must not be removed because it is old. The change log and the keys of the file
decide, not the job that was read, because reading fills in what is missing:

- A ``put`` record with the digest of the file's bytes means that jobctl wrote them. A ``seen``
  record means that another program wrote them.
- A file with both ``createdAt`` and ``type`` was meant to be a job, whoever wrote it.

Only the newest record of an id counts. A compaction drops the others, and a new epoch starts with
``seen`` records, so an older ``put`` may be missing. Then the keys decide, and a file without them
counts as foreign even if jobctl wrote it once.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from contextlib import suppress

from jobctl.core.job import Job
from jobctl.stores.directory.changelog import PUT, Damaged, Record, digest_of
from jobctl.stores.directory.files import read_file
from jobctl.stores.directory.index import Index
from jobctl.stores.directory.place import Place

__all__ = ["foreign_among", "is_foreign"]

_NEEDED = ("createdAt", "type")


def is_foreign(data: bytes, newest: Record | None) -> bool:
    """Whether jobctl did not write these bytes and they lack ``createdAt`` or ``type``.

    ``newest`` is the newest record of the file's id, or ``None``. A key with the value null counts
    as missing. Bytes that cannot be parsed lack both.
    """
    if newest is not None and newest.verb == PUT and newest.digest == digest_of(data):
        return False
    try:
        value = json.loads(data.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        return True
    return not isinstance(value, dict) or any(value.get(key) is None for key in _NEEDED)


def foreign_among(jobs: Iterable[Job], place: Place, index: Index) -> set[str]:
    """Return the ids of those jobs whose files are foreign now; files that are gone are left out.

    A job that was read with the digest of a ``put`` record needs no look at its file.
    """
    with index.guard:
        state = place.current()
        newest: Mapping[str, Record] = {}
        if state.log is not None:
            with suppress(Damaged):  # then nothing is known of who wrote what
                index.follow(state.log)
                newest = index.newest
    found: set[str] = set()
    for job in jobs:
        record = newest.get(job.id)
        if record is not None and (record.verb, record.revision) == (PUT, job.revision):
            continue
        file = read_file(state.dir_fd, job.id + ".json")
        if file is not None and file.problem is None and is_foreign(file.data, record):
            found.add(job.id)
    return found
