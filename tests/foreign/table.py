"""The table of producers: what programs wrote, and what jobctl must make of it.

`make_producers.py` made it once, by running them.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

__all__ = ["ROWS", "Row", "in_zone"]

ZONE = "Europe/Berlin"


class Row(NamedTuple):
    """One file. The program read its clock within ``after`` … ``before`` (milliseconds).

    ``zone`` is the one that must be guessed, or ``None`` where the file names it. The program ran
    in `ZONE`.
    """

    producer: str
    version: str
    kind: str
    expression: str
    data: bytes
    mtime_ms: int
    after: int
    before: int
    zone: str | None

    def __str__(self) -> str:
        return f"{self.producer}: {self.expression}"


def _rows() -> Iterator[Row]:
    for row in json.loads(Path(__file__).with_name("producers.json").read_text()):
        yield Row(
            row["producer"], row["version"], row["kind"], row["expression"],
            row["data"].encode("latin-1"), row["mtimeMs"], row["after"], row["before"], row["zone"],
        )  # fmt: skip


ROWS = [*_rows()]


def in_zone(monkeypatch: pytest.MonkeyPatch, zone: str) -> None:
    """Let this process be in a time zone. Call ``time.tzset`` again when the patch is undone."""
    monkeypatch.setenv("TZ", zone)
    time.tzset()
