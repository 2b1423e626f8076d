"""An exception that ends a command with an exit code."""

from __future__ import annotations

__all__ = ["Exit"]


class Exit(Exception):
    """End the command with this exit code; all messages have been printed."""

    def __init__(self, code: int = 0) -> None:
        super().__init__(code)
        self.code = code
