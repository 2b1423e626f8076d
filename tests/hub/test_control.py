"""Acts through a hub, on real sockets: who may do what, and how it is answered."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientError, ClientPayloadError, ClientSession
from websockets.exceptions import ConnectionClosed

from jobctl._clock import now, now_ms
from jobctl.core import transitions
from jobctl.core.cursor import Cursor
from jobctl.core.filters import Filter
from jobctl.core.job import Job
from jobctl.core.jobset import Delta
from jobctl.core.times import to_text
from jobctl.errors import StoreLocked
from jobctl.hub.access import AccessPolicy, AccessRequest
from jobctl.hub.tokens import TokenFile, digest_of_token
from jobctl.reader.client import Client
from jobctl.stores import Store, open_store
from tests.hub.network import Running, new_job, plain, running_hub, said, until, v1
from tests.hub.test_log_endpoint import logged

pytestmark = pytest.mark.slow

TOKENS = {
    name: f"{name}-0123456789abcdef"
    for name in ("viewer", "robot", "ops", "boss", "etl", "late", "blind")
}
RIGHTS = {
    "viewer": "view,details",
    "robot": "view,report",
    "ops": "view,details,operate",
    "boss": "view,details,report,operate,admin",
    "etl": "view,details,operate,admin type=etl",
    "late": "view,operate 2020-01-01",
    "blind": "operate",
}


def lines(names: tuple[str, ...] = tuple(TOKENS)) -> str:
    """A token file with these tokens."""
    digests = {name: hashlib.sha256(token.encode()).hexdigest() for name, token in TOKENS.items()}
    return "".join(f"{name} {RIGHTS[name]} {digests[name]}\n" for name in names)


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    """A token file with all of these tokens."""
    path = tmp_path / "tokens"
    path.write_text(lines())
    path.chmod(0o600)
    return path


@pytest.fixture
async def hub(served: Store, token_file: Path) -> AsyncIterator[Running]:
    """A hub that takes acts from those who have one of the tokens."""
    async with running_hub(served, token=TokenFile(token_file), control=True) as hub:
        yield hub


def bearer(name: str) -> dict[str, str]:
    """The header with a token."""
    return {"Authorization": f"Bearer {TOKENS[name]}"}


async def asked(connection: Any, type: str, **more: Any) -> dict[str, Any]:
    """Send an act; return its answer, whatever deltas come before."""
    await connection.send(json.dumps({"type": f"jobs:{type}", "req": "r1", **more}))
    while True:
        message = json.loads(await asyncio.wait_for(connection.recv(), 5))
        if message["type"] in ("jobs:done", "jobs:refused"):
            return message


@asynccontextmanager
async def socket(hub: Running, name: str, **headers: str) -> AsyncIterator[Any]:
    """A connection with a token."""
    async with v1(hub.url, additional_headers={**bearer(name), **headers}) as connection:
        yield connection


async def post(
    hub: Running,
    path: str,
    body: Any,
    content_type: str | None = "application/json",
    **headers: str,
) -> tuple[int, Any]:
    """Status and decoded body of a POST."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    if content_type is not None:
        headers["Content-Type"] = content_type
    async with (
        ClientSession(skip_auto_headers=["Content-Type"]) as session,
        session.post(f"http://127.0.0.1:{hub.port}{path}", data=data, headers=headers) as answer,
    ):
        text = await answer.text()
        is_json = answer.content_type == "application/json"
        return answer.status, json.loads(text) if is_json else text


# -- who may do what ------------------------------------------------------------------------

