"""Plain HTTP on the hub's port, over real sockets."""

from __future__ import annotations

import asyncio
import gc
import json
import re
import shutil
import socket
import subprocess
import threading
import time
from functools import cache
from typing import Any
from urllib.parse import urlencode

import pytest
from aiohttp import ClientSession, CookieJar
from yarl import URL

from jobctl import page as page_module
from jobctl._clock import now
from jobctl.core import transitions as jobs
from jobctl.core.cursor import ZERO, Cursor
from jobctl.core.jobset import Delta, JobSet
from jobctl.core.pipeline import Pipelines, parse_types
from jobctl.core.protocol import parse_query
from jobctl.hub import admission as admission_module
from jobctl.hub import http as http_module
from jobctl.page import DASHBOARD_FILES
from jobctl.stores import open_store
from tests.hub.network import Reader, Running, new_job, plain, running_hub, until, v1
from tests.stores.support import plant_owner

PAGES = [
    "/", "/dashboard/main.js", "/healthz", "/metrics", "/api/jobs", "/api/jobs/a1", "/api/clients",
    "/api/overdue",
]  # fmt: skip


async def get(hub: Running, path: str | URL, method: str = "GET", **options: Any) -> Any:
    """The answer, with its body read."""
    async with (
        ClientSession() as session,
        session.request(
            method,
            URL(f"http://127.0.0.1:{hub.port}{path}", encoded=isinstance(path, URL)),
            allow_redirects=False,
            **options,
        ) as answer,
    ):
        answer.body = await answer.read()
        return answer


async def raw(hub: Running, data: bytes, *, deadline_s: float = 10.0) -> bytes:
    """What comes back for these bytes, to the end of the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", hub.port)
    try:
        writer.write(data)
        return await asyncio.wait_for(reader.read(), deadline_s)
    finally:
        writer.close()


@pytest.mark.parametrize("path", PAGES)
async def test_every_page_answers_get_and_head_alike(served, path):
    """HEAD has the same length and no body; other methods are refused, with what is allowed."""
    served.create(new_job("a1"))
    async with running_hub(served) as hub:
        answer = await get(hub, path)
        assert answer.status == 200
        assert answer.body
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        head = await get(hub, path, "HEAD")
        assert (head.status, head.body) == (200, b"")
        if path not in ("/metrics", "/api/clients"):  # they tell of the requests themselves
            assert head.headers["Content-Length"] == str(len(answer.body))
        for method in ("POST", "PUT", "DELETE", "OPTIONS"):
            other = await get(hub, path, method, data=b"x" * 3000)
            assert other.status == 405
            assert set(other.headers["Allow"].split(",")) == {"GET", "HEAD"}
        assert hub.sessions == 0


@pytest.mark.parametrize("path", [*PAGES, "/login", "/nothing", "/ws/jobs"])
@pytest.mark.parametrize(
    "headers",
    [{"Host": "evil.example"}, {"Origin": "http://evil.example"}, {"X-Forwarded-For": "1.2.3.4"}],
)
async def test_unauthenticated_requests_get_nothing_anywhere(served, path, headers):
    """FAULTS rows 47 and 48: rebinding and cross-site requests, on every path; and proxies."""
    served.create(new_job("a1"))
    async with running_hub(served) as hub:
        answer = await get(hub, path, headers=headers)
        assert answer.status == 403
        assert b"a1" not in answer.body
        assert answer.body.count(b"\n") == 1


async def test_two_hosts_are_none(served):
    """A request has one Host."""
    async with running_hub(served) as hub:
        head = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nHost: evil.example\r\n\r\n"
        assert (await raw(hub, head)).split(b" ")[1] in (b"400", b"403")


async def test_page_cannot_be_framed_and_runs_its_own_script_only(served):
    """FAULTS row 52."""
    async with running_hub(served) as hub:
        policy = (await get(hub, "/")).headers["Content-Security-Policy"]
        rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
        assert rules["default-src"] == "'none'"
        assert rules["script-src"] == "'self'"
        assert "unsafe" not in policy
        assert rules["frame-ancestors"] == "'none'"
        assert f"ws://127.0.0.1:{hub.port}" in rules["connect-src"].split()


async def test_page_knows_the_types_that_settings_define(served):
    """Their labels, those of their stages, and when they are stalled; as text within the script."""
    pipelines = Pipelines(
        parse_types(
            {
                "etl": (
                    {
                        "label": "</script><b>Night",
                        "stages": [{"name": "fetch", "label": "Fetching"}],
                        "stalled-after": "10m",
                    },
                    "jobctl.toml",
                )
            }
        )
    )
    async with running_hub(served, pipelines=pipelines) as hub:
        page = (await get(hub, "/")).body.decode()
    assert "</script><b>" not in page
    (known,) = re.findall(r'id="settings">(.*?)</script>', page, flags=re.DOTALL)
    etl = json.loads(known)["pipelines"]["etl"]
    assert (etl["label"], etl["stalledMs"]) == ("</script><b>Night", 600_000)
    names = [(stage["name"], stage["label"]) for stage in etl["stages"]]
    assert names == [("pending", "Queued"), ("fetch", "Fetching"), ("completed", "Completed")]


async def test_the_address_of_a_job_is_a_page_too(served):
    """Its script reads the id from the address; whether there is such a job is asked later."""
    async with running_hub(served) as hub:
        page = await get(hub, "/jobs/a1")
        settings = re.compile(r'id="settings">(.*?)</script>', re.DOTALL)
        found = settings.findall(page.body.decode())
        assert (page.status, len(found)) == (200, 1)
        assert settings.findall((await get(hub, "/")).body.decode()) == found


async def test_page_names_the_modules_that_it_begins_with(served):
    """All at once; the table does not wait for those of a job's page."""
    preload = re.compile(r'rel="modulepreload" href="/assets/[0-9a-f]{16}/([^"]+)"')
    async with running_hub(served) as hub:
        table = preload.findall((await get(hub, "/")).body.decode())
        job = preload.findall((await get(hub, "/jobs/a1")).body.decode())
    assert {"client.js", "dashboard/main.js", "dashboard/list.js"} < set(table)
    assert "dashboard/job.js" not in table
    modules = {name for name in DASHBOARD_FILES if name.endswith(".js")}
    assert set(job) == {"client.js", *modules}, "each module is used"


