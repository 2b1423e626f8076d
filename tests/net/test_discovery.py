"""How a hub on a directory is found, and how a dead one is known."""

from __future__ import annotations

import fcntl
import os

import pytest

from jobctl.errors import StoreError
from jobctl.net.discovery import announced, hub_of, hubs_of
from tests.net.kit import HubProcess, running_hub


def files(directory):
    """What stands in ``.jobctl/hubs``."""
    hubs = directory / ".jobctl" / "hubs"
    return sorted(path.name for path in hubs.iterdir()) if hubs.exists() else []


async def test_running_hub_is_found_and_a_stopped_one_is_gone(served, directory):
    """The file says where it listens, and goes with the hub."""
    assert hub_of(directory) is None
    async with running_hub(served) as hub:
        assert hub_of(directory) == hub.url
        assert len(files(directory)) == 1
    assert hub_of(directory) is None
    assert files(directory) == []


@pytest.mark.slow
def test_file_of_a_killed_hub_is_swept(directory):
    """FAULTS row 19: after kill -9 its lock is free, so the next who looks removes the file."""
    hub = HubProcess(directory)
    assert hub_of(directory) == hub.url
    hub.kill()
    assert len(files(directory)) == 1
    assert hub_of(directory) is None
    assert files(directory) == []


@pytest.mark.slow
def test_file_of_a_live_hub_is_never_taken(directory):
    """However often others look, and beside a dead one, the live one stays (FAULTS row 19)."""
    with HubProcess(directory) as live:
        dead = HubProcess(directory)
        dead.kill()
        for _ in range(50):
            assert hubs_of(directory) == [live.url]
        assert len(files(directory)) == 1


def test_newest_hub_comes_first(served, directory):
    """Of several hubs, one that was started later is the likelier to stay."""
    with announced(directory, "ws://one"), announced(directory, "ws://two"):
        for age, name in enumerate(sorted(files(directory))):
            os.utime(directory / ".jobctl" / "hubs" / name, (1000 - age, 1000 - age))
        assert len(hubs_of(directory)) == 2
        assert hub_of(directory) == hubs_of(directory)[0]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"url": 7}', "\udcff"])
def test_nonsense_in_a_hub_file_is_no_hub(served, directory, text):
    """A file that somebody else put there, and holds, leads nowhere."""
    with announced(directory, "ws://one"):
        path = directory / ".jobctl" / "hubs" / "planted.json"
        path.write_bytes(text.encode(errors="surrogateescape"))
        with path.open() as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            assert hubs_of(directory) == ["ws://one"]


def test_link_in_the_hubs_directory_is_not_followed(served, directory, tmp_path):
    """A hub's file is a file."""
    target = tmp_path / "target"
    target.write_text("{}")
    with announced(directory, "ws://one"):
        (directory / ".jobctl" / "hubs" / "link.json").symlink_to(target)
        assert hubs_of(directory) == ["ws://one"]
    assert target.exists()


def test_announcing_where_nothing_can_be_written_is_a_store_error(tmp_path):
    """It names the place."""
    with pytest.raises(StoreError, match="hubs"), announced(tmp_path / "none", "ws://x"):
        pass


async def test_a_hub_that_stops_meanwhile_hides_no_other(served, directory, monkeypatch):
    """Its file may be gone between the listing and the look at it."""
    async with running_hub(served) as hub:
        listed = os.listdir(directory / ".jobctl" / "hubs")
        monkeypatch.setattr(os, "listdir", lambda path: ["1-gone.json", *listed])
        assert hub_of(directory) == hub.url
