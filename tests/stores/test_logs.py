"""The logs of jobs, in every store; and what only a directory can meet."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from jobctl.core.job import Job
from jobctl.core.log import BOTH, STDERR, STDOUT, LogLine, decode_lines
from jobctl.errors import InvalidId
from jobctl.stores import HasLogs, Store, logs_of
from jobctl.stores.directory import logs as directory_logs
from jobctl.stores.directory.store import DirectoryStore
from jobctl.stores.log_reading import is_log_of
from tests.stores.support import new

SEGMENT = 64 * 1024


def keeping(store: Store) -> HasLogs:
    """The store as one that keeps logs."""
    logs = logs_of(store)
    assert logs is not None
    return logs


def write(store: Store, job: Job, *texts: str, stream: str = BOTH) -> None:
    """Write these texts to the job's log, as one attempt."""
    writer = keeping(store).log_writer(job)
    writer.write([LogLine(1000, stream, text.encode()) for text in texts])
    assert writer.problem is None
    writer.close()


def parts(store: Store, id: str, offset: int = 0, limit: int = SEGMENT) -> Iterator[bytes]:
    """Read the log to its end; yield ``cut`` where something is left out."""
    at = offset
    while (part := keeping(store).read_log(id, at, limit)) is not None and part.data:
        if part.start > at:
            yield b"cut\n"
        yield part.data
        at = part.end


def texts(store: Store, id: str, *, markers: bool = False) -> list[str]:
    """The texts in the job's log; with ``markers`` also the lines that are no output."""
    lines = decode_lines(b"".join(parts(store, id)))
    return [
        line.text.decode() if line.stream in (STDOUT, STDERR, BOTH) else f"<{line.stream}>"
        for line in lines
        if markers or line.stream in (STDOUT, STDERR, BOTH)
    ]


# -- every store ---------------------------------------------------------------------------


def test_what_is_written_is_read(store: Store) -> None:
    """The first line says which attempt of which job it is."""
    job = store.create(new("a"))
    assert keeping(store).read_log("a") is None
    assert keeping(store).log_info("a") is None
    write(store, job, "one", "two")
    part = keeping(store).read_log("a")
    assert part is not None
    assert part.start == 0
    first, *rest = decode_lines(part.data)
    assert (first.stream, first.text) == ("attempt", f"1 {job.created_at}".encode())
    assert rest == [LogLine(1000, BOTH, b"one"), LogLine(1000, BOTH, b"two")]
    assert keeping(store).read_log("a", part.end) == (part.end, b"")
    info = keeping(store).log_info("a")
    assert info is not None
    assert (info.id, info.size) == ("a", part.end)
    assert keeping(store).logs() == [info]


def test_reader_goes_on_where_it_was(store: Store) -> None:
    """Also with a limit below one line: a part always has whole lines."""
    job = store.create(new("a"))
    writer = keeping(store).log_writer(job)
    writer.write([LogLine(0, BOTH, b"x" * n) for n in range(100)])
    data = b"".join(parts(store, "a"))
    for limit in (1, 30, 500, SEGMENT):
        assert b"".join(parts(store, "a", limit=limit)) == data
    writer.write([LogLine(0, BOTH, b"more")])
    assert [line.text for line in decode_lines(b"".join(parts(store, "a", len(data))))] == [b"more"]
    writer.close()


def test_the_next_attempt_goes_on_in_the_same_log(store: Store) -> None:
    """With a line of its own between."""
    job = store.create(new("a"))
    write(store, job, "one")
    write(store, job.replace(retry_count=1), "two")
    assert texts(store, "a", markers=True) == ["<attempt>", "one", "<attempt>", "two"]