async def test_running_hub_serves_the_page_that_it_was_started_with(served, monkeypatch, tmp_path):
    """Also when an upgrade has replaced the files since: old and new modules do not fit."""
    page_module.asset.cache_clear()
    page_module.files_digest.cache_clear()
    async with running_hub(served) as hub:
        monkeypatch.setattr(page_module.resources, "files", lambda name: tmp_path / "replaced")
        paths = ["/", "/jobs/a1", "/login", *(f"/{name}" for name in DASHBOARD_FILES)]
        assert [(await get(hub, path)).status for path in paths] == [200] * len(paths)


async def test_files_of_the_dashboard_have_their_types(served):
    """The browser takes neither a module nor a style sheet of another type."""
    async with running_hub(served) as hub:
        for name, kind in (("main.js", "text/javascript"), ("style.css", "text/css")):
            answer = await get(hub, f"/dashboard/{name}")
            assert answer.status == 200
            assert answer.headers["Content-Type"].startswith(kind)
        assert (await get(hub, "/dashboard/../__init__.py")).status == 404


async def test_browser_asks_once_for_the_files_of_the_page(served):
    """Their address changes with them; a page from before a replacement gets the new files."""
    async with running_hub(served) as hub:
        page = (await get(hub, "/")).body.decode()
        [main] = re.findall(r'<script type="module" src="([^"]+)"', page)
        [style] = re.findall(r'href="([^"]+/style.css)"', page)
        for path in (main, style):
            answer = await get(hub, path)
            assert (answer.status, answer.headers["Cache-Control"]) == (
                200, "private, max-age=31536000, immutable",
            )  # fmt: skip
        old = await get(hub, re.sub("[0-9a-f]{16}", "0" * 16, main))
        assert (old.status, old.headers["Cache-Control"]) == (200, "no-store")
        assert old.body == (await get(hub, "/dashboard/main.js")).body
        for name in ("index.html", "../__init__.py", "login.html", ""):
            there = f"{main.partition('dashboard')[0]}{name}"
            assert (await get(hub, there)).status == 404, name


async def test_host_does_not_write_the_policy(served):
    """FAULTS row 52: a name of the loopback may hold what would end a rule."""
    async with running_hub(served) as hub:
        answer = await get(hub, "/", headers={"Host": "a;script-src.localhost"})
        policy = answer.headers["Content-Security-Policy"]
        assert (answer.status, policy.count("script-src"), policy.count("ws:")) == (200, 1, 0)


async def test_jobs_are_read_by_a_cursor(served):
    """First all, then what changed; a cursor of elsewhere starts over."""
    for id in ("a1", "a2"):
        served.create(new_job(id))
    async with running_hub(served) as hub:
        first = json.loads((await get(hub, "/api/jobs")).body)
        assert [job["id"] for job in first["jobs"]] == ["a1", "a2"]
        assert (first["since"], first["more"], first["gone"]) == (0, False, [])
        served.update("a1", lambda job: jobs.complete(job, now=now()))
        served.remove("a2")
        then = json.loads((await get(hub, f"/api/jobs?since={first['cursor']}")).body)
        assert [(job["id"], job["stage"]) for job in then["jobs"]] == [("a1", "completed")]
        assert (then["since"], then["gone"]) == (first["through"], ["a2"])
        again = json.loads((await get(hub, "/api/jobs?since=deadbeef0000:7")).body)
        assert (again["since"], [job["id"] for job in again["jobs"]]) == (0, ["a1"])


async def test_filters_are_those_of_the_socket(served):
    """And a bad one is told in a line."""
    served.create(new_job("a1"))
    served.create(jobs.complete(new_job("a2"), now=now()))
    async with running_hub(served) as hub:
        for query, ids in (("active=1", ["a1"]), ("id=a2", ["a2"]), ("stage=completed", ["a2"])):
            value = json.loads((await get(hub, f"/api/jobs?{query}")).body)
            assert [job["id"] for job in value["jobs"]] == ids
        for query in ("id=../x", "limit=0", "limit=many", "limit=1001", f"limit={'9' * 5000}"):
            answer = await get(hub, f"/api/jobs?{query}")
            assert (answer.status, answer.body.count(b"\n")) == (400, 1)


