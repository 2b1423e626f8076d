"""The seeded faults: what is changed, and which tests must fail then."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["FAULTS", "Fault"]


class Fault(NamedTuple):
    """Replace ``old``, which occurs once in ``file``, by ``new``; one of ``tests`` must fail."""

    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]


_CORE = ("tests/core/test_jobset.py", "tests/core/test_jobset_converges.py")
_READ = (
    "tests/stores/test_read.py",
    "tests/stores/test_complete_reads.py",
    "tests/model",
)
_HUB = (
    "tests/hub/test_sessions.py",
    "tests/hub/test_details.py",
    "tests/hub/test_resets.py",
    "tests/hub/test_session_details.py",
)

_JOBSET = "jobctl/core/jobset.py"
_DIRECTORY_READ = "jobctl/stores/directory/read.py"
_SESSIONS = "jobctl/hub/sessions.py"

FAULTS: tuple[Fault, ...] = (
    Fault(
        "a cursor of another epoch is resumed",
        _JOBSET,
        "            cursor.epoch == self.epoch\n            and cursor.tag",
        "            cursor.tag",
        _CORE,
    ),
    Fault(
        "a cursor of another filter is resumed",
        _JOBSET,
        "            and cursor.tag == filter.tag\n",
        "",
        _CORE,
    ),
    Fault(
        "a cursor from the future is resumed",
        _JOBSET,
        "            and cursor.revision <= self.revision\n",
        "",
        _CORE,
    ),
    Fault(
        "a cursor below the floor is resumed",
        _JOBSET,
        "            and max(cursor.revision, snapshot_start) >= self.floor\n",
        "",
        _CORE,
    ),
    Fault(
        "the snapshot's start is ignored",
        _JOBSET,
        "max(cursor.revision, snapshot_start) >= self.floor",
        "cursor.revision >= self.floor",
        _CORE,
    ),
    Fault(
        "a delta that does not follow is applied",
        _JOBSET,
        "        elif delta.epoch != self.epoch or delta.since != self.revision:\n",
        "        elif False:\n",
        _CORE,
    ),
    Fault(
        "an empty delta does not move the set",
        _JOBSET,
        "        self.revision = delta.through\n        self.floor = max",
        "        self.floor = max",
        _CORE,
    ),
    Fault(
        "deletions are left out of a page",
        _JOBSET,
        "                    gone.append(Gone(id, entry.revision))\n            through",
        "                    pass\n            through",
        _CORE,
    ),
    Fault(
        "jobs that left the filter are not told",
        _JOBSET,
        "or (entry.left_at(filter) > known and not filter.matches(entry.job))",
        "or False",
        _CORE,
    ),
    Fault(
        "a page ends between jobs that share a revision",
        _JOBSET,
        "                    if size > limit and may_end and not empty:",
        "                    if size > limit and not empty:",
        _CORE,
    ),
    Fault(
        "superseded lines of the order are sent",
        _JOBSET,
        "            if entry is not None and entry.revision == self._order[index]:",
        "            if entry is not None:",
        _CORE,
    ),
    Fault(
        "a short full load says that it is whole",
        _DIRECTORY_READ,
        "        return self._delta(cut, more=not self._is_whole(cut, asked))",
        "        return self._delta(cut, more=False)",
        _READ,
    ),
    Fault(
        "the log's tail is not read again",
        _DIRECTORY_READ,
        "            ids = list(dict.fromkeys([*ids, *self._read_tail()]))\n",
        "            ids = list(dict.fromkeys(ids))\n",
        _READ,
    ),
    Fault(
        "every pending file is looked at in each round",
        _DIRECTORY_READ,
        "            ids = [id for id in ids if id in self.pending and self._is_outdated(id)]",
        "            ids = sorted(self.pending)",
        _READ,
    ),
    Fault(
        "a write in flight is passed over",
        _DIRECTORY_READ,
        "            cut = min(cut, unknown.revision - 1)\n",
        "",
        _READ,
    ),
    Fault(
        "unrecorded files are left out of a full load",
        _DIRECTORY_READ,
        "        unrecorded = sorted(self._names - self._window.keys())",
        "        unrecorded: list[str] = []",
        _READ,
    ),
    Fault(
        "merged versions count as known",
        _DIRECTORY_READ,
        "                if len(records) > 1 or records[0].verb == SEEN",
        "                if records[0].verb == SEEN",
        _READ,
    ),
    Fault(
        "a stalled session is written to",
        _SESSIONS,
        "                not session.writable\n                or session.held\n",
        "                session.held\n",
        _HUB,
    ),
    Fault(
        "readers with and without details share a page",
        "jobctl/hub/session.py",
        "return Kind(self.position, self.dialect, self.filter, self.digest, self.details)",
        "return Kind(self.position, self.dialect, self.filter, self.digest, True)",
        _HUB,
    ),
    Fault(
        "the hub says more before it was loaded",
        _SESSIONS,
        "        if not self.loaded:\n            return\n        epoch, head",
        "        epoch, head",
        _HUB,
    ),
)
