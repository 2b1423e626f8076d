"""The first page, in a real browser."""

from __future__ import annotations

import asyncio
import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from jobctl._clock import now, now_ms
from jobctl.core import transitions as jobs
from jobctl.core.cursor import ZERO
from jobctl.core.pipeline import Pipelines, parse_types
from jobctl.core.times import to_text
from jobctl.hub import clients
from jobctl.stores import open_store
from tests import odd_times
from tests.hub.browser import CHROMIUM, Page, browser
from tests.hub.network import HubProcess, new_job, running_hub, until
from tests.odd_times import GO_ZERO
from tests.original_writes import at, failed, moved_to, retried, written
from tests.stores.support import DATA, plant_owner

pytestmark = [
    pytest.mark.slow,
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="needs chromium"),
]

HELD = """
Object.fromEntries([...document.querySelectorAll("#rows [data-id]")].map((row) => [row.dataset.id, [
    row.dataset.stage,
    row.querySelector(".title").textContent,
    row.querySelector(".error").textContent,
    row.dataset.kind === "lost"]]))
"""
ROWS = """
Object.fromEntries([...document.querySelectorAll("#rows [data-id]")].map(
    (row) => [row.dataset.id, row.dataset.stage]))
"""
COUNTS = """
Object.fromEntries([...document.querySelectorAll("#counts [data-show]")].map(
    (one) => [one.dataset.show, one.querySelector(".number").textContent]))
"""
COUNTED = dict.fromkeys(
    ("running", "pending", "stalled", "lost", "failed", "cancelled", "completed"), "0"
)
STATE = "document.getElementById('state')?.dataset.state"

LIGHT_RED = "rgb(198, 42, 47)"
LIGHT_GREY = "rgb(90, 103, 117)"


def page_of(url: str) -> str:
    """The page of the hub."""
    return url.replace("ws", "http", 1).replace("/ws/jobs", "/")


async def make_tall(page: Page, height: int = 4000) -> None:
    """A screen on which all rows of a test are shown."""
    await page.do(
        "Emulation.setDeviceMetricsOverride", width=1600, height=height, deviceScaleFactor=1,
        mobile=False,
    )  # fmt: skip


async def listed(directory: Path) -> dict[str, list[Any]]:
    """What ``jobctl ls -o json`` says of the jobs, as `HELD` has it."""
    ls = [sys.executable, "-m", "jobctl", "ls", "-o", "json", "--dir", str(directory)]
    done = await asyncio.to_thread(subprocess.run, ls, capture_output=True, check=True, timeout=20)
    return {
        job["id"]: [
            job["stage"],
            job.get("title") or job["type"],
            job["error"] or "",
            job["derived"]["lost"],
        ]
        for job in json.loads(done.stdout)["jobs"]
    }


async def test_jobs_move_and_a_hub_that_comes_back_is_resumed(directory, writer):
    """The end state is what the directory holds."""
    hub = HubProcess(directory)
    async with browser() as page:
        writer.create(new_job("a1", title="Nightly load"))
        await make_tall(page)
        await page.go(page_of(hub.url))
        await page.shows(ROWS, {"a1": "pending"})
        await page.shows(STATE, "open")
        writer.update("a1", lambda job: jobs.advance(job, "extract", now=now()))
        writer.create(new_job("a2"))
        await page.shows(ROWS, {"a1": "extract", "a2": "pending"})
        hub.kill()
        await page.shows("document.body.dataset.live", "no")
        said = "document.getElementById('state').textContent.includes('the hub is away for 2s, ')"
        await page.shows(said, True)
        writer.update("a1", lambda job: jobs.fail(job, "boom", now=now()))
        writer.remove("a2")
        for number in range(20):
            writer.create(jobs.complete(new_job(f"b{number:02d}"), now=now()))
        plant_owner(directory, "1-0123456789ab")
        lost = new_job("c1", title="Nightly load").replace(owner="1-0123456789ab")
        writer.create(jobs.advance(lost, "extract", now=now()))
        with HubProcess(directory, port=hub.port):
            await page.shows(f"{HELD}['c1']?.[3]", True, 30)
            await page.shows(HELD, await listed(directory), 5)
            await page.shows(STATE, "open")
            resumed = [url for url in page.requests if "since=" in url]
            assert "boom" in await page.run("document.body.textContent")
            assert resumed == []  # it goes over the socket, which is no request
    refused = [
        text for text in page.said if "ERR_CONNECTION" not in text and "WebSocket" not in text
    ]
    assert refused == []


