"""How a command ends with an exit code of its own."""

from __future__ import annotations

__all__ = ["Exit"]


class Exit(Exception):
    """End the command with this exit code; everything has been said already."""

    def __init__(self, code: int = 0) -> None:
        super().__init__(code)
        self.code = code
