"""The file of ``jobctl watch --cursor-file``: the cursor to resume from, kept after each change."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from jobctl.core.cursor import Cursor
from jobctl.errors import UsageError

__all__ = ["CursorFile"]

_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC


class CursorFile:
    """One cursor in a file. Raises `UsageError` if its directory is not writable."""

    def __init__(self, path: Path) -> None:
        if not os.access(path.parent, os.W_OK | os.X_OK):
            raise UsageError(f"cannot keep the cursor in {path}: its directory is not writable")
        self._path = path

    def read(self) -> Cursor | None:
        """Return the cursor; ``None`` without a file. Raises `UsageError` for another content."""
        if not self._path.exists():
            return None
        try:
            return Cursor.parse(self._path.read_text().strip() or "0")
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"cannot read a cursor from {self._path}: {error}") from error

    def write(self, cursor: Cursor) -> None:
        """Replace the file, atomically."""
        temporary = self._path.with_name(self._path.name + f".{os.getpid()}.tmp")
        try:
            # A new file, not what others may have put there: a link to some other file of ours.
            temporary.unlink(missing_ok=True)
            with open(os.open(temporary, _NEW, 0o666), "w") as file:
                file.write(f"{cursor}\n")
            temporary.replace(self._path)
        except OSError as error:
            raise UsageError(f"cannot keep the cursor in {self._path}: {error.strerror}") from error
        finally:
            with contextlib.suppress(OSError):
                temporary.unlink()
