"""Who may come in, by what; and what is never told."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import ssl
import threading
import time
from contextlib import aclosing
from typing import Any

import pytest
from aiohttp import ClientSession
from websockets.exceptions import ConnectionClosed, InvalidStatus

from jobctl.core.jobset import Delta
from jobctl.core.protocol import retry_after_s
from jobctl.errors import HubError, UsageError
from jobctl.hub import access as access_module
from jobctl.hub.access import AccessPolicy, AccessRefused, AccessRequest, Rights
from jobctl.hub.credentials import Credentials, read_token, server_tls
from jobctl.reader.client import Client
from jobctl.reader.follow import follow
from jobctl.reader.http_api import clients
from jobctl.reader.once import find, read
from jobctl.reader.status import Status
from jobctl.reader.wait import wait_async
from jobctl.stores import open_store
from tests.hub.network import Reader, new_job, plain, running_hub, said, until, v1

TOKEN = "0123456789abcdef0123456789abcdef"
ALL = Rights.VIEW | Rights.DETAILS


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong token costs a quarter of a second in earnest."""
    assert access_module._DELAY_S >= 0.25
    monkeypatch.setattr(access_module, "_DELAY_S", 0.01)


async def status(url: str, **headers: str) -> int:
    """The status of a GET."""
    async with (
        ClientSession() as session,
        session.get(url, headers=headers, allow_redirects=False) as answer,
    ):
        return answer.status


def http(url: str, path: str) -> str:
    """A page of the hub."""
    return url.replace("ws", "http", 1).replace("/ws/jobs", path)


# -- the token ----------------------------------------------------------------------------------


async def test_three_ways_to_authenticate_and_none_without_a_token(served):
    """FAULTS row 49: a header, a cookie, a first message; nothing is said before that."""
    served.create(new_job("a1"))
    async with running_hub(served, token=TOKEN.encode()) as hub:
        for path in ("/api/jobs", "/metrics", "/api/clients", "/dashboard/main.js", "/api/jobs/a1"):
            assert await status(http(hub.url, path)) == 401
            assert await status(http(hub.url, path), Authorization=f"Bearer {TOKEN}") == 200
        assert await status(http(hub.url, "/healthz")) == 200
        async with v1(hub.url, additional_headers={"Authorization": f"Bearer {TOKEN}"}) as one:
            assert (await said(one))["type"] == "jobs:delta"
        name, value = hub.server._access.cookie(AccessRequest((), "", False))
        assert TOKEN not in value
        async with plain(hub.url, additional_headers={"Cookie": f"x=y; {name}={value}"}) as one:
            assert (await said(one))["type"] == "jobs:init"
        async with v1(hub.url) as one:
            await one.send(json.dumps({"type": "jobs:auth", "token": TOKEN}))
            assert (await said(one))["type"] == "jobs:delta"
        assert await status(http(hub.url, "/api/jobs"), Cookie=f"{name}={value}") == 200


@pytest.mark.parametrize("wrong", ["x" * 32, "é", "", TOKEN[:-1], TOKEN + "x", "\u2028"])
async def test_wrong_token_gets_nothing(served, wrong):
    """FAULTS row 49: by each of the ways; compared as bytes, so that é raises nothing."""
    served.create(new_job("a1"))
    async with running_hub(served, token=TOKEN.encode()) as hub:
        header = f"Bearer {wrong}".encode().decode("latin-1")
        with pytest.raises(InvalidStatus) as caught:
            await v1(hub.url, additional_headers={"Authorization": header})
        assert caught.value.response.status_code == 401
        async with v1(hub.url) as one:
            await one.send(json.dumps({"type": "jobs:auth", "token": wrong}))
            with pytest.raises(ConnectionClosed) as closed:
                await one.recv()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 4401
        assert await status(http(hub.url, "/api/jobs"), Cookie="jobctl=" + "0" * 64) == 401
        assert hub.sessions == 0


@pytest.mark.parametrize(
    "first", ['{"type":"jobs:subscribe"}', '{"type":"jobs:ping","at":1}', "nonsense", b"\x00"]
)
async def test_first_message_is_the_token_or_the_last(served, first):
    """Nothing else is answered before it."""
    async with running_hub(served, token=TOKEN.encode()) as hub, v1(hub.url) as one:
        await one.send(first)
        with pytest.raises(ConnectionClosed) as closed:
            await one.recv()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 4401


