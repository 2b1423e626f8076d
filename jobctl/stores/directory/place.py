"""The place of a directory store: descriptors, mark, epoch, and the current change log.

A directory may be moved, wiped or restored from a copy while it is in use. Therefore every
operation starts with `Place.current`, which costs three ``stat`` calls, and works on the
`DirectoryState` that it returns. All names are looked up relative to descriptors, which stay open
while they are in use.
"""

from __future__ import annotations

import os
import stat as stats
from contextlib import suppress
from functools import cache

from jobctl._stdlib import blake2b
from jobctl._trust import check_trust, is_safe, my_uids
from jobctl.errors import StoreError, StoreMissing
from jobctl.stores.directory.changelog import Damaged, Log, Record, write_all
from jobctl.stores.directory.files import raise_if_out_of_descriptors, store_error, temporary_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NamedTuple
else:
    from jobctl._stdlib import NamedTuple

__all__ = ["DirectoryState", "Place", "boot_id", "first_line"]

_LOG = os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_OPEN_DIR = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


def first_line(path: str) -> str:
    """Return the first line of a small text file, stripped; OSError."""
    with open(path) as file:
        return file.readline().strip()


@cache
def boot_id() -> str:
    """Return an id that changes at each boot.

    It is part of the epoch, so that revisions that a power failure took back are not used again.
    """
    try:
        return first_line("/proc/sys/kernel/random/boot_id")
    except OSError:
        import subprocess

        with suppress(OSError, subprocess.SubprocessError):
            run = subprocess.run(
                ["sysctl", "-n", "kern.boottime"], capture_output=True, text=True, timeout=5
            )
            return run.stdout.strip() or "unknown"
        return "unknown"


class _Dir:
    """An open directory. It is closed with the last reference, because other threads may use it."""

    __slots__ = ("fd", "key")

    def __init__(self, fd: int, stat: os.stat_result) -> None:
        self.fd = fd
        self.key = (stat.st_dev, stat.st_ino)

    def __del__(self) -> None:
        os.close(self.fd)


class _Mark(NamedTuple):
    identity: tuple[int, int]  # inode and change time, which differ in a copy
    durable: bool
    epoch: str


class DirectoryState(NamedTuple):
    """The directory at one moment. It can be used even if the directory has been replaced since."""

    dir: _Dir
    stat: os.stat_result
    meta: _Dir | None  # `.jobctl`, if it exists and can be opened
    mark: _Mark | None
    log: Log | None  # the change log, if it belongs to this directory

    @property
    def dir_fd(self) -> int:
        """The directory's descriptor."""
        return self.dir.fd

    @property
    def meta_fd(self) -> int:
        """The descriptor of ``.jobctl``, which must exist."""
        assert self.meta is not None, "whoever writes has made it"
        return self.meta.fd

    @property
    def durable(self) -> bool:
        """Whether every write must survive a power failure, as the mark says."""
        return self.mark is not None and self.mark.durable


