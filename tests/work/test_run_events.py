"""``$JOBCTL_EVENTS``: what counts as an event, and reading the file whoever writes it, however."""

from __future__ import annotations

import os
import random
import shutil
from pathlib import Path
from typing import Any

import pytest

from jobctl.work.run.event_file import EventFile
from jobctl.work.run.event_lines import BadLine, Event, parse_event


@pytest.mark.parametrize(
    ("line", "event"),
    [
        ("stage=load", Event(stage="load")),
        ("progress=3/8", Event(steps=(3, 8))),
        ("progress=40", Event(steps=(40, None))),
        ("progress=40%", Event(steps=(40, None))),
        ("progress=0.5/2.5", Event(steps=(0.5, 2.5))),
        ("progress=3/8 message=orders.csv", Event(steps=(3, 8), message="orders.csv")),
        ("message=a = b, progress=2", Event(message="a = b, progress=2")),
        ("stage=load  progress=1/2 message=x  y", Event("load", (1, 2), "x  y")),
        ('result={"rows": [1, 2]}', Event(result={"rows": [1, 2]})),
        ('result={"a": 1, "a": 2}',
         Event(result={"a": 2}, remark='the key "a" stands twice: the last one counts')),
        ("result=null", Event()),
        ("message=", Event(message="")),
        ("", Event()),
    ],
)  # fmt: skip
def test_line_is_an_event(line: str, event: Event) -> None:
    """The forms that the README names."""
    assert parse_event(line) == event


@pytest.mark.parametrize(
    "line",
    ["nonsense", "stage load", "Stage=x", "progress=", "progress=3/", "progress=x",
     "progress=-1", "progress=12,5", "progress=1e9", "result={", "result=", "rows=3", "=x",
     "progress=3/8 nonsense", "progress=1.2.3", "progress=.", "progress=3/1.000.000",
     f"progress={'9' * 5000}/3", f"progress={'9' * 400}.0",
     "result=" + "[" * 100_000],
)  # fmt: skip
def test_line_that_makes_no_sense_is_refused(line: str) -> None:
    """With a reason, whatever it is."""
    with pytest.raises(BadLine, match=r"."):
        parse_event(line)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("progress=12,5", "expected DONE/TOTAL (3/8) or a percentage (12.5, with a point)"),
        ('result={"rows": 3,', "expected JSON on one line, as 'jq -c' prints"),
        ("result={", "expected JSON on one line"),
        ("result=[1, 2", "expected JSON on one line"),
        ("error=bad", "no stage=, progress=, message=, result= or mask="),
    ],
)
def test_what_was_expected_is_said(line: str, expected: str) -> None:
    """A comma in a number, and a result over several lines."""
    with pytest.raises(BadLine) as caught:
        parse_event(line)
    assert expected in str(caught.value)


class Reader:
    """An event file, and what was taken from it."""

    def __init__(self) -> None:
        self.taken: list[Event] = []
        self.complaints: list[str] = []
        self.file = EventFile(self.taken.append, self.complain)
        self.path = Path(self.file.path)

    def complain(self, kind: str, text: str) -> None:
        self.complaints.append(f"{kind}: {text}")

    def messages(self) -> list[str | None]:
        return [event.message for event in self.taken]


@pytest.fixture
def reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A reader of a new file."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    made = Reader()
    yield made
    made.file.close()
    assert list(tmp_path.iterdir()) == []


def append(path: Path, text: str) -> None:
    """As ``>>`` in a shell."""
    with path.open("a") as file:
        file.write(text)


def test_only_the_user_may_write_it(reader: Reader) -> None:
    """FAULTS row 57."""
    assert reader.path.stat().st_mode & 0o777 == 0o600
    assert reader.path.parent.stat().st_mode & 0o777 == 0o700


def test_lines_are_taken_as_they_come(reader: Reader) -> None:
    """Each once; half a line waits for its end."""
    reader.file.poll()
    append(reader.path, "message=1\nmessage=2\nmess")
    reader.file.poll()
    reader.file.poll()
    assert reader.messages() == ["1", "2"]
    append(reader.path, "age=3\nmessage=4")
    reader.file.poll()
    assert reader.messages() == ["1", "2", "3"]
    reader.file.finish(lambda: False)
    reader.file.finish(lambda: False)
    assert reader.messages() == ["1", "2", "3", "4"]


@pytest.mark.parametrize("second", ["message=2\n", "message=longer than that\n", "message=1\n"])
def test_one_who_truncates_is_understood(reader: Reader, second: str) -> None:
    """As ``>`` in a shell: shorter, longer or as long."""
    reader.path.write_text("message=12345\n")
    reader.file.poll()
    reader.path.write_text(second)
    reader.file.poll()
    assert reader.messages() == ["12345", second.strip().partition("=")[2]]


def test_nonsense_hurts_nothing(reader: Reader) -> None:
    """Bytes of all kinds, a line without an end."""
    with reader.path.open("ab") as file:
        file.write(b"\xff\xfe\nmessage=\xff\n\0\0\0\nmessage=1\n\r\n  \n")
        file.write(b"x" * 1_000_000 + b"\n")
    append(reader.path, "message=2\r\n")
    reader.file.poll()
    assert reader.messages() == ["\\xff", "1", "2"]
    assert reader.complaints