def test_of_a_long_log_the_beginning_and_the_newest_are_kept(store: Store) -> None:
    """1 MiB in all, and the positions say how much is missing."""
    job = store.create(new("a"))
    writer = keeping(store).log_writer(job)
    written = 0
    for number in range(3000):
        text = f"{number:5}" + "x" * 995
        writer.write([LogLine(0, BOTH, text.encode())])
        written += len(text) + len("1970-01-01T00:00:00.000Z both F \n")
    writer.close()
    info = keeping(store).log_info("a")
    assert info is not None
    assert 15 * SEGMENT - 20_000 < info.size <= 16 * SEGMENT
    found = list(parts(store, "a"))
    assert found.count(b"cut\n") == 1
    cut = found.index(b"cut\n")
    kept = [[int(line.text[:5]) for line in decode_lines(b"".join(some)) if line.stream == BOTH]
            for some in (found[:cut], found[cut:])]  # fmt: skip
    assert kept[0] == list(range(len(kept[0])))
    assert sum(map(len, found[:cut])) > SEGMENT - 1100
    assert kept[1] == list(range(3000 - len(kept[1]), 3000))
    last = keeping(store).read_log("a", 2_900_000)
    assert last is not None
    assert last.start == 2_900_000 or last.start > written - 16 * SEGMENT


def test_log_goes_with_the_job(store: Store) -> None:
    """A new job of the same id has none."""
    write(store, store.create(new("a")), "old")
    write(store, store.create(new("b")), "other")
    store.remove("a")
    assert [info.id for info in keeping(store).logs()] == ["b"]
    store.create(new("a"))
    assert keeping(store).read_log("a") is None


def test_log_can_be_removed_alone(store: Store) -> None:
    """The job stays; the second removal finds nothing."""
    write(store, store.create(new("a")), "x")
    assert keeping(store).remove_log("a")
    assert not keeping(store).remove_log("a")
    assert keeping(store).read_log("a") is None
    assert store.get("a").id == "a"


def test_reader_of_a_log_that_has_begun_anew_begins_anew(store: Store) -> None:
    """Its position is behind the end."""
    job = store.create(new("a"))
    write(store, job, *["long"] * 100)
    end = sum(map(len, parts(store, "a")))
    keeping(store).remove_log("a")
    write(store, job, "short")
    part = keeping(store).read_log("a", end)
    assert part is not None
    assert part.start == 0
    assert b"short" in part.data


def test_log_of_an_earlier_job_is_recognised(store: Store) -> None:
    """Another program may have created the job anew, which removes no log."""
    job = store.create(new("a"))
    assert is_log_of(keeping(store), job)
    write(store, job, "x")
    assert is_log_of(keeping(store), job)
    assert not is_log_of(keeping(store), job.replace(created_at="2020-01-01T00:00:00.000Z"))
    same = job.created_at.replace("Z", "+00:00")
    assert is_log_of(keeping(store), job.replace(created_at=same))


def test_what_is_no_id_has_no_log(store: Store) -> None:
    """No path can be made of it."""
    for id in ("", ".", "..", "a/b", "../x", "a\0", "-x"):
        for call in (keeping(store).read_log, keeping(store).remove_log, keeping(store).log_info):
            with pytest.raises(InvalidId):
                call(id)


# -- directories ---------------------------------------------------------------------------


def log_dir(jobs_dir: Path, id: str = "a") -> Path:
    return jobs_dir / ".jobctl" / "logs" / id


def test_only_the_owner_has_access(opened: Callable[..., DirectoryStore], jobs_dir: Path) -> None:
    """Whatever the umask says."""
    store = opened()
    job = store.create(new("a"))
    for umask in (0o000, 0o777):
        before = os.umask(umask)
        try:
            write(store, job, "x")
        finally:
            os.umask(before)
        (segment,) = log_dir(jobs_dir).iterdir()
        for path, mode in [(log_dir(jobs_dir).parent, 0o700), (log_dir(jobs_dir), 0o700),
                           (segment, 0o600)]:  # fmt: skip
            assert stat.S_IMODE(path.stat().st_mode) == mode
        assert stat.S_IMODE((log_dir(jobs_dir).parent / ".usage").stat().st_mode) == 0o600
        store.remove_log("a")
        shutil.rmtree(log_dir(jobs_dir).parent)