ACTS: dict[str, dict[str, Any]] = {
    "create": {"jobType": "etl", "id": "new"},
    "advance": {"id": "pending", "attempt": 0, "stage": "load"},
    "progress": {"id": "pending", "attempt": 0, "done": 5},
    "complete": {"id": "pending", "attempt": 0},
    "fail": {"id": "pending", "attempt": 0, "error": "no"},
    "cancel": {"id": "pending", "attempt": 0},
    "retry": {"id": "failed", "attempt": 0},
    "acknowledge": {"id": "failed", "attempt": 0},
    "remove": {"id": "failed", "attempt": 0},
}
REPORT = {"create", "advance", "progress", "complete", "fail"}
OPERATE = {"cancel", "retry", "acknowledge"}
MAY = {
    "viewer": set[str](),
    "robot": {"create"},  # the jobs are not its own
    "ops": OPERATE,
    "boss": set(ACTS),
    "etl": OPERATE | {"remove"},
    "blind": OPERATE,
}


def fill(store: Store) -> None:
    """A pending and a failed job of type etl, and a pending one of another type."""
    store.create(new_job("pending"))
    store.create(transitions.fail(new_job("failed"), "no", now=now()))
    store.create(new_job("other").replace(type="other"))


@pytest.mark.parametrize("way", ["socket", "post"])
@pytest.mark.parametrize("verb", ACTS)
@pytest.mark.parametrize("role", MAY)
async def test_role_may_do_what_its_rights_say(
    hub: Running, served: Store, role: str, verb: str, way: str
) -> None:
    """What is allowed is done; what is not is forbidden, and changes nothing."""
    fill(served)
    before = served.head()
    if way == "socket":
        async with socket(hub, role) as connection:
            answer = await asked(connection, verb, **ACTS[verb])
    else:
        body = {"req": "r1", **ACTS[verb]}
        path = "/api/jobs" if verb == "create" else f"/api/jobs/{body.pop('id')}/{verb}"
        status, answer = await post(hub, path, body, **bearer(role))
        assert status == (200 if verb in MAY[role] else 403)
    if verb in MAY[role]:
        assert answer["type"] == "jobs:done"
        assert served.head().revision == answer["revision"] == before.revision + 1
    else:
        assert (answer["type"], answer["code"]) == ("jobs:refused", "forbidden")
        assert served.head() == before


async def test_reporter_moves_its_own_jobs_only(hub: Running, served: Store) -> None:
    """Those that this name created through a hub; an administrator moves all."""
    fill(served)
    async with socket(hub, "robot") as connection:
        made = await asked(connection, "create", jobType="etl")
        id = made["id"]
        for number, (verb, more) in enumerate(
            [
                ("advance", {"stage": "load"}),
                ("progress", {"done": 50}),
                ("complete", {"result": 7}),
            ]
        ):
            answer = await asked(connection, verb, req=f"m{number}", id=id, attempt=0, **more)
            assert answer["type"] == "jobs:done"
        answer = await asked(connection, "fail", req="x", id="pending", attempt=0, error="mine?")
        assert (answer["code"], "has not created" in answer["message"]) == ("forbidden", True)
    job = served.get(id)
    assert (job.stage, job.result) == ("completed", 7)
    assert job.history is not None
    assert {entry.extra["by"] for entry in job.history if entry.extra} == {"robot"}


@pytest.mark.parametrize("way", ["socket", "post"])
async def test_filter_of_a_token_limits_what_it_changes(
    hub: Running, served: Store, way: str
) -> None:
    """Another's job is not there at all: neither the act nor the refusal shows it."""
    fill(served)
    act = {"req": "r1", "attempt": 0}
    if way == "socket":
        async with socket(hub, "etl") as connection:
            answer = await asked(connection, "cancel", id="other", attempt=0)
            missing = await asked(connection, "cancel", id="missing", attempt=0)
    else:
        _, answer = await post(hub, "/api/jobs/other/cancel", act, **bearer("etl"))
        status, missing = await post(hub, "/api/jobs/missing/cancel", act, **bearer("etl"))
        assert status == 404
    assert answer["code"] == missing["code"] == "gone"
    assert answer["message"].replace("other", "missing") == missing["message"]
    assert "job" not in answer
    assert served.get("other").stage == "pending"


