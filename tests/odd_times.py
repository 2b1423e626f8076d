"""Ended jobs whose times are odd, as other programs write them, and when each of them ended."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

from jobctl.core.times import to_text

__all__ = ["GO_ZERO", "SECOND", "Case", "cases", "write"]

GO_ZERO = "0001-01-01T00:00:00Z"
"""What Go and .NET write for a time that was never set."""
SECOND = 1000
_DAY = 86_400_000


class Case(NamedTuple):
    """A job file's keys; when the job ended, and how long it took, in milliseconds."""

    keys: dict[str, Any]
    ended_ms: int | None
    elapsed_ms: int | None


def cases(now_ms: int) -> dict[str, Case]:
    """All of them by id; whatever else they are, none of them ended over a minute ago."""

    def ago(ms: int) -> str:
        return to_text(now_ms - ms)

    just_now, minute, long_ago = ago(SECOND), ago(60 * SECOND), ago(30 * _DAY)
    end = now_ms - SECOND
    done, failed = {"stage": "completed"}, {"stage": "failed", "completedAt": None}
    usual = {"createdAt": minute, "updatedAt": just_now}
    found = {
        "usual": Case({**done, **usual, "completedAt": just_now}, end, 59_000),
        "go-zero": Case({**done, **usual, "completedAt": GO_ZERO}, end, 59_000),
        "go-zero-there": Case(
            {**done, **usual, "completedAt": "0001-01-01T00:00:00+01:00"}, end, 59_000
        ),
        "unix-zero": Case({**done, **usual, "completedAt": "1970-01-01T00:00:00Z"}, end, 59_000),
        "no-end": Case({**done, **usual, "completedAt": None}, end, 59_000),
        "last-day-of-all": Case(
            {**done, **usual, "completedAt": "9999-12-31T23:59:59.999Z"}, end, 59_000
        ),
        "before-it-began": Case({**done, **usual, "completedAt": long_ago}, end, 59_000),
        "failed": Case({**failed, **usual}, end, 59_000),
        "failed-go-zero": Case({**failed, **usual, "completedAt": GO_ZERO}, end, 59_000),
        "failed-again": Case(  # `completedAt` is of the attempt before
            {
                "stage": "failed",
                "createdAt": long_ago,
                "completedAt": ago(20 * _DAY),
                "stageStartedAt": just_now,
                "updatedAt": just_now,
            },
            end,
            30 * _DAY - SECOND,
        ),
        "training": Case(  # and nobody moved `updatedAt`
            {**done, "createdAt": ago(8 * _DAY), "updatedAt": ago(8 * _DAY),
             "completedAt": just_now},
            end,
            8 * _DAY - SECOND,
        ),
        "training-go-zero": Case(
            {**done, "createdAt": ago(8 * _DAY), "updatedAt": just_now, "completedAt": GO_ZERO},
            end,
            8 * _DAY - SECOND,
        ),
        "no-beginning": Case(
            {**done, "createdAt": GO_ZERO, "updatedAt": just_now, "completedAt": GO_ZERO},
            end,
            None,
        ),
        "end-only": Case(
            {**done, "createdAt": GO_ZERO, "updatedAt": GO_ZERO, "completedAt": just_now},
            end,
            None,
        ),
        "updated-before-it-began": Case(
            {**failed, "createdAt": minute, "updatedAt": long_ago, "stageStartedAt": GO_ZERO},
            now_ms - 60 * SECOND,
            0,
        ),
        "never-updated": Case(
            {**failed, "createdAt": long_ago, "updatedAt": long_ago, "stageStartedAt": just_now},
            end,
            30 * _DAY - SECOND,
        ),
        "stage-only": Case(
            {**done, "createdAt": minute, "updatedAt": GO_ZERO, "completedAt": GO_ZERO,
             "stageStartedAt": just_now},
            end,
            59_000,
        ),
        "nothing": Case(
            {**done, "createdAt": GO_ZERO, "updatedAt": GO_ZERO, "completedAt": GO_ZERO,
             "stageStartedAt": GO_ZERO},
            None,
            None,
        ),
    }  # fmt: skip
    return {
        id: case._replace(keys={"id": id, "type": "etl", **case.keys}) for id, case in found.items()
    }


def write(directory: Path, *files: dict[str, Any]) -> None:
    """The files as another program writes them."""
    directory.mkdir(exist_ok=True)
    for keys in files:
        (directory / f"{keys['id']}.json").write_text(json.dumps(keys))