async def test_hostile_fields_are_text(directory, served):
    """FAULTS row 52: no dialog, no request elsewhere, no error, no element out of a job's text."""
    for path in (DATA / "bad-jobs").glob("*.json"):
        if path.is_file():
            shutil.copy(path, directory)
    evil = '</script><img src=x onerror=alert(1)><a href="javascript:alert(2)">x</a>'
    served.create(
        new_job("evil", title=evil, stages=("a", evil[:60])).replace(
            message=evil, type="<b>t</b>", session_id=evil
        )
    )
    served.create(jobs.fail(new_job("failed", title=evil), evil, now=now()))
    served.refresh()
    async with running_hub(served) as hub, browser() as page:
        await page.go(page_of(hub.url))
        await page.shows("document.querySelector('[data-id=evil] .title')?.textContent", evil)
        await page.shows("document.querySelector('[data-id=failed] .error')?.textContent", evil)
        assert await page.run("document.querySelectorAll('main img, main script, b').length") == 0
        links = await page.run("[...document.querySelectorAll('a')].map((one) => one.href)")
        assert {link.split("/")[2] for link in links} == {f"127.0.0.1:{hub.port}"}
        await asyncio.sleep(0.3)
        assert page.said == []
        assert {url.split("/")[2] for url in page.requests if "://" in url} == {
            f"127.0.0.1:{hub.port}"
        }


async def test_what_lies_in_a_directory_is_text(tmp_path):
    """FAULTS row 52: the hostile fields of the files that are jobs all the same."""
    directory = tmp_path / "jobs"
    shutil.copytree(DATA / "bad-jobs", directory)
    store = open_store(directory, adopt=True)
    held = {job.id: job for job in store.since(ZERO).jobs}
    errors = {job.error for job in held.values() if job.error}
    assert any("onerror=" in text for text in errors)
    assert any("\x1b" in text for text in errors)
    async with running_hub(store) as hub, browser() as page:
        await make_tall(page)
        await page.go(page_of(hub.url))
        await page.shows(ROWS, {id: job.stage for id, job in held.items()})
        shown = await page.run(HELD)
        assert {id: row[2] for id, row in shown.items()} == {
            id: job.error or "" for id, job in held.items()
        }
        assert await page.run("document.scripts.length") == 2
        assert page.said == []
    store.close()


async def test_names_of_the_language_are_names_of_stages(served):
    """A stage or a type may be called as the page's own objects are."""
    for name in ("constructor", "__proto__", "toString"):
        job = new_job(f"x-{name.strip('_')}", type=name)
        served.create(jobs.advance(job, name, now=now(), force=True))
        job = new_job(f"y-{name.strip('_')}").replace(type="create_session")
        served.create(jobs.advance(job, name, now=now(), force=True))
    async with running_hub(served) as hub, browser() as page:
        await page.go(page_of(hub.url))
        script = "[...document.querySelectorAll('#rows .stage')].map((at) => at.textContent).sort()"
        await page.shows(script, sorted(["constructor", "__proto__", "toString"] * 2))
        assert page.said == []