async def test_authentication_has_a_timeout(served, monkeypatch):
    """Within the time of a handshake."""
    monkeypatch.setattr("jobctl.hub.authentication._HANDSHAKE_S", 0.2)
    async with running_hub(served, token=TOKEN.encode()) as hub, v1(hub.url) as one:
        with pytest.raises(ConnectionClosed):
            await asyncio.wait_for(one.recv(), 5)


async def test_token_is_never_taken_from_a_url(served):
    """FAULTS row 50: URLs are logged everywhere."""
    async with running_hub(served, token=TOKEN.encode()) as hub:
        assert await status(http(hub.url, f"/api/jobs?token={TOKEN}")) == 400
        for path in ("/login", "/healthz", "/", "/nothing"):
            assert await status(http(hub.url, f"{path}?x=1&access_token=")) == 400
        with pytest.raises(InvalidStatus) as caught:
            await v1(f"{hub.url}?token={TOKEN}")
        assert caught.value.response.status_code == 400
        assert b"never taken from a URL" in (caught.value.response.body or b"")


async def test_wrong_tokens_are_slowed_and_counted(monkeypatch):
    """The more the slower, by peer; and what is remembered of them is bounded."""
    delays: list[float] = []

    async def sleep(delay_s: float) -> None:
        delays.append(delay_s)

    monkeypatch.setattr(access_module, "_DELAY_S", 0.25)
    monkeypatch.setattr(access_module.asyncio, "sleep", sleep)
    access = AccessPolicy("127.0.0.1", token=TOKEN.encode())
    for _ in range(12):
        with pytest.raises(AccessRefused):
            await access.check_token(b"wrong", "10.0.0.1")
    assert delays[:5] == [0.25, 0.5, 1.0, 2.0, 4.0]
    assert max(delays) == 4.0
    with pytest.raises(AccessRefused):
        await access.check_token(b"wrong", "10.0.0.2")
    assert delays[-1] == 0.25
    for number in range(3000):
        with pytest.raises(AccessRefused):
            await access.check_token(b"wrong", f"peer {number}")
    assert len(access._wrong_by_peer) <= 1024
    await access.check_token(TOKEN.encode(), "peer 2999")
    assert "peer 2999" not in access._wrong_by_peer


async def test_flood_of_wrong_tokens_is_turned_away(monkeypatch):
    """Those that wait are bounded; the right token passes at once meanwhile, from elsewhere.

    Who has sent many wrong ones is not told meanwhile which one is right: else asking many times
    at once would get round the delay.
    """
    monkeypatch.setattr(access_module, "_DELAY_S", 30.0)
    access = AccessPolicy("127.0.0.1", token=TOKEN.encode())
    tasks = [
        asyncio.create_task(access.check_token(b"wrong", f"{number % 8}")) for number in range(64)
    ]
    await asyncio.sleep(0)
    for given, peer in ((b"wrong", "one more"), (b"wrong", "3"), (TOKEN.encode(), "3")):
        with pytest.raises(AccessRefused) as caught:
            await access.check_token(given, peer)
        assert caught.value.status == 429
    assert (await asyncio.wait_for(access.check_token(TOKEN.encode(), "a friend"), 1)).rights == ALL
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert (await access.check_token(TOKEN.encode(), "3")).rights == ALL


async def test_flood_of_wrong_first_messages_may_come_back(served, monkeypatch):
    """With a code that says so: it may be somebody else's flood, by way of one proxy."""
    monkeypatch.setattr(access_module, "_MAX_WAITING", 0)
    async with running_hub(served, token=TOKEN.encode()) as hub, v1(hub.url) as one:
        await one.send(json.dumps({"type": "jobs:auth", "token": "wrong"}))
        with pytest.raises(ConnectionClosed) as closed:
            await one.recv()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 4029
        asked_s = retry_after_s(closed.value.rcvd.reason)
        assert asked_s is not None, "a browser shows no header of a handshake"
        assert 2.5 <= asked_s <= 7.5
        assert "too many wrong tokens" in closed.value.rcvd.reason
        assert await status(http(hub.url, "/api/jobs"), Authorization="Bearer wrong") == 429


