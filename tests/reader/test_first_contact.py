"""What another server answers at a hub's URL: final before the first contact, "away" afterwards."""

from __future__ import annotations

import asyncio
import http.server
import os
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from functools import partial
from pathlib import Path

import pytest
from websockets.asyncio.server import ServerConnection, serve

from jobctl import follow, wait_async
from jobctl._clock import now
from jobctl.core.transitions import complete
from jobctl.errors import HubError
from jobctl.reader import client as client_module
from jobctl.reader import once
from jobctl.reader.client import Client
from jobctl.reader.status import Status
from tests.hub.network import Reader, hasty, new_job, running_hub, until

PAGE = "<html><body>nginx</body></html>"


def answer(status: str, *headers: str, body: str = PAGE) -> bytes:
    """A whole response of a proxy or a web server."""
    lines = [f"HTTP/1.1 {status}", "Content-Type: text/html", f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, *headers, "", body]).encode()


ANSWERS = {
    "200 OK": answer("200 OK"),
    "a large page": answer("200 OK", body="x" * 2_000_000),
    "301": answer("301 Moved Permanently", "Location: https://elsewhere.example/"),
    "401": answer("401 Unauthorized", "WWW-Authenticate: Basic"),
    "403": answer("403 Forbidden"),
    "404": answer("404 Not Found"),
    "429": answer("429 Too Many Requests"),
    "502": answer("502 Bad Gateway"),
    "no HTTP": b"220 mail.example ESMTP\r\n",
}


class Proxy:
    """A proxy before a hub: it passes connections on, or says ``answer`` to each of them."""

    def __init__(self, hub_port: int) -> None:
        self.hub_port = hub_port
        self.answer: bytes | None = None
        self.answered = 0
        self.url = ""
        self._open: list[asyncio.StreamWriter] = []

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.append(writer)
        with suppress(ConnectionError):
            if self.answer is not None:
                await reader.read(65536)
                writer.write(self.answer)
                await writer.drain()
                self.answered += 1
            else:
                back, on = await asyncio.open_connection("127.0.0.1", self.hub_port)
                self._open.append(on)
                await asyncio.wait(
                    [asyncio.ensure_future(_copy(reader, on)),
                     asyncio.ensure_future(_copy(back, writer))],
                    return_when=asyncio.FIRST_COMPLETED,
                )  # fmt: skip
                on.close()
        writer.close()

    def cut(self, answer: bytes) -> None:
        """The hub is away: end all connections, and answer so from now on."""
        self.answer = answer
        for writer in self._open:
            writer.transport.abort()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()


@asynccontextmanager
async def proxy(hub_port: int = 0) -> AsyncIterator[Proxy]:
    made = Proxy(hub_port)
    async with await asyncio.start_server(made.handle, "127.0.0.1", 0) as server:
        made.url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/ws/jobs"
        yield made
        for writer in made._open:
            writer.transport.abort()


@asynccontextmanager
async def saying(said: bytes) -> AsyncIterator[Proxy]:
    async with proxy() as made:
        made.answer = said
        yield made


async def first_error(client: Client) -> str:
    async with asyncio.timeout(5):
        with pytest.raises(HubError) as caught:
            async for _ in client:
                pass
    assert caught.value.exit_code == 5
    return str(caught.value)


@pytest.mark.parametrize("name", ANSWERS)
async def test_before_the_first_contact_an_answer_that_is_not_a_hubs_is_final(name):
    """It is said in one line, without the page that came with it."""
    async with saying(ANSWERS[name]) as server:
        said = await first_error(Client(server.url, backoff=hasty()))
        assert server.answered == 1
    assert server.url in said
    assert "--retry" in said
    assert "html" not in said
    assert "\n" not in said


@pytest.mark.parametrize("name", ANSWERS)
async def test_who_insists_is_told_and_tries_again(name):
    """Whatever answers."""
    async with saying(ANSWERS[name]) as server:
        client = Client(server.url, backoff=hasty(), insist=True)
        task = asyncio.ensure_future(anext(_errors(client)))
        await until(lambda: server.answered > 2)
        said = await task
        task.cancel()
    assert said.retry_s is not None
    assert "html" not in said.detail


async def _errors(client: Client) -> AsyncIterator[Status]:
    seen = 0
    async for event in client:
        if isinstance(event, Status) and event.state == "error":
            seen += 1
            if seen > 2:
                yield event


