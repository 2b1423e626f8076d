"""The table of the dashboard in a real browser: rows, order, search and keys."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from jobctl._clock import now, now_ms
from jobctl.core import transitions as jobs
from jobctl.core.cursor import ZERO
from jobctl.core.times import to_text
from tests.hub.browser import CHROMIUM, Page, browser
from tests.hub.network import new_job, running_hub
from tests.hub.test_page import COUNTED, COUNTS, STATE, page_of

pytestmark = [
    pytest.mark.slow,
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="needs chromium"),
]

IDS = """[...document.querySelectorAll('#rows [data-id]')]
    .sort((one, other) => one.getAttribute('aria-rowindex') - other.getAttribute('aria-rowindex'))
    .map((row) => row.dataset.id)"""
FOCUS = "document.activeElement.closest('[data-id]')?.dataset.id ?? document.activeElement.id"
ADDRESS = "location.pathname + location.search"
ROWS_IN_ORDER = """(() => { const rows = [...document.querySelectorAll('#rows [data-id]')];
    const places = rows.map((row) => Number(row.getAttribute('aria-rowindex')));
    return places.every((place, at) => !at || place === places[at - 1] + 1); })()"""

COVERED = """(() => { const table = document.getElementById('rows').getBoundingClientRect();
    const at = [...document.querySelectorAll('#rows [data-id]')].map((row) =>
        row.getBoundingClientRect());
    return Math.min(...at.map(({top}) => top)) <= Math.max(0, table.top) + 1 &&
        Math.max(...at.map(({bottom}) => bottom)) >= Math.min(innerHeight, table.bottom) - 1;
    })()"""


async def press(page: Page, key: str, *, text: str = "") -> None:
    """Press a key, and release it."""
    codes = {"Enter": 13, "Escape": 27, "ArrowDown": 40, "ArrowUp": 38, "End": 35, "Home": 36}
    more = {"windowsVirtualKeyCode": codes[key]} if key in codes else {"text": text or key}
    if key == "Enter":
        more["text"] = "\r"
    await page.do("Input.dispatchKeyEvent", type="keyDown", key=key, **more)
    await page.do("Input.dispatchKeyEvent", type="keyUp", key=key)


async def click(page: Page, selector: str) -> None:
    """Click the middle of an element."""
    x, y = await point(page, selector)
    for type in ("mousePressed", "mouseReleased"):
        await page.do("Input.dispatchMouseEvent", type=type, x=x, y=y, button="left", clickCount=1)


async def point(page: Page, selector: str) -> tuple[float, float]:
    """The middle of an element, on the screen."""
    x, y = await page.run(
        f"(() => {{ const at = document.querySelector({selector!r}).getBoundingClientRect();"
        " return [at.x + at.width / 2, at.y + at.height / 2]; })()"
    )
    return x, y


async def move_pointer(page: Page, x: float, y: float) -> None:
    """Where the mouse is."""
    await page.do("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)


def numbered(count: int) -> list[Any]:
    """Pending jobs, the newest first by their names."""
    start = now_ms()
    return [
        jobs.create("etl", now=to_text(start - number * 1000), id=f"j{number:04d}")
        for number in range(count)
    ]


async def test_each_job_is_reached_by_scrolling(served):
    """However many there are, few of them are elements at a time."""
    for job in numbered(1500):
        served.create(job)
    async with running_hub(served) as hub, browser() as page:
        await page.go(page_of(hub.url))
        rowcount = "document.querySelector('.table')?.getAttribute('aria-rowcount')"
        await page.shows(rowcount, "1501")
        await page.shows(f"{IDS}[0]", "j0000")
        seen: set[str] = set()
        step = await page.run("innerHeight")
        for place in range(0, await page.run("document.documentElement.scrollHeight"), step):
            await page.run(f"scrollTo(0, {place}), 1")
            await page.shows(f"{COVERED} && {ROWS_IN_ORDER}", True)
            ids = await page.run(IDS)
            assert len(ids) < 40
            seen.update(ids)
        await page.shows(f"{IDS}.at(-1)", "j1499")
        seen.update(await page.run(IDS))
        assert len(seen) == 1500
        await page.run("scrollTo(0, document.documentElement.scrollHeight), 1")
        last = "document.querySelector('[data-id=j1499]').getBoundingClientRect()"
        assert await page.run(f"{last}.bottom <= innerHeight && {last}.top > 0")
        await page.run("document.getElementById('sort').value = 'job', 1")
        await page.run("document.getElementById('sort').dispatchEvent(new Event('change')), 1")
        await page.shows(ADDRESS, "/?sort=job")
        await page.shows(f"{IDS}[0] === 'j0000' && {COVERED}", True)  # another view is at its top
        assert page.said == []


async def test_keys_go_from_row_to_row_and_open_a_job(served):
    """With the focus, to both ends, and back to the row that was left."""
    for job in numbered(300):
        served.create(job)
    async with running_hub(served) as hub, browser() as page:
        await page.go(page_of(hub.url))
        await page.shows("document.querySelector('.table')?.getAttribute('aria-rowcount')", "301")
        await press(page, "j")
        await page.shows(FOCUS, "j0000")
        await press(page, "j")
        await press(page, "ArrowDown")
        await page.shows(FOCUS, "j0002")
        await press(page, "k")
        await page.shows(FOCUS, "j0001")
        await press(page, "End")
        await page.shows(FOCUS, "j0299")
        assert await page.run(ROWS_IN_ORDER)
        links = "document.querySelectorAll('#rows a[tabindex=\"0\"]').length"
        assert await page.run(links) == 1
        await press(page, "k")
        await press(page, "Enter")
        await page.shows(ADDRESS, "/jobs/j0298")
        await page.run("history.back()")
        await page.shows(ADDRESS, "/")
        await page.shows(FOCUS, "j0298")
        await press(page, "Home")
        await page.shows(FOCUS, "j0000")
        await press(page, "Escape")
        await page.shows("document.activeElement === document.body", True)
        await press(page, "?")
        await page.shows("document.getElementById('help').open", True)
        await press(page, "Escape")
        await page.shows("document.getElementById('help').open", False)
        assert page.said == []


async def test_order_is_held_while_the_pointer_is_in_the_table(served):
    """What is new is counted; a row changes in its place. A click brings all up to date."""
    start = now_ms()
    for number, job in enumerate(numbered(3)):
        served.create(job.replace(created_at=to_text(start - 60_000 - number * 1000)))
    news = "document.getElementById('news').checkVisibility() && {}"
    text = news.format("document.getElementById('news').textContent")
    async with running_hub(served) as hub, browser() as page:
        await page.go(page_of(hub.url))
        await page.shows(IDS, ["j0000", "j0001", "j0002"])
        await move_pointer(page, *await point(page, "[data-id=j0001] .stage"))
        for id, age in (("new1", 2), ("new2", 1)):
            created = to_text(start - age * 1000)
            served.create(jobs.create("etl", now=created, id=id))
        served.update("j0001", lambda job: jobs.fail(job, "no", now=now()))
        served.remove("j0002")
        await page.shows(text, "2 new ↑")
        await page.shows("document.querySelector('[data-id=j0001]').dataset.kind", "failed")
        await page.shows("document.querySelector('[data-id=j0002]').dataset.kind", "gone")
        assert await page.run(IDS) == ["j0000", "j0001", "j0002"]
        await click(page, "#news")
        await page.shows(IDS, ["j0001", "new2", "new1", "j0000"])
        await page.shows(text, False)
        served.create(new_job("new3"))
        await move_pointer(page, 5, 5)
        await page.shows(f"{IDS}.slice(0, 2)", ["j0001", "new3"])
        await move_pointer(page, *await point(page, "[data-id=j0001] .stage"))
        served.create(new_job("new4"))
        await page.shows(text, "1 new ↑")
        later = (
            "const real = performance.now; performance.now = () => real.call(performance) + 61e3"
        )
        await page.run(f"{{ {later} }}")
        await page.shows(f"{IDS}.slice(0, 2)", ["j0001", "new4"])  # nobody has moved for a minute
        assert page.said == []


async def test_held_row_says_that_its_job_left_the_filter(served):
    """It is not removed."""
    served.create(new_job("a1", title="Nightly"))
    async with running_hub(served) as hub, browser() as page:
        await page.go(page_of(hub.url) + "?active=1")
        await page.shows(IDS, ["a1"])
        await move_pointer(page, *await point(page, "[data-id=a1] .stage"))
        served.update("a1", lambda job: jobs.complete(job, now=now()))
        await page.shows("document.querySelector('[data-id=a1]').dataset.kind", "gone")
        stage = await page.run("document.querySelector('[data-id=a1] .stage').textContent")
        assert stage == "No longer matches"
        await asyncio.sleep(0.3)  # longer than between two paints
        assert await page.run("document.querySelector('[data-id=a1]').checkVisibility()")
        served.create(new_job("a2"))
        await page.shows("document.getElementById('news').textContent", "1 new ↑")
        served.create(new_job("a3"))  # soon after the last count
        await page.shows("document.getElementById('news').textContent", "2 new ↑")
        title = "document.querySelector('[data-id=a1] .title').textContent"
        assert await page.run(title) == "Nightly"
        await move_pointer(page, 5, 5)
        await page.shows(IDS, ["a3", "a2"])


async def test_counts_are_filters_and_the_way_back_leads_back(served):
    """They stand in the address."""
    served.create(new_job("a1"))
    served.create(jobs.fail(new_job("a2"), "boom", now=now()))
    async with running_hub(served) as hub, browser() as page:
        await page.go(page_of(hub.url))
        await page.shows(COUNTS, COUNTED | {"pending": "1", "failed": "1"})
        await click(page, "#counts [data-show=failed]")
        await page.shows(ADDRESS, "/?show=failed")
        await page.shows(IDS, ["a2"])
        await page.shows("document.getElementById('found').textContent", "1 of 2")
        served.update("a1", lambda job: jobs.fail(job, "too", now=now()))
        await page.shows(f"{IDS}.length", 2)
        await page.run("history.back()")
        await page.shows(ADDRESS, "/")
        await click(page, "#counts [data-show=lost]")
        await page.shows(IDS, [])
        await page.shows("document.getElementById('none').checkVisibility()", True)
        await click(page, "#counts [data-show=lost]")
        await page.shows(ADDRESS, "/")
        await page.shows(f"{IDS}.length", 2)


async def test_search_stands_in_the_address_without_an_entry_for_each_letter(served):
    """And what comes later is searched too."""
    served.create(new_job("a1", title="Orders of April"))
    served.create(new_job("a2", title="Customers"))
    async with running_hub(served) as hub, browser() as page:
        await page.go(page_of(hub.url))
        await page.shows(f"{IDS}.length", 2)
        entries = await page.run("history.length")
        await press(page, "/")
        await page.shows(FOCUS, "search")
        for letter in "april":
            await press(page, letter)
        await page.shows(ADDRESS, "/?q=april")
        await page.shows(IDS, ["a1"])
        await page.shows(
            "document.querySelector('#tools [role=status]').textContent", "1 of 2 jobs"
        )
        assert await page.run("history.length") == entries
        served.create(jobs.fail(new_job("a3"), "no April", now=now()))
        await page.shows(IDS, ["a3", "a1"])
        await page.go(page_of(hub.url) + "?q=customers")
        await page.shows(IDS, ["a2"])
        assert await page.run("document.getElementById('search').value") == "customers"
        await press(page, "/")
        await press(page, "Escape")
        await page.shows(ADDRESS, "/")
        await page.shows(f"{IDS}.length", 3)


async def test_type_and_session_are_chips(served):
    """A type of a row, or of the list of types; the cross takes it away again."""
    served.create(new_job("a1").replace(session_id="s 1"))
    served.create(new_job("a2").replace(type="<b>"))
    chips = "[...document.querySelectorAll('#filter .chip')].map((one) => one.textContent)"
    async with running_hub(served) as hub, browser() as page:
        await page.do(
            "Emulation.setDeviceMetricsOverride", width=1800, height=900, deviceScaleFactor=1,
            mobile=False,
        )  # fmt: skip
        await page.go(page_of(hub.url))
        await page.shows(f"{IDS}.length", 2)
        await page.shows("document.querySelectorAll('#types .chip').length", 2)
        await click(page, "[data-id=a2] .type a")
        await page.shows(ADDRESS, "/?type=%3Cb%3E")
        await page.shows(IDS, ["a2"])
        assert await page.run(chips) == ["type <b>"]
        await page.shows("document.querySelectorAll('#types .chip').length", 1)
        await click(page, "#filter .chip")
        await page.shows(f"{IDS}.length", 2)
        await click(page, "[data-id=a1] .session a")
        await page.shows(ADDRESS, "/?session=s+1")
        await page.shows(IDS, ["a1"])
        await page.shows(STATE, "open")
        assert page.said == []


async def test_any_column_sorts_and_a_third_click_is_trouble_first(served):
    """The header says how."""
    start = now_ms()
    for id, title, age in (("a", "beta", 3), ("b", "Alpha", 1), ("c", "gamma", 2)):
        job = jobs.create("etl", now=to_text(start - age * 1000), id=id, title=title)
        served.create(job)
    async with running_hub(served) as hub, browser() as page:
        await page.do(
            "Emulation.setDeviceMetricsOverride", width=1600, height=900, deviceScaleFactor=1,
            mobile=False,
        )  # fmt: skip
        await page.go(page_of(hub.url))
        await page.shows(IDS, ["b", "c", "a"])
        header = ".header .job button"
        sorted_by = "document.querySelector('.header .job').getAttribute('aria-sort')"
        for ids, way, address in (
            (["b", "a", "c"], "ascending", "/?sort=job"),
            (["c", "a", "b"], "descending", "/?sort=-job"),
            (["b", "c", "a"], None, "/"),
        ):
            await click(page, header)
            await page.shows(IDS, ids)
            assert (await page.run(sorted_by), await page.run(ADDRESS)) == (way, address)


async def test_a_pin_stays_over_a_reload(served):
    """The job stands above trouble."""
    served.create(jobs.fail(new_job("a1"), "boom", now=now()))
    served.create(new_job("a2"))
    async with running_hub(served) as hub, browser() as page:
        await page.go(page_of(hub.url))
        await page.shows(IDS, ["a1", "a2"])
        await click(page, "[data-id=a2] .pin-button")
        await page.shows(IDS, ["a2", "a1"])
        await page.do("Page.reload")
        await page.shows(IDS, ["a2", "a1"])
        assert await page.run("document.querySelector('[data-id=a2]').dataset.pinned") == "yes"
        await press(page, "j")
        await press(page, "p")
        await page.shows(IDS, ["a1", "a2"])


async def test_times_are_in_words_and_exact_on_hover(served):
    """Ages of rows that are shown grow each second."""
    start = now_ms()
    job = jobs.create("etl", now=to_text(start - 100_000), id="a1")
    served.create(jobs.advance(job, "load", now=to_text(start - 90_000)))
    took = "document.querySelector('[data-id=a1] .took')?.textContent"
    async with running_hub(served) as hub, browser() as page:
        await page.go(page_of(hub.url))
        await page.shows(f"{took}?.startsWith('1m4')", True)
        first = await page.run(took)
        await page.shows(f"{took} !== {first!r}", True)
        started = "document.querySelector('[data-id=a1] .started')"
        await page.shows(f"{started}.textContent", "1m ago")
        await move_pointer(page, *await point(page, "[data-id=a1] .started"))
        await page.shows(f"{started}.title.slice(0, 10)", "Started 20")
        exact = await page.run(f"{started}.querySelector('time').dateTime")
        assert exact == to_text(start - 100_000)


async def test_a_job_becomes_stalled_while_the_page_is_open(served):
    """Nobody sends that."""
    async with running_hub(served) as hub, browser() as page:
        await page.go(page_of(hub.url))
        await page.shows(STATE, "open")
        start = now_ms()
        job = jobs.create("create_session", now=to_text(start - 60_000), id="a1")
        served.create(jobs.advance(job, "extract", now=to_text(start - 56_000)))
        kind = "document.querySelector('[data-id=a1]')?.dataset.kind"
        await page.shows(kind, "running")
        await page.shows(kind, "stalled", 10)
        await page.shows(COUNTS, COUNTED | {"stalled": "1"})


@pytest.mark.parametrize("width", [320, 800, 2560])
async def test_table_fits_any_screen(served, width):
    """All rows have one height, and nothing is wider than the screen."""
    served.create(new_job("x" * 64, title="t" * 300, stages=tuple(f"s{n}" for n in range(60))))
    failed = jobs.fail(new_job("a1", title="Nightly\nload\nagain"), "e\n" * 500, now=now())
    served.create(failed.replace(session_id="s" * 200, type="y" * 64, host="h" * 200))
    async with running_hub(served) as hub, browser() as page:
        await page.do(
            "Emulation.setDeviceMetricsOverride", width=width, height=700, deviceScaleFactor=1,
            mobile=width < 500,
        )  # fmt: skip
        await page.go(page_of(hub.url))
        await page.shows(f"{IDS}.length", 2)
        root = "document.documentElement"
        assert await page.run(f"{root}.scrollWidth - {root}.clientWidth") <= 0
        heights = "[...document.querySelectorAll('#rows .row')].map((row) => row.offsetHeight)"
        assert len(set(await page.run(heights))) == 1


async def test_a_hidden_tab_is_up_to_date_when_it_is_seen_again(served):
    """It paints nothing, and takes all changes."""
    served.create(new_job("a1"))
    hide = """Object.defineProperty(document, 'hidden', {{configurable: true, get: () => {}}});
        Object.defineProperty(document, 'visibilityState',
            {{configurable: true, get: () => {} ? 'hidden' : 'visible'}});
        document.dispatchEvent(new Event('visibilitychange')); 1"""
    async with running_hub(served) as hub, browser() as page:
        await page.go(page_of(hub.url))
        await page.shows(IDS, ["a1"])
        await page.run(hide.format("true", "true"))
        served.create(new_job("a2"))
        await page.shows("jobctl.jobs.all().length", 2)
        await asyncio.sleep(0.3)
        assert await page.run(IDS) == ["a1"]
        await page.run(hide.format("false", "false"))
        await page.shows(IDS, ["a2", "a1"])


MAY_ACT = """(() => {
    const { jobs } = window.jobctl, kind = Object.getPrototypeOf(jobs);
    Object.defineProperty(kind, "can", { get: () => ["view", "operate", "admin"] });
    window.acts = [];
    for (const verb of ["cancel", "remove"])
        kind[verb] = async (id, options) => {
            if (id === "j0001") throw Object.assign(new Error("not now"), { code: "conflict" });
            window.acts.push([verb, id, options.reason ?? null]);
        };
    return 1; })()"""
DIALOG = "(document.querySelector('dialog[open]')?.textContent ?? '')"


async def test_acts_are_offered_to_whoever_may_act(served):
    """On those that are selected, after a question; what was refused is told."""
    for job in numbered(3):
        served.create(job)
    bar = "document.getElementById('selection').checkVisibility() && {}"
    async with running_hub(served) as hub, browser() as page:
        await page.go(page_of(hub.url))
        await page.shows(f"{IDS}.length", 3)
        box = "document.querySelector('[data-id=j0000] .select')"
        assert not await page.run(f"{box}.checkVisibility()"), "this session may not act"
        await press(page, "j")
        await press(page, "x")
        assert await page.run(bar.format("1")) is False
        await page.run(MAY_ACT)
        await page.shows(f"{box}.checkVisibility()", True)
        await click(page, "[data-id=j0000] .select")
        await click(page, "[data-id=j0001] .select")
        text = "document.getElementById('selection').querySelector('.number').textContent"
        await page.shows(bar.format(text), "2 selected")
        await click(page, "[data-act=cancel]")
        await page.shows(f"{DIALOG}.includes('Cancel 2 jobs?')", True)
        await press(page, "x")  # goes into the reason
        await press(page, "Enter")
        await page.shows(f"{DIALOG}.includes('1 cancelled, 1 refusedj0001 not now')", True)
        assert await page.run("acts") == [["cancel", "j0000", "x"]]
        await press(page, "Escape")
        await page.shows(DIALOG, "")
        await press(page, "Escape")
        await page.shows(bar.format("1"), False)
        assert page.said == []


async def test_acts_on_many_need_their_number(served):
    """All that match the view, and no others."""
    for job in numbered(30):
        served.create(jobs.complete(job, now=now()))
    served.create(new_job("other", title="not it"))
    async with running_hub(served) as hub, browser() as page:
        await page.go(page_of(hub.url) + "?q=etl")
        await page.shows("document.getElementById('found')?.textContent", "31 of 31")
        await page.run(MAY_ACT)
        await page.go(page_of(hub.url) + "?show=completed")
        await page.shows("document.getElementById('found')?.textContent", "30 of 31")
        await page.run(MAY_ACT)
        await press(page, "j")
        await press(page, "x")
        await page.shows("!!document.querySelector('[data-act=all]')?.checkVisibility()", True)
        await click(page, "[data-act=all]")
        await click(page, "[data-act=remove]")
        await page.shows(f"{DIALOG}.includes('Type 30 to go on')", True)
        for letters in ("29", "30"):
            await page.run("document.querySelector('#act [name=number]').value = '', 1")
            for letter in letters:
                await press(page, letter)
            await press(page, "Enter")
            if letters == "29":
                assert await page.run("acts") == []
        await page.shows("acts.length", 29)
        assert await page.run("acts.every(([verb, id]) => verb === 'remove' && id !== 'other')")


SEEN = "document.querySelector({0!r}).checkVisibility()"
RIGHT = "Math.round(document.querySelector({0!r}).getBoundingClientRect().right)"
CUT = """[...document.querySelectorAll('#rows .row > *')]
    .filter((cell) => cell.scrollWidth > cell.clientWidth + 1).map((cell) => cell.textContent)"""


async def test_no_width_goes_to_a_column_that_is_empty_in_each_row(served):
    """What the others say is whole then; a column comes with the first job that has it."""
    error = "429 Too Many Requests: quota is used up"
    made = jobs.create("submit_answers", now=now(), id="answers-77", stages=["analyze"])
    long = "274a7f80-3398-4c1e-9f7b-2d1c5a0e8b11"  # which may be cut, but not the type beside it
    served.create(jobs.complete(jobs.create("create_session", now=now(), id=long), now=now()))
    served.create(jobs.fail(jobs.advance(made, "analyze", now=now()), error, now=now()))
    async with running_hub(served) as hub, browser() as page:
        for width in (1600, 800):
            await page.size(width, 800)
            await page.go(page_of(hub.url))
            await page.shows(f"{IDS}.length", 2)
            await page.shows(CUT, [long])
            await page.go("about:blank")
            await page.shows("location.href", "about:blank")
        await page.size(1600, 800)
        await page.go(page_of(hub.url))
        await page.shows(f"{IDS}.length", 2)
        for column in ("session", "who"):
            await page.shows(SEEN.format(f".header .{column}"), False)
        served.create(new_job("b1", session_id="s-1", host="node-1"))
        for column in ("session", "who"):
            await page.shows(SEEN.format(f".header .{column}"), True)
        assert page.said == []


async def test_edges_of_a_narrow_screen_are_in_one_line(served):
    """The search with the counts, the percent with the times."""
    served.create(jobs.complete(new_job("a1"), now=now()))
    async with running_hub(served) as hub, browser() as page:
        await page.size(380, 800)
        await page.go(page_of(hub.url))
        await page.shows(f"{IDS}.length", 1)
        right = await page.run(RIGHT.format("#counts"))
        await page.shows(RIGHT.format("#sort"), right)
        assert await page.run(RIGHT.format("#rows .percent")) == await page.run(
            RIGHT.format("#rows .took")
        )


async def test_of_many_failures_the_newest_are_rows_and_all_are_a_click_away(served):
    """What runs is on the first screen, and the way back is that of the browser."""
    for number in range(50):
        served.create(jobs.fail(new_job(f"f{number:02d}"), "boom", now=now()))
    served.create(jobs.advance(new_job("runs"), "load", now=now()))
    async with running_hub(served) as hub, browser() as page:
        await page.size(1280, 900)
        await page.go(page_of(hub.url))
        await page.shows(
            "document.getElementById('folded')?.textContent.slice(0, 17)", "40 older failures"
        )
        await page.shows(f"[{IDS}.length, {IDS}[10]]", [11, "runs"])
        await click(page, "#folded")
        await page.shows(ADDRESS, "/?show=failed")
        await page.shows("document.querySelector('.table').ariaRowCount ?? ''", "51")
        await page.shows(SEEN.format("#folded"), False)
        await page.run("history.back()")
        await page.shows(f"{IDS}.length", 11)
        assert page.said == []


async def test_a_wall_shows_whole_titles_and_errors(served):
    """Also narrow ones, in larger letters; nothing is wider than the screen."""
    made = jobs.create("create_session", now=now(), id="job-00022", title="Report of customer 22")
    served.create(jobs.fail(made, "connection reset by peer", now=now()))
    async with running_hub(served) as hub, browser() as page:
        for width in (1920, 1600, 1300, 800, 380):
            await page.go("about:blank")
            await page.shows("location.href", "about:blank")
            await page.size(width, 800)
            await page.go(page_of(hub.url) + "?kiosk=1")
            await page.shows(f"{IDS}.length", 1)
            await page.shows(CUT, [])
            assert await page.run("document.documentElement.scrollWidth") <= width


async def test_an_empty_hub_shows_how_to_begin(served):
    """And no search over nothing, and no empty plots; both come with the first job."""
    async with running_hub(served) as hub, browser() as page:
        await page.go(page_of(hub.url))
        await page.shows("!!document.querySelector('#empty')?.checkVisibility()", True)
        parts = ("#tools", "#plots")
        assert [await page.run(SEEN.format(part)) for part in parts] == [False, False]
        served.create(new_job("a1"))
        await page.shows(f"{IDS}.length", 1)
        assert [await page.run(SEEN.format(part)) for part in parts] == [True, True]


async def test_page_cancels_and_removes_jobs_through_the_hub(served):
    """The rows change with what the hub sends then."""
    served.create(new_job("a1", title="Nightly"))
    served.create(jobs.fail(new_job("a2"), "boom", now=now()))
    async with running_hub(served, control=True) as hub, browser() as page:
        await page.go(page_of(hub.url))
        await page.shows(f"{IDS}.length", 2)
        await page.shows("!!document.querySelector('[data-acts=yes]')", True)
        await click(page, "[data-id=a1] .select")
        await click(page, "[data-act=cancel]")
        await page.shows("!!document.querySelector('#act input')", True)
        for letter in "late":
            await press(page, letter)
        await press(page, "Enter")
        await page.shows(DIALOG, "")
        await page.shows("document.querySelector('[data-id=a1]').dataset.kind", "cancelled")
        error = await page.run("document.querySelector('[data-id=a1] .error').textContent")
        assert error.endswith(": late")
        await click(page, "[data-id=a2] .select")
        await click(page, "[data-act=remove]")
        await page.shows(f"{DIALOG}.includes('Remove 2 jobs?')", True)
        await press(page, "Enter")
        await page.shows("jobctl.jobs.all().length", 0)
        assert list(served.since(ZERO).jobs) == []
        assert page.said == []