@pytest.mark.parametrize(
    ("headers", "secure"),
    [({}, False), ({"Origin": "https://localhost"}, True), ({"X-Forwarded-Proto": "https"}, True),
     ({"X-Forwarded-Proto": "https, http"}, False)],
)  # fmt: skip
async def test_login_gives_a_cookie_that_is_not_the_token(served, headers, secure):
    """For this site's own pages; only through TLS where the page came so, be it by a proxy."""
    async with running_hub(served, token=TOKEN.encode()) as hub, ClientSession() as session:
        data = {"token": TOKEN}
        async with session.post(
            http(hub.url, "/login"), data=data, headers=headers, allow_redirects=False
        ) as answer:
            assert (answer.status, answer.headers["Location"]) == (303, "/")
            cookie = answer.headers["Set-Cookie"]
    parts = {part.strip().lower() for part in cookie.split(";")[1:]}
    assert {"httponly", "samesite=strict", "path=/"} <= parts
    assert ("secure" in parts) is secure
    assert TOKEN not in cookie


async def test_login_of_another_page_is_refused(served):
    """FAULTS row 47: nor does a wrong token get a cookie."""
    async with running_hub(served, token=TOKEN.encode()) as hub, ClientSession() as session:
        for token, origin, status in (
            (TOKEN, "https://evil.example", 403), ("wrong", "http://localhost", 401),
        ):  # fmt: skip
            async with session.post(
                http(hub.url, "/login"), data={"token": token}, headers={"Origin": origin}
            ) as answer:
                assert answer.status == status
                assert "Set-Cookie" not in answer.headers


# -- users ------------------------------------------------------------------------------------

BOB, EVE = 1001, 1002


def asked(uid: int | None, **headers: str) -> AccessRequest:
    """A request of this user."""
    named = {"host": "localhost", **{name.lower(): value for name, value in headers.items()}}
    return AccessRequest(tuple(named.items()), "127.0.0.1", False, uid=uid)


@pytest.mark.parametrize(
    ("options", "uid", "rights"),
    [
        ({}, BOB, ALL),
        ({}, 0, ALL),
        ({}, None, None),
        ({"local_users": True}, BOB, ALL),
        ({"local_users": True}, EVE, Rights.VIEW),
        ({"local_users": True}, None, Rights.VIEW),
        ({"insecure": True}, BOB, ALL),
        ({"insecure": True}, EVE, Rights.VIEW),
        ({"insecure": True}, None, Rights.VIEW),
        ({"token": TOKEN.encode()}, BOB, None),
        ({"token": TOKEN.encode()}, 0, None),
        ({"token": TOKEN.encode(), "insecure": True}, None, None),
    ],
)
async def test_user_decides_where_no_token_was_given(options, uid, rights):
    """FAULTS row 65: the hub's own user and root; others where that is said, and to view only."""
    grant = await AccessPolicy("127.0.0.1", own_uid=BOB, **options).authenticate(asked(uid))
    assert (grant.rights if grant is not None else None) == rights


async def test_another_user_is_told_what_to_do():
    """FAULTS row 65: in one line, with the flags."""
    with pytest.raises(AccessRefused, match=r"uid 1002\).*--local-users.*--token-file") as caught:
        await AccessPolicy("127.0.0.1", own_uid=BOB).authenticate(asked(EVE))
    assert (caught.value.status, caught.value.kind) == (403, "user")


@pytest.mark.parametrize("options", [{}, {"local_users": True}, {"insecure": True}])
@pytest.mark.parametrize("uid", [None, EVE])
async def test_hubs_own_token_is_as_good_as_its_user(options, uid):
    """By header, cookie and first message; a wrong one gets no more than none."""
    access = AccessPolicy("127.0.0.1", own_uid=BOB, **options)
    assert access.own_token is not None
    name, value = access.cookie(asked(uid))
    bearer = f"Bearer {access.own_token.decode()}"
    assert (await access.authenticate(asked(uid, Authorization=bearer))).rights == ALL
    assert (await access.authenticate(asked(uid, Cookie=f"a=b; {name}={value}"))).rights == ALL
    assert (await access.check_token(access.own_token, "127.0.0.1")).rights == ALL
    with pytest.raises(AccessRefused, match="that is not the token"):
        await access.check_token(TOKEN.encode(), "127.0.0.1")
    wrong = asked(uid, Authorization=f"Bearer {TOKEN}")
    if options:
        assert (await access.authenticate(wrong)).rights == Rights.VIEW
    else:
        with pytest.raises(AccessRefused, match="that is not the token"):
            await access.authenticate(wrong)