def test_reading_creates_nothing(opened: Callable[..., DirectoryStore], jobs_dir: Path) -> None:
    """Not even the directory of all logs."""
    store = opened()
    assert store.read_log("a") is None
    assert store.logs() == []
    assert list(jobs_dir.iterdir()) == []


@pytest.mark.parametrize("link", ["logs", "logs/a"])
def test_link_is_not_followed(
    opened: Callable[..., DirectoryStore], jobs_dir: Path, tmp_path: Path, link: str
) -> None:
    """Neither to write nor to read nor to remove."""
    store = opened()
    job = store.create(new("a"))
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / "a").mkdir(parents=True)
    secret = elsewhere / ("a/0000000000000000.log" if link == "logs" else "0000000000000000.log")
    secret.write_bytes(b"2026-11-28T12:00:00.123Z stderr F secret\n")
    where = jobs_dir / ".jobctl" / link
    where.parent.mkdir(exist_ok=True)
    where.symlink_to(elsewhere)
    assert store.read_log("a") is None
    assert store.logs() == []
    assert not store.remove_log("a")
    writer = store.log_writer(job)
    writer.write([LogLine(0, BOTH, b"x")])
    assert writer.problem is not None
    assert secret.read_bytes() == b"2026-11-28T12:00:00.123Z stderr F secret\n"
    store.remove("a")
    assert secret.exists()


@pytest.mark.parametrize("kind", ["link", "fifo", "directory"])
def test_segment_that_is_no_file_is_not_used(
    opened: Callable[..., DirectoryStore], jobs_dir: Path, tmp_path: Path, kind: str
) -> None:
    """Nor does a reader or a writer block on it."""
    store = opened()
    job = store.create(new("a"))
    log_dir(jobs_dir).mkdir(parents=True)
    segment = log_dir(jobs_dir) / "0000000000000000.log"
    if kind == "link":
        (tmp_path / "secret").write_bytes(b"2026-11-28T12:00:00.123Z stderr F secret\n")
        segment.symlink_to(tmp_path / "secret")
    elif kind == "fifo":
        os.mkfifo(segment)
    else:
        segment.mkdir()
    writer = store.log_writer(job)
    writer.write([LogLine(0, BOTH, b"x")])
    assert writer.problem is not None
    with suppress(Exception):
        part = store.read_log("a")
        assert part is None or b"secret" not in part.data
    if kind == "link":
        assert (tmp_path / "secret").read_bytes().endswith(b"secret\n")


@pytest.mark.parametrize("gone", ["log", "all logs", "everything of jobctl"])
def test_log_that_is_removed_while_it_is_written_goes_on(
    opened: Callable[..., DirectoryStore], jobs_dir: Path, gone: str
) -> None:
    """At the position where it was, so that followers lose nothing."""
    store = opened()
    job = store.create(new("a"))
    writer = store.log_writer(job)
    writer.write([LogLine(0, BOTH, b"before")])
    end = sum(map(len, parts(store, "a")))
    target = {"log": "logs/a", "all logs": "logs", "everything of jobctl": "."}[gone]
    subprocess.run(["rm", "-rf", jobs_dir / ".jobctl" / target], check=False)
    if gone == "everything of jobctl":
        subprocess.run(["rm", "-rf", jobs_dir / ".jobctl"], check=True)
    writer.write([LogLine(0, BOTH, b"after")])
    assert writer.problem is None
    part = store.read_log("a", end)
    assert part is not None
    assert part.start == end
    assert [line.text for line in decode_lines(part.data) if line.stream == BOTH] == [b"after"]


def test_log_of_a_removed_job_does_not_come_back(
    opened: Callable[..., DirectoryStore], jobs_dir: Path
) -> None:
    """The writer of a job that was removed writes nothing more."""
    store = opened()
    writer = store.log_writer(store.create(new("a")))
    writer.write([LogLine(0, BOTH, b"before")])
    store.remove("a")
    for _ in range(3):
        writer.write([LogLine(0, BOTH, b"after")])
    assert writer.problem == "the job was removed"
    assert not log_dir(jobs_dir).exists()