async def test_filter_of_a_token_limits_what_it_sees(hub: Running, served: Store) -> None:
    """On the socket with any filter, and over HTTP; its tag is that of the cursor."""
    fill(served)
    async with socket(hub, "etl") as connection:
        delta = await said(connection)
        assert {job["id"] for job in delta["jobs"]} == {"pending", "failed"}
        tag = Cursor.parse(delta["cursor"]).tag
        assert tag
        await connection.send('{"type":"jobs:subscribe","since":"0","filter":{"type":"other"}}')
        assert (await said(connection))["jobs"] == []
        answer = await asked(connection, "cancel", id="pending", attempt=0)
        assert Cursor.parse(answer["cursor"]).tag not in ("", tag)
    async with v1(f"{hub.url}?since={delta['cursor']}", additional_headers=bearer("etl")) as again:
        assert (await said(again))["since"] == delta["through"], "it resumes"
    async with plain(hub.url, additional_headers=bearer("etl")) as connection:
        assert "other" not in json.dumps(await said(connection))
    async with ClientSession() as session:
        for path, status in {
            "/api/jobs/pending": 200, "/api/jobs/other": 404, "/api/jobs/other/log": 404,
            "/api/clients": 403, "/metrics": 403, "/api/overdue": 403,
        }.items():  # fmt: skip
            url = f"http://127.0.0.1:{hub.port}{path}"
            async with session.get(url, headers=bearer("etl")) as answer:
                assert (path, answer.status) == (path, status)
        url = f"http://127.0.0.1:{hub.port}/api/jobs"
        async with session.get(url, headers=bearer("etl")) as answer:
            jobs = (await answer.json())["jobs"]
            assert {job["id"] for job in jobs} == {"pending", "failed"}
        async with session.get(url, headers=bearer("blind")) as answer:
            assert (await answer.json())["jobs"] == []


async def test_python_client_resumes_under_the_filter_of_its_token(
    hub: Running, served: Store
) -> None:
    """Its cursor has the tag that the hub gave it, not that of its own filter."""
    fill(served)
    client = Client(hub.url, token=TOKENS["etl"].encode(), filter=Filter.make(stages=["pending"]))
    deltas: list[Delta] = []

    async def read() -> None:
        async for event in client.events():
            if isinstance(event, Delta):
                deltas.append(event)

    task = asyncio.create_task(read())
    await until(lambda: deltas)
    assert [job.id for job in deltas[0].jobs] == ["pending"]
    for connection in list(hub.server.clients.open):
        connection.abort()
    served.create(new_job("second"))
    await until(lambda: len(deltas) > 1)
    task.cancel()
    assert hub.server.counts.starts["resumed"] == 1
    assert (deltas[1].since, [job.id for job in deltas[1].jobs]) == (deltas[0].through, ["second"])


async def test_first_delta_says_what_the_session_may_do(hub: Running) -> None:
    """Once a connection."""
    async with socket(hub, "ops") as connection:
        assert (await said(connection))["can"] == ["view", "details", "operate"]
        await connection.send('{"type":"jobs:subscribe","since":"0"}')
        assert "can" not in await said(connection)


async def test_hub_without_control_takes_no_acts(served: Store, token_file: Path) -> None:
    """The rights of the file do not matter then; the sentence names the option."""
    fill(served)
    async with running_hub(served, token=TokenFile(token_file)) as hub:
        async with socket(hub, "boss") as connection:
            assert "can" not in await said(connection)
            answer = await asked(connection, "cancel", id="pending", attempt=0)
            assert (answer["code"], answer["hint"]) == (
                "unsupported", "'jobctl serve --control' lets clients change them"
            )  # fmt: skip
        status, _ = await post(hub, "/api/jobs/pending/cancel", {}, **bearer("boss"))
        assert status == 404
    async with (
        running_hub(served, token=TokenFile(token_file), control=True, read_only=True) as hub,
        socket(hub, "boss") as connection,
    ):
        answer = await asked(connection, "cancel", id="pending", attempt=0)
        assert answer["code"] == "read-only"
    assert served.get("pending").stage == "pending"


