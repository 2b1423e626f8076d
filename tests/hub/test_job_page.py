"""A job's page, the notices and the screen on a wall, in a real browser."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
from typing import Any

import pytest

from jobctl._clock import now, now_ms
from jobctl.core import transitions as jobs
from jobctl.core.times import to_text
from tests.hub.browser import CHROMIUM, Page, browser
from tests.hub.network import HubProcess, new_job, running_hub, until
from tests.stores.support import DATA

pytestmark = [
    pytest.mark.slow,
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="needs chromium"),
]

KIND = "document.querySelector('main [data-page=job]')?.dataset.kind"
NOTICE = "document.querySelector('.job-notice:not([hidden]) > span')?.textContent"
TITLE = "document.querySelector('.job-page h2')?.textContent"
TOASTS = """[...document.querySelectorAll("#toasts > *")].map(
    (one) => [...one.querySelectorAll("p")].map((text) => text.textContent).join(": "))"""
FACTS = """Object.fromEntries([...document.querySelectorAll(".facts:not(.commands) dl > div")].map(
    (row) => [row.firstChild.textContent, row.lastChild.textContent]))"""
COMMANDS = "[...document.querySelectorAll('.commands code')].map((one) => one.textContent)"
ATTEMPTS = """[...document.querySelectorAll(".tl-row")].map((row) =>
    [row.dataset.outcome, [...row.querySelectorAll(".tl-span")].map((one) => one.textContent)])"""


def page_of(url: str, path: str = "") -> str:
    """A page of the hub."""
    return url.replace("ws", "http", 1).replace("/ws/jobs", "/") + path


def advance(stage: str) -> Any:
    """A change that enters the stage."""
    return lambda job: jobs.advance(job, stage, now=now(), force=True)


def fail(job: Any) -> Any:
    """A change that fails the job."""
    return jobs.fail(job, "boom", now=now())


async def before(page: Page, script: str) -> None:
    """Run the script before those of each page that is opened from now on."""
    await page.do("Page.addScriptToEvaluateOnNewDocument", source=script)


async def test_page_follows_the_job_through_its_attempts(directory, writer):
    """Stages, error, retry and result come by themselves, and over a restart of the hub."""
    writer.create(new_job("a1", title="Nightly load", stages=("fetch", "load")))
    hub = HubProcess(directory)
    async with browser() as page:
        await page.go(page_of(hub.url, "jobs/a1"))
        await page.shows(KIND, "pending")
        await page.shows(TITLE, "Nightly load")
        writer.update("a1", advance("fetch"))
        await page.shows(KIND, "running")
        writer.update("a1", fail)
        await page.shows(KIND, "failed")
        await page.shows("document.querySelector('.job-error').textContent", "boom")
        assert any("jobctl retry a1 --dir" in text for text in await page.run(COMMANDS))
        hub.kill()
        writer.update("a1", lambda job: jobs.retry(job, now=now()))
        writer.update("a1", advance("load"))
        writer.update("a1", lambda job: jobs.complete(job, result={"rows": 3}, now=now()))
        with HubProcess(directory, port=hub.port):
            await page.shows(KIND, "completed", 30)
            await page.shows(
                ATTEMPTS, [["failed", ["Queued", "fetch"]], ["completed", ["Queued", "load"]]]
            )
            await page.shows(
                "document.querySelector('.disclosed pre').textContent", '{\n  "rows": 3\n}'
            )
            assert (await page.run(FACTS))["Attempt"] == "2"
            assert await page.run("document.querySelector('.job-error').hidden")
    assert [
        text for text in page.said if "ERR_CONNECTION" not in text and "WebSocket" not in text
    ] == []


async def test_what_is_no_job_is_one_sentence(directory, served, writer):
    """Unknown, impossible, damaged, and named as the language's own objects are."""
    writer.create(new_job("damaged"))
    served.refresh()
    async with running_hub(served, watch_files=True) as hub, browser() as page:
        for id in ("nobody", "constructor", "toString"):
            await page.go(page_of(hub.url, f"jobs/{id}"))
            await page.shows(
                NOTICE, f"There is no job “{id}”: it was removed, or it never existed."
            )
            assert await page.run("document.querySelector('.notice-link').checkVisibility()")
        for path, id in (
            ("a%20b", "a b"),
            ("%2e%2e%2fx", "../x"),
            ("%E0%A4%A", "%E0%A4%A"),
            ("__proto__", "__proto__"),
        ):
            await page.go(page_of(hub.url, f"jobs/{path}"))
            await page.shows(NOTICE, f"“{id}” is no id that a job can have.")
        writer.create(new_job("constructor", title="Concrete"))
        await page.go(page_of(hub.url, "jobs/constructor"))
        await page.shows(TITLE, "Concrete")
        await page.go(page_of(hub.url, "jobs/damaged"))
        await page.shows(KIND, "pending")
        (directory / "damaged.json").write_text("no job at all")
        await page.shows(f"{NOTICE}?.startsWith('The file of this job is damaged')", True)
        assert "last good state" in await page.run(NOTICE)
        await page.go(page_of(hub.url, "jobs/damaged?again=1"))
        await page.shows(f"{NOTICE}?.startsWith('The file of job damaged is damaged: ')", True)
    assert [text for text in page.said if "404" not in text] == []


