"""Files of other programs that have a ``stage`` and little else, and how to make jobs of them."""

from __future__ import annotations

from typing import Any

import pytest

from jobctl._clock import now_ms
from jobctl.core import codec
from jobctl.core.times import to_text
from jobctl.errors import InvalidJob

__all__ = ["OLD", "full", "take_bare_files"]

OLD = to_text(now_ms() - 30 * 86_400_000)
"""A month ago."""


def full(id: str, **keys: Any) -> dict[str, Any]:
    """What `prune` needs to see in a job of another program: it completed a month ago."""
    return {
        "id": id,
        "type": "etl",
        "stage": "completed",
        "createdAt": OLD,
        "updatedAt": OLD,
        "completedAt": OLD,
        **keys,
    }


def take_bare_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """Read a file that lacks all but a ``stage`` as a job that ended a month ago.

    The reader is stricter today, and quarantines such a file. What is given here is what a more
    liberal one will give; where that has come, this changes nothing.
    """
    try:
        codec.parse(b'{"stage": "completed"}', id="x")
    except InvalidJob:
        strict = codec._parse_strictly

        def lax(text: str, id: str) -> dict[str, Any]:
            return {"id": id, "type": "job", "createdAt": OLD, "updatedAt": OLD} | strict(text, id)

        monkeypatch.setattr(codec, "_parse_strictly", lax)
        monkeypatch.setattr(codec, "_quick", lambda text: None)
