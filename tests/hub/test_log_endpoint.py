"""``GET /api/jobs/ID/log``, over real sockets."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest
from aiohttp import ClientSession

from jobctl._clock import now, now_ms
from jobctl.core import transitions as jobs
from jobctl.core.job import Command
from jobctl.core.log import BOTH, STDOUT, LogLine, decode_lines
from jobctl.core.times import to_text
from jobctl.errors import StoreError
from jobctl.hub import log_api
from jobctl.hub.access import Grant, Rights
from tests.hub.network import Running, running_hub, until

TOKEN = b"0123456789abcdef-token"


async def get(hub: Running, query: str = "", id: str = "a1", **options: Any) -> Any:
    """The answer, with its text."""
    async with (
        ClientSession() as session,
        session.request(
            options.pop("method", "GET"),
            f"http://127.0.0.1:{hub.port}/api/jobs/{id}/log{query}",
            **options,
        ) as answer,
    ):
        answer.body = await answer.text()
        return answer


def logged(store, *texts: bytes, id="a1"):
    """A new run with this log; its writer."""
    job = jobs.create("run", now=now(), id=id, stages=["go"])
    job = store.create(job.replace(run=Command(argv=("true",), cwd="/").to_value()))
    writer = store.log_writer(job)
    writer.write([LogLine(now_ms(), BOTH, text) for text in texts])
    return writer


def end(store, id="a1"):
    store.update(id, lambda job: jobs.complete(job, now=now()))


async def test_log_is_text(served) -> None:
    """Of one type, for no cache, and of no use for a page elsewhere."""
    logged(served, b"gr\xc3\xbcn", b"\xff\x1b[2J\x1b[31mred")
    async with running_hub(served) as hub:
        answer = await get(hub)
        assert (answer.status, answer.body) == (200, "grün\n\\xff\\e[2J\x1b[31mred\n\x1b[0m")
        assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["Accept-Ranges"] == "bytes"
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
        assert answer.headers["Jobctl-Hub"]
        head = await get(hub, method="HEAD")
        assert (head.status, head.body) == (200, "")
        assert head.headers["Content-Length"] == answer.headers["Content-Length"]


async def test_query_chooses_lines(served) -> None:
    """As the options of the command do."""
    writer = logged(served)
    at_ms = now_ms()
    writer.write([LogLine(at_ms - 3_600_000, BOTH, b"old")])
    writer.write([LogLine(at_ms, STDOUT, b"out"), LogLine(at_ms, BOTH, b"both")])
    async with running_hub(served) as hub:
        for query, body in [
            ("?tail=1", "both\n"),
            ("?tail=0", ""),
            ("?since=10m", "out\nboth\n"),
            (f"?since={to_text(at_ms)}", "out\nboth\n"),
            ("?stderr=1", "old\nboth\n"),
            ("?timestamps=1&tail=1", f"{to_text(at_ms)} both\n"),
        ]:
            answer = await get(hub, query)
            assert (answer.status, answer.body) == (200, body)
        for query in ("?tail=x", "?tail=-1", "?since=20e7", "?follow=yes", "?form=x", "?offset=-1",
                      "?offset=99999999999999999999", "?what=1"):  # fmt: skip
            answer = await get(hub, query)
            assert answer.status == 400
            assert answer.body.count("\n") == 1


@pytest.mark.parametrize(
    ("asked", "status", "body", "range"),
    [
        ("bytes=0-3", 206, "0123", "bytes 0-3/11"),
        ("bytes=4-", 206, "456789\n", "bytes 4-10/11"),
        ("bytes=-3", 206, "89\n", "bytes 8-10/11"),
        ("bytes=-100", 206, "0123456789\n", "bytes 0-10/11"),
        ("bytes=9-100", 206, "9\n", "bytes 9-10/11"),
        ("bytes=11-", 416, "the log has 11 bytes\n", "bytes */11"),
        ("bytes=-0", 416, "the log has 11 bytes\n", "bytes */11"),
        ("bytes=3-2", 200, "0123456789\n", None),
        ("bytes=0-1,3-4", 200, "0123456789\n", None),
        ("bytes=-", 200, "0123456789\n", None),
        ("lines=0-1", 200, "0123456789\n", None),
        ("bytes=0-99999999999999999999", 200, "0123456789\n", None),
    ],
)
async def test_ranges(served, asked, status, body, range) -> None:
    """One range, as RFC 9110 has it; what is not understood is ignored."""
    logged(served, b"0123456789")
    async with running_hub(served) as hub:
        answer = await get(hub, headers={"Range": asked})
        assert (answer.status, answer.body) == (status, body)
        assert answer.headers.get("Content-Range") == range
        answer = await get(hub, headers={"Range": asked, "If-Range": '"x"'})
        assert (answer.status, answer.body) == (200, "0123456789\n")


async def test_what_is_not_there(served) -> None:
    """No such job, and no log, also of a job that cannot get one: 404 with a reason."""
    served.create(jobs.create("etl", now=now(), id="other"))
    logged(served, id="silent")
    async with running_hub(served) as hub:
        for id, query, said in [
            ("nobody", "", "no job nobody"),
            ("other", "", "job other has no log: only 'jobctl run' keeps"),
            ("other", "?follow=1", "job other has no log"),
            ("silent", "", "job silent has no log: it has printed nothing"),
            ("%2e%2e", "", ""),
            ("..%2f..%2fetc", "", "is not a job id"),
        ]:
            answer = await get(hub, query, id)
            assert answer.status == 404
            assert said in answer.body
            assert str(served.path) not in answer.body


async def test_log_needs_the_right_to_see_details(served) -> None:
    """Whoever may only view the jobs is told so, whether or not there is a log."""
    logged(served, b"secret")
    async with running_hub(served) as hub:

        async def admit(access_request) -> Grant:
            return Grant(Rights.VIEW)

        hub.server._access.authenticate = admit
        for id in ("a1", "nobody"):
            for query in ("", "?follow=1&form=lines"):
                answer = await get(hub, query, id)
                assert answer.status == 403
                assert "whoever has a token" in answer.body
                assert "secret" not in answer.body


async def test_source_and_token_are_checked(served) -> None:
    """As for everything else of the API."""
    logged(served, b"secret")
    async with running_hub(served) as hub:
        assert (await get(hub, headers={"Host": "evil.example"})).status == 403
        assert (await get(hub, headers={"Origin": "https://evil.example"})).status == 403
        assert (await get(hub, "?token=x")).status == 400


async def follow(hub: Running, query: str = "", *, heard: list[bytes]) -> bool:
    """Collect what comes; return whether the answer was complete."""
    async with (
        ClientSession() as session,
        session.get(f"http://127.0.0.1:{hub.port}/api/jobs/a1/log?follow=1{query}") as answer,
    ):
        assert answer.status == 200
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Cache-Control"] == "no-store"
        try:
            async for data in answer.content.iter_any():
                heard.append(data)
        except Exception:
            return False
        return True


async def test_followed_log_ends_with_the_job(served) -> None:
    """What is written meanwhile comes as it is written."""
    writer = logged(served, b"one", b"two")
    async with running_hub(served) as hub:
        heard: list[bytes] = []
        task = asyncio.create_task(follow(hub, "&tail=1", heard=heard))
        await until(lambda: b"".join(heard) == b"two\n")
        writer.write([LogLine(now_ms(), BOTH, b"three")])
        await until(lambda: b"".join(heard) == b"two\nthree\n")
        writer.write([LogLine(now_ms(), BOTH, b"last")])
        end(served)
        assert await asyncio.wait_for(task, 10)
        assert b"".join(heard) == b"two\nthree\nlast\n"


async def test_followed_log_can_be_resumed(served) -> None:
    """At any line, in the form that names the places."""
    writer = logged(served)
    writer.write([LogLine(0, BOTH, b"%d" % number + b"x" * 5000) for number in range(400)])
    end(served)
    async with running_hub(served) as hub:
        heard: list[bytes] = []
        assert await follow(hub, "&form=lines", heard=heard)
        lines = b"".join(heard).splitlines(keepends=True)
        kinds = [next(decode_lines(line)).stream for line in lines]
        assert kinds[-2:] == ["offset", "end"]
        assert kinds.count("offset") == 2  # the cut, and where all was sent
        at, places = 0, []
        for line, kind in zip(lines, kinds, strict=True):
            if kind == "offset":
                at = int(next(decode_lines(line)).text)
            elif kind != "end":
                places.append((at, line))
                at += len(line)
        for place, line in (places[3], places[-1]):
            again: list[bytes] = []
            assert await follow(hub, f"&form=lines&offset={place}", heard=again)
            assert b"".join(again).startswith(line)


async def test_removed_job_ends_the_answer(served) -> None:
    """Nothing follows."""
    logged(served, b"one")
    async with running_hub(served) as hub:
        heard: list[bytes] = []
        task = asyncio.create_task(follow(hub, heard=heard))
        await until(lambda: b"".join(heard) == b"one\n")
        served.remove("a1")
        assert await asyncio.wait_for(task, 10)


async def test_stopping_hub_interrupts_the_answer(served) -> None:
    """So the client knows that more may follow."""
    logged(served, b"one")
    async with running_hub(served) as hub:
        heard: list[bytes] = []
        task = asyncio.create_task(follow(hub, heard=heard))
        await until(lambda: b"".join(heard) == b"one\n")
    assert await asyncio.wait_for(task, 10) is False


async def test_quiet_follower_hears_that_the_hub_lives(served, monkeypatch) -> None:
    """Else it would take the connection for broken."""
    monkeypatch.setattr(log_api, "_HEARTBEAT_S", 0.2)
    logged(served, b"one")
    async with running_hub(served) as hub:
        heard: list[bytes] = []
        task = asyncio.create_task(follow(hub, "&form=lines", heard=heard))
        await until(lambda: b"".join(heard).count(b" offset F ") >= 3)
        task.cancel()


async def test_follower_that_is_gone_costs_nothing(served, monkeypatch) -> None:
    """Its connection counts against the limit while it lasts, and no longer."""
    logged(served, b"one")
    async with running_hub(served) as hub:
        heard: list[bytes] = []
        task = asyncio.create_task(follow(hub, heard=heard))
        await until(lambda: bool(heard))
        assert hub.server._http.open_connections() == 1
        task.cancel()
        await until(lambda: hub.server._http.open_connections() == 0)


async def test_slow_reader_costs_one_piece(served, monkeypatch) -> None:
    """No more is read of the log than it takes, however long the log is."""
    monkeypatch.setattr("jobctl.stores.directory.logs.MAX_SEGMENTS", 1000)
    writer = logged(served)
    for _ in range(300):
        writer.write([LogLine(0, BOTH, b"x" * 9000) for _ in range(7)])
    end(served)
    reads = []
    kept = type(served).read_log

    def counted(self, id, offset=0, limit=65536):
        reads.append(offset)
        return kept(self, id, offset, limit)

    monkeypatch.setattr(type(served), "read_log", counted)
    loop = asyncio.get_running_loop()
    async with running_hub(served) as hub:
        with socket.socket() as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            sock.setblocking(False)
            await loop.sock_connect(sock, ("127.0.0.1", hub.port))
            host = f"Host: 127.0.0.1:{hub.port}"
            head = f"GET /api/jobs/a1/log?form=lines HTTP/1.1\r\n{host}\r\n\r\n"
            await loop.sock_sendall(sock, head.encode())
            await until(lambda: hub.server._http.open_connections() == 1 and len(reads) > 3)
            before = -1
            while before != len(reads):
                before = len(reads)
                await asyncio.sleep(0.3)
            assert len(reads) < 200  # what the kernel buffers, and a piece
            (connection,) = hub.server._http._runner.server.connections
            assert connection.transport.get_write_buffer_size() <= 3 * 65536


async def test_error_within_the_answer_interrupts_it(served, monkeypatch) -> None:
    """The client gets no second answer within the first one, and no end."""
    logged(served, b"first")
    failing = []
    kept = type(served).read_log

    def read(self, id, offset=0, limit=65536):
        if failing:
            raise StoreError("the disk is gone")
        return kept(self, id, offset, limit)

    monkeypatch.setattr(type(served), "read_log", read)
    async with running_hub(served) as hub:
        reader, writer = await asyncio.open_connection("127.0.0.1", hub.port)
        host = f"Host: 127.0.0.1:{hub.port}"
        writer.write(f"GET /api/jobs/a1/log?follow=1 HTTP/1.1\r\n{host}\r\n\r\n".encode())
        heard = await reader.readuntil(b"first\n")
        failing.append(True)
        try:
            heard += await asyncio.wait_for(reader.read(), 5)
        except ConnectionResetError:
            pass
        finally:
            writer.close()
        assert heard.count(b"HTTP/1.1 ") == 1
        assert b"disk" not in heard
        assert not heard.endswith(b"0\r\n\r\n")