async def test_odd_times_are_shown_as_elsewhere(directory, served):
    """FAULTS rows 14 and 68: how long each job took, or nothing where its file does not tell."""
    now = now_ms()
    odd = odd_times.cases(now)
    ahead = odd["usual"].keys | {"id": "ahead", "completedAt": "2126-01-01T00:00:00Z"}
    asleep = odd["usual"].keys | {"id": "asleep", "stage": "extract", "type": "create_session",
                                  "completedAt": None, "stageStartedAt": GO_ZERO}  # fmt: skip
    odd_times.write(directory, *(case.keys for case in odd.values()), ahead, asleep)
    served.refresh()
    held = {job.id: job for job in served.since(ZERO).jobs if job.id != "asleep"}
    assert {id: held[id].elapsed_ms(now) for id in odd} == {
        id: case.elapsed_ms for id, case in odd.items()
    }
    words = {
        None: "",
        0: "0s",
        59_000: "59s",
        691_199_000: "7d23h",
        2_591_999_000: "29d23h",
    }
    script = """Object.fromEntries([...document.querySelectorAll("#rows [data-id]")]
        .filter((row) => row.dataset.id !== "asleep")
        .map((row) => [row.dataset.id, row.querySelector(".took").textContent]))"""
    async with running_hub(served) as hub, browser() as page:
        await make_tall(page)
        await page.go(page_of(hub.url))
        await page.shows(script, {id: words[job.elapsed_ms(now)] for id, job in held.items()})
        stage = await page.run("document.querySelector('[data-id=asleep] .stage').textContent")
        assert stage == "Extracting"  # and not stalled in it
        assert page.said == []


async def test_job_that_another_program_moved_is_shown_as_elsewhere(directory, served, writer):
    """Progress and message of another stage are not, and an owner of another attempt is none."""
    dead = "1-0123456789ab"
    plant_owner(directory, dead)
    writes = {
        "ours": [],
        "moved": [moved_to("analyze", 60)],
        "retried": [failed(90), retried(120)],
        "again": [failed(90), retried(120), moved_to("extract", 130)],
        "second": [failed(90), retried(120, 2), moved_to("extract", 130)],
    }
    for id, changes in writes.items():
        job = jobs.create("etl", now=at(0), id=id).replace(owner=dead)
        if id == "second":  # the attempt that it was retried from was our second
            job = jobs.retry(jobs.fail(job, "no", now=at(1)), now=at(2)).replace(owner=dead)
        job = jobs.advance(job, "extract", now=at(5))
        job = jobs.report(job, now=at(6), done=3, total=8, message="orders.csv")
        (directory / f"{id}.json").write_text(written(job, *changes))
    served.refresh()
    script = """Object.fromEntries([...document.querySelectorAll("#rows [data-id]")].map((row) => [
        row.dataset.id, [
        row.querySelector(".progress").textContent, row.querySelector(".note").textContent,
        row.dataset.kind === "lost"]]))"""
    expected = {
        job.id: [
            "3/8" if job.current_progress else "",
            job.current_message or "",
            job.lost({dead}),
        ]
        for job in served.since(ZERO).jobs
    }
    assert expected["ours"] == ["3/8", "orders.csv", True]
    assert expected["moved"] == ["", "", True]
    assert expected["retried"] == expected["again"] == expected["second"] == ["", "", False]
    async with running_hub(served) as hub, browser() as page:
        await page.go(page_of(hub.url))
        await page.shows(script, expected)
        assert page.said == []


async def test_page_fits_a_phone(served):
    """Nothing is wider than the screen, whatever it says."""
    served.create(new_job("x" * 64, title="t" * 300))
    served.create(jobs.fail(new_job("a1", title="Nightly load"), "e" * 500, now=now()))
    served.create(new_job("a2", title="many", stages=tuple(f"s{n}" for n in range(40))))
    async with running_hub(served) as hub, browser() as page:
        await page.do(
            "Emulation.setDeviceMetricsOverride", width=360, height=700, deviceScaleFactor=2,
            mobile=True,
        )  # fmt: skip
        await page.go(page_of(hub.url))
        await page.shows("document.querySelectorAll('#rows [data-id]').length", 3)
        assert await page.run("document.documentElement.scrollWidth") == 360


async def test_slept_page_goes_on_where_it_was(served, writer):
    """FAULTS row 39: it asks whether the connection still stands, and reads nothing again."""
    writer.create(new_job("a1"))
    async with running_hub(served) as hub, browser() as page:
        await page.go(page_of(hub.url))
        await page.shows(ROWS, {"a1": "pending"})
        await page.run("{ const real = Date.now; Date.now = () => real() + 60_000; 1 }")
        writer.create(new_job("a2"))
        await page.shows(ROWS, {"a1": "pending", "a2": "pending"})
        await page.shows("jobctl.jobs.now() - Date.now() < -50_000", True, 20)
        assert sum(hub.server.counts.starts.values()) == 1
        await page.shows(STATE, "open")
        assert page.said == []


