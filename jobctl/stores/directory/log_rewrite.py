"""Replaces the change log: a new epoch with all existing files, or the same one compacted.

Call these functions under the writers' lock.
"""

from __future__ import annotations

from contextlib import suppress

from jobctl.core.jobset import MAX_TOMBSTONES
from jobctl.errors import StoreError
from jobctl.stores.directory.changelog import DEL, SEEN, Damaged, Record, digest_of
from jobctl.stores.directory.files import is_id, job_names, read_file
from jobctl.stores.directory.parsing import JobParser
from jobctl.stores.directory.place import DirectoryState, Place

TYPE_CHECKING = False
if TYPE_CHECKING:
    from jobctl.core.lenient import Guess

__all__ = ["begin_epoch", "compact", "compact_after_write"]


def begin_epoch(place: Place, state: DirectoryState, *, durable: bool) -> DirectoryState:
    """Start a new epoch with all existing files, oldest first; return the new state."""
    parser, meta_fd = JobParser(place), state.meta_fd
    files: list[tuple[int, str, str]] = []
    guesses: dict[tuple[str, str], Guess | None] = {}
    for id in job_names(state.dir_fd):
        if is_id(id) and (found := read_file(state.dir_fd, id + ".json")) is not None:
            digest = digest_of(found.data)
            files.append((found.signature[1], id, digest))
            guesses[id, digest] = parser.new_guess(id, found, digest, meta_fd)
    parser.keep(guesses, meta_fd)
    records = [
        Record(revision, id, SEEN, digest)
        for revision, (_, id, digest) in enumerate(sorted(files), 1)
    ]
    state = place.begin_epoch(state, records, durable=durable)
    if state.log is None:
        raise StoreError(f"{place.path} was wiped meanwhile", path=place.path, hint="try again")
    return state


def compact_after_write(place: Place, state: DirectoryState, *, durable: bool) -> None:
    """Compact the log; begin a new epoch if it is damaged. Errors of the system are ignored.

    The write has landed: what goes wrong here must not look as if it had not.
    """
    with suppress(OSError):
        try:
            compact(place, state)
        except Damaged:
            begin_epoch(place, state, durable=durable)


def compact(place: Place, state: DirectoryState) -> None:
    """Drop superseded records and old tombstones; the latter raises the floor."""
    log = state.log
    assert log is not None, "whoever writes has made it"
    records = sorted(log.newest_of_all())
    dead = [record for record in records if record.verb == DEL]
    dropped = set(dead[: max(0, len(dead) - MAX_TOMBSTONES)])
    kept = [record for record in records if record not in dropped]
    place.replace_log(
        state,
        epoch=log.epoch,
        floor=max([log.floor, *(record.revision for record in dropped)]),
        base=log.repair(),
        records=kept,
        sync=state.durable,
    )
    from jobctl.stores.directory.guesses import Guesses  # most writes compact nothing

    Guesses().compact({(record.id, record.digest) for record in kept}, state.meta_fd)
