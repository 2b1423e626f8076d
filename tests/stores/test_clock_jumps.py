"""FAULTS row 14: clocks that jump, backwards too, change no order and kill nobody."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from jobctl.core.cursor import ZERO
from jobctl.stores.directory.store import DirectoryStore
from tests.stores.support import Follower, file_of, new, run, state, with_message

Open = Callable[..., DirectoryStore]

SCRIPT = """
store.update("a", with_message(sys.argv[0] + "1")); store.create(new(f"n{time.time_ns()}"))
print(store.get("a").elapsed_ms(time.time_ns() // 10**6) >= 0)
"""


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("faketime") is None, reason="needs faketime")
@pytest.mark.parametrize("jump", ["-1h", "+1h"])
def test_wall_clock_jump_changes_no_order(jobs_dir: Path, opened: Open, jump: str) -> None:
    """A writer an hour off takes the next revisions, and a follower gets them as usual."""
    store = opened()
    store.create(new("a"))
    follower = Follower(store)
    follower.step()
    before = follower.replica.revision
    result = run(SCRIPT, jobs_dir, prefix=["faketime", "-f", jump])
    assert (result.returncode, result.stdout) == (0, "True\n"), result.stderr
    store.update("a", with_message("back"))
    delta = follower.step()
    assert delta.through == before + 3
    assert follower.state() == state(opened())
    assert follower.resets == 1


@pytest.mark.slow
@pytest.mark.skipif(
    shutil.which("unshare") is None or os.geteuid() != 0, reason="needs root and unshare"
)
def test_monotonic_clock_jump_keeps_the_lock_working(jobs_dir: Path, opened: Open) -> None:
    """A writer in another time namespace waits and writes as others do."""
    store = opened()
    store.create(new("a"))
    prefix = ["unshare", "-T", "--monotonic", "100000"]
    result = run(SCRIPT, jobs_dir, prefix=prefix)
    if result.returncode != 0 and "unshare" in result.stderr:
        pytest.skip("may not make a time namespace here")
    assert result.returncode == 0, result.stderr
    assert store.get("a").message == "-c1"


@pytest.mark.parametrize("off_s", [-3600, 3600])
def test_file_times_an_hour_off_are_no_obstacle(opened: Open, jobs_dir: Path, off_s: int) -> None:
    """Foreign files from the past or the future are adopted, in an order that only rises."""
    store = opened()
    store.create(new("a"))
    follower = Follower(store)
    follower.step()
    for id in ("b", "a"):
        path = jobs_dir / f"{id}.json"
        path.write_bytes(file_of(new(id), message="off"))
        then = path.stat().st_mtime + off_s
        os.utime(path, (then, then))
        store.refresh()
        follower.step()
    assert follower.state() == {"a": "off", "b": "off"}
    assert [job.id for job in store.since(ZERO).jobs] == ["b", "a"]
