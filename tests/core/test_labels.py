"""Labels: which ones a job may have, how files of others are read, and what selectors select."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given

from jobctl.core import transitions as jobs
from jobctl.core.codec import encode, parse, parse_wire, to_wire
from jobctl.core.filters import Filter
from jobctl.core.job import Job
from jobctl.core.labels import MAX_LABELS, check_labels, parse_labels, parse_selectors, selects
from jobctl.errors import InvalidJob, JobctlError, UsageError
from tests import strategies
from tests.strategies import T0

LABELS = {"team": "data", "app/name": "etl", "empty": ""}


@pytest.mark.parametrize(
    ("texts", "labels"),
    [
        ([], None),
        (["team=data"], {"team": "data"}),
        (["a=1", "b.c/d-e_f=", "a=1"], {"a": "1", "b.c/d-e_f": ""}),
        (["url=https://x/?a=b"], {"url": "https://x/?a=b"}),
        (["who=Zoë Müller"], {"who": "Zoë Müller"}),
    ],
)
def test_labels_are_keys_and_values(texts: list[str], labels: dict[str, str] | None) -> None:
    """The first equals sign separates them; a value may be empty."""
    assert parse_labels(texts) == labels


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        (["team"], "'team' is no label; write KEY=VALUE"),
        (["=x"], "'' is not the key of a label"),
        (["a b=x"], "'a b' is not the key of a label"),
        (["k!=x"], "'k!' is not the key of a label"),
        (["-k=x"], "'-k' is not the key of a label"),
        (["k" * 129 + "=x"], "is not the key of a label"),
        (["k==x"], "the label k begins with '='"),
        (["k=a,b"], "the label k has a comma, which separates selectors: 'a,b'"),
        (["k=\x1b[2J"], "the label k has a control character"),
        (["k= x"], "a space at its start"),
        (["k=" + "x" * 257], "the label k has 257 characters, over the 256 allowed"),
        (["k=1", "k=2"], "the label 'k' is given two values"),
        ([f"k{n}=" for n in range(MAX_LABELS + 1)], "33 labels, over the 32"),
    ],
)
def test_what_is_no_label_is_named(texts: list[str], said: str) -> None:
    """With the key, and what is wrong."""
    with pytest.raises(UsageError) as caught:
        parse_labels(texts)
    assert said in str(caught.value)
    assert len(str(caught.value)) < 250


@pytest.mark.parametrize("labels", [{"k": 3}, {3: "k"}])
def test_labels_from_python_are_texts(labels: Any) -> None:
    """A number is not turned into text silently."""
    with pytest.raises(UsageError, match=r"not a text|not the key"):
        check_labels(labels)


@pytest.mark.parametrize(
    ("selector", "canonical", "selected"),
    [
        ("team=data", {"team=data"}, True),
        ("team==data", {"team=data"}, True),
        (" team = data ", {"team=data"}, True),
        ("team=web", {"team=web"}, False),
        ("team!=web", {"team!=web"}, True),
        ("team!=data", {"team!=data"}, False),
        ("other!=data", {"other!=data"}, True),
        ("other=", {"other="}, False),
        ("empty=", {"empty="}, True),
        ("team", {"team"}, True),
        ("other", {"other"}, False),
        ("!other", {"!other"}, True),
        ("!team", {"!team"}, False),
        ("team=data,app/name=etl", {"team=data", "app/name=etl"}, True),
        ("team=data,app/name=web", {"team=data", "app/name=web"}, False),
    ],
)
def test_selectors_are_those_of_kubectl(selector: str, canonical: set[str], selected: bool) -> None:
    """Several must all be met, and each has one form, so that equal filters have equal tags."""
    assert parse_selectors([selector]) == canonical
    assert selects(canonical, LABELS) is selected
    assert selects(canonical, None) is selects(canonical, {})
    assert Filter.make(labels=[selector]) == Filter.from_wire({"label": selector})


@pytest.mark.parametrize("text", ["", ",", "team=data,", "!", "=x", "!=x", "k in (a,b)", "a\nb"])
def test_what_selects_no_labels_is_named(text: str) -> None:
    """An empty selector would otherwise select everything."""
    with pytest.raises(UsageError, match="selects no labels; write KEY=VALUE, KEY!=VALUE"):
        Filter.make(labels=[text])


def test_a_job_keeps_its_labels_through_every_move() -> None:
    """They are on disk and on the wire, for readers without details too."""
    job = jobs.create("etl", now=T0, id="a", labels={"team": "data"})
    job = jobs.retry(jobs.fail(jobs.advance(job, "x", now=T0), "no", now=T0), now=T0)
    assert json.loads(encode(job))["labels"] == {"team": "data"}
    assert parse(encode(job), id="a").labels == {"team": "data"}
    assert json.loads(to_wire(job))["labels"] == {"team": "data"}


def test_a_job_without_labels_has_no_such_key() -> None:
    """As in the files of before."""
    for labels in (None, {}):
        job = jobs.create("etl", now=T0, id="a", labels=labels)
        assert job.labels is None
        assert b"labels" not in encode(job) + to_wire(job)


def _read(labels: Any) -> Job:
    return parse(json.dumps({"stage": "load", "labels": labels}).encode(), id="a")


@pytest.mark.parametrize(
    ("value", "labels", "remark"),
    [
        ({"team": "data"}, {"team": "data"}, None),
        ({}, {}, None),
        (None, None, None),
        ([], None, None),
        ({"shard": 3, "on": True, "r": ["x"]}, {"shard": "3", "on": "true", "r": "x"}, "read as"),
        ({"a": "b", "c": None, "d": {"e": 1}}, {"a": "b"}, "left out"),
        (["team=data"], None, "a list, not an object: ignored"),
        ("team=data", None, "a text, not an object: ignored"),
    ],
)
def test_odd_labels_of_other_programs_are_read(
    value: Any, labels: dict[str, str] | None, remark: str | None
) -> None:
    """FAULTS row 68: they never cost the job."""
    job = _read(value)
    said = [str(item) for item in job.remarks if item.key == "labels"]
    assert job.labels == labels
    assert (said == []) if remark is None else (remark in said[0])


def test_odd_labels_keep_their_bytes() -> None:
    """A move of the job rewrites only the keys that it sets."""
    job = _read({"shard": 3})
    assert b'"labels": {"shard": 3}' in encode(jobs.advance(job, "check", now=T0))


def test_odd_labels_from_a_hub_cost_no_delta() -> None:
    """A hub of jobctl 0.1.0 does not know the key, and sends what the file has."""
    job = jobs.create("etl", now=T0, id="a")
    value = json.loads(to_wire(job)) | {"labels": {"shard": 3, "x": None}}
    assert parse_wire(value).labels == {"shard": "3"}


@given(strategies.stored_jobs(), strategies.filters)
def test_the_wire_form_keeps_what_filters_look_at(job: Job, filter: Filter) -> None:
    """So a replica selects as its source does."""
    again = parse_wire(json.loads(to_wire(job, details=True)))
    assert filter.matches(again) is filter.matches(job)


def test_labels_that_cannot_be_written_are_refused() -> None:
    """As any other value."""
    job = jobs.create("etl", now=T0, id="a").replace(labels={"k": 3})
    with pytest.raises((InvalidJob, JobctlError), match="labels"):
        encode(job)


def test_a_filter_from_the_wire_has_a_limited_number_of_selectors() -> None:
    """Commas count too: the hub keeps each of them during the session."""
    for label in (["a"] * 1001, ",".join(f"k{n}" for n in range(1001))):
        with pytest.raises(UsageError, match="1000 values at the most"):
            Filter.from_wire({"label": label})
    assert len(Filter.from_wire({"label": ",".join(f"k{n}" for n in range(1000))}).labels) == 1000
