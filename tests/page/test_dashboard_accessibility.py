"""axe-core on every page of the dashboard, and what it does not look at: keys, focus, motion."""

from __future__ import annotations

import json
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from jobctl._clock import now, now_ms
from jobctl.core import transitions
from jobctl.core.log import LogLine
from jobctl.core.times import to_text
from jobctl.stores import Store, open_store
from tests import npm
from tests.hub.browser import CHROMIUM, Page, browser
from tests.hub.network import new_job, running_hub
from tests.page.dashboard import page_of
from tests.stores.support import plant_owner

pytestmark = [
    pytest.mark.slow,
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="needs chromium"),
]

HERE = Path(__file__).parent
DEAD = "1-0123456789ab"
TOKEN = "0123456789abcdef0123456789abcdef"
PAGES = ["/", "/jobs/running", "/jobs/failed", "/jobs/missing", "/?kiosk=1", "/?q=nothing&type=x"]

SYNCED = "window.jobctl?.jobs.status.synced === true"
PAINTED = "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
TRANSITIONS_ENDED = f"""
{PAINTED}.then(() => Promise.allSettled(document.getAnimations()
  .filter((one) => one instanceof CSSTransition).map((one) => one.finished))).then(() => 0)
"""
"""Half-way through a change of colours axe-core sees contrasts that nobody gets."""
VIOLATIONS = """
axe.run(document, { resultTypes: ["violations"] }).then(({ violations }) => violations
  .filter(({ impact }) => impact === "serious" || impact === "critical")
  .map(({ id, impact, nodes }) => `${impact} ${id}: ` + nodes.slice(0, 3).map(
    ({ html, any }) => `${html.slice(0, 160)} (${any[0]?.message ?? ""})`).join(" | ")))
"""
CONTROLS = """
[...document.querySelectorAll("a[href], button, input, select, textarea, summary, [tabindex]")]
  .filter((one) => one.tabIndex >= 0 && !one.disabled && one.checkVisibility({
    checkVisibilityCSS: true, contentVisibilityAuto: true }) && one.getClientRects().length)
"""
# What a reader sees of an element: it has to be another when the element has the focus.
LOOK = """
const lookOf = (one) => {
  const { outlineStyle, outlineWidth, outlineColor, boxShadow, backgroundColor, borderColor,
    textDecorationLine } = getComputedStyle(one);
  const outline = outlineStyle === "none" ? "none" : outlineStyle + outlineWidth + outlineColor;
  return JSON.stringify([outline, boxShadow, backgroundColor, borderColor, textDecorationLine]);
};
"""
MOVING = """
[...document.querySelectorAll("*")].filter((one) => {
  const style = getComputedStyle(one);
  const long = (text) => text.split(",").some((part) => parseFloat(part) > 0.01);
  return (style.animationName !== "none" && long(style.animationDuration))
    || long(style.transitionDuration);
}).map((one) => one.outerHTML.slice(0, 120)).slice(0, 5)
"""