async def test_token_for_another_hub_does_not_lock_its_user_out():
    """``$JOBCTL_TOKEN`` may be set for somebody else's."""
    access = AccessPolicy("127.0.0.1", own_uid=BOB)
    assert (await access.authenticate(asked(BOB, Authorization=f"Bearer {TOKEN}"))).rights == ALL
    assert not access._wrong_by_peer


def test_own_token_is_made_anew_and_only_where_none_was_given():
    """It cannot be guessed, and is long enough for what is asked of tokens."""
    one, two = AccessPolicy("127.0.0.1").own_token, AccessPolicy("127.0.0.1").own_token
    assert one is not None
    assert two is not None
    assert one != two
    assert len(one) >= 32
    assert AccessPolicy("127.0.0.1", token=TOKEN.encode()).own_token is None


@pytest.mark.parametrize("token", [None, TOKEN.encode()])
@pytest.mark.parametrize(
    ("host", "headers", "port"),
    [
        ("localhost:8765", {}, 8765), ("localhost:8766", {}, 8766), ("[::1]:81", {}, 81),
        ("jobs.example", {}, 80), ("jobs.example", {"X-Forwarded-Proto": "https"}, 443),
        ("jobs.example", {"Origin": "https://jobs.example"}, 443), ("localhost:x", {}, 80),
    ],
)  # fmt: skip
def test_cookie_has_the_port_in_its_name(token, host, headers, port):
    """A browser sends a host's cookies to all of its ports, and a name stands for one cookie."""
    access = AccessPolicy("127.0.0.1", token=token)
    assert access.cookie(asked(None, Host=host, **headers))[0] == f"jobctl-{port}"


async def test_each_hub_knows_its_own_cookie_among_others():
    """Also behind a proxy that changes the port, and the cookie of 0.1.0."""
    one = AccessPolicy("127.0.0.1", token=TOKEN.encode())
    two = AccessPolicy("127.0.0.1", token=TOKEN[::-1].encode())
    (name, value), (other, other_value) = one.cookie(asked(None)), two.cookie(asked(None))
    assert value != other_value
    cookies = f"jobctl-8765={value}; jobctl-8766={other_value}"
    for access in (one, two):
        assert (await access.authenticate(asked(None, Cookie=cookies))).rights == ALL
    assert (await one.authenticate(asked(None, Cookie=f"jobctl={value}"))).rights == ALL
    assert await one.authenticate(asked(None, Cookie=f"{other}={other_value}")) is None
    assert await one.authenticate(asked(None, Cookie=f"other-{name}={value}")) is None


@pytest.mark.parametrize(
    ("headers", "passed_on"),
    [
        ({"Referer": "http://jobs.example/"}, True),
        ({"Referer": "https://jobs.example/jobs/", "Sec-Fetch-Site": "same-origin"}, True),
        ({"Referer": "http://192.168.1.5:5173/", "Sec-Fetch-Site": "same-origin"}, True),
        ({"CF-Connecting-IP": "192.0.2.7"}, True),
        ({"X-Real-IP": "192.0.2.7"}, True),
        ({"Referer": "http://localhost:5173/"}, False),
        ({"Referer": "http://127.0.0.1:8765/"}, False),
        ({"Referer": "https://wiki.example/", "Sec-Fetch-Site": "cross-site"}, False),
        ({"Referer": "https://wiki.localhost/", "Sec-Fetch-Site": "same-site"}, False),
        ({"Referer": "about:client"}, False),
        ({"Referer": ""}, False),
        ({"Referer": "http://[bad/"}, False),
    ],
)
def test_what_a_proxy_passes_on_is_known_by_its_headers_or_its_page(headers, passed_on):
    """nginx adds no header by itself: there the page that asks has another name than the Host."""
    access = AccessPolicy("127.0.0.1", own_uid=BOB)
    request = asked(BOB, **headers)
    assert access.is_own(request) is not passed_on
    if passed_on:
        with pytest.raises(AccessRefused, match="came through a proxy"):
            access.check_source(request)
    else:
        access.check_source(request)


def test_page_of_the_hub_itself_comes_from_no_proxy():
    """Also under the name of a network that the hub was bound to."""
    access = AccessPolicy("192.168.1.5", own_uid=BOB, insecure=True)
    assert access.is_own(asked(BOB, Host="192.168.1.5:8765", Referer="http://192.168.1.5:8765/"))


