"""The implementation of ``jobctl serve``: listens, opens the directory, and runs the hub."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import sys
from contextlib import suppress
from dataclasses import dataclass

from jobctl.cli.common import CommandStore, command_store, note, pipelines
from jobctl.cli.exits import Exit
from jobctl.cli.open_page import BrowserOpener
from jobctl.hub.access import AccessPolicy
from jobctl.hub.certificates import ServerCertificate
from jobctl.hub.listen import Sockets, listen
from jobctl.hub.origin import is_loopback_host
from jobctl.hub.peers import PeerUids
from jobctl.hub.periodic import PeriodicTask
from jobctl.hub.server import LOOPBACK_OF, serve
from jobctl.stores import Store, open_store
from jobctl.upkeep.tasks import prune_task, reap_task

__all__ = ["ServeOptions", "open_page", "run_server"]

_OWN_FILES = 100


@dataclass(frozen=True, kw_only=True)
class ServeOptions:
    """The checked options of ``jobctl serve``.

    ``host`` is ``None`` if only the Unix socket ``unix`` is served. ``prune_after_s`` is ``None``
    if nothing is pruned.
    """

    host: str | None
    port: int
    unix: str | None
    path: str
    base: str
    access: AccessPolicy
    local_users: bool
    insecure: bool
    certificate: ServerCertificate | None
    compression: bool
    max_connections: int
    watch_files: bool
    prune_after_s: float | None
    reap: bool
    read_only: bool
    session_url: str | None
    open_page: bool
    directory: str | None


def run_server(options: ServeOptions) -> None:
    """Serve until SIGINT, SIGTERM or SIGHUP, unless they are ignored.

    Raises `HubError` or `StoreError` if it cannot begin.
    """
    host = options.host
    if options.certificate is None and host is not None and not is_loopback_host(host):
        note(f"whoever is on the way reads along on {host}, the token too: see --tls-cert")
    connections = allow_files(options.max_connections)
    if connections < options.max_connections:
        note(f"{connections} connections at the most: 'ulimit -n' allows no more files")
    sockets, here = _open(options)
    side = open_store(here.where.path)  # for the periodic tasks
    opener = BrowserOpener()
    try:
        asyncio.run(_serve(options, here, sockets, _tasks(options, side), connections, opener))
    finally:
        opener.close()
        side.close()
        here.store.close()


def _open(options: ServeOptions) -> tuple[Sockets, CommandStore]:
    """Listen, and then open the store.

    In this order, since a hub that cannot listen must not make a directory. But the Unix socket may
    lie in the very directory that is made here.
    """
    socket = options.unix
    file_last = socket is not None and not os.path.isdir(os.path.dirname(socket))
    sockets = listen(options.host, options.port, None if file_last else socket)
    try:
        here = command_store(options.directory, create=True, adopt=True)
        if file_last and socket is not None:
            sockets.listen_on_file(socket)
    except BaseException:
        sockets.close()
        raise
    return sockets, here


def _tasks(options: ServeOptions, store: Store) -> list[PeriodicTask]:
    tasks = []
    if options.prune_after_s is not None:
        tasks.append(prune_task(store, options.prune_after_s, pipelines()))
    if options.reap:
        tasks.append(reap_task(store))
    return tasks


async def _serve(
    options: ServeOptions,
    here: CommandStore,
    sockets: Sockets,
    tasks: list[PeriodicTask],
    connections: int,
    opener: BrowserOpener,
) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) is not signal.SIG_IGN:  # nohup, or a script's &
            loop.add_signal_handler(number, stop.set)
    certificate = options.certificate
    hung_up = False
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        had_terminal = _has_terminal()

        def hang_up() -> None:
            """End, or look at the certificate, unless the terminal was closed.

            A terminal that is closed sends the signal twice: from the kernel and from the shell.
            """
            nonlocal hung_up
            if certificate is None or (had_terminal and not _has_terminal()):
                hung_up = True
                stop.set()
            else:
                certificate.reload_soon()

        loop.add_signal_handler(signal.SIGHUP, hang_up)

    def ready(url: str) -> None:
        _print_ready(options, str(here.where.path), url)
        if options.open_page:
            open_page(opener, url, options.path, options.access)

    await serve(
        here.store,
        host=options.host,
        port=options.port,
        unix=options.unix,
        path=options.path,
        watch_files=options.watch_files,
        base=options.base,
        access=options.access,
        tls=options.certificate,
        max_connections=connections,
        compression=options.compression,
        periodic_tasks=tasks,
        pipelines=pipelines(),
        read_only=options.read_only,
        session_url=options.session_url,
        stop=stop,
        ready=ready,
        sockets=sockets,
    )
    if hung_up:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})  # the loop's handler ends with it
        raise Exit(128 + signal.SIGHUP)


def _has_terminal() -> bool:
    """Whether this process has a controlling terminal that is not closed (tty(4))."""
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY | os.O_CLOEXEC | os.O_NONBLOCK))
    except OSError:
        return False
    return True


def _print_ready(options: ServeOptions, directory: str, url: str) -> None:
    both = page = ""
    if options.host is not None:
        both = f" and unix:{options.unix}" if options.unix is not None else ""
        page = f", page {_page(url, options.path, options.access.own_token)}"
    note(f"serving {directory} on {url}{both}{page} (Ctrl-C stops)")
    if options.read_only:
        note("nothing on the page changes a job (read-only)")
    if options.access.control:
        note(_who_changes(options.access))
    if options.insecure and not options.access.needs_token:
        note("everybody who can reach the hub may view the jobs (--insecure)")
    elif options.local_users:
        note("all users of this machine may view the jobs (--local-users)")


def _who_changes(access: AccessPolicy) -> str:
    """Return who may change jobs through this hub."""
    if access.has_named_tokens:
        return "tokens with the rights report, operate or admin change jobs (--control)"
    if access.needs_token:
        return (
            "nobody can change jobs: the only token may view; "
            "'jobctl token new NAME view,operate' makes a file of tokens with rights"
        )
    if not access.trusts_this_machine:
        return "only the hub's own token, in .jobctl/hubs, changes jobs (--control)"
    return "processes of this user change jobs through this hub (--control)"


def _page(url: str, path: str, own_token: bytes | None) -> str:
    """Return the link to the hub's page.

    If the users of connections cannot be looked up, the link contains the token. It is in the
    fragment, which browsers do not send, and is printed on a terminal only, so it does not get into
    a log.
    """
    page = _plain_page(url, path)
    if own_token is None or _knows_users() or not sys.stderr.isatty():
        return page
    return f"{page}#token={own_token.decode()}"


def open_page(opener: BrowserOpener, url: str, path: str, access: AccessPolicy) -> None:
    """Open the hub's page in a browser of this machine, signed in if that is needed."""
    page = _plain_page(url, path)
    for everywhere, loopback in LOOPBACK_OF.items():
        page = page.replace(f"://{_in_url(everywhere)}:", f"://{_in_url(loopback)}:")
    is_known = access.own_token is not None and _knows_users()
    opener.open(page, None if is_known else access.tickets.issue())


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _plain_page(url: str, path: str) -> str:
    return url.replace("ws", "http", 1).removesuffix(path) + "/"


def _knows_users() -> bool:
    """Whether the kernel tells which user a connection comes from."""
    peers = PeerUids()
    knows = bool(peers.tcp)
    peers.close()
    return knows


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
