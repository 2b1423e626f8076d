"""Stages that an option names and that nothing here has: most are typing errors."""

from __future__ import annotations

from jobctl.core.pipeline import CANCELLED, FAILED, Pipelines
from jobctl.errors import did_you_mean

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from jobctl.core.job import Job

__all__ = ["unknown_stage"]


def unknown_stage(
    stages: Sequence[str], pipelines: Pipelines, jobs: Callable[[], Iterable[Job]] | None = None
) -> str | None:
    """Return a hint about the first of the stages that no type and no job has; ``None`` if none.

    ``jobs`` reads all jobs: it is called only for a stage that no type has. Without it, only a
    stage whose name is similar to a known one gets a hint.
    """
    known = {stage for pipeline in pipelines.all().values() for stage in pipeline.names()}
    known |= {FAILED, CANCELLED}
    if all(stage in known for stage in stages):
        return None
    if jobs is not None:
        for job in jobs():
            known |= {*pipelines.of(job).names(), *(entry.stage for entry in job.timeline())}
    odd = next((stage for stage in stages if stage not in known), None)
    if odd is None:
        return None
    meant = did_you_mean(odd, known)
    if jobs is None:
        return f"no type has a stage {ascii(odd)}; {meant}" if meant else None
    said = f"no type and no job has a stage {ascii(odd)}"
    return f"{said}; {meant}" if meant else said
