"""Job files: read without trust in what is there, and published completely or not at all."""

from __future__ import annotations

import errno
import os
import stat as stats
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from jobctl._trust import Accounts
from jobctl.core.codec import MAX_JOB_BYTES, too_large
from jobctl.core.job import Job, check_id
from jobctl.errors import InvalidId, InvalidJob, StoreError, StoreFull
from jobctl.stores.directory.changelog import write_all

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NamedTuple
else:
    from jobctl._stdlib import NamedTuple

__all__ = [
    "FoundFile",
    "JobCache",
    "Signature",
    "Unreadable",
    "exists",
    "is_directory",
    "is_id",
    "job_names",
    "publish",
    "raise_if_out_of_descriptors",
    "read_file",
    "signature_of",
    "store_error",
    "temporary_file",
    "translated",
]

_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_WRITE = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC

Signature = tuple[int, int, int, int]
"""``(inode, mtime_ns, ctime_ns, size)``: unchanged while nobody writes to the file."""

_TICK_NS = 20_000_000
"""Two changes within this time may carry the same time stamp: kernels before Linux 6.13 count in
steps of up to 10 ms."""
_MAX_SCANS = 4
_MAX_CACHED = 1024


class FoundFile(NamedTuple):
    """What a name in the directory is: the file's bytes, or the ``problem`` why it cannot be a job.

    With a problem, ``data`` is a text that identifies it, so that the same problem has the same
    digest. ``unreadable`` says that we may not or cannot read the file, so it may be a job.
    ``racy`` says that the file changed so shortly before the look that a later change may have the
    same signature (compare git's "racy" index entries).
    """

    data: bytes
    signature: Signature
    mode: int
    uid: int
    gid: int
    problem: str | None = None
    racy: bool = False
    unreadable: bool = False


def signature_of(stat: os.stat_result) -> Signature:
    """Return the signature of a file from its status."""
    return (stat.st_ino, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_size)


def read_file(dir_fd: int, name: str) -> FoundFile | None:
    """Return what the name is, or ``None`` if nothing is there. Does not block.

    Follows no links.
    """
    try:
        fd = os.open(name, _READ, dir_fd=dir_fd)
    except FileNotFoundError:
        return None
    except OSError as error:
        return _unreadable(dir_fd, name, error)
    try:
        stat = os.fstat(fd)
        problem = None
        if not stats.S_ISREG(stat.st_mode):
            problem = "not a regular file: write the job into a file of this name"
        elif stat.st_size > MAX_JOB_BYTES:
            problem = too_large(stat.st_size)
        if problem is not None:
            return _bad(problem, stat)
        data = os.read(fd, stat.st_size + 1)
        while len(data) < stat.st_size:
            more = os.read(fd, stat.st_size - len(data))
            if not more:
                break  # truncated while we read: the digest or the parser detects it
            data += more
        racy = time.time_ns() - stat.st_ctime_ns < _TICK_NS
        owner = (stat.st_uid, stat.st_gid)
        values = (data, signature_of(stat), stat.st_mode, *owner, None, racy, False)
        return tuple.__new__(FoundFile, values)  # at a third of the cost
    except OSError as error:
        return _unreadable(dir_fd, name, error)
    finally:
        os.close(fd)


class Unreadable(Exception):
    """The file is not a job, with the reason; it may be half written."""


class JobCache:
    """The jobs that were written last, by their bytes: they need not be parsed again."""

    def __init__(self, parse: Callable[[str, FoundFile], Job]) -> None:
        self._parse = parse
        self._jobs: OrderedDict[str, tuple[bytes, Job]] = OrderedDict()

    def parse(self, id: str, found: FoundFile) -> Job:
        """Return the job in the file, without a revision of its own; `Unreadable` if it is none."""
        known = self._jobs.get(id)
        if known is not None and known[0] == found.data:
            return known[1]
        try:
            return self._parse(id, found)
        except InvalidJob as error:
            raise Unreadable(error.reason) from error

    def keep(self, job: Job, data: bytes) -> None:
        """Keep a job that was written as these bytes."""
        self._jobs[job.id] = (data, job)
        self._jobs.move_to_end(job.id)
        if len(self._jobs) > _MAX_CACHED:
            self._jobs.popitem(last=False)

    def drop(self, id: str) -> None:
        """Forget a job."""
        self._jobs.pop(id, None)


def raise_if_out_of_descriptors(error: OSError) -> None:
    """Raise `StoreError` if a file could not be opened only because no descriptors are free."""
    if error.errno in (errno.EMFILE, errno.ENFILE):
        raise StoreError(
            "too many open files", hint="raise the limit with 'ulimit -n', or close some"
        ) from error


