"""What the doctor finds, each fault injected for real where one machine can; and what it leaves."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import itertools
import json
import os
import re
import resource
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from websockets.asyncio.server import serve as websockets_serve

from jobctl._clock import now, now_ms
from jobctl.config import Settings
from jobctl.core import transitions as jobs
from jobctl.core.codec import encode
from jobctl.core.cursor import ZERO
from jobctl.core.protocol import SUBPROTOCOL
from jobctl.core.times import to_text
from jobctl.errors import StoreError
from jobctl.hub.discovery import announced
from jobctl.stores import Store, open_store
from jobctl.stores.directory import mounts
from jobctl.stores.directory.bell import DirectoryBell
from jobctl.stores.directory.changelog import LINE
from jobctl.stores.directory.files import FoundFile
from jobctl.upkeep import doctor as doctor_package
from jobctl.upkeep.doctor import (
    CHECKS,
    Finding,
    contents,
    doctor,
    listeners,
    location,
    reverse_proxy,
)
from jobctl.upkeep.doctor.finding import CheckContext
from tests.hub.network import HubProcess, running_hub
from tests.stores.support import DATA, age, running

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to give files away")


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A directory of two jobs with all that jobctl keeps beside them."""
    path = tmp_path / "jobs"
    store = open_store(path, create=True)
    store.create(jobs.create("etl", now=now(), id="a"))
    store.create(jobs.complete(jobs.create("etl", now=now(), id="b"), now=now()))
    store.close()
    return path


@pytest.fixture
def store(directory: Path) -> Iterator[Store]:
    """The store in it."""
    made = open_store(directory)
    yield made
    made.close()


def current(path: Path | str | None, **env: str) -> list[Finding]:
    """All findings, in these surroundings alone."""
    return doctor(path, env=env, cwd=Path("/"))


def troubles(path: Path | str | None, **env: str) -> list[Finding]:
    """All that is not as it should be."""
    return [finding for finding in current(path, **env) if finding.level != "ok"]


def only(findings: list[Finding]) -> Finding:
    """The one finding."""
    assert len(findings) == 1, findings
    return findings[0]


def everything_in(path: Path) -> dict[str, tuple[int, int, int, bytes]]:
    """All that lies in a tree: mode, inode, time of change and contents."""
    tree = {}
    for folder, folders, files in os.walk(path):
        for name in [".", *folders, *files]:
            at = Path(folder, name)
            stat = at.lstat()
            data = at.read_bytes() if at.is_file() else b""
            tree[str(at)] = (stat.st_mode, stat.st_ino, stat.st_ctime_ns, data)
    return tree


# -- the whole ------------------------------------------------------------------------------


def test_a_healthy_directory_has_no_troubles(directory: Path) -> None:
    """And the short list says what is well."""
    findings = current(directory)
    assert {finding.level for finding in findings} == {"ok"}
    said = "\n".join(finding.what for finding in findings)
    for part in ("--dir", "0700", "locks work", "2 records, revision 2", "2 jobs, 1 active"):
        assert part in said


def test_nothing_is_made_moved_or_swept(directory: Path, tmp_path: Path) -> None:
    """Where jobctl never was, it makes nothing; where it was, even the dead stay as they lie."""
    bare = tmp_path / "bare"
    shutil.copytree(DATA / "bad-jobs", bare)
    listener = DirectoryBell(str(directory / ".jobctl" / "bell")).listen()
    dead = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    dead.bind(str(directory / ".jobctl" / "bell" / "1-dead"))
    dead.close()
    (directory / ".jobctl" / "hubs").mkdir()
    (directory / ".jobctl" / "hubs" / "1-dead.json").write_text("{}")
    (directory / "a.json").write_text("{")
    age(directory / "a.json")
    for path in (bare, directory):
        before = everything_in(path)
        assert troubles(path)
        assert everything_in(path) == before
    assert listener.drain() == 0, "asking is no ring"
    listener.close()