@pytest.mark.parametrize("limit", ["", "&limit=7"])
async def test_pages_together_are_all_jobs(served, monkeypatch, limit):
    """By size, or by number; although a job changes on the way."""
    monkeypatch.setattr(http_module, "_MAX_RESPONSE", 5000)
    for number in range(60):
        served.create(new_job(f"a{number:02d}"))
    async with running_hub(served) as hub:
        found: dict[str, Any] = {}
        cursor, more, pages = "0", True, 0
        while more:
            page = json.loads((await get(hub, f"/api/jobs?since={cursor}{limit}")).body)
            assert not limit or len(page["jobs"]) <= 7
            found |= {job["id"]: job["stage"] for job in page["jobs"]}
            cursor, more, pages = page["cursor"], page["more"], pages + 1
            if pages == 2:
                served.update("a00", lambda job: jobs.complete(job, now=now()))
        assert pages > 3
        assert found == {job.id: job.stage for job in map(served.get, served.ids())}


async def pages(hub: Running, query: str, *, most: int = 200) -> list[dict[str, Any]]:
    """All pages that the query has; a reader that is sent round in circles fails."""
    found: list[dict[str, Any]] = []
    cursor = "0"
    while not found or found[-1]["more"]:
        assert len(found) < most, "the pages end"
        answer = await get(hub, f"/api/jobs?{query}&since={cursor}")
        found.append(json.loads(answer.body))
        cursor = found[-1]["cursor"]
    return found


@pytest.mark.parametrize("limit", ["", "&limit=7"])
async def test_pages_under_a_filter_end(served, monkeypatch, limit):
    """What never was in a reader's first pages is not gone from them, and starts nobody over."""
    monkeypatch.setattr(http_module, "_MAX_RESPONSE", 2000)
    for number in range(600):
        served.create(new_job(f"a{number:03d}").replace(type=f"t{number % 12}"))
    async with running_hub(served) as hub:
        hub.server.hub.replace_replica(merged(served))
        found = await pages(hub, f"type=t1{limit}")
        assert [job["id"] for page in found for job in page["jobs"]] == [
            f"a{number:03d}" for number in range(1, 600, 12)
        ]
        assert [page["since"] for page in found].count(0) == 1
        assert not any(page["gone"] for page in found)


@pytest.mark.parametrize("limit", [1, 7, 10, 11, 12])
async def test_pages_part_no_jobs_that_share_a_revision(served, limit):
    """FAULTS row 63: as files do that came while the store could give them no revision."""
    made = JobSet("e1")
    for number in range(12):
        made.put(new_job(f"a{number:02d}", revision=1 + min(number, 7)))
    async with running_hub(served) as hub:
        hub.server.hub.replace_replica(made)
        hub.server.status.refresh = served_as_it_is
        found = await pages(hub, f"limit={limit}")
        ids = [job["id"] for page in found for job in page["jobs"]]
        assert ids == [f"a{number:02d}" for number in range(12)]
        assert found[-1]["jobs"]


@pytest.mark.slow
@pytest.mark.parametrize("query", ["type=none", "type=t1", "active=1", "limit=1000", "stage=x"])
async def test_no_request_holds_up_the_loop(served, query):
    """FAULTS row 27: at 100,000 jobs, whatever is asked for."""
    async with running_hub(served) as hub:
        hub.server.hub.replace_replica(a_hundred_thousand())
        hub.server.status.refresh = served_as_it_is
        filter = parse_query(query.replace("limit=1000", "")).filter
        old = Cursor("e1", 1, filter.tag)
        max_examined: list[float] = []
        gc.collect()
        gc.freeze()
        for cursor in (ZERO, old):
            beat = asyncio.create_task(beats(max_examined))
            answer = await get(hub, f"/api/jobs?{query}&since={cursor}")
            beat.cancel()
            assert answer.status == 200
        gc.unfreeze()
        assert max(max_examined) < 0.05


@cache
def a_hundred_thousand() -> JobSet:
    """Jobs of five types, all completed."""
    made = [
        new_job("a").replace(id=f"j{n:06d}", revision=n, type=f"t{n % 5}", stage="completed")
        for n in range(1, 100_001)
    ]
    replica = JobSet()
    assert replica.apply(Delta("e1", 0, 100_000, tuple(made)))
    return replica


async def served_as_it_is() -> None:
    """Instead of a look at the store."""


async def beats(gaps: list[float]) -> None:
    """How much of the processor each turn of the loop takes: the machine is not ours alone."""
    last = time.thread_time()
    while True:
        await asyncio.sleep(0)
        last, before = time.thread_time(), last
        gaps.append(last - before)


async def test_what_leaves_a_filter_between_pages_is_gone(served, monkeypatch):
    """Told on the next page, once, and not again."""
    for number in range(30):
        served.create(new_job(f"a{number:02d}"))
    async with running_hub(served) as hub:
        first = json.loads((await get(hub, "/api/jobs?active=1&limit=10")).body)
        assert (first["more"], len(first["jobs"])) == (True, 10)
        served.update("a00", lambda job: jobs.complete(job, now=now()))
        served.remove("a20")
        rest = json.loads((await get(hub, f"/api/jobs?active=1&since={first['cursor']}")).body)
        assert (rest["more"], rest["since"]) == (False, first["through"])
        assert set(rest["gone"]) >= {"a00"}
        assert [job["id"] for job in rest["jobs"]] == [
            f"a{number}" for number in range(10, 30) if number != 20
        ]
        synced = json.loads((await get(hub, f"/api/jobs?active=1&since={rest['cursor']}")).body)
        assert (synced["jobs"], synced["gone"]) == ([], [])
        assert Cursor.parse(rest["cursor"]).revision == rest["through"]


