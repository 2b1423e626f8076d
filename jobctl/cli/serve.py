"""``jobctl serve``: serve a directory as a hub."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Annotated

from jobctl.cli.common import control as is_control
from jobctl.cli.common import read_only as is_read_only
from jobctl.cli.common import seconds, settings
from jobctl.cli.options import DirOption, Option, ReadOnlyOption
from jobctl.cli.serve_log import LogFormat, set_up_logging
from jobctl.config import check_session_url
from jobctl.errors import UsageError

__all__ = ["EXAMPLE", "serve"]

EXAMPLE = "Example: jobctl serve --dir data/jobs --port 8765"

DEFAULT_HOST, DEFAULT_PORT = "127.0.0.1", 8765
PATH = re.compile(r"(/[A-Za-z0-9._~-]+)+/?\Z")


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
    path: Annotated[
        str, Option(metavar="PATH", help="Path of the WebSocket endpoint.")
    ] = "/ws/jobs",
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
        Option(metavar="FILE", help="Require a token of this file from every client."),
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
        Option(" /--no-compression", help="Do not compress messages.", show_default=False),
    ] = True,
    max_connections: Annotated[
        int, Option(min=1, metavar="N", help="Refuse connections above this number.")
    ] = 10_000,
    watch_files: Annotated[
        bool,
        Option("--watch-files/--no-watch-files", help="See other programs' writes live."),
    ] = True,
    prune_older_than: Annotated[
        str | None,
        Option(metavar="DURATION", help="Remove jobs that ended this long ago (7d)."),
    ] = None,
    reap: Annotated[
        bool, Option("--reap", help="Fail jobs whose worker has died, at once.")
    ] = False,
    read_only: ReadOnlyOption = False,
    session_url: Annotated[
        str | None,
        Option(metavar="TEMPLATE", help="Link of a session: https://app.example/sessions/{id}."),
    ] = None,
    open_page: Annotated[bool, Option("--open", help="Open the page in the browser.")] = False,
    control: Annotated[
        bool,
        Option("--control", help="Let clients change jobs: this user, and tokens with rights."),
    ] = False,
    log_format: Annotated[LogFormat, Option(metavar="FORMAT", help="Log as text or json.")] = (
        LogFormat.text
    ),
    verbose: Annotated[
        bool, Option("-v", "--verbose", help="Log each client that comes and goes.")
    ] = False,
    directory: DirOption = None,
) -> None:
    """Serve a directory to browsers and terminals, until Ctrl-C.

    Without a token it serves only your own processes and those of root.
    """
    from jobctl.cli.live_serve import ServeOptions, run_server  # slow to import
    from jobctl.hub.access import AccessPolicy
    from jobctl.hub.address import check_unix_path
    from jobctl.hub.certificates import ServerCertificate
    from jobctl.hub.tokens import server_tokens

    for option, given in (("--path", path), ("--base-path", base_path)):
        if (given or option == "--path") and not PATH.match(given):
            raise UsageError(f"{option} {given}: a path is like /jobs")
    on_port = unix is None or host is not None or port is not None
    socket = check_unix_path(str(unix)) if unix is not None else None
    if not on_port and (tls_cert or tls_key or local_users):
        option = "--local-users" if local_users else "--tls-cert"
        raise UsageError(
            f"{option} is for a port, and --unix is no port", hint="give --port as well"
        )
    if open_page and not on_port:
        raise UsageError("--open is for a port, and --unix is no port", hint="give --port as well")
    if tls_key is not None and tls_cert is None:
        raise UsageError("--tls-key goes with --tls-cert")
    control, read_only = is_control(option=control), is_read_only(option=read_only)
    if control and read_only:
        raise UsageError(
            "--control lets clients change jobs, and --read-only lets nobody",
            hint="leave out one of them; 'jobctl config' shows where a setting comes from",
        )
    listen_host = (DEFAULT_HOST if host is None else host) if on_port else None
    options = ServeOptions(
        host=listen_host,
        port=DEFAULT_PORT if port is None else port,
        unix=socket,
        path=path,
        base=base_path.rstrip("/"),
        access=AccessPolicy(
            listen_host if listen_host is not None else "localhost",
            allow_hosts=allow_host or (),
            allow_origins=allow_origin or (),
            token=server_tokens(token_file, os.environ),
            control=control,
            insecure=insecure,
            local_users=local_users,
        ),
        local_users=local_users,
        insecure=insecure,
        certificate=ServerCertificate(tls_cert, tls_key) if tls_cert is not None else None,
        compression=compression,
        max_connections=max_connections,
        watch_files=watch_files,
        prune_after_s=seconds(prune_older_than, "--prune-older-than"),
        reap=reap,
        read_only=read_only,
        session_url=_session_url(session_url),
        open_page=open_page,
        directory=directory,
    )
    set_up_logging(log_format, verbose=verbose)
    run_server(options)


def _session_url(option: str | None) -> str | None:
    """Return the template of links to sessions: the option's, or that of the settings."""
    if option is not None:
        return check_session_url(option, "--session-url")
    found = settings().get("session-url")
    return found.value if found is not None else None