def test_writer_of_a_replaced_job_leaves_the_new_log_alone(
    opened: Callable[..., DirectoryStore],
) -> None:
    """Another job has the id by now."""
    store = opened()
    writer = store.log_writer(store.create(new("a").replace(created_at="2020-01-01T00:00:00.000Z")))
    writer.write([LogLine(0, BOTH, b"old")])
    store.remove("a")
    write(store, store.create(new("a")), "new")
    writer.write([LogLine(0, BOTH, b"old")])
    assert writer.problem == "the job was replaced"
    assert texts(store, "a") == ["new"]


def test_two_writers_lose_nothing(opened: Callable[..., DirectoryStore]) -> None:
    """Each line is there once and whole, through several segments."""
    first, second = opened(), opened()
    job = first.create(new("a"))

    def work(store: DirectoryStore, name: str) -> None:
        writer = store.log_writer(job)
        for number in range(400):
            writer.write([LogLine(0, BOTH, f"{name}{number} ".encode() + b"x" * 1000)])
        writer.close()

    threads = [threading.Thread(target=work, args=pair) for pair in [(first, "a"), (second, "b")]]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = texts(first, "a")
    names = [text.split()[0] for text in found]
    assert all(len(text.split()[1]) == 1000 for text in found)
    assert [name for name in names if name[0] == "a"] == [f"a{n}" for n in range(400)]
    assert [name for name in names if name[0] == "b"] == [f"b{n}" for n in range(400)]


def test_torn_line_costs_itself_only(opened: Callable[..., DirectoryStore], jobs_dir: Path) -> None:
    """A reader waits for its end; the next writer ends it."""
    store = opened()
    job = store.create(new("a"))
    write(store, job, "one")
    (segment,) = log_dir(jobs_dir).iterdir()
    for torn in (b"2026-11-28T12:00:0", b"2026-11-28T12:00:00.123Z both F tor"):
        with segment.open("ab") as file:
            file.write(torn)
        before = texts(store, "a")
        assert "tor" not in before
        write(store, job, "next")
        assert texts(store, "a")[-1] == "next"
    assert texts(store, "a") == ["one", "next", "tor", "next"]


_WRITE_FOR_EVER = """
import sys
from jobctl.core.log import LogLine
from jobctl.stores import open_store
store = open_store(sys.argv[1])
writer = store.log_writer(store.get("a"))
number = 0
while True:
    writer.write([LogLine(0, "both", b"%d " % (number + n) + b"x" * 5000) for n in range(5)])
    number += 5
    print(number, flush=True)
"""


@pytest.mark.slow
def test_killed_writer_leaves_a_log_that_can_be_read(
    opened: Callable[..., DirectoryStore], jobs_dir: Path
) -> None:
    """Everything that it had written, whole, and the next attempt after it."""
    store = opened()
    job = store.create(new("a"))
    for _ in range(3):
        command = [sys.executable, "-c", _WRITE_FOR_EVER, str(jobs_dir)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            for _ in range(20):
                said = int(process.stdout.readline())
            process.send_signal(signal.SIGKILL)
        write(store, job, "the next one")
        found = texts(store, "a")
        assert found[-1] == "the next one"
        numbers = [int(text.split()[0]) for text in found if text[0].isdigit()]
        assert max(numbers) >= said - 1
        assert all(len(text.split()[1]) <= 5000 for text in found if text[0].isdigit())


def test_thousand_segments_are_read(opened: Callable[..., DirectoryStore], jobs_dir: Path) -> None:
    """Of a log that another version kept; the next writer cuts it to the limit."""
    store = opened()
    job = store.create(new("a"))
    log_dir(jobs_dir).mkdir(parents=True)
    line = b"2026-11-28T12:00:00.123Z both F x\n"
    for number in range(1000):
        (log_dir(jobs_dir) / f"{number * len(line):016d}.log").write_bytes(line)
    assert len(texts(store, "a")) == 1000
    write(store, job, *["y" * 1000] * 100)
    assert len(list(log_dir(jobs_dir).iterdir())) <= 16
    assert texts(store, "a")[0] == "x"


def test_overlapping_segments_are_read_once(
    opened: Callable[..., DirectoryStore], jobs_dir: Path
) -> None:
    """Two writers without a lock may make them; and what is no segment is passed over."""
    store = opened()
    store.create(new("a"))
    log_dir(jobs_dir).mkdir(parents=True)
    line = b"2026-11-28T12:00:00.123Z both F %d\n"
    size = len(line % 1)
    (log_dir(jobs_dir) / f"{0:016d}.log").write_bytes(line % 1 + line % 2 + line % 9)
    (log_dir(jobs_dir) / f"{2 * size:016d}.log").write_bytes(line % 3)
    (log_dir(jobs_dir) / "0.log").write_bytes(line % 7)
    (log_dir(jobs_dir) / "notes").write_bytes(line % 8)
    assert texts(store, "a") == ["1", "2", "3"]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS])