async def test_proxy_of_the_own_user_is_not_the_user():
    """Where it may pass at all, it asks for whoever asks it: they do not see details."""
    access = AccessPolicy("127.0.0.1", insecure=True, own_uid=BOB)
    assert (
        await access.authenticate(asked(BOB, **{"X-Forwarded-For": "192.0.2.7"}))
    ).rights == Rights.VIEW
    with pytest.raises(AccessRefused, match="proxy"):
        AccessPolicy("127.0.0.1", local_users=True).check_source(asked(BOB, Via="1.1 x"))


def test_local_users_and_a_token_are_two_choices():
    """The one says that none is needed, the other that everybody needs it."""
    with pytest.raises(UsageError, match="--local-users does without a token"):
        AccessPolicy("127.0.0.1", token=TOKEN.encode(), local_users=True)
    for bound, options in (("0.0.0.0", {}), ("127.0.0.1", {"allow_hosts": ["jobs.example"]})):
        with pytest.raises(UsageError, match="lets others in"):
            AccessPolicy(bound, local_users=True, **options)


# -- where it is read from ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "mode", "text"),
    [
        (b"", 0o600, "holds no token"),
        (b"two words of it here", 0o600, "holds no token"),
        ("ééééééééééééé".encode(), 0o600, "holds no token"),
        (TOKEN.encode(), 0o644, "can be read by others"),
        (b"x" * 5000, 0o600, "holds no token"),
    ],
)
def test_token_file_that_is_none_is_refused(tmp_path, data, mode, text):
    """One line; and never what stands in it."""
    path = tmp_path / "token"
    path.write_bytes(data)
    path.chmod(mode)
    with pytest.raises(UsageError, match=text) as caught:
        read_token(path, {})
    assert TOKEN not in str(caught.value)


def test_token_comes_from_a_file_or_the_environment(tmp_path):
    """The line's end does not count."""
    path = tmp_path / "token"
    path.write_text(f"{TOKEN}\n")
    path.chmod(0o600)
    assert read_token(path, {"JOBCTL_TOKEN": "other"}) == TOKEN.encode()
    assert read_token(None, {"JOBCTL_TOKEN_FILE": str(path)}) == TOKEN.encode()
    assert read_token(None, {"JOBCTL_TOKEN": TOKEN}) == TOKEN.encode()
    assert read_token(None, {}) is None
    with pytest.raises(UsageError, match="cannot read a token"):
        read_token(tmp_path / "none", {})


def test_token_comes_through_a_pipe(tmp_path):
    """As a shell's ``--token-file <(pass show jobs)`` gives it, once it comes."""
    end, start = os.pipe()

    def write() -> None:
        os.write(start, f"{TOKEN}\n".encode())
        os.close(start)

    later = threading.Timer(0.1, write)
    later.start()
    assert read_token(f"/dev/fd/{end}", {}) == TOKEN.encode()
    later.join()
    os.close(end)


@pytest.mark.parametrize(
    ("bound", "options"),
    [
        ("0.0.0.0", {}),
        ("192.0.2.1", {}),
        ("127.0.0.1", {"allow_hosts": ["jobs.example"]}),
        ("127.0.0.1", {"allow_origins": ["https://jobs.example"]}),
        ("127.0.0.1", {"token": b"short"}),
    ],
)
def test_unsafe_access_policy_does_not_start(bound, options):
    """Unless that is said."""
    with pytest.raises(UsageError):
        AccessPolicy(bound, **options)
    if "token" not in options:
        AccessPolicy(bound, **options, insecure=True)
        assert AccessPolicy(bound, **options, token=TOKEN.encode()).needs_token


@pytest.mark.parametrize(
    "origin", ["http://127.0.0.1:8000", "http://localhost:5173", "http://[::1]"]
)
def test_origin_of_this_machine_needs_no_token(origin):
    """Its pages can read from the socket without the option."""
    policy = AccessPolicy("127.0.0.1", allow_origins=[origin])
    assert not policy.needs_token
    assert policy.trusts_this_machine


@pytest.mark.parametrize(
    "origin", ["https://app.example", "http://localhost.example", "http://127.0.0.1@x", "null", "x"]
)
def test_any_other_origin_needs_a_token(origin):
    """Also one that only looks like this machine."""
    with pytest.raises(UsageError, match="lets others in"):
        AccessPolicy("127.0.0.1", allow_origins=["http://localhost", origin])


