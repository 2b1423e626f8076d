"""The guesses that odd files were read with, so that all readers of a directory read them alike.

A file that lacks a time, or has times that name no zone, is read by its modification time
and by the zone of the process that reads it (see core/lenient.py). Both may
change while the content stays: ``touch``, a copy, a hub that runs in another time zone. So whoever
records a content in the change log first adds a line to ``.jobctl/guesses``: the id, the digest of
the content, the file's modification time and the offset of its zone. The last line of an id and a
digest counts. Most directories have no such file.

Reading needs no lock. A missing or damaged line costs no job: the reader guesses by itself.
"""

from __future__ import annotations

import os
import re
from collections.abc import Container, Mapping
from contextlib import suppress

from jobctl.stores.directory.changelog import write_all

TYPE_CHECKING = False
if TYPE_CHECKING:
    from jobctl.core.lenient import Guess

__all__ = ["Guesses"]

_NAME = "guesses"
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_APPEND = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
_WRITE = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
_MAX_BYTES = 64 * 1024 * 1024  # read at once; a line has some 70
_LINE = re.compile(
    r"([A-Za-z0-9_][A-Za-z0-9._-]{0,63}) ([0-9a-f]{32}) (-?[0-9]{1,17}) (-|-?[0-9]{1,6})\Z"
)


class Guesses:
    """The guesses of one directory. Its ``.jobctl`` is named by a descriptor at each call."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], Guess] = {}
        self._read: tuple[int, int, int] = (0, 0, 0)  # device, inode, position

    def find(self, id: str, digest: str, meta_fd: int) -> Guess | None:
        """Return the guess for the content of a file, or ``None``."""
        with suppress(OSError):
            stat = os.stat(_NAME, dir_fd=meta_fd, follow_symlinks=False)
            if self._read != (stat.st_dev, stat.st_ino, stat.st_size):
                self._follow(meta_fd)
            return self._known.get((id, digest))
        return None

    def _follow(self, meta_fd: int) -> None:
        """Read the lines that are new, or all lines of a new file."""
        from jobctl.core.lenient import Guess  # most directories have no guesses

        fd = os.open(_NAME, _READ, dir_fd=meta_fd)
        try:
            stat = os.fstat(fd)
            device, inode, position = self._read
            known = self._known
            if (device, inode) != (stat.st_dev, stat.st_ino) or position > stat.st_size:
                position, known = 0, {}
            if stat.st_size - position > _MAX_BYTES:
                return  # jobctl does not make such a file: compaction drops what is not needed
            data = os.pread(fd, max(0, stat.st_size - position), position)
        finally:
            os.close(fd)
        whole = data.rfind(b"\n") + 1
        for line in data[:whole].decode("ascii", "replace").split("\n"):
            if match := _LINE.match(line):
                id, digest, file_ms, offset = match.groups()
                known[id, digest] = Guess(int(file_ms), int(offset) if offset != "-" else None)
        # Another thread that reads at the same time does the same work again, and no harm.
        self._known, self._read = known, (stat.st_dev, stat.st_ino, position + whole)

    # -- under the writer's lock ------------------------------------------------------------

    @staticmethod
    def add(guesses: Mapping[tuple[str, str], Guess], meta_fd: int) -> None:
        """Add guesses by id and digest, before the records are appended to the log."""
        fd = os.open(_NAME, _APPEND, 0o600, dir_fd=meta_fd)
        try:
            os.fchmod(fd, 0o600)  # regardless of the umask
            size = os.fstat(fd).st_size
            torn = size and os.pread(fd, 1, size - 1) != b"\n"
            lines = [_line(*key, guess) for key, guess in guesses.items()]
            write_all(fd, (b"\n" if torn else b"") + b"".join(lines))
        finally:
            os.close(fd)

    def compact(self, keep: Container[tuple[str, str]], meta_fd: int) -> None:
        """Drop the guesses for contents that are not among ``keep``: pairs of id and digest."""
        self._read = (0, 0, 0)
        try:
            self._follow(meta_fd)
        except FileNotFoundError:
            return
        kept = {key: guess for key, guess in self._known.items() if key in keep}
        temporary = f"{_NAME}.new"
        fd = os.open(temporary, _WRITE, 0o600, dir_fd=meta_fd)
        try:
            os.fchmod(fd, 0o600)
            write_all(fd, b"".join(_line(*key, guess) for key, guess in kept.items()))
        finally:
            os.close(fd)
        os.rename(temporary, _NAME, src_dir_fd=meta_fd, dst_dir_fd=meta_fd)


def _line(id: str, digest: str, guess: Guess) -> bytes:
    offset = guess.offset_s if guess.offset_s is not None else "-"
    return f"{id} {digest} {guess.file_ms} {offset}\n".encode("ascii")
