"""``client.js`` and its bindings: in Node with a clock of the test, on a real hub, in a browser."""

from __future__ import annotations

import asyncio
import hashlib
import http.server
import json
import os
import random
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from jobctl._clock import now, now_ms
from jobctl.core import transitions
from jobctl.core.cursor import ZERO
from jobctl.core.times import to_text
from jobctl.hub.tokens import TokenFile
from jobctl.page import CLIENT_FILES, asset
from jobctl.stores import Store, open_store
from tests import npm
from tests.cli.conftest import run_process
from tests.hub.browser import CHROMIUM, browser
from tests.hub.network import HubProcess, running_hub
from tests.original_writes import at, by_others, retried
from tests.recipes.test_guide_vite import node

HERE = Path(__file__).parent
TOKEN = "a token of sixteen letters"

needs_node = pytest.mark.skipif(shutil.which("node") is None, reason="needs node")
needs_npm = pytest.mark.skipif(shutil.which("npm") is None, reason="needs npm")
needs_socket = pytest.mark.skipif(not node(), reason="needs a node that has WebSocket")


def write_client(folder: Path) -> None:
    """As ``jobctl js`` does."""
    for name in CLIENT_FILES:
        (folder / name).write_text(asset(name))
    for name in ("fakes.mjs", "package.json"):
        shutil.copy(HERE / name, folder)


def node_tests(*command: str | Path, cwd: Path) -> None:
    """All tests of the file pass, and there are some."""
    ran = subprocess.run(
        ["node", *command], cwd=cwd, capture_output=True, text=True, timeout=120, check=False
    )
    assert ran.returncode == 0, ran.stdout[-3000:] + ran.stderr[-1000:]
    assert int(re.findall(r"^# pass (\d+)", ran.stdout, flags=re.MULTILINE)[0]) > 5


@needs_node
@pytest.mark.parametrize("file", ["client.test.mjs", "acts.test.mjs"])
def test_client_in_node(file: str) -> None:
    """Each cell of its state machine, and what it makes of what a hub sends; its acts."""
    node_tests("--test", "--test-reporter=tap", HERE / file, cwd=HERE)