def test_a_check_that_breaks_is_a_finding(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And keeps none of the others; what it had found by then counts."""

    def broken(context: CheckContext) -> Iterator[Finding]:
        yield Finding("info", "so far")
        raise KeyError("odd")

    def refused(context: CheckContext) -> Iterator[Finding]:
        raise StoreError("no way", hint="go round")
        yield

    def unreadable(context: CheckContext) -> Iterator[Finding]:
        raise OSError(errno.EIO, "Input/output error", "/x")
        yield

    healthy = current(directory)
    monkeypatch.setattr(doctor_package, "CHECKS", [broken, refused, unreadable, *CHECKS])
    findings = current(directory)
    assert findings[:4] == [
        ("info", "so far", "", ""),
        (
            "error",
            "the check of broken broke: KeyError: 'odd'",
            "",
            "that is a defect of jobctl's",
        ),
        ("error", "no way", "", "go round"),
        ("error", "cannot look: Input/output error", "/x", ""),
    ]
    assert [finding.what for finding in findings[4:]] == [finding.what for finding in healthy]


@pytest.mark.slow
def test_a_check_that_hangs_is_left_behind(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one in a dead file system does."""
    leave = threading.Event()

    def hanging(context: CheckContext) -> Iterator[Finding]:
        yield Finding("info", "so far")
        leave.wait(20)

    monkeypatch.setattr(doctor_package, "CHECKS", [hanging, *CHECKS])
    monkeypatch.setattr(doctor_package, "_HARD_S", 0.3)
    try:
        findings = current(directory)
    finally:
        leave.set()
    assert [finding.what for finding in findings[:2]] == [
        "so far",
        "the check of hanging does not come to an end",
    ]
    assert len(findings) > 2


@pytest.mark.parametrize("kind", ["missing", "file", "loop", "too long", "nul", "empty"])
def test_what_is_no_directory_is_a_finding(tmp_path: Path, kind: str) -> None:
    """Never an error that is raised; the surroundings are looked at all the same."""
    path = str(tmp_path / "x")
    if kind == "file":
        Path(path).write_text("x")
    elif kind == "loop":
        os.symlink(path, path)
    path = {"too long": "x" * 5000, "nul": "a\0b", "empty": ""}.get(kind, path)
    findings = current(path)
    assert only([finding for finding in findings if finding.level != "ok"]).level == "error"
    assert any("Python" in finding.what for finding in findings)


def test_a_default_directory_that_is_not_there_yet_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody has recorded anything so far."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))  # what platformdirs looks at
    monkeypatch.setenv("HOME", str(tmp_path))
    found = only(troubles(None))
    assert (found.level, "no such directory yet (by default)" in found.what) == ("info", True)


def test_a_present_directory_that_is_gone(
    tmp_path: Path, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A finding, as all else."""
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    found = [finding for finding in doctor(directory, env={}) if finding.level != "ok"]
    assert only(found).what == "the present directory is gone"


@pytest.mark.slow
def test_many_jobs_are_looked_at_as_far_as_time_goes(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And it is said how far."""
    for number in range(300):
        (directory / f"j{number}.json").write_bytes(encode(jobs.create("t", now=now(), id="x")))
    monkeypatch.setattr(doctor_package, "_SOFT_S", 0.0)
    said = [finding.what for finding in current(directory)]
    assert any("there was time for 0 of 302 job files" in what for what in said)


# -- the directory --------------------------------------------------------------------------


def overdue_findings(directory: Path, tmp_path: Path, settings: str) -> list[Finding]:
    """What the doctor says about types that have to succeed regularly."""
    (tmp_path / "jobctl.toml").write_text(settings)
    found = doctor(directory, env={}, cwd=tmp_path)
    return [finding for finding in found if "overdue" in finding.what]


def test_type_that_is_overdue_is_an_error(directory: Path, store: Store, tmp_path: Path) -> None:
    """With its last success; one that is in time, or that nobody expects, is none."""
    old = jobs.create("backup", now=to_text(now_ms() - 50 * 3_600_000), id="old")
    store.create(jobs.complete(old, now=to_text(now_ms() - 49 * 3_600_000)))
    settings = '[types.backup]\nexpect-every = "1d"\n[types.x]\nlabel = "X"\n'
    finding = only(overdue_findings(directory, tmp_path, settings))
    assert finding.level == "error"
    assert finding.what == "backup is overdue: last success 2d01h ago, expected every 1d"
    assert finding.hint == "its jobs: jobctl ls --type backup"
    assert overdue_findings(directory, tmp_path, settings.replace("1d", "3d")) == []


def test_nothing_is_overdue_if_not_all_jobs_were_looked_at(
    directory: Path, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last success may be among the others."""
    old = jobs.create("backup", now=to_text(now_ms() - 50 * 3_600_000), id="old")
    store.create(jobs.fail(old, "no", now=now()))
    settings = '[types.backup]\nexpect-every = "1d"\n'
    assert len(overdue_findings(directory, tmp_path, settings)) == 1
    monkeypatch.setattr(doctor_package, "_SOFT_S", 0.0)
    assert overdue_findings(directory, tmp_path, settings) == []


@pytest.mark.parametrize(
    ("mode", "level", "said"),
    [
        (0o755, "warning", "others can look into it"),
        (0o770, "warning", "its group can write in it"),
        (0o707, "error", "everybody can write in it"),
    ],
)
def test_modes_of_the_directory(directory: Path, mode: int, level: str, said: str) -> None:
    """FAULTS row 56: what others may do in it, and how to end that."""
    directory.chmod(mode)
    found = troubles(directory)[0]
    assert (found.level, said in found.what, found.where) == (level, True, str(directory))
    assert found.hint.startswith("'chmod ")


@pytest.mark.parametrize(("mode", "level"), [(0o755, "warning"), (0o770, "error")])
def test_modes_of_what_is_ours(directory: Path, mode: int, level: str) -> None:
    """``.jobctl`` is the owner's alone."""
    (directory / ".jobctl").chmod(mode)
    found = only(troubles(directory))
    assert (found.level, found.where) == (level, str(directory / ".jobctl"))
    assert f"mode {mode:04o}" in found.what


def test_a_link_in_place_of_what_is_ours(directory: Path, tmp_path: Path) -> None:
    """FAULTS row 56: it is not followed."""
    (directory / ".jobctl").rename(tmp_path / "elsewhere")
    (directory / ".jobctl").symlink_to(tmp_path / "elsewhere")
    found = only(troubles(directory))
    assert (found.level, found.what) == ("error", "this is not a directory")


@root_only
def test_what_belongs_to_others(directory: Path) -> None:
    """The directory, and .jobctl of another owner than that."""
    os.chown(directory, 1234, -1)
    first, second = troubles(directory)
    assert (first.level, "another user (uid 1234)" in first.what) == ("warning", True)
    assert (second.level, second.what) == (
        "error",
        f"it belongs to uid {os.geteuid()}, and the directory to uid 1234",
    )


def test_a_file_system_that_is_read_only_or_full(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """FAULTS rows 3 and 4: before a write fails."""

    def on(*, blocks: int = 900_000, inodes: int = 90_000, flag: int = 0) -> list[tuple[str, str]]:
        room = (4096, 4096, 1_000_000, blocks, blocks, 100_000, inodes, inodes, flag, 255)
        monkeypatch.setattr(os, "fstatvfs", lambda fd: os.statvfs_result(room))
        return [(finding.level, finding.what) for finding in troubles(directory)]

    assert on() == []
    assert on(flag=os.ST_RDONLY) == [("error", "the file system is mounted read-only")]
    assert on(blocks=2560) == [("warning", "only 10.0 MiB are free")]
    assert on(blocks=0) == [("error", "the disk is full")]
    assert on(inodes=7) == [("warning", "only 7 inodes are left, and each job takes one")]
    assert on(inodes=0) == [("error", "no inodes are left")]


@pytest.mark.parametrize(
    ("kind", "warns"),
    [
        ("nfs4", True),
        ("cifs", True),
        ("9p", True),
        ("fuse.sshfs", True),
        ("fuse", True),
        ("fuseblk", False),
        ("ext4", False),
        ("tmpfs", False),
    ],
)
@pytest.mark.parametrize("by", ["device", "path"])
def test_a_file_system_of_another_machine(
    directory: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
    warns: bool,
    by: str,
) -> None:
    """FAULTS row 13: locks may not work there."""
    device = directory.stat().st_dev
    number = f"{os.major(device)}:{os.minor(device)}" if by == "device" else "99:99"
    at = str(directory).replace(" ", "\\040")
    table = tmp_path / "mountinfo"
    table.write_text(
        "1 0 98:98 / / rw - xfs /dev/sda rw\n"
        f"36 35 {number} / {at} rw,noatime master:1 - {kind} server:/x rw\n"
        f"37 35 97:97 / {at}/deeper rw - proc proc rw\nnonsense\n"
    )
    monkeypatch.setattr(mounts, "TABLE", str(table))
    findings = current(directory)
    remote = [finding.level for finding in findings if f"type {kind}:" in finding.what]
    local = [finding.level for finding in findings if f"({kind})" in finding.what]
    assert (remote, local) == ((["warning"], []) if warns else ([], ["ok"]))


def test_locks_that_do_not_work(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """FAULTS row 13."""

    def flock(fd: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(location.fcntl, "flock", flock)
    found = only(troubles(directory))
    assert (found.level, found.what) == ("error", "locks do not work here: No locks available")


@pytest.mark.slow
@pytest.mark.parametrize("stopped", [True, False])
def test_a_writer_that_holds_the_lock_for_long(
    directory: Path, monkeypatch: pytest.MonkeyPatch, stopped: bool
) -> None:
    """FAULTS row 7: it is named, and how to wake it."""
    monkeypatch.setattr(location, "_LOCK_S", 0.2)
    script = (
        "def change(job):\n    print('in', flush=True); time.sleep(30)\nstore.update('a', change)"
    )
    with running(script, directory) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "in\n"
        if stopped:
            os.kill(writer.pid, signal.SIGSTOP)
            deadline_s = time.monotonic() + 5
            while not location.is_stopped(writer.pid):
                assert time.monotonic() < deadline_s
        found = only(troubles(directory))
    assert found.level == "error"
    assert f"process {writer.pid} " in found.what
    assert ("is stopped" in found.what, "kill -CONT" in found.hint) == (stopped, stopped)


@pytest.mark.slow
def test_a_busy_writer_is_no_trouble(directory: Path) -> None:
    """It lets go between two writes."""
    script = (
        "while True:\n    store.update('a', with_message(str(time.time())))\n    print(flush=True)"
    )
    with running(script, directory) as writer:
        assert writer.stdout is not None
        writer.stdout.readline()
        drain = threading.Thread(target=writer.stdout.read, daemon=True)
        drain.start()
        # What it updates was made by nobody's clock but ours: T0 is long ago.
        found = [
            finding
            for finding in troubles(directory)
            if "untouched for over a day" not in finding.what
        ]
        writer.kill()
        drain.join(5)
    assert found == []


def test_file_that_changes_at_each_look_is_no_trouble(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody writes it just then, so a look finds it before or after its newest record."""
    real, turns = contents.read_file, itertools.count()

    def changing(dir_fd: int, name: str) -> FoundFile | None:
        found = real(dir_fd, name)
        assert found is not None
        return found._replace(data=found.data.rstrip() + b" " * next(turns))

    monkeypatch.setattr(contents, "read_file", changing)
    assert [item for item in troubles(directory) if "change log says" in item.what] == []
    monkeypatch.setattr(
        contents, "read_file", lambda dir_fd, name: real(dir_fd, name)._replace(data=b"{}")
    )
    assert [item for item in troubles(directory) if "change log says" in item.what] != []


def test_several_writers_in_turn_are_no_trouble(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They may leave no gap for us to see, and yet nobody is stuck."""
    pids = itertools.cycle([11, 22])
    monkeypatch.setattr(location, "holder_of", lambda key: next(pids))
    monkeypatch.setattr(location, "_LOCK_S", 0.1)
    fd = os.open(directory / ".jobctl", os.O_RDONLY)
    fcntl.flock(fd, fcntl.LOCK_EX)
    try:
        assert troubles(directory) == []
    finally:
        os.close(fd)


def test_litter(directory: Path) -> None:
    """What crashed writers left, what is unknown, what others left; not what has just come."""
    for name in (".jobctl/next", ".jobctl/what", "a.json.tmp", ".b.json.swp", "notes"):
        (directory / name).write_text("x")
        age(directory / name, 3600)
    (directory / ".jobctl" / "changes.new").write_text("in flight")
    (directory / "fresh.tmp").write_text("in flight")
    (directory / "jobctl.toml").write_text("")
    found = {finding.what: (finding.level, finding.where) for finding in troubles(directory)}
    meta = str(directory / ".jobctl")
    assert found == {
        "3 files of somebody else's among the jobs: .b.json.swp, a.json.tmp, notes": (
            "info",
            str(directory),
        ),
        "a writer died at work and left next": ("info", meta),
        "nobody knows what what is for": ("info", meta),
    }


# -- the jobs -------------------------------------------------------------------------------


def test_logs(directory: Path, tmp_path: Path) -> None:
    """How much they take; those whose jobs are gone, after a minute; no directory for them."""
    logs = directory / ".jobctl" / "logs"
    for id, age_s in (("a", 0), ("gone", 3600), ("young", 0)):
        (logs / id).mkdir(parents=True)
        (logs / id / "0000000000000000.log").write_text("x" * 1000)
        os.utime(logs / id / "0000000000000000.log", (time.time() - age_s,) * 2)
    (finding,) = [
        each for each in current(directory) if each.where == str(logs) and each.level == "ok"
    ]
    assert finding.what == "3 logs of 3.0 kB"
    finding = only(troubles(directory))
    assert (finding.level, finding.what) == ("info", "1 log of jobs that are gone: gone")
    assert finding.hint == "'jobctl prune' removes them"
    shutil.rmtree(logs)
    logs.symlink_to(tmp_path)
    finding = only(troubles(directory))
    assert finding.level == "warning"
    assert "cannot be kept" in finding.what


def test_files_that_are_no_jobs_are_named_with_reasons(tmp_path: Path) -> None:
    """FAULTS rows 11 and 58; only so many of them."""
    path = tmp_path / "bad"
    shutil.copytree(DATA / "bad-jobs", path)
    for file in path.iterdir():
        age(file, 3600)
    os.mkfifo(path / "fifo.json")
    (path / "link.json").symlink_to("/etc/hostname")
    (path / "d.json").mkdir()
    wrong = {
        finding.where: finding for finding in troubles(path) if finding.what.startswith("no job: ")
    }
    assert len(wrong) == 10
    assert {finding.level for finding in wrong.values()} == {"error"}
    odd = [found for found in troubles(path) if found.what.startswith("odd but read: ")]
    assert {Path(found.where).stem for found in odd} == {
        "bad-date", "bom", "duplicate-keys", "lone-surrogate", "nan"
    }  # fmt: skip
    assert {found.level for found in odd} == {"info"}
    assert "symbolic link" in wrong[str(path / "link.json")].what
    assert "not a regular file" in wrong[str(path / "fifo.json")].what
    assert "jobctl rm --damaged torn" in wrong[str(path / "torn.json")].hint
    for number in range(20):
        (path / f"x{number}.json").write_text("")
        age(path / f"x{number}.json")
    said = [finding.what for finding in troubles(path) if "no job" in finding.what]
    assert (len(said), said[-1]) == (21, "and 10 more files are no jobs")
    for number in range(20):
        (path / f"y{number}.json").write_text('{"stage": "x", "progress": 140}')
    said = [finding.what for finding in troubles(path) if "odd but read" in finding.what]
    assert (len(said), said[-1]) == (11, "and 15 more job files are odd but read")


def test_names_that_are_no_ids(directory: Path) -> None:
    """They are passed over by everything else."""
    (directory / "-rf.json").write_text("{}")
    found = only(troubles(directory))
    assert (found.level, found.what) == ("warning", "1 file whose name is not a job id: -rf.json")


@pytest.mark.slow
def test_a_file_that_is_being_written_gets_its_second(directory: Path) -> None:
    """A foreign writer in the middle of it is no trouble; one that leaves it so is."""
    data = (directory / "b.json").read_bytes()
    (directory / "b.json").write_bytes(data[:50])
    timer = threading.Timer(0.3, (directory / "b.json").write_bytes, [data])
    timer.start()
    assert [finding for finding in troubles(directory) if finding.level != "info"] == []
    timer.join()
    (directory / "b.json").write_bytes(data[:50])
    assert [finding.where for finding in troubles(directory) if finding.level == "error"] == [
        str(directory / "b.json")
    ]


def test_files_and_records_that_do_not_fit(directory: Path, store: Store) -> None:
    """Foreign writers', edited, new and deleted: counted, and left to whoever may record them."""
    store.create(jobs.create("etl", now=now(), id="c"))
    store.remove("c")
    (directory / "d.json").write_bytes(encode(jobs.create("etl", now=now(), id="d")))
    (directory / "a.json").write_bytes(encode(jobs.create("other", now=now(), id="a")))
    (directory / "b.json").unlink()
    log = (directory / ".jobctl" / "changes").read_bytes()
    found = troubles(directory)
    assert [(finding.level, finding.what) for finding in found] == [
        ("info", "2 files are not what the change log says: a, d"),
        ("info", "1 recorded job has no file: b"),
    ]
    assert (directory / ".jobctl" / "changes").read_bytes() == log
    store.since(ZERO)
    assert troubles(directory) == []


def test_writes_in_flight_are_no_misfits(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A record whose file comes a moment later, and a file whose record does."""
    late = jobs.create("etl", now=now(), id="late")
    (directory / "late.json").write_bytes(encode(late))
    looks = []
    read_file = contents.read_file

    def read(dir_fd: int, name: str) -> object:
        looks.append(name)
        if looks.count("late.json") == 2:
            made = open_store(directory)
            made.since(ZERO)
            made.close()
        return read_file(dir_fd, name)

    monkeypatch.setattr(contents, "read_file", read)
    assert troubles(directory) == []
    assert looks.count("late.json") > 2


@pytest.mark.parametrize(
    ("mode", "level", "said"),
    [
        (0o646, "error", "1 job file can be written by everybody: a.json"),
        (0o664, "warning", "1 job file can be written by the group: a.json"),
        (0o644, "info", "1 job file can be read by everybody: a.json"),
        (0o640, None, ""),
    ],
)
def test_modes_of_job_files(directory: Path, mode: int, level: str | None, said: str) -> None:
    """Where the directory lets anybody get at them."""
    (directory / "a.json").chmod(mode)
    assert troubles(directory) == []
    directory.chmod(0o711)
    found = [(finding.level, finding.what) for finding in troubles(directory)[1:]]
    assert found == ([(level, said)] if level else [])


def test_odd_times(directory: Path, store: Store) -> None:
    """Of the future, beyond what clocks differ by; untouched for days; of no calendar."""
    for id, hours, done in (
        ("soon", 0.5, False),
        ("later", 50, True),
        ("idle", -25, False),
        ("ended", -25, True),
    ):
        at = to_text(now_ms() + round(hours * 3_600_000))
        job = jobs.create("etl", now=at, id=id)
        store.create(jobs.complete(job, now=at) if done else job)
    (directory / "odd.json").write_text('{"stage": "x", "createdAt": "2026-02-30T00:00:00Z"}')
    store.since(ZERO)
    remark = (
        'createdAt: "2026-02-30T00:00:00Z" is no time: read as missing '
        '(write "createdAt": "2026-11-28T09:30:00Z")'
    )
    found = [(finding.level, finding.what) for finding in troubles(directory)]
    assert found == [
        ("info", f"odd but read: {remark}"),
        ("warning", "1 job is of the future: later"),
        ("info", "1 active job untouched for over a day: idle"),
    ]


# -- the change log -------------------------------------------------------------------------


def flip(path: Path, offset: int) -> None:
    data = bytearray(path.read_bytes())
    data[offset] ^= 0xFF
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("harm", "level", "said"),
    [
        (lambda log: flip(log, 3), "error", "damaged: the header is not whole"),
        (lambda log: flip(log, LINE + 3), "error", "damaged: line 1 is not whole"),
        (lambda log: log.write_bytes(b""), "error", "damaged: the header is not whole"),
        (lambda log: log.unlink(), "info", "there is no change log"),
        (lambda log: log.with_name("mark").unlink(), "info", "before the last start"),
        (lambda log: log.write_bytes(log.read_bytes()[:-9]), "info", "last line .* is torn"),
        (lambda log: log.write_bytes(log.read_bytes() + b"x"), "info", "last line .* is torn"),
        (
            lambda log: log.write_bytes(log.read_bytes() + log.read_bytes()[LINE : 2 * LINE]),
            "error",
            "damaged: revision 1 comes after 2",
        ),
    ],
)
def test_a_change_log_that_is_not_whole(
    directory: Path, harm: Callable[[Path], object], level: str, said: str
) -> None:
    """FAULTS row 1: what a crash leaves is worth knowing; what it cannot have done is an error."""
    harm(directory / ".jobctl" / "changes")
    found = [finding for finding in troubles(directory) if finding.where.endswith("/changes")]
    assert only(found).level == level
    assert re.search(said, only(found).what)


def test_a_log_that_came_with_a_copy(directory: Path, tmp_path: Path) -> None:
    """FAULTS row 12: it is of no account, and what is well stays well."""
    shutil.copytree(directory, tmp_path / "copy")
    found = only(troubles(tmp_path / "copy"))
    assert (found.level, "was copied here" in found.what) == ("info", True)


# -- bells and hubs -------------------------------------------------------------------------


def test_listeners_dead_and_alive(directory: Path) -> None:
    """FAULTS row 19: told apart without a ring."""
    bell = DirectoryBell(str(directory / ".jobctl" / "bell"))
    alive = bell.listen()
    for number in range(2):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as dead:
            dead.bind(str(directory / ".jobctl" / "bell" / f"{number}-dead"))
    (directory / ".jobctl" / "bell" / "a file").write_text("")
    findings = current(directory)
    alive.close()
    found = only([finding for finding in findings if finding.level != "ok"])
    assert (found.level, found.what) == (
        "info",
        "2 listeners died unexpectedly: 0-dead, 1-dead",
    )
    assert any(finding.what == "1 listener on the bell" for finding in findings)


def test_a_dead_hub(directory: Path) -> None:
    """Its file is there, and nobody holds it."""
    hubs = directory / ".jobctl" / "hubs"
    hubs.mkdir(mode=0o700)
    (hubs / "7-dead.json").write_text('{"url": "ws://127.0.0.1:9"}')
    found = only(troubles(directory))
    assert (found.level, found.what) == ("info", "1 hub died unexpectedly: 7-dead.json")


@pytest.mark.slow
def test_a_hub_that_serves_and_one_that_is_stopped(directory: Path, store: Store) -> None:
    """FAULTS row 16: it answers, or the process is named."""
    with HubProcess(directory) as hub:
        store.create(jobs.create("etl", now=now(), id="c"))
        up = only([finding for finding in current(directory) if finding.where == hub.url])
        assert (up.level, up.what) == ("ok", "a hub is up to date, revision 3")
        hub.send(signal.SIGSTOP)
        deadline_s = time.monotonic() + 5
        while not location.is_stopped(hub.process.pid):
            assert time.monotonic() < deadline_s
        began_s = time.monotonic()
        down = only(troubles(directory))
        assert time.monotonic() - began_s < 5
        assert (down.level, down.where) == ("error", hub.url)
        assert down.what == f"a hub is stopped (process {hub.process.pid})"
        assert "kill -CONT" in down.hint


class FakeHub:
    """A hub that says how far it is, as it was told to: one number for each who asks."""

    def __init__(self, epoch: str, throughs: list[int]) -> None:
        self.epoch, self.throughs = epoch, list(throughs)

    async def answer(self, connection: object) -> None:
        through = self.throughs.pop(0) if len(self.throughs) > 1 else self.throughs[0]
        delta = {"type": "jobs:delta", "epoch": self.epoch, "since": 0, "through": through}
        await connection.send(json.dumps({**delta, "more": False, "jobs": [], "gone": []}))  # type: ignore[attr-defined]
        await connection.wait_closed()  # type: ignore[attr-defined]


async def asked(directory: Path, hub: FakeHub) -> list[Finding]:
    """What is found while this hub runs on the directory."""
    async with websockets_serve(
        hub.answer,
        "127.0.0.1",
        0,
        subprotocols=[SUBPROTOCOL],  # type: ignore[list-item]
    ) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        with announced(directory, f"ws://127.0.0.1:{port}/ws/jobs"):
            return await asyncio.to_thread(current, directory)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("epoch", "throughs", "level", "said"),
    [
        ("", [0], "error", "a hub is 2 revisions behind the directory"),
        ("", [1], "error", "a hub is 1 revision behind the directory"),
        ("", [0, 2], "ok", "a hub is up to date, revision 2"),
        ("0" * 12, [2], "error", "a hub serves another epoch of this directory"),
    ],
)
async def test_a_hub_that_lags_for_long_is_said_to(
    directory: Path,
    store: Store,
    monkeypatch: pytest.MonkeyPatch,
    epoch: str,
    throughs: list[int],
    level: str,
    said: str,
) -> None:
    """A moment is given to it; another epoch is another order."""
    monkeypatch.setattr(listeners, "_GRACE_S", 0.3)
    findings = await asked(directory, FakeHub(epoch or store.since(ZERO).epoch, throughs))
    found = only([finding for finding in findings if finding.where.startswith("ws:")])
    assert (found.level, found.what) == (level, said)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        (
            "ws://127.0.0.1:9/ws/jobs",
            "a hub runs here, and does not serve us: nobody listens there",
        ),
        ("ftp://x\x1b", "a hub's file names no hub"),
    ],
)
def test_a_hub_that_is_not_where_it_says(directory: Path, url: str, said: str) -> None:
    """The file is held, and nobody answers."""
    with announced(directory, url):
        found = only(troubles(directory))
    assert found.level == "error"
    assert said in found.what


@pytest.mark.slow
@root_only
async def test_a_hub_of_another_user_is_neither_asked_nor_sent_a_token(
    directory: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """FAULTS rows 50, 65: whoever can write into the directory says where a hub is."""
    monkeypatch.setenv("JOBCTL_TOKEN", "0123456789abcdef")
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(0.1)
        with announced(directory, f"ws://127.0.0.1:{listening.getsockname()[1]}/ws/jobs"):
            (file,) = (directory / ".jobctl" / "hubs").iterdir()
            os.chown(file, 65534, 65534)
            findings = await asyncio.to_thread(current, directory)
        with pytest.raises(TimeoutError):
            listening.accept()
    found = only([finding for finding in findings if finding.where.startswith("ws:")])
    assert (found.level, "sent no token" in found.what) == ("info", True)


@pytest.mark.slow
async def test_a_hub_is_asked_with_its_own_token(directory: Path, store: Store) -> None:
    """Where nobody tells it which user asks."""
    async with running_hub(store, peer_uid=lambda _: None):
        findings = await asyncio.to_thread(current, directory)
    found = only([finding for finding in findings if finding.where.startswith("ws:")])
    said = f"a hub is up to date, revision {store.head().revision}"
    assert (found.level, found.what) == ("ok", said)


@pytest.mark.slow
@pytest.mark.parametrize("token", [None, b"0123456789abcdef"])
async def test_nginx_before_a_hub_without_a_token(
    directory: Path, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, token: bytes
) -> None:
    """To the hub, its requests look like this machine's: where a file says so, doctor does."""
    site = tmp_path / "nginx.conf"
    monkeypatch.setattr(
        reverse_proxy, "PATTERNS", (str(tmp_path / "none" / "*"), str(tmp_path / "*"))
    )
    monkeypatch.setenv("JOBCTL_TOKEN", "0123456789abcdef")
    options = {} if token is None else {"token": token}
    async with running_hub(store, **options) as hub:
        lines = [
            "location / {",
            f"    # proxy_pass http://127.0.0.1:{hub.port};",
            f"    proxy_pass http://127.0.0.1:{hub.port}0;",
            f"    proxy_pass http://localhost:{hub.port}/;",
            "}",
        ]
        site.write_text("\n".join(lines))
        os.mkfifo(tmp_path / "fifo")
        findings = await asyncio.to_thread(current, directory)
    warned = [finding for finding in findings if "nginx" in finding.what]
    if token is not None:
        assert warned == []
        return
    found = only(warned)
    assert (found.level, found.where) == ("warning", hub.url)
    assert f"({site}:4)" in found.what
    assert "--token-file" in found.hint


def test_a_hub_file_that_says_nothing_yet(directory: Path) -> None:
    """It has just begun."""
    hubs = directory / ".jobctl" / "hubs"
    hubs.mkdir(mode=0o700)
    with open(hubs / "new.json", "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert troubles(directory) == []


# -- around it ------------------------------------------------------------------------------


def test_settings(directory: Path, tmp_path: Path) -> None:
    """Where they are; and what is wrong with them, once."""
    said = only(
        [
            finding
            for finding in current(directory, JOBCTL_DURABLE="1")
            if "settings" in finding.what
        ]
    )
    assert said.what == "settings: no file; JOBCTL_DURABLE=1; durable"
    wrong = only(troubles(directory, JOBCTL_DURABLE="maybe"))
    assert (wrong.level, wrong.what) == ("error", "$JOBCTL_DURABLE is neither 0 nor 1")
    (tmp_path / "jobctl.toml").write_text("dir = 'jobs'")
    found = doctor(env={}, cwd=tmp_path)
    assert str(tmp_path / "jobctl.toml") in found[0].what
    assert {finding.level for finding in found} == {"ok"}
    types = 'dir = "jobs"\ndurible = true\n[types.etl]\neta = '
    (tmp_path / "jobctl.toml").write_text(types + '"1m"')
    found = doctor(env={}, cwd=tmp_path)
    assert any("types: etl" in finding.what for finding in found)
    doubt = only([finding for finding in found if finding.level == "warning"])
    assert "did you mean 'durable'?" in doubt.what
    (tmp_path / "jobctl.toml").write_text(types + '"soon"')
    broken = only([finding for finding in doctor(env={}, cwd=tmp_path) if finding.level == "error"])
    assert "types.etl.eta" in broken.what
    (tmp_path / "jobctl.toml").write_text("dir = ")
    broken = only([finding for finding in doctor(env={}, cwd=tmp_path) if finding.level != "ok"])
    assert (broken.level, broken.hint) == ("error", "mend or remove the file")


def test_proxies_are_named_without_their_values(directory: Path) -> None:
    """FAULTS row 38: they may hold a password."""
    env = {"HTTPS_PROXY": "http://me:secret@proxy", "http_proxy": "http://proxy", "no_proxy": "x"}
    found = only(troubles(directory, **env))
    assert (found.level, "(HTTPS_PROXY, http_proxy)" in found.what) == ("info", True)
    assert "secret" not in str(current(directory, **env))


def test_few_descriptors(directory: Path) -> None:
    """FAULTS row 26."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (200, before[1]))
    try:
        found = only(troubles(directory))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert (found.level, found.what.startswith("only 200 files")) == ("warning", True)


def test_an_encoding_that_lacks_our_symbols(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """FAULTS row 40."""
    monkeypatch.setattr(sys, "stdout", open(os.devnull, "w", encoding="ascii"))  # noqa: SIM115
    found = only(troubles(directory))
    sys.stdout.close()
    assert (found.level, "ascii" in found.what) == ("info", True)


def test_no_descriptor_is_left_open(directory: Path) -> None:
    """Of all the checks."""
    current(directory)
    before = len(os.listdir("/proc/self/fd"))
    current(directory)
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.slow
def test_too_few_descriptors_to_look_break_nothing(directory: Path) -> None:
    """FAULTS row 26: what cannot be looked at is said, and no more."""
    code = (
        "import resource, sys\nfrom jobctl.upkeep.doctor import doctor\n"
        "from jobctl.reader import client\n"
        "doctor(sys.argv[1])\nresource.setrlimit(resource.RLIMIT_NOFILE, (4, 4))\n"
        "found = doctor(sys.argv[1])\n"
        "sys.exit(0 if any('open files' in str(item) for item in found) else str(found))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(directory)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_workers_that_died_with_jobs_in_their_hands(directory: Path) -> None:
    """Who they were, and what to do about their jobs."""
    script = """
from jobctl.core.transitions import create
name = store.owners.hold()
store.create(create("etl", now="2026-01-01T00:00:00.000Z", id="lost").replace(owner=name))
print("ready", flush=True); time.sleep(60)
"""
    with running(script, directory) as worker:
        os.set_blocking(worker.stdout.fileno(), True)
        assert worker.stdout.readline() == "ready\n"
        assert not [found for found in troubles(directory) if "worker" in found.what]
        worker.kill()
        worker.wait()
        (found,) = [found for found in troubles(directory) if "worker" in found.what]
    assert found.level == "warning"
    assert f"process {worker.pid} on " in found.what
    assert "jobctl reap" in (found.hint or "")


def test_the_settings_are_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The directory and the check of the settings come from the same files."""
    read: list[str] = []
    original = Settings.__init__

    def counted(self: Settings, env: Mapping[str, str], cwd: str | os.PathLike[str]) -> None:
        read.append(os.fspath(cwd))
        original(self, env, cwd)

    monkeypatch.setattr(Settings, "__init__", counted)
    (tmp_path / "jobctl.toml").write_text('dir = "jobs"\n')
    findings = doctor(env={}, cwd=tmp_path)
    assert read == [str(tmp_path)]
    assert any(finding.what.startswith("settings: a file") for finding in findings)