class Place:
    """One directory at ``path``, which need not exist yet. Safe for threads."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.fspath(path)
        self.meta_path = os.path.join(path, ".jobctl")
        self.created = False
        self._state: DirectoryState | None = None
        self._safe: dict[tuple[int, int], bool] = {}

    @property
    def last(self) -> DirectoryState | None:
        """The last state, which may be outdated."""
        return self._state

    def current(self) -> DirectoryState:
        """Return the current state; raise `StoreMissing` if there is no directory."""
        old = self._state
        dir, stat = self._look_at_dir(old)
        if old is not None and old.dir is dir and self._is_unchanged(old):
            if (stat.st_mode, stat.st_uid) != (old.stat.st_mode, old.stat.st_uid):
                self._state = old = old._replace(stat=stat)
            return old
        meta = self._look_at_meta(dir, old)
        mark = log = None
        if meta is not None:
            # Read the log before the mark: a new epoch replaces the mark first. So a log that
            # matches the mark was the current one when we read it.
            log = self._look_at_log(meta, old)
            mark = self._look_at_mark(meta, old)
            if log is not None and (mark is None or log.epoch != mark.epoch):
                log = None
        self._state = state = DirectoryState(dir, stat, meta, mark, log)
        return state

    def create(self) -> None:
        """Create the directory if it is missing, with access for its owner only."""
        if os.path.isdir(self.path):
            return
        try:
            os.makedirs(self.path, mode=0o700)
            os.chmod(self.path, 0o700)
        except FileExistsError:
            return
        except OSError as error:
            raise store_error(error, "making the directory", self.path) from error
        self.created = True

    def writable(self) -> DirectoryState:
        """Return the current state, with ``.jobctl`` created.

        Raise `StoreError` if writing is unsafe.
        """
        state = self.current()
        path = self.path
        if state.stat.st_uid != os.geteuid() and not self.is_safe(state):
            raise StoreError(
                f"{path} belongs to another user (uid {state.stat.st_uid}): "
                "it can be read, not written",
                path=path,
                hint="use a directory of your own, or run as its owner",
            )
        if state.stat.st_mode & stats.S_IWOTH and not self.is_safe(state):
            raise StoreError(
                f"{path} can be written by everybody: it can be read, not written",
                path=path,
                hint=f"'chmod o-w {path}' makes it safe",
            )
        if state.meta is None:
            try:
                os.mkdir(".jobctl", 0o700, dir_fd=state.dir_fd)
                os.chmod(".jobctl", 0o700, dir_fd=state.dir_fd)  # regardless of the umask
                _make_gitignore(state.dir_fd)
            except FileExistsError:
                pass
            except OSError as error:
                raise store_error(error, "making .jobctl", path) from error
            state = self.current()
        if state.meta is None:
            raise StoreError(
                f"{self.meta_path} is not a directory that we can open",
                path=path,
                hint="a link or another user's? remove it, or use another directory",
            )
        meta = os.fstat(state.meta.fd)
        if not self._is_ours(meta, state):
            raise StoreError(
                f"{self.meta_path} is not ours alone (uid {meta.st_uid}, mode "
                f"{stats.S_IMODE(meta.st_mode):04o}): the jobs can be read, not written",
                path=path,
                hint=f"'chmod 700 {self.meta_path}', as its owner",
            )
        if state.log is not None and state.log.read_only:
            try:
                fd = os.open("changes", os.O_RDWR | _LOG, dir_fd=state.meta.fd)
            except OSError as error:
                raise store_error(error, "writing", path) from error
            os.dup2(fd, state.log.fd, inheritable=False)
            os.close(fd)
            state.log.read_only = False
        return state

    # -- whose it is ------------------------------------------------------------------------

    def why_not_obeyed(self, fd: int, state: DirectoryState) -> str | None:
        """Return why the directory, or something open in it, is not obeyed (see _trust.py).

        Returns ``None`` if it is obeyed, else ``it belongs to …``. A safe directory is obeyed with
        all that is in it.
        """
        why = check_trust(os.fstat(fd), fd, my_uids(os.environ))
        return f"it {why}" if why is not None and not self.is_safe(state) else None

    def is_safe(self, state: DirectoryState) -> bool:
        """Whether the user's settings, read once, list the directory as safe."""
        key = state.dir.key
        if key not in self._safe:
            from jobctl.config import safe_directories  # which few directories need

            self._safe[key] = is_safe(self.path, state.stat, safe_directories(os.environ))
        return self._safe[key]

    def _is_ours(self, meta: os.stat_result, state: DirectoryState) -> bool:
        """Whether only we can write to ``.jobctl``; checked for each write, and usually cheap."""
        if meta.st_uid == os.geteuid():
            writers = stats.S_IWGRP | stats.S_IWOTH
            return not meta.st_mode & writers or not self.why_not_obeyed(state.meta_fd, state)
        return self.is_safe(state)

    # -- reading the state ------------------------------------------------------------------

    def _look_at_dir(self, old: DirectoryState | None) -> tuple[_Dir, os.stat_result]:
        try:
            stat = os.stat(self.path)
        except FileNotFoundError:
            raise StoreMissing(self.path) from None
        except OSError as error:
            raise store_error(error, "looking", self.path) from error
        if old is not None and old.dir.key == (stat.st_dev, stat.st_ino):
            return old.dir, stat
        if not stats.S_ISDIR(stat.st_mode):
            raise StoreError(
                f"{self.path} is not a directory",
                path=self.path,
                hint="name the directory that holds the job files",
            )
        try:
            fd = os.open(self.path, _OPEN_DIR)
        except OSError as error:
            raise store_error(error, "reading", self.path) from error
        stat = os.fstat(fd)
        return _Dir(fd, stat), stat

    @staticmethod
    def _is_unchanged(old: DirectoryState) -> bool:
        """Whether mark and log are unchanged.

        Then ``.jobctl`` is too: moving the mark changes its time.
        """
        if old.meta is None or old.mark is None or old.log is None:
            return False
        try:
            log = os.stat(".jobctl/changes", dir_fd=old.dir.fd, follow_symlinks=False)
            mark = os.stat(".jobctl/mark", dir_fd=old.dir.fd, follow_symlinks=False)
        except OSError:
            return False
        return (
            (log.st_dev, log.st_ino) == old.log.key
            and (mark.st_ino, mark.st_ctime_ns) == old.mark.identity
            and mark.st_dev == old.meta.key[0]
        )

    @staticmethod
    def _look_at_meta(dir: _Dir, old: DirectoryState | None) -> _Dir | None:
        try:
            stat = os.stat(".jobctl", dir_fd=dir.fd, follow_symlinks=False)
            if old is not None and old.meta and old.meta.key == (stat.st_dev, stat.st_ino):
                return old.meta
            fd = os.open(".jobctl", _OPEN_DIR | os.O_NOFOLLOW, dir_fd=dir.fd)
        except OSError as error:
            raise_if_out_of_descriptors(error)
            return None
        return _Dir(fd, os.fstat(fd))

    @staticmethod
    def _look_at_log(meta: _Dir, old: DirectoryState | None) -> Log | None:
        try:
            stat = os.stat("changes", dir_fd=meta.fd, follow_symlinks=False)
            if old is not None and old.log and old.log.key == (stat.st_dev, stat.st_ino):
                return old.log
            try:
                log = Log(os.open("changes", os.O_RDWR | _LOG, dir_fd=meta.fd))
            except OSError:  # another user's, or a read-only file system
                log = Log(os.open("changes", os.O_RDONLY | _LOG, dir_fd=meta.fd))
                log.read_only = True
        except Damaged:
            return None
        except OSError as error:
            raise_if_out_of_descriptors(error)
            return None
        # A copied log has another inode than its header says, and does not count.
        return log if log.inode == log.key[1] else None

    @staticmethod
    def _look_at_mark(meta: _Dir, old: DirectoryState | None) -> _Mark | None:
        try:
            stat = os.stat("mark", dir_fd=meta.fd, follow_symlinks=False)
            identity = (stat.st_ino, stat.st_ctime_ns)
            if old is not None and old.mark is not None and old.mark.identity == identity:
                return old.mark
            fd = os.open(
                "mark", os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=meta.fd
            )
            with open(fd, "rb") as file:
                durable = b"durable" in file.read(100)
        except OSError as error:
            raise_if_out_of_descriptors(error)
            return None
        root = f"{identity} {'durable' if durable else boot_id()}"
        return _Mark(identity, durable, blake2b(root.encode(), digest_size=6).hexdigest())

    # -- under the writer's lock ------------------------------------------------------------

    def begin_epoch(
        self, state: DirectoryState, records: list[Record], *, durable: bool
    ) -> DirectoryState:
        """Write a new mark and a log with these records. All older cursors become invalid.

        Only a durable directory is synced: after a power failure another one has a new epoch
        anyway, by the boot id.
        """
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
        with temporary_file("mark.new", state.meta_fd) as name:
            fd = os.open(name, flags, 0o600, dir_fd=state.meta_fd)
            try:
                os.fchmod(fd, 0o600)
                write_all(fd, b"jobctl 1\n" + (b"durable\n" if durable else b""))
                if durable:
                    os.fsync(fd)
            finally:
                os.close(fd)
            os.rename(name, "mark", src_dir_fd=state.meta_fd, dst_dir_fd=state.meta_fd)
        mark = self._look_at_mark(state.meta, None) if state.meta else None
        if mark is None:
            raise StoreError(f"{self.meta_path} was removed meanwhile", path=self.path)
        return self.replace_log(
            state, epoch=mark.epoch, floor=0, base=0, records=records, sync=durable
        )

    def replace_log(
        self,
        state: DirectoryState,
        *,
        epoch: str,
        floor: int,
        base: int,
        records: list[Record],
        sync: bool,
    ) -> DirectoryState:
        """Replace the log by a new file; readers notice its new inode."""
        meta_fd = state.meta_fd
        with temporary_file("changes.new", meta_fd) as name:
            Log.create(
                name,
                dir_fd=meta_fd,
                epoch=epoch,
                floor=floor,
                base=base,
                records=records,
                sync=sync,
            )
            os.rename(name, "changes", src_dir_fd=meta_fd, dst_dir_fd=meta_fd)
        if sync:
            os.fsync(meta_fd)
        return self.current()

    # -- the end ----------------------------------------------------------------------------

    def close(self) -> None:
        """Close all descriptors; the next use opens them again."""
        self._state = None


def _make_gitignore(dir_fd: int) -> None:
    """Keep ``.jobctl`` out of a git repository: it is of this machine alone."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with suppress(OSError):
        fd = os.open(".jobctl/.gitignore", flags, 0o600, dir_fd=dir_fd)
        try:
            os.fchmod(fd, 0o600)  # regardless of the umask
            os.write(fd, b"*\n")
        finally:
            os.close(fd)
