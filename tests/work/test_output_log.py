"""The log of a command's output is written in the background and never holds it up."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterable
from pathlib import Path

import pytest

from jobctl.core.log import BOTH, LOST, STDERR, STDOUT, LogLine
from jobctl.work.run.file_copy import FileCopy
from jobctl.work.run.masking import Masks
from jobctl.work.run.output_log import OutputLog
from tests.stores.support import until


class Lines:
    """A writer that keeps the lines; `write` waits while ``open`` is not set."""

    problem: str | None = None

    def __init__(self) -> None:
        self.lines: list[LogLine] = []
        self.open = threading.Event()
        self.open.set()
        self.closed = False

    def write(self, lines: Iterable[LogLine]) -> None:
        """Keep the lines."""
        self.open.wait(20)
        self.lines += lines

    def close(self) -> None:
        """Note it."""
        self.closed = True

    def texts(self, stream: str = BOTH) -> list[bytes]:
        """Return the texts of one stream."""
        return [line.text for line in self.lines if line.stream == stream]


def never() -> bool:
    """Nobody interrupts."""
    return False


def test_streams_are_apart_and_in_order() -> None:
    """A line of one may end after one of the other."""
    lines = Lines()
    log = OutputLog(lambda: lines, Masks(["secret-of-out"]))
    log.start([])
    log.take(STDOUT, b"out 1\nsecret-")
    log.take(STDERR, b"err\n")
    log.take(STDOUT, b"of-out\nlast")
    log.close(never)
    assert lines.texts(STDOUT) == [b"out 1", b"***", b"last"]
    assert lines.texts(STDERR) == [b"err"]
    assert lines.closed
    assert all(line.whole and line.at_ms > 0 for line in lines.lines)


def test_lines_are_there_soon() -> None:
    """Without more output, and without the end."""
    lines = Lines()
    log = OutputLog(lambda: lines, Masks())
    log.start([])
    log.take(BOTH, b"hello\n")
    end_s = time.monotonic() + 5
    while not lines.texts():
        assert time.monotonic() < end_s
        time.sleep(0.005)
    log.close(never)


def test_masks_that_come_before_output_count() -> None:
    """They are read after the output was taken, and before it is masked."""
    lines, masks = Lines(), Masks()
    log = OutputLog(lambda: lines, masks, lambda: masks.add("named"))
    log.start([])
    log.take(BOTH, b"named\n")
    log.close(never)
    assert lines.texts() == [b"***"]


@pytest.mark.slow
def test_slow_disk_costs_the_middle_of_the_log_and_no_memory() -> None:
    """The beginning and the newest part are kept, and a line says how much is missing."""
    lines = Lines()
    log = OutputLog(lambda: lines, Masks(["0123456789abcdef" * 4]))
    log.start([])
    log.take(BOTH, b"first\n" + b"." * 70_000 + b"\n")
    while not lines.texts():
        time.sleep(0.005)
    lines.open.clear()
    block = b"".join(b"%07d %s\n" % (count, b"0123456789abcdef" * 4) for count in range(1000))
    began_s = time.monotonic()
    for _ in range(300):
        log.take(BOTH, block)
        assert log._size < 1_200_000
    assert time.monotonic() - began_s < 2
    lines.open.set()
    log.close(never)
    texts = lines.texts()
    assert texts[0] == b"first"
    assert texts[-1] == b"0000999 ***"
    (lost,) = lines.texts(LOST)
    kept = 300 * len(block) - int(lost.split()[0])
    assert 1_000_000 < kept < 1_200_000
    after = texts[texts.index(b"0000000 ***", 1) :] if b"0000000 ***" in texts else texts
    assert not any(b"cdef" in text for text in after)


def test_end_does_not_wait_for_a_hanging_disk() -> None:
    """For five seconds at most; not at all if somebody is in a hurry."""
    lines = Lines()
    lines.open.clear()
    log = OutputLog(lambda: lines, Masks())
    log.start([])
    log.take(BOTH, b"x\n")
    began_s = time.monotonic()
    log.close(lambda: True)
    assert time.monotonic() - began_s < 2
    lines.open.set()


def test_job_that_is_not_recorded_has_no_log() -> None:
    """Nothing grows, nothing waits."""
    log = OutputLog(lambda: None, Masks())
    log.start([])
    for _ in range(100):
        log.take(BOTH, b"x" * 65_536)
        assert log._size <= 2 * 1024 * 1024 + 65_536
    log.close(never)


@pytest.mark.parametrize("mode", ["w", "a", "w+"])
def test_file_is_copied_from_where_it_was(tmp_path: Path, mode: str) -> None:
    """What stood there before is not ours."""
    path = tmp_path / "file"
    path.write_text("old\n" if mode == "a" else "")
    lines = Lines()
    log = OutputLog(lambda: lines, Masks())
    with path.open(mode) as file:
        copy = FileCopy(file.fileno())
        log.start([(BOTH, copy)])
        os.write(file.fileno(), b"one\n")
        end_s = time.monotonic() + 5
        while lines.texts() != [b"one"]:
            assert time.monotonic() < end_s
            time.sleep(0.01)
        os.write(file.fileno(), b"two\n")
        assert copy.tail(4) == (b"two\n", True)
        assert copy.tail(100) == (b"one\ntwo\n", False)
        os.ftruncate(file.fileno(), 0)
        os.lseek(file.fileno(), 0, os.SEEK_SET)
        os.write(file.fileno(), b"3\n")
        log.close(never)
        copy.close()
    assert lines.texts()[0] == b"one"
    assert lines.texts()[-1] == b"3"


def test_large_file_is_copied_at_both_ends(tmp_path: Path) -> None:
    """A command may write a gigabyte before we look."""
    path = tmp_path / "file"
    with path.open("ab") as file:
        copy = FileCopy(file.fileno())
        os.write(file.fileno(), b"first\n")
        os.truncate(path, 1 << 32)  # sparse
        os.write(file.fileno(), b"\nlast\n")
        pieces = list(copy.read(1 << 20))
        copy.close()
    assert pieces[0][1].startswith(b"first\n")
    assert pieces[-1][1].endswith(b"\nlast\n")
    assert sum(skipped for skipped, _ in pieces) == (1 << 32) + 6 - (2 << 20)


def test_a_defect_of_the_log_is_its_problem_and_never_waits() -> None:
    """The thread ends; more output is accepted and left out."""

    def broken() -> None:
        raise ValueError("a defect")

    lines = Lines()
    log = OutputLog(lambda: lines, Masks(), broken)
    log.start([])
    log.take(BOTH, b"one\n")
    until(lambda: log.problem is not None)
    log.take(BOTH, b"two\n")
    log.close(never)
    assert log.problem == "a defect"
    assert lines.closed


def test_output_goes_on_without_a_thread_for_the_log(monkeypatch: pytest.MonkeyPatch) -> None:
    """The thread of the channel that hands the output over must not end with an error."""

    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    log = OutputLog(Lines, Masks())
    log.start([])
    monkeypatch.setattr(threading.Thread, "start", refuse)
    log.take(BOTH, b"one\n")
    log.take(BOTH, b"two\n")
    log.close(never)
    assert log.problem == "can't start new thread"
