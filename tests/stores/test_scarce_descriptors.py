"""Running out of descriptors is a passing trouble: nothing is lost, leaked or given up for it."""

from __future__ import annotations

import gc
import json
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from jobctl.core.cursor import ZERO
from jobctl.stores.directory.bell import DirectoryBell
from jobctl.stores.directory.store import DirectoryStore
from tests.stores.support import new, with_message


@contextmanager
def only(free: int) -> Iterator[None]:
    """Leave this process so many descriptors for the block."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    gc.collect()
    ours = max(map(int, os.listdir("/dev/fd")))
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(ours + 64, soft), hard))
    held: list[int] = []
    try:
        while True:
            try:
                held.append(os.open(os.devnull, os.O_RDONLY))
            except OSError:
                break
        for _ in range(free):
            os.close(held.pop())
        yield
    finally:
        for fd in held:
            os.close(fd)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_reconciling_goes_on_when_descriptors_are_back(tmp_path: Path) -> None:
    """A foreign edit that could not be looked at is looked at later."""
    store = DirectoryStore(tmp_path / "jobs", create=True, adopt=True)
    store.create(new("x"))
    cursor = store.since(ZERO).cursor()
    path = tmp_path / "jobs" / "x.json"
    value = json.loads(path.read_text())
    path.write_text(json.dumps({**value, "title": "foreign"}))
    with only(0):
        store.refresh({"x"})
    store.refresh()
    assert [job.title for job in store.since(cursor).jobs] == ["foreign"]
    store.close()


@pytest.mark.parametrize("free", [0, 1])
def test_a_ring_without_descriptors_is_lost_and_the_next_one_is_not(
    tmp_path: Path, free: int
) -> None:
    """A write that has landed never fails for its bell."""
    store = DirectoryStore(tmp_path / "jobs", create=True)
    store.create(new("x"))
    listener = store.listen()
    bell = DirectoryBell(str(tmp_path / "jobs" / ".jobctl" / "bell"))
    with only(free):
        bell.ring()
    assert (bell.lost, listener.drain()) == (1, 0)
    bell.ring()
    assert listener.drain() == 1
    store.update("x", with_message("landed"))
    bell.close()
    listener.close()
    store.close()


@pytest.mark.parametrize("free", [0, 1])
def test_listening_without_descriptors_leaks_none(tmp_path: Path, free: int) -> None:
    """Who tries again each second must not use them up."""
    bell = DirectoryBell(str(tmp_path / "bell"))
    with only(free):
        for _ in range(3):
            with pytest.raises(OSError, match="Too many open files"):
                bell.listen()
        fds = [os.open(os.devnull, os.O_RDONLY) for _ in range(free)]
        for fd in fds:
            os.close(fd)
    bell.listen().close()
    bell.close()