# -- browsers -------------------------------------------------------------------------------

CANCEL = {"req": "r1", "attempt": 0}


@pytest.mark.parametrize(
    ("headers", "content_type", "status"),
    [
        ({}, "application/json", 403),  # a cookie alone
        ({"Sec-Fetch-Site": "same-origin"}, "application/json", 200),
        ({"Sec-Fetch-Site": "same-origin"}, "application/json; charset=utf-8", 200),
        ({"Sec-Fetch-Site": "same-origin"}, "text/plain", 415),
        ({"Sec-Fetch-Site": "same-origin"}, "application/x-www-form-urlencoded", 415),
        ({"Sec-Fetch-Site": "same-origin"}, "multipart/form-data; boundary=x", 415),
        ({"Sec-Fetch-Site": "same-origin"}, None, 415),
        ({"Sec-Fetch-Site": "cross-site"}, "application/json", 403),
        ({"Sec-Fetch-Site": "same-site"}, "application/json", 403),
        ({"Sec-Fetch-Site": "none"}, "application/json", 403),
        ({"Origin": "OWN"}, "application/json", 200),
        ({"Origin": "http://127.0.0.1:1"}, "application/json", 403),
        ({"Origin": "http://localhost"}, "application/json", 403),
        ({"Origin": "http://evil.example"}, "application/json", 403),
        ({"Origin": "null"}, "application/json", 403),
        ({"Origin": "OWN", "Sec-Fetch-Site": "cross-site"}, "application/json", 403),
    ],
)
@pytest.mark.parametrize("user", ["cookie", "own process"])
async def test_only_the_hubs_own_page_posts_with_what_a_browser_adds(
    served: Store,
    token_file: Path,
    user: str,
    headers: dict[str, str],
    content_type: str | None,
    status: int,
) -> None:
    """A browser adds the cookie to every page's request, and its process is this user's."""
    fill(served)
    headers = dict(headers)
    options: dict[str, Any] = {"token": TokenFile(token_file)} if user == "cookie" else {}
    async with running_hub(served, control=True, **options) as hub:
        if headers.get("Origin") == "OWN":
            headers["Origin"] = f"http://127.0.0.1:{hub.port}"
        if user == "cookie":
            headers["Cookie"] = await cookie_of(hub, "ops")
        elif not headers:
            status = 200  # no browser at all: curl
        got, answer = await post(hub, "/api/jobs/pending/cancel", CANCEL, content_type, **headers)
    assert got == status, answer
    assert (served.get("pending").stage == "failed") == (status == 200)


async def cookie_of(hub: Running, name: str) -> str:
    """The cookie that a browser gets when it signs in."""
    async with (
        ClientSession() as session,
        session.post(
            f"http://127.0.0.1:{hub.port}/login", data={"token": TOKENS[name]},
            allow_redirects=False,
        ) as answer,
    ):  # fmt: skip
        assert answer.status == 303
        return answer.headers["Set-Cookie"].partition(";")[0]


async def test_socket_with_a_cookie_changes_nothing(hub: Running, served: Store) -> None:
    """The first delta says that acts go by POST."""
    fill(served)
    headers = {"Cookie": await cookie_of(hub, "ops"), "Origin": f"http://127.0.0.1:{hub.port}"}
    async with v1(hub.url, additional_headers=headers) as connection:
        delta = await said(connection)
        assert (delta["can"], delta["acts"]) == (["view", "details", "operate"], "post")
        answer = await asked(connection, "cancel", id="pending", attempt=0)
    assert (answer["code"], "cookie" in answer["message"]) == ("forbidden", True)
    assert served.get("pending").stage == "pending"


