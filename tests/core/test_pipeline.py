"""Pipelines: the built-in ones exactly, own stages, and unknown types."""

from __future__ import annotations

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobctl.core.pipeline import BUILT_IN, BUILT_IN_ONLY, Pipeline, Pipelines, parse_types
from jobctl.core.transitions import advance, create
from jobctl.errors import UsageError
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
    pipeline = BUILT_IN_ONLY.find(type)
    assert (pipeline.label, pipeline.eta_ms, pipeline.stalled_after_ms) == (label, eta_ms, 60_000)


def test_there_are_four_built_in_types() -> None:
    """The table above is the whole of them."""
    assert len(BUILT_IN) == 4


@pytest.mark.parametrize("type", list(BUILT_IN))
def test_the_built_in_stages(type: str) -> None:
    """Names, labels and percentages of the program that jobctl ports."""
    assert [
        (stage.name, stage.label, stage.percent) for stage in BUILT_IN_ONLY.find(type).stages
    ] == [
        ("pending", "Queued", 0),
        ("extract", "Extracting", 15),
        ("analyze", "Analyzing", 40),
        ("generate", "Generating", 75),
        ("finalize", "Finalizing", 95),
        ("completed", "Completed", 100),
    ]


def test_own_stages_are_spread_evenly() -> None:
    """Without labels, without a band, never stalled."""
    pipeline = BUILT_IN_ONLY.find("etl", ["fetch", "clean", "load"])
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
    same = BUILT_IN_ONLY.find("create_session", ["extract", "analyze", "generate", "finalize"])
    assert same is BUILT_IN["create_session"]
    other = BUILT_IN_ONLY.find("create_session", ["extract"])
    assert (other.label, other.names()) == ("Creating session", ("pending", "extract", "completed"))


def test_the_way_goes_on_stage_by_stage() -> None:
    """Each stage's next one; none after the end, after a failure or where nothing is known."""
    pipeline = BUILT_IN_ONLY.find("create_session")
    names = pipeline.names()
    assert [pipeline.next(name) for name in names] == [*names[1:], None]
    assert pipeline.next("failed") is None
    assert pipeline.next("launching rockets") is None


def test_an_unknown_stage_is_shown_as_it_stands() -> None:
    """It has no percentage, and is no error."""
    pipeline = BUILT_IN_ONLY.find("create_session")
    assert pipeline.label_of("launching rockets") == "launching rockets"
    assert pipeline.percent("launching rockets") is None
    assert (pipeline.label_of("failed"), pipeline.percent("failed")) == ("Failed", None)


def test_progress_moves_between_a_stage_and_the_next() -> None:
    """Half of generate is half-way from 75 to 95; nonsense is cut to the stage."""
    pipeline = BUILT_IN_ONLY.find("create_session")
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
    pipeline = BUILT_IN_ONLY.find(type, stages)
    low, high = sorted((some, more))
    way = [
        percent
        for name in pipeline.names()
        for percent in (pipeline.percent(name, low), pipeline.percent(name, high))
    ]
    assert None not in way
    assert way == sorted(way, key=lambda percent: percent or 0)
    assert (pipeline.percent("pending"), way[-1]) == (0, 100)


def _types(text: str) -> dict[str, Pipeline]:
    tables = tomllib.loads(text)["types"]
    return parse_types({name: (table, "jobctl.toml") for name, table in tables.items()})


def test_type_of_ones_own() -> None:
    """Labels, weights, band, and when it is stalled."""
    etl = _types(
        """
        [types.etl]
        label = "Nightly load"
        stages = [{name = "fetch", label = "Fetching"}, {name = "load", weight = 3}, "check"]
        eta = "5m-20m"
        stalled-after = "10m"
        """
    )["etl"]
    assert etl.label == "Nightly load"
    assert etl.names() == ("pending", "fetch", "load", "check", "completed")
    assert [etl.label_of(name) for name in ("fetch", "load")] == ["Fetching", "load"]
    assert [etl.percent(name) for name in etl.names()] == [0, 0, 20, 80, 100]
    assert (etl.eta_ms, etl.stalled_after_ms) == ((300_000, 1_200_000), 600_000)


