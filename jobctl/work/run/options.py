"""The options of one run of a command."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

__all__ = ["GRACE_S", "RunOptions"]

GRACE_S = 10.0
"""Seconds between SIGTERM and SIGKILL for a cancelled command."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """How a command is tracked.

    ``ok`` are exit codes that count as success, besides 0. After ``timeout_s`` the command is ended
    as on a cancel request, and the job fails. ``keep_env`` are the variables whose values the job
    keeps. Without ``relay`` the command writes to our standard error directly, and the job has no
    last lines. With ``again``, a job with this ``id`` that has ended gets another attempt.

    With ``adopt_orphans`` this process adopts, until the command has ended, the processes that it
    has started and whose parent is gone (on Linux). So they are found when the command is to be
    ended. Only for a process that has no children of its own, since all are reaped.

    ``on_start`` is called once the job is recorded and the command has started.

    ``log`` says which output is kept with the job: ``on`` (standard error, and standard output
    where it is a terminal or leads to the same place), ``all`` (standard output in any case),
    ``on-failure`` (as ``on``, but removed if the job completes), or ``off``. By default it is
    ``on``, without what is written to a terminal. ``unread`` are descriptors (1, 2) that nobody
    reads: what is written to them is kept as if it went to one terminal.
    """

    type: str = "run"
    title: str | None = None
    stages: tuple[str, ...] | None = None
    session: str | None = None
    labels: Mapping[str, str] | None = None
    id: str | None = None
    again: bool = False
    keep_env: tuple[str, ...] = ()
    ok: tuple[int, ...] = ()
    timeout_s: float | None = None
    grace_s: float = GRACE_S
    relay: bool = True
    adopt_orphans: bool = False
    on_start: Callable[[], None] | None = None
    log: str | None = None
    unread: tuple[int, ...] = ()
