"""``jobctl serve``: serve a directory as a hub."""

from __future__ import annotations

import json
import logging
import os
import re
import resource
import signal
import sys
import threading
from contextlib import suppress
from enum import StrEnum
from pathlib import Path
from typing import Annotated

from jobctl.cli.common import command_store, note, seconds
from jobctl.cli.options import DirOption, Option
from jobctl.cli.text import visible
from jobctl.core.times import to_text

__all__ = ["EXAMPLE", "serve"]

EXAMPLE = "Example: jobctl serve --dir data/jobs --port 8765"

DEFAULT_HOST, DEFAULT_PORT = "127.0.0.1", 8765
PATH = re.compile(r"(/[A-Za-z0-9._~-]+)+/?\Z")
_OWN_FILES = 100
_STANDARD = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}


class LogFormat(StrEnum):
    """Formats of the log on standard error."""

    text = "text"
    json = "json"


def serve(
    host: Annotated[
        str | None, Option(metavar="HOST", help=f"Address to listen on; {DEFAULT_HOST} by default.")
    ] = None,
    port: Annotated[
        int | None,
        Option(
            min=0,
            max=65535,
            metavar="PORT",
            help=f"Port to listen on; {DEFAULT_PORT} by default, and 0 takes a free one.",
        ),
    ] = None,
    path: Annotated[str, Option(metavar="PATH", help="Path of the endpoint.")] = "/ws/jobs",
    unix: Annotated[
        Path | None,
        Option(
            metavar="PATH",
            help="Listen on this Unix socket instead of a port; beside it with --port.",
        ),
    ] = None,
    base_path: Annotated[
        str, Option(metavar="PATH", help="Path under which a proxy shows the hub.")
    ] = "",
    allow_host: Annotated[
        list[str] | None,
        Option(metavar="HOST", help="Serve requests for this host name too."),
    ] = None,
    allow_origin: Annotated[
        list[str] | None,
        Option(metavar="ORIGIN", help="Serve pages of this origin too (https://host)."),
    ] = None,
    token_file: Annotated[
        Path | None,
        Option(metavar="FILE", help="Ask everybody for the token in this file."),
    ] = None,
    local_users: Annotated[
        bool,
        Option("--local-users", help="Let the other users of this machine view the jobs."),
    ] = False,
    insecure: Annotated[
        bool, Option("--insecure", help="Let everybody view the jobs without a token.")
    ] = False,
    tls_cert: Annotated[
        Path | None, Option(metavar="FILE", help="Certificate chain, for wss and https.")
    ] = None,
    tls_key: Annotated[
        Path | None, Option(metavar="FILE", help="The certificate's private key.")
    ] = None,
    compression: Annotated[
        bool,
        Option(" /--no-compression", help="Send everything as it is.", show_default=False),
    ] = True,
    max_connections: Annotated[
        int, Option(min=1, metavar="N", help="Turn away more connections than these.")
    ] = 10_000,
    watch_files: Annotated[
        bool,
        Option("--watch-files/--no-watch-files", help="See other programs' writes live."),
    ] = True,
    prune_older_than: Annotated[
        str | None,
        Option(metavar="DURATION", help="Remove jobs that ended so long ago (7d)."),
    ] = None,
    reap: Annotated[
        bool, Option("--reap", help="Fail jobs whose worker has died, at once.")
    ] = False,
    log_format: Annotated[LogFormat, Option(help="How to log.")] = LogFormat.text,
    verbose: Annotated[bool, Option("-v", "--verbose", help="Log each session.")] = False,
    directory: DirOption = None,
) -> None:
    """Serve a directory to browsers and terminals, until Ctrl-C.

    Without a token: to processes of your own user and of root, on this machine.
    """
    import asyncio

    from jobctl.errors import UsageError
    from jobctl.hub.access import AccessPolicy
    from jobctl.hub.address import check_unix_path
    from jobctl.hub.credentials import read_token, server_tls
    from jobctl.hub.listen import listen
    from jobctl.hub.origin import is_loopback_host
    from jobctl.hub.server import serve as run_hub
    from jobctl.stores import open_store
    from jobctl.upkeep.tasks import prune_task, reap_task

    for option, given in (("--path", path), ("--base-path", base_path)):
        if (given or option == "--path") and not PATH.match(given):
            raise UsageError(f"{option} {given}: a path is like /jobs")
    base = base_path.rstrip("/")
    on_port = unix is None or host is not None or port is not None
    host = DEFAULT_HOST if host is None else host
    port = DEFAULT_PORT if port is None else port
    socket = check_unix_path(str(unix)) if unix is not None else None
    if not on_port and (tls_cert or tls_key or local_users):
        option = "--local-users" if local_users else "--tls-cert"
        raise UsageError(
            f"{option} is for a port, and --unix is no port", hint="give --port as well"
        )
    access = AccessPolicy(
        host if on_port else "localhost",
        allow_hosts=allow_host or (),
        allow_origins=allow_origin or (),
        token=read_token(token_file, os.environ),
        insecure=insecure,
        local_users=local_users,
    )
    tls = server_tls(tls_cert, tls_key)
    if tls is None and on_port and not is_loopback_host(host):
        note(f"whoever is on the way reads along on {host}, the token too: see --tls-cert")
    possible = allow_files(max_connections)
    if possible < max_connections:
        note(f"{possible} connections at the most: 'ulimit -n' allows no more files")
    prune_after_s = seconds(prune_older_than, "--prune-older-than")
    set_up_logging(log_format.value, verbose=verbose)
    # First, since a hub that cannot listen must not make a directory. But the Unix socket may lie
    # in the very directory that is made here.
    file_last = socket is not None and not os.path.isdir(os.path.dirname(socket))
    sockets = listen(host if on_port else None, port, None if file_last else socket)
    try:
        here = command_store(directory, create=True, adopt=True)
        if file_last and socket is not None:
            sockets.listen_on_file(socket)
    except BaseException:
        sockets.close()
        raise
    side = open_store(here.where.path)  # for the periodic tasks
    periodic_tasks = [prune_task(side, prune_after_s)] if prune_after_s is not None else []
    if reap:
        periodic_tasks.append(reap_task(side))

    async def main() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop.set)

        def ready(url: str) -> None:
            both = f" and unix:{socket}" if socket is not None and on_port else ""
            page = f", page {_page(url, path, access.own_token)}" if on_port else ""
            note(f"serving {here.where.path} on {url}{both}{page} (Ctrl-C stops)")
            if local_users:
                note("all users of this machine may view the jobs (--local-users)")

        await run_hub(
            here.store,
            host=host if on_port else None,
            port=port,
            unix=socket,
            path=path,
            watch_files=watch_files,
            base=base,
            access=access,
            tls=tls,
            max_connections=possible,
            compression=compression,
            periodic_tasks=periodic_tasks,
            stop=stop,
            ready=ready,
            sockets=sockets,
        )

    try:
        asyncio.run(main())
    finally:
        side.close()
        here.store.close()


