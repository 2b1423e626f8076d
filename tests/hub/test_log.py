"""What the hub logs: who came and went, and a lasting problem once."""

from __future__ import annotations

import asyncio
import logging

import pytest
import watchfiles

from jobctl.errors import StoreError
from jobctl.hub import feed as feed_module
from jobctl.hub import log_limit as log_limit_module
from jobctl.hub.handshake import Opening, url_of
from jobctl.hub.log_limit import LastingProblem, RecurringProblem
from tests.hub.network import Reader, new_job, running_hub, said, until, v1

TOKEN = "0123456789abcdef0123456789abcdef"


@pytest.fixture(autouse=True)
def heard(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """All events of the hub."""
    caplog.set_level(logging.INFO, "jobctl.hub")
    return caplog


def warnings(heard: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in heard.records if record.levelno >= logging.WARNING]


# -- who comes and goes -----------------------------------------------------------------------


async def test_open_and_close_have_the_peer_and_the_url(served, heard):
    """The URL that the client used, with its filter."""
    async with running_hub(served) as hub:
        async with v1(f"{hub.url}?type=etl&since=0") as client:
            await said(client)
            peer = "{}:{}".format(*client.local_address[:2])
        await until(lambda: heard.records[-1].getMessage() in ("close", "unsubscribed"))
        url = f"{hub.url}?type=etl&since=0"
    events = {record.getMessage(): record for record in heard.records}
    for name in ("open", "close"):
        assert (events[name].peer, events[name].url) == (peer, url)


async def test_no_token_gets_into_the_log(served, heard):
    """However it was sent; not even one in a parameter that has another name."""
    async with running_hub(served, token=TOKEN.encode()) as hub:
        bearer = {"Authorization": f"Bearer {TOKEN}"}
        for query in ("", f"?key={TOKEN}", f"?{TOKEN}", f"?type=a&{TOKEN}=1&x=%20"):
            async with v1(hub.url + query, additional_headers=bearer) as client:
                await said(client)
        for query in (f"?token={TOKEN}", f"?access_token={TOKEN}"):
            with pytest.raises(Exception, match="400"):
                await v1(hub.url + query, additional_headers=bearer)
        await until(lambda: not hub.sessions)
    urls = [record.url for record in heard.records if record.getMessage() == "open"]
    assert urls == [hub.url, hub.url, hub.url, f"{hub.url}?type=a"]
    assert TOKEN not in " ".join(str(record.__dict__) for record in heard.records)


def test_url_in_the_log_has_an_end():
    """A client chooses its length."""
    opening = Opening("/ws/jobs?type=" + "x" * 5000, (("host", "h"),))
    assert url_of(opening, secure=True).startswith("wss://h/ws/jobs?type=xxx")
    assert len(url_of(opening, secure=True)) < 310


# -- lasting problems -------------------------------------------------------------------------


def test_a_problem_is_logged_once_and_once_when_it_is_over(heard):
    """Another text is another problem, within limits."""
    problem = LastingProblem(logging.getLogger("jobctl.hub"), "over")
    problem.end()
    for text in ("a", "a", "b", "a", "b"):
        problem.report(text)
    problem.end()
    problem.end()
    problem.report("a")
    assert warnings(heard) == ["a", "b", "over", "a"]
    for number in range(100):
        problem.report(str(number))
    assert len(warnings(heard)) < 15


async def test_single_events_are_one_problem_until_they_stop(heard, monkeypatch):
    """Over when none came for a while."""
    monkeypatch.setattr(log_limit_module, "_QUIET_S", 0.1)
    problem = RecurringProblem(LastingProblem(logging.getLogger("jobctl.hub"), "over"))
    for _ in range(30):
        problem.report("full")
        await asyncio.sleep(0.01)
    assert warnings(heard) == ["full"]
    await until(lambda: warnings(heard) == ["full", "over"])
    problem.report("full")
    problem.close()
    assert warnings(heard) == ["full", "over", "full"]


async def test_a_bell_that_cannot_be_had_is_logged_once(served, heard, monkeypatch):
    """It is tried again at each poll. It logged a line each time."""
    monkeypatch.setattr(feed_module, "POLL_S", 0.02)
    tries, listen = 0, served.listen

    def refuse():
        nonlocal tries
        tries += 1
        raise StoreError("no sockets here")

    monkeypatch.setattr(served, "listen", refuse)
    async with running_hub(served) as hub, v1(hub.url) as client:
        await said(client)
        await until(lambda: tries > 5)
        assert warnings(heard) == ["no bell, so polling every 0.02 s: no sockets here"]
        monkeypatch.setattr(served, "listen", listen)
        await until(lambda: len(warnings(heard)) > 1)
    assert warnings(heard)[1:] == ["the bell works again"]


async def test_a_directory_that_cannot_be_watched_is_logged_once(served, heard, monkeypatch):
    """No inotify instance is left, for example; the end of it is logged too."""
    monkeypatch.setattr(feed_module, "_RESCAN_S", 0.02)
    tries, awatch = 0, watchfiles.awatch

    def refuse(*_args, **_options):
        nonlocal tries
        tries += 1
        raise OSError(24, "no inotify instance")

    monkeypatch.setattr(watchfiles, "awatch", refuse)
    async with running_hub(served, watch_files=True) as hub, v1(hub.url) as client:
        await said(client)
        await until(lambda: tries > 5)
        assert len(warnings(heard)) == 1
        assert "so rescanning only" in warnings(heard)[0]
        monkeypatch.setattr(watchfiles, "awatch", awatch)
        await until(lambda: len(warnings(heard)) > 1)
    assert warnings(heard)[1:] == [f"watching {served.where} again"]


async def test_a_store_that_fails_and_recovers_is_logged_twice(served, writer, heard, monkeypatch):
    """When it begins and when it is over, however many reads fail."""
    monkeypatch.setattr(feed_module, "POLL_S", 0.02)
    real, tries = served.behind, 0

    def fail(cursor):
        nonlocal tries
        tries += 1
        raise StoreError("out of reach")

    async with running_hub(served) as hub, Reader.of_hub(hub.url) as reader:
        await until(lambda: reader.deltas)
        monkeypatch.setattr(served, "behind", fail)
        await until(lambda: tries > 5)
        monkeypatch.setattr(served, "behind", real)
        writer.create(new_job("a1"))
        await until(lambda: reader.contents)
    assert warnings(heard) == [
        "cannot read the store, so serving what is known: out of reach",
        "the store can be read again",
    ]


async def test_a_full_hub_is_logged_once(served, heard, monkeypatch):
    """Clients come again and again."""
    monkeypatch.setattr(log_limit_module, "_QUIET_S", 0.1)
    async with running_hub(served, max_connections=1) as hub, v1(hub.url) as client:
        await said(client)
        for _ in range(20):
            reader, writer = await asyncio.open_connection("127.0.0.1", hub.port)
            assert b" 503 " in await asyncio.wait_for(reader.read(), 5)
            writer.close()
        assert hub.server.counts.refused["full"] == 20
        assert len(warnings(heard)) == 1
        assert "1 connections are the most" in warnings(heard)[0]
        await until(lambda: len(warnings(heard)) > 1)
    assert warnings(heard)[1:] == ["connections are accepted again"]


@pytest.mark.parametrize("options", [{}, {"token": TOKEN.encode()}, {"insecure": True}])
async def test_requests_by_an_old_version_are_logged_once(served, heard, options):
    """nginx passes requests on so, and says of no other machine that they are its."""
    async with running_hub(served, **options) as hub:

        async def ask(path: str, version: str) -> None:
            reader, writer = await asyncio.open_connection("127.0.0.1", hub.port)
            head = f"GET {path} HTTP/{version}\r\nHost: 127.0.0.1:{hub.port}\r\n"
            writer.write(f"{head}Authorization: Bearer {TOKEN}\r\n\r\n".encode())
            assert b" 200 " in await asyncio.wait_for(reader.read(), 5)
            writer.close()

        await ask("/api/jobs", "1.1")
        await ask("/healthz", "1.0")  # as HAProxy looks whether the hub lives
        assert warnings(heard) == []
        for _ in range(3):
            await ask("/api/jobs", "1.0")
    said = warnings(heard)
    assert len(said) == (0 if options else 1)
    assert all("--token-file" in text for text in said)