@pytest.mark.parametrize(
    ("origin", "done"), [("http://127.0.0.1:{port}", True), ("http://localhost:3000", False)]
)
async def test_socket_of_this_user_from_another_page_changes_nothing(
    served: Store, origin: str, done: bool
) -> None:
    """A page of another local server runs in the browser of the hub's own user."""
    fill(served)
    async with running_hub(served, control=True) as hub:
        headers = {"Origin": origin.format(port=hub.port)}
        async with v1(hub.url, additional_headers=headers) as connection:
            assert ("operate" in (await said(connection))["can"]) == done
            answer = await asked(connection, "cancel", id="pending", attempt=0)
    assert (answer["type"] == "jobs:done") == done
    assert (served.get("pending").stage == "failed") == done


async def test_token_in_the_first_message_is_enough(hub: Running, served: Store) -> None:
    """As a page of another origin sends it."""
    fill(served)
    async with v1(hub.url) as connection:
        await connection.send(json.dumps({"type": "jobs:auth", "token": TOKENS["ops"]}))
        answer = await asked(connection, "cancel", id="pending", attempt=0, reason="no\nmore")
    assert answer["type"] == "jobs:done"
    cancelled = served.get("pending").cancellation
    assert cancelled is not None
    assert (cancelled.by, cancelled.reason) == ("ops", "no more")


async def test_own_user_has_all_rights_without_a_token(served: Store) -> None:
    """Recognised by the user id of its process; with --insecure only with the hub's token."""
    fill(served)
    async with running_hub(served, control=True) as hub, v1(hub.url) as connection:
        assert (await said(connection))["can"] == [
            "view", "details", "report", "operate", "admin"
        ]  # fmt: skip
        assert (await asked(connection, "retry", id="failed", attempt=0))["type"] == "jobs:done"
    async with running_hub(served, control=True, insecure=True) as hub, v1(hub.url) as connection:
        assert (await said(connection))["can"] == ["view", "details"]
    nobody = AccessPolicy("127.0.0.1", control=True, local_users=True, own_uid=12345)
    other = AccessRequest((), "127.0.0.1", secure=False, uid=54321)
    grant = await nobody.authenticate(other)
    assert grant is not None
    assert grant.rights.name == "VIEW"


# -- answers --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "body", "status", "code"),
    [
        ("/api/jobs/pending/cancel", b"[1]", 400, None),
        ("/api/jobs/pending/cancel", b"{", 400, None),
        ("/api/jobs/pending/cancel", {"req": "r1"}, 400, "invalid"),
        ("/api/jobs/pending/cancel", {"attempt": 0}, 400, "invalid"),
        ("/api/jobs/pending/cancel", {**CANCEL, "argv": ["sh"]}, 400, "invalid"),
        ("/api/jobs", {"req": "r1", "jobType": "x", "run": {"argv": ["sh"]}}, 400, "invalid"),
        ("/api/jobs", {"req": "r1", "jobType": "x", "id": "../x"}, 400, "invalid"),
        ("/api/jobs/pending/cancel", {"req": "r1", "attempt": 1}, 409, "conflict"),
        ("/api/jobs/pending/cancel", {**CANCEL, "revision": 999}, 409, "conflict"),
        ("/api/jobs/pending/retry", CANCEL, 409, "conflict"),
        ("/api/jobs/pending/remove", CANCEL, 409, "conflict"),
        ("/api/jobs", {"req": "r1", "jobType": "x", "id": "pending"}, 409, "conflict"),
        ("/api/jobs/missing/cancel", CANCEL, 404, "gone"),
        ("/api/jobs/missing/remove", CANCEL, 404, "gone"),
        ("/api/jobs/pending/explode", CANCEL, 404, None),
        ("/api/jobs/pending/create", CANCEL, 404, None),
        ("/api/jobs/pending/cancel", b" " * 70_000, 413, None),
        ("/api/jobs/pending/cancel?x=1", CANCEL, 400, None),
    ],
)
async def test_refusal_has_its_status_and_the_job(
    hub: Running, served: Store, path: str, body: Any, status: int, code: str | None
) -> None:
    """A conflict comes with the job as it stands now; nothing changes."""
    fill(served)
    before = served.head()
    got, answer = await post(hub, path, body, **bearer("boss"))
    assert got == status, answer
    if code is not None:
        assert (answer["type"], answer["code"]) == ("jobs:refused", code)
        assert ("job" in answer) == (code == "conflict")
    if code == "conflict":
        assert answer["job"]["revision"] == served.get("pending").revision
    assert served.head() == before