def test_event_that_raises_an_error_costs_no_other_event(reader: Reader) -> None:
    """The lines after it count, also at the end, where nothing is read again."""
    taken: list[str | None] = []

    def take(event: Event) -> None:
        if event.message == "b":
            raise RuntimeError("a defect")
        taken.append(event.message)

    reader.file._take = take
    append(reader.path, "message=a\nmessage=b\nmessage=c\n")
    reader.file.finish(lambda: False)
    assert taken == ["a", "c"]
    assert reader.complaints == ["defect: a defect"]


def test_every_way_of_cutting_up_gives_the_same(reader: Reader) -> None:
    """Whatever the sizes of the writes and when it is looked."""
    chance = random.Random(1)
    texts = [f"message={n} {'é' * chance.randrange(200)}\n" for n in range(500)]
    data = "".join(texts).encode()
    fd = os.open(reader.path, os.O_WRONLY | os.O_APPEND)
    while data:
        size = chance.randrange(1, 3000)
        os.write(fd, data[:size])
        data = data[size:]
        if chance.random() < 0.5:
            reader.file.poll()
    os.close(fd)
    reader.file.finish(lambda: False)
    assert [f"message={message}\n" for message in reader.messages()] == [
        text.rstrip() + "\n" for text in texts
    ]
    assert reader.complaints == []


def test_truncation_that_may_have_lost_lines_is_an_error(reader: Reader) -> None:
    """Two writes with ``>`` between two polls: the first was never read."""
    if not reader.file.detects_losses:
        pytest.skip("only inotify tells of it")
    for number in range(3):
        reader.path.write_text(f"message={number}\n")
    reader.file.poll()
    assert reader.messages() == ["2"]
    assert len(reader.complaints) == 1
    assert "use >>" in reader.complaints[0]
    for number in range(3, 6):
        reader.path.write_text(f"message={number}\n")
    reader.file.poll()
    assert reader.messages() == ["2", "5"]
    assert {text.partition(":")[0] for text in reader.complaints} == {"lost"}


def test_truncation_that_lost_nothing_is_not_warned_of(reader: Reader) -> None:
    """One write with ``>`` for each poll; then many with ``>>``, also through one descriptor."""
    for number in range(20):
        reader.path.write_text(f"message={number}\n")
        reader.file.poll()
        reader.file.poll()
    with reader.path.open("a") as file:
        for number in range(20, 40):
            file.write(f"message={number}\n")
            file.flush()
            append(reader.path, f"message=x{number}\n")
            reader.path.read_text()
    reader.file.poll()
    assert len(reader.messages()) == 60
    assert reader.complaints == []


def test_removed_file_is_made_again(reader: Reader) -> None:
    """What is appended afterwards counts, by the file's name and by an old descriptor."""
    with reader.path.open("a") as old:
        old.write("message=1\n")
        old.flush()
        reader.path.unlink()
        reader.file.poll()
        append(reader.path, "message=2\n")
        old.write("message=3\nmess")
        old.flush()
        reader.file.poll()
        reader.path.unlink()
        append(reader.path, "message=4\n")
        old.write("age=5")
        old.flush()
        reader.file.finish(lambda: False)
    assert sorted(map(str, reader.messages())) == ["1", "2", "3", "4", "5"]
    assert reader.complaints == []


def test_removed_directory_is_made_again(reader: Reader) -> None:
    """A cleaner of temporary files took it."""
    append(reader.path, "message=1\n")
    shutil.rmtree(reader.path.parent)
    reader.file.poll()
    append(reader.path, "message=2\n")
    reader.file.poll()
    assert reader.messages() == ["1", "2"]
    assert reader.complaints == []


def test_replaced_file_goes_on_where_the_old_one_ended(reader: Reader, tmp_path: Path) -> None:
    """As ``sed -i`` and editors do; another content is read from its beginning."""
    append(reader.path, "message=1\nmessage=2\n")
    reader.file.poll()
    copy = reader.path.with_name("copy")
    copy.write_text("message=1\nmessage=2\nmessage=3\n")
    copy.rename(reader.path)
    reader.file.poll()
    assert reader.messages() == ["1", "2", "3"]
    copy.write_text("message=4\n")
    copy.rename(reader.path)
    reader.file.finish(lambda: False)
    assert reader.messages() == ["1", "2", "3", "4"]


def test_file_that_is_no_file_is_an_error(reader: Reader) -> None:
    """A pipe in its place is not waited for."""
    reader.path.unlink()
    os.mkfifo(reader.path)
    reader.file.poll()
    assert reader.complaints == ["file: its file is gone: there is no regular file in its place"]


def test_old_directories_of_killed_processes_are_removed(tmp_path: Path) -> None:
    """Those that no process locks, after a day."""
    old, used, new = (EventFile(lambda _: None, lambda *_: None, str(tmp_path)) for _ in range(3))
    for file in (old, used):
        os.utime(Path(file.path).parent, (1, 1))
    os.close(old._lock)
    old._lock = os.open("/dev/null", os.O_RDONLY)
    new.close()
    assert [path.name for path in tmp_path.iterdir()] == [Path(used.path).parent.name]
    used.close()
    old.close()
