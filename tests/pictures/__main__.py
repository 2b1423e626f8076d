"""Draw ``jobctl watch`` and a hub's page, with the same jobs, by headless Chromium.

Run it after a change of either, look at the pictures, and commit them. With ``--all FOLDER`` it
draws every page of the hub into a folder instead, to be looked at: at 380, 800 and 1600 pixels,
dark and light, with 0, 7, 200 and 10,000 jobs.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import html
import os
import sys
import tempfile
import time
from itertools import groupby
from pathlib import Path
from typing import Any

import pexpect
import pyte

from jobctl._clock import now, to_text
from jobctl.core import transitions
from jobctl.core.job import Job
from jobctl.stores import Store, open_store
from tests.cli.conftest import command, environment
from tests.hub.browser import CHROMIUM, Page, browser
from tests.hub.network import running_hub

ASSETS = Path(__file__).parents[2] / ".assets"
COLUMNS, ROWS = 104, 22
COLOURS = {
    "default": "#d7dae0", "red": "#ff7b72", "green": "#7ee787", "brown": "#e3b341",
    "yellow": "#e3b341", "brightblack": "#8b949e", "blue": "#79c0ff", "cyan": "#76e3ea",
}  # fmt: skip


def ago(seconds: float) -> str:
    """The time so many seconds ago."""
    return to_text(round((time.time() - seconds) * 1000))


def job(
    store: Store, id: str, type: str, title: str, began_s: float, stages: str, *steps: Any
) -> None:
    """A job that has entered stages, each so many seconds ago, and what became of it."""
    made = transitions.create(
        type, now=ago(began_s), id=id, title=title, stages=stages.split(",") or None
    )
    for step in steps:
        made = step(made)
    store.create(made)


def at(stage: str, since_s: float, done: float = 0, total: float = 0, message: str = "") -> Any:
    """The step into a stage."""

    def enter(old: Job) -> Job:
        entered = transitions.advance(old, stage, now=ago(since_s))
        if not total:
            return entered
        return transitions.report(entered, now=now(), done=done, total=total, message=message)

    return enter


def failed(error: str, since_s: float) -> Any:
    """The step to a failure."""
    return lambda old: transitions.fail(old, error, now=ago(since_s))


def completed(since_s: float) -> Any:
    """The step to the end."""
    return lambda old: transitions.complete(old, now=ago(since_s))


def fill(store: Store) -> None:
    """A morning's jobs."""
    load = "fetch,clean,load"
    job(store, "import-0412", "etl", "Orders of April", 1900, load, at("fetch", 1890),
        failed("429 Too Many Requests: quota of 1,000 calls is used up", 1500))  # fmt: skip
    job(store, "backup-db", "backup", "Nightly backup", 5200, "dump,upload", at("dump", 5190),
        at("upload", 4800), failed("no route to host", 4700))  # fmt: skip
    job(store, "answers-77", "submit_answers", "Answers of group 77", 190,
        "extract,analyze,generate,finalize", at("extract", 185), at("analyze", 170))  # fmt: skip
    job(store, "import-0413", "etl", "Orders of May", 420, load, at("fetch", 410),
        at("clean", 40, 31, 48, "orders-31.csv"))  # fmt: skip
    job(store, "train-resnet", "train", "ResNet on 4 GPUs", 8040, "load,train,export",
        at("load", 8030), at("train", 55, 62, 90, "epoch 62, loss 0.213"))  # fmt: skip
    job(store, "session-9", "create_session", "Session for class 9b", 21,
        "extract,analyze,generate,finalize", at("extract", 20), at("generate", 6))  # fmt: skip
    job(store, "round-3", "create_next_round", "Next round", 9,
        "extract,analyze,generate,finalize", at("extract", 8))  # fmt: skip
    job(store, "import-0414", "etl", "Orders of June", 15, load)
    for number, (id, title) in enumerate([
        ("import-0411", "Orders of March"), ("import-0410", "Orders of February"),
        ("report-q1", "Quarterly report"), ("session-8", "Session for class 8a"),
        ("backup-home", "Home directories"),
    ]):  # fmt: skip
        began = 2600 + 700 * number
        job(store, id, "etl", title, began, load, at("load", began - 60), completed(began - 340))


def terminal(directory: Path) -> str:
    """What ``jobctl watch`` shows, as HTML."""
    screen = pyte.Screen(COLUMNS, ROWS)
    stream = pyte.Stream(screen)
    line = command("watch")
    variables = {"TERM": "xterm-256color", "JOBCTL_DIR": str(directory), "LANG": "C.UTF-8"}
    process = pexpect.spawn(
        line[0],
        line[1:],
        env=environment(**variables),
        dimensions=(ROWS, COLUMNS),
        encoding="utf-8",
    )
    began_s, pressed = time.monotonic(), False
    while time.monotonic() < began_s + 4:
        if not pressed and time.monotonic() > began_s + 2:
            pressed = bool(process.send("j"))  # which shows the selection
        try:
            stream.feed(process.read_nonblocking(65536, 0.2))
        except pexpect.TIMEOUT:
            pass
    cells = [[screen.buffer[row][column] for column in range(COLUMNS)] for row in range(ROWS)]
    process.close(force=True)
    return "\n".join(map(_row, cells))


def _style(char: Any) -> str:
    colour, ground = COLOURS.get(char.fg, COLOURS["default"]), "transparent"
    if char.reverse:
        colour, ground = "#0d1117", colour
    return f"color:{colour};background:{ground};font-weight:{'bold' if char.bold else 'normal'}"


