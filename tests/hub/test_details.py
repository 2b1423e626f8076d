"""Who sees the details of a command on the wire: FAULTS row 65, on real sockets."""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession

from jobctl.core.codec import parse
from jobctl.core.cursor import ZERO, Cursor
from jobctl.hub.access import AccessPolicy, AccessRequest, Grant, Rights
from jobctl.reader.once import read
from jobctl.stores import Store
from tests.cli.conftest import command, environment, run_process
from tests.hub.network import Reader, Running, new_job, plain, running_hub, said, until, v1

pytestmark = pytest.mark.slow

SECRET = "hunter2-value"
ARGUMENT = "--password=hunter2-argument"
NOISE = "Authorization: Bearer hunter2-stderr"
LAST = "no route to host"
SCRIPT = f"echo '{NOISE}' >&2; echo '{LAST}' >&2; exit 2"
DIRECTORY = "hunter2-directory"
TOKEN = "0123456789abcdef-token"
BEARER = {"Authorization": f"Bearer {TOKEN}"}
WITH_JOBS = ("v1", "subscribe", "plain init", "plain update", "/api/jobs", "/api/jobs/backup")


@pytest.fixture(scope="module")
def file_of_a_run(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The file of a failed ``jobctl run`` that kept a secret variable."""
    work = tmp_path_factory.mktemp(DIRECTORY)
    ran = subprocess.run(
        command("run", "--dir", str(work), "--id", "backup", "--keep-env", "SECRET", "--",
                "sh", "-c", SCRIPT, ARGUMENT),
        env=environment(SECRET=SECRET), cwd=work, capture_output=True, timeout=50,
    )  # fmt: skip
    assert ran.returncode == 2
    return (work / "backup.json").read_bytes()


@pytest.fixture
def failed_run(served: Store, file_of_a_run: bytes) -> Store:
    """The served store, with that job."""
    served.create(parse(file_of_a_run, id="backup"))
    run = served.get("backup").run
    assert len(leaks({"disk": json.dumps(run)}, SECRET, ARGUMENT, NOISE, DIRECTORY)) == 4
    return served


@asynccontextmanager
async def limited_hub(store: Store, **options: Any) -> AsyncIterator[Running]:
    """A hub on the store that lets everybody view, and nobody see details."""
    async with running_hub(store, **options) as hub:

        async def admit(access_request: AccessRequest) -> Grant:
            return Grant(Rights.VIEW)

        hub.server._access.authenticate = admit
        yield hub


async def get(hub: Running, path: str, **headers: str) -> tuple[int, Any, str]:
    """Status, headers and body of a GET."""
    async with (
        ClientSession() as session,
        session.get(f"http://127.0.0.1:{hub.port}{path}", headers=headers) as answer,
    ):
        return answer.status, answer.headers, await answer.text()


async def everything_sent(hub: Running, store: Store, **headers: str) -> dict[str, str]:
    """What each way out of the hub says of the job, as text."""
    found = {}
    store.update("backup", lambda job: job.replace(stage="run"))
    async with v1(f"{hub.url}?active=1&digest=1", additional_headers=headers) as connection:
        found["v1"] = json.dumps(await said(connection))
        await connection.send('{"type":"jobs:subscribe","since":"0","filter":{"id":"backup"}}')
        found["subscribe"] = json.dumps(await said(connection))
    async with plain(hub.url, additional_headers=headers) as connection:
        found["plain init"] = json.dumps(await said(connection))
        store.update("backup", lambda job: job.replace(stage="failed"))
        found["plain update"] = json.dumps(await said(connection))
    for path in ("/api/jobs", "/api/jobs?id=backup&limit=1", "/api/jobs/backup"):
        found[path] = (await get(hub, path, **headers))[2]
    for where, text in found.items():
        assert '"backup"' in text, where
    for path in ("/", "/metrics", "/api/clients", "/healthz"):
        found[path] = (await get(hub, path, **headers))[2]
    return found


def leaks(found: dict[str, str], *texts: str) -> list[tuple[str, str]]:
    """Which of the texts is to be seen where."""
    return [(where, text) for where, said in found.items() for text in texts if text in said]


async def test_kept_variables_leave_the_directory_for_nobody(failed_run: Store) -> None:
    """FAULTS row 65: ``run.env`` is on no wire, not even for the hub's own user."""
    async with running_hub(failed_run) as hub:
        found = await everything_sent(hub, failed_run)
    assert leaks(found, SECRET, '"SECRET"', '"env"') == []
    for where in WITH_JOBS:
        assert all(text in found[where] for text in (ARGUMENT, NOISE, DIRECTORY)), where


async def test_viewer_sees_no_command(failed_run: Store) -> None:
    """FAULTS row 65: only that the job failed, and with which error."""
    async with limited_hub(failed_run) as hub:
        found = await everything_sent(hub, failed_run)
    assert leaks(found, "hunter2", "SECRET", SCRIPT[:9], '"argv"', '"cwd"', '"stderr"') == []
    for where in WITH_JOBS:
        assert f"Exit code 2: {LAST}" in found[where], where
    job = json.loads(found["/api/jobs/backup"])
    assert job["title"] == "sh"
    assert job["run"].keys() - {"maxRssBytes"} == {"exitCode", "durationMs", "cpuMs"}
    assert not job.keys() & {"host", "user"}


async def test_hub_that_lets_others_in_without_a_token_lets_them_view() -> None:
    """FAULTS row 65: ``--insecure`` gives no right to details, a token gives it."""
    someone = AccessRequest((), "192.0.2.1", secure=False)
    assert (
        await AccessPolicy("127.0.0.1", insecure=True).authenticate(someone)
    ).rights == Rights.VIEW
    access = AccessPolicy("127.0.0.1", token=TOKEN.encode(), insecure=True)
    assert await access.authenticate(someone) is None
    bearer = someone._replace(headers=(("authorization", f"Bearer {TOKEN}"),))
    assert (await access.authenticate(bearer)).rights == Rights.VIEW | Rights.DETAILS


@pytest.mark.parametrize("way", ["header", "cookie", "message"])
async def test_token_brings_the_details(failed_run: Store, way: str) -> None:
    """By each of the ways to show it; never the kept variables."""
    async with running_hub(failed_run, token=TOKEN.encode()) as hub:
        name, value = hub.server._access.cookie(AccessRequest((), "", False))
        headers = {"header": BEARER, "cookie": {"Cookie": f"{name}={value}"}, "message": {}}[way]
        if way != "message":
            found = await everything_sent(hub, failed_run, **headers)
        else:
            async with v1(hub.url) as connection:
                await connection.send(json.dumps({"type": "jobs:auth", "token": TOKEN}))
                found = {"v1": json.dumps(await said(connection))}
    assert leaks(found, SECRET) == []
    for where in set(WITH_JOBS) & found.keys():
        assert ARGUMENT in found[where], where


async def test_cache_never_mixes_the_views(failed_run: Store) -> None:
    """FAULTS row 65: their ETags differ, and the answers name the headers they depend on."""
    tags: dict[str, list[str]] = {"/api/jobs": [], "/api/jobs/backup": []}
    hubs = (running_hub, limited_hub, partial(running_hub, token=TOKEN.encode()))
    for start in hubs:
        async with start(failed_run) as hub:
            for path, seen in tags.items():
                for other in seen[-1:]:
                    must_send = await get(hub, path, **BEARER, **{"If-None-Match": other})
                    assert must_send[0] == 200, "the other view's body does not do"
                status, headers, _ = await get(hub, path, **BEARER)
                assert (status, headers["Vary"]) == (200, "Authorization, Cookie, Origin")
                assert headers["Cache-Control"] == "private, no-cache"
                again = await get(hub, path, **BEARER, **{"If-None-Match": headers["ETag"]})
                assert (again[0], again[1]["Vary"]) == (304, "Authorization, Cookie, Origin")
                seen.append(headers["ETag"])
    for seen in tags.values():
        assert seen[0] == seen[2] != seen[1]


async def test_reader_that_gains_or_loses_details_starts_over(failed_run: Store) -> None:
    """A client that comes back with its cursor to a hub with other rules holds what it may see."""
    async with limited_hub(failed_run) as hub:
        port = hub.port
        reader = Reader.of_hub(hub.url)
        await until(lambda: reader.contents)
    async with reader:
        for limited, title, resets in ((True, "sh", 1), (False, "sh -c", 2), (True, "sh", 3)):
            before = len(reader.deltas)
            async with (limited_hub if limited else running_hub)(failed_run, port=port):
                await until(partial(reader_has_moved, reader, before))
                assert (reader.contents["backup"][1] or "").startswith(title)
                assert ("argv" in reader.set.get("backup").run) is not limited
                assert reader.resets == resets


def reader_has_moved(reader: Reader, before: int) -> bool:
    """Whether a delta has come since there were so many."""
    return len(reader.deltas) > before


async def test_api_cursor_of_one_view_is_reset_in_the_other(failed_run: Store) -> None:
    """And resumes in its own."""
    async with running_hub(failed_run) as hub:
        full = json.loads((await get(hub, "/api/jobs"))[2])
    async with limited_hub(failed_run) as hub:
        limited = json.loads((await get(hub, "/api/jobs"))[2])
        assert limited["epoch"] != full["epoch"]
        for cursor, since in ((full["cursor"], 0), (limited["cursor"], limited["through"])):
            again = json.loads((await get(hub, f"/api/jobs?since={cursor}"))[2])
            assert (again["since"], again["cursor"]) == (since, limited["cursor"])


async def test_pages_of_the_api_follow_on_without_details(served: Store) -> None:
    """Each page is gone on from where it ended, and they hold every job once."""
    for number in range(1, 8):
        run = {"argv": ["sh", str(number)], "cwd": "/"}
        served.create(new_job(f"a{number}", title=f"sh {number}", run=run))
    async with limited_hub(served) as hub:
        jobs, cursor, more = [], "0", True
        while more:
            page = json.loads((await get(hub, f"/api/jobs?limit=3&since={cursor}"))[2])
            jobs += page["jobs"]
            cursor, more = page["cursor"], page["more"]
    assert [job["id"] for job in jobs] == [f"a{number}" for number in range(1, 8)]
    assert {(job["title"], str(job["run"])) for job in jobs} == {("sh", "{}")}


async def test_commands_show_what_they_get(failed_run: Store, directory: Path) -> None:
    """``show`` and ``ls`` over the network, and ``retry --rerun``, which reads the directory."""
    async with limited_hub(failed_run) as hub:
        url = hub.url
        show = await asyncio.to_thread(run_process, "show", "backup", "--url", url)
        listed = await asyncio.to_thread(run_process, "ls", "--url", url, "-o", "json")
        assert (show.code, listed.code) == (0, 0)
        (job,) = json.loads(listed.out)["jobs"]
        assert (job["title"], job["run"]["exitCode"]) == ("sh", 2)
        lines = {line[:15].strip(): line[16:] for line in show.out.splitlines()}
        assert (lines["title"], lines["error"]) == ("sh", f"Exit code 2: {LAST}")
        assert lines["exit code"] == "2"
        assert "command" not in lines
        assert leaks({"show": show.out, "ls": listed.out}, "hunter2", "SECRET") == []
        again = await asyncio.to_thread(
            run_process, "retry", "backup", "--rerun", "--dir", str(directory)
        )
        assert (again.code, again.out) == (2, "")
        assert failed_run.get("backup").retry_count == 1
        assert failed_run.get("backup").command.env == {"SECRET": SECRET}


async def test_hub_shows_the_same_as_the_directory_to_its_own_user(
    failed_run: Store, directory: Path
) -> None:
    """Machine output is the same, whoever reads the files; kept variables stay in them."""
    async with running_hub(failed_run) as hub:
        here, there = [
            await asyncio.to_thread(run_process, "show", "backup", *where, "-o", "json")
            for where in (("--dir", str(directory)), ("--url", hub.url))
        ]
    values = [json.loads(ran.out) for ran in (here, there)]
    for value in values:
        value.pop("derived")
    assert values[0] == values[1]
    assert ARGUMENT in values[0]["run"]["argv"]
    assert leaks({"here": here.out, "there": there.out}, SECRET) == []


async def test_doctor_knows_the_epoch_of_a_reader_without_details(
    failed_run: Store, directory: Path
) -> None:
    """It is the directory's, whatever the hub lets us see."""
    async with limited_hub(failed_run):
        ran = await asyncio.to_thread(run_process, "doctor", "--dir", str(directory))
    assert "a hub is up to date" in ran.out
    assert "another epoch" not in ran.out


async def test_reader_crosses_to_a_hub_that_shows_less(failed_run: Store) -> None:
    """By a reset, so that what it holds is what the hub shows."""
    whole = await asyncio.to_thread(failed_run.since, ZERO)
    async with limited_hub(failed_run) as hub:
        delta = await read(hub.url, cursor=Cursor(whole.epoch, whole.through))
        assert delta.since == 0
        assert [job.title for job in delta.jobs] == ["sh"]
        assert (await read(hub.url, cursor=delta.cursor())).jobs == ()
