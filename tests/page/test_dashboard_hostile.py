"""FAULTS row 52: what jobs say is text on every page of the dashboard."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobctl._clock import now, now_ms
from jobctl.core.cursor import ZERO
from jobctl.core.log import LogLine
from jobctl.stores import Store, open_store
from tests.hub.browser import CHROMIUM, Page, browser
from tests.hub.network import running_hub
from tests.page.dashboard import page_of
from tests.stores.support import DATA

pytestmark = [
    pytest.mark.slow,
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="needs chromium"),
]

HOSTILE = {
    "element": "<img src=x onerror=alert(1)>",
    "end": "</script></style></textarea><script>alert(2)</script>",
    "attribute": "\"'><svg onload=alert(3)>",
    "address": "javascript:alert(4)",
    "elsewhere": "https://elsewhere.invalid/x.png",
    "style": "red;background:url(//elsewhere.invalid/y)",
    "template": "{{alert(5)}}${alert(5)}",
    "entity": "&lt;b&gt;&#x3c;img src=x onerror=alert(6)&#x3e;",
    "key": "__proto__",
    "controls": "a\u0000b\u001b[31m\u202egnp.exe\u2028\U0001f600",
}

WATCH = """
window.violations = [];
addEventListener("securitypolicyviolation", ({ violatedDirective, blockedURI }) =>
  window.violations.push(`${violatedDirective} ${blockedURI}`));
"""
SYNCED = "window.jobctl?.jobs.status.synced === true"
ELEMENTS = "document.querySelectorAll('main img, main script, main svg[onload], main b').length"
LINKS = "[...document.querySelectorAll('a[href]')].map((link) => link.href)"
HANDLERS = """[...document.querySelectorAll("*")].flatMap((one) => one.getAttributeNames())
    .filter((name) => name.startsWith("on"))"""


def hostile_job(id: str, text: str, stage: str) -> dict[str, object]:
    """A job's file that says the text wherever a file can say something."""
    ended = stage in ("completed", "failed")
    at = now()
    return {
        "id": id, "type": text[:60], "sessionId": text, "stage": stage, "createdAt": at,
        "updatedAt": at, "completedAt": at if ended else None, "stageStartedAt": at,
        "error": text if stage == "failed" else None, "retryCount": 0, "resultSessionId": text,
        "title": text, "message": text, "progress": {"done": 1, "total": 3},
        "stages": ["first", text[:60], text[:59] + "2"],
        "history": [
            {"stage": "pending", "at": at, "by": text, "via": text},
            {"stage": text[:60], "at": at, "by": text},
            {"stage": stage, "at": at, "by": text},
        ],
        "result": {"text": text, text: [text, {text: text}]},
        "owner": text, "host": text, "user": text, "parent": text,
        "labels": {"key": text[:40], "x": text[:30]},
        "run": {"argv": ["sh", "-c", text], "cwd": text, "stderr": [text], "exitCode": 1},
        "acknowledged": {"at": at, "by": text, "note": text},
        "unknown": {text: text},
        **({"cancelled": {"at": at, "by": text, "reason": text}} if id.endswith("-c") else {}),
    }  # fmt: skip


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """Holds the files of ``data/bad-jobs``, and hostile jobs in each state, with a log each."""
    directory = tmp_path / "jobs"
    shutil.copytree(DATA / "bad-jobs", directory)
    for name, text in HOSTILE.items():
        for end, stage in (("p", "pending"), ("r", text[:60]), ("f", "failed"), ("c", "failed")):
            id = f"{name}-{end}"
            (directory / f"{id}.json").write_text(json.dumps(hostile_job(id, text, stage)))
    made = open_store(directory, create=True, adopt=True)
    for name, text in HOSTILE.items():
        writer = made.log_writer(made.get(f"{name}-f"))
        writer.write([LogLine(now_ms(), "stderr", text.encode())])
        writer.close()
    yield made
    made.close()


