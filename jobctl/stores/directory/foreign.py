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

from jobctl.stores.directory.changelog import PUT, Record, digest_of

__all__ = ["is_foreign"]

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
