"""The implementation of ``jobctl demo --web``: the page at work, until Ctrl-C.

A hub serves a temporary directory, and jobs of all kinds keep coming: successes, failures, retries,
cancelled and stalled jobs, commands with children and logs, and now and then a worker that dies.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any

from jobctl import api
from jobctl.cli.common import note, run_async
from jobctl.cli.live_demo import remove_directory, until_ready
from jobctl.cli.live_serve import open_page
from jobctl.cli.open_page import BrowserOpener
from jobctl.core.pipeline import BUILT_IN, Pipelines, parse_types
from jobctl.errors import Cancelled, JobctlError
from jobctl.hub.access import AccessPolicy
from jobctl.hub.address import DEFAULT_PATH, page_url
from jobctl.hub.server import serve
from jobctl.stores import Store, open_store
from jobctl.upkeep.reap import reap
from jobctl.upkeep.tasks import prune_task
from jobctl.work.dummy import DummyOptions, run_dummy
from jobctl.work.track import track

__all__ = ["show_page"]

_KEPT_S = 600.0
"""How long the jobs that have ended stay."""
_TYPES = {
    "report": {"label": "Report", "stages": ["collect", "render", "send"], "stalled-after": "10s"},
    "import": {
        "label": "Import",
        "stages": [{"name": "fetch", "label": "Fetching"}, {"name": "load", "label": "Loading"}],
    },
    "nightly": {
        "label": "Nightly load",
        "stages": [
            {"name": "fetch", "label": "Fetching"},
            {"name": "clean", "label": "Cleaning"},
            {"name": "load", "label": "Loading", "weight": 3},
        ],
    },
}
_COMMAND = """
import subprocess, sys, time
from jobctl import track
def tell(*words):
    subprocess.run([sys.executable, "-m", "jobctl", *words], check=False)
for stage, verb in (("fetch", "fetched"), ("clean", "cleaned"), ("load", "loaded")):
    tell("advance", stage)
    for table in ("customers", "orders", "invoices"):
        with track("table", title=f"{stage} {table}", stages=["copy"]) as job:
            job.stage("copy")
            for step in range(1, 6):
                time.sleep(0.3)
                job.progress(step, 5, f"{step * 2000} rows")
            print(f"{verb} {table}: 10,000 rows", flush=True)
    if stage == "clean":
        print("\\033[33mwarning:\\033[0m 3 rows without a date were left out", file=sys.stderr)
    if stage == sys.argv[1]:
        raise SystemExit("the database refused the connection")