async def test_job_of_a_conflict_is_shown_by_rights(hub: Running, served: Store) -> None:
    """FAULTS row 65: no command without details, and no job without view."""
    run = {"argv": ["sh", "-c", "secret"], "cwd": "/secret"}
    served.create(transitions.fail(new_job("a"), "no", now=now()).replace(run=run))
    for role, shown in {"ops": True, "blind": False}.items():
        async with socket(hub, role) as connection:
            answer = await asked(connection, "cancel", id="a", attempt=0)
        assert answer["code"] == "conflict"
        assert ("secret" in json.dumps(answer)) == ("job" in answer) == shown


async def test_command_is_not_made_pending(hub: Running, served: Store) -> None:
    """A hub never runs one; the hint is what to type."""
    run = {"argv": ["sh", "-c", "exit 1"], "cwd": "/"}
    served.create(transitions.fail(new_job("a"), "no", now=now()).replace(run=run))
    async with socket(hub, "ops") as connection:
        answer = await asked(connection, "retry", id="a", attempt=0)
    assert answer["code"] == "unsupported"
    assert "jobctl retry --rerun a" in answer["hint"]


async def test_file_of_another_program_keeps_what_the_act_does_not_set(
    hub: Running, served: Store, directory: Path
) -> None:
    """Its own keys have their bytes, and the program may rewrite the file without the acts."""
    path = directory / "f1.json"
    path.write_text(
        '{"stage":"pending","createdAt":"2026-11-28 12:00:00Z","n":1.00000000000000000000001}'
    )
    async with socket(hub, "ops") as connection:
        answer = await asked(connection, "cancel", id="f1", attempt=0)
        assert answer["type"] == "jobs:done", answer
        text = path.read_text()
        assert '"n":1.00000000000000000000001' in text.replace(": ", ":")
        assert "2026-11-28 12:00:00Z" in text
        path.write_text('{"stage":"failed","error":"x","retryCount":3}')
        served.refresh()
        answer = await asked(connection, "retry", req="r2", id="f1", attempt=0)
        assert (answer["code"], answer["job"]["retryCount"]) == ("conflict", 3)
        answer = await asked(connection, "retry", req="r2", id="f1", attempt=3)
        assert answer["type"] == "jobs:done"
    assert served.get("f1").retry_count == 4


