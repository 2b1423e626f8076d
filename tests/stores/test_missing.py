"""A directory that does not exist, opened with ``missing_ok``."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobctl._clock import now
from jobctl.core.cursor import ZERO
from jobctl.core.transitions import create
from jobctl.errors import JobNotFound, StoreMissing
from jobctl.stores import bad_files, open_store, path_of


def test_missing_directory_is_empty_and_takes_no_jobs(tmp_path: Path) -> None:
    """Every read finds nothing, every change names the directory, and nothing is made."""
    where = tmp_path / "jobs"
    store = open_store(where, missing_ok=True)
    assert (store.where, path_of(store)) == (str(where), None)
    delta = store.since(ZERO)
    assert (delta.jobs, delta.gone, delta.more) == ((), (), False)
    assert (store.ids(), bad_files(store), store.owners.dead()) == ([], [], frozenset())
    with pytest.raises(StoreMissing, match=str(where)):
        store.create(create("etl", now=now(), id="a"))
    for change in (
        lambda: store.get("a"),
        lambda: store.update("a", lambda job: job),
        lambda: store.remove("a"),
    ):
        with pytest.raises(JobNotFound, match=str(where)):
            change()
    store.close()
    assert not where.exists()


def test_existing_directory_is_opened_and_create_makes_a_missing_one(tmp_path: Path) -> None:
    """``missing_ok`` changes nothing else."""
    made = open_store(tmp_path / "jobs", create=True, missing_ok=True)
    made.create(create("etl", now=now(), id="a"))
    opened = open_store(tmp_path / "jobs", missing_ok=True)
    assert opened.ids() == ["a"]
    for store in (made, opened):
        store.close()
    with pytest.raises(StoreMissing):
        open_store(tmp_path / "other")