@pytest.mark.parametrize(
    "name", ["X-Forwarded-For", "X-Forwarded-Host", "Forwarded", "Via", "X-Real-IP"]
)
def test_proxy_needs_a_token(name):
    """Its requests come from this machine, whoever asked for them."""
    access_request = AccessRequest((("host", "127.0.0.1"), (name.lower(), "x")), "127.0.0.1", False)
    with pytest.raises(AccessRefused, match="proxy"):
        AccessPolicy("127.0.0.1").check_source(access_request)
    AccessPolicy("127.0.0.1", token=TOKEN.encode()).check_source(access_request)
    AccessPolicy("127.0.0.1", insecure=True).check_source(access_request)


async def test_refusal_names_the_flag_that_would_allow_it(served, caplog):
    """FAULTS row 61: in one line, whatever the header holds."""
    with caplog.at_level(logging.WARNING, "jobctl.hub"):
        async with running_hub(served) as hub:
            assert await status(http(hub.url, "/"), Host="jobs.example") == 403
            assert await status(http(hub.url, "/"), Origin="https://x.example") == 403
            assert await status(http(hub.url, "/"), Origin="https://x.example/'; rm -rf '") == 403
    reasons = [record.reason for record in caplog.records]
    assert "jobctl serve --allow-host jobs.example" in reasons[0]
    assert "jobctl serve --allow-origin https://x.example" in reasons[1]
    assert "serve" not in reasons[2]
    assert all("\x1b" not in reason and "\n" not in reason for reason in reasons)


# -- our client ---------------------------------------------------------------------------------


async def test_client_shows_the_token_of_its_environment(served, monkeypatch):
    """And is refused in one line without it."""
    served.create(new_job("a1"))
    async with running_hub(served, token=TOKEN.encode()) as hub:
        monkeypatch.setenv("JOBCTL_TOKEN", TOKEN)
        async with Reader.of_hub(hub.url) as reader:
            await until(lambda: reader.contents)
        monkeypatch.setenv("JOBCTL_TOKEN", "x" * 32)
        with pytest.raises(HubError, match="that is not the token"):
            async for _ in Client(hub.url):
                pass
        monkeypatch.delenv("JOBCTL_TOKEN")
        snapshot_start = time.monotonic()
        with pytest.raises(HubError, match="wants a token; give it by --token-file"):
            async for _ in Client(hub.url):
                pass
        assert time.monotonic() - snapshot_start < 5, "it did not wait to be turned away"


async def test_two_hubs_with_two_tokens_are_read_in_one_process(tmp_path, certificate, monkeypatch):
    """Every way of reading takes credentials, and then needs nothing of the environment."""
    monkeypatch.setenv("JOBCTL_TOKEN", "x" * 32)
    monkeypatch.setenv("JOBCTL_CA", str(tmp_path / "none"))
    cert, key = certificate
    token_file = tmp_path / "token"
    token_file.write_text(TOKEN[::-1])
    token_file.chmod(0o600)
    one = open_store(tmp_path / "one", create=True, adopt=True)
    other = open_store(tmp_path / "other", create=True, adopt=True)
    one.create(new_job("a1"))
    other.create(new_job("b1"))
    before = dict(os.environ)

    async def ids(url: str, credentials: Credentials) -> set[str]:
        """What each way of reading finds there, which has to be the same."""
        (found,) = await find(url, ["a1" if url == first.url else "b1"], credentials=credentials)
        delta = await read(url, credentials=credentials)
        assert [job.id for job in delta.jobs] == [found.id]
        for events in (
            Client(url, retry=False, credentials=credentials).events(),
            follow(url=url, credentials=credentials),
        ):
            async with aclosing(events) as each:
                shown = []
                async for event in each:
                    if isinstance(event, Delta):
                        shown.append(event)
                        break
            assert [job.id for job in shown[0].jobs] == [found.id]
        for timeout_s in (0, 5):
            outcome = await wait_async(
                None, found.id, url=url, until=f"stage={found.stage}", timeout_s=timeout_s,
                credentials=credentials,
            )  # fmt: skip
            assert outcome.met
        assert isinstance(await clients(url, credentials=credentials), list)
        return {found.id}

    async with (
        running_hub(one, token=TOKEN.encode()) as first,
        running_hub(other, token=TOKEN[::-1].encode(), tls=server_tls(cert, key)) as second,
    ):
        ours, theirs = Credentials(TOKEN.encode()), Credentials(token_file=token_file, ca=cert)
        found = await asyncio.gather(ids(first.url, ours), ids(second.url, theirs))
        assert found == [{"a1"}, {"b1"}]
        for wrong in (Credentials(TOKEN[::-1].encode()), Credentials()):
            with pytest.raises(HubError, match="token"):
                await read(first.url, credentials=wrong)
    assert dict(os.environ) == before
    assert TOKEN not in repr(ours)
    one.close()
    other.close()


