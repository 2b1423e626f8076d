"""``$JOBCTL_EVENTS``: what counts as an event, and reading the file whoever writes it, however."""

from __future__ import annotations

import os
import random
from pathlib import Path
from typing import Any

import pytest

from jobctl.work.run.events import Event, EventFile, parse_event


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
    ["nonsense", "stage load", "Stage=x", "progress=", "progress=3/", "progress=x", "progress=-1",
     "progress=1e9", "result={", "result=", "rows=3", "=x", "progress=3/8 nonsense",
     "result=" + "[" * 100_000],
)  # fmt: skip
def test_line_that_makes_no_sense_is_refused(line: str) -> None:
    """With a reason, whatever it is."""
    with pytest.raises(ValueError, match=r"."):
        parse_event(line)


class Reader:
    """An event file, and what was taken from it."""

    def __init__(self) -> None:
        self.taken: list[Event] = []
        self.complaints: list[str] = []
        self.file = EventFile(self.taken.append, self.complaints.append)
        self.path = Path(self.file.path)

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
