"""The file of ``jobctl watch --cursor-file``: the cursor to resume from, kept after each change."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from jobctl.core.cursor import Cursor
from jobctl.errors import InvalidCursor, UsageError

__all__ = ["CursorFile"]

_MAX_BYTES = 4096
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
            with self._path.open("rb") as file:
                text = file.read(_MAX_BYTES).decode()
        except OSError as error:
            why = error.strerror
            raise UsageError(f"cannot read a cursor from {self._path}: {why}") from error
        except UnicodeDecodeError:
            text = "?"
        try:
            return Cursor.parse(text.strip() or "0")
        except InvalidCursor as error:
            raise UsageError(
                f"{self._path} holds no cursor: it is damaged, or another file",
                hint="remove it to start from the beginning, or name another file",
            ) from error

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
