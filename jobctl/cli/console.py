"""Where a command writes: data to standard output, notes to standard error."""

from __future__ import annotations

import sys

from jobctl.cli import messages

__all__ = ["Console"]


class Console:
    """The standard streams. Tests pass an object with the same methods."""

    def line(self, text: str) -> None:
        """Print one line of data."""
        sys.stdout.write(text + "\n")

    def note(self, text: str) -> None:
        """Print a note."""
        messages.note(text)

    def flush(self) -> None:
        """Pass on the lines that were printed."""
        sys.stdout.flush()
