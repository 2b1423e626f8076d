"""The search of the list: which jobs have a text in them."""

from __future__ import annotations

from jobctl.cli import formats
from jobctl.core.job import Job

__all__ = ["Search"]


class Search:
    """Finds jobs by id, type, title, message, error and labels; upper and lower case are one.

    Each word must be found somewhere. The texts of jobs are kept until the jobs change.
    """

    def __init__(self) -> None:
        self._texts: dict[str, tuple[Job, str]] = {}
        self.words: tuple[str, ...] = ()

    def look_for(self, text: str) -> None:
        """Set what to search for; nothing finds all."""
        self.words = tuple(text.casefold().split())
        if not self.words:
            self._texts.clear()

    def finds(self, job: Job) -> bool:
        """Whether the job has all words."""
        if not self.words:
            return True
        kept = self._texts.get(job.id)
        if kept is None or kept[0] is not job:
            kept = self._texts[job.id] = (job, _text_of(job))
        return all(word in kept[1] for word in self.words)


def _text_of(job: Job) -> str:
    parts = (
        job.id, job.type, job.title, job.message, job.error, formats.error(job),
        formats.labels(job), job.shown_stage,
    )  # fmt: skip
    return "\n".join(part for part in parts if part).casefold()