def test_failure_costs_the_log_and_is_told_in_it(
    opened: Callable[..., DirectoryStore], monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """The writer tries again later, and says how much is missing."""
    store = opened()
    job = store.create(new("a"))
    clock = [100.0]
    monkeypatch.setattr(directory_logs.time, "monotonic", lambda: clock[0])
    writer = store.log_writer(job)
    writer.write([LogLine(0, BOTH, b"before")])

    def fail(fd: int, data: bytes) -> None:
        os.write(fd, data[: len(data) // 2])  # a full file system may take a part
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as broken:
        broken.setattr(directory_logs, "write_all", fail)
        writer.write([LogLine(0, BOTH, b"lost")])
        assert writer.problem == os.strerror(number).lower()
    writer.write([LogLine(0, BOTH, b"too soon")])
    clock[0] += 1.5
    writer.write([LogLine(0, BOTH, b"after")])
    assert writer.problem is None
    lines = [line for line in decode_lines(b"".join(parts(store, "a"))) if line.stream != BOTH]
    assert [line.stream for line in lines] == ["attempt", "lost"]
    size, why = lines[1].text.split(b" ", 1)
    assert int(size) == sum(
        len(f"1970-01-01T00:00:00.000Z both F {text}\n") for text in ("lost", "too soon")
    )
    assert why.decode() == os.strerror(number).lower()
    assert texts(store, "a")[0] == "before"
    assert texts(store, "a")[-1] == "after"
    assert "too soon" not in texts(store, "a")


def test_writer_without_permission_does_not_raise(
    opened: Callable[..., DirectoryStore], jobs_dir: Path
) -> None:
    """Nor in a directory that is not to be written to."""
    store = opened()
    job = store.create(new("a"))
    jobs_dir.chmod(0o777)
    writer = store.log_writer(job)
    writer.write([LogLine(0, BOTH, b"x")])
    assert writer.problem is not None
    assert "everybody" in writer.problem
    assert store.read_log("a") is None


def test_time_that_goes_back_changes_no_order(opened: Callable[..., DirectoryStore]) -> None:
    """The order is that of writing."""
    store = opened()
    writer = store.log_writer(store.create(new("a")))
    writer.write([LogLine(at, BOTH, b"%d" % at) for at in (5000, 3000, 0, 9000)])
    assert texts(store, "a") == ["5000", "3000", "0", "9000"]


def test_removal_during_writing_leaves_nothing_broken(
    opened: Callable[..., DirectoryStore], jobs_dir: Path
) -> None:
    """A writer and `remove_log` at once: neither fails, and the writer goes on."""
    store = opened()
    job = store.create(new("a"))
    writer = store.log_writer(job)
    done = threading.Event()

    def remove() -> None:
        while not done.is_set():
            store.remove_log("a")

    thread = threading.Thread(target=remove)
    thread.start()
    for number in range(300):
        writer.write([LogLine(0, BOTH, f"{number} ".encode() + b"x" * 2000)])
    done.set()
    thread.join()
    writer.close()
    write(store, job, "last")
    assert texts(store, "a")[-1] == "last"
    assert log_dir(jobs_dir).is_dir()