def test_type_that_has_to_succeed_regularly() -> None:
    """Without a grace it is a tenth of the time; the built-in types have no such time."""
    types = _types(
        'types.a.expect-every = "1d"\ntypes.a.grace = "2h"\n'
        'types.b.expect-every = "1h"\ntypes.c.label = "x"\n'
        'types.z.expect-every = "1h"\ntypes.z.grace = "0"\n'
    )
    hour_ms = 3_600_000
    assert (types["a"].expect_every_ms, types["a"].grace_ms) == (24 * hour_ms, 2 * hour_ms)
    assert (types["b"].expect_every_ms, types["b"].grace_ms) == (hour_ms, hour_ms // 10)
    assert types["c"].expect_every_ms is None
    assert types["z"].grace_ms == 0
    assert set(Pipelines(types).expected()) == {"a", "b", "z"}
    assert set(Pipelines(types).defined()) == {"a", "b", "c", "z"}
    assert BUILT_IN_ONLY.expected() == {}


def test_type_without_weights_is_spread_evenly() -> None:
    """As a job's own stages are."""
    types = _types('types.etl.stages = ["a", "b", "c"]\ntypes.one.eta = "90s"')
    own = BUILT_IN_ONLY.find("x", ("a", "b", "c"))
    assert [stage.percent for stage in types["etl"].stages] == [s.percent for s in own.stages]
    assert types["one"].eta_ms == (90_000, 90_000)


def test_built_in_type_is_changed_in_what_is_said() -> None:
    """The rest of it stays."""
    changed = _types('types.create_session.eta = "1s-2s"')["create_session"]
    assert changed.eta_ms == (1000, 2000)
    assert changed.stages == BUILT_IN["create_session"].stages
    assert changed.label == "Creating session"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("types.t = 3", "is no table"),
        ('types.t.lable = "x"', "did you mean 'label'"),
        ('types.t.label = ""', "label is no text"),
        ('types.t.stages = "a,b"', "is no list"),
        ('types.t.stages = ["a", "a"]', "twice"),
        ('types.t.stages = ["completed"]', "cannot be a stage"),
        ('types.t.stages = [{label = "x"}]', "no name"),
        ('types.t.stages = [{name = "a", weight = 0}]', "weight"),
        ('types.t.stages = [{name = "a", weight = true}]', "weight"),
        ('types.t.stages = [{name = "a", wieght = 1}]', "did you mean 'weight'"),
        ("types.t.stages = [3]", "is no table"),
        ('types.t.eta = "soon"', "no duration"),
        ('types.t.eta = "2m-1m"', "longer at its beginning"),
        ('types.t.stalled-after = "x"', "no duration"),
        ('types.t.expect-every = "often"', "no duration"),
        ('types.t.expect-every = "0"', "is no time"),
        ('types.t.expect-evry = "1d"', "did you mean 'expect-every'"),
        ('types.t.grace = "2h"', "goes with expect-every"),
        ('types.t.expect-every = "1d"\ntypes.t.grace = "x"', "no duration"),
        ('types."".label = "x"', "is not a type"),
        ('types."\\u001b".label = "x"', "is not a type"),
    ],
)
def test_type_that_makes_no_sense_is_a_usage_error(text: str, said: str) -> None:
    """It says in which file, at which type, and what."""
    with pytest.raises(UsageError, match=said) as caught:
        _types(text)
    assert str(caught.value).startswith("jobctl.toml: types.")


def test_defined_type_is_written_into_its_jobs() -> None:
    """Readers whose settings do not define it see the stages all the same."""
    known = Pipelines(_types('types.etl.stages = ["fetch", "load"]\ntypes.plain.label = "Plain"'))
    assert known.find("etl").names()[1:-1] == ("fetch", "load")
    assert known.find("etl", ("other",)).names()[1:-1] == ("other",)
    at = "2026-01-01T00:00:00.000Z"
    assert create("etl", now=at, pipelines=known).stages == ("fetch", "load")
    assert create("etl", now=at, stages=["x"], pipelines=known).stages == ("x",)
    assert create("plain", now=at, pipelines=known).stages is None
    assert create("create_session", now=at, pipelines=known).stages is None


def test_own_stages_change_nothing_else_of_a_type() -> None:
    """Its label, durations, log, and that workers take up its pending jobs."""
    text = 'label = "Load"\nstages = ["a", "b"]\neta = "1m-2m"\nstalled-after = "5m"\n'
    known = Pipelines(_types(f'[types.etl]\n{text}retry = true\nlog = "off"'))
    plain, own = known.find("etl"), known.find("etl", ["x", "y", "z"])
    assert own.names() == ("pending", "x", "y", "z", "completed")
    assert own._replace(stages=plain.stages) == plain
    assert plain.takes_retries
    assert plain.log == "off"


def test_two_settings_in_one_process_do_not_meet() -> None:
    """Each program passes its own pipelines on, so one job may be read under both."""
    at = "2026-01-01T00:00:00.000Z"
    one = Pipelines(_types('types.etl.stages = ["fetch", "load"]\ntypes.etl.stalled-after = "1s"'))
    other = Pipelines(_types('types.etl.stages = ["load", "check", "store"]'))
    foreign = create("etl", now=at)  # by a program without settings: it has no stages of its own
    assert advance(foreign, now=at, pipelines=one).stage == "fetch"
    assert advance(foreign, now=at, pipelines=other).stage == "load"
    loading = advance(foreign, "load", now=at)
    assert [known.of(loading).next("load") for known in (one, other)] == ["completed", "check"]
    assert [loading.percent_of(known) for known in (one, other)] == [66, 25]
    assert [loading.stalled(10**13, known) for known in (one, other)] == [True, False]
    assert BUILT_IN_ONLY.find("etl").names() == ("pending", "completed")
