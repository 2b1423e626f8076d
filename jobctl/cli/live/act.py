"""What the user has asked for, and the caller has to do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["Act", "Verb"]

Verb = Literal["quit", "cancel", "retry"]


@dataclass(frozen=True, slots=True)
class Act:
    """End the view, or cancel or retry the ``attempt`` (`Job.retry_count`) of the job ``id``."""

    verb: Verb
    id: str = ""
    attempt: int = 0
