"""Pipelines: the built-in ones by the letter, own stages, and what nobody knows."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobctl.pipeline import BUILT_IN, pipeline_of
from tests import strategies


@pytest.mark.parametrize(
    ("type", "label", "eta_ms"),
    [
        ("create_session", "Creating session", (30_000, 120_000)),
        ("submit_answers", "Generating result", (20_000, 90_000)),
        ("create_next_round", "Creating next round", (20_000, 90_000)),
        ("add_more_questions", "Adding questions", (15_000, 60_000)),
    ],
)
def test_the_built_in_types(type: str, label: str, eta_ms: tuple[int, int]) -> None:
    """Labels and ETA bands of the program that jobctl ports."""
    pipeline = pipeline_of(type)
    assert (pipeline.label, pipeline.eta_ms, pipeline.stalled_after_ms) == (label, eta_ms, 60_000)


def test_there_are_four_built_in_types() -> None:
    """The table above is the whole of them."""
    assert len(BUILT_IN) == 4


@pytest.mark.parametrize("type", list(BUILT_IN))
def test_the_built_in_stages(type: str) -> None:
    """Names, labels and percentages of the program that jobctl ports."""
    assert [(stage.name, stage.label, stage.percent) for stage in pipeline_of(type).stages] == [
        ("pending", "Queued", 0),
        ("extract", "Extracting", 15),
        ("analyze", "Analyzing", 40),
        ("generate", "Generating", 75),
        ("finalize", "Finalizing", 95),
        ("completed", "Completed", 100),
    ]


def test_own_stages_are_spread_evenly() -> None:
    """Without labels, without a band, never stalled."""
    pipeline = pipeline_of("etl", ["fetch", "clean", "load"])
    assert [(stage.name, stage.percent) for stage in pipeline.stages] == [
        ("pending", 0),
        ("fetch", 25),
        ("clean", 50),
        ("load", 75),
        ("completed", 100),
    ]
    assert (pipeline.label, pipeline.eta_ms, pipeline.stalled_after_ms) == ("etl", None, None)


def test_a_built_in_type_keeps_its_labels_under_the_same_stages() -> None:
    """A job that names the stages of its type is of that type."""
    same = pipeline_of("create_session", ["extract", "analyze", "generate", "finalize"])
    assert same is BUILT_IN["create_session"]
    other = pipeline_of("create_session", ["extract"])
    assert (other.label, other.names()) == ("Creating session", ("pending", "extract", "completed"))


def test_the_way_goes_on_stage_by_stage() -> None:
    """Each stage's next one; none after the end, after a failure or where nothing is known."""
    pipeline = pipeline_of("create_session")
    names = pipeline.names()
    assert [pipeline.next(name) for name in names] == [*names[1:], None]
    assert pipeline.next("failed") is None
    assert pipeline.next("launching rockets") is None


def test_an_unknown_stage_is_shown_as_it_stands() -> None:
    """It has no percentage, and is no error."""
    pipeline = pipeline_of("create_session")
    assert pipeline.label_of("launching rockets") == "launching rockets"
    assert pipeline.percent("launching rockets") is None
    assert (pipeline.label_of("failed"), pipeline.percent("failed")) == ("Failed", None)


def test_progress_moves_between_a_stage_and_the_next() -> None:
    """Half of generate is half-way from 75 to 95; nonsense is cut to the stage."""
    pipeline = pipeline_of("create_session")
    assert pipeline.percent("generate") == 75
    assert pipeline.percent("generate", 0.5) == 85
    assert pipeline.percent("generate", 7.0) == 95
    assert pipeline.percent("generate", -1.0) == 75
    assert pipeline.percent("completed", 0.5) == 100


@given(
    st.sampled_from(strategies.TYPES),
    st.none() | st.lists(strategies.text, unique=True, max_size=70),
    st.floats(0, 1),
    st.floats(0, 1),
)
def test_percentages_only_grow(
    type: str, stages: list[str] | None, some: float, more: float
) -> None:
    """Along the pipeline and within a stage, from 0 to 100, whatever stages a file brings."""
    pipeline = pipeline_of(type, stages)
    low, high = sorted((some, more))
    way = [
        percent
        for name in pipeline.names()
        for percent in (pipeline.percent(name, low), pipeline.percent(name, high))
    ]
    assert None not in way
    assert way == sorted(way, key=lambda percent: percent or 0)
    assert (pipeline.percent("pending"), way[-1]) == (0, 100)
