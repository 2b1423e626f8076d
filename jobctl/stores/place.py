"""The place of a directory store: its descriptors, its mark, its epoch, the change log in force.

A directory may be moved, wiped or restored from a copy while we work in it. So every use asks here
first, at the price of a few ``stat`` calls, and all names are looked up relative to descriptors.
"""

from __future__ import annotations

import hashlib
import os
import stat as stats
from contextlib import suppress
from functools import cache
from pathlib import Path

from jobctl.errors import StoreError, StoreMissing
from jobctl.stores.changelog import Damaged, Log, Record, write_all
from jobctl.stores.files import translate

__all__ = ["Place"]

_OPEN_DIR = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


@cache
def _boot_id() -> str:
    """What changes at each boot, so that revisions a power cut took back are never met again."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        import subprocess

        with suppress(OSError, subprocess.SubprocessError):
            run = subprocess.run(
                ["sysctl", "-n", "kern.boottime"], capture_output=True, text=True, timeout=5
            )
            return run.stdout.strip()
        return "unknown"


class Place:
    """One directory at ``path``, as it is now; it may not exist yet."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.meta_path = os.path.join(path, ".jobctl")
        self._dir: tuple[int, int, int] | None = None  # descriptor, device, inode
        self._meta: tuple[int, int, int] | None = None
        self._mark: tuple[tuple[int, int], bool, str] | None = None  # identity, durable, epoch
        self._log: Log | None = None
        self.created = False

    # -- descriptors ------------------------------------------------------------------------

    def dir_fd(self) -> int:
        """The directory's descriptor; `StoreMissing` when there is none."""
        try:
            stat = os.stat(self.path)
        except FileNotFoundError:
            raise StoreMissing(str(self.path)) from None
        except OSError as error:
            raise translate(error, "looking", str(self.path)) from error
        if self._dir is None or self._dir[1:] != (stat.st_dev, stat.st_ino):
            if not stats.S_ISDIR(stat.st_mode):
                raise StoreError(
                    f"{self.path} is not a directory",
                    path=str(self.path),
                    hint="name the directory that holds the job files",
                )
            self.close()
            try:
                fd = os.open(self.path, _OPEN_DIR)
            except OSError as error:
                raise translate(error, "reading", str(self.path)) from error
            self._dir = (fd, stat.st_dev, stat.st_ino)
        return self._dir[0]

    def meta_fd(self) -> int | None:
        """The descriptor of ``.jobctl``, or ``None`` where there is none for us."""
        dir_fd = self.dir_fd()
        try:
            stat = os.stat(".jobctl", dir_fd=dir_fd, follow_symlinks=False)
            if self._meta is None or self._meta[1:] != (stat.st_dev, stat.st_ino):
                self._close_meta()
                fd = os.open(".jobctl", _OPEN_DIR | os.O_NOFOLLOW, dir_fd=dir_fd)
                self._meta = (fd, stat.st_dev, stat.st_ino)
        except OSError:
            self._close_meta()
            return None
        return self._meta[0]

    def create(self) -> None:
        """Make the directory, for its owner alone, if it is missing."""
        if os.path.isdir(self.path):
            return
        try:
            os.makedirs(self.path, mode=0o700)
            os.chmod(self.path, 0o700)
        except FileExistsError:
            return
        except OSError as error:
            raise translate(error, "making the directory", str(self.path)) from error
        self.created = True

    def writable_meta_fd(self) -> int:
        """The descriptor of ``.jobctl``, made if need be; `StoreError` where writing is unsafe."""
        dir_fd = self.dir_fd()
        stat = os.fstat(dir_fd)
        path = str(self.path)
        if stat.st_uid != os.geteuid():
            raise StoreError(
                f"{path} belongs to another user (uid {stat.st_uid}): it can be read, not written",
                path=path,
                hint="use a directory of your own, or run as its owner",
            )
        if stat.st_mode & stats.S_IWOTH:
            raise StoreError(
                f"{path} can be written by everybody: it can be read, not written",
                path=path,
                hint=f"'chmod o-w {path}' makes it safe",
            )
        fd = self.meta_fd()
        if fd is None:
            try:
                os.mkdir(".jobctl", 0o700, dir_fd=dir_fd)
            except FileExistsError:
                pass
            except OSError as error:
                raise translate(error, "making .jobctl", path) from error
            fd = self.meta_fd()
        if fd is None:
            raise StoreError(
                f"{self.meta_path} is not a directory that we can open",
                path=path,
                hint="a link or another user's? remove it, or use another directory",
            )
        return fd

    # -- the epoch and the log in force -----------------------------------------------------

    def log(self) -> Log | None:
        """The change log, if there is one and it belongs to this very directory."""
        meta_fd = self.meta_fd()
        if meta_fd is None:
            return None
        try:
            stat = os.stat("changes", dir_fd=meta_fd, follow_symlinks=False)
            log = self._log
            if log is None or (log.stat.st_dev, log.stat.st_ino) != (stat.st_dev, stat.st_ino):
                flags = os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
                try:
                    fd = os.open("changes", os.O_RDWR | flags, dir_fd=meta_fd)
                except PermissionError:
                    fd = os.open("changes", os.O_RDONLY | flags, dir_fd=meta_fd)
                except OSError:
                    fd = os.open("changes", os.O_RDONLY | flags, dir_fd=meta_fd)
                log = Log(fd)
            mark = self._read_mark(meta_fd)
        except (OSError, Damaged):
            self._log = None
            return None
        if mark is None or log.epoch != mark[2] or log.inode != log.stat.st_ino:
            self._log = None
            return None
        self._log = log
        return log

    def durable(self) -> bool:
        """Whether each write must survive a power cut, as the directory was made."""
        meta_fd = self.meta_fd()
        mark = self._read_mark(meta_fd) if meta_fd is not None else None
        return mark is not None and mark[1]

    def _read_mark(self, meta_fd: int) -> tuple[tuple[int, int], bool, str] | None:
        try:
            stat = os.stat("mark", dir_fd=meta_fd, follow_symlinks=False)
            identity = (stat.st_ino, stat.st_ctime_ns)
            if self._mark is None or self._mark[0] != identity:
                fd = os.open("mark", os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=meta_fd)
                with open(fd, "rb") as file:
                    durable = b"durable" in file.read(100)
                root = f"{identity} {'durable' if durable else _boot_id()}"
                epoch = hashlib.blake2b(root.encode(), digest_size=6).hexdigest()
                self._mark = (identity, durable, epoch)
        except OSError:
            return None
        return self._mark

    # -- under the writer's lock ------------------------------------------------------------

    def begin_epoch(self, meta_fd: int, records: list[Record], *, durable: bool) -> Log:
        """A new mark and a log with these records: every older cursor is invalid from here on."""
        fd = os.open(
            "mark.new",
            os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC,
            0o600,
            dir_fd=meta_fd,
        )
        try:
            write_all(fd, b"jobctl 1\n" + (b"durable\n" if durable else b""))
            os.fsync(fd)
        finally:
            os.close(fd)
        os.rename("mark.new", "mark", src_dir_fd=meta_fd, dst_dir_fd=meta_fd)
        mark = self._read_mark(meta_fd)
        assert mark is not None, "we have just written it, under the lock"
        self.replace_log(meta_fd, epoch=mark[2], floor=0, base=0, records=records)
        log = self.log()
        assert log is not None, "it carries this mark's epoch and its own inode"
        return log

    def replace_log(
        self, meta_fd: int, *, epoch: str, floor: int, base: int, records: list[Record]
    ) -> None:
        """Put a whole new log in force; readers notice that the path has another inode."""
        Log.create(
            "changes.new", dir_fd=meta_fd, epoch=epoch, floor=floor, base=base, records=records
        )
        os.rename("changes.new", "changes", src_dir_fd=meta_fd, dst_dir_fd=meta_fd)
        os.fsync(meta_fd)

    # -- the end ----------------------------------------------------------------------------

    def _close_meta(self) -> None:
        self._log = None
        self._mark = None
        if self._meta is not None:
            os.close(self._meta[0])
            self._meta = None

    def close(self) -> None:
        """Let go of all descriptors; the next use opens them again."""
        self._close_meta()
        if self._dir is not None:
            os.close(self._dir[0])
            self._dir = None
