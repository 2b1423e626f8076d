"""What a job shows to which reader: FAULTS row 65."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobctl.core import codec
from jobctl.core.codec import encode, parse, to_wire
from jobctl.core.job import Command, Job, values_of
from jobctl.core.opaque import as_opaque
from jobctl.core.redaction import default_title, redact
from tests.strategies import runs, stored_jobs

ARGV = ["/opt/tools/backup", "--password=hunter2", "a b"]
RUN = {
    "argv": ARGV,
    "cwd": "/home/hunter2",
    "env": {"TOKEN": "hunter2"},
    "exact": False,
    "exitCode": 2,
    "signal": None,
    "durationMs": 40,
    "maxRssBytes": 50_000_000,
    "cpuMs": 30,
    "stderr": ["hunter2"],
}
END = {
    "exact": False,
    "exitCode": 2,
    "signal": None,
    "durationMs": 40,
    "maxRssBytes": 50_000_000,
    "cpuMs": 30,
}


def job_with(run: Any, **fields: Any) -> Job:
    """A failed job whose key ``run`` is this."""
    at = "2026-01-01T00:00:00.000Z"
    base = {"id": "a1", "type": "run", "stage": "failed", "createdAt": at, "updatedAt": at}
    return Job(**base | {"run": run, **fields})


@pytest.mark.parametrize("details", [True, False])
def test_job_without_a_command_is_not_copied(details: bool) -> None:
    """Most jobs have nothing to hide, and cost nothing."""
    job = job_with(None, title="sh -c x")
    assert redact(job, details=details) is job
    ended = job_with({"exitCode": 2})
    assert redact(ended, details=details) is ended


def test_with_details_only_the_environment_is_left_out() -> None:
    """``run.env`` never leaves the directory; the rest keeps its order."""
    job = job_with(RUN, title=default_title(ARGV))
    shown = redact(job, details=True)
    assert list(shown.run.items()) == [(key, RUN[key]) for key in RUN if key != "env"]
    assert shown.title == job.title
    assert job.run == RUN, "the job itself stays as it is"


def test_without_details_the_end_of_the_command_stays() -> None:
    """And what a viewer needs to see of a failure: its error."""
    job = job_with(RUN, title=default_title(ARGV), error="Exit code 2: no route to host")
    shown = redact(job, details=False)
    assert (shown.run, shown.title, shown.error) == (END, "backup", "Exit code 2: no route to host")
    assert b"hunter2" not in to_wire(job, details=False)
    assert to_wire(job) == to_wire(job, details=False), "details are given only when asked for"


@pytest.mark.parametrize(
    ("title", "shown"),
    [
        ("Nightly load", "Nightly load"),
        ("backup --password", "backup --password"),
        ("", ""),
        (None, None),
        ("of backup --password=hunter2", "of backup --password=hunter2"),
        ("/opt/tools/backup --password=hunter2 'a b'", "backup"),
        ("/opt/tools/backup --pass…", "backup"),
        ("/opt/tools/backup …", "backup"),
    ],
)  # fmt: skip
def test_title_made_from_the_command_becomes_the_program(
    title: str | None, shown: str | None
) -> None:
    """Whole or cut short, at whatever length; a title of somebody's own stays."""
    assert redact(job_with(RUN, title=title), details=False).title == shown


@pytest.mark.parametrize(
    ("argv", "shown"),
    [
        (["true"], "true"),
        (["./run.sh"], "run.sh"),
        (["sh", "-c", "curl -H 'Authorization: Bearer hunter2' " + "x" * 100], "sh"),
        (["/usr/bin/"], None),
        (["für", "模型"], "für"),
    ],
)
def test_default_title_of_any_command_is_recognised(argv: list[str], shown: str | None) -> None:
    """The title that ``jobctl run`` makes is the one that is looked for."""
    job = job_with(Command(argv=tuple(argv), cwd="/").to_value())
    job = job.replace(title=default_title(argv))
    assert len(job.title or "") <= 80
    assert redact(job, details=False).title == shown


@pytest.mark.parametrize(
    ("run", "shown"),
    [
        ("curl -H hunter2", None),
        (["curl", "hunter2"], None),
        ({"id": 7, "script": "hunter2"}, {}),
        ({"argv": "curl hunter2", "exitCode": 1}, {"exitCode": 1}),
        ({"argv": ["curl", 7]}, {}),
        ({"argv": []}, {}),
        ({}, {}),
        (17, 17),
        (True, True),
    ],
)
def test_key_run_of_another_program_is_hidden_unless_it_is_a_number(run: Any, shown: Any) -> None:
    """What is not known to be harmless is for readers with details."""
    job = job_with(run, title="curl hunter2")
    assert redact(job, details=False).run == shown
    assert redact(job, details=True).run == run


@given(stored_jobs(), runs, st.booleans())
def test_projection_hides_and_changes_nothing_else(job: Job, run: Any, details: bool) -> None:
    """Idempotent for any job; only what is listed here differs."""
    job = job.replace(run=run)
    shown = redact(job, details=details)
    assert redact(shown, details=details) == shown
    assert redact(redact(job, details=True), details=False) == redact(job, details=False)
    before, after = (values_of(one) for one in (job, shown))
    hidden = {key for key in before if before[key] != after.get(key)}
    said = {"cancelled", "acknowledged"}
    assert hidden <= ({"run"} if details else {"run", "title", "host", "user", *said})
    assert list(after) == [key for key in before if key in after]
    wire = json.loads(to_wire(job, details=details)).get("run")
    if isinstance(wire, dict):
        assert "env" not in wire
        assert details or not wire.keys() & {"argv", "cwd", "stderr"}


@pytest.mark.parametrize("details", [True, False])
@pytest.mark.parametrize("layout", ["usual", "compact", "changed", "wire"])
def test_bytes_of_a_job_with_a_command_are_never_sent_as_they_are(
    layout: str, details: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever the job comes from: its source holds what its readers must not see."""
    monkeypatch.setattr(codec, "_files_first", 0)
    job = job_with(RUN, title=default_title(ARGV))
    data = encode(job)
    if layout == "compact":
        data = json.dumps(json.loads(data)).encode()
    read = parse(data, id="a1", revision=3)
    if layout == "changed":
        read = read.replace(message="m")
    elif layout == "wire":
        read = as_opaque(read)
    told = json.loads(to_wire(read, details=details))
    assert told["run"] == redact(job, details=details).run
    assert told["title"] == redact(job, details=details).title
    assert told["revision"] == 3


@pytest.mark.parametrize("details", [True, False])
def test_bytes_of_a_job_without_a_command_are_sent_as_they_are(
    details: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A usual file, or a wire form: nobody parses the rest of it."""
    monkeypatch.setattr(codec, "_files_first", 0)
    read = parse(encode(job_with(None, title="sh -c x")), id="a1", revision=3)
    assert type(read.source) is bytes
    slim = as_opaque(read)
    wire = to_wire(read, details=details)
    assert json.loads(wire) == values_of(read)
    assert to_wire(slim, details=details) is slim.source
    assert to_wire(read.replace(revision=4), details=details) == wire.replace(b":3}", b":4}")