def _page(url: str, path: str, own_token: bytes | None) -> str:
    """Return the link to the hub's page.

    If the users of connections cannot be looked up, the link contains the token. It is in the
    fragment, which browsers do not send, and is printed on a terminal only, so it does not get into
    a log.
    """
    from jobctl.hub.peers import PeerUids

    page = url.replace("ws", "http", 1).removesuffix(path) + "/"
    peers = PeerUids()
    knows = bool(peers.tcp)
    peers.close()
    if own_token is None or knows or not sys.stderr.isatty():
        return page
    return f"{page}#token={own_token.decode()}"


def allow_files(connections: int) -> int:
    """Raise the limit of open files if allowed; return how many connections are possible.

    Some descriptors are reserved for the hub itself, so that it can always read its store.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + _OWN_FILES
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    if soft != resource.RLIM_INFINITY and wanted > soft:
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            soft = wanted
    if soft == resource.RLIM_INFINITY:
        return connections
    return min(connections, max(soft - _OWN_FILES, soft // 2, 1))


def set_up_logging(form: str, *, verbose: bool) -> None:
    """Log to standard error: warnings only, or everything with ``verbose`` or as JSON."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Json() if form == "json" else _Text())
    logger = logging.getLogger("jobctl")
    logger.handlers[:] = [handler]
    logger.propagate = False
    logger.setLevel(logging.INFO if verbose or form == "json" else logging.WARNING)


def _fields(record: logging.LogRecord) -> dict[str, object]:
    return {key: value for key, value in record.__dict__.items() if key not in _STANDARD}


def _event(record: logging.LogRecord) -> str:
    text = record.getMessage()
    if record.exc_info and record.exc_info[1] is not None:
        error = record.exc_info[1]
        text += f": {type(error).__name__}: {error}"
    return text


class _Text(logging.Formatter):
    """Formats an event as one line, whatever text a client sent."""

    def format(self, record: logging.LogRecord) -> str:
        fields = " ".join(f"{key}={visible(str(value))}" for key, value in _fields(record).items())
        who = f"[{os.getpid()}:{threading.get_native_id()}]"
        text = f"{to_text(int(record.created * 1000))} {who} {record.levelname.lower()} "
        return (text + visible(_event(record)) + ("  " + fields if fields else "")).rstrip()


class _Json(logging.Formatter):
    """Formats an event as one JSON object on one line."""

    def format(self, record: logging.LogRecord) -> str:
        value = {
            "time": to_text(int(record.created * 1000)),
            "level": record.levelname.lower(),
            "event": _event(record),
            "pid": os.getpid(),
            "thread": threading.get_native_id(),
            **_fields(record),
        }
        return json.dumps(value, default=str)
