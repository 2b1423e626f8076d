"""Checks of running processes: listeners on the bell, hubs and owners."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shlex
import socket
import stat as stats
import sys
import time
from collections.abc import Iterator
from typing import Literal, NamedTuple
from urllib.parse import urlsplit

from jobctl.core.cursor import ZERO, Cursor, store_epoch
from jobctl.core.filters import Filter
from jobctl.core.jobset import Delta
from jobctl.errors import HubError, UsageError
from jobctl.hub.discovery import is_same_network, token_in
from jobctl.stores.directory.owners import DirectoryOwners
from jobctl.stores.directory.place import Place
from jobctl.upkeep.doctor.finding import CheckContext, Finding, is_stopped, names, opened, plural
from jobctl.upkeep.doctor.reverse_proxy import nginx_passes

__all__ = ["bells", "hubs", "owners"]

_ANSWER_S = 1.0
_GRACE_S = 1.2
_AGAIN_S = 0.2
_MAX_HUBS = 8
_NOBODY = Filter.make(ids=["jobctl-doctor"])
"""Selects no job: the delta has only the hub's revision."""


def bells(context: CheckContext) -> Iterator[Finding]:
    """Report sockets on which nobody listens any more."""
    with (
        opened(context.path) as dir_fd,
        opened(".jobctl", dir_fd) as meta_fd,
        opened("bell", meta_fd) as bell_fd,
    ):
        states = {name: _has_listener(name, bell_fd, context) for name in os.listdir(bell_fd)}
    here = str(context.path / ".jobctl" / "bell")
    dead = {name for name, listening in states.items() if listening is False}
    if dead:
        what = f"{plural(len(dead), 'listener')} died unexpectedly: {names(dead)}"
        yield Finding("info", what, here, "the next write sweeps them away")
    alive = sum(listening is True for listening in states.values())
    yield Finding("ok", f"{plural(alive, 'listener')} on the bell", here)


def owners(context: CheckContext) -> Iterator[Finding]:
    """Report workers that died with active jobs."""
    known = DirectoryOwners(Place(context.path))
    here = str(context.path / ".jobctl" / "owners")
    dead = known.dead()
    if dead:
        who = sorted(str(known.info(name) or name) for name in dead)
        what = f"{plural(len(dead), 'worker')} died unexpectedly: {names(who)}"
        yield Finding("warning", what, here, "'jobctl reap' fails the jobs that they have lost")
    else:
        yield Finding("ok", "no worker has died unexpectedly", here)


def _has_listener(name: str, bell_fd: int, context: CheckContext) -> bool | None:
    """Whether a process listens, checked without a ring; ``None`` if it is not a socket of ours."""
    try:
        stat = os.stat(name, dir_fd=bell_fd, follow_symlinks=False)
    except OSError:
        return None
    if not stats.S_ISSOCK(stat.st_mode):
        return None
    path = f"/proc/self/fd/{bell_fd}/{name}"
    if sys.platform != "linux":
        path = os.path.join(context.path, ".jobctl", "bell", name)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as asking:
        try:
            asking.connect(path)
        except ConnectionRefusedError:
            return False
        except OSError:
            return None
    return True


class _Hub(NamedTuple):
    """What a hub's file says: see `jobctl.hub.discovery.RunningHub`."""

    url: str
    pid: int | None
    near: bool
    own: bool
    token: bytes | None


def hubs(context: CheckContext) -> Iterator[Finding]:
    """Report hubs that died, do not answer, or have outdated data."""
    here = str(context.path / ".jobctl" / "hubs")
    dead: set[str] = set()
    alive: list[_Hub] = []
    with (
        opened(context.path) as dir_fd,
        opened(".jobctl", dir_fd) as meta_fd,
        opened("hubs", meta_fd) as hubs_fd,
    ):
        for name in sorted(os.listdir(hubs_fd)):
            hub = _hub_in(name, hubs_fd)
            if hub is False:
                dead.add(name)
            elif hub is not None:
                alive.append(hub)
    if dead:
        what = f"{plural(len(dead), 'hub')} died unexpectedly: {names(dead)}"
        yield Finding("info", what, here, "the next reader sweeps that away")
    if not alive:
        yield Finding("ok", "no hub runs here", str(context.path))
        return
    for hub in alive:
        if not hub.near:
            what = "a hub runs in a network of its own, a container's perhaps: nobody finds it here"
            hint = "'--url' reaches it, with an address that leads there"
            yield Finding("info", what, hub.url, hint)
        elif not hub.own:
            what = "another user's hub runs here: it is not asked, and sent no token"
            yield Finding(
                "info", what, hub.url, f"it answers: jobctl ls --url {shlex.quote(hub.url)}"
            )
    alive = [hub for hub in alive if hub.near and hub.own]
    if not alive:
        return
    for hub in alive:
        yield from _passed_on(hub)
    import asyncio  # the only check that needs it

    async def ask_all() -> list[Finding]:
        return await asyncio.gather(*(_asked(hub, context) for hub in alive[:_MAX_HUBS]))

    yield from asyncio.run(ask_all())


