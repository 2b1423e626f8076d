"""Other local users at a hub on loopback that has no token: on every path they get nothing."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession
from websockets.exceptions import ConnectionClosed

from jobctl.errors import HubError
from jobctl.hub.discovery import running_hubs
from jobctl.reader import once
from jobctl.reader.client import Client
from jobctl.stores import Store
from tests.hub.browser import CHROMIUM, browser
from tests.hub.network import Reader, new_job, running_hub, said, until, v1
from tests.hub.other_user import NOBODY, ask_as, get, upgrade
from tests.hub.test_discovery import has_ipv6

pytestmark = pytest.mark.slow

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become another user")
needs_linux = pytest.mark.skipif(sys.platform != "linux", reason="needs Linux's table of sockets")

SECRET = "Bearer-5ecret"

PATHS = ["/", "/dashboard/main.js", "/login", "/login.js", "/metrics", "/api/jobs", "/api/jobs/a1",
         "/api/clients", "/nothing"]  # fmt: skip


def secretive(store: Store) -> None:
    """A job that only its own user may see."""
    store.create(new_job("a1", title=SECRET))


async def ask(uid: int, to: Any, text: str, **options: Any) -> bytes:
    """What the user is answered, while the hub of this process goes on."""
    got, error = await asyncio.to_thread(ask_as, uid, to, text, **options)
    assert not error, error
    return got


def status_of(answer: bytes) -> int:
    """The status of an HTTP answer."""
    return int(answer.split(b" ", 2)[1])


@needs_root
@needs_linux
@pytest.mark.parametrize("path", PATHS)
async def test_no_page_is_served_to_another_user(served: Store, path: str) -> None:
    """FAULTS rows 48 and 65: 403 on every path, with one line that says what to do."""
    secretive(served)
    async with running_hub(served) as hub:
        answer = await ask(NOBODY, (hub.host, hub.port), get(path))
        assert status_of(answer) == 403
        assert SECRET.encode() not in answer
        body = answer.partition(b"\r\n\r\n")[2].decode()
        assert body.count("\n") == 1
        assert "--local-users" in body
        assert "--token-file" in body
        own = await ask(os.geteuid(), (hub.host, hub.port), get(path))
        assert status_of(own) == (404 if path == "/nothing" else 200)


@needs_root
@needs_linux
@pytest.mark.parametrize("protocol", [upgrade("/ws/jobs"), upgrade("/ws/jobs").replace(
    "Sec-WebSocket-Protocol: jobctl.v1\r\n", "")])  # fmt: skip
async def test_no_socket_is_opened_for_another_user(served: Store, protocol: str) -> None:
    """FAULTS rows 48 and 65: neither dialect; the handshake is answered with 403."""
    secretive(served)
    async with running_hub(served) as hub:
        answer = await ask(NOBODY, (hub.host, hub.port), protocol)
        assert status_of(answer) == 403
        assert SECRET.encode() not in answer
        assert hub.sessions == 0
        assert hub.server.counts.refused["user"] == 1
        own = await ask(os.geteuid(), (hub.host, hub.port), protocol)
        assert status_of(own) == 101
        assert SECRET.encode() in own


@needs_root
@needs_linux
async def test_socket_that_its_process_has_closed_is_not_taken_for_root(served: Store) -> None:
    """FAULTS row 65: the kernel gives such a socket the user id 0, and no inode."""
    secretive(served)
    async with running_hub(served) as hub:
        for text in (get("/api/jobs"), upgrade("/ws/jobs")):
            # The hub shares this thread: it reads the request when the process has ended.
            ask_as(NOBODY, (hub.host, hub.port), text, leave=True)
        await until(lambda: hub.server.counts.requests.total(), what="an answer")
        await until(
            lambda: not hub.server.status.connections()["opening"], what="the end of the socket"
        )
        assert hub.server.counts.requests == {401: 1}
        assert hub.server.counts.opened.total() == 0
        assert hub.server.counts.bytes == 0


@needs_root
@needs_linux
@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_hubs_own_user_and_root_are_served(served: Store, host: str) -> None:
    """FAULTS row 65: a hub of another user than root; by both kinds of address."""
    if host == "::1" and not has_ipv6():
        pytest.skip("no IPv6 here")
    secretive(served)
    async with running_hub(served, host=host, own_uid=1234) as hub:
        for uid, statuses in ((1234, (200, 101)), (0, (200, 101)), (NOBODY, (403, 403))):
            for text, status in zip((get("/api/jobs"), upgrade("/ws/jobs")), statuses, strict=True):
                answer = await ask(uid, (host, hub.port), text)
                assert status_of(answer) == status, uid
                assert (SECRET.encode() in answer) is (status != 403)


@needs_root
@needs_linux
async def test_local_users_may_look_where_that_is_said(served: Store) -> None:
    """``serve --local-users``; a proxy may not, whoever runs it."""
    secretive(served)
    async with running_hub(served, local_users=True) as hub:
        at = (hub.host, hub.port)
        assert status_of(await ask(NOBODY, at, get("/api/jobs"))) == 200
        assert SECRET.encode() in await ask(NOBODY, at, upgrade("/ws/jobs"))
        for uid in (NOBODY, 0):
            proxied = get("/api/jobs", "X-Forwarded-For: 192.0.2.7")
            assert status_of(await ask(uid, at, proxied)) == 403


async def test_file_of_the_hub_is_closed_to_others(directory: Path, served: Store) -> None:
    """FAULTS rows 50, 65: it has the hub's own token; also where all around it is open."""
    before = os.umask(0)
    try:
        async with running_hub(served) as hub:
            (file,) = (directory / ".jobctl" / "hubs").iterdir()
            assert hub.server._access.own_token is not None
            assert hub.server._access.own_token.decode() in file.read_text()
            assert file.stat().st_mode & 0o777 == 0o600
            assert file.parent.stat().st_mode & 0o777 == 0o700
            assert running_hubs(directory)[0].token == hub.server._access.own_token
    finally:
        os.umask(before)
    assert not file.exists()


