"""Filters: what they let pass, how they travel, and how cursors tell them apart."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given

from jobctl.core import transitions as jobs
from jobctl.core.filters import EVERYTHING, Filter
from jobctl.core.job import Job
from jobctl.errors import InvalidId, UsageError
from tests import strategies

JOB = jobs.create("etl", now=strategies.T0, id="a1", session_id="s1")
DONE = jobs.complete(JOB, now=strategies.T0)


@pytest.mark.parametrize(
    ("wire", "passes"),
    [
        ({}, True),
        ({"id": "a1"}, True),
        ({"id": ["b1", "a1"]}, True),
        ({"id": "b1"}, False),
        ({"type": "etl"}, True),
        ({"type": "ETL"}, False),
        ({"stage": ["pending", "failed"]}, True),
        ({"stage": "completed"}, False),
        ({"session": "s1"}, True),
        ({"session": "s2"}, False),
        ({"active": True}, True),
        ({"active": False}, True),
        ({"id": "a1", "type": "etl", "stage": "pending", "session": "s1", "active": True}, True),
        ({"id": "a1", "session": "s2"}, False),
    ],
)
def test_the_same_field_is_or_and_different_fields_are_and(wire: Any, passes: bool) -> None:
    """As in every tool that takes an option twice."""
    assert Filter.from_wire(wire).matches(JOB) is passes


def test_active_lets_no_ended_job_pass() -> None:
    """Neither a completed nor a failed one."""
    active = Filter(active=True)
    assert active.matches(JOB)
    assert not active.matches(DONE)
    assert not active.matches(jobs.fail(JOB, "no", now=strategies.T0))
    assert EVERYTHING.matches(DONE)


def test_a_job_without_a_session_is_of_none() -> None:
    """The empty session is a session; none is not."""
    alone = jobs.create("etl", now=strategies.T0)
    assert not Filter(sessions=frozenset({""})).matches(alone)


@given(strategies.filters)
def test_a_filter_travels(filter: Filter) -> None:
    """And comes back equal, with the same tag."""
    again = Filter.from_wire(filter.to_wire())
    assert again == filter
    assert again.tag == filter.tag


@given(strategies.filters, strategies.filters)
def test_the_tag_tells_filters_apart(some: Filter, other: Filter) -> None:
    """Equal filters share it; no filter has none."""
    assert (some.tag == other.tag) == (some == other)
    assert (some.tag == "") == (some == EVERYTHING)


def test_the_tag_does_not_depend_on_the_order_or_the_process() -> None:
    """A cursor is kept in files: this one must still be known after a restart."""
    assert Filter.make(types=["a", "b"]).tag == Filter.make(types=["b", "a"]).tag == "46d5d2"


@given(strategies.filters, strategies.new_jobs())
def test_what_matches_may_be_held(filter: Filter, job: Job) -> None:
    """And an id that may not be held never matches."""
    if filter.matches(job):
        assert filter.may_hold(job.id)


@pytest.mark.parametrize(
    "wire",
    [
        [],
        "etl",
        7,
        {"types": ["etl"]},
        {"type": 7},
        {"type": [7]},
        {"type": None},
        {"type": {"a": 1}},
        {"active": 1},
        {"active": "true"},
        {"active": None},
    ],
)
def test_nonsense_is_no_filter(wire: object) -> None:
    """A misspelt field would otherwise show everything."""
    with pytest.raises(UsageError, match="filter"):
        Filter.from_wire(wire)


def test_an_id_that_cannot_be_one_is_no_filter() -> None:
    """FAULTS row 55."""
    with pytest.raises(InvalidId):
        Filter.from_wire({"id": "../x"})


def test_no_filter_lets_everything_pass() -> None:
    """Also when it is not there at all."""
    assert Filter.from_wire(None) == Filter.from_wire({}) == Filter.make() == EVERYTHING
