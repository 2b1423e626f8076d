"""Limits, floods and the end of a hub that many read from."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import resource
import signal
import socket
import ssl
import subprocess
import sys
import time
import unicodedata
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest
from websockets.exceptions import InvalidStatus

from jobctl.core.cursor import Cursor
from jobctl.core.jobset import Delta
from jobctl.core.protocol import retry_after_s
from jobctl.hub import admission as admission_module
from jobctl.hub.credentials import server_tls
from jobctl.hub.log_limit import LogRateLimit
from jobctl.reader.client import Client
from jobctl.reader.status import Status
from tests.hub.network import HubProcess, Reader, new_job, retitle, running_hub, said, until, v1
from tests.stores.support import environment

FLOOD = Path(__file__).with_name("flood.py")
UPGRADE = (
    b"GET /ws/jobs HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


def opened(port: int, data: bytes = b"") -> socket.socket:
    """A connection that has sent this."""
    sock = socket.create_connection(("127.0.0.1", port), 5)
    if data:
        sock.sendall(data)
    return sock


def asked(port: int, headers: bytes) -> bytes:
    """The answer to a GET with these headers."""
    with opened(port, b"GET /healthz HTTP/1.1\r\n" + headers + b"\r\n") as sock:
        return sock.recv(1000)


def heard(sock: socket.socket, last: bytes) -> bytes:
    """What came, up to these words."""
    data = b""
    while not data.endswith(last) and (more := sock.recv(1000)):
        data += more
    return data


def client_hello() -> bytes:
    """The first words of somebody who speaks TLS."""
    context = ssl.create_default_context()
    said, heard = ssl.MemoryBIO(), ssl.MemoryBIO()
    with suppress(ssl.SSLWantReadError):
        context.wrap_bio(heard, said, server_hostname="localhost").do_handshake()
    return said.read()


def allow_files(wanted: int) -> int:
    """As many descriptors for this process as that, if we may have them."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < wanted <= hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


async def test_one_too_many_is_told_to_come_back(served, caplog):
    """503 with the time; the others do not notice, and one that leaves makes room."""
    async with running_hub(served, max_connections=3) as hub, v1(hub.url) as one:
        await said(one)
        with ExitStack() as stack:
            for _ in range(2):
                stack.enter_context(opened(hub.port, b"GET"))
            await until(lambda: len(hub.server._admission.pending) == 2)
            reader, writer = await asyncio.open_connection("127.0.0.1", hub.port)
            answer = await asyncio.wait_for(reader.read(), 5)
            writer.close()
            assert answer.startswith(b"HTTP/1.1 503 ")
            assert b"\r\nRetry-After: 5\r\n" in answer
            assert hub.server.counts.refused["full"] == 1
            assert "jobctl serve --max-connections 6" in caplog.records[-1].getMessage()
        await until(lambda: not hub.server._admission.pending)
        async with v1(hub.url) as two:
            await said(two)


@pytest.mark.slow
async def test_pending_handshakes_are_counted_and_time_out(served, monkeypatch):
    """FAULTS row 25: 2,000 of them, by different halves; others come in meanwhile."""
    assert admission_module.HEAD_TIMEOUT_S < 10
    monkeypatch.setattr(admission_module, "HEAD_TIMEOUT_S", 4.0)
    many = 2000 if allow_files(4100) >= 4000 else 300
    served.create(new_job("a1"))
    async with running_hub(served) as hub:
        socks = [
            await asyncio.to_thread(opened, hub.port, UPGRADE[: 1 + number % 150])
            for number in range(many)
        ]
        await until(lambda: hub.server.status.connections()["opening"] == many)
        async with Reader.of_hub(hub.url) as reader:
            await until(lambda: reader.contents, 2)
        await until(lambda: hub.server.status.connections()["opening"] == 0, 8)
        for sock in socks:
            sock.close()