@pytest.mark.parametrize("snapshot_start", ["", "x", "-1", "9" * 17, "99999999", "0"])
async def test_odd_page_is_a_reset(served, snapshot_start):
    """FAULTS row 31: nonsense where a page began is no error of ours, and never silence."""
    for number in range(5):
        served.create(new_job(f"a{number}"))
    async with running_hub(served) as hub:
        first = json.loads((await get(hub, "/api/jobs?limit=2")).body)
        cursor = first["cursor"].partition("@")[0]
        page = json.loads((await get(hub, f"/api/jobs?since={cursor}@{snapshot_start}")).body)
        assert (page["since"], len(page["jobs"])) == (0, 5)


def merged(store: Any) -> JobSet:
    """The store's jobs as a replica that has not seen each change by itself."""
    held = JobSet()
    delta = store.since(ZERO)
    assert held.apply(delta)
    return held


async def test_unchanged_jobs_are_not_sent_again(served):
    """By their ETag: the cursor, the filter and the page."""
    served.create(new_job("a1"))
    async with running_hub(served) as hub:
        tag = (await get(hub, "/api/jobs")).headers["ETag"]
        same = await get(hub, "/api/jobs", headers={"If-None-Match": tag})
        assert (same.status, same.body, same.headers["ETag"]) == (304, b"", tag)
        assert (await get(hub, "/api/jobs?id=a1", headers={"If-None-Match": tag})).status == 200
        served.create(new_job("a2"))
        assert (await get(hub, "/api/jobs", headers={"If-None-Match": tag})).status == 200


async def test_one_job_by_its_id(served):
    """As it is on the wire; 404 for another."""
    served.create(new_job("a1", title="Nightly"))
    async with running_hub(served) as hub:
        assert json.loads((await get(hub, "/api/jobs/a1")).body)["title"] == "Nightly"
        for path in ("/api/jobs/a2", "/api/jobs/..%2fa1", "/api/jobs/%00%0d%0a"):
            answer = await get(hub, path)
            assert (answer.status, answer.body.count(b"\n")) == (404, 1)
            assert b"\r" not in answer.body


async def test_lost_jobs_are_named(directory, served):
    """Also when nobody is subscribed."""
    served.create(new_job("a1"))
    plant_owner(directory, "1-0123456789ab")
    lost = new_job("a2").replace(owner="1-0123456789ab")
    served.create(jobs.advance(lost, "extract", now=now()))
    async with running_hub(served) as hub:
        assert json.loads((await get(hub, "/api/jobs")).body)["lost"] == ["a2"]


async def test_health_names_what_fails(served, monkeypatch):
    """FAULTS row 22: 503 with the part; 200 when it is well again."""
    async with running_hub(served) as hub:
        assert ((answer := await get(hub, "/healthz")).status, answer.body) == (200, b"ok\n")
        with monkeypatch.context() as broken:
            broken.setattr(served, "behind", out_of_reach)
            answer = await get(hub, "/healthz")
            assert (answer.status, answer.body) == (503, b"store: out of reach\n")
        assert (await get(hub, "/healthz")).status == 200


async def test_nobody_hears_of_a_death_before_the_last_word(directory, served, writer, monkeypatch):
    """A worker that completes its job and ends at that very moment has lost nothing."""
    plant_owner(directory, "1-0123456789ab")
    job = new_job("a1").replace(owner="1-0123456789ab")
    served.create(jobs.advance(job, "extract", now=now()))
    dead = served.owners.dead

    def dead_by_now() -> frozenset[str]:
        writer.update("a1", lambda job: job if not job.active else jobs.complete(job, now=now()))
        return dead()

    async with running_hub(served) as hub:
        monkeypatch.setattr(served.owners, "dead", dead_by_now)
        found = json.loads((await get(hub, "/api/jobs")).body)
        assert ([job["stage"] for job in found["jobs"]], found["lost"]) == (["completed"], [])


async def test_death_is_news_for_an_etag(directory, served):
    """It changes no job, and what is told of one all the same."""
    job = new_job("a1").replace(owner="1-0123456789ab")
    served.create(jobs.advance(job, "extract", now=now()))
    async with running_hub(served) as hub:
        first = await get(hub, "/api/jobs")
        assert json.loads(first.body)["lost"] == []
        plant_owner(directory, "1-0123456789ab")
        again = await get(hub, "/api/jobs", headers={"If-None-Match": first.headers["ETag"]})
        assert (again.status, json.loads(again.body)["lost"]) == (200, ["a1"])


async def test_one_job_that_is_unchanged_is_not_sent_again(served):
    """Its ETag is its revision."""
    served.create(new_job("a1"))
    async with running_hub(served) as hub:
        tag = (await get(hub, "/api/jobs/a1")).headers["ETag"]
        served.create(new_job("a2"))
        same = await get(hub, "/api/jobs/a1", headers={"If-None-Match": tag})
        assert (same.status, same.body) == (304, b"")
        assert same.headers["Cache-Control"] == "private, no-cache"
        served.update("a1", lambda job: jobs.complete(job, now=now()))
        then = await get(hub, "/api/jobs/a1", headers={"If-None-Match": tag})
        assert (then.status, json.loads(then.body)["stage"]) == (200, "completed")


