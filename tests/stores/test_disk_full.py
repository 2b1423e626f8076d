"""FAULTS rows 3 and 4: no space, no inodes, a size limit. What was stored before stands."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from jobctl.core.cursor import ZERO
from jobctl.errors import StoreFull
from jobctl.stores.directory.changelog import LINE, Log, Record, digest_of
from jobctl.stores.directory.store import DirectoryStore
from tests.stores.support import Follower, command, environment, new, state, with_message

Open = Callable[..., DirectoryStore]

# Fill the store up, then prove that it is whole, says why, and goes on when there is room.
FILL = """
from jobctl.core.codec import parse
from jobctl.errors import StoreFull
from jobctl.stores.directory.changelog import Log
from pathlib import Path
path = Path(sys.argv[1])
known, errors = {}, set()
size = int(os.environ.get("SIZE", "900"))
for n in range(400):
    id = f"j{n % 60}"
    try:
        if id in known:
            store.update(id, with_message(str(n) + "x" * size)); known[id] = str(n) + "x" * size
        else:
            store.create(new(id)); known[id] = None
    except StoreFull as error:
        errors.add(str(error).replace(id + " ", "JOB "))
assert errors, "it never filled up"
for error in sorted(errors): print(error)
for file in path.glob("*.json"): parse(file.read_bytes(), id=file.stem)
other = open_store(path)
for one in (store, other):
    assert {job.id: job.message for job in one.since(ZERO).jobs} == known, "lost or torn"