def _unreadable(dir_fd: int, name: str, error: OSError) -> FoundFile | None:
    raise_if_out_of_descriptors(error)
    try:
        stat = os.stat(name, dir_fd=dir_fd, follow_symlinks=False)
    except OSError:
        return None
    if stats.S_ISLNK(stat.st_mode):
        return _bad("a symbolic link: put the file itself here", stat)
    if stats.S_ISSOCK(stat.st_mode):
        return _bad("not a regular file: write the job into a file of this name", stat)
    why = os.strerror(error.errno or 0).lower()
    problem = f"cannot be read: {why}; it belongs to {Accounts().user(stat.st_uid)}"
    return _bad(why, stat)._replace(problem=problem, unreadable=True)


def _bad(problem: str, stat: os.stat_result) -> FoundFile:
    stands_for = b"\0" + problem.encode()
    return FoundFile(
        stands_for, signature_of(stat), stat.st_mode, stat.st_uid, stat.st_gid, problem
    )


def is_id(name: str) -> bool:
    """Whether a job can have this id."""
    try:
        check_id(name)
    except InvalidId:
        return False
    return True


def exists(name: str, dir_fd: int) -> bool:
    """Whether anything has this name."""
    try:
        os.stat(name, dir_fd=dir_fd, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def is_directory(name: str, dir_fd: int) -> bool:
    """Whether a directory has this name."""
    with suppress(FileNotFoundError):
        return stats.S_ISDIR(os.stat(name, dir_fd=dir_fd, follow_symlinks=False).st_mode)
    return False


def job_names(dir_fd: int) -> set[str]:
    """Return the names without ``.json`` of all files that may be jobs, except hidden ones.

    A listing only discovers names (FAULTS 0.1): while files are renamed, it may miss one that
    exists all the time. So a directory that changed meanwhile is listed again, up to four times,
    and the result is everything that was found.
    """
    names: set[str] = set()
    for _ in range(_MAX_SCANS):
        began_ns = time.time_ns()
        names.update(
            name[:-5]
            for name in os.listdir(dir_fd)
            if name.endswith(".json") and not name.startswith(".")
        )
        if os.fstat(dir_fd).st_mtime_ns < began_ns - _TICK_NS:
            break  # it did not change while it was scanned
    return names


def publish(
    data: bytes,
    *,
    name: str,
    dir_fd: int,
    temporary: str,
    temporary_dir_fd: int,
    like: FoundFile | None,
    sync_fd: int | None,
) -> None:
    """Replace the file of this name atomically, through one temporary file.

    The mode and group of the file ``like``, and its owner if we may, are kept; a new file gets
    0600. ``sync_fd`` is the change log's descriptor if the write must survive a power failure. Then
    file and log are synced before the rename, and the directory after it.
    """
    try:
        fd = os.open(temporary, _WRITE, 0o600, dir_fd=temporary_dir_fd)
        try:
            write_all(fd, data)
            have = os.fstat(fd)
            mode = stats.S_IMODE(like.mode) if like else 0o600
            if like and (have.st_gid, have.st_uid) != (like.gid, like.uid):
                with suppress(PermissionError):
                    os.fchown(fd, like.uid if os.geteuid() == 0 else -1, like.gid)
            if stats.S_IMODE(have.st_mode) != mode:
                os.fchmod(fd, mode)
            if sync_fd is not None:
                os.fsync(fd)
                os.fsync(sync_fd)
        finally:
            os.close(fd)
        os.rename(temporary, name, src_dir_fd=temporary_dir_fd, dst_dir_fd=dir_fd)
    except BaseException:
        _remove_temporary(temporary, temporary_dir_fd)
        raise
    if sync_fd is not None:
        os.fsync(dir_fd)


@contextmanager
def temporary_file(name: str, dir_fd: int) -> Iterator[str]:
    """Remove the temporary file if the block does not rename it; also after a signal.

    On a full disk every byte counts.
    """
    try:
        yield name
    except BaseException:
        _remove_temporary(name, dir_fd)
        raise


def _remove_temporary(name: str, dir_fd: int) -> None:
    with suppress(OSError):
        os.unlink(name, dir_fd=dir_fd)


@contextmanager
def translated(doing: str, where: str, id: str = "") -> Iterator[None]:
    """Raise an OSError of the block as the store's own error."""
    try:
        yield
    except OSError as error:
        raise store_error(error, f"{doing} {id}".rstrip(), where) from error


def store_error(error: OSError, doing: str, path: str) -> StoreError:
    """Return the `StoreError` for an OSError while ``doing`` something (a verb and a job)."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        what = "disk full"
        with suppress(OSError):
            room = os.statvfs(path)
            if room.f_files and not room.f_ffree:
                what = "no inodes left"
        return StoreFull(
            f"{what} {doing} in {path}", path=path, hint="what was stored before is untouched"
        )
    if error.errno == errno.EFBIG:
        return StoreFull(
            f"file size limit reached {doing} in {path}", path=path, hint="see 'ulimit -f'"
        )
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return StoreError(
            f"{os.strerror(error.errno)} {doing} in {path}",
            path=path,
            hint="choose another directory with --dir",
        )
    text = os.strerror(error.errno) if error.errno else str(error)
    return StoreError(f"{text} {doing} in {path}", path=path)