async def test_hub_that_is_silent_is_left(directory, writer):
    """FAULTS row 28: within 20 s, although the connection stands; what is shown is dimmed."""
    writer.create(new_job("a1"))
    with HubProcess(directory) as hub:
        async with browser() as page:
            await page.go(page_of(hub.url))
            await page.shows(ROWS, {"a1": "pending"})
            await page.shows("document.body.dataset.live", "yes")
            hub.send(signal.SIGSTOP)
            began_s = asyncio.get_running_loop().time()
            await page.shows("document.body.dataset.live", "no", 25)
            assert asyncio.get_running_loop().time() - began_s < 20
            hub.send(signal.SIGCONT)
            await page.shows("document.body.dataset.live", "yes", 30)


async def test_lost_jobs_are_told(directory, served):
    """As everywhere else."""
    served.create(new_job("a0"))
    plant_owner(directory, "1-0123456789ab")
    job = new_job("a1").replace(owner="1-0123456789ab")
    served.create(jobs.advance(job, "extract", now=now()))
    async with running_hub(served) as hub, browser() as page:
        await page.go(page_of(hub.url))
        script = "document.querySelector('[data-id=a1] .stage')?.textContent.slice(0, 4)"
        await page.shows(script, "lost")
        colour = "getComputedStyle(document.querySelector({})).color"
        red = colour.format("'[data-id=a2] .stage'")
        served.create(jobs.fail(new_job("a2"), "boom", now=now()))
        await page.shows(f"!!document.querySelector('[data-id=a2]') && {red}", LIGHT_RED)
        assert await page.run(colour.format("'[data-id=a1] .stage'")) == LIGHT_RED


async def test_cancelled_jobs_are_told_from_failed_ones(served):
    """In grey, with who and why; of the present attempt only."""
    served.create(jobs.cancel(new_job("a1"), now=now(), by="anna", reason="<b>late</b>"))
    served.create(jobs.fail(new_job("a2"), "Cancelled by user", now=now()))
    served.create(jobs.fail(new_job("a3"), "boom", now=now()))
    stopped = jobs.cancel(new_job("a4"), now=now(), by="anna")
    served.create(stopped)
    served.update("a4", lambda job: job.replace(error="disk full", retry_count=1))
    async with running_hub(served) as hub, browser() as page:
        await page.go(page_of(hub.url))
        await page.shows(ROWS, dict.fromkeys(("a1", "a2", "a3", "a4"), "failed"))
        texts = "[...document.querySelectorAll('#rows [data-id]')].map((row) => [row.dataset.id, "
        texts += "row.dataset.kind, row.querySelector('.stage').textContent, "
        texts += "row.querySelector('.error').textContent]).sort()"
        assert await page.run(texts) == [
            ["a1", "cancelled", "Cancelled", "Cancelled by anna: <b>late</b>"],
            ["a2", "cancelled", "Cancelled", "Cancelled by user"],
            ["a3", "failed", "Failed", "boom"],
            ["a4", "failed", "Failed", "disk full"],
        ]
        await page.shows(COUNTS, COUNTED | {"failed": "2", "cancelled": "2"})
        colour = "getComputedStyle(document.querySelector('[data-id=a1] .{}')).color"
        assert await page.run(colour.format("stage")) == LIGHT_GREY
        assert await page.run(colour.format("error")) == LIGHT_GREY
        assert page.said == []


async def test_acknowledged_failure_is_grey_and_says_so(served):
    """For the attempt that was acknowledged."""
    for id in ("a1", "a2", "a3"):
        served.create(jobs.fail(new_job(id), "boom", now=now()))
    for id in ("a1", "a2"):
        served.update(id, lambda job: jobs.acknowledge(job, now=now(), by="anna"))
    served.update("a2", lambda job: job.replace(retry_count=1))
    async with running_hub(served) as hub, browser() as page:
        await page.go(page_of(hub.url))
        texts = "[...document.querySelectorAll('#rows [data-id]')].map((row) => [row.dataset.id, "
        texts += "row.querySelector('.stage').textContent]).sort()"
        known = ["a1", "Failed, acknowledged"]
        await page.shows(texts, [known, ["a2", "Failed"], ["a3", "Failed"]])
        colour = "getComputedStyle(document.querySelector('[data-id=a1] .{}')).color"
        assert await page.run(colour.format("error")) == LIGHT_GREY
        assert page.said == []