for id in sorted(known)[: len(known) // 2 + 1]: store.remove(id); del known[id]
keep = sorted(known)[0]
store.update(keep, with_message("room")); known[keep] = "room"
assert {job.id: job.message for job in open_store(path).since(ZERO).jobs} == known
revisions = [record.revision for record in Log(os.open(path / ".jobctl/changes", 0)).read(0)]
assert revisions == sorted(set(revisions)), "a revision was used twice"
left = set(os.listdir(path / ".jobctl")) - {".gitignore", "bell"}
assert left == {"mark", "changes"}, left
"""


# Let two logs grow while the disk fills up: they give way to the jobs.
FILL_LOGS = """
from pathlib import Path
from jobctl.core.log import BOTH, LogLine
store.create(new("a")); store.create(new("b"))
writers = [store.log_writer(store.get(id)) for id in "ab"]
other = open(Path(sys.argv[1]) / "other", "wb")
for n in range(200):
    for writer in writers: writer.write([LogLine(0, BOTH, b"x" * 5000)])
    other.write(b"x" * 20_000); other.flush()
    store.update("a", with_message(str(n)))
    if all(writer.problem for writer in writers): break
print(*(writer.problem for writer in writers), sep="; ")
for n in range(50): store.create(new(f"j{n}"))
assert store.read_log("a").data
"""


def fill(mount: str, directory: Path, script: str = FILL, **env: str) -> list[str]:
    """What the store said when a small file system of its own was full."""
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        pytest.skip("needs root and unshare, to mount a small tmpfs")
    directory.mkdir()
    shell = f'mount -t tmpfs -o {mount},mode=0700 none "$1" && shift && exec "$@"'
    result = subprocess.run(
        ["unshare", "-m", "sh", "-c", shell, "sh", directory, *command(script, directory)],
        env=environment(**env),
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    if "mount" in result.stderr:
        pytest.skip("may not mount here")
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout.splitlines()


@pytest.mark.slow
def test_full_disk_keeps_what_was_there(jobs_dir: Path) -> None:
    """FAULTS row 3: on a full tmpfs each write is old or new; the error names job and place."""
    said = fill("size=64k", jobs_dir)
    where = f"in {jobs_dir}; what was stored before is untouched"
    assert said == [f"disk full writing JOB {where}"]


@pytest.mark.slow
def test_logs_leave_room_for_the_jobs(jobs_dir: Path) -> None:
    """FAULTS row 3: the last free space is not for them; their writers go on without an error."""
    assert fill("size=4m", jobs_dir, FILL_LOGS) == [
        "no space left on device; no space left on device"
    ]


@pytest.mark.slow
def test_no_inodes_is_named(jobs_dir: Path) -> None:
    """FAULTS row 4: a file system without inodes left is told from a full one."""
    said = fill("nr_inodes=20", jobs_dir, SIZE="10")
    assert said
    assert all(line.startswith("no inodes left writing JOB in") for line in said)


@pytest.mark.slow
def test_size_limit_is_named(jobs_dir: Path) -> None:
    """FAULTS row 3: RLIMIT_FSIZE stops the job file or the log, whole or not at all."""
    script = """
import resource
from jobctl.errors import StoreFull
store.create(new("a")); store.update("a", with_message("old"))
resource.setrlimit(resource.RLIMIT_FSIZE, (4000, 4000))
try: store.update("a", with_message("x" * 5000))
except StoreFull as error: print(error)
assert store.get("a").message == "old"
made = 0
try:
    for n in range(100): store.create(new(f"j{n}")); made += 1
except StoreFull as error: print(error)
assert len(store.since(ZERO).jobs) == 1 + made
assert len(open_store(sys.argv[1]).since(ZERO).jobs) == 1 + made
"""
    result = subprocess.run(
        command(script, jobs_dir),
        env=environment(),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (result.returncode, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    assert len(lines) == 2
    assert lines[0].startswith(f"file size limit reached writing a in {jobs_dir}")
    assert all("ulimit -f" in line for line in lines)


def test_short_writes_are_continued(opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """FAULTS row 3: a kernel that takes a part without an error is asked again for the rest."""
    store = opened()
    store.create(new("a"))
    real = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: real(fd, bytes(data)[:100]))
    store.update("a", with_message("x" * 1000))
    monkeypatch.undo()
    assert state(opened()) == {"a": "x" * 1000}
    assert (store.path / ".jobctl" / "changes").stat().st_size % LINE == 0  # type: ignore[operator]


def test_record_that_fits_in_part_is_taken_back(
    opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """FAULTS row 3: half a line and then no space leaves no line, and the revision is free."""
    store = opened()
    store.create(new("a"))
    log = store._place.current().log
    revision = log.repair() + 1
    real, calls = os.write, iter([60])

    def write(fd: int, data: bytes) -> int:
        if (part := next(calls, None)) is None:
            raise OSError(28, "No space left on device")
        return real(fd, bytes(data)[:part])

    monkeypatch.setattr(os, "write", write)
    with pytest.raises(StoreFull, match="disk full writing a"):
        store.update("a", with_message("x"))
    monkeypatch.undo()
    assert log.count() == 1
    assert store.update("a", with_message("y")).revision == revision
    log.append(Record(log.repair() + 1, "z", "del", digest_of(b"")))
    assert Log(os.dup(log.fd)).head() == revision + 1


def test_failed_write_leaves_no_temporary_file(
    opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """FAULTS row 3: on a full disk every byte counts."""
    store = opened()
    store.create(new("a"))

    def refuse(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "rename", refuse)
    with pytest.raises(StoreFull):
        store.update("a", with_message("x"))
    assert not (store.path / ".jobctl" / "next").exists()  # type: ignore[operator]


@pytest.mark.usefixtures("no_grace")
def test_job_can_be_removed_while_nothing_can_be_written(
    opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is gone, and whoever reconciles next gives its end a revision."""
    store, reader = opened(), opened()
    store.create(new("a"))
    follower = Follower(reader)
    follower.step()

    def full(self: Log, record: Record) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(Log, "append", full)
        store.remove("a")
        assert store.ids() == []
    reader.refresh()
    follower.step()
    assert follower.state() == {}
    assert follower.resets == 1


@pytest.mark.parametrize("number", range(8))
def test_interruption_at_any_system_call_leaves_no_half_made_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """FAULTS row 37: a handler that unwinds is no OSError. The next write is as if nothing was."""
    calls = 0

    def interrupted(call: Any) -> Any:
        def wrapped(*args: Any, **how: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls == number + 1:
                raise KeyboardInterrupt
            return call(*args, **how)

        return wrapped

    store = DirectoryStore(tmp_path, durable=True)
    with monkeypatch.context() as patch:
        for name in ("fsync", "rename", "fchmod"):
            patch.setattr(os, name, interrupted(getattr(os, name)))
        with suppress(KeyboardInterrupt):
            store.create(new("a1"))
    assert calls >= number
    left = [path.name for path in tmp_path.rglob("*") if path.is_file()]
    assert set(left) <= {".gitignore", "mark", "lock", "changes", "a1.json"}
    store.close()
    again = DirectoryStore(tmp_path)
    again.create(new("b2"))
    assert "b2" in {job.id for job in again.since(ZERO).jobs}
    again.close()
