"""FAULTS rows 5, 6 and 13: what must reach the disk does so in order, or is not acknowledged."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jobctl.stores.directory.store import DirectoryStore
from tests.stores.support import compact, new, run, state

Open = Callable[..., DirectoryStore]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace"),
]

DURABLE = """
from jobctl.errors import StoreError
store.close()
store = open_store(sys.argv[1], durable=True)
"""


def traced(script: str, directory: Path, *options: str) -> tuple[str, list[str]]:
    """The script's output, and its system calls."""
    out = directory.parent / "trace"
    prefix = ["strace", "-qq", "-f", "-y", "-o", str(out), *options]
    result = run(DURABLE + script, directory, prefix=prefix)
    if "ptrace" in result.stderr.lower():
        pytest.skip("may not trace here")
    assert result.returncode == 0, result.stderr
    return result.stdout, out.read_text().splitlines()


def test_durable_write_syncs_in_order(jobs_dir: Path) -> None:
    """FAULTS row 6: file and log are synced before the rename, the directory after it, and the
    acknowledgement comes last."""
    script = 'store.create(new("a")); print("made", flush=True)\n'
    script += 'store.update("a", with_message("1")); print("acked", flush=True)\n'
    script += 'store.remove("a"); print("gone", flush=True)'
    _, calls = traced(script, jobs_dir, "-e", "trace=fsync,renameat,unlinkat,write")
    steps: list[str] = []
    for call in calls:
        if match := re.search(r"fsync\(\d+<([^>]*)>", call):
            steps.append("sync " + os.path.relpath(match[1], jobs_dir))
        elif match := re.search(r'(renameat|unlinkat)\(.*"([^"]+)"', call):
            steps.append(f"{match[1]} {match[2]}")
        elif match := re.search(r'write\(1<.*"(\w+)', call):
            steps.append(match[1])
        elif match := re.search(r"write\(\d+<([^>]*)>", call):
            steps.append("write " + os.path.relpath(match[1], jobs_dir))
    update = steps[steps.index("made") + 1 : steps.index("gone") + 1]
    assert update == [
        "write .jobctl/changes",
        "write .jobctl/next",
        "sync .jobctl/next",
        "sync .jobctl/changes",
        "renameat a.json",
        "sync .",
        "acked",
        "write .jobctl/changes",
        "sync .jobctl/changes",
        "unlinkat a.json",
        "sync .",
        "gone",
    ]


@pytest.mark.parametrize("when", range(1, 4))
def test_failed_sync_is_not_acknowledged(jobs_dir: Path, opened: Open, when: int) -> None:
    """FAULTS row 5: each fsync of an update fails once: an error, no second try, and the job is
    the old or the new one, whole."""
    opened(durable=True).create(new("a"))
    script = """
try: store.update("a", with_message("new")); print("acked")
except StoreError as error: print(error)
"""
    inject = f"inject=fsync:error=EIO:when={when}"
    said, calls = traced(script, jobs_dir, "-e", "trace=fsync", "-e", inject)
    assert said == f"Input/output error writing a in {jobs_dir}\n"
    assert sum("INJECTED" in call for call in calls) == 1
    assert sum("fsync(" in call for call in calls) == when, "never retried into success"
    assert state(opened()) in ({"a": None}, {"a": "new"})
    assert opened().update("a", lambda job: job).id == "a"


@pytest.mark.parametrize("durable", [False, True])
def test_only_a_durable_log_is_synced_when_it_is_replaced(
    jobs_dir: Path, opened: Open, monkeypatch: pytest.MonkeyPatch, durable: bool
) -> None:
    """FAULTS row 6: a new epoch and a compaction, before the rename and after it."""
    calls: list[str] = []
    for name in ("fsync", "rename"):
        real = getattr(os, name)

        def call(*args: Any, real: Any = real, name: str = name, **how: Any) -> Any:
            calls.append(name)
            return real(*args, **how)

        monkeypatch.setattr(os, name, call)
    store = opened(durable=durable)
    with store._access.writing():
        pass
    mark_and_log = ["fsync", "rename", "fsync", "rename", "fsync"]
    log = ["fsync", "rename", "fsync"]
    assert calls == (mark_and_log if durable else ["rename"] * 2)
    calls.clear()
    compact(store)
    assert calls == (log if durable else ["rename"])


def test_plain_write_syncs_nothing(jobs_dir: Path) -> None:
    """Without durable no write waits for the disk, the first one neither."""
    out = jobs_dir.parent / "trace"
    prefix = ["strace", "-qq", "-f", "-o", str(out), "-e", "trace=fsync,fdatasync"]
    script = 'store.create(new("a")); store.update("a", with_message("1"))'
    result = run(script, jobs_dir, prefix=prefix)
    if "ptrace" in result.stderr.lower():
        pytest.skip("may not trace here")
    assert result.returncode == 0, result.stderr
    assert out.read_text() == ""


@pytest.mark.parametrize("error", ["ENOLCK", "ENOSYS"])
def test_file_system_without_locks_is_refused(jobs_dir: Path, opened: Open, error: str) -> None:
    """FAULTS row 13: where flock does not work a write is refused, and reading goes on."""
    store = opened()
    script = """
from jobctl.errors import StoreError
try: store.create(new("a")); print("acked")
except StoreError as error: print(error)
print([job.id for job in store.since(ZERO).jobs])
"""
    for id in "bc":
        store.create(new(id))
    prefix = ["strace", "-qq", "-f", "-o", os.devnull, "-e", "trace=flock"]
    result = run(script, jobs_dir, prefix=[*prefix, "-e", f"inject=flock:error={error}"])
    if "ptrace" in result.stderr.lower():
        pytest.skip("may not trace here")
    said, listed = result.stdout.splitlines()
    assert said.startswith(f"cannot lock {jobs_dir}: ")
    assert "no working locks" in said
    assert listed == "['b', 'c']"