async def test_credentials_open_the_own_hub_of_a_directory(served, writer, monkeypatch):
    """Which is left out where nobody gives a token for it."""
    monkeypatch.delenv("JOBCTL_TOKEN", raising=False)
    async with running_hub(served, token=TOKEN.encode()):
        for credentials, source in ((Credentials(TOKEN.encode()), "hub"), (None, "directory")):
            async with aclosing(follow(store=writer, credentials=credentials)) as events:
                status = await anext(events)
            assert isinstance(status, Status)
            assert status.source == source


async def test_directory_is_read_where_its_hub_wants_a_token(served, writer):
    """Whoever may read the directory needs no hub; and does not wait for one to refuse."""
    writer.create(new_job("a1"))
    async with running_hub(served, token=TOKEN.encode()) as hub, Reader.of_store(writer) as reader:
        await until(lambda: reader.contents, 2)
        assert reader.source == "directory"
        assert hub.server.counts.refused.total() == 0


async def test_token_goes_where_it_was_sent_to_or_nowhere(monkeypatch):
    """FAULTS row 51: a redirect elsewhere is an answer, and no way."""
    monkeypatch.setenv("JOBCTL_TOKEN", TOKEN)
    heard: list[bytes] = []

    async def elsewhere(reader: Any, writer: Any) -> None:
        heard.append(await reader.read(1000))
        writer.close()

    other = await asyncio.start_server(elsewhere, "127.0.0.1", 0)
    port = other.sockets[0].getsockname()[1]

    async def redirect(reader: Any, writer: Any) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(
            f"HTTP/1.1 302 Found\r\nLocation: ws://127.0.0.1:{port}/ws/jobs\r\n\r\n".encode()
        )
        writer.close()

    hub = await asyncio.start_server(redirect, "127.0.0.1", 0)
    url = f"ws://127.0.0.1:{hub.sockets[0].getsockname()[1]}"
    with pytest.raises(HubError, match="302"):
        async for _ in Client(url, retry=False):
            pass
    assert heard == []
    hub.close()
    other.close()


# -- TLS ----------------------------------------------------------------------------------------


async def test_tls_for_sockets_and_pages(served, certificate, monkeypatch):
    """A client trusts the authority that it is given, and no other."""
    cert, key = certificate
    served.create(new_job("a1"))
    async with running_hub(served, tls=server_tls(cert, key)) as hub:
        assert hub.url.startswith("wss://")
        monkeypatch.setenv("JOBCTL_CA", str(cert))
        async with Reader.of_hub(hub.url) as reader:
            await until(lambda: reader.contents)
        context = ssl.create_default_context(cafile=str(cert))
        async with (
            ClientSession() as session,
            session.get(http(hub.url, "/api/jobs"), ssl=context) as answer,
        ):
            assert len((await answer.json())["jobs"]) == 1
        monkeypatch.delenv("JOBCTL_CA")
        with pytest.raises(HubError, match="certificate is not trusted"):
            async for _ in Client(hub.url, retry=False):
                pass
        old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
        old.maximum_version = ssl.TLSVersion.TLSv1_2
        assert server_tls(cert, key).minimum_version == ssl.TLSVersion.TLSv1_2  # type: ignore[union-attr]


def test_files_that_are_no_certificate_are_told(tmp_path, certificate):
    """One line with the names."""
    cert, key = certificate
    (tmp_path / "bad.pem").write_text("nonsense")
    for one, two in ((tmp_path / "none", key), (tmp_path / "bad.pem", key), (cert, cert)):
        with pytest.raises(UsageError, match="no certificate and key in"):
            server_tls(one, two)
    with pytest.raises(UsageError, match="goes with"):
        server_tls(None, key)
    for path in (tmp_path / "none", tmp_path / "bad.pem"):
        with pytest.raises(UsageError, match="no certificates in"):
            Credentials(ca=path).tls()