@pytest.mark.slow
async def test_pending_tls_handshakes_are_counted_and_time_out(served, certificate, monkeypatch):
    """FAULTS row 25: silent, half-said and nonsensical ones; the log says nothing of them."""
    monkeypatch.setattr(admission_module, "HEAD_TIMEOUT_S", 1.5)
    served.create(new_job("a1"))
    async with running_hub(served, tls=server_tls(*certificate), max_connections=210) as hub:
        hello = client_hello()
        with ExitStack() as stack:
            for number in range(60):
                start = hello[: (0, 1, 40, len(hello) - 1)[number % 4]]
                stack.enter_context(await asyncio.to_thread(opened, hub.port, start))
            await until(lambda: len(hub.server._admission.pending) == 60)
            stack.enter_context(await asyncio.to_thread(opened, hub.port, b"GET / HTTP/1.1"))
            monkeypatch.setenv("JOBCTL_CA", str(certificate[0]))
            async with Reader.of_hub(hub.url) as reader:
                await until(lambda: reader.contents, 3)
            await until(lambda: not hub.server._admission.pending, 5)
        assert hub.server.status.connections() == {"opening": 0, "session": 0, "http": 0}


async def test_pending_tls_handshakes_do_not_delay_the_stop(served, certificate):
    """FAULTS row 24: the stop of `running_hub` is timed."""
    async with running_hub(served, tls=server_tls(*certificate)) as hub:
        sock = await asyncio.to_thread(opened, hub.port, client_hello()[:40])
        await until(lambda: hub.server._admission.pending)
    assert await asyncio.to_thread(sock.recv, 10) == b""
    sock.close()


async def test_pending_handshakes_take_a_third_of_the_limit(served, monkeypatch):
    """Past that the oldest has to go, and who comes in earnest comes in."""
    served.create(new_job("a1"))
    async with running_hub(served, max_connections=210) as hub:
        pending = hub.server._admission.pending
        with ExitStack() as stack:
            socks = [stack.enter_context(opened(hub.port, b"GET")) for _ in range(70)]
            await until(lambda: len(pending) == 70)
            monkeypatch.setattr(admission_module, "GRACE_S", 0.0)
            async with v1(hub.url) as one:
                await said(one)
            last = await asyncio.to_thread(heard, socks[0], b"come back\n")
            assert last.startswith(b"HTTP/1.1 503")
            assert len(pending) == 69


async def test_idle_crowd_that_came_at_once_makes_room(served, monkeypatch):
    """FAULTS rows 25 and 60: also if it came within the grace, and took all connections."""
    served.create(new_job("a1"))
    async with running_hub(served, max_connections=210) as hub:
        pending = hub.server._admission.pending
        with ExitStack() as stack:
            socks = [stack.enter_context(opened(hub.port, b"GET")) for _ in range(210)]
            await until(lambda: len(pending) == 210)
            early = await asyncio.to_thread(asked, hub.port, b"Host: localhost\r\n")
            assert early.startswith(b"HTTP/1.1 503")
            monkeypatch.setattr(admission_module, "GRACE_S", 0.0)
            async with v1(hub.url) as one:
                await said(one)
            last = await asyncio.to_thread(heard, socks[0], b"come back\n")
            assert last.startswith(b"HTTP/1.1 503")
            assert len(pending) == 69


@pytest.mark.parametrize("begun", [b"GET", UPGRADE], ids=["silent", "without a token"])
async def test_idle_connections_do_not_fill_a_small_hub(served, monkeypatch, begun):
    """FAULTS rows 25 and 60: with --max-connections 3 too, whoever is idle makes room."""
    served.create(new_job("a1"))
    bearer = {"Authorization": "Bearer 0123456789abcdef"}
    async with running_hub(served, max_connections=3, token=b"0123456789abcdef") as hub:
        with ExitStack() as stack:
            for _ in range(3):
                stack.enter_context(opened(hub.port, begun))
            await until(lambda: sum(hub.server.status.connections().values()) == 3)
            monkeypatch.setattr(admission_module, "GRACE_S", 0.0)
            async with asyncio.timeout(4):
                while True:
                    with suppress(InvalidStatus):  # 503: it is told to come back
                        async with v1(hub.url, additional_headers=bearer) as one:
                            await said(one)
                            break
                    await asyncio.sleep(0.1)


async def test_a_new_connection_is_not_evicted(served):
    """Many clients reconnect at the same moment, and all are served."""
    served.create(new_job("a1"))
    async with running_hub(served, max_connections=210) as hub:
        answers = await asyncio.gather(
            *(asyncio.to_thread(asked, hub.port, b"Host: localhost\r\n") for _ in range(120))
        )
        assert {answer[:12] for answer in answers} == {b"HTTP/1.1 200"}


