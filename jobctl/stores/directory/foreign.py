"""Which files in a directory may be no jobs at all, although they read as one.

Any JSON object with a ``stage`` may read as a job, so another program's own file may as well. It
must not be removed for being old. What tells are the change log and the keys of the file itself,
and not the job that was read, in which what was missing has been filled in:

- A ``put`` record with the digest of the bytes that lie there says that jobctl wrote these bytes. A
  ``seen`` record says that they were found: another program wrote them.
- A file that has both ``createdAt`` and ``type`` was written to be a job, by whomever.

Only the newest record of an id counts. A compaction drops the others, and a new epoch begins with
``seen`` for everything, so an older ``put`` is not always there to be found. Where the log cannot
tell, the keys decide; then a file that lacks them counts as foreign also if jobctl wrote it once.
"""

from __future__ import annotations

import json

from jobctl.stores.directory.changelog import PUT, Record, digest_of

__all__ = ["is_foreign"]

_NEEDED = ("createdAt", "type")


def is_foreign(data: bytes, newest: Record | None) -> bool:
    """Whether jobctl did not write these bytes and they lack ``createdAt`` or ``type``.

    ``newest`` is the newest record of the file's id, ``None`` if there is none. A key whose value
    is null is lacking. Bytes that cannot be read lack both.
    """
    if newest is not None and newest.verb == PUT and newest.digest == digest_of(data):
        return False
    try:
        value = json.loads(data.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        return True
    return not isinstance(value, dict) or any(value.get(key) is None for key in _NEEDED)
