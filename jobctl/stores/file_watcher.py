"""Tells which job files change, by the operating system's file events.

Other programs write job files without ringing the bell. The events say which files to read, so that
an idle directory costs nothing, however large it is.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from contextlib import suppress

from jobctl.stores.directory.mounts import is_remote, kind_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["FileWatcher"]

_TIMEOUT_MS = 500  # without an event, this often we check that the path is the same directory
_STEP_MS = 50
_DEBOUNCE_MS = 100  # events that come in a row are merged for this long at the most
_PAUSE_S = 0.2  # after an event, in which others are collected: files are checked no more often
_RETRY_S = 5.0
_META = ".jobctl"


class FileWatcher:
    """Collects the ids of changed files in the directory ``path``.

    ``changed`` is called in the event loop after each event; then `take` returns what to check. An
    event is a hint like the bell: it may be lost or wrong. So check all files from time to time,
    seldom while `reliable` is true, and often while it is not. Start it once; `close` ends it.
    """

    def __init__(self, path: Path, changed: Callable[[], None]) -> None:
        self._path = path
        self._changed = changed
        self._ids: set[str] = set()
        self._any = False
        self._watching = False
        self._local = False
        self._stop = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def reliable(self) -> bool:
        """Whether the directory is watched and only this machine can write to it.

        False until the watch is set up, and while it cannot be: too many watches, or no directory.
        On a network file system, and on one whose type the system does not tell, events of other
        machines' writes are missing.
        """
        return self._watching and self._local

    def start(self) -> None:
        """Begin to watch; returns at once."""
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def close(self) -> None:
        """Stop watching. Does nothing if it was not started."""
        self._stop.set()  # the thread that waits for events looks at this every 50 ms
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def take(self) -> set[str] | None:
        """Return the ids of files that changed since the last call; ``None`` if it may be any file.

        Raises the exception that ended the watch, if it is a defect.
        """
        if self._task is not None and self._task.done() and not self._task.cancelled():
            self._task.result()
        ids: set[str] | None = self._ids
        if self._any:
            ids = None
        self._ids, self._any = set(), False
        return ids

    async def _run(self) -> None:
        while not self._stop.is_set():
            try:
                await self._watch()
            except (ImportError, OSError, RuntimeError):
                # Out of watches or descriptors, or the directory is gone: `reliable` says so.
                self._watching = False
                await asyncio.sleep(_RETRY_S)
            finally:
                self._watching = False

    async def _watch(self) -> None:
        """Watch one directory until the path is another one. Raises `OSError` if that fails."""
        import watchfiles

        stat = os.stat(self._path)
        self._local = _is_local(self._path, stat.st_dev)
        async for events in watchfiles.awatch(
            self._path,
            recursive=False,
            watch_filter=None,
            step=_STEP_MS,
            debounce=_DEBOUNCE_MS,
            rust_timeout=_TIMEOUT_MS,
            yield_on_timeout=True,
            stop_event=self._stop,
        ):
            if not self._watching:
                self._watching = self._any = True  # changes before the watch had no event
            names = {os.path.basename(path) for _, path in events}
            moved = (now := os.stat(self._path)).st_ino != stat.st_ino or now.st_dev != stat.st_dev
            self._any = self._any or moved or _META in names
            self._ids |= {name[:-5] for name in names if name.endswith(".json")}
            if self._ids or self._any:
                self._changed()
            if moved:
                return
            if events:
                with suppress(TimeoutError):
                    async with asyncio.timeout(_PAUSE_S):
                        await self._stop.wait()


def _is_local(path: Path, device: int) -> bool:
    kind = kind_of(device, os.path.realpath(path))
    return kind is not None and not is_remote(kind)