@pytest.mark.slow
@needs_npm
@pytest.mark.parametrize(
    ("packages", "binding"), [("package.json", "solid.js"), ("solid2.json", "solid2.js")]
)
def test_solid_in_node(
    tmp_path: Path, packages: str, binding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same signals in Solid 1.9 and 2."""
    write_client(tmp_path)
    shutil.copy(HERE / packages, tmp_path / "package.json")
    program = npm.install_packages(tmp_path, HERE / "solid.test.mjs")
    monkeypatch.setenv("BINDING", f"./{binding}")
    # Node takes Solid's build for servers by default, which has no effects.
    node_tests("--conditions=browser", "--test", "--test-reporter=tap", program, cwd=tmp_path)


@pytest.mark.slow
@needs_npm
@pytest.mark.parametrize(
    ("packages", "binding"), [("package.json", "solid.js"), ("solid2.json", "solid2.js")]
)
def test_solid_updates_only_what_changes(tmp_path: Path, packages: str, binding: str) -> None:
    """Cheaper than a store with `reconcile` in the same run; the figures are from bench_solid."""
    write_client(tmp_path)
    shutil.copy(HERE / packages, tmp_path / "package.json")
    npm.install_packages(tmp_path, HERE / "bench.solid.mjs")
    ran = subprocess.run(
        ["node", "--expose-gc", "--conditions=browser", "bench.solid.mjs", "1", "80"],
        cwd=tmp_path, env={**os.environ, "BINDING": f"./{binding}"},
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    figures = json.loads(ran.stdout)
    ours, naive = figures["ours"], figures["naive"]
    assert ours["updateMs"] < naive["updateMs"] / 2  # a sixth in Solid 2, a thousandth in 1.9
    assert ours["storeMs"] < 400  # 42 ms of CPU time, by bench_solid


# -- on a hub ---------------------------------------------------------------------------------


class Program:
    """A program of Node that holds a hub's jobs."""

    def __init__(self, folder: Path, url: str, *more: str) -> None:
        command = [*node(), str(folder / "live.mjs"), url, *more]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def ask(self, line: str) -> Any:
        """The answer to a line."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def close(self) -> None:
        """End it: it ends by itself once nothing keeps it open."""
        self.process.communicate(timeout=20)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The client and the program, side by side."""
    made = tmp_path / "program"
    made.mkdir()
    write_client(made)
    shutil.copy(HERE / "live.mjs", made)
    return made


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """What is served."""
    made = open_store(tmp_path / "jobs", create=True)
    yield made
    made.close()


def listed(store: Store) -> dict[str, Any]:
    """What ``jobctl ls`` prints, by id."""
    shown = run_process("ls", "-a", "-o", "json", "--dir", store.where)
    return {job["id"]: job for job in json.loads(shown.out)["jobs"]}


def comparable(jobs: dict[str, Any]) -> dict[str, Any]:
    """Without what depends on the moment."""
    timely = ("elapsedMs", "etaMs", "stalled")
    for job in jobs.values():
        job["derived"] = {key: job["derived"][key] for key in job["derived"] if key not in timely}
    return jobs


@pytest.mark.slow
@needs_socket
def test_client_holds_what_ls_prints_through_restarts(folder: Path, store: Store) -> None:
    """A hub that is killed, and what happens while it is away."""
    create = partial(transitions.create, "etl", stages=("fetch", "load"))
    for number in range(300):
        store.create(create(now=now(), id=f"j{number}", title=f"job {number}"))
    with HubProcess(Path(store.where)) as hub:
        program = Program(folder, hub.url)
        port = hub.port
        assert program.ask("until j0 pending") == "pending"
        store.update("j0", lambda job: transitions.advance(job, "load", now=now()))
        assert program.ask("until j0 load") == "load"
        hub.kill()
    for number in range(0, 300, 3):
        store.update(f"j{number}", lambda job: transitions.fail(job, "no", now=now()))
    for number in range(1, 300, 3):
        store.remove(f"j{number}")
    store.create(create(now=now(), id="new"))
    with HubProcess(Path(store.where), port=port):
        assert program.ask("until new pending") == "pending"
        assert program.ask("until j3 completed") == "job j3 failed: no"
        assert program.ask("until j4") == "job j4 is gone"
        held = program.ask("state")
        assert comparable(held["jobs"]) == comparable(listed(store))
        assert held["counts"]["failed"] == 100
        assert held["status"]["diverged"] == 0
        program.close()


@pytest.mark.slow
@needs_socket
async def test_jobs_with_some_fields_are_what_ls_prints(folder: Path, store: Store) -> None:
    """Each of the keys that came, and all that follows from a whole job."""
    jobs = [
        transitions.create("create_session", now=at(1), id=f"j{number}", title="x")
        for number in range(5)
    ]
    jobs[1] = transitions.advance(jobs[1], "extract", now=at(5))
    jobs[2] = transitions.cancel(jobs[2], now=at(6), by="anna")
    jobs[3] = transitions.retry(transitions.fail(jobs[3], "no", now=at(7)), now=at(8))
    jobs[4] = by_others(transitions.fail(jobs[4], "Cancelled by user", now=at(9)), retried(90))
    for job in jobs:
        store.create(job)
    async with running_hub(store) as hub:
        program = Program(folder, hub.url, "", "title,error")
        assert await asyncio.to_thread(program.ask, "until j4 pending") == "pending"
        held = (await asyncio.to_thread(program.ask, "state"))["jobs"]
        await asyncio.to_thread(program.close)
    expected = comparable(listed(store))
    for id, job in comparable(held).items():
        facts = job["derived"].pop("facts", {})
        keys = {"id", "type", "stage", "createdAt", "revision", "title", "error", "derived"}
        assert job == {key: value for key, value in expected[id].items() if key in keys}
        assert bool(facts) == (id in ("j2", "j3", "j4", "j1"))


@pytest.mark.slow
@needs_socket
async def test_client_shows_its_token_in_the_first_message(folder: Path, store: Store) -> None:
    """A wrong one is refused for good."""
    store.create(transitions.create("etl", now=now(), id="a"))
    async with running_hub(store, token=TOKEN.encode()) as hub:
        right, wrong = Program(folder, hub.url, TOKEN), Program(folder, hub.url, "wrong" * 5)
        assert await asyncio.to_thread(right.ask, "until a pending") == "pending"
        said = await asyncio.to_thread(wrong.ask, "until a pending")
        assert "token" in said
        state = await asyncio.to_thread(wrong.ask, "state")
        assert (state["status"]["state"], state["status"]["needsToken"]) == ("error", True)
        await asyncio.to_thread(right.close)
        await asyncio.to_thread(wrong.close)


@pytest.mark.slow
@needs_socket
async def test_client_acts_through_a_hub(folder: Path, store: Store) -> None:
    """Each resolves with the job as the store has it; a refusal says why, and how it stands."""
    for id in ("a", "b", "c"):
        store.create(transitions.create("etl", now=now(), id=id, stages=("load",)))
    store.update("b", lambda job: transitions.fail(job, "no", now=now()))
    async with running_hub(store, control=True) as hub:
        program = Program(folder, hub.url)

        async def ask(line: str) -> Any:
            return await asyncio.to_thread(program.ask, line)

        assert await ask("until a pending") == "pending"
        held = await ask("state")
        assert "admin" in held["status"]["can"]
        cancelled = await ask('cancel a {"reason":"not-needed"}')
        assert (cancelled["revision"], cancelled["stage"]) == (store.get("a").revision, "failed")
        assert cancelled["cancelled"]["reason"] == "not-needed"
        again = await ask("cancel a")
        assert (again["code"], again["job"]["stage"]) == ("conflict", "failed")
        assert (await ask('acknowledge b {"note":"known"}'))["acknowledged"]["note"] == "known"
        assert (await ask("retry b"))["retryCount"] == 1
        late = await ask('cancel b {"attempt":0}')
        assert (late["code"], late["job"]["retryCount"]) == ("conflict", 1)
        assert (await ask("remove c"))["code"] == "conflict"
        assert await ask("remove a") is None
        assert {job.id for job in store.since(ZERO).jobs} == {"b", "c"}
        assert (await ask("retry a"))["code"] == "gone"
        await asyncio.to_thread(program.close)


@pytest.mark.slow
@needs_socket
async def test_client_acts_once_through_cuts(folder: Path, store: Store) -> None:
    """What is asked while the hub is away is done by the next one, and once."""
    ids, moments = [f"j{number}" for number in range(12)], random.Random(7)
    for id in ids:
        store.create(transitions.create("etl", now=now(), id=id))
        store.update(id, lambda job: transitions.fail(job, "no", now=now()))
    async with running_hub(store, control=True) as hub:
        program = Program(folder, hub.url)
        assert await asyncio.to_thread(program.ask, "until j0 failed") == "failed"
        port = hub.port
    asked = asyncio.create_task(asyncio.to_thread(program.ask, "retry j0"))
    async with running_hub(store, control=True, port=port) as hub:
        assert (await asked)["retryCount"] == 1
        for id in ids[1:]:
            asked = asyncio.create_task(asyncio.to_thread(program.ask, f"retry {id}"))
            await asyncio.sleep(moments.uniform(0, 0.01))  # before, within or after the act
            for connection in list(hub.server.clients.by_session.values()):
                connection.transport.abort()
            assert (await asked)["retryCount"] == 1
        assert {job.retry_count for job in store.since(ZERO).jobs} == {1}
        await asyncio.to_thread(program.close)


# -- in a browser -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of each framework, as a bundler makes it."""
    folder = tmp_path_factory.mktemp("bundles")
    write_client(folder)
    npm.install_packages(folder, HERE / "app.mjs", HERE / "types.ts")
    subprocess.run(
        ["node_modules/.bin/esbuild", "app.mjs", "--bundle", "--splitting", "--format=esm",
         "--conditions=browser", "--outdir=out", "--log-level=warning",
         "--log-override:import-is-undefined=error"],
        cwd=folder, check=True, timeout=60,
    )  # fmt: skip
    (folder / "out" / "favicon.ico").touch()  # every browser asks for it
    return folder


@pytest.mark.slow
@needs_npm
def test_declarations_are_those_of_the_client(bundles: Path) -> None:
    """TypeScript takes what is right, and refuses what is not."""
    subprocess.run(
        ["node_modules/.bin/tsc", "--noEmit", "--strict", "--target", "es2022",
         "--module", "es2022", "--moduleResolution", "bundler",
         "--lib", "es2022,dom,dom.iterable", "types.ts"],
        cwd=bundles, check=True, timeout=60,
    )  # fmt: skip
    exported = re.compile(r"^export (?:function|class|const|interface) (\w+)", re.MULTILINE)
    names = set(exported.findall(asset("client.js")))
    declared = set(exported.findall(asset("client.d.ts")))
    inner = {"TRANSITIONS", "startOfSha256"}
    assert names - inner <= declared


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Nobody reads it."""


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The origin of a server of pages that is not the hub."""
    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), partial(_Quiet, directory=str(folder))
    )
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture
def origin(bundles: Path) -> Iterator[str]:
    """The origin of the frameworks' pages."""
    with served(bundles / "out") as origin:
        yield origin