@pytest.mark.slow
async def test_store_that_hangs_costs_an_answer_and_one_thread(served, monkeypatch):
    """FAULTS row 27: 503 in time, on every page that reads it; and the hub ends in time."""
    monkeypatch.setattr(http_module, "_STORE_TIMEOUT_S", 0.2)
    served.create(new_job("a1"))
    go_on, calls = threading.Event(), []

    def hang() -> frozenset[str]:
        calls.append(threading.current_thread())
        go_on.wait(20)
        return frozenset()

    async with running_hub(served) as hub:
        monkeypatch.setattr(served.owners, "dead", hang)
        for path in ("/api/jobs", "/api/jobs/a1", "/healthz", "/api/jobs?active=1"):
            answer = await get(hub, path)
            assert (answer.status, answer.body.count(b"\n")) == (503, 1)
            assert answer.headers["Retry-After"] == "2"
            assert b"store" in answer.body
        assert (await get(hub, "/metrics")).status == 200
        assert len(calls) == 1
    go_on.set()


@pytest.mark.slow
async def test_health_tells_of_a_read_that_does_not_end(served, writer, monkeypatch):
    """FAULTS row 22: while sessions are served with what is known."""
    monkeypatch.setattr("jobctl.hub.status._MAX_READ_S", 0.1)
    go_on = threading.Event()
    async with running_hub(served) as hub, v1(hub.url) as connection:
        await connection.recv()
        monkeypatch.setattr("jobctl.hub.feed._MAX_INLINE_RECORDS", -1)
        since = served.since
        monkeypatch.setattr(
            served, "since", lambda *at, **how: go_on.wait(20) and since(*at, **how)
        )
        writer.create(new_job("a1"))
        await until(lambda: hub.server.feed.reading_s() > 0.1)
        answer = await get(hub, "/healthz")
        assert (answer.status, answer.body[:6]) == (503, b"store:")
        go_on.set()
        await connection.recv()
        await until(lambda: hub.server.feed.reading_s() == 0)
        assert (await get(hub, "/healthz")).status == 200


@pytest.mark.slow
async def test_health_tells_of_a_loop_that_is_late(served, monkeypatch):
    """FAULTS rows 22 and 27: until it is in time again."""
    monkeypatch.setattr("jobctl.hub.liveness._SWEEP_S", 0.2)
    monkeypatch.setattr("jobctl.hub.status._MAX_LOOP_DELAY_S", 0.3)
    async with running_hub(served) as hub:
        assert (await get(hub, "/healthz")).status == 200
        time.sleep(0.8)
        answer = await get(hub, "/healthz")
        assert (answer.status, answer.body[:5]) == (503, b"loop:")
        await until(lambda: not hub.server.status.failing_part())
        assert (await get(hub, "/healthz")).status == 200


async def test_health_without_a_token_names_the_part_alone(served, monkeypatch):
    """Where a token is needed, the rest is in the log."""
    async with running_hub(served, token=b"0123456789abcdef") as hub:
        assert (await get(hub, "/healthz")).status == 200
        monkeypatch.setattr(served, "behind", out_of_reach)
        answer = await get(hub, "/healthz")
        assert (answer.status, answer.body) == (503, b"store\n")


async def test_metrics_take_a_look_while_nobody_is_there(served):
    """What Prometheus sees does not depend on who has come by."""
    served.create(new_job("a1"))
    served.create(jobs.cancel(new_job("a2"), now=now()))
    async with running_hub(served) as hub:
        body = (await get(hub, "/metrics")).body
        for state, count in {"active": 1, "failed": 0, "cancelled": 1}.items():
            assert f'jobctl_jobs{{state="{state}"}} {count}.0\n'.encode() in body


async def test_the_api_filters_by_labels_and_by_cancelled(served):
    """As the socket does."""
    served.create(new_job("a1", labels={"team": "data"}))
    served.create(jobs.cancel(new_job("a2", labels={"team": "web"}), now=now()))
    served.create(jobs.fail(new_job("a3"), "no", now=now()))
    async with running_hub(served) as hub:
        for query, ids in {
            "label=team%3Ddata": ["a1"],
            "label=team&label=!team": [],
            "label=team,team!%3Ddata": ["a2"],
            "stage=cancelled": ["a2"],
            "stage=failed": ["a3"],
        }.items():
            found = json.loads((await get(hub, f"/api/jobs?{query}")).body)
            assert [job["id"] for job in found["jobs"]] == ids, query
        answer = await get(hub, "/api/jobs?label=%3Dx")
        assert answer.status == 400
        assert b"selects no labels" in answer.body


def out_of_reach(*_: object) -> int:
    from jobctl.errors import StoreError

    raise StoreError("out of reach")