async def test_removed_job_stays_with_its_last_state(served):
    """And a new one with its id takes its place."""
    served.create(new_job("a1", title="First"))
    async with running_hub(served) as hub, browser() as page:
        await page.go(page_of(hub.url, "jobs/a1"))
        await page.shows(TITLE, "First")
        served.remove("a1")
        await page.shows(f"{NOTICE}?.startsWith('This job was removed ')", True)
        assert await page.run(TITLE) == "First"
        assert await page.run(COMMANDS) == []
        served.create(new_job("a1", title="Second"))
        await page.shows(TITLE, "Second")
        await page.shows(NOTICE, None)


async def test_fields_of_a_job_are_text_on_its_page(directory, served):
    """FAULTS row 52: no dialog, no request elsewhere, no element and no link of a job's."""
    for path in (DATA / "bad-jobs").glob("*.json"):
        if path.is_file():
            shutil.copy(path, directory)
    evil = '</script><img src=x onerror=alert(1)><a href="javascript:alert(2)">x</a>'
    served.create(
        jobs.fail(new_job("evil", title=evil, stages=("a", evil[:60])), evil, now=now()).replace(
            type="<b>t</b>", session_id=evil, result_session_id="javascript:alert(3)",
            host=evil, user=evil, labels={"k": evil[:40]},
            run={"argv": ["sh", evil], "cwd": evil, "stderr": [evil], "exitCode": 1},
            result={"x": evil},
        )
    )  # fmt: skip
    served.refresh()
    ids = [path.stem for path in directory.glob("*.json")]
    async with (
        running_hub(served, session_url="https://app.example/{id}") as hub,
        browser() as page,
    ):
        await page.go(page_of(hub.url, "jobs/evil"))
        await page.shows(TITLE, evil)
        assert evil in (await page.run(FACTS))["Command"]
        links = await page.run(
            "[...document.querySelectorAll('main a[href]')].map((one) => one.href)"
        )
        own = f"http://127.0.0.1:{hub.port}/"
        assert all(link.startswith((own, "https://app.example/")) for link in links)
        assert (
            await page.run("document.querySelectorAll('main img, main script, main b').length") == 0
        )
        for id in ids:
            await page.run(
                f"history.pushState(null, '', '/jobs/{id}'); dispatchEvent(new Event('popstate'))"
            )
            ready = f"""document.querySelector("main [data-page=job]").dataset.id === "{id}"
                && !({NOTICE} ?? "").startsWith("Load")"""
            await page.shows(ready, True)
        await asyncio.sleep(0.3)
        assert [text for text in page.said if "404" not in text and "WebSocket" not in text] == []
        asked = {url.split("/")[2] for url in page.requests if "://" in url}
        assert asked == {f"127.0.0.1:{hub.port}"}


async def test_sessions_are_linked_by_the_template(served):
    """To a tab of its own, and without it the session is a filter of the table."""
    served.create(
        jobs.complete(new_job("a1"), now=now()).replace(session_id="s 1", result_session_id="r/2")
    )
    script = "document.querySelector('.job-acts a:not([hidden])')?.href"
    async with browser() as page:
        async with running_hub(served, session_url="https://app.example/s/{id}") as hub:
            await page.go(page_of(hub.url, "jobs/a1"))
            await page.shows(script, "https://app.example/s/r%2F2")
            links = await page.run(
                """[...document.querySelectorAll(".facts a")].map(
                    (one) => [one.href, one.target, one.rel])"""
            )
            assert ["https://app.example/s/s%201", "_blank", "noopener noreferrer"] in links
        async with running_hub(served) as hub:
            await page.go(page_of(hub.url, "jobs/a1"))
            await page.shows(KIND, "completed")
            assert await page.run(script) is None