ROWS = "[...document.querySelectorAll('#list > li')].map((row) => row.textContent).join()"
MARK = "document.querySelectorAll('#list > li').forEach((row) => (row.kept = row.id))"
KEPT = "[...document.querySelectorAll('#list > li')].map((row) => row.kept ?? '-').join()"


@pytest.mark.slow
@needs_npm
@pytest.mark.skipif(CHROMIUM is None, reason="needs chromium")
@pytest.mark.parametrize("framework", ["react", "solid"])
async def test_page_of_a_framework(
    framework: str, store: Store, bundles: Path, origin: str
) -> None:
    """Rows stay while their jobs change; only what is new or gone comes and goes."""
    for id in ("a", "b", "c"):
        store.create(transitions.create("etl", now=now(), id=id, stages=("load", "save")))
    page_file = bundles / "out" / f"{framework}.html"
    async with running_hub(store, allow_origins=[origin]) as hub, browser() as page:
        page_file.write_text(
            f'<!doctype html><html data-framework="{framework}" data-hub="{hub.url}">'
            '<div id="root"></div><script type="module" src="app.js"></script></html>'
        )
        await page.go(f"{origin}/{framework}.html")
        await page.shows(ROWS, "a pending,b pending,c pending")
        await page.run(MARK)
        store.update("b", lambda job: transitions.advance(job, "load", now=now()))
        await page.shows(ROWS, "a pending,b load,c pending")
        assert await page.run(KEPT) == "a,b,c"
        store.remove("a")
        store.update("c", lambda job: transitions.complete(job, now=now()))
        store.create(transitions.create("etl", now=now(), id="d"))
        await page.shows(ROWS, "b load,c completed,d pending")
        assert await page.run(KEPT) == "b,c,-"
        assert await page.run("document.getElementById('list').dataset.active") == "2"
        assert await page.run("document.getElementById('list').dataset.state") == "open"
        assert page.said == []


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="needs chromium")
async def test_page_acts_by_its_cookie(store: Store, tmp_path: Path) -> None:
    """Somebody has signed in: acts go by POST; a token without the right is refused."""
    tokens = {name: f"{name} 0123456789abcdef" for name in ("boss", "viewer")}
    rights = {"boss": "view,details,operate,admin", "viewer": "view,details"}
    file = tmp_path / "tokens"
    digests = {name: hashlib.sha256(token.encode()).hexdigest() for name, token in tokens.items()}
    file.write_text("".join(f"{name} {rights[name]} {digests[name]}\n" for name in tokens))
    file.chmod(0o600)
    for id in ("a", "b"):
        store.create(transitions.create("etl", now=now(), id=id))
    said = "({ code, message }) => (window.said = code ?? message)"
    async with running_hub(store, token=TokenFile(file), control=True) as hub:
        for name, outcome in (("viewer", "forbidden"), ("boss", "failed by hand")):
            async with browser() as page:
                await page.go(f"http://127.0.0.1:{hub.port}/login")
                await page.shows("document.readyState", "complete")
                await page.run(
                    f"document.querySelector('[name=token]').value = '{tokens[name]}';"
                    "document.querySelector('form').submit()"
                )
                await page.shows("window.jobctl?.jobs.counts.total", 2)
                await page.run(
                    "jobctl.jobs.cancel('a', { reason: 'by hand' }).then((job) =>"
                    f" (window.said = `${{job.stage}} ${{job.cancelled.reason}}`), {said}), null"
                )
                await page.shows("window.said", outcome)
        assert {(job.id, job.stage) for job in store.since(ZERO).jobs} == {
            ("a", "failed"), ("b", "pending"),
        }  # fmt: skip