async def test_no_answer_is_waited_for():
    """Nobody listens, or whoever listens hangs up without a word."""
    async with saying(b"") as server:
        task = asyncio.create_task(_drain(Client(server.url, backoff=hasty())))
        await until(lambda: server.answered > 2 or task.done())
        assert not task.done()
        task.cancel()


async def _drain(client: Client) -> None:
    async for _ in client:
        pass


async def test_a_certificate_that_is_not_trusted_is_final(served, certificate):
    """Before the first contact: trying again does not make it trusted."""
    from jobctl.hub.credentials import server_tls

    async with running_hub(served, tls=server_tls(*certificate), own_uid=-1) as hub:
        said = await first_error(Client(hub.url.replace("ws://", "wss://"), backoff=hasty()))
    assert "certificate is not trusted" in said


async def test_a_plain_server_at_a_wss_url_is_final(served):
    """It answers with what is no TLS."""
    async with saying(answer("400 Bad Request")) as server:
        await first_error(Client(server.url.replace("ws://", "wss://"), backoff=hasty()))


async def test_a_websocket_server_of_another_kind_is_final():
    """It accepts, and does not speak jobctl.v1."""

    async def idle(connection: ServerConnection) -> None:
        await connection.wait_closed()

    async with serve(idle, "127.0.0.1", 0) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        said = await first_error(Client(f"ws://127.0.0.1:{port}", backoff=hasty()))
    assert "it does not speak jobctl.v1" in said


@pytest.mark.parametrize("name", ANSWERS)
async def test_after_the_first_contact_such_an_answer_means_away(served, writer, name):
    """The reader comes back to the hub, and has what changed meanwhile."""
    writer.create(new_job("a1"))
    async with running_hub(served) as hub, proxy(hub.port) as between:
        async with Reader.of_hub(between.url) as reader:
            await until(lambda: reader.contents)
            between.cut(ANSWERS[name])
            await until(lambda: between.answered > 2 or reader.task.done())
            assert not reader.task.done(), "it is still trying"
            writer.create(new_job("a2"))
            between.answer = None
            await until(lambda: len(reader.contents) == 2)
        errors = [status for status in reader.statuses if status.state == "error"]
        assert errors
        assert all("html" not in status.detail for status in errors)


async def test_a_refusal_of_the_hub_itself_is_final_after_the_contact_too(served, writer):
    """Its header proves that the hub refuses, also through a proxy."""
    writer.create(new_job("a1"))
    refusal = answer("403 Forbidden", "Jobctl-Hub: jobctl.v1", body="not any more")
    async with running_hub(served) as hub, proxy(hub.port) as between:
        reader = Reader.of_hub(between.url)
        await until(lambda: reader.contents)
        between.cut(refusal)
        with pytest.raises(HubError, match="refuses: HTTP 403, not any more"):
            await asyncio.wait_for(reader.task, 5)


async def test_a_wrong_token_at_a_hub_of_0_1_0_is_told(served):
    """It sends no header of a hub with its 401, but the realm."""
    realm = 'WWW-Authenticate: Bearer realm="jobctl"'
    async with saying(answer("401 Unauthorized", realm, body="that is not the token")) as server:
        said = await first_error(Client(server.url, backoff=hasty()))
    assert said.endswith("refuses: HTTP 401, that is not the token")


async def test_a_busy_hub_is_a_contact_too(served):
    """Its 503 says that a hub is there, so what a proxy says later is retried."""
    busy = answer("503 Service Unavailable", "Jobctl-Hub: jobctl.v1", body="come back")
    async with saying(busy) as server:
        task = asyncio.create_task(_drain(Client(server.url, backoff=hasty())))
        await until(lambda: server.answered)
        server.answer = ANSWERS["404"]
        before = server.answered
        await until(lambda: server.answered > before + 2 or task.done())
        assert not task.done()
        task.cancel()


async def test_wait_holds_through_a_proxy_that_answers_404(served, writer, monkeypatch):
    """The jobs were read from the hub, so a 404 between that and the following is not final."""
    monkeypatch.setattr(client_module, "Backoff", hasty)
    writer.create(new_job("a1"))
    async with running_hub(served) as hub, proxy(hub.port) as between:
        told: list[Status] = []
        real = once.find_matching

        async def then_cut(*args, **options):
            found = await real(*args, **options)
            between.cut(ANSWERS["404"])
            return found

        monkeypatch.setattr(once, "find_matching", then_cut)
        waiting = asyncio.create_task(
            wait_async(ids="a1", url=between.url, on_status=told.append, timeout_s=10)
        )
        await until(lambda: between.answered > 2 or waiting.done())
        between.answer = None
        writer.update("a1", lambda job: complete(job, now=now()))
        outcome = await waiting
    assert outcome.met