@pytest.fixture(scope="module")
def axe(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The source of axe-core."""
    folder = tmp_path_factory.mktemp("axe")
    shutil.copy(HERE / "axe.json", folder / "package.json")
    npm.install_packages(folder, HERE / "axe.json")
    return (folder / "node_modules/axe-core/axe.min.js").read_text()


def fill(store: Store, count: int) -> None:
    """Jobs in each state: one that is looked at in each, and so many in all."""
    stages = ("fetch", "clean", "load")
    minute_ago = to_text(now_ms() - 90_000)
    run = transitions.advance(
        new_job("running", title="Orders of May", stages=stages, labels={"team": "data"}),
        "clean", now=now(),
    )  # fmt: skip
    store.create(
        transitions.report(run, now=now(), done=3, total=8, message="orders-3.csv").replace(
            session_id="session-1", host="worker-1", user="anna",
            run={"argv": ["make", "orders"], "cwd": "/srv/orders"},
        )
    )  # fmt: skip
    made = transitions.advance(new_job("failed", title="Orders", stages=stages), "load", now=now())
    made = transitions.retry(transitions.fail(made, "quota is used up", now=now()), now=now())
    made = transitions.advance(made, "load", now=now())
    made = transitions.fail(made, "no route to host\nretry later", now=now())
    store.create(made.replace(result={"rows": 3, "files": ["a", "b"]}))
    writer = store.log_writer(store.get("failed"))
    texts = ["reading", "\x1b[31mno route\x1b[0m \x1b[32mgreen\x1b[0m \x1b[33myellow\x1b[0m", "end"]
    writer.write([LogLine(now_ms(), "stdout", text.encode()) for text in texts])
    writer.close()
    stalled = transitions.create("submit_answers", now=minute_ago, id="stalled")
    store.create(transitions.advance(stalled, "analyze", now=minute_ago))
    plant_owner(Path(store.where), DEAD)
    lost = new_job("lost", stages=stages).replace(owner=DEAD)
    store.create(transitions.advance(lost, "fetch", now=now()))
    store.create(transitions.cancel(new_job("cancelled"), now=now(), by="anna", reason="late"))
    known = transitions.fail(new_job("known"), "boom", now=now())
    store.create(transitions.acknowledge(known, now=now(), by="anna", note="seen"))
    store.create(new_job("pending", title="Waits"))
    for number in range(count - 7):
        job = new_job(f"job-{number}", title=f"Report {number}", type=("report", "etl")[number % 2])
        store.create(transitions.complete(job, now=now()))


@pytest.fixture
def store(directory: Path) -> Iterator[Store]:
    """200 jobs."""
    made = open_store(directory, create=True, adopt=True)
    fill(made, 200)
    yield made
    made.close()


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """The path of the served directory."""
    return tmp_path / "jobs"


async def look_like(page: Page, **features: str) -> None:
    """Emulate what the user has set: ``color_scheme``, ``reduced_motion``."""
    named = [
        {"name": f"prefers-{name.replace('_', '-')}", "value": value}
        for name, value in features.items()
    ]
    await page.do("Emulation.setEmulatedMedia", features=named)


async def opened(page: Page, url: str) -> None:
    """Open a page of the dashboard and wait for its jobs."""
    await page.go("about:blank")
    await page.shows("location.href", "about:blank")
    await page.go(url)
    await page.shows(f"document.readyState === 'complete' && {SYNCED}", True)
    await page.run("new Promise((done) => setTimeout(done, 150))")  # the first ticks


async def press(page: Page, key: str, code: int, **more: Any) -> None:
    """Press the key."""
    for kind in ("rawKeyDown", "keyUp"):
        await page.do(
            "Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code,
            **more,
        )  # fmt: skip


async def violations(page: Page, axe: str) -> list[str]:
    """What axe-core finds that is serious or critical."""
    await page.run(f"if (!window.axe) {{ {axe} }}; 0")
    found = await page.run(VIOLATIONS, within_s=40)
    assert isinstance(found, list)
    return found


async def check(page: Page, axe: str, url: str, found: dict[str, list[str]]) -> None:
    """Add what axe-core finds on the page, dark and light, narrow and wide."""
    for width, scheme in [(380, "dark"), (380, "light"), (1600, "light"), (1600, "dark")]:
        await look_like(page, color_scheme=scheme)
        await page.size(width, 900)
        await page.run(TRANSITIONS_ENDED)
        if said := await violations(page, axe):
            found[f"{url} {width} {scheme}"] = said


@asynccontextmanager
async def shown(store: Store, path: str, **hub: Any) -> AsyncIterator[Page]:
    """A page of the dashboard of the store."""
    async with running_hub(store, **hub) as running, browser() as page:
        await page.size(1600, 900)
        await opened(page, page_of(running.url, path))
        yield page


@pytest.mark.timeout(120)
async def test_nothing_serious_on_any_page(store, axe):
    """With 200 jobs; the dialog of the keys as well."""
    found: dict[str, list[str]] = {}
    async with (
        running_hub(store, session_url="https://app.example/{id}") as hub,
        browser() as page,
    ):
        for path in PAGES:
            await opened(page, page_of(hub.url, path))
            await check(page, axe, path, found)
        await opened(page, page_of(hub.url, "/"))
        await page.run("document.getElementById('help-button').click()")
        await page.shows("document.getElementById('help').open", True)
        await check(page, axe, "help", found)
    assert found == {}, json.dumps(found, indent=1)


async def test_nothing_serious_without_jobs_and_before_the_sign_in(directory, axe):
    """An empty table, and the form that asks for a token."""
    found: dict[str, list[str]] = {}
    store = open_store(directory, create=True, adopt=True)
    async with browser() as page:
        async with running_hub(store) as hub:
            await opened(page, page_of(hub.url, "/"))
            await check(page, axe, "no jobs", found)
        async with running_hub(store, token=TOKEN.encode()) as hub:
            await page.go(page_of(hub.url, "/login"))
            await page.shows("!!document.getElementById('token')", True)
            await check(page, axe, "/login", found)
    store.close()
    assert found == {}, json.dumps(found, indent=1)


@pytest.mark.parametrize("path", ["/", "/jobs/running", "/jobs/failed"])
async def test_every_control_is_reached_by_tab_and_shows_the_focus(store, path):
    """Also at the end of the page; rows are one stop, and j and k go on from there."""
    async with shown(store, path) as page:
        await page.run(LOOK.replace("const lookOf =", "window.lookOf =") + ";0")
        await page.run(
            f"window.controls = {CONTROLS}; window.looks = controls.map(lookOf); controls.length"
        )
        reached, faint = set(), set()
        names = await page.run("controls.map((one) => one.outerHTML.slice(0, 100))")
        in_rows = await page.run("controls.map((one) => !!one.closest('#rows'))")
        has_rows = any(in_rows)
        for _ in range(len(names) + 5):
            await press(page, "Tab", 9)
            at, is_seen, is_row = await page.run(
                """(() => { const at = controls.indexOf(document.activeElement);
                const same = (one, place) => lookOf(one) === looks[place];
                return [at, at < 0 || !same(document.activeElement, at),
                  !!document.activeElement.closest("#rows")]; })()"""
            )
            has_rows = has_rows and not is_row
            if at >= 0:
                reached.add(at)
            if not is_seen:
                faint.add(names[at])
        # The stop of the rows is another one when their order changes meanwhile.
        stops = [place for place in range(len(names)) if not in_rows[place]]
        assert [names[place] for place in stops if place not in reached] == []
        assert not has_rows, "no row was reached"
        assert faint == set()


async def test_rows_are_reached_by_keys(store):
    """The first one by j, the last one by End, and its page by Enter."""
    async with shown(store, "/") as page:
        focused = "document.activeElement?.closest('[data-id]')?.dataset.id"
        await press(page, "j", 74, text="j")
        first = await page.run(focused)
        assert first is not None
        await press(page, "j", 74, text="j")
        assert await page.run(focused) not in (None, first)
        await press(page, "End", 35)
        await page.shows(f"{focused} ?? null", await page.run(focused))
        last = await page.run(focused)
        await press(page, "Enter", 13, text="\r")
        await page.shows("location.pathname", f"/jobs/{last}")


@pytest.mark.parametrize("path", ["/", "/jobs/running", "/?kiosk=1"])
async def test_nothing_moves_where_motion_is_unwanted(store, path):
    """Under ``prefers-reduced-motion``."""
    async with shown(store, path) as page:
        await look_like(page, reduced_motion="reduce")
        assert await page.run(MOVING) == []
        assert await page.run("document.getAnimations().length") == 0


async def test_nothing_is_wider_than_the_screen(store):
    """From a small phone to a wide screen."""
    wide = {}
    async with running_hub(store) as hub, browser() as page:
        for path in PAGES:
            await opened(page, page_of(hub.url, path))
            for width in (320, 380, 800, 1600, 2560):
                await page.size(width, 900)
                await page.run(PAINTED)
                real = await page.run("document.documentElement.scrollWidth")
                if real > width:
                    wide[f"{path} {width}"] = real
    assert wide == {}
