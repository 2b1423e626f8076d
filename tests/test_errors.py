"""Errors: one tree, one line each, one exit code each."""

from __future__ import annotations

import inspect

import pytest

from jobctl import errors
from jobctl.errors import JobctlError, did_you_mean

EXAMPLES = [
    errors.ActRefused("conflict", "job a is at attempt 2, not 1", hint="look at it"),
    errors.UsageError("no such thing", hint="try another"),
    errors.InvalidId("../\x1b[2J"),
    errors.InvalidId("x" * 10_000),
    errors.InvalidCursor("nonsense\n"),
    errors.InvalidJob("empty", id="a1"),
    errors.InvalidJob("empty"),
    errors.NotObeyed("data/jobs", "it belongs to uid 7", so="nothing is run", hint="trust it"),
    errors.NotObeyed("data/jobctl.toml", "it belongs to uid 7"),
    errors.IllegalTransition("a1", "completed", "advance", ()),
    errors.IllegalTransition("a1", "sta\nge", "advance", ("fail", "cancel")),
    errors.Conflict("job a1 exists already"),
    errors.JobNotFound("a1", "data/jobs"),
    errors.JobNotFound("\x1b[2J", "data/jobs"),
    errors.JobNotFound("a", "data/jobs", [f"a{number}" for number in range(100)]),
    errors.LogNotFound("a1", "its log is off"),
    errors.StoreError("disk full", path="data/jobs"),
    errors.DamagedFile("data/jobs/a1.json", "a1", "empty"),
    errors.DamagedFile("data/jobs/a1.json", "a1", "empty", kept=True),
    errors.StoreMissing("data/jobs"),
    errors.StoreLocked("data/jobs", 5.0, 77),
    errors.StoreLocked("data/jobs", 5.0, None),
    errors.StoreFull("disk full writing a1", path="data/jobs"),
    errors.HubError("no hub", url="ws://127.0.0.1:8765"),
    errors.AddressInUse("127.0.0.1", 8765),
    errors.ProtocolError("not a delta"),
    errors.DigestMismatch("what is held differs", url="ws://127.0.0.1:8765"),
    errors.TimedOut("waited 5 s"),
    errors.Cancelled("a1"),
]
CLASSES = [
    value
    for value in vars(errors).values()
    if inspect.isclass(value) and issubclass(value, JobctlError)
]


@pytest.mark.parametrize("error", EXAMPLES, ids=lambda error: type(error).__name__)
def test_an_error_is_one_line(error: JobctlError) -> None:
    """Short, without control characters, whatever was given; the hint comes last."""
    text = str(error)
    assert text
    assert text.isprintable()
    assert len(text) < 400
    if error.hint:
        assert text.endswith(error.hint)


def test_every_class_is_shown_above() -> None:
    """But for the base itself."""
    assert {type(error) for error in EXAMPLES} == set(CLASSES) - {JobctlError}


@pytest.mark.parametrize(
    ("base", "exit_code"),
    [
        (errors.UsageError, 2),
        (errors.IllegalTransition, 1),
        (errors.Conflict, 1),
        (errors.JobNotFound, 4),
        (errors.StoreError, 5),
        (errors.HubError, 5),
        (errors.TimedOut, 124),
    ],
)
def test_each_branch_has_its_exit_code(base: type[JobctlError], exit_code: int) -> None:
    """Scripts depend on it."""
    branch = [error for error in CLASSES if issubclass(error, base)]
    assert {error.exit_code for error in branch} == {exit_code}


def test_the_tree_at_the_top_is_the_tree() -> None:
    """Every class stands in the drawing and in ``__all__``, and no other name of one does."""
    names = {error.__name__ for error in CLASSES}
    assert {name for name in errors.__all__ if name[0].isupper()} == names
    drawing = (errors.__doc__ or "").split("An error carries")[0]
    assert {name for name in names if f"{name} " in drawing or f"{name}\n" in drawing} == names


def test_an_error_that_lists_says_how_many() -> None:
    """Four of them, and that there are more."""
    error = errors.JobNotFound("a", "data/jobs", ["a1", "a2", "a3", "a4", "a5"])
    assert (
        str(error) == "a is the start of 5 ids in data/jobs; write more of it: a1, a2, a3, a4, ..."
    )
    assert error.candidates == ("a1", "a2", "a3", "a4", "a5")


def test_word_itself_is_never_meant() -> None:
    """A known word can be refused as well, such as a stage that is past."""
    assert did_you_mean("lod", ["load", "fetch"]) == "did you mean 'load'?"
    assert did_you_mean("load", ["load", "loads"]) is None
