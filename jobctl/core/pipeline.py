"""Pipelines: the ordered stages of a job type, with labels, weights and a usual duration.

The four types of the original program are built in. Settings may define others (`Pipelines`), and
a job may bring its own stages. An unknown type or stage is shown as it is and never refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from jobctl.core.times import parse_duration
from jobctl.errors import UsageError, did_you_mean

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NamedTuple, Protocol

    class _Staged(Protocol):
        """What a pipeline depends on; a `Job` is one."""

        @property
        def type(self) -> str: ...

        @property
        def stages(self) -> tuple[str, ...] | None: ...

else:
    from jobctl._stdlib import NamedTuple

__all__ = [
    "BUILT_IN",
    "BUILT_IN_ONLY",
    "CANCELLED",
    "COMPLETED",
    "FAILED",
    "LOG_MODES",
    "PENDING",
    "STALLED_AFTER_MS",
    "TERMINAL",
    "Pipeline",
    "Pipelines",
    "Stage",
    "parse_types",
]

PENDING = "pending"
COMPLETED = "completed"
FAILED = "failed"
TERMINAL = frozenset({COMPLETED, FAILED})
CANCELLED = "cancelled"
"""The stage as which a cancelled job is shown and filtered; in its file it is ``failed``."""

LOG_MODES = ("on", "all", "on-failure", "off")

STALLED_AFTER_MS = 60_000
"""A job of a built-in type that stays longer than this in one stage is *stalled*."""


class Stage(NamedTuple):
    """One stage: its ``name`` on disk, its ``label`` on screen, the ``percent`` done on entry."""

    name: str
    label: str
    percent: int


class Pipeline(NamedTuple):
    """The stages of a type, in order from ``pending`` to ``completed``.

    ``eta_ms`` is the usual (shortest, longest) duration, or ``None``. ``stalled_after_ms`` is
    ``None`` for types whose stages may take any time. ``takes_retries`` says that workers take up
    pending jobs of the type, so that a retry needs nothing else. ``log`` is which output of a
    command is kept (`LOG_MODES`), or ``None`` for what holds for other types. ``expect_every_ms``
    is how often a job of the type has to complete, with ``grace_ms`` of patience (see schedule.py),
    or ``None`` if nobody expects it.
    """

    type: str
    label: str
    stages: tuple[Stage, ...]
    eta_ms: tuple[int, int] | None = None
    stalled_after_ms: int | None = None
    takes_retries: bool = False
    log: str | None = None
    expect_every_ms: int | None = None
    grace_ms: int = 0

    def names(self) -> tuple[str, ...]:
        """Return the names of all stages, first to last, without ``failed``."""
        return tuple(stage.name for stage in self.stages)

    @property
    def is_closed(self) -> bool:
        """Whether stages are declared; a job without may enter any stage."""
        return len(self.stages) > 2

    def index(self, stage: str) -> int | None:  # type: ignore[override]
        """Return the position of a stage; ``None`` for ``failed`` and unknown stages."""
        for index, known in enumerate(self.stages):
            if known.name == stage:
                return index
        return None

    def next(self, stage: str) -> str | None:
        """Return the next stage; ``None`` at the end and for an unknown stage."""
        index = self.index(stage)
        if index is None or index + 1 >= len(self.stages):
            return None
        return self.stages[index + 1].name

    def label_of(self, stage: str) -> str:
        """Return the text to show for a stage: its label, or its name."""
        index = self.index(stage)
        if index is not None:
            return self.stages[index].label
        return "Failed" if stage == FAILED else stage

    def percent(self, stage: str, fraction: float = 0.0) -> int | None:
        """Return 0 to 100 for a stage and the ``fraction`` of it that is done.

        ``None`` if unknown.
        """
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


def parse_types(tables: Mapping[str, tuple[Any, str]]) -> dict[str, Pipeline]:
    """Return the pipelines from settings: ``[types.NAME]`` tables, each with its file's path.

    ``label`` is text. ``stages`` are names, or tables ``{name, label, weight}``, where the weight
    is the stage's share of the time. ``eta`` reads ``"30s-2m"``, ``stalled-after`` is a duration,
    ``retry`` is true for types whose workers take up pending jobs, ``log`` one of `LOG_MODES`.
    ``expect-every`` and ``grace`` are durations; without ``grace`` it is a tenth of the other.
    Missing keys are taken from the built-in type of that name, if there is one. `UsageError` names
    the place of an error.
    """
    return {name: _parse_type(name, table, path) for name, (table, path) in tables.items()}


_TYPE_KEYS = ("label", "stages", "eta", "stalled-after", "retry", "log", "expect-every", "grace")
_STAGE_KEYS = ("name", "label", "weight")


def _parse_type(name: str, table: Any, path: str) -> Pipeline:
    where = f"{path}: types.{ascii(name)[1:-1]}"
    if not name or len(name) > 64 or not name.isprintable():
        raise UsageError(f"{where} is not a type: 1 to 64 printable characters")
    _check_table(table, _TYPE_KEYS, where)
    base = BUILT_IN.get(name, Pipeline(name, name, _stages(())))
    stages = base.stages
    if "stages" in table:
        stages = _parse_stages(table["stages"], f"{where}.stages")
    eta, stalled = table.get("eta"), table.get("stalled-after")
    takes_retries = table.get("retry", base.takes_retries)
    if not isinstance(takes_retries, bool):
        raise UsageError(f"{where}.retry is neither true nor false")
    log = table.get("log", base.log)
    if log is not None and log not in LOG_MODES:
        raise UsageError(f"{where}.log is none of {', '.join(LOG_MODES)}")
    every_ms, grace_ms = _parse_expectation(table, where)
    return base._replace(
        label=_text(table.get("label", base.label), f"{where}.label"),
        stages=stages,
        eta_ms=_parse_band(eta, f"{where}.eta") if eta is not None else base.eta_ms,
        stalled_after_ms=(
            _milliseconds(stalled, f"{where}.stalled-after")
            if stalled is not None
            else base.stalled_after_ms
        ),
        takes_retries=takes_retries,
        log=log,
        expect_every_ms=every_ms,
        grace_ms=grace_ms,
    )


def _parse_expectation(table: Mapping[str, Any], where: str) -> tuple[int | None, int]:
    """Return how often the type is expected to succeed, and the grace, in milliseconds."""
    if "expect-every" not in table:
        if "grace" in table:
            hint = 'write expect-every = "1d" too'
            raise UsageError(f"{where}.grace goes with expect-every", hint=hint)
        return None, 0
    every_ms = _milliseconds(table["expect-every"], f"{where}.expect-every")
    if every_ms <= 0:
        raise UsageError(f"{where}.expect-every is no time", hint='write expect-every = "1d"')
    if "grace" not in table:
        return every_ms, every_ms // 10
    return every_ms, _milliseconds(table["grace"], f"{where}.grace")


def _parse_stages(value: Any, where: str) -> tuple[Stage, ...]:
    if not isinstance(value, list):
        raise UsageError(f"{where} is no list", hint='write stages = ["fetch", "load"]')
    parsed: list[tuple[str, str, float | None]] = []
    for item in value:
        table = {"name": item} if isinstance(item, str) else item
        _check_table(table, _STAGE_KEYS, where)
        if "name" not in table:
            raise UsageError(f"{where}: a stage has no name")
        name = _text(table["name"], f"{where}: name")
        if len(name) > 64 or name in (PENDING, *TERMINAL):
            raise UsageError(f"{where}: {ascii(name)[:80]} cannot be a stage of one's own")
        if name in [other for other, *_ in parsed]:
            raise UsageError(f"{where}: {ascii(name)} stands there twice")
        weight = table.get("weight")
        if weight is not None and (
            isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 < weight < 1e9
        ):
            raise UsageError(f"{where}: the weight of {name!r} is no number above 0")
        parsed.append((name, _text(table.get("label", name), f"{where}: label"), weight))
    if all(weight is None for *_, weight in parsed):
        return _evenly([(name, label) for name, label, _ in parsed])
    total = sum(weight or 1 for *_, weight in parsed)
    done, stages = 0.0, []
    for name, label, weight in parsed:
        stages.append((name, label, int(100 * done / total)))
        done += weight or 1
    return _stages(stages)


def _check_table(table: Any, keys: Sequence[str], where: str) -> None:
    if not isinstance(table, dict):
        raise UsageError(f"{where} is no table", hint=f"it may have {', '.join(keys)}")
    for key in table:
        if key not in keys:
            hint = did_you_mean(key, keys) or f"it may have {', '.join(keys)}"
            raise UsageError(f"{where} may have no {ascii(key)[1:-1]}", hint=hint)


def _text(value: Any, where: str) -> str:
    if not isinstance(value, str) or not value or not value.isprintable():
        raise UsageError(f"{where} is no text of printable characters")
    return value


def _parse_band(value: Any, where: str) -> tuple[int, int]:
    low, dash, high = str(value).partition("-")
    band = _milliseconds(low.strip(), where), _milliseconds((high if dash else low).strip(), where)
    if band[0] > band[1]:
        raise UsageError(f"{where}: {value} is longer at its beginning", hint='write "30s-2m"')
    return band


def _milliseconds(value: Any, where: str) -> int:
    try:
        return round(parse_duration(str(value)) * 1000)
    except ValueError as error:
        raise UsageError(f"{where}: {error}") from error


def _evenly(middle: Sequence[tuple[str, str]]) -> tuple[Stage, ...]:
    """Return stages of equal length; the time in ``pending`` counts as one more."""
    steps = len(middle) + 1
    return _stages(
        (name, label, 100 * place // steps) for place, (name, label) in enumerate(middle, 1)
    )


class Pipelines:
    """The types that a program knows: the built-in ones, and those that its settings define.

    Immutable. Whoever reads the settings makes one (see `parse_types`) and passes it on.
    """

    __slots__ = ("_defined",)

    def __init__(self, defined: Mapping[str, Pipeline] | None = None) -> None:
        self._defined = dict(defined or {})

    def all(self) -> dict[str, Pipeline]:
        """Return the pipelines by type."""
        return BUILT_IN | self._defined

    def defined(self) -> dict[str, Pipeline]:
        """Return the pipelines that settings define, by type."""
        return dict(self._defined)

    def expected(self) -> dict[str, Pipeline]:
        """Return those of them that have to succeed regularly; see schedule.py."""
        return {
            type: pipeline
            for type, pipeline in self._defined.items()
            if pipeline.expect_every_ms is not None
        }

    def find(self, type: str, stages: Sequence[str] | None = None) -> Pipeline:
        """Return the pipeline of a type, or that of a job of this type with its own ``stages``.

        Own stages are spread evenly between 0 and 100 and have no labels. An unknown type without
        own stages goes directly from pending to completed.
        """
        known = self._defined.get(type) or BUILT_IN.get(type)
        if stages is None or (known and tuple(stages) == known.names()[1:-1]):
            return known or Pipeline(type, type, _stages(()))
        middle = [(name, name) for name in stages if name != PENDING and name not in TERMINAL]
        if known is None:
            return Pipeline(type, type, _evenly(middle))
        return known._replace(type=type, stages=_evenly(middle))

    def of(self, job: _Staged) -> Pipeline:
        """Return the job's pipeline: its own stages, or those of its type."""
        return self.find(job.type, job.stages)

    def new_stages(self, type: str) -> tuple[str, ...] | None:
        """Return the stages that settings define for a type; ``None`` if they define no new ones.

        A new job of the type gets them as its own, for readers with other settings.
        """
        pipeline, built_in = self._defined.get(type), BUILT_IN.get(type)
        if pipeline is None or (built_in is not None and built_in.names() == pipeline.names()):
            return None
        return pipeline.names()[1:-1] or None


BUILT_IN_ONLY = Pipelines()
"""The types of a program without settings."""