async def test_unauthenticated_connections_take_a_third_of_the_limit(served, monkeypatch):
    """Past that the oldest has to go, whether it answers or not."""
    served.create(new_job("a1"))
    token = b"0123456789abcdef"
    async with running_hub(served, max_connections=210, token=token) as hub:
        unauthenticated = hub.server._authentication.pending
        with ExitStack() as stack:
            socks = [stack.enter_context(opened(hub.port, UPGRADE)) for _ in range(70)]
            await until(lambda: len(unauthenticated) == 70)
            monkeypatch.setattr(admission_module, "GRACE_S", 0.0)
            async with v1(hub.url) as one:
                await until(
                    lambda: len(unauthenticated) == 70 and len(hub.server.clients.open) == 70
                )
                await one.send('{"type":"jobs:auth","token":"0123456789abcdef"}')
                await said(one)
            last = await asyncio.to_thread(heard, socks[0], b" s")
            reason = last.partition(b"\x0f\xbd")[2].decode()  # 4029
            assert "others come in" in reason
            asked_s = retry_after_s(reason)
            assert asked_s is not None, "a browser shows no header of a handshake"
            assert 2.5 <= asked_s <= 7.5, "not all at once"


@pytest.mark.slow
@pytest.mark.parametrize("form", ["text", "json"])
async def test_one_event_is_one_line_whatever_was_sent(directory, writer, form):
    """FAULTS row 61: line ends, escapes and quotes in every header and the path."""
    writer.create(new_job("a1"))
    evil = b"\x9b31m\xe2\x80\xae\"'\xe2\x80\xa8 level=error"
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    serve = [sys.executable, "-m", "jobctl", "serve", "--dir", str(directory), "-v"]
    process = subprocess.Popen(
        [*serve, "--port", str(port), "--log-format", form],
        env=environment(), stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        async with Reader.of_hub(f"ws://127.0.0.1:{port}") as reader:
            await until(lambda: reader.contents, 10)
        for upgrade in (UPGRADE, UPGRADE.replace(b"Upgrade: websocket\r\n", b"")):
            start, _, rest = upgrade.partition(b"Host: 127.0.0.1\r\n")
            for headers in (
                b"Host: " + evil,
                b"Host: 127.0.0.1\r\nOrigin: http://" + evil,
                b"Host: 127.0.0.1\r\nX-Forwarded-For: " + evil,
                b"Host: 127.0.0.1\r\nUser-Agent: " + evil,
                b"Host: \x1b]0;x\x07",
            ):
                with opened(port, start + headers + b"\r\n" + rest) as sock:
                    await asyncio.to_thread(sock.recv, 1000)
    finally:
        process.terminate()
        _, err = process.communicate(timeout=10)
    lines = err.decode().splitlines()  # at any line end that Unicode has
    assert sum("refused" in line for line in lines) == 6
    assert all(line.startswith(("2", "{", "jobctl: ")) for line in lines)
    assert not any(unicodedata.category(char) in ("Cc", "Cf") for line in lines for char in line)


async def test_flood_of_refusals_does_not_fill_the_log(served, caplog):
    """It is counted, and the next line that is written says how many were not."""
    with caplog.at_level(logging.WARNING, "jobctl.hub"):
        async with running_hub(served) as hub:
            for _ in range(40):
                answer = await asyncio.to_thread(asked, hub.port, b"Host: evil.example\r\n")
                assert answer.startswith(b"HTTP/1.1 403 ")
            assert len(caplog.records) == 5
            assert hub.server.counts.refused["host"] == 40
    limit = LogRateLimit(2)
    assert [limit.allow("host", at) for at in (0.0, 1.0, 2.0, 9.0)] == [0, 0, None, None]
    assert [limit.allow("origin", 9.0), limit.allow("host", 10.0)] == [0, 2]


@contextmanager
def hub_with(directory: Path, files: int) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """A hub with so many descriptors, and its port."""
    serve = [sys.executable, "-m", "jobctl", "serve", "--port", "0", "--dir", str(directory)]
    script = f'ulimit -n {files}; exec "$@"'
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    serve[5] = str(port)
    process = subprocess.Popen(
        ["sh", "-c", script, "sh", *serve], env=environment(), stderr=subprocess.PIPE
    )
    try:
        yield process, port
    finally:
        process.kill()
        process.communicate()


@pytest.mark.slow
async def test_lack_of_descriptors_passes_and_its_log_is_rate_limited(directory, writer):
    """FAULTS row 26: 60 connections for 40 descriptors; when they go, all is well within 2 s."""
    writer.create(new_job("a1"))
    with hub_with(directory, 40) as (process, port):
        url = f"ws://127.0.0.1:{port}"
        async with Reader.of_hub(url) as reader:
            await until(lambda: reader.contents, 10)
        socks = [opened(port) for _ in range(60)]
        await asyncio.sleep(1.5)
        for sock in socks:
            sock.close()
        async with Reader.of_hub(url) as reader:
            await until(lambda: reader.contents, 3)
        process.terminate()
        _, err = process.communicate(timeout=10)
        assert process.returncode == 0
        lines = err.decode().splitlines()
        assert sum("cannot accept connections" in line for line in lines) == 1
        assert "Traceback" not in err.decode()
        assert len(lines) < 10


@pytest.mark.slow
async def test_crowd_leaves_the_hub_its_own_files(directory, writer):
    """Past what ``ulimit -n`` allows there is a 503, and who was in sees every change."""
    writer.create(new_job("a1"))
    with hub_with(directory, 130) as (process, port):
        async with Reader.of_hub(f"ws://127.0.0.1:{port}") as reader:
            await until(lambda: reader.contents, 10)
            socks = [opened(port, b"GET") for _ in range(100)]
            answers = [await asyncio.to_thread(_is_refused, sock) for sock in socks]
            assert sum(answers) >= 100 - 65
            writer.create(new_job("a2"))
            await until(lambda: len(reader.contents) == 2, 3)
            for sock in socks:
                sock.close()
        process.terminate()
        _, err = process.communicate(timeout=10)
    assert "65 connections at the most: 'ulimit -n'" in err.decode()
    assert "cannot accept" not in err.decode()


async def test_filter_that_is_too_long_is_refused(served):
    """By the close code that says not to come back like this; over HTTP by 400."""
    ids = [f"a{number}" for number in range(1001)]
    async with running_hub(served) as hub, v1(hub.url) as one:
        await said(one)
        await one.send(json.dumps({"type": "jobs:subscribe", "filter": {"id": ids[:1000]}}))
        assert (await said(one))["since"] == 0
        await one.send(json.dumps({"type": "jobs:subscribe", "filter": {"id": ids}}))
        await until(lambda: one.close_code)
        assert (one.close_code, one.close_reason) == (4400, "a filter has 1000 values at the most")
        query = "&".join(f"id={id}" for id in ids).encode()
        with opened(
            hub.port, b"GET /api/jobs?" + query + b" HTTP/1.1\r\nHost: localhost\r\n\r\n"
        ) as sock:
            assert (await asyncio.to_thread(sock.recv, 1000)).startswith(b"HTTP/1.1 400 ")


@pytest.mark.slow
async def test_clients_reconnect_spread_out_and_with_their_cursors(directory, writer):
    """FAULTS row 34: 500 watchers after a stop; all are live again within 5 s, none from zero."""
    for number in range(20):
        writer.create(new_job(f"a{number:02d}"))
    hub = HubProcess(directory)
    live: dict[int, bool] = {}
    resets = [0] * 500
    cursors: dict[int, Cursor] = {}

    async def watch(number: int) -> None:
        client = Client(hub.url)
        async for event in client.events():
            if isinstance(event, Status):
                live[number] = event.state == "open"
            elif isinstance(event, Delta):
                resets[number] += event.since == 0
                cursors[number] = client.cursor

    tasks = [asyncio.create_task(watch(number)) for number in range(500)]
    try:
        await until(lambda: sum(live.values()) == 500 and len(cursors) == 500, 30)
        began_s = time.monotonic()
        hub.send(signal.SIGTERM)
        await asyncio.to_thread(hub.process.wait, 5)
        assert hub.process.returncode == 0
        assert time.monotonic() - began_s < 3
        writer.create(new_job("b1"))
        with HubProcess(directory, port=hub.port):
            back_s = time.monotonic()
            await until(lambda: len({str(cursor) for cursor in cursors.values()}) == 1
                        and next(iter(cursors.values())).revision == 21, 10)  # fmt: skip
            assert time.monotonic() - back_s < 5
            assert resets == [1] * 500
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        hub.kill()


async def test_close_reason_says_when_to_come_back(served):
    """And our client keeps to it."""
    async with running_hub(served) as hub, v1(hub.url) as one:
        await said(one)
        await hub.server.clients.close()
        await one.wait_closed()
        assert one.close_code == 1001
        assert retry_after_s(one.close_reason or "") is not None


@pytest.mark.slow
async def test_flood_of_connections_slows_nobody(directory, writer):
    """FAULTS row 60: 5,000, and past the cap a 503 for each; who was in goes on as before."""
    writer.create(new_job("a1"))
    serve = [sys.executable, "-m", "jobctl", "serve", "--dir", str(directory)]
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [*serve, "--port", str(port), "--max-connections", "200"],
        env=environment(), stderr=subprocess.PIPE,
    )  # fmt: skip
    crowd: subprocess.Popen[bytes] | None = None
    try:
        async with Reader.of_hub(f"ws://127.0.0.1:{port}") as reader:
            await until(lambda: reader.contents, 10)

            async def latency(title: str) -> float:
                began_s = time.monotonic()
                writer.update("a1", retitle(title))
                await until(lambda: reader.set.get("a1").title == title, 5)
                return time.monotonic() - began_s

            quiet = [await latency(f"quiet {number}") for number in range(200)]
            said_before = len(reader.statuses)
            crowd = subprocess.Popen(
                [sys.executable, str(FLOOD), str(port), "5000"], stdout=subprocess.PIPE
            )
            flooded = [await latency("flooded")]
            while crowd.poll() is None or len(flooded) < 200:
                flooded.append(await latency(f"flooded {len(flooded)}"))
            owners_version, opened_s = crowd.communicate()[0].split()
            print(f"p99: {p99(quiet) * 1e3:.1f} ms; with a flood, {p99(flooded) * 1e3:.1f} ms")
            assert int(owners_version) == 5000
            assert float(opened_s) < 10, "no client had to try twice"
            assert p99(flooded) < p99(quiet) + 0.1
            assert reader.statuses[said_before:] == []
    finally:
        if crowd is not None:
            crowd.kill()
            crowd.wait()
        process.terminate()
        _, err = process.communicate(timeout=10)
    assert b"--max-connections" in err
    assert len(err.splitlines()) < 40