def _row(cells: list[Any]) -> str:
    parts = []
    for style, chars in groupby(cells, _style):
        text = html.escape("".join(char.data or "" for char in chars))
        parts.append(f'<span style="{style}">{text}</span>')
    return "".join(parts)


TERMINAL = """<!doctype html><meta charset="utf-8"><style>
body {{ margin: 0; background: #0d1117 }}
pre {{ margin: 0; padding: 18px 20px;
  font: 15px/1.32 "DejaVu Sans Mono", "Liberation Mono", monospace }}
</style><pre id="screen">{}</pre>"""


async def shoot(page: Page, width: int, height: int, file: Path) -> None:
    """Write a picture of the page, sharp enough for good screens."""
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1.5, "mobile": False}
    await page.do("Emulation.setDeviceMetricsOverride", **metrics)
    await page.do("Emulation.setScrollbarsHidden", hidden=True)
    await asyncio.sleep(0.5)
    shot = await page.do("Page.captureScreenshot", format="png")
    file.write_bytes(base64.b64decode(shot["data"]))


async def draw() -> None:
    """The pictures of README."""
    ASSETS.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as place:
        os.chdir(place)
        store = open_store(Path("jobs"), create=True)
        fill(store)
        picture = Path(place) / "watch.html"
        picture.write_text(TERMINAL.format(await asyncio.to_thread(terminal, Path("jobs"))))
        async with browser() as page:
            await page.do("Emulation.setScrollbarsHidden", hidden=True)
            await page.go(picture.as_uri())
            await page.shows("document.getElementById('screen') !== null", True)
            box = "document.getElementById('screen').getBoundingClientRect()"
            await page.run("document.getElementById('screen').style.width = 'max-content'")
            width, height = [round(await page.run(f"{box}.{side}")) for side in ("width", "height")]
            await shoot(page, width, height, ASSETS / "watch.png")
        async with running_hub(store) as hub, browser() as page:
            url = hub.url.replace("ws://", "http://").removesuffix("ws/jobs")
            for name, path, scheme, height in (
                ("page", "", "light", 640), ("job", "jobs/train-resnet", "dark", 560),
            ):  # fmt: skip
                features = [{"name": "prefers-color-scheme", "value": scheme}]
                await page.do("Emulation.setEmulatedMedia", features=features)
                await page.go("about:blank")
                await page.shows("location.href", "about:blank")
                await page.go(url + path)
                await page.shows("window.jobctl?.jobs.status.synced === true", True)
                await shoot(page, 1280, height, ASSETS / f"{name}.png")
        store.close()
    for file in sorted(ASSETS.iterdir()):
        print(f"{file}: {file.stat().st_size // 1024} KiB")


# -- all pages, to be looked at --------------------------------------------------------------------


def fill_more(store: Store, count: int) -> None:
    """A morning's jobs, and ended ones until there are so many."""
    fill(store)
    made = len(store.ids())
    types = ("etl", "report", "backup", "create_session", "train")
    for number in range(count - made):
        began = 600 + 20 * number
        title = f"{('Orders', 'Report', 'Backup')[number % 3]} of customer {number % 977}"
        step = failed("connection reset by peer", began - 60) if number % 19 == 3 else None
        end = step or completed(began - 30 - number % 240)
        job(store, f"job-{number:05d}", types[number % 5], title, began, "fetch,clean,load",
            at("fetch", began - 5), end)  # fmt: skip


async def shoot_all(page: Page, url: str, name: str, folder: Path) -> None:
    """The page at each width, dark and light."""
    await page.go("about:blank")
    await page.shows("location.href", "about:blank")
    await page.go(url)
    await page.shows("window.jobctl?.jobs.status.synced === true", True, 30)
    for scheme in ("light", "dark"):
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        await page.do("Emulation.setEmulatedMedia", features=features)
        for width, height in ((380, 800), (800, 900), (1600, 1000)):
            metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
            await page.do("Emulation.setDeviceMetricsOverride", **metrics)
            await asyncio.sleep(1.2)
            shot = await page.do("Page.captureScreenshot", format="png")
            (folder / f"{name}-{width}-{scheme}.png").write_bytes(base64.b64decode(shot["data"]))


async def draw_all(folder: Path) -> None:
    """Every page of the dashboard, to be looked at."""
    folder.mkdir(parents=True, exist_ok=True)
    for count in (0, 7, 200, 10_000):
        with tempfile.TemporaryDirectory() as place:
            store = open_store(Path(place) / "jobs", create=True, adopt=True)
            if count:
                fill_more(store, count)
            if count == 7:
                for id in store.ids()[7:]:
                    store.remove(id)
            async with running_hub(store) as hub, browser() as page:
                at = hub.url.replace("ws://", "http://").removesuffix("ws/jobs")
                await shoot_all(page, at, f"list-{count}", folder)
                if count == 200:
                    for id in ("train-resnet", "import-0412", "import-0411", "missing"):
                        await shoot_all(page, f"{at}jobs/{id}", f"job-{id}", folder)
                    await shoot_all(page, f"{at}?kiosk=1", "wall", folder)
                    await shoot_all(page, f"{at}?q=orders&show=failed", "search", folder)
            store.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--all", type=Path, metavar="FOLDER")
    options = parser.parse_args()
    if CHROMIUM is None:
        sys.exit("needs chromium")
    asyncio.run(draw() if options.all is None else draw_all(options.all.resolve()))
