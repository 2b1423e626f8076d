"""The dashboard in Chromium, through all that happens to a page that stays open.

After each scenario the page holds what ``jobctl ls`` prints, and rows of jobs that did not change
are the same elements as before: nothing was made anew.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from jobctl._clock import now
from jobctl.core import transitions
from jobctl.stores import Store, open_store
from tests.hub.browser import CHROMIUM, Page, browser
from tests.hub.network import HubProcess, new_job
from tests.page.dashboard import agrees, mark_rows, page_of, relay, unmarked_rows
from tests.stores.support import plant_owner

pytestmark = [
    pytest.mark.slow,
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="needs chromium"),
]

STATE = "document.getElementById('state')?.dataset.state"
TEN_MINUTES_LATER = "{ const real = Date.now; Date.now = () => real() + 600_000; 0 }"
DEAD = "1-0123456789ab"


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """The path of the served directory."""
    return tmp_path / "jobs"


@pytest.fixture
def writer(directory: Path) -> Iterator[Store]:
    """Holds ten jobs that nobody changes in a test, and five to change: ``a1`` to ``a5``."""
    store = open_store(directory, create=True)
    for number in range(10):
        job = transitions.advance(new_job(f"same{number}"), "load", now=now())
        store.create(transitions.complete(job, now=now()) if number % 2 else job)
    for number in range(1, 6):
        store.create(transitions.advance(new_job(f"a{number}"), "fetch", now=now()))
    plant_owner(directory, DEAD)
    yield store
    store.close()


def change_all(store: Store, suffix: str = "") -> None:
    """Everything that can become of a job: moved, failed, retried, removed, made, lost."""
    store.update("a1", lambda job: transitions.report(job, now=now(), done=3, total=8, message="x"))
    store.update("a2", lambda job: transitions.fail(job, "boom", now=now()))
    store.update("a3", lambda job: transitions.fail(job, "boom", now=now()))
    store.update("a3", lambda job: transitions.retry(job, now=now()))
    store.remove("a4")
    store.update("a5", lambda job: transitions.complete(job, now=now()))
    store.create(new_job(f"new{suffix}", title="Made meanwhile"))
    lost = new_job(f"lost{suffix}").replace(owner=DEAD)
    store.create(transitions.advance(lost, "fetch", now=now()))


async def opened(page: Page, url: str, directory: Path) -> None:
    """Open the list on a screen that holds all rows, and mark them."""
    await page.size(1600, 1400)
    await page.go(page_of(url))
    await agrees(page, directory)
    await mark_rows(page)


async def nothing_was_made_anew(page: Page) -> None:
    """The rows of jobs that stayed are the elements that they were."""
    fresh = await unmarked_rows(page)
    assert fresh == sorted(id for id in fresh if id.startswith(("new", "lost"))), fresh


async def test_jobs_appear_move_finish_fail_are_retried_and_removed(directory, writer):
    """Each act shows, and changes no other row."""
    with HubProcess(directory) as hub:
        async with browser() as page:
            await opened(page, hub.url, directory)
            writer.create(new_job("new"))
            await agrees(page, directory)
            for stage in ("fetch", "load"):
                writer.update("new", lambda job, s=stage: transitions.advance(job, s, now=now()))
                await page.shows("document.querySelector('[data-id=new]').dataset.stage", stage)
            writer.update("new", lambda job: transitions.complete(job, now=now()))
            kind = "document.querySelector('[data-id={}]').dataset.kind"
            await page.shows(kind.format("new"), "completed")
            writer.update("a1", lambda job: transitions.fail(job, "boom", now=now()))
            await page.shows(kind.format("a1"), "failed")
            writer.update("a1", lambda job: transitions.retry(job, now=now()))
            await page.shows(kind.format("a1"), "pending")
            writer.remove("a2")
            await page.shows("document.querySelector('[data-id=a2]')", None)
            await agrees(page, directory)
            await nothing_was_made_anew(page)
            assert page.said == []


async def test_hub_is_killed_and_comes_back(directory, writer):
    """On the same port; jobs change meanwhile."""
    hub = HubProcess(directory)
    async with browser() as page:
        await opened(page, hub.url, directory)
        hub.kill()
        await page.shows(f"{STATE} !== 'open'", True)
        change_all(writer)
        with HubProcess(directory, port=hub.port):
            await agrees(page, directory, 25)
            await page.shows(STATE, "open")
            await nothing_was_made_anew(page)


async def test_tab_is_hidden_for_ten_minutes(directory, writer):
    """A background tab has no frames and slow timers: its title goes on, and all is right after.

    The tab is hidden for real, by another one in front of it, and the browser slows its timers to
    one a minute after two seconds instead of five minutes. Its clock jumps by the ten minutes.
    """
    slow = "--enable-features=IntensiveWakeUpThrottling:grace_period_seconds/2"
    with HubProcess(directory) as hub:
        async with browser(slow) as page:
            await opened(page, hub.url, directory)
            await page.shows("document.title", "10 active · Jobs")
            await page.hide()
            await page.run("window.frames_ = 0; requestAnimationFrame(() => { frames_ += 1; }); 0")
            change_all(writer)
            await page.shows("document.title", "9 active, 1 failed · Jobs")
            await asyncio.sleep(3)
            change_all_again(writer)
            await page.run(TEN_MINUTES_LATER)
            assert await page.run("window.frames_") == 0
            assert await page.run("document.visibilityState") == "hidden"
            await page.show()
            await agrees(page, directory)
            await page.shows(STATE, "open")
            await nothing_was_made_anew(page)
            assert page.said == []


def change_all_again(store: Store) -> None:
    """A second round of changes."""
    store.update("a1", lambda job: transitions.complete(job, now=now()))
    store.remove("a2")
    store.create(new_job("new2"))


async def test_network_is_cut(directory, writer):
    """Without a sign to either side, as when a cable is drawn; then it is back."""
    with HubProcess(directory) as hub:
        async with relay(hub.port) as wire, browser() as page:
            await opened(page, hub.url.replace(str(hub.port), str(wire.port)), directory)
            wire.is_cut = True
            offline = {"offline": True, "latency": 0, "downloadThroughput": -1}
            await page.do("Network.emulateNetworkConditions", **offline, uploadThroughput=-1)
            change_all(writer)
            await asyncio.sleep(0.5)
            wire.is_cut = False  # but what was sent is lost, and the old connection with it
            online = {**offline, "offline": False}
            await page.do("Network.emulateNetworkConditions", **online, uploadThroughput=-1)
            await agrees(page, directory, 20)
            await page.shows(STATE, "open")
            await nothing_was_made_anew(page)


async def test_laptop_sleeps(directory, writer):
    """All of the browser stands still, the connection is gone, and the clock is ten minutes on."""
    with HubProcess(directory) as hub:
        async with relay(hub.port) as wire, browser() as page:
            await opened(page, hub.url.replace(str(hub.port), str(wire.port)), directory)
            os.killpg(page.process.pid, signal.SIGSTOP)
            wire.is_cut = True
            change_all(writer)
            await asyncio.sleep(1.0)
            wire.is_cut = False
            os.killpg(page.process.pid, signal.SIGCONT)
            await page.run(TEN_MINUTES_LATER)
            await agrees(page, directory, 20)
            await page.shows(STATE, "open")
            await nothing_was_made_anew(page)


async def test_page_is_frozen(directory, writer):
    """As browsers do it with tabs that nobody has looked at; jobs change meanwhile."""
    with HubProcess(directory) as hub:
        async with browser() as page:
            await opened(page, hub.url, directory)
            await page.do("Page.setWebLifecycleState", state="frozen")
            change_all(writer)
            await asyncio.sleep(1.0)
            await page.do("Page.setWebLifecycleState", state="active")
            await page.hide()
            await page.show()
            await agrees(page, directory)
            await page.shows(STATE, "open")
            await nothing_was_made_anew(page)
            # The browser may have closed the socket of the frozen page, and notes that.
            said = [text for text in page.said if "entered Back-Forward Cache" not in text]
            assert said == []


async def go_back(page: Page) -> None:
    """By the history; the page that is left may be gone before it answers."""
    with suppress(AssertionError):
        await page.run("history.back()")


async def test_page_is_left_and_come_back_to(directory, writer):
    """By the browser's back button, which loads it anew: its address and its jobs are the same."""
    with HubProcess(directory) as hub:
        async with browser() as page:
            await opened(page, hub.url + "?type=etl", directory)
            await page.go(page_of(hub.url, "/login"))
            await page.shows("location.pathname", "/login")
            change_all(writer)
            await go_back(page)
            await page.shows("location.pathname + location.search", "/?type=etl")
            await agrees(page, directory)