def p99(values: list[float]) -> float:
    """The value that one in a hundred is above."""
    return sorted(values)[-1 - len(values) // 100]


def _is_refused(sock: socket.socket) -> bool:
    sock.settimeout(0.05)
    try:
        return sock.recv(20).startswith(b"HTTP/1.1 503")
    except TimeoutError:
        return False


# -- the place ----------------------------------------------------------------------------------


@pytest.mark.slow
async def test_all_is_private_whatever_the_umask(tmp_path):
    """FAULTS row 57: directories 0700, files and sockets 0600 or less, under umask 000."""
    directory = tmp_path / "jobs"
    script = 'umask 000; "$@" create etl --id a1 --dir "$0"; exec "$@" serve --port 0 --dir "$0"'
    process = subprocess.Popen(
        ["sh", "-c", script, str(directory), sys.executable, "-m", "jobctl"],
        env=environment(), stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    assert process.stderr is not None
    try:
        line = next(line for line in process.stderr if "serving" in line)
        url = next(word for word in line.split() if word.startswith("ws://")).rstrip(",")
        async with Reader.of_hub(url) as reader:
            await until(lambda: reader.contents)
            modes = {
                path: path.lstat().st_mode & 0o777
                for path in [directory, *directory.rglob("*")]
                if not path.is_symlink()
            }
            assert modes[directory] == 0o700
            assert {path: mode for path, mode in modes.items() if mode & 0o077} == {}
    finally:
        process.kill()
        process.communicate()


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to give a directory away")
@pytest.mark.parametrize("how", ["other's", "everybody's"])
async def test_unsafe_directory_is_read_and_not_served(directory, writer, how):
    """FAULTS row 56: refused with the reason."""
    writer.create(new_job("a1"))
    if how == "other's":
        os.chown(directory, 65534, 65534)
    else:
        directory.chmod(0o777)
    run = [sys.executable, "-m", "jobctl"]
    ls = subprocess.run(
        [*run, "ls", "-o", "name", "--dir", str(directory)],
        env=environment(), capture_output=True, text=True,
    )  # fmt: skip
    assert (ls.returncode, ls.stdout) == (0, "a1\n")
    for argv in (["create", "etl"], ["serve", "--port", "0", "--insecure"]):
        ran = subprocess.run(
            [*run, *argv, "--dir", str(directory)],
            env=environment(), capture_output=True, text=True, timeout=20,
        )  # fmt: skip
        assert ran.returncode == 5
        assert "it can be read, not written" in ran.stderr
        assert ran.stderr.count("\n") == 1
