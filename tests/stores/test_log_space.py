"""The limit for all logs of a directory, and logs whose jobs are gone."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from jobctl.core import transitions as jobs
from jobctl.core.log import BOTH, LogLine
from jobctl.stores.directory import log_space
from jobctl.stores.directory.store import DirectoryStore
from tests.stores.support import new

HOUR_S = 3600.0
T1 = "2026-01-01T00:00:00.000Z"


@pytest.fixture
def store(opened: Callable[..., DirectoryStore], monkeypatch: pytest.MonkeyPatch) -> DirectoryStore:
    """A store whose logs may have 2 MB."""
    monkeypatch.setenv("JOBCTL_LOG_LIMIT", "2MB")
    return opened()


def fill(
    store: DirectoryStore, id: str, *, kilobytes: int = 100, age_s: float = 0.0, ended: bool = True
) -> None:
    """A job with a log of this size that has changed so long ago."""
    job = store.create(new(id))
    writer = store.log_writer(job)
    for _ in range(kilobytes // 10):
        writer.write([LogLine(0, BOTH, b"x" * 9964)])
    assert writer.problem is None
    writer.close()
    if ended:
        store.update(id, lambda job: jobs.fail(job, "no", now=T1))
    if age_s:
        for file in log_dir(store, id).iterdir():
            os.utime(file, (time.time() - age_s,) * 2)


def log_dir(store: DirectoryStore, id: str) -> Path:
    return store.path / ".jobctl" / "logs" / id


def total(store: DirectoryStore) -> int:
    return sum(info.size for info in store.logs())


def ids(store: DirectoryStore) -> set[str]:
    return {info.id for info in store.logs()}


def test_oldest_logs_of_ended_jobs_go_first(store: DirectoryStore) -> None:
    """Until there is some room; the jobs stay."""
    for number in range(30):
        fill(store, f"j{number:02}", age_s=(40 - number) * HOUR_S)
        assert total(store) <= 2_000_000
    left = ids(store)
    assert left == {f"j{number:02}" for number in range(30 - len(left), 30)}
    assert 10 < len(left) < 20
    assert len(store.ids()) == 30


def test_logs_of_active_jobs_stay(store: DirectoryStore) -> None:
    """However old they are; of the very long ones the middle goes, if nothing else helps."""
    fill(store, "active", kilobytes=50, age_s=99 * HOUR_S, ended=False)
    for number in range(30):
        fill(store, f"j{number:02}", age_s=(40 - number) * HOUR_S)
    assert "active" in ids(store)
    for number in range(4):
        fill(store, f"long{number}", kilobytes=900, ended=False, age_s=HOUR_S)
    assert {"active", "long0", "long1", "long2", "long3"} == ids(store)
    assert total(store) <= 2_000_000
    part = store.read_log("long0")
    assert part is not None
    assert part.start == 0


def test_one_long_log_keeps_others_within_the_limit(store: DirectoryStore) -> None:
    """It is looked at while it grows, not only when it begins."""
    for number in range(15):
        fill(store, f"j{number:02}", age_s=(40 - number) * HOUR_S)
    before = ids(store)
    fill(store, "long", kilobytes=3000)
    assert total(store) <= 2_000_000
    assert ids(store) < before | {"long"}
    assert "long" in ids(store)


def test_small_logs_cost_no_look_at_all_of_them(
    store: DirectoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All are looked at once in a while."""
    looks = []
    look = log_space.LogSpace._make_room

    def counted(self: log_space.LogSpace, logs_fd: int) -> int:
        looks.append(logs_fd)
        return look(self, logs_fd)

    monkeypatch.setenv("JOBCTL_LOG_LIMIT", "100MB")
    monkeypatch.setattr(log_space.LogSpace, "_make_room", counted)
    for number in range(50):
        fill(store, f"j{number}", kilobytes=10)
    assert len(looks) == 1


def test_several_writers_stay_within_the_limit(
    store: DirectoryStore, opened: Callable[..., DirectoryStore]
) -> None:
    """Each looks at all; none fails."""

    def work(name: str) -> None:
        mine = opened()
        for number in range(10):
            fill(mine, f"{name}{number}", kilobytes=150, age_s=HOUR_S)

    threads = [threading.Thread(target=work, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert total(store) <= 2_000_000
    assert len(store.ids()) == 40


@pytest.mark.parametrize("damage", ["", "nonsense", "-5\n", "9" * 400])
def test_damaged_usage_file_is_replaced(store: DirectoryStore, damage: str) -> None:
    """At the next segment: at the latest when that many have been begun."""
    fill(store, "a", kilobytes=10)
    usage = log_dir(store, "a").parent / ".usage"
    usage.write_text(damage)
    fill(store, "b", kilobytes=10)
    assert len(usage.read_bytes()) < 500


def test_usage_file_that_is_a_link_is_not_followed(store: DirectoryStore, tmp_path: Path) -> None:
    """The log is written all the same."""
    fill(store, "a", kilobytes=10)
    usage = log_dir(store, "a").parent / ".usage"
    usage.unlink()
    (tmp_path / "precious").write_text("precious")
    usage.symlink_to(tmp_path / "precious")
    fill(store, "b", kilobytes=10)
    assert (tmp_path / "precious").read_text() == "precious"


def test_settings_that_cannot_be_read_cost_nothing(
    store: DirectoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The default limit holds."""
    monkeypatch.setenv("JOBCTL_LOG_LIMIT", "much")
    fill(store, "a", kilobytes=200)
    assert total(store) > 190_000


def test_log_goes_with_a_job_that_another_program_removes(
    opened: Callable[..., DirectoryStore], no_grace: None
) -> None:
    """As soon as that is recorded."""
    store = opened(adopt=True)
    fill(store, "a")
    (store.path / "a.json").unlink()
    while store.refresh():
        pass
    assert store.ids() == []
    assert ids(store) == set()


def test_orphans_go_when_room_is_made(store: DirectoryStore) -> None:
    """But not those of a minute, whose jobs may be about to be recorded."""
    for id, age_s in (("old", HOUR_S), ("young", 0.0)):
        fill(store, id, age_s=age_s)
        (store.path / f"{id}.json").unlink()
    (log_dir(store, "empty")).mkdir()
    os.utime(log_dir(store, "empty"), (1, 1))
    (log_dir(store, "old").parent / ".usage").unlink()
    fill(store, "next")
    assert ids(store) == {"young", "next"}
    assert not log_dir(store, "empty").exists()