async def test_page_comes_back_out_of_the_browsers_cache(directory, writer):
    """With its rows and its jobs, on a connection that the browser has closed (bfcache).

    A hub forbids that its pages are stored, and Chromium then keeps none that had a WebSocket. The
    relay takes the ban away, for browsers that keep such pages.
    """
    kept = "addEventListener('pageshow', ({persisted}) => { window.wasKept = persisted; })"
    with HubProcess(directory) as hub:
        async with relay(hub.port, b"no-store", b"no-cache") as wire, browser() as page:
            await page.before_scripts(kept)
            await opened(page, hub.url.replace(str(hub.port), str(wire.port)), directory)
            await page.go("about:blank")
            await page.shows("location.href", "about:blank")
            change_all(writer)
            await go_back(page)
            await page.shows("[location.pathname, window.wasKept]", ["/", True])
            await agrees(page, directory)
            await page.shows(STATE, "open")
            await nothing_was_made_anew(page)


@pytest.mark.parametrize("minutes", [-10, 10])
async def test_clock_is_off(directory, writer, minutes):
    """Ages are counted by the hub's clock: a job that has just begun has not stalled."""
    shift = f"const real = Date.now; Date.now = () => real() + {minutes * 60_000};"
    job = transitions.create("submit_answers", now=now(), id="new")
    writer.create(transitions.advance(job, "generate", now=now()))
    with HubProcess(directory) as hub:
        async with browser() as page:
            await page.before_scripts(shift)
            await opened(page, hub.url, directory)
            row = "document.querySelector('[data-id=new]')"
            await page.shows(f"{row}.dataset.kind", "running")
            await page.shows(f"/^[0-9]+s$/.test({row}.querySelector('.took').textContent)", True)
            change_all(writer, "2")
            await agrees(page, directory)
            await page.shows("document.querySelectorAll('#rows [data-kind=stalled]').length", 0)
            await nothing_was_made_anew(page)
            assert page.said == []
