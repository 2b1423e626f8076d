"""Components of an application: in Node as a server renders them, in a browser on a real hub."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pytest

from jobctl._clock import now, now_ms
from jobctl.core import transitions
from jobctl.core.job import Job
from jobctl.core.times import to_text
from jobctl.hub.tokens import TokenFile
from jobctl.stores import Store, open_store
from tests import npm
from tests.hub.browser import CHROMIUM, Page, browser
from tests.hub.network import running_hub
from tests.page.test_client import HERE, TOKEN, needs_npm, served, write_client

pytestmark = [pytest.mark.slow, needs_npm]

needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="needs chromium")


class Project(NamedTuple):
    """A folder with the client, and one version of a framework from npm."""

    folder: Path
    version: str
    jsx: str
    """Whose types the elements have."""
    binding: str

    def node(self, *command: str) -> str:
        """What the program prints; it ends well, and says nothing else."""
        ran = subprocess.run(
            ["node", *command],
            cwd=self.folder, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert (ran.returncode, ran.stderr) == (0, "")
        return ran.stdout


@pytest.fixture(scope="module", params=["1", "2"])
def project(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Solid 1.9, then 2."""
    folder = tmp_path_factory.mktemp("solid")
    write_client(folder)
    is_first = request.param == "1"
    shutil.copy(HERE / ("package.json" if is_first else "solid2.json"), folder / "package.json")
    programs = ("cards.jsx", "server.jsx", "server.react.mjs", "build.mjs")
    types = ("types.ts", "types.solid.tsx", "types.react.tsx")
    npm.install_packages(folder, *(HERE / name for name in programs + types))
    if is_first:
        return Project(folder, "1", "solid-js", "solid")
    return Project(folder, "2", "@solidjs/web", "solid2")