async def test_clients_are_listed(served):
    """What each was sent, what it has said to have seen, and how far it lags."""
    served.create(new_job("a1"))
    async with running_hub(served) as hub, v1(hub.url + "?id=a1") as one, plain(hub.url):
        delta = json.loads(await one.recv())
        await one.send(json.dumps({"type": "jobs:ack", "through": delta["through"]}))
        await until(lambda: hub.server.hub.sessions[1].acked == delta["through"])
        clients = json.loads((await get(hub, "/api/clients")).body)["clients"]
        assert [client["dialect"] for client in clients] == ["jobctl.v1", "plain"]
        first = clients[0]
        assert (first["filter"], first["acked"], first["lagJobs"]) == ({"id": ["a1"]}, 1, 0)
        assert first["bytes"] > 100


async def test_metrics_count_what_happens(served):
    """In the names that Prometheus wants; nothing in them is of a job or a client."""
    served.create(new_job("secret-id"))
    async with running_hub(served) as hub, Reader.of_hub(hub.url) as reader:
        await until(lambda: reader.contents)
        text = (await get(hub, "/metrics")).body.decode()
        values = dict(line.rsplit(" ", 1) for line in text.splitlines() if line[0] != "#")
        assert values['jobctl_sessions{dialect="jobctl.v1"}'] == "1.0"
        assert values['jobctl_jobs{state="active"}'] == "1.0"
        assert values['jobctl_subscriptions_total{outcome="fresh"}'] == "1.0"
        assert float(values["jobctl_deltas_total"]) == 1
        assert float(values["jobctl_sent_bytes_total"]) > 100
        assert float(values["jobctl_store_read_seconds_count"]) >= 1
        assert "secret" not in text


@pytest.mark.skipif(shutil.which("promtool") is None, reason="needs promtool (prometheus)")
async def test_metrics_are_what_prometheus_wants(served):
    """``promtool check metrics`` has nothing to say."""
    served.create(new_job("a1"))
    async with running_hub(served) as hub, Reader.of_hub(hub.url) as reader:
        await until(lambda: reader.contents)
        await get(hub, "/nothing")
        await get(hub, "/", headers={"Host": "evil.example"})
        text = (await get(hub, "/metrics")).body
        check = await asyncio.to_thread(
            subprocess.run, ["promtool", "check", "metrics"], input=text, capture_output=True
        )
        assert (check.returncode, check.stdout, check.stderr) == (0, b"", b"")