@pytest.mark.parametrize("read_only", [False, True])
async def test_read_only_hub_says_so(served, read_only):
    """On its page; see test_http.py for other clients."""
    async with running_hub(served, read_only=read_only) as hub, browser() as page:
        await page.go(page_of(hub.url))
        await page.shows("document.getElementById('state')?.dataset.state", "open")
        hidden = await page.run("document.getElementById('read-only').hidden")
        assert hidden is not read_only


async def test_jobs_of_a_run_stand_in_its_row_or_below_it(served, writer):
    """As `ls` shows them."""
    shown = """
    [...document.querySelectorAll("#rows [data-id]")].map((row) => [
        row.dataset.id, row.dataset.depth, row.dataset.stage,
        row.querySelector(".title").textContent, row.querySelector(".note").textContent])
    """
    for number, id in enumerate(["r", "s"]):
        run = jobs.create("run", now=to_text(now_ms() - number * 1000), id=id, title="make")
        writer.create(jobs.advance(run, "run", now=now()))
    child = jobs.create("etl", now=now(), id="c", title="Nightly", stages=["fetch", "load"])
    child = jobs.advance(child, "load", now=now()).replace(extra={"parent": "r"})
    writer.create(jobs.report(child, now=now(), done=1, total=2, message="orders"))
    for number, id in enumerate(["d", "e"]):
        older = jobs.create("etl", now=to_text(now_ms() - number * 1000), id=id, title=id)
        writer.create(older.replace(extra={"parent": "s"}))
    async with running_hub(served) as hub, browser() as page:
        await page.go(page_of(hub.url))
        await page.shows(f"{shown}.map((row) => row.slice(0, 3))", [
            ["r", "0", "load"], ["s", "0", "run"], ["d", "1", "pending"], ["e", "1", "pending"],
        ])  # fmt: skip
        await page.shows(f"{shown}[0]", ["r", "0", "load", "Nightly", "orders"])
        writer.update("c", lambda job: jobs.fail(job, "no", now=now()))
        await page.shows(f"{shown}.map((row) => row.slice(0, 3)).slice(0, 2)", [
            ["r", "0", "run"], ["c", "1", "failed"],
        ])  # fmt: skip


async def test_lost_jobs_are_told_however_many_owners_have_died(served, monkeypatch):
    """Their list takes several messages; the first of them names this one's."""
    dead = frozenset({"1-0123456789ab", *(f"2{number}-0123456789ab" for number in range(2000))})
    monkeypatch.setattr(served.owners, "dead", lambda: dead)
    job = new_job("a1").replace(owner="1-0123456789ab")
    served.create(jobs.advance(job, "extract", now=now()))
    async with running_hub(served) as hub, browser() as page:
        await page.go(page_of(hub.url))
        script = "document.querySelector('[data-id=a1] .stage')?.textContent.slice(0, 4)"
        await page.shows(script, "lost")
        served.update("a1", lambda job: job.replace(title="later", updated_at=now()))
        await page.shows("document.querySelector('[data-id=a1] .title').textContent", "later")
        assert await page.run(script) == "lost", "the messages after the first did not replace it"


async def test_browser_talks_both_dialects(served, writer):
    """As a page of somebody's own does it; frames are compressed on their way."""
    writer.create(new_job("a1", title="x" * 1000))
    async with running_hub(served) as hub, browser() as page:
        await page.go(page_of(hub.url))
        await page.shows(STATE, "open")
        for offer, kind in (("", "jobs:init"), (', "jobctl.v1"', "jobs:delta")):
            await page.run(
                f"window.heard = null; window.own = new WebSocket({json.dumps(hub.url)}{offer});"
                "own.onmessage = ({data}) => { window.heard ??= JSON.parse(data).type; }; 0"
            )
            await page.shows("window.heard", kind)
        assert all(row["compressed"] for row in hub.server.status.clients())