def _hub_in(name: str, hubs_fd: int) -> _Hub | Literal[False] | None:
    """Return the hub that holds this file, ``False`` if it is dead, ``None`` if there is none."""
    try:
        fd = os.open(
            name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=hubs_fd
        )
    except OSError:
        return None
    own = False
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
                return None
        else:
            return False
        own = os.fstat(fd).st_uid == os.geteuid()
        value = json.loads(os.read(fd, 4096) or b"{}")
    except (OSError, ValueError, RecursionError):
        value = None
    finally:
        os.close(fd)
    if not isinstance(value, dict) or not isinstance(value.get("url"), str):
        return None  # it has just started
    pid = value.get("pid")
    pid = pid if type(pid) is int and pid > 0 else None
    return _Hub(value["url"], pid, is_same_network(value), own, token_in(value))


def _passed_on(hub: _Hub) -> Iterator[Finding]:
    """Report a proxy before a hub without a configured token: all its clients count as local."""
    try:
        port = urlsplit(hub.url).port
    except ValueError:
        return  # reported as no URL of a hub
    if hub.token is None or port is None:
        return
    for place in nginx_passes(port):
        what = f"nginx passes requests on to a hub without a token ({place}): to the hub they may "
        what += "look like this machine's own"
        yield Finding("warning", what, hub.url, "start the hub with --token-file")


async def _asked(hub: _Hub, context: CheckContext) -> Finding:
    """Return how far the hub is, after giving it a moment to reach the directory's revision."""
    import asyncio

    head = _head(context)
    end_s = time.monotonic() + min(_GRACE_S, context.left_s)
    while True:
        try:
            delta = await _first_delta(hub)
        except UsageError as error:
            return Finding("error", f"a hub's file names no hub: {error.message}", hub.url)
        except HubError as error:
            return _silent(hub, error)
        except TimeoutError:
            return _silent(hub, None)
        now, epoch = _head(context), store_epoch(delta.epoch)
        same = now is None or now.epoch == epoch
        lag = head.revision - delta.through if head is not None and head.epoch == epoch else 0
        if same and lag <= 0:
            return Finding("ok", f"a hub is up to date, revision {delta.through}", hub.url)
        if time.monotonic() > end_s:
            break
        await asyncio.sleep(_AGAIN_S)
    restart = "see its log, or restart it"
    if not same:
        return Finding("error", "a hub serves another epoch of this directory", hub.url, restart)
    what = f"a hub is {plural(lag, 'revision')} behind the directory"
    return Finding("error", what, hub.url, restart)


async def _first_delta(hub: _Hub) -> Delta:
    """Return the hub's first delta; raise `HubError` or TimeoutError if there is none."""
    import asyncio
    from contextlib import aclosing

    from jobctl.reader.client import Client

    client = Client(
        hub.url, cursor=ZERO, filter=_NOBODY, retry=False, patience_s=_ANSWER_S, token=hub.token
    )
    async with asyncio.timeout(2 * _ANSWER_S), aclosing(client.events()) as events:
        async for event in events:
            if isinstance(event, Delta):
                return event
    raise HubError(f"{hub.url} says nothing", url=hub.url)


def _silent(hub: _Hub, error: HubError | None) -> Finding:
    if hub.pid and is_stopped(hub.pid):
        what = f"a hub is stopped (process {hub.pid})"
        return Finding("error", what, hub.url, f"'kill -CONT {hub.pid}' wakes it")
    why = error.message.removeprefix(f"{hub.url}: ") if error is not None else "no answer"
    what = f"a hub runs here, and does not serve us: {why}"
    hint = f"see what it does: process {hub.pid}" if hub.pid else ""
    return Finding("error", what, hub.url, hint)


def _head(context: CheckContext) -> Cursor | None:
    """Return the newest revision of the directory by its current log, if there is one."""
    log = Place(context.path).current().log
    return Cursor(log.epoch, log.head()) if log is not None else None
