"""What the original program writes when it moves a job: it sets some keys, and keeps all others."""

from __future__ import annotations

import json
from typing import Any

from jobctl.core.codec import encode, parse
from jobctl.core.job import Job
from jobctl.core.times import to_ms


def at(second: int) -> str:
    """A time."""
    return f"2026-01-01T00:{second // 60:02d}:{second % 60:02d}.000Z"


def moved_to(stage: str, second: int) -> dict[str, Any]:
    """``updateStage``."""
    return {"stage": stage, "stageStartedAt": at(second), "updatedAt": at(second)}


def completed(second: int) -> dict[str, Any]:
    """``completeJob`` leaves ``stageStartedAt`` alone."""
    return {"stage": "completed", "completedAt": at(second), "updatedAt": at(second)}


def failed(second: int, error: str = "boom") -> dict[str, Any]:
    """``failJob`` leaves ``stageStartedAt`` alone too."""
    return {"stage": "failed", "error": error, "updatedAt": at(second)}


def retried(second: int, attempt: int = 1, **more: Any) -> dict[str, Any]:
    """``retryJob``, which may or may not set ``stageStartedAt``."""
    again = {"stage": "pending", "error": None, "retryCount": attempt, "completedAt": None}
    return again | {"updatedAt": at(second)} | more


def written(job: Job, *writes: dict[str, Any]) -> str:
    """The text of the job's file after these writes."""
    value = json.loads(encode(job))
    for write in writes:
        value |= write
    return json.dumps(value, indent=2, ensure_ascii=False)


def by_others(job: Job, *writes: dict[str, Any]) -> Job:
    """The job as its file reads after these writes."""
    return parse(written(job, *writes).encode(), id=job.id, file_ms=to_ms(at(3000)))
