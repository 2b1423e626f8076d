"""The question before an act. It belongs to one attempt of one job, and is void after a while."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from jobctl.cli.job_table.frame import Row, row_of, wrapped
from jobctl.cli.text import fit, visible, width
from jobctl.core.job import Job
from jobctl.core.pipeline import FAILED

__all__ = ["VOID_MS", "Question", "refusal"]

_NARROW = 40  # columns
VOID_MS = 10_000
"""A question that is not answered for this long is void."""


@dataclass(frozen=True, slots=True)
class Question:
    """Whether to cancel or retry this attempt of the job."""

    verb: Literal["cancel", "retry"]
    id: str
    attempt: int
    asked_ms: int

    def void(self, job: Job | None, now_ms: int) -> str:
        """Return why the question is void, or an empty string while it is open."""
        if job is None:
            return f"job {self.id} is gone"
        if job.retry_count != self.attempt:
            return f"job {self.id} is at its next attempt: ask again"
        if reason := refusal(self.verb, job):
            return reason
        if not 0 <= now_ms - self.asked_ms < VOID_MS:
            return f"no answer for {VOID_MS // 1000} s: job {self.id} stays as it is"
        return ""

    def rows(self, job: Job, short: str, columns: int, most: int) -> list[Row]:
        """Return the question as at most this many rows of the screen; the choice is always seen.

        It names the job's id (the ``short`` one on a narrow screen), title and command.
        """
        choice = " [y/N]"
        narrow = columns < _NARROW
        text = f"{self.verb.capitalize()} {short if narrow else self.id}"
        if self.attempt:
            text += f" (attempt {self.attempt + 1})"
        if job.title:
            text += f' "{_short(job.title, columns // 2 if narrow else max(columns // 2, 40))}"'
        if job.command is not None:
            import shlex

            text += f": {shlex.join(job.command.argv)}"
        else:
            text += f": {job.type}"
        room = columns * most - width(choice) - most
        lines = wrapped(_short(text, room) + choice, columns)
        while len(lines) > most and room > 1:  # wide characters and words took more room
            room -= max(columns // 2, 1)
            lines = wrapped(_short(text, room) + choice, columns)
        return [row_of(line, columns, "bold") for line in lines[-most:]]


def refusal(verb: str, job: Job) -> str:
    """Return why this cannot be done with the job, or an empty string."""
    if verb == "cancel" and not job.active:
        return f"job {job.id} has ended: {job.shown_stage}"
    if verb == "retry" and job.stage != FAILED:
        return f"job {job.id} has not failed: its stage is {visible(job.shown_stage)}"
    return ""


def _short(text: str, columns: int) -> str:
    return fit(visible(text), max(columns, 1))
