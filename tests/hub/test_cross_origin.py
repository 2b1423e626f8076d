"""Pages of other origins at the HTTP side: which of them may read the responses."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import ClientSession, web
from multidict import CIMultiDict

from jobctl.hub import access as access_module
from jobctl.hub.access import AccessRequest
from tests.hub.browser import CHROMIUM, Page, browser
from tests.hub.network import new_job, running_hub
from tests.hub.test_page import enter, page_of

TOKEN = "0123456789abcdef0123456789abcdef"
BEARER = {"Authorization": f"Bearer {TOKEN}"}
NAMED = "https://app.example"
NEIGHBOUR = "http://localhost:5173"
ALLOW = "Access-Control-Allow-Origin"


async def asked(
    url: str, path: str, *, method: str = "GET", **headers: str
) -> tuple[int, CIMultiDict[str]]:
    """The status and the headers of the response."""
    async with (
        ClientSession() as session,
        session.request(
            method, page_of(url).rstrip("/") + path, headers=headers, allow_redirects=False
        ) as answer,
    ):
        return answer.status, CIMultiDict(answer.headers)


@pytest.mark.parametrize("path", ["/api/jobs", "/api/jobs/a1", "/api/clients", "/metrics", "/"])
async def test_a_named_origin_may_read(served, writer, path):
    """With the token; and what refuses it otherwise, so that it can ask its user."""
    writer.create(new_job("a1"))
    async with running_hub(served, token=TOKEN.encode(), allow_origins=[NAMED]) as hub:
        for more, wanted in ((BEARER, 200), ({}, 401)):
            status, headers = await asked(hub.url, path, Origin=NAMED, **more)
            assert status == wanted
            assert headers[ALLOW] == NAMED
            assert headers["Access-Control-Allow-Credentials"] == "true"
            assert headers["Cross-Origin-Resource-Policy"] == "cross-origin"
            assert "ETag" in headers["Access-Control-Expose-Headers"]
        _, headers = await asked(hub.url, "/api/jobs", Origin=NAMED, **BEARER)
        assert "Origin" in headers["Vary"]
        tag = headers["ETag"]
        status, headers = await asked(
            hub.url, "/api/jobs", Origin=NAMED, **BEARER, **{"If-None-Match": tag}
        )
        assert (status, headers[ALLOW]) == (304, NAMED)


async def test_a_named_origin_may_import_without_a_token(served):
    """An import sends none. The scripts are the same for everybody."""
    async with running_hub(served, token=TOKEN.encode(), allow_origins=[NAMED]) as hub:
        status, headers = await asked(hub.url, "/dashboard/main.js", Origin=NAMED)
        assert (status, headers[ALLOW]) == (200, NAMED)
        for origin in ({}, {"Origin": NEIGHBOUR}):
            status, headers = await asked(hub.url, "/dashboard/main.js", **origin)
            assert (status, ALLOW in headers) == (401, False)


@pytest.mark.parametrize("own", [True, False])
async def test_a_page_of_another_loopback_port_reads_with_the_token_only(served, own):
    """A user, a cookie or a wrong token is no leave: any program may serve such a page."""
    options = {} if own else {"token": TOKEN.encode()}
    async with running_hub(served, **options) as hub:
        access = hub.server._access
        token = (access.own_token or TOKEN.encode()).decode()
        name, value = access.cookie(AccessRequest((), "", secure=False))
        wrong = {"Authorization": f"Bearer {token[::-1]}"}
        for more in ({}, {"Cookie": f"{name}={value}"}, wrong):
            _, headers = await asked(hub.url, "/api/jobs", Origin=NEIGHBOUR, **more)
            assert ALLOW not in headers
            assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
        status, headers = await asked(
            hub.url, "/api/jobs", Origin=NEIGHBOUR, Authorization=f"Bearer {token}"
        )
        assert (status, headers[ALLOW]) == (200, NEIGHBOUR)
        status, headers = await asked(
            hub.url, "/api/jobs", Origin="https://evil.example", Authorization=f"Bearer {token}"
        )
        assert (status, ALLOW in headers) == (403, False)


async def test_the_headers_do_not_tell_whether_an_unchecked_token_is_right(served, monkeypatch):
    """The delay for wrong tokens would not slow down somebody who guesses."""
    monkeypatch.setattr(access_module, "_MAX_WAITING", 0)
    monkeypatch.setattr(access_module, "_MAX_WRONG", 1)
    async with running_hub(served, token=TOKEN.encode()) as hub:
        wrong = {"Authorization": f"Bearer {TOKEN[::-1]}"}
        for path, status in (("/api/jobs", 429), ("/healthz", 200)):
            for authorization in (wrong, BEARER):
                got, headers = await asked(hub.url, path, Origin=NEIGHBOUR, **authorization)
                assert (got, ALLOW in headers) == (status, False)


@pytest.mark.parametrize(
    ("origin", "wanted", "status", "allowed"),
    [
        (NAMED, "authorization", 204, True),
        (NAMED, "if-none-match", 204, True),
        (NEIGHBOUR, "authorization", 204, True),
        (NEIGHBOUR, "if-none-match, Authorization", 204, True),
        (NEIGHBOUR, "if-none-match", 204, False),
        ("https://evil.example", "authorization", 403, False),
    ],
)
async def test_a_preflight_is_answered_without_a_token(served, origin, wanted, status, allowed):
    """The browser sends none with it."""
    async with running_hub(served, token=TOKEN.encode(), allow_origins=[NAMED]) as hub:
        ask = {
            "Access-Control-Request-Method": "GET",
            "Access-Control-Request-Headers": wanted,
            "Origin": origin,
        }
        for path in ("/api/jobs", "/dashboard/main.js"):
            got, headers = await asked(hub.url, path, method="OPTIONS", **ask)
            assert got == status
            assert (headers.get(ALLOW) == origin) is allowed
            if allowed:
                assert "authorization" in headers["Access-Control-Allow-Headers"].lower()
                assert "GET" in headers["Access-Control-Allow-Methods"]
        got, _ = await asked(hub.url, "/api/jobs", method="OPTIONS", Origin=NAMED, **BEARER)
        assert got == 405, "this is no preflight"


# -- in a browser -----------------------------------------------------------------------------


@asynccontextmanager
async def other_page(host: str = "127.0.0.1") -> AsyncIterator[str]:
    """An empty page at another port: its origin."""

    async def page(request: web.Request) -> web.Response:
        return web.Response(text="<!doctype html><title>other</title>", content_type="text/html")

    app = web.Application()
    app.add_routes([web.get("/", page)])
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, host, 0)
    await site.start()
    try:
        yield f"http://{host}:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def outcome(page: Page, script: str) -> str:
    """What becomes of a promise in the page: its value, or the name of its error."""
    result = await page.do(
        "Runtime.evaluate",
        expression=f"({script}).then(String, (error) => error.name)",
        awaitPromise=True,
        returnByValue=True,
    )
    return str(result["result"]["value"])


def fetching(url: str, token: str = "", credentials: str = "omit") -> str:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    options = {"headers": headers, "credentials": credentials}
    return f"fetch({json.dumps(url)}, {json.dumps(options)}).then((it) => it.status)"


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
async def test_two_hubs_on_one_host_do_not_log_each_other_out(served, writer):
    """Signed in to both, one stays signed in to both."""
    other = TOKEN[::-1]
    async with (
        running_hub(served, token=TOKEN.encode()) as one,
        running_hub(served, token=other.encode()) as two,
        browser() as page,
    ):
        for hub, token in ((one, TOKEN), (two, other)):
            await page.go(page_of(hub.url))
            await page.shows("location.pathname", "/login")
            await enter(page, token)
            await page.shows("location.pathname", "/")
        for hub in (one, two, one):
            await page.go(page_of(hub.url))
            await page.shows("location.port + location.pathname", f"{hub.port}/")
            assert await outcome(page, fetching("/api/jobs", credentials="include")) == "200"


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
async def test_a_browser_lets_a_named_origin_fetch_and_import(served, writer):
    """And another loopback port with the token only, and nobody else."""
    async with (
        other_page() as named,
        other_page() as neighbour,
        running_hub(served, token=TOKEN.encode(), allow_origins=[named]) as hub,
        browser() as page,
    ):
        root = page_of(hub.url).rstrip("/")
        script = f"import({json.dumps(root + '/login.js')}).then(() => 'imported')"
        await page.go(named)
        await page.shows("location.origin + document.title", f"{named}other")
        assert await outcome(page, fetching(f"{root}/api/jobs", TOKEN)) == "200"
        assert await outcome(page, fetching(f"{root}/api/jobs")) == "401"
        assert await outcome(page, script) == "imported"
        await page.go(neighbour)
        await page.shows("location.origin + document.title", f"{neighbour}other")
        assert await outcome(page, fetching(f"{root}/api/jobs", TOKEN)) == "200"
        assert await outcome(page, fetching(f"{root}/api/jobs")) == "TypeError"
        assert await outcome(page, script) == "TypeError"
