"""``jobctl run`` with closed standard streams: the command has the descriptors it would have."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jobctl.core.cursor import ZERO
from jobctl.stores import Store, open_store
from tests.cli.conftest import command, environment

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="needs /proc"),
]

TELL = """
import json, os
found = {}
for name in os.listdir("/proc/self/fd"):
    try:
        found[name] = os.readlink("/proc/self/fd/" + name)
    except OSError:
        pass  # the listing's own
json.dump(found, open(os.environ["TELL"], "w"))
"""


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """The store that the commands use."""
    monkeypatch.setenv("JOBCTL_DIR", str(tmp_path / "jobs"))
    made = open_store(tmp_path / "jobs", create=True)
    yield made
    made.close()


def descriptors(tmp_path: Path, argv: list[str], closed: tuple[int, ...]) -> Any:
    """What the program sees of its descriptors; those that are not closed are files."""
    told = tmp_path / "told"
    streams = []
    for fd, mode in ((0, "<"), (1, ">"), (2, ">")):
        (tmp_path / f"file{fd}").touch()
        streams.append(f"{fd}>&-" if fd in closed else f"{fd}{mode} {tmp_path}/file{fd}")
    ran = subprocess.run(
        ["sh", "-c", f'exec "$@" {" ".join(streams)}', "sh", *argv],
        env=environment(TELL=str(told)), check=False, timeout=50,
    )  # fmt: skip
    assert ran.returncode == 0, (tmp_path / "file2").read_text()
    value = json.loads(told.read_text())
    told.unlink()
    return value


@pytest.mark.parametrize(
    "closed", [fds for count in range(4) for fds in itertools.combinations((0, 1, 2), count)]
)
def test_closed_descriptors_stay_closed(
    store: Store, tmp_path: Path, closed: tuple[int, ...]
) -> None:
    """In all eight combinations: nothing of ours takes their place, and nothing else is open."""
    program = [sys.executable, "-c", TELL]
    bare = descriptors(tmp_path, program, closed)
    # Python itself opens its program's file, or a directory, on a free descriptor.
    tracked = descriptors(tmp_path, command("run", "--no-relay", "--", *program), closed)
    assert tracked == bare
    relayed = descriptors(tmp_path, command("run", "--", *program), closed)
    if 2 not in closed:
        relayed["2"] = bare["2"]  # which goes through the wrapper
    assert relayed == bare
    assert [job.stage for job in store.since(ZERO).jobs] == ["completed"] * 2


@pytest.mark.parametrize("closed", [(0,), (1,), (2,), (0, 1, 2)])
def test_nothing_of_ours_is_on_a_closed_descriptor(
    store: Store, tmp_path: Path, closed: tuple[int, ...]
) -> None:
    """Not while the command runs either: a lock there would be written to as standard error."""
    look = (
        "import json, os\nparent = '/proc/%d/fd/' % os.getppid()\n"
        "found = {fd: os.readlink(parent + fd) for fd in '012'}\n"
        "json.dump(found, open(os.environ['TELL'], 'w'))"
    )
    found = descriptors(tmp_path, command("run", "--", sys.executable, "-c", look), closed)
    assert {fd: found[str(fd)] for fd in closed} == dict.fromkeys(closed, "/dev/null")
