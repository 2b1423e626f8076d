"""The order of the steps of a write: the record is in the log before the files show the change."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from jobctl.core import transitions as jobs
from jobctl.stores import open_store
from tests.strategies import T0


@pytest.mark.parametrize("durable", [False, True])
def test_deletion_is_recorded_before_the_file_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, durable: bool
) -> None:
    """A crash in between leaves a record without effect, never an unrecorded deletion."""
    store = open_store(tmp_path / "jobs", create=True, durable=durable)
    store.create(jobs.create("etl", now=T0, id="a"))
    log = tmp_path / "jobs" / ".jobctl" / "changes"
    seen: list[bool] = []
    unlink = os.unlink

    def unlink_and_look(path: Any, *args: Any, **options: Any) -> None:
        if path == "a.json":
            last = log.read_text().splitlines()[-1].split()
            seen.append("a" in last and "del" in last)
        unlink(path, *args, **options)

    monkeypatch.setattr(os, "unlink", unlink_and_look)
    store.remove("a")
    assert seen == [True]
    store.close()


def test_change_is_recorded_before_the_file_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So no reader can see bytes that have no revision yet."""
    store = open_store(tmp_path / "jobs", create=True)
    store.create(jobs.create("etl", now=T0, id="a"))
    log = tmp_path / "jobs" / ".jobctl" / "changes"
    before = len(log.read_text().splitlines())
    seen: list[int] = []
    rename = os.rename

    def rename_and_look(*args: Any, **options: Any) -> None:
        seen.append(len(log.read_text().splitlines()) - before)
        rename(*args, **options)

    monkeypatch.setattr(os, "rename", rename_and_look)
    monkeypatch.setattr(os, "replace", rename_and_look)
    store.update("a", lambda job: jobs.fail(job, "no", now=T0))
    assert seen == [1]
    store.close()