def compiled(project: Project, *files: str, jsx: str, jsx_import: str) -> None:
    """TypeScript takes all of the files."""
    options = {
        "noEmit": True, "strict": True, "target": "es2022", "module": "es2022",
        "moduleResolution": "bundler", "lib": ["es2022", "dom", "dom.iterable"], "types": [],
        "jsx": jsx, "jsxImportSource": jsx_import,
        "paths": {"solid-jobs": [f"./{project.binding}.d.ts"]},
    }  # fmt: skip
    config = {"compilerOptions": options, "files": ["types.ts", *files]}
    (project.folder / "tsconfig.json").write_text(json.dumps(config))
    ran = subprocess.run(
        ["node_modules/.bin/tsc", "-p", "."],
        cwd=project.folder, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (ran.returncode, ran.stdout) == (0, "")


def test_declarations_of_the_bindings(project: Project) -> None:
    """TypeScript takes what is right, and refuses what is not, in each framework."""
    compiled(project, "types.solid.tsx", jsx="preserve", jsx_import=project.jsx)
    if project.version == "1":
        compiled(project, "types.react.tsx", jsx="react-jsx", jsx_import="react")


def test_server_renders_a_page_without_jobs(project: Project) -> None:
    """Where there is no window nothing connects, and no timer keeps the process."""
    project.node("build.mjs", "server.jsx", "out/server.mjs", project.version, "ssr")
    html = project.node("out/server.mjs")
    assert 'data-state="idle"' in html
    assert "No jobs." in html
    if project.version == "1":
        assert project.node("server.react.mjs").splitlines() == [
            "<p>0,0,idle,0,0,0 none true</p>",
            "useJobs() needs a <JobProvider> above it",
        ]


# -- in a browser -----------------------------------------------------------------------------

CARDS = "[...document.querySelectorAll('article')].map((card) => card.id).join()"
MARK = "document.querySelectorAll('article, article *').forEach((node) => (node.kept = true))"
NEW_NODES = (
    "[...document.querySelectorAll('article, article *')].filter((node) => !node.kept)"
    ".map((node) => `${node.closest('article').id} ${node.className || node.localName}`).join()"
)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """What is served."""
    made = open_store(tmp_path / "jobs", create=True)
    yield made
    made.close()


@contextmanager
def page_of(project: Project) -> Iterator[tuple[str, Callable[[str], None]]]:
    """The address of a built page, and what writes it for a hub's address."""
    out = project.folder / "out"
    project.node("build.mjs", "cards.jsx", "out/cards.js", project.version)
    (out / "favicon.ico").touch()

    def write(hub: str) -> None:
        (out / "index.html").write_text(
            '<!doctype html><div id="root"></div>'
            '<script type="module">import { show } from "./cards.js";'
            f'show(document.getElementById("root"), "{hub}", "{TOKEN}");</script>'
        )

    with served(out) as origin:
        yield origin, write


def text(selector: str) -> str:
    """What the first such element says, or null."""
    return f"document.querySelector('{selector}')?.textContent ?? null"


def strip(id: str) -> str:
    """The stages of a card, and where it is."""
    return f"[...document.querySelectorAll('#{id} .strip li')].map((one) => one.dataset.at).join()"


def move(store: Store, id: str, change: Callable[..., Job], *args: object, **more: object) -> None:
    """Apply a transition to the job."""
    store.update(id, lambda job: change(job, *args, now=now(), **more))


async def kept(page: Page) -> str:
    """The elements of cards that are new since the last look."""
    new = str(await page.run(NEW_NODES))
    await page.run(MARK)
    return new


@needs_chromium
async def test_cards_follow_their_jobs(project: Project, store: Store, tmp_path: Path) -> None:
    """Appear, move, stall, finish, end by hand; other cards keep their elements."""
    tokens = tmp_path / "tokens"
    create = partial(transitions.create, "etl", stages=("load", "check", "save"))
    past = to_text(now_ms() - 100_000)
    store.create(create(now=past, id="a", title="Nightly load"))
    store.update("a", lambda job: transitions.advance(job, "load", now=past))
    store.create(create(now=now(), id="b"))
    with page_of(project) as (origin, write):
        # A page of another origin changes jobs with a token only.
        digest = hashlib.sha256(TOKEN.encode()).hexdigest()
        tokens.write_text(f"app view,details,operate {digest}\n")
        tokens.chmod(0o600)
        token = TokenFile(tokens)
        async with running_hub(store, token=token, control=True) as hub, browser() as page:
            write(hub.url)
            await page.go(f"{origin}/index.html")
            await page.shows(CARDS, "a,b")
            assert await page.run(text("#indicator")) == "2"
            assert await page.run(text("#a h2")) == "Nightly load"
            assert await page.run(strip("a")) == "now,next,next"
            assert await page.run(text("#a .stalled")) == "no news for over a minute"
            await page.run(MARK)

            move(store, "b", transitions.advance, "check")
            move(store, "b", transitions.report, done=1, total=4)
            await page.shows("document.querySelector('#b progress')?.value", 0.25)
            assert await page.run(strip("b")) == "done,now,next"
            assert set((await kept(page)).split(",")) <= {"b progress", "b eta"}
            elapsed = await page.run(text("#b .elapsed"))
            await page.shows(f"({text('#b .elapsed')}) !== {elapsed!r}", True)

            move(store, "a", transitions.advance, "check")
            await page.shows(text("#a .stalled"), None)
            store.create(create(now=now(), id="c"))
            await page.shows(CARDS, "a,b,c")
            assert {node.split()[0] for node in (await kept(page)).split(",")} == {"c"}

            move(store, "a", transitions.complete)
            await page.shows(text("#indicator"), "2")
            assert await page.run("document.querySelector('#a').dataset.stage") == "completed"
            assert await page.run(text("#a .cancel")) is None
            await page.run("document.querySelector('#b .pin').click()")
            await page.shows(text("#b .pin"), "pinned")

            await page.run("document.querySelector('#c .cancel').click()")
            await page.shows(text("#c output"), "done")
            await page.shows("document.querySelector('#c').dataset.stage", "failed")
            cancelled = store.get("c").cancellation
            assert cancelled is not None
            assert cancelled.reason == "by hand"
            await page.shows(text("#indicator"), "1")
            assert await page.run(text("#c .cancel")) is None
            store.remove("a")
            await page.shows(CARDS, "b,c")
            assert await kept(page) == ""
            assert page.said == []
