"""The dashboard in Chromium, beside that of an older commit.

    python -m tests.benchmarks.bench_page [--against COMMIT] [--minutes M] [--smoke]

10,000 jobs, of which 300 run. The hub and what changes its jobs are one process of their own
(``page_feeder.py``). Of each page, in turns:

- how long it takes from the navigation to the first rows on the screen, and to all jobs; and how
  many of the jobs can be reached by scrolling;
- at ``--rate`` changes a second: the time between frames while something on the page is animated,
  as it is when somebody scrolls, and the share of time for which the main thread is busy. Both come
  from the browser's own tracing: `BeginMainThreadFrame` and `RunTask` of the page's main thread;
- for ``--minutes`` at ``--fast`` changes a second: heap and DOM nodes after a forced garbage
  collection, when all has arrived, at the start and at the end. It begins after a warm-up.

Columns of CPU are shares of one core: of the process with the hub, and of all of the browser.
There is no GPU, so the browser draws by CPU, on all cores.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.benchmarks.measure import cpu_s, line_of, percentile, table, tell
from tests.hub.browser import CHROMIUM, Page, browser

ROOT = Path(__file__).parents[2]
FEEDER = Path(__file__).with_name("page_feeder.py")
CATEGORIES = ["toplevel", "disabled-by-default-devtools.timeline.frame", "devtools.timeline.frame"]
SIZE = (1600, 1000)

WATCH_LOAD = """
(() => {
  const painted = (name) => requestAnimationFrame(() => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => (window.loadMs[name] = performance.now());
    port2.postMessage(0); // handled after the frame has been drawn
  });
  const heldJobs = () => {
    if (window.jobctl) return window.jobctl.jobs.all().length;
    const text = document.getElementById("counts")?.textContent ?? "";
    return [...text.matchAll(/(\\d+) (active|completed|failed|cancelled)/g)]
      .reduce((sum, [, number]) => sum + Number(number), 0);
  };
  window.loadMs = {};
  const observer = new MutationObserver(() => {
    if (!document.querySelector("#rows [data-id]")) return;
    observer.disconnect();
    painted("first");
  });
  observer.observe(document, { childList: true, subtree: true });
  const look = () => (heldJobs() >= TOTAL ? painted("all") : setTimeout(look, 10));
  setTimeout(look, 10);
})();
"""

SCROLL = """
(async () => {
  const isScrollable = (one) => one.scrollHeight > one.clientHeight
    && /auto|scroll/.test(getComputedStyle(one).overflowY);
  let box = document.getElementById("rows");
  while (box && !isScrollable(box)) box = box.parentElement;
  box ??= document.scrollingElement;
  const seen = new Set();
  const frame = () => new Promise((done) => requestAnimationFrame(done));
  box.scrollTop = 0;
  for (;;) {
    await frame(); await frame();
    for (const row of document.querySelectorAll("#rows [data-id]")) seen.add(row.dataset.id);
    if (box.scrollTop + box.clientHeight >= box.scrollHeight - 1) break;
    box.scrollTop += box.clientHeight * 0.8;
  }
  box.scrollTop = 0;
  return seen.size;
})()
"""

ANIMATE = "(function frame() { window.animation = requestAnimationFrame(frame); })()"
# What changes as long as changes arrive. An older page does not tell; its counts do in the end.
SHOWN_CHANGE = """
window.jobctl ? window.jobctl.jobs.status.cursor : document.getElementById("counts").textContent
"""


@dataclass
class Figures:
    """What was measured of one page."""

    first_ms: list[float] = field(default_factory=list)
    all_ms: list[float] = field(default_factory=list)
    reached: int = 0
    frames_ms: list[float] = field(default_factory=list)
    busy: float = 0.0
    hub_cpu: float = 0.0
    browser_cpu: float = 0.0
    late_s: float = 0.0
    heap: tuple[float, float] = (0.0, 0.0)
    nodes: tuple[int, int] = (0, 0)
    changes: int = 0


@contextmanager
def tree_of(commit: str | None) -> Iterator[Path]:
    """The root of the tree to serve: this one, or that of the commit."""
    if commit is None:
        yield ROOT
        return
    with tempfile.TemporaryDirectory() as folder:
        archive = subprocess.run(
            ["git", "archive", commit, "jobctl"], cwd=ROOT, check=True, stdout=subprocess.PIPE
        )
        subprocess.run(["tar", "-x", "-C", folder], input=archive.stdout, check=True)
        yield Path(folder)


@contextmanager
def feeder(tree: Path, jobs: int) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The process with the hub, and the URL of its page."""
    process = subprocess.Popen(
        [sys.executable, str(FEEDER), str(jobs), "300"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": str(tree)},
    )  # fmt: skip
    try:
        yield process, line_of(process).replace("ws://", "http://").replace("/ws/jobs", "/")
    finally:
        process.kill()
        process.communicate()


def group_cpu_s(group: int) -> float:
    """The CPU time that the living processes of a process group have taken."""
    total = 0.0
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if os.getpgid(int(folder.name)) == group:
                total += cpu_s(int(folder.name))
        except (ProcessLookupError, FileNotFoundError):
            continue
    return total


async def load(page: Page, url: str, jobs: int, figures: Figures) -> None:
    """Open the page, wait for its jobs, and note the times."""
    await page.go("about:blank")
    await page.shows("location.href", "about:blank")
    await page.go(url)
    await page.shows("'all' in (window.loadMs ?? {}) && 'first' in window.loadMs", True, 60)
    times = await page.run("window.loadMs")
    figures.first_ms.append(times["first"])
    figures.all_ms.append(times["all"])


async def feed(process: subprocess.Popen[str], rate: int, seconds: float) -> tuple[int, float]:
    """Have so many changes made; returns their number, and how late they were at most, in s."""
    tell(process, f"{rate} {seconds}")
    made, late_s = (await asyncio.to_thread(line_of, process)).split()
    return int(made), float(late_s)


async def traced(page: Page, seconds: float, work: Any) -> list[dict[str, Any]]:
    """What the browser traces while the work is done, which takes so long."""
    events: list[dict[str, Any]] = []
    complete = asyncio.Event()
    page.on("Tracing.dataCollected", lambda params: events.extend(params["value"]))
    page.on("Tracing.tracingComplete", lambda _: complete.set())
    config = {"includedCategories": CATEGORIES, "traceBufferSizeInKb": 400_000}
    await page.do("Tracing.start", transferMode="ReportEvents", traceConfig=config)
    await work
    await page.do("Tracing.end")
    await asyncio.wait_for(complete.wait(), 120)
    return events


def judge(events: list[dict[str, Any]], figures: Figures) -> None:
    """Take frames and tasks of the page's main thread from the trace."""
    frames: dict[tuple[int, int], list[int]] = {}
    for event in events:
        if event["name"] == "BeginMainThreadFrame":
            frames.setdefault((event["pid"], event["tid"]), []).append(event["ts"])
    thread, times = max(frames.items(), key=lambda item: len(item[1]))
    times.sort()
    pairs = itertools.pairwise(times)
    figures.frames_ms = sorted((after - before) / 1000 for before, after in pairs)
    tasks = [
        (event["ts"], event["ts"] + event.get("dur", 0))
        for event in events
        if (event["pid"], event["tid"]) == thread
        and event["name"].endswith("RunTask")
        and event["ph"] == "X"
    ]
    busy, end = 0, 0
    for began, ended in sorted(tasks):  # the outer ones: a task within a task counts once
        busy += max(0, ended - max(began, end))
        end = max(end, ended)
    figures.busy = busy / (times[-1] - times[0])


async def settle(page: Page) -> None:
    """Wait until the page shows no change any more."""
    before, still = None, 0
    while still < 6:
        now = await page.run(SHOWN_CHANGE)
        still = still + 1 if now == before else 0
        before = now
        await asyncio.sleep(0.5)


async def memory(page: Page) -> tuple[float, int]:
    """The heap in MiB and the number of DOM nodes, after a forced garbage collection."""
    await settle(page)
    for _ in range(2):  # the second takes what finalizers of the first let go
        await page.do("HeapProfiler.collectGarbage", within_s=60)
    await asyncio.sleep(0.5)
    metrics = (await page.do("Performance.getMetrics"))["metrics"]
    held = {metric["name"]: metric["value"] for metric in metrics}
    return held["JSHeapUsedSize"] / 2**20, int(held["Nodes"])


async def measure(tree: Path, options: argparse.Namespace) -> Figures:
    """All figures of the page of one tree."""
    figures = Figures()
    with feeder(tree, options.jobs) as (process, url):
        async with browser("--js-flags=--expose-gc") as page:
            await page.size(*SIZE)
            await page.do("Performance.enable")
            await page.before_scripts(WATCH_LOAD.replace("TOTAL", str(options.jobs)))
            await load(page, url, options.jobs, Figures())  # the browser's own caches fill
            for _ in range(options.loads):
                await load(page, url, options.jobs, figures)
            figures.reached = await page.run(SCROLL, within_s=120)
            await feed(process, options.rate, min(5, options.seconds))
            await page.run(ANIMATE)
            await asyncio.sleep(0.5)
            began_s = time.monotonic()
            before = cpu_s(process.pid), group_cpu_s(page.process.pid)
            work = feed(process, options.rate, options.seconds)
            events = await traced(page, options.seconds, work)
            lasted_s = time.monotonic() - began_s
            figures.hub_cpu = (cpu_s(process.pid) - before[0]) / options.seconds
            figures.browser_cpu = (group_cpu_s(page.process.pid) - before[1]) / lasted_s
            judge(events, figures)
            await page.run("cancelAnimationFrame(window.animation)")
            if options.minutes:
                await feed(process, options.fast, options.warm_up)
                start = await memory(page)
                figures.changes, figures.late_s = await feed(
                    process, options.fast, options.minutes * 60
                )
                end = await memory(page)
                figures.heap, figures.nodes = (start[0], end[0]), (start[1], end[1])
            assert page.said == [], page.said
    return figures


def rows_of(figures: Figures) -> list[tuple[str, float, str]]:
    """Name, value and text of each figure."""
    frames = figures.frames_ms
    over = sum(1 for ms in frames if ms > 100)
    rows = [
        ("first rows", statistics.median(figures.first_ms), "{:,.0f} ms"),
        ("all jobs", statistics.median(figures.all_ms), "{:,.0f} ms"),
        ("jobs reached by scrolling", figures.reached, "{:,.0f}"),
        ("between frames, median", percentile(frames, 0.5), "{:.1f} ms"),
        ("between frames, p95", percentile(frames, 0.95), "{:.1f} ms"),
        ("longest", frames[-1], "{:,.0f} ms"),
        ("frames over 100 ms", over, "{:,.0f}"),
        ("main thread busy", figures.busy * 100, "{:.0f} %"),
        ("CPU of the browser", figures.browser_cpu * 100, "{:.0f} %"),
        ("CPU of the hub and the changes", figures.hub_cpu * 100, "{:.0f} %"),
    ]
    if figures.changes:
        rows += [
            ("changes until the end", figures.changes, "{:,.0f}"),
            ("heap at the start", figures.heap[0], "{:.1f} MiB"),
            ("heap at the end", figures.heap[1], "{:.1f} MiB"),
            ("DOM nodes at the start", figures.nodes[0], "{:,.0f}"),
            ("DOM nodes at the end", figures.nodes[1], "{:,.0f}"),
            ("changes late by at most", figures.late_s, "{:.2f} s"),
        ]
    return rows


def show(named: Sequence[tuple[str, Figures]], title: str) -> None:
    """Print the figures of each page in a column, and the ratio of the first two."""
    columns = [rows_of(figures) for _, figures in named]
    lines = []
    for cells in zip(*columns, strict=True):
        texts = [text.format(value) for _, value, text in cells]
        if len(cells) > 1:
            texts.append(f"{cells[0][1] / cells[1][1]:.2f}" if cells[1][1] else "")
        lines.append((cells[0][0], *texts))
    header = ["", *(name for name, _ in named), *(["ratio"] if len(named) > 1 else [])]
    table(title, header, lines)


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--against", metavar="COMMIT", help="measure its page as well")
    parser.add_argument("--jobs", type=int, default=10_000)
    parser.add_argument("--loads", type=int, default=5, help="how often each page is opened")
    parser.add_argument("--rate", type=int, default=1000, help="changes a second, for frames")
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--fast", type=int, default=3000, help="changes a second, for memory")
    parser.add_argument("--minutes", type=float, default=10.0, help="of the latter; 0: none")
    parser.add_argument("--warm-up", type=float, default=30.0, metavar="SECONDS")
    parser.add_argument("--smoke", action="store_true", help="a few seconds, to try it")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures as well")
    options = parser.parse_args()
    if CHROMIUM is None:
        parser.error("needs chromium")
    if options.smoke:
        options.loads, options.seconds, options.minutes, options.warm_up = 1, 3.0, 0.1, 2.0
    named = []
    for name, commit in [("this page", None), (options.against, options.against)]:
        if name is not None:
            with tree_of(commit) as tree:
                named.append((str(name), asyncio.run(measure(tree, options))))
    show(named, f"The dashboard, {options.jobs:,} jobs, {options.rate:,} changes/s")
    if options.json:
        options.json.write_text(json.dumps({name: vars(figures) for name, figures in named}))


if __name__ == "__main__":
    main()