async def is_harmless(page: Page, port: int, *, dashboard: bool = True) -> None:
    """Nothing ran, nothing was asked of another host, and nothing became an element."""
    # The browser itself notes each answer of 404: no log was kept, or there is no such job.
    # And that it has closed the socket of a page that was left.
    known = ("status of 404", "entered Back-Forward Cache")
    said = [text for text in page.said if not any(note in text for note in known)]
    assert said == [], said[0]
    elsewhere = {url for url in page.requests if f"//127.0.0.1:{port}/" not in url}
    assert {url for url in elsewhere if not url.startswith(("data:", "about:"))} == set()
    assert await page.run("window.violations") == []
    if dashboard:
        assert await page.run(ELEMENTS) == 0
        assert await page.run(HANDLERS) == []
        links = await page.run(LINKS)
        own = (f"http://127.0.0.1:{port}/", "https://app.example/s/")
        assert [link for link in links if not link.startswith(own)] == []


@pytest.mark.parametrize("path", ["/", "/?kiosk=1", "/?sort=type&q=alert", "/?show=failed"])
async def test_list_and_wall_screen(store, path):
    """The table, its filters and the wall screen."""
    async with (
        running_hub(store, session_url="https://app.example/s/{id}") as hub,
        browser() as page,
    ):
        await page.before_scripts(WATCH)
        await page.size(1600, 4000)
        await page.go(page_of(hub.url, path))
        await page.shows(SYNCED, True)
        await page.shows("document.querySelectorAll('#rows [data-id]').length > 5", True)
        held = {job.id: job for job in store.since(ZERO).jobs}
        rows = """Object.fromEntries([...document.querySelectorAll("#rows [data-id]")].map(
            (row) => [row.dataset.id, row.querySelector(".title").textContent]))"""
        shown = await page.run(rows)
        assert {id for id in shown if held[id].title} != set()
        for id, title in shown.items():
            name = id.rpartition("-")[0]
            if name in HOSTILE and name != "controls":
                assert title == HOSTILE[name]
        await is_harmless(page, hub.port)


async def test_page_of_each_job(store):
    """Of the hostile ones in each state, and of each file of ``data/bad-jobs`` that is a job."""
    held = {job.id: job for job in store.since(ZERO).jobs}
    assert len(held) >= 4 * len(HOSTILE) + 8
    # The states differ in what their page shows; the texts differ in the failed one.
    ids = [id for id in held if id.rpartition("-")[0] not in HOSTILE or id.endswith("-f")]
    ids += [f"{name}-{end}" for name in ("element", "address", "key") for end in "prc"]
    async with (
        running_hub(store, session_url="https://app.example/s/{id}") as hub,
        browser() as page,
    ):
        await page.before_scripts(WATCH)
        await page.size(1200, 3000)
        for id in [*ids, "missing"]:
            await page.go("about:blank")
            await page.shows("location.href", "about:blank")
            await page.go(page_of(hub.url, f"/jobs/{id}"))
            await page.shows(SYNCED, True)
            await page.shows("!!document.querySelector('main [data-page=job]')", True)
            if id in held:
                await page.shows("document.querySelector('main').textContent.length > 80", True)
                name, error = id.rpartition("-")[0], held[id].error
                if error and name not in ("controls", "") and "\x1b" not in error:
                    text = json.dumps(error)
                    shows = f"document.querySelector('main').textContent.includes({text})"
                    await page.shows(shows, True)
            await page.run(
                "document.querySelectorAll('details').forEach((one) => (one.open = true))"
            )
            await is_harmless(page, hub.port)


async def test_notices_of_hostile_jobs(store):
    """The toast and the title of a tab that was open when the jobs failed."""
    async with (
        running_hub(store) as hub,
        browser() as page,
    ):
        await page.before_scripts(WATCH)
        await page.go(page_of(hub.url, "/"))
        await page.shows(SYNCED, True)
        for name in HOSTILE:
            job = store.get(f"{name}-p")
            store.update(
                job.id,
                lambda job: job.replace(stage="failed", error=job.title, updated_at=now()),
            )
        await page.shows("document.querySelectorAll('#toasts > *').length > 0", True)
        in_toasts = "#toasts img, #toasts script, #toasts svg[onload]"
        assert await page.run(f"document.querySelectorAll({json.dumps(in_toasts)}).length") == 0
        await is_harmless(page, hub.port)