"""
_DIES = "import os, signal, time; time.sleep(4); os.kill(os.getppid(), signal.SIGKILL)"


def show_page() -> None:
    """Serve the page and keep it busy until Ctrl-C; remove everything afterwards."""
    directory = Path(tempfile.mkdtemp(prefix="jobctl-demo-"))
    opener = BrowserOpener()
    try:
        run_async(_run(directory, opener))
    finally:
        opener.close()
        remove_directory(directory)


async def _run(directory: Path, opener: BrowserOpener) -> None:
    pipelines = Pipelines(parse_types({name: (said, "demo") for name, said in _TYPES.items()}))
    hub, side = open_store(directory, adopt=True), open_store(directory)
    stop = asyncio.Event()
    access = AccessPolicy("127.0.0.1", control=True)  # so that acts can be tried
    ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    served = asyncio.create_task(
        serve(
            hub,
            port=0,
            access=access,
            pipelines=pipelines,
            periodic_tasks=[prune_task(side, _KEPT_S, pipelines)],
            stop=stop,
            ready=ready.set_result,
        )
    )
    try:
        await until_ready(served, ready)
        note(f"the page is {page_url(ready.result(), '/').url} (Ctrl-C ends the demo)")
        open_page(opener, ready.result(), DEFAULT_PATH, access)
        with suppress(asyncio.CancelledError):  # Ctrl-C is how the demo ends
            await _Show(directory, pipelines).run()
    finally:
        stop.set()
        await served
        side.close()
        hub.close()


class _Show:
    """The jobs that keep coming."""

    def __init__(self, directory: Path, pipelines: Pipelines) -> None:
        self._directory = directory
        self._pipelines = pipelines
        self._chance = Random()
        self._commands: set[asyncio.subprocess.Process] = set()

    async def run(self) -> None:
        """Run jobs until cancelled."""
        store = open_store(self._directory)
        acts: dict[Callable[[Store], Coroutine[Any, Any, None]], float] = {
            self._usual: 1, self._retried: 9, self._stalled: 5, self._waiting: 6,
            self._cancelled: 8, self._command: 7, self._lost: 45,
        }  # fmt: skip
        try:
            async with asyncio.TaskGroup() as group:
                for act, pause_s in acts.items():
                    group.create_task(self._repeat(act, store, pause_s))
        finally:
            for command in self._commands:
                with suppress(ProcessLookupError):
                    os.killpg(command.pid, signal.SIGKILL)
            for command in list(self._commands):
                await command.wait()
            store.close()

    async def _repeat(
        self, act: Callable[[Store], Coroutine[Any, Any, None]], store: Store, pause_s: float
    ) -> None:
        """Do it again and again. A visitor may remove or cancel its jobs meanwhile."""
        while True:
            with suppress(JobctlError):
                await act(store)
            await asyncio.sleep(pause_s * self._chance.uniform(0.7, 1.3))

    async def _usual(self, store: Store) -> None:
        """Jobs of the built-in types, some of which fail."""
        options = DummyOptions(count=8, concurrency=4, speed=0.12, fail_rate=0.12, session="demo")
        await run_dummy(store, options, types=list(BUILT_IN))

    async def _retried(self, store: Store) -> None:
        """A job whose first attempt fails."""
        id = None
        for attempt in range(2):
            with suppress(_TimeOut):
                async with track(
                    "import", title="Orders of the shop", session="shop", store=store,
                    id=id, again=id is not None, labels={"team": "data"}, stages=("fetch", "load"),
                ) as job:  # fmt: skip
                    id = job.id
                    for stage in ("fetch", "load"):
                        job.stage(stage)
                        for step in range(1, 21):
                            await asyncio.sleep(0.15)
                            job.progress(step * 50, 1000, "orders")
                            if not attempt and stage == "load" and step == 9:
                                raise _TimeOut("the shop did not answer within 30 s")
                    job.complete(result={"orders": 1000, "new": 73, "skipped": []})
            await asyncio.sleep(4)

    async def _stalled(self, store: Store) -> None:
        """A job that stays in one stage for longer than it should."""
        async with track(
            "report", title="Monthly report", session="office", store=store,
            stages=("collect", "render", "send"),
        ) as job:  # fmt: skip
            for stage, stays_s in (("collect", 4), ("render", 28), ("send", 3)):
                job.stage(stage)
                job.message("waits for the printer" if stage == "render" else stage)
                await asyncio.sleep(stays_s)

    async def _waiting(self, store: Store) -> None:
        """Jobs that wait until another program takes them up, as scripts do it."""
        ids = [
            (
                await _call(api.create, store, "report", title=f"Letter {number}", session="office")
            ).id
            for number in range(1, 4)
        ]
        await asyncio.sleep(8)
        for id in ids:
            for stage in ("collect", "render", "send"):
                await _call(api.advance, store, id, stage)
                await asyncio.sleep(1)
            await _call(api.complete, store, id)

    async def _cancelled(self, store: Store) -> None:
        """A job that somebody cancels."""
        with suppress(Cancelled):
            async with track(
                "import", title="Catalogue", session="shop", store=store, stages=("fetch", "load")
            ) as job:
                job.stage("fetch")
                await asyncio.sleep(6)
                cancelled = asyncio.create_task(
                    _call(api.cancel, store, job.id, reason="the wrong catalogue")
                )
                await asyncio.sleep(10)
                await cancelled

    async def _command(self, store: Store) -> None:
        """A command with children and a log; every third one fails."""
        fails_in = self._chance.choice(("", "", "load"))
        await self._jobctl_run(
            "--type", "nightly", "--title", "Nightly load", "--stages", "fetch,clean,load",
            "--session", "warehouse", "--label", "team=data", "--log", "all", "--",
            sys.executable, "-c", _COMMAND, fails_in,
        )  # fmt: skip

    async def _lost(self, store: Store) -> None:
        """A command whose ``jobctl run`` is killed, as by lack of memory; later it is reaped."""
        await asyncio.sleep(15)
        await self._jobctl_run("--title", "Thumbnails", "--", sys.executable, "-c", _DIES)
        await asyncio.sleep(30)
        await _call(reap, store)

    async def _jobctl_run(self, *args: str) -> None:
        env = {name: text for name, text in os.environ.items() if not name.startswith("JOBCTL_")}
        command = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "jobctl", "run", "--dir", str(self._directory), *args,
            cwd=self._directory, env=env, start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        self._commands.add(command)
        await command.wait()
        self._commands.discard(command)


class _TimeOut(Exception):
    """A failure for show."""


async def _call(function: Callable[..., Any], *args: Any, **options: Any) -> Any:
    """Call it in a thread: it waits for locks and for other processes."""
    return await asyncio.to_thread(function, *args, **options)