async def test_wait_with_retry_waits_for_a_hub_from_the_start(served, writer, monkeypatch):
    """Without it the first answer that is not a hub's ends it."""
    monkeypatch.setattr(client_module, "Backoff", hasty)
    writer.create(new_job("a1"))
    async with running_hub(served) as hub, proxy(hub.port) as between:
        between.answer = ANSWERS["404"]
        with pytest.raises(HubError, match="HTTP 404 Not Found, not from a jobctl hub"):
            await wait_async(ids="a1", url=between.url, timeout_s=5)
        waiting = asyncio.create_task(
            wait_async(ids="a1", url=between.url, retry=True, timeout_s=10)
        )
        await until(lambda: between.answered > 3 or waiting.done())
        writer.update("a1", lambda job: complete(job, now=now()))
        between.answer = None
        assert (await waiting).met


async def test_follow_has_the_same_rule():
    """The library's reader."""
    async with saying(ANSWERS["403"]) as server:
        with pytest.raises(HubError, match="HTTP 403 Forbidden, not from a jobctl hub"):
            async for _ in follow(url=server.url):
                pass
        events = follow(url=server.url, insist=True)
        seen = [await anext(events) for _ in range(2)]
        await events.aclose()
    assert [event.state for event in seen] == ["connecting", "error"]


# -- the commands, at a plain web server --------------------------------------------------------


class _Quiet(http.server.SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def web_server(tmp_path: Path) -> Iterator[str]:
    """The address of a plain web server: python's own."""
    with http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), partial(_Quiet, directory=str(tmp_path))
    ) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@contextmanager
def jobctl(*words: str, **more: str) -> Iterator[subprocess.Popen[str]]:
    own = {key: value for key, value in os.environ.items() if not key.startswith("JOBCTL")}
    with subprocess.Popen(
        [sys.executable, "-m", "jobctl", *words],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**own, **more},
    ) as process:  # fmt: skip
        yield process


@pytest.mark.slow
@pytest.mark.parametrize(
    "words",
    [
        ("watch",), ("watch", "a1"), ("wait", "a1"), ("wait", "--active"), ("ls",), ("show", "a1"),
        ("clients",),
    ],
)  # fmt: skip
@pytest.mark.parametrize("by", ["--url", "settings"])
def test_each_reader_ends_at_a_plain_web_server(words, by, web_server, tmp_path):
    """With exit code 5 and one line; the URL may come from the settings."""
    if by == "--url":
        running = jobctl(*words, "--url", web_server)
    else:
        settings = tmp_path / "config" / "jobctl" / "jobctl.toml"
        settings.parent.mkdir(parents=True)
        settings.write_text(f'url = "ws://{web_server}"\n')
        running = jobctl(*words, XDG_CONFIG_HOME=str(tmp_path / "config"), HOME=str(tmp_path))
    with running as process:
        out, error = process.communicate(timeout=20)
    assert (process.returncode, out) == (5, "")
    assert error.count("\n") == 1
    assert "404" in error
    assert "html" not in error.lower()


@pytest.mark.slow
@pytest.mark.parametrize("words", [("watch",), ("watch", "a1"), ("wait", "a1")])
def test_retry_insists(words, web_server):
    """It says once what it meets, and goes on until it is told to stop."""
    with jobctl(*words, "--url", web_server, "--retry") as process:
        assert process.stderr is not None
        line = process.stderr.readline()
        try:
            process.wait(2)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGINT)
        _, rest = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "not from a jobctl hub, next try in" in line
    assert rest == "", "what lasts is said once"


@pytest.mark.parametrize("words", [("watch", "--retry"), ("wait", "a1", "--retry")])
def test_retry_needs_a_url(words, tmp_path):
    """A directory does not go away."""
    with jobctl(*words, "--dir", str(tmp_path)) as process:
        _, error = process.communicate(timeout=20)
    assert process.returncode == 2
    assert "--retry goes with --url" in error