@pytest.mark.slow
@needs_npm
@pytest.mark.skipif(CHROMIUM is None, reason="needs chromium")
async def test_react_connects_anew_with_other_options(
    store: Store, bundles: Path, origin: str, tmp_path: Path
) -> None:
    """For another filter, hub or token; not for a filter or function that is only made anew."""
    past = to_text(now_ms() - 100_000)
    for id, type in (("a", "etl"), ("b", "report")):
        store.create(transitions.create(type, now=past, id=id, stages=("load",)))
    store.update("a", lambda job: transitions.advance(job, "load", now=past))
    second = open_store(tmp_path / "second", create=True)
    second.create(transitions.create("etl", now=now(), id="z"))
    token, allowed = TOKEN.encode(), [origin]
    async with (
        running_hub(store, allow_origins=allowed) as hub,
        running_hub(second, allow_origins=allowed, token=token) as other,
        browser() as page,
    ):
        (bundles / "out" / "options.html").write_text(
            f'<!doctype html><html data-framework="react" data-hub="{hub.url}">'
            '<div id="root"></div><script type="module" src="app.js"></script></html>'
        )
        await page.go(f"{origin}/options.html")
        await page.shows(ROWS, "b pending,a load")
        listed = "document.getElementById('list').dataset"
        assert await page.run(f"{listed}.stalled") == "a"
        seen = await page.run(f"{listed}.now")
        await page.shows(f"{listed}.now > {seen}", True)
        await page.run("all.watch('a'), all.watch('b'), all.watch('a'), all.unwatch('b')")
        await page.shows(f"{listed}.watched", "a")
        assert await page.run("all.bySession('none').length + all.job('a').stage") == "0load"
        said = "all.cancel('a').catch(({ code }) => (window.said = code)), null"
        await page.run(said)
        await page.shows("window.said", "unsupported")

        await page.run("setOptions({ filter: { type: 'etl' } })")
        await page.shows(ROWS, "a load")
        before = await page.run("all.status.since")
        await page.run("setOptions({ token: () => 'x' })")
        anew = f"all.status.since > {before} && all.status.state + all.jobs.length"
        await page.shows(anew, "open1")
        since = await page.run("all.status.since")
        await page.run("setOptions({ filter: { type: 'etl' }, token: () => 'another function' })")
        await asyncio.sleep(0.2)  # nothing is to come
        assert await page.run("all.status.since") == since
        await page.run(f"setOptions({{ url: '{other.url}' }})")
        await page.shows("all.status.state", "error")
        assert await page.run(ROWS) == ""
        await page.run(f"setOptions({{ token: () => '{TOKEN}' }})")
        await page.shows("given.token()", TOKEN)  # before it is rendered the old one is asked
        await page.run("all.refresh()")
        await page.shows(ROWS, "z pending")
        assert hub.server.clients.by_session == {}
    second.close()


@pytest.mark.skipif(CHROMIUM is None, reason="needs chromium")
@pytest.mark.slow
async def test_page_imports_the_client_from_the_hub(
    store: Store, tmp_path: Path, origin: str, bundles: Path
) -> None:
    """No build step and no copy: one script of a page of a named origin."""
    store.create(transitions.create("etl", now=now(), id="a"))
    async with running_hub(store, allow_origins=[origin]) as hub, browser() as page:
        base = hub.url.replace("ws://", "http://").removesuffix("/ws/jobs")
        (bundles / "out" / "plain.html").write_text(
            f'<!doctype html><script type="module">import {{ connect }} from "{base}/client.js";'
            f' window.jobs = connect({{ url: "{base}" }});</script>'
        )
        await page.go(f"{origin}/plain.html")
        await page.shows("window.jobs?.all().map(({ id, stage }) => id + stage).join()", "apending")
        assert page.said == []