async def test_health_is_told_to_all_and_its_reason_to_the_own_user(
    served: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """FAULTS row 65: whoever watches over the machine need not be the user."""
    uids = [NOBODY]
    async with running_hub(served, peer_uid=lambda _: uids[0]) as hub, ClientSession() as session:
        url = hub.url.replace("ws", "http", 1).replace("/ws/jobs", "/healthz")

        async def health() -> tuple[int, str]:
            async with session.get(url) as answer:
                return answer.status, await answer.text()

        assert await health() == (200, "ok\n")
        monkeypatch.setattr(hub.server.status, "failing_part", lambda: f"store: {SECRET}")
        assert await health() == (503, "store\n")
        uids[0] = os.geteuid()
        assert await health() == (503, f"store: {SECRET}\n")


async def test_refusals_do_not_fill_the_log(served: Store, caplog: Any) -> None:
    """FAULTS row 61: five lines in ten seconds, each says what to do."""
    with caplog.at_level(logging.WARNING, "jobctl.hub"):
        async with running_hub(served, peer_uid=lambda _: NOBODY) as hub:
            for _ in range(20):
                with pytest.raises(HubError, match="--local-users"):
                    await once.read(hub.url)
            assert hub.server.counts.refused["user"] == 20
    assert len(caplog.records) == 5
    assert all("--local-users" in record.reason for record in caplog.records)


async def test_user_of_a_connection_that_is_lost_already_is_unknown(served: Store) -> None:
    """Below TLS its socket may be gone before we know, and the look-up failed with a traceback."""
    async with running_hub(served) as hub:
        assert hub.server._uid_of(asyncio.Transport()) is None


async def test_user_is_looked_up_once_a_connection(served: Store) -> None:
    """When the head has come; not for a hub that asks for a token anyway."""
    asked: list[Any] = []

    def look(sock: Any) -> int:
        asked.append(sock)
        return os.geteuid()

    async with running_hub(served, peer_uid=look) as hub:
        reader, writer = await asyncio.open_connection(hub.host, hub.port)
        head, end = get("/api/jobs")[:20], get("/api/jobs")[20:]
        writer.write(head.encode())
        await asyncio.sleep(0.05)
        assert asked == []
        writer.write(end.encode() + get("/api/jobs").encode())
        assert (await reader.read()).count(b"HTTP/1.1 200") == 1
        writer.close()
        assert len(asked) == 1
        async with Reader.of_hub(hub.url) as one:
            await until(lambda: one.deltas)
        assert len(asked) == 2
    async with running_hub(served, peer_uid=look, token=b"0123456789abcdef") as hub:
        with pytest.raises(HubError, match="wants a token"):
            await once.read(hub.url)
    assert len(asked) == 2


# -- where nobody tells which user asks ---------------------------------------------------------


def unknown(_: Any) -> None:
    """As another kernel has it."""


async def test_own_token_opens_where_the_user_is_unknown(served: Store) -> None:
    """FAULTS row 49: by all the ways of a token, and none without it."""
    secretive(served)
    async with running_hub(served, peer_uid=unknown) as hub, ClientSession() as session:
        root = hub.url.replace("ws", "http", 1).removesuffix("/ws/jobs")
        access = hub.server._access
        assert access.own_token is not None
        bearer = {"Authorization": f"Bearer {access.own_token.decode()}"}
        for path in ("/api/jobs", "/metrics", "/api/clients", "/dashboard/main.js"):
            async with session.get(root + path) as answer:
                assert answer.status == 401
                assert "--local-users or --token-file" in await answer.text()
            async with session.get(root + path, headers=bearer) as answer:
                assert answer.status == 200
        page = {"Accept": "text/html"}
        async with session.get(root + "/", headers=page, allow_redirects=False) as answer:
            assert (answer.status, answer.headers["Location"]) == (303, "/login")
        with pytest.raises(HubError, match="wants a token"):
            await once.read(hub.url)
        with pytest.raises(HubError, match="not the token"):
            async for _ in Client(hub.url, token=b"x" * 32):
                pass
        async with v1(hub.url) as one:
            auth = {"type": "jobs:auth", "token": access.own_token.decode()}
            await one.send(json.dumps(auth))
            assert (await said(one))["type"] == "jobs:delta"


async def test_library_finds_the_token_by_the_directory(
    served: Store, writer: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`follow` goes through the hub; also where the environment has a token for another one."""
    secretive(served)
    async with running_hub(served, peer_uid=unknown) as hub:
        for token in ("", "x" * 32):
            monkeypatch.setenv("JOBCTL_TOKEN", token)
            async with Reader.of_store(writer) as reader:
                await until(lambda: reader.contents)
                assert reader.source == "hub"
        assert hub.server.counts.refused.total() == 0


async def test_first_message_is_waited_for_where_the_user_is_unknown(served: Store) -> None:
    """FAULTS row 49: nothing is said before it, and a wrong one is the last."""
    secretive(served)
    async with running_hub(served, peer_uid=unknown) as hub, v1(hub.url) as one:
        await one.send('{"type":"jobs:subscribe"}')
        with pytest.raises(ConnectionClosed) as closed:
            await one.recv()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 4401


@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="needs chromium")
async def test_link_of_serve_signs_in_and_is_stripped(served: Store) -> None:
    """FAULTS row 50: the token is behind the ``#`` only, and in no address that is kept or sent."""
    secretive(served)
    async with running_hub(served, peer_uid=unknown) as hub, browser() as page:
        token = hub.server._access.own_token
        assert token is not None
        root = hub.url.replace("ws", "http", 1).removesuffix("ws/jobs")
        await page.go(root)
        await page.shows("location.pathname", "/login")
        await page.go(f"{root}#token=wrong")
        await page.shows("document.querySelector('[role=alert]')?.textContent",
                         "That is not the token.")  # fmt: skip
        assert await page.run("location.href") == f"{root}login"
        await page.go(f"{root}#token={token.decode()}")
        await page.shows("document.querySelector('#rows .title')?.textContent", SECRET)
        assert await page.run("location.href") == root
        # Signed in, the same link shows the page at once, and is stripped all the same.
        await page.go("about:blank")
        await page.go(f"{root}#token={token.decode()}")
        await page.shows("document.querySelector('#rows .title')?.textContent", SECRET)
        await page.shows("location.href", root)
        assert token.decode() not in "".join(page.requests)
