"""A run and the jobs that were tracked within it: one row, or rows below it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from jobctl.cli.families import rows_of
from jobctl.core import transitions
from jobctl.core.job import Job
from jobctl.core.pipeline import BUILT_IN_ONLY
from jobctl.stores import open_store
from tests.cli.conftest import run_process

T0, T1, T2 = (f"2026-11-28T12:00:0{n}.000Z" for n in range(3))


def job(id: str, parent: str | None = None, *, stage: str | None = "run", **how: Any) -> Job:
    """An active job, in this stage."""
    made = transitions.create("run" if parent is None else "etl", now=T0, id=id, **how)
    if stage is not None:
        made = transitions.advance(made, stage, now=T1)
    return made if parent is None else made.replace(extra={"parent": parent})


def shape(*jobs: Job, merged: bool = True) -> list[tuple[str, int, str]]:
    rows = rows_of(jobs, BUILT_IN_ONLY, merged=merged)
    return [(row.job.id, row.depth, row.job.stage) for row in rows]


def failed(one: Job) -> Job:
    return transitions.fail(one, "no", now=T2)


def completed(one: Job) -> Job:
    return transitions.complete(one, now=T2)


RUN, CHILD = job("r"), job("c", "r", stage="load")


def test_run_with_one_child_is_one_row() -> None:
    """With the child's stage, progress and message, and its own id, type and beginning."""
    child = transitions.report(
        job("c", "r", stage="load", stages=["fetch", "load"], title="Nightly"),
        now=T2, done=1, total=2, message="orders",
    )  # fmt: skip
    [(shown, depth)] = rows_of([RUN, child], BUILT_IN_ONLY)
    assert (shown.id, shown.type, depth) == ("r", "run", 0)
    assert (shown.stage, shown.title, shown.current_message) == ("load", "Nightly", "orders")
    assert shown.percent_of(BUILT_IN_ONLY) == child.percent_of(BUILT_IN_ONLY) == 83
    assert shown.elapsed_ms(10**13) == RUN.elapsed_ms(10**13)


@pytest.mark.parametrize(
    ("jobs", "rows"),
    [
        ([RUN, CHILD], [("r", 0, "load")]),
        ([CHILD, RUN], [("r", 0, "load")]),
        ([RUN, job("c", "r", stage=None)], [("r", 0, "run")]),
        ([RUN, completed(CHILD)], [("r", 0, "run")]),
        ([completed(RUN), completed(CHILD)], [("r", 0, "completed")]),
        ([failed(RUN), failed(CHILD)], [("r", 0, "failed")]),
        ([RUN, failed(CHILD)], [("r", 0, "run"), ("c", 1, "failed")]),
        ([completed(RUN), failed(CHILD)], [("r", 0, "completed"), ("c", 1, "failed")]),
        ([failed(RUN), CHILD], [("r", 0, "failed"), ("c", 1, "load")]),
        ([RUN, CHILD, job("x"), job("d", "r")],
         [("r", 0, "run"), ("c", 1, "load"), ("d", 1, "run"), ("x", 0, "run")]),
        ([job("x"), CHILD], [("x", 0, "run"), ("c", 0, "load")]),
        ([RUN, job("i", "r"), job("c", "i", stage="load")], [("r", 0, "load")]),
        ([job("a", "b"), job("b", "a")], [("b", 0, "run"), ("a", 0, "run")]),
        ([job("a", "a")], [("a", 0, "run")]),
    ],
)  # fmt: skip
def test_children_stand_below_their_run(jobs: list[Job], rows: list[tuple[str, int, str]]) -> None:
    """Unless one row tells all; a child whose run is not listed stands alone."""
    assert sorted(shape(*jobs)) == sorted(rows)
    if "x" not in {one.id for one in jobs} and rows[0][0] == "r":
        assert shape(*jobs) == rows


def test_wide_list_has_a_row_for_each() -> None:
    """Nothing is merged there."""
    assert shape(RUN, CHILD, merged=False) == [("r", 0, "run"), ("c", 1, "load")]


def test_ls_shows_families(tmp_path: Path) -> None:
    """The table; in JSON each job stays as it is."""
    store = open_store(tmp_path, create=True)
    for one in (RUN, CHILD, job("s"), job("d", "s"), job("e", "s")):
        store.create(one)
    store.close()
    lines = run_process(
        "ls", "--dir", str(tmp_path), "--no-headers", "--sort", "id"
    ).out.splitlines()
    assert [line.split()[:3] for line in lines] == [
        ["r", "run", "load"], ["s", "run", "run"], ["d", "etl", "run"], ["e", "etl", "run"],
    ]  # fmt: skip
    assert lines[2].startswith("  d")
    assert len(run_process("ls", "--dir", str(tmp_path), "-o", "jsonl").out.splitlines()) == 5