@pytest.mark.slow
async def test_large_body_arrives_whole_at_a_slow_reader(served, monkeypatch):
    """FAULTS row 30: 30 MB to one who reads 10 MB a second, slower than the hub writes."""
    monkeypatch.setattr(http_module, "_MAX_RESPONSE", 64 * 1024 * 1024)
    for number in range(300):
        served.create(new_job(f"a{number:03d}", title="x" * 100_000))
    async with running_hub(served) as hub:
        reader, writer = await asyncio.open_connection("127.0.0.1", hub.port, limit=64 * 1024)
        writer.write(b"GET /api/jobs HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        assert length > 30_000_000
        got = 0
        while data := await reader.read(100_000):
            got += len(data)
            await asyncio.sleep(0.01)
        writer.close()
        assert got == length


@pytest.mark.slow
async def test_reader_that_stands_still_is_cut(served, monkeypatch):
    """Its answer would be kept for ever."""
    monkeypatch.setattr(http_module, "_MAX_RESPONSE", 64 * 1024 * 1024)
    monkeypatch.setattr("jobctl.hub.liveness.LIVENESS_TIMEOUT_S", 0.5)
    monkeypatch.setattr("jobctl.hub.liveness._SWEEP_S", 0.1)
    for number in range(100):
        served.create(new_job(f"a{number:03d}", title="x" * 100_000))
    async with running_hub(served) as hub:
        with socket.create_connection(("127.0.0.1", hub.port)) as sock:
            sock.sendall(b"GET /api/jobs HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            await until(lambda: hub.server.status.connections()["http"] == 1)
            await until(lambda: hub.server.status.connections()["http"] == 0, 5)


@pytest.mark.slow
@pytest.mark.parametrize("peer", ["reads slowly", "stands still"])
async def test_answer_under_way_does_not_hold_up_the_end(served, monkeypatch, peer):
    """FAULTS row 24: the reader is cut, the socket closed, and no task is left."""
    monkeypatch.setattr(http_module, "_MAX_RESPONSE", 64 * 1024 * 1024)
    for number in range(150):
        served.create(new_job(f"a{number:03d}", title="x" * 100_000))
    before = asyncio.all_tasks()
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        async with running_hub(served) as hub:
            sock.connect(("127.0.0.1", hub.port))
            sock.sendall(b"GET /api/jobs HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            await until(lambda: unsent(hub) > 1_000_000)
            if peer == "reads slowly":
                sock.recv(4096)
            transports = [one.transport for one in hub.server._http._runner.server.connections]
        assert asyncio.all_tasks() == before
        assert [transport.get_extra_info("socket").fileno() for transport in transports] == [-1]


def unsent(hub: Running) -> int:
    """Bytes that the hub still holds for its HTTP peers."""
    server = hub.server._http._runner.server
    return sum(one.transport.get_write_buffer_size() for one in server.connections if one.transport)


@pytest.mark.slow
async def test_reader_that_is_very_slow_is_not_cut(served, monkeypatch):
    """FAULTS row 30: what it takes frees the system's buffers long before it frees ours."""
    monkeypatch.setattr(http_module, "_MAX_RESPONSE", 64 * 1024 * 1024)
    monkeypatch.setattr("jobctl.hub.liveness.LIVENESS_TIMEOUT_S", 0.6)
    monkeypatch.setattr("jobctl.hub.liveness._SWEEP_S", 0.1)
    for number in range(100):
        served.create(new_job(f"a{number:03d}", title="x" * 100_000))
    async with running_hub(served) as hub:
        with socket.socket() as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
            sock.connect(("127.0.0.1", hub.port))
            sock.sendall(b"GET /api/jobs HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            await until(lambda: unsent(hub) > 1_000_000)
            for _ in range(30):
                assert sock.recv(40_000)
                await asyncio.sleep(0.1)
            sock.settimeout(5)
            assert await asyncio.to_thread(read_all, sock) > 8_000_000


def read_all(sock: socket.socket) -> int:
    """How much comes to the end."""
    got = 0
    while data := sock.recv(1_000_000):
        got += len(data)
    return got


async def test_head_may_come_in_pieces_but_not_without_end(served, monkeypatch):
    """It is bounded in size and in time, and counted until it is whole."""
    monkeypatch.setattr(admission_module, "HEAD_TIMEOUT_S", 0.3)
    async with running_hub(served) as hub:
        reader, writer = await asyncio.open_connection("127.0.0.1", hub.port)
        for byte in b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n":
            writer.write(bytes([byte]))
            await writer.drain()
        assert (await reader.read()).endswith(b"ok\n")
        writer.close()
        large = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX: " + b"x" * 20_000
        assert (await raw(hub, large)).startswith(b"HTTP/1.1 431 ")
        assert (await raw(hub, b"GET / HT")).startswith(b"HTTP/1.1 408 ")
        assert (await raw(hub, b"\x16\x03\x01\x02\x00\r\n\r\n")).startswith(b"HTTP/1")
        await until(lambda: set(hub.server.status.connections().values()) == {0})


NO_REQUEST = [
    b"\x16\x03\x01\x02\x00\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: x\r\n\r\n",
    b"GET http://[/ HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    b"GET /\xff\x1b[31m HTTP/1.1\r\nHost: 127.0.0.1\r\nX: \x1b]52;c;eA==\x07\r\n\r\n",
    b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    b"G\x1bT / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
]


@pytest.mark.parametrize("data", NO_REQUEST, ids=range(len(NO_REQUEST)))
async def test_what_is_no_request_gets_a_line_and_no_log(served, data, caplog, capfd):
    """FAULTS rows 33 and 61: no traceback, and nothing of theirs in our log or our answer."""
    async with running_hub(served) as hub:
        answer = await raw(hub, data)
        head, _, body = answer.partition(b"\r\n\r\n")
        assert head.split(b" ")[1] == b"400"
        assert b"nosniff" in head
        assert b"aiohttp" not in head
        assert body.count(b"\n") == 1
        assert not set(b"\x1b\x16\xff") & set(body)
    assert caplog.records == []
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("query", ["a=&" * 1001, "since=%00%0d%0a%1b", "session=%ff", "&&==&%"])
async def test_odd_query_is_no_failure(served, query, caplog):
    """Told in a line where it cannot be read."""
    async with running_hub(served) as hub:
        answer = await get(hub, URL(f"/api/jobs?{query}", encoded=True))
        assert answer.status in (200, 400)
        assert answer.status == 200 or answer.body.count(b"\n") == 1
    assert [record.getMessage() for record in caplog.records] == []


async def test_query_is_unquoted_once(served):
    """A text that looks quoted is what it looks like."""
    served.create(new_job("a1", session_id="50%41&x=1+1"))
    async with running_hub(served) as hub:
        query = urlencode({"session": "50%41&x=1+1"})
        answer = await get(hub, URL(f"/api/jobs?{query}", encoded=True))
        assert [job["id"] for job in json.loads(answer.body)["jobs"]] == ["a1"]


async def test_body_that_does_not_come_is_not_waited_for(served, monkeypatch, caplog):
    """FAULTS row 25: nor one that nobody takes, nor one that breaks off. Who waits is counted."""
    monkeypatch.setattr(http_module, "_BODY_S", 0.3)
    head = (
        "POST {} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100\r\n"
        "Content-Type: application/x-www-form-urlencoded\r\n\r\nto"
    )
    async with running_hub(served) as hub:
        assert (await raw(hub, head.format("/login").encode())).startswith(b"HTTP/1.1 408 ")
        assert (await raw(hub, head.format("/api/jobs").encode())).startswith(b"HTTP/1.1 405 ")
        _, writer = await asyncio.open_connection("127.0.0.1", hub.port)
        writer.write(head.format("/login").encode())
        await until(lambda: hub.server.status.connections()["http"] == 1)
        writer.transport.abort()
        await until(lambda: hub.server.status.connections()["http"] == 0)
    assert [record.getMessage() for record in caplog.records] == []


async def test_blank_lines_are_no_head(served, monkeypatch):
    """FAULTS row 25: they may stand before a request (RFC 9112, section 2.2), and end no wait."""
    monkeypatch.setattr(admission_module, "HEAD_TIMEOUT_S", 0.3)
    async with running_hub(served) as hub:
        request = b"\r\n\r\nGET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
        assert (await raw(hub, request)).endswith(b"ok\n")
        assert (await raw(hub, b"\r\n\r\n")).startswith(b"HTTP/1.1 408 ")
        assert (await raw(hub, b"\r\n" * 10_000)).startswith(b"HTTP/1.1 431 ")


async def test_expectation_of_nobody_is_not_kept_open(served):
    """An answer that the library gives by itself ends the connection as well, soon."""
    async with running_hub(served) as hub:
        head = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nExpect: tea\r\n\r\n"
        assert (await raw(hub, head, deadline_s=5)).startswith(b"HTTP/1.1 417 ")


@pytest.mark.parametrize("base", ["/jobs", "/a/b"])
async def test_all_is_under_the_base_path(directory, writer, base):
    """For a proxy that shows the hub beside other things."""
    from jobctl.hub import server as server_module

    writer.create(new_job("a1"))
    stop, urls = asyncio.Event(), list[str]()
    store = open_store(directory, adopt=True)
    task = asyncio.create_task(
        server_module.serve(store, port=0, base=base, stop=stop, ready=urls.append)
    )
    await until(lambda: urls)
    assert urls[0].endswith(f"{base}/ws/jobs")
    async with ClientSession() as session, Reader.of_hub(urls[0]) as reader:
        await until(lambda: reader.contents)
        root = urls[0].replace("ws", "http", 1).removesuffix(f"{base}/ws/jobs")
        async with session.get(root + base, allow_redirects=False) as answer:
            assert (answer.status, answer.headers["Location"]) == (308, f"{base}/")
        async with session.get(f"{root}{base}/") as answer:
            text = await answer.text()
            assert re.search(rf'src="{base}/assets/\w+/dashboard/main.js"', text)
        async with session.get(f"{root}/api/jobs") as answer:
            assert answer.status == 404
        async with session.get(f"{root}{base}/api/jobs") as answer:
            assert len((await answer.json())["jobs"]) == 1
    stop.set()
    await task
    store.close()


@pytest.mark.parametrize("read_only", [False, True])
async def test_read_only_hub_says_so_in_each_response(served, read_only):
    """For clients that would offer acts; a page says it too."""
    async with running_hub(served, read_only=read_only) as hub:
        for path in (*PAGES, "/nowhere", "/api/jobs/nobody"):
            answer = await get(hub, path)
            assert answer.headers.get("Jobctl-Read-Only") == ("1" if read_only else None)
        said = b'"readOnly": true' if read_only else b'"readOnly": false'
        assert said in (await get(hub, "/")).body


async def test_page_names_its_place_for_those_who_see_details(served):
    """The directory is a detail; the template of links is not."""
    template = "https://app.example/s/{id}"
    async with running_hub(served, session_url=template) as hub:
        assert await _settings(hub) == (served.where, template)
    async with running_hub(
        served, session_url=template, local_users=True, peer_uid=lambda _: 12345
    ) as hub:
        assert await _settings(hub) == (None, template)


async def _settings(hub):
    page = (await get(hub, "/")).body.decode()
    (known,) = re.findall(r'id="settings">(.*?)</script>', page, flags=re.DOTALL)
    settings = json.loads(known)
    return settings["place"], settings["sessionUrl"]


@pytest.mark.parametrize(
    ("wanted", "leads_to"),
    [
        ("/", "/"),
        ("/jobs/a1", "/jobs/a1"),
        ("/jobs/a1?kiosk=1", "/jobs/a1?kiosk=1"),
        ("/?show=failed&q=a%20b", "/?show=failed&q=a%20b"),
        ("//evil.example/", "/"),
        ("https://evil.example/", "/"),
        ("/\\evil.example", "/"),
        ("/jobs/a\r\nSet-Cookie: x=y", "/"),
        ("/metrics", "/"),
    ],
)
async def test_signing_in_leads_back_to_the_view(served, wanted, leads_to):
    """And to no other site."""
    token = "0123456789abcdef"
    async with running_hub(served, token=token.encode()) as hub:
        if wanted == leads_to:
            page = await get(hub, wanted, headers={"Accept": "text/html"})
            query = "" if wanted == "/" else f"?{urlencode({'next': wanted})}"
            assert (page.status, page.headers["Location"]) == (303, f"/login{query}")
        url = f"http://127.0.0.1:{hub.port}/login"
        async with (
            ClientSession() as session,
            session.post(
                url, params={"next": wanted}, data={"token": token}, allow_redirects=False
            ) as answer,
        ):
            assert (answer.status, answer.headers["Location"]) == (303, leads_to)


async def test_ticket_signs_in_once(served):
    """As `serve --open` uses it; afterwards the page says what to do."""
    async with running_hub(served, token=b"0123456789abcdef") as hub:
        ticket = hub.server._access.tickets.issue()
        url = f"http://127.0.0.1:{hub.port}/login"
        async with ClientSession(cookie_jar=CookieJar(unsafe=True)) as session:
            async with session.post(url, data={"ticket": ticket}, allow_redirects=False) as answer:
                assert answer.status == 303
            async with session.get(f"http://127.0.0.1:{hub.port}/api/jobs") as answer:
                assert answer.status == 200
            async with session.post(url, data={"ticket": ticket}) as answer:
                assert answer.status == 401
                assert "That link is used up." in await answer.text()