LOG = "document.querySelectorAll('.log-lines .line').length"
AT_END = """(() => { const box = document.querySelector(".log-box");
    return box.scrollHeight - box.scrollTop - box.clientHeight < 30; })()"""


async def test_log_grows_and_scrolls_along_at_its_end_only(directory, served):
    """With a limit of lines; the reader who has scrolled up stays there."""
    go = directory.parent / "go"
    program = (
        "import os, time\n"
        "print('\\033[31mred\\033[0m <b>', flush=True)\n"
        "for n in range(300): print('line', n, flush=True)\n"
        f"while not os.path.exists({str(go)!r}): time.sleep(0.02)\n"
        "for n in range(6000): print('more', n)\n"
    )
    command = subprocess.Popen(
        [sys.executable, "-m", "jobctl", "run", "--dir", str(directory), "--id", "a1",
         "--log", "all",
         "--", sys.executable, "-c", program],
        stdout=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        async with running_hub(served, watch_files=True) as hub, browser() as page:
            await until(lambda: (directory / "a1.json").exists(), 20)
            await page.go(page_of(hub.url, "jobs/a1"))
            await page.shows(LOG, 301, 30)
            await page.shows(AT_END, True)
            assert await page.run("document.querySelector('.log .sgr-red').textContent") == "red"
            await page.run("document.querySelector('.log-box').scrollTop = 0")
            go.touch()
            await page.shows(LOG, 2000, 30)
            await page.shows("document.querySelector('.log-said').textContent", "complete", 30)
            assert not await page.run(AT_END)
            await page.shows("document.querySelector('.to-end').hidden", False)
            await page.run("document.querySelector('.to-end').click()")
            await page.shows(AT_END, True)
            last = "document.querySelector('.log-lines').lastChild.textContent"
            assert await page.run(last) == "more 5999"
            assert page.said == []
    finally:
        command.kill()
        command.wait()


async def test_who_sees_no_details_sees_no_command_and_no_log(directory, served):
    """The commands to copy name the hub, since the directory is a detail."""
    done = [
        sys.executable,
        "-m",
        "jobctl",
        "run",
        "--dir",
        str(directory),
        "--id",
        "a1",
        "--",
        "true",
    ]
    await asyncio.to_thread(subprocess.run, done, check=True, timeout=30)
    served.refresh()
    async with (
        running_hub(served, local_users=True, peer_uid=lambda _: 12345) as hub,
        browser() as page,
    ):
        await page.go(page_of(hub.url, "jobs/a1"))
        await page.shows(KIND, "completed")
        assert await page.run(COMMANDS) == [f"jobctl show a1 --url ws://127.0.0.1:{hub.port}"]
        assert "Command" not in await page.run(FACTS)
        assert await page.run("document.querySelector('.log').hidden")
        assert not [url for url in page.requests if url.endswith("/log") or "/log?" in url]


async def test_keys_go_to_the_neighbours_and_back(served):
    """In the order of the table, under its filter; the copied id is that of the job."""
    for number in range(3):
        served.create(
            new_job(
                f"a{number}", title=f"Job {number}", created_at=f"2026-11-28T12:00:0{number}.000Z"
            )
        )
    served.create(new_job("other").replace(type="other"))
    async with running_hub(served) as hub, browser() as page:
        await page.go(page_of(hub.url, "jobs/a1?type=etl"))
        await page.shows(TITLE, "Job 1")
        press = """document.activeElement.dispatchEvent(
            new KeyboardEvent("keydown", {{ key: "{}", bubbles: true }}))"""
        await page.shows("document.querySelector('[rel=next]').hasAttribute('href')", True)
        await page.run(press.format("j"))
        await page.shows(TITLE, "Job 0")
        await page.shows("document.querySelector('[rel=next]').hasAttribute('href')", False)
        assert await page.run("document.activeElement.tagName") == "H2"
        await page.run(press.format("k"))
        await page.run(press.format("k"))
        await page.shows(TITLE, "Job 2")
        assert await page.run("location.search") == "?type=etl"
        await page.run("history.back()")
        await page.shows(TITLE, "Job 1")
        await page.run(press.format("Escape"))
        await page.shows("document.querySelector('main > *').dataset.page", "list")
        assert await page.run("location.pathname + location.search") == "/?type=etl"


@pytest.mark.parametrize("width", [320, 380, 800])
async def test_job_fits_the_screen(served, width):
    """Also one whose texts have no place to break them."""
    long = "x" * 3000
    stages = tuple(f"stage{n}-{'y' * 50}" for n in range(12))
    job = new_job("a1", title=long, stages=stages).replace(
        session_id=long, run={"argv": [long], "cwd": long, "exitCode": 3, "stderr": [long]},
        labels={"key": "v" * 60}, result={"x": long},
    )  # fmt: skip
    served.create(jobs.fail(jobs.advance(job, job.stages[3], now=now()), long * 30, now=now()))
    async with running_hub(served) as hub, browser() as page:
        await page.do(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=700,
            deviceScaleFactor=1,
            mobile=False,
        )
        await page.go(page_of(hub.url, "jobs/a1"))
        await page.shows(KIND, "failed")
        await page.run("document.querySelectorAll('details').forEach((one) => (one.open = true))")
        await asyncio.sleep(0.1)
        wide = f"""[...document.querySelectorAll("body *")]
            .filter((one) => one.getBoundingClientRect().right > {width})
            .filter((one) => !one.closest("pre, .job-strip li, .tl-track"))
            .map((one) => one.className || one.tagName)"""
        assert await page.run(wide) == []
        assert await page.run("document.documentElement.scrollWidth") <= width
        assert len(await page.run(TITLE)) < 400


# -- notices --------------------------------------------------------------------------------------

ICON = "decodeURIComponent(document.querySelector('link[rel=icon]').href)"
HIDE = """Object.defineProperty(document, "hidden", { get: () => true, configurable: true });
    Object.defineProperty(document, "visibilityState", { get: () => "hidden", configurable: true });
    document.dispatchEvent(new Event("visibilitychange"));"""
SHOW = """delete document.hidden; delete document.visibilityState;
    document.dispatchEvent(new Event("visibilitychange"));"""


async def test_what_fails_while_the_page_is_open_is_told_once(directory, writer):
    """Not what had failed before, not again after a cut, and many at once together."""
    writer.create(jobs.fail(new_job("old", title="Old"), "long ago", now=now()))
    for number in range(40):
        writer.create(
            jobs.advance(
                new_job(f"a{number:02d}", title=f"Job {number}"), "load", now=now(), force=True
            )
        )
    hub = HubProcess(directory)
    async with browser() as page:
        await page.go(page_of(hub.url))
        await page.shows("document.title", "40 active, 1 failed · Jobs")
        writer.update("a00", fail)
        await page.shows(TOASTS, ["Job 0 failed: boom"])
        writer.update(
            "a01", lambda job: jobs.cancel(job, by="ada", reason="late", now=now(), at_work=True)
        )
        await page.shows(f"{TOASTS}[1]", "Job 1 was cancelled: Cancelled by ada: late")
        for number in range(2, 38):
            writer.update(f"a{number:02d}", fail)
        await page.shows(
            f"{TOASTS}.sort()",
            ["37 jobs failed", "Job 1 was cancelled: Cancelled by ada: late"],
        )
        link = "document.querySelector('#toasts [data-kind=failed] a').getAttribute('href')"
        assert await page.run(link) == "/?show=failed"
        await page.run("document.querySelectorAll('.toast-close').forEach((one) => one.click())")
        hub.kill()
        await page.shows("document.getElementById('state').dataset.state === 'open'", False)
        writer.update("a38", fail)
        with HubProcess(directory, port=hub.port):
            await page.shows(TOASTS, ["Job 38 failed: boom"], 30)
            assert await page.run("document.getElementById('toasts').getAttribute('role')") == "log"
            await page.run("document.querySelector('#toasts a').click()")
            await page.shows(TITLE, "Job 38")
            await page.shows(TOASTS, [])


async def test_hidden_tab_counts_in_its_title_and_icon(served):
    """It gets no frames, and is told all the same."""
    served.create(jobs.advance(new_job("a1"), "load", now=now(), force=True))
    async with running_hub(served) as hub, browser() as page:
        await page.go(page_of(hub.url))
        await page.shows("document.title", "1 active · Jobs")
        await page.shows(f"{ICON}.includes('>1</text>')", True)
        await page.run(HIDE)
        served.update("a1", fail)
        served.create(new_job("a2"))
        served.create(new_job("a3"))
        await page.shows("document.title", "2 active, 1 failed · Jobs")
        await page.shows(f"{ICON}.includes('>2</text>') && {ICON}.includes('<circle')", True)
        assert page.said == []


NOTIFICATION = """window.shown = []; window.asked = 0; window.Notification = class {
    static permission = "%s";
    static async requestPermission() { window.asked += 1; return (this.permission = "%s"); }
    constructor(title, options) { window.shown.push([title, options.tag]); }
};"""
CLICK = "document.querySelector('.tell').click()"


async def test_told_job_is_notified_of_after_a_reload(served):
    """Permission is asked for on the click; the view of another type does not keep it back."""
    served.create(jobs.advance(new_job("a1", title="Load"), "load", now=now(), force=True))
    async with running_hub(served) as hub, browser() as page:
        await before(page, NOTIFICATION % ("default", "granted"))
        await page.go(page_of(hub.url, "jobs/a1"))
        await page.shows("document.querySelector('.tell')?.hidden", False)
        assert await page.run("window.asked") == 0
        await page.run(CLICK)
        await page.shows("document.querySelector('.tell').getAttribute('aria-pressed')", "true")
        assert (await page.run("window.asked"), await page.run(TOASTS)) == (1, [])
        await before(page, "window.Notification.permission = 'granted'")
        await page.go(page_of(hub.url, "?type=other"))
        await page.shows("document.getElementById('state')?.dataset.state", "open")
        served.update("a1", lambda job: jobs.complete(job, now=now()))
        await page.go(page_of(hub.url, "?type=another"))
        await page.shows("window.shown", [["Load completed", "jobctl-a1"]], 20)
        await page.shows(TOASTS, ["Load completed"])
        await page.go(page_of(hub.url))
        await page.shows("document.getElementById('state')?.dataset.state", "open")
        await asyncio.sleep(0.5)
        assert await page.run("window.shown") == []


@pytest.mark.parametrize("how", ["refused", "absent", "throws"])
async def test_toast_tells_where_no_notification_can(served, how):
    """And says so on the click."""
    served.create(jobs.advance(new_job("a1", title="Load"), "load", now=now(), force=True))
    script = {
        "refused": NOTIFICATION % ("default", "denied"),
        "absent": "delete window.Notification",
        "throws": NOTIFICATION % ("granted", "granted")
        + """window.Notification = new Proxy(window.Notification, {
            construct() { throw new TypeError("no"); } })""",
    }[how]
    async with running_hub(served) as hub, browser() as page:
        await before(page, script)
        await page.go(page_of(hub.url, "jobs/a1"))
        await page.shows("document.querySelector('.tell')?.hidden", False)
        await page.run(CLICK)
        if how != "throws":
            await page.shows(f"{TOASTS}.length", 1)
            assert "tells you instead" in (await page.run(TOASTS))[0]
            await page.run("document.querySelector('.toast-close').click()")
        served.update("a1", lambda job: jobs.complete(job, now=now()))
        await page.shows(TOASTS, ["Load completed"])
        assert page.said == []


# -- on a wall ------------------------------------------------------------------------------------

WAKE_LOCK = """window.locks = [];
const value = { async request(kind) {
    const lock = new EventTarget();
    lock.release = async () => lock.dispatchEvent(new Event("release"));
    window.locks.push(kind);
    window.lastLock = lock;
    return lock;
} };
Object.defineProperty(Navigator.prototype, "wakeLock", { configurable: true, value });"""
CONTROLS = """[...document.querySelectorAll("button, input, select, textarea")]
    .filter((one) => one.offsetParent !== null || one.getClientRects().length).length"""


async def test_kiosk_has_no_controls_and_keeps_the_screen_on(served):
    """The lock ends with a hidden page, and comes again."""
    served.create(jobs.advance(new_job("a1", title="Load"), "load", now=now(), force=True))
    async with running_hub(served) as hub, browser() as page:
        await before(page, WAKE_LOCK)
        await page.go(page_of(hub.url, "?kiosk=1"))
        await page.shows("document.querySelectorAll('#rows [data-id]').length", 1)
        assert await page.run(CONTROLS) == 0
        assert await page.run("window.locks") == ["screen"]
        await page.run(HIDE)
        await page.run("window.lastLock.release()")
        assert await page.run("window.locks.length") == 1
        await page.run(SHOW)
        await page.shows("window.locks.length", 2)
        size = "parseFloat(getComputedStyle(document.querySelector('.count .number')).fontSize)"
        large = await page.run(size)
        await page.run("document.querySelector('#rows a').click()")
        await page.shows(TITLE, "Load")
        assert await page.run("location.search") == "?kiosk=1"
        assert await page.run(CONTROLS) == 0
        await page.go(page_of(hub.url))
        await page.shows("document.querySelectorAll('#rows [data-id]').length", 1)
        assert await page.run("window.locks") == []
        assert await page.run(size) < large / 1.5
        assert page.said == []


async def test_kiosk_works_without_a_wake_lock(served):
    """Plain http has none, and a browser may refuse it."""
    served.create(new_job("a1"))
    async with running_hub(served) as hub, browser() as page:
        await before(page, "delete Navigator.prototype.wakeLock")
        await page.go(page_of(hub.url, "?kiosk=1"))
        await page.shows("document.querySelectorAll('#rows [data-id]').length", 1)
        await before(
            page,
            "Navigator.prototype.wakeLock = { request: () => Promise.reject(new Error('low')) }",
        )
        await page.go(page_of(hub.url, "?kiosk=1&again=1"))
        await page.shows("document.querySelectorAll('#rows [data-id]').length", 1)
        assert page.said == []


async def test_browser_is_signed_in_by_the_file_of_serve_open(tmp_path):
    """The page is there without a token being typed, and the address has no ticket."""
    from jobctl.cli.open_page import BrowserOpener
    from jobctl.stores import open_store

    (tmp_path / "jobs").mkdir()
    store = open_store(tmp_path / "jobs", adopt=True)
    store.create(new_job("a1", title="Load"))
    opener = BrowserOpener()
    async with running_hub(store, token=b"0123456789abcdef") as hub, browser() as page:
        ticket = hub.server._access.tickets.issue()
        await page.go(opener._redirect(f"{page_of(hub.url)}login#ticket={ticket}"))
        await page.shows("document.querySelectorAll('#rows [data-id]').length", 1)
        assert await page.run("location.href") == page_of(hub.url)
        assert "0123456789abcdef" not in json.dumps(page.requests)
    opener.close()
    store.close()


@pytest.mark.parametrize("width", [320, 380, 800, 1300, 1600])
async def test_kiosk_fits_the_screen(served, width):
    """Its larger letters need fewer columns; no name of a count is broken."""
    for number in range(120):
        job = new_job(f"a{number}", title=f"A job with quite a long title {number}")
        served.create(jobs.fail(job, "an error that says what went wrong and why", now=now()))
    async with running_hub(served) as hub, browser() as page:
        await page.do(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=900, deviceScaleFactor=1, mobile=False,
        )  # fmt: skip
        await page.go(page_of(hub.url, "?kiosk=1"))
        await page.shows("document.querySelectorAll('#rows [data-id]').length > 5", True)
        wide = f"""[...document.querySelectorAll(".row, .row > *, .count, figure, header > *")]
            .filter((one) => one.getBoundingClientRect().right > {width})
            .map((one) => one.className || one.tagName)"""
        assert await page.run(wide) == []
        assert await page.run("document.documentElement.scrollWidth") <= width
        broken = """[...document.querySelectorAll(".count .number, .count .name")]
            .filter((one) => one.getClientRects().length && one.offsetHeight > 1.9 *
                parseFloat(getComputedStyle(one).fontSize)).map((one) => one.textContent)"""
        assert await page.run(broken) == []


async def test_job_that_leaves_the_view_by_failing_is_told_of(served):
    """A view of active jobs knows only that it left; what another view brings is no news."""
    served.create(jobs.fail(new_job("old", title="Old"), "long ago", now=now()))
    for id in ("a1", "a2", "a3"):
        served.create(jobs.advance(new_job(id, title=f"Job {id}"), "load", now=now(), force=True))
    async with running_hub(served) as hub, browser() as page:
        await page.go(page_of(hub.url, "?active=1"))
        await page.shows("document.title", "3 active · Jobs")
        served.update("a1", fail)
        served.update("a2", lambda job: jobs.complete(job, now=now()))
        served.update("a3", lambda job: jobs.cancel(job, now=now(), at_work=True))
        told = ["Job a1 failed: boom", "Job a3 was cancelled: Cancelled by user"]
        await page.shows(TOASTS, told)
        await page.run("document.querySelectorAll('.toast-close').forEach((one) => one.click())")
        await page.run("history.pushState(null, '', '/'); dispatchEvent(new Event('popstate'))")
        await page.shows("document.title", "2 failed · Jobs")  # cancelled is not failed
        await asyncio.sleep(0.6)
        assert await page.run(TOASTS) == []


ACTS = """[...document.querySelectorAll(".job-acts [data-verb]:not([hidden])")].map(
    (one) => one.textContent)"""


async def test_job_is_cancelled_and_removed_from_its_page(directory, writer, served):
    """The page shows what the hub answers, and its last state when it is gone."""
    writer.create(new_job("a1", title="Load"))
    async with running_hub(served, control=True) as hub, browser() as page:
        await page.go(page_of(hub.url, "jobs/a1"))
        await page.shows(ACTS, ["Cancel"])
        for verb in ("cancel", "remove"):
            await page.run(f"document.querySelector('[data-verb={verb}]').click()")
            await page.run("document.querySelector('dialog[open] form').requestSubmit()")
            if verb == "cancel":
                await page.shows(KIND, "cancelled")
                await page.shows(ACTS, ["Remove"])
        await page.shows(f"{NOTICE}?.startsWith('This job was removed ')", True)
        await page.shows(ACTS, [])
        assert not (directory / "a1.json").exists()
        assert page.said == []


ALLOW = """(() => {
    window.acted = [];
    Object.defineProperty(jobctl.job, "can", { get: () => ["view", "operate", "admin"] });
    for (const verb of ["cancel", "retry", "acknowledge", "remove"])
        jobctl.job[verb] = async (id, options) => window.acted.push([verb, id, options]);
})()"""


async def test_acts_are_offered_to_who_may_and_ask_first(served):
    """By the page's own connection; without the right there is no button."""
    served.create(jobs.advance(new_job("a1", title="Load"), "load", now=now(), force=True))
    served.create(jobs.fail(new_job("b1", title="Other"), "boom", now=now()))
    async with running_hub(served) as hub, browser() as page:
        await page.go(page_of(hub.url, "jobs/a1?type=none"))
        await page.shows(KIND, "running")
        assert await page.run(ACTS) == []
        await page.run(ALLOW)
        await page.shows(ACTS, ["Cancel"])
        await page.run("document.querySelector('[data-verb=cancel]').click()")
        assert await page.run("window.acted") == []
        await page.run("""for (const key of ["j", "Escape"])
            document.querySelector("dialog[open] button").dispatchEvent(
                new KeyboardEvent("keydown", { key, bubbles: true }))""")
        assert await page.run("location.pathname") == "/jobs/a1"  # the keys are the dialog's
        await page.run("document.querySelector('dialog[open] input[name=text]').value = 'late'")
        await page.run("document.querySelector('dialog[open] form').requestSubmit()")
        await page.shows("window.acted", [["cancel", "a1", {"reason": "late"}]])
        await page.shows("document.querySelector('dialog[open]')", None)
        await page.go(page_of(hub.url, "jobs/b1"))
        await page.shows(KIND, "failed")
        await page.run(ALLOW)
        await page.shows(ACTS, ["Acknowledge", "Remove"])  # no worker takes up its type
        assert page.said == []


async def test_timeline_shows_each_stage_and_no_part_of_a_label(served):
    """A stage of seconds among hours is seen, and its label is left out rather than cut."""
    start = now_ms()
    made = jobs.create("train", now=to_text(start - 8_040_000), id="a1", stages=["load", "train"])
    made = jobs.advance(made, "load", now=to_text(start - 8_030_000))
    served.create(jobs.advance(made, "train", now=to_text(start - 20_000)))
    spans = """[...document.querySelectorAll('.tl-span')].map((span) => {
        const bar = span.getBoundingClientRect(), track = span.parentNode.getBoundingClientRect();
        const label = span.lastElementChild.getBoundingClientRect();
        return [Math.min(bar.right, track.right) - bar.left >= 3, label.top < bar.bottom - 1];
    })"""
    async with running_hub(served) as hub, browser() as page:
        await page.size(380, 800)
        await page.go(page_of(hub.url, "jobs/a1"))
        await page.shows(spans, [[True, False], [True, True], [True, False]])