async def test_ages_are_counted_by_the_hubs_clock(served, monkeypatch):
    """A page whose clock is an hour ahead of the hub's does not take a running job for stalled."""
    hour_ago = to_text(now_ms() - 3_600_000)
    monkeypatch.setattr(clients, "now", lambda: hour_ago)
    job = jobs.create("submit_answers", now=hour_ago, id="a1")
    served.create(jobs.advance(job, "generate", now=hour_ago))
    async with running_hub(served) as hub, browser() as page:
        await page.go(page_of(hub.url))
        await page.shows(STATE, "open")
        await page.shows("document.querySelector('[data-id=a1]')?.dataset.kind", "running")
        await page.shows("/^[0-9]s$/.test(document.querySelector('#rows .took').textContent)", True)


async def test_filter_stands_in_the_address(served, writer):
    """And the page goes on under it: what leaves it goes. It is told that there is one."""
    writer.create(new_job("a1"))
    writer.create(jobs.complete(new_job("a2"), now=now()))
    async with running_hub(served) as hub, browser() as page:
        await page.go(page_of(hub.url) + "?active=1&type=etl")
        await page.shows(ROWS, {"a1": "pending"})
        text = "[...document.querySelectorAll('#filter .chip')].map((one) => one.textContent)"
        await page.shows(text, ["active", "type etl"])
        for session in list(hub.server.clients.by_session.values()):
            session.transport.abort()
        writer.update("a1", lambda job: jobs.complete(job, now=now()))
        writer.create(new_job("a3"))
        await page.shows(ROWS, {"a3": "pending"}, 30)
        await until(lambda: hub.server.counts.starts["resumed"] == 1)


ALERT = "document.querySelector('[role=alert]')?.textContent"


async def enter(page: Page, token: str) -> None:
    """Type the token, and sign in."""
    await page.shows("document.readyState + !!document.getElementById('token')", "completetrue")
    await page.run(f"document.getElementById('token').value = {json.dumps(token)}")
    await page.run("document.querySelector('button').click()")


async def test_page_behind_a_token_asks_for_it(served, writer):
    """Once; then it is live, and goes on after the hub was away."""
    writer.create(new_job("a1"))
    token = "0123456789abcdef0123456789abcdef"
    async with running_hub(served, token=token.encode()) as hub, browser() as page:
        await page.go(page_of(hub.url))
        await page.shows("location.pathname", "/login")
        await enter(page, "wrong wrong wrong")
        await page.shows(ALERT, "That is not the token.")
        await enter(page, token)
        await page.shows(ROWS, {"a1": "pending"})
        assert token not in json.dumps(page.requests)
        assert token not in await page.run("document.cookie")


OVERDUE = """(() => { const list = document.getElementById("overdue");
    return !list || list.hidden ? null : [...list.children].map((item) => item.textContent); })()"""


async def test_overdue_types_stand_above_the_jobs(served, writer):
    """As text; they go when a job of the type completes, without waiting for the next look."""
    evil = "<img src=x onerror=alert(1)>"
    tables = {name: ({"expect-every": "1d"}, "jobctl.toml") for name in ("backup", evil)}
    old = to_text(now_ms() - 50 * 3_600_000)
    writer.create(jobs.complete(jobs.create("backup", now=old, id="b1"), now=old))
    known = Pipelines(parse_types(tables))
    async with running_hub(served, pipelines=known) as hub, browser() as page:
        await page.go(page_of(hub.url))
        await page.shows(OVERDUE, [
            f"{evil} is overdue: no success is known, expected every 1d",
            "backup is overdue: last success 2d02h ago, expected every 1d",
        ])  # fmt: skip
        for id, type in (("b2", "backup"), ("e1", evil)):
            writer.create(jobs.complete(jobs.create(type, now=now(), id=id), now=now()))
        await page.shows(OVERDUE, None)
        assert page.said == []


async def test_page_asks_for_nothing_where_nothing_is_expected(served, writer):
    """Most settings say nothing of it."""
    writer.create(new_job("a1"))
    async with running_hub(served) as hub, browser() as page:
        await page.go(page_of(hub.url))
        await page.shows(ROWS, {"a1": "pending"})
        assert await page.run(OVERDUE) is None
        assert [url for url in page.requests if "api/overdue" in url] == []
