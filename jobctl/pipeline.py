"""Pipelines: the ordered stages of a job type, with labels, progress weights and an ETA band.

Built in are the four types of the program that jobctl ports. A job may bring its own stages, and a
type or stage that nobody knows is shown as it stands, never rejected.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

__all__ = [
    "BUILT_IN",
    "COMPLETED",
    "FAILED",
    "PENDING",
    "STALLED_AFTER_MS",
    "TERMINAL",
    "Pipeline",
    "Stage",
    "pipeline_of",
]

PENDING = "pending"
COMPLETED = "completed"
FAILED = "failed"
TERMINAL = frozenset({COMPLETED, FAILED})

STALLED_AFTER_MS = 60_000
"""A job of a built-in type that stays longer than this in one stage is *stalled*."""


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage: its ``name`` on disk, its ``label`` on screen, the ``percent`` done on entry."""

    name: str
    label: str
    percent: int


@dataclass(frozen=True, slots=True)
class Pipeline:
    """What a type goes through: ``stages`` run in order from ``pending`` to ``completed``.

    ``eta_ms`` is the usual (shortest, longest) duration, ``None`` when unknown;
    ``stalled_after_ms`` is ``None`` for types whose stages may take any time.
    """

    type: str
    label: str
    stages: tuple[Stage, ...]
    eta_ms: tuple[int, int] | None = None
    stalled_after_ms: int | None = None

    def names(self) -> tuple[str, ...]:
        """All stages of the way to success, first to last."""
        return tuple(stage.name for stage in self.stages)

    def index(self, stage: str) -> int | None:
        """The place of a stage in the order; ``None`` for ``failed`` and unknown stages."""
        for index, known in enumerate(self.stages):
            if known.name == stage:
                return index
        return None

    def next(self, stage: str) -> str | None:
        """The stage after this one; ``None`` at the end and for a stage not of this pipeline."""
        index = self.index(stage)
        if index is None or index + 1 >= len(self.stages):
            return None
        return self.stages[index + 1].name

    def label_of(self, stage: str) -> str:
        """What to show for a stage: its label, or the stage as it stands."""
        index = self.index(stage)
        if index is not None:
            return self.stages[index].label
        return "Failed" if stage == FAILED else stage

    def percent(self, stage: str, fraction: float = 0.0) -> int | None:
        """0 to 100 for a stage and the ``fraction`` of it done; ``None`` when unknown."""
        index = self.index(stage)
        if index is None:
            return None
        here = self.stages[index].percent
        if index + 1 >= len(self.stages):
            return here
        return int(here + (self.stages[index + 1].percent - here) * min(max(fraction, 0.0), 1.0))


def _stages(middle: Iterable[tuple[str, str, int]]) -> tuple[Stage, ...]:
    return (
        Stage(PENDING, "Queued", 0),
        *(Stage(name, label, percent) for name, label, percent in middle),
        Stage(COMPLETED, "Completed", 100),
    )


_USUAL = _stages(
    [
        ("extract", "Extracting", 15),
        ("analyze", "Analyzing", 40),
        ("generate", "Generating", 75),
        ("finalize", "Finalizing", 95),
    ]
)


def _built_in(type: str, label: str, low_s: int, high_s: int) -> Pipeline:
    return Pipeline(type, label, _USUAL, (low_s * 1000, high_s * 1000), STALLED_AFTER_MS)


BUILT_IN: dict[str, Pipeline] = {
    pipeline.type: pipeline
    for pipeline in (
        _built_in("create_session", "Creating session", 30, 120),
        _built_in("submit_answers", "Generating result", 20, 90),
        _built_in("create_next_round", "Creating next round", 20, 90),
        _built_in("add_more_questions", "Adding questions", 15, 60),
    )
}


def pipeline_of(type: str, stages: Sequence[str] | None = None) -> Pipeline:
    """The pipeline of a type: the job's own ``stages`` if it brings some, else the built-in one.

    Own stages are spread evenly between 0 and 100 and carry no labels. An unknown type without
    stages of its own goes from pending straight to completed.
    """
    known = BUILT_IN.get(type)
    if stages is None or (known and tuple(stages) == known.names()[1:-1]):
        return known or Pipeline(type, type, _stages(()))
    middle = [name for name in stages if name != PENDING and name not in TERMINAL]
    steps = len(middle) + 1
    return Pipeline(
        type,
        known.label if known else type,
        _stages((name, name, 100 * place // steps) for place, name in enumerate(middle, 1)),
        known.eta_ms if known else None,
        known.stalled_after_ms if known else None,
    )
