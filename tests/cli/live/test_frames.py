"""Frames as golden files, and frames of hostile jobs.

To write the golden files again, after you have looked at them:
``JOBCTL_WRITE_GOLDEN=1 pytest tests/cli/live/test_frames.py``
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobctl.cli.live import Frame
from jobctl.cli.text import width
from jobctl.core.job import Job
from jobctl.core.transitions import create
from tests.cli.live.jobs import DEAD, Shown, some_jobs, text_of
from tests.strategies import job_values

GOLDEN = Path(__file__).parent / "golden"

SIZES = ((20, 4), (40, 12), (80, 24), (200, 50))


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Golden frames have times of one zone."""
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "UTC")
        time.tzset()
        yield
    time.tzset()


def as_text(frame: Frame) -> str:
    """A frame as the lines of a golden file: each row between bars, and its style."""
    rows = [f"|{text_of(row)}|{' '.join(style for _, style in row)}".rstrip() for row in frame]
    return "\n".join(rows) + "\n"


def check(name: str, frame: Frame) -> None:
    """Compare a frame with its golden file."""
    path = GOLDEN / f"{name}.txt"
    if os.environ.get("JOBCTL_WRITE_GOLDEN"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(as_text(frame))
    assert as_text(frame) == path.read_text()


@pytest.mark.parametrize("count", [0, 5, 60, 500])
@pytest.mark.parametrize(("columns", "rows"), SIZES)
def test_the_list_looks_as_it_did(columns: int, rows: int, count: int) -> None:
    """With few jobs and with many."""
    shown = Shown(some_jobs(count))
    shown.die(DEAD)
    check(f"list-{columns}x{rows}-{count}", shown.frame(columns, rows))


@pytest.mark.parametrize(
    ("name", "keys"),
    [
        ("selected", ["j", "j"]),
        ("end", ["G"]),
        ("search", ["/", *"etl"]),
        ("failures", ["f"]),
        ("help", ["?"]),
        ("detail", ["j", "enter"]),
        ("cancel", ["G", "g", "c"]),
    ],
)
@pytest.mark.parametrize(("columns", "rows"), SIZES)
def test_what_keys_show_looks_as_it_did(
    columns: int, rows: int, name: str, keys: list[str]
) -> None:
    """Each screen that a key leads to."""
    shown = Shown(some_jobs(60))
    shown.die(DEAD)
    shown.frame(columns, rows)
    for key in keys:
        shown.press(key)
        shown.frame(columns, rows)
    if name == "detail":
        id = shown.live.detail_id
        assert id is not None
        shown.live.set_log(id, [f"{n:3} rows read" for n in range(40)])
    check(f"{name}-{columns}x{rows}", shown.frame(columns, rows))


def hostile() -> list[Job]:
    """Jobs that spoil a table, if they can."""
    job = create("etl", now="2026-01-01T00:00:00.000Z", id="a" * 64)
    return [
        job,
        job.replace(id="wide1", title="東京" * 150, type="型" * 300),
        job.replace(id="wide2", message="\U0001f469\u200d\U0001f680" * 100, stage="ステージ" * 20),
        job.replace(id="stages", stages=tuple(f"s{n}" for n in range(400)), stage="s123"),
        job.replace(
            id="marks", title="e\u0301" * 300, error="\x1b[2J\n\r\x07" * 50, stage="failed"
        ),
        job.replace(id="bidi", title="\u202egnp.exe\u2066" * 30, type=""),
        job.replace(id="old", created_at="0001-01-01T00:00:00.000Z", stage="failed", error=""),
        job.replace(id="run", run={"argv": ["x" * 5000, "\x1b]0;t\x07"], "cwd": "/"}),
        job.replace(id="child", extra={"parent": "run"}),
        job.replace(id="grandchild", extra={"parent": "child"}),
    ]


KEYS = ("j", "G", "enter", "esc", "/", "x", "c", "r", "?", "f", "a", "pgdn", "backspace")


@given(
    st.lists(job_values(), max_size=5),
    st.integers(20, 210),
    st.integers(4, 60),
    st.lists(st.sampled_from(KEYS), max_size=6),
    st.booleans(),
)
def test_a_frame_is_as_large_as_the_screen(
    values: list[dict[str, object]], columns: int, rows: int, keys: list[str], wide: bool
) -> None:
    """Whatever is in the jobs, and whatever was pressed: no line is wider, none is missing."""
    jobs = [Job(**{**value, "revision": 0}) for value in values]
    shown = Shown([*hostile(), *jobs], wide=wide)
    for key in (None, *keys):
        if key is not None:
            shown.press(key)
        if shown.live.detail_id is not None:
            shown.live.set_log(shown.live.detail_id, ["東京" * 99, "\x1b[31mred\x1b[0m", ""])
        frame = shown.frame(columns, rows)
        assert len(frame) == rows
        assert {width(text_of(row)) for row in frame} == {columns}
        assert all(char.isprintable() for row in frame for char in text_of(row) if char.isascii())


def test_columns_stay_in_their_places_whatever_the_rows_have() -> None:
    """No job's row moves what stands beside it in the others."""
    plain = Shown(some_jobs(5)).text(100, 24)
    spoiled = Shown([*some_jobs(5), *hostile()]).text(100, 60)
    assert plain[0] == spoiled[0]
    for row in plain[1:6]:
        assert row in spoiled


def test_a_screen_without_unicode_gets_ascii(monkeypatch: pytest.MonkeyPatch) -> None:
    """FAULTS row 40."""
    monkeypatch.setattr("jobctl.cli.text.fits_encoding", str.isascii)
    for module in ("formats", "live.status_line", "job_table.frame", "text"):
        monkeypatch.setattr(f"jobctl.cli.{module}.fits_encoding", str.isascii)
    jobs = [job.replace(title=None) for job in some_jobs(60)]
    shown = Shown(jobs)
    assert all(row.isascii() for row in shown.text(80, 24))
    assert "6 running" not in shown.text()[-2] or ", " in shown.text()[-2]