async def test_damaged_file_and_busy_store_are_refusals(
    hub: Running, served: Store, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a code; a store that refuses says when to ask again."""
    (directory / "bad.json").write_text("not a job")
    status, answer = await post(hub, "/api/jobs/bad/cancel", CANCEL, **bearer("ops"))
    assert (status, answer["code"]) == (409, "conflict")
    fill(served)

    def locked(*_: object) -> None:
        raise StoreLocked(str(directory), 5.0, 77)

    monkeypatch.setattr(served, "update", locked)
    status, answer = await post(hub, "/api/jobs/pending/cancel", CANCEL, **bearer("ops"))
    assert (status, answer["code"], answer["retryAfter"]) == (503, "busy", 5.0)

    def broken(*_: object) -> None:
        raise RuntimeError("a defect")

    monkeypatch.setattr(served, "update", broken)
    status, answer = await post(hub, "/api/jobs/pending/cancel", CANCEL, **bearer("ops"))
    assert (status, answer["message"]) == (422, "the hub failed; its log says more")


async def test_done_names_the_cursor_that_the_delta_reaches(hub: Running, served: Store) -> None:
    """Epoch, revision and tag are those of the session."""
    fill(served)
    url = f"{hub.url}?id=pending"
    async with v1(url, additional_headers=bearer("ops")) as connection:
        await said(connection)
        await connection.send(json.dumps({"type": "jobs:cancel", "id": "pending", **CANCEL}))
        messages = [await said(connection), await said(connection)]
        delta, done = sorted(messages, key=lambda message: message["type"], reverse=True)
        if delta["type"] == "jobs:done":
            delta, done = done, delta
    assert done["cursor"] == delta["cursor"]
    assert done["revision"] == delta["through"] == delta["jobs"][0]["revision"]


async def test_repeat_is_answered_as_the_first_time(
    hub: Running, served: Store, directory: Path, token_file: Path
) -> None:
    """By the same hub and by another one, also for a job that is created or removed."""
    fill(served)
    acts = {
        "create": {"jobType": "etl", "title": "one"},
        "retry": {"id": "failed", "attempt": 0},
        "remove": {"id": "gone", "attempt": 0},
    }
    served.create(transitions.fail(new_job("gone"), "no", now=now()))
    other_store = open_store(directory, create=True)
    async with running_hub(other_store, token=TokenFile(token_file), control=True) as other:
        for verb, act in acts.items():
            async with socket(hub, "boss") as connection:
                first = await asked(connection, verb, req=f"q-{verb}", **act)
            head = served.head()
            for at in (hub, other):
                async with socket(at, "boss") as connection:
                    again = await asked(connection, verb, req=f"q-{verb}", **act)
                    assert again == first
                    changed = {**act, "revision": 7} if verb != "create" else {"jobType": "x"}
                    if verb != "create":
                        changed = await asked(connection, verb, req=f"q-{verb}", **changed)
                        if verb != "remove":
                            assert changed["code"] == "invalid"
            assert served.head() == head, verb
    other_store.close()
    assert served.get("failed").retry_count == 1


async def test_every_act_is_logged_and_counted(
    hub: Running, served: Store, caplog: pytest.LogCaptureFixture
) -> None:
    """One line each, and ``jobctl_control_total`` by verb and outcome."""
    caplog.set_level(logging.INFO, "jobctl.control")
    fill(served)
    async with socket(hub, "ops") as connection:
        await asked(connection, "cancel", id="pending", attempt=0)
        await asked(connection, "cancel", id="pending", attempt=0)
        await asked(connection, "remove", id="pending", attempt=0)
    lines = [record for record in caplog.records if record.getMessage() == "act"]
    assert [(line.verb, line.outcome, line.by) for line in lines] == [
        ("cancel", "done", "ops"), ("cancel", "repeated", "ops"), ("remove", "forbidden", "ops")
    ]  # fmt: skip
    assert lines[0].via.endswith("/socket")
    async with ClientSession() as session:
        url = f"http://127.0.0.1:{hub.port}/metrics"
        async with session.get(url, headers=bearer("viewer")) as answer:
            text = await answer.text()
    for row in ("cancel", "done"), ("cancel", "repeated"), ("remove", "forbidden"):
        assert f'jobctl_control_total{{outcome="{row[1]}",verb="{row[0]}"}} 1.0' in text


async def test_worker_is_asked_to_end_its_job(hub: Running, served: Store, writer: Store) -> None:
    """The answer says that it was asked; who asked and why arrives there."""
    owner = writer.owners.hold()
    served.create(new_job("a").replace(stage="load", owner=owner))
    async with socket(hub, "ops") as connection:
        answer = await asked(connection, "cancel", id="a", attempt=0, reason="too slow")
    assert answer["type"] == "jobs:done"
    assert served.get("a").active
    request = writer.owners.take_cancel_requests(["a"])["a"]
    assert request == ("ops", "too slow")
    writer.owners.drop()


# -- tokens that change ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        lambda text: "".join(line for line in text.splitlines(True) if not line.startswith("ops")),
        lambda text: text.replace("ops view,details,operate", "ops view,details"),
        lambda text: text.replace("ops view,details,operate", "ops view,operate type=etl"),
        lambda text: "not a token file\n" + text,
    ],
    ids=["removed", "fewer rights", "a filter", "unreadable"],
)
async def test_sockets_of_a_changed_token_are_closed(
    hub: Running, served: Store, token_file: Path, change: Callable[[str], str]
) -> None:
    """Within 5 s; until then the token changes nothing. Others stay, if the file is good."""
    fill(served)
    async with socket(hub, "ops") as connection, socket(hub, "viewer") as other:
        await said(connection)
        text = change(token_file.read_text())
        token_file.write_text(text)
        async with asyncio.timeout(5):
            with pytest.raises(ConnectionClosed) as closed:
                await read_on(connection)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 4401
        if text.startswith("viewer"):
            await other.send('{"type":"jobs:ping","at":1}')
            while (await said(other))["type"] != "jobs:pong":
                pass


async def test_act_that_waits_is_refused_if_its_token_is_removed(
    hub: Running, served: Store, token_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Many acts may wait for the store for seconds; a removed token ends them too."""
    fill(served)
    go, update = threading.Event(), served.update

    def waits(*args: Any) -> Job:
        assert go.wait(20)
        return update(*args)

    monkeypatch.setattr(served, "update", waits)
    control = hub.server._control
    first = asyncio.create_task(post(hub, "/api/jobs/failed/retry", CANCEL, **bearer("boss")))
    await until(lambda: control._waiting == 1)
    second = asyncio.create_task(post(hub, "/api/jobs/pending/cancel", CANCEL, **bearer("ops")))
    await until(lambda: control._waiting == 2)
    token_file.write_text(lines(("boss", "viewer")))
    await post(hub, "/api/jobs", {}, **bearer("viewer"))  # the hub reads the file again
    go.set()
    answer, *_ = await asyncio.gather(second, return_exceptions=True)
    assert isinstance(answer, ClientError) or answer[0] == 403
    assert (await first)[0] == 200
    assert served.get("pending").active


async def read_on(connection: Any) -> None:
    """Read until the connection is closed, which raises."""
    while True:
        await connection.recv()


async def test_log_of_a_removed_token_ends(hub: Running, served: Store, token_file: Path) -> None:
    """A followed log would go on for as long as its job."""
    logged(served, b"one")
    url = f"http://127.0.0.1:{hub.port}/api/jobs/a1/log?follow=1"
    async with ClientSession() as session, session.get(url, headers=bearer("viewer")) as answer:
        assert (await answer.content.readline()) == b"one\n"
        token_file.write_text(lines(("ops",)))
        async with asyncio.timeout(5):
            with pytest.raises(ClientPayloadError):
                await answer.read()


async def test_new_token_counts_at_once_and_an_expired_one_never(
    served: Store, token_file: Path
) -> None:
    """No restart of the hub is needed; the reason says that it has expired."""
    token_file.write_text(lines(("viewer", "late")))
    async with running_hub(served, token=TokenFile(token_file), control=True) as hub:
        status, text = await post(hub, "/api/jobs", {}, **bearer("late"))
        assert (status, text) == (401, "the token has expired\n")
        token_file.write_text(lines())
        status, _ = await post(hub, "/api/jobs", {}, **bearer("boss"))
        assert status == 400


async def test_token_that_expires_ends_its_socket(
    served: Store, token_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one that is removed."""
    digest = digest_of_token(TOKENS["ops"].encode())
    token_file.write_text(f"ops view {to_text(now_ms() + 3_600_000)} {digest}\n")
    async with running_hub(served, token=TokenFile(token_file), control=True) as hub:
        async with socket(hub, "ops") as connection:
            await said(connection)
            monkeypatch.setattr("jobctl.hub.access.now_ms", lambda: now_ms() + 3_600_000)
            async with asyncio.timeout(6):
                with pytest.raises(ConnectionClosed):
                    await read_on(connection)
        await until(lambda: hub.sessions == 0)
