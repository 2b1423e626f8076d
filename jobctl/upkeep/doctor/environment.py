"""Checks of the environment: settings, Python, the terminal, proxies, limits."""

from __future__ import annotations

import platform
import resource
import sys
from collections.abc import Iterator

from jobctl._version import __version__
from jobctl.config import Settings
from jobctl.core.pipeline import parse_types
from jobctl.upkeep.doctor.finding import CheckContext, Finding, Level

__all__ = ["descriptors", "program", "proxies", "settings", "terminal"]

_SYMBOLS = "●◐○✗━─…"
_FEW_DESCRIPTORS = 256
_PROXIES = ("http_proxy", "https_proxy", "all_proxy", "ws_proxy", "wss_proxy", "socks_proxy")


def settings(context: CheckContext) -> Iterator[Finding]:
    """Check the ``jobctl.toml`` files and the variables."""
    known = context.settings or Settings(context.env, context.cwd)
    found = {name: known.get(name) for name in known.names()}
    types = parse_types(known.types)
    said = [f"{name}={context.env[name]}" for name in _VARIABLES if context.env.get(name)]
    if found["durable"] is not None:
        said.append("durable" if found["durable"].value else "not durable")
    if types:
        said.append(f"types: {', '.join(types)}")
    where = ", ".join(file.path for file in known.files)
    files = {0: "no file", 1: "a file"}.get(len(known.files), "two files")
    yield Finding("ok", "; ".join([f"settings: {files}", *said]), where)
    for error in known.not_obeyed:
        # An error only for who needs it to know where the jobs are, as the commands do.
        level: Level = "error" if context.where is None else "warning"
        yield Finding(level, error.message, hint=error.hint or "")
    for doubt in known.doubts:
        yield Finding("warning", doubt, hint="'jobctl config' shows what counts")


_VARIABLES = (
    "JOBCTL_DIR",
    "JOBCTL_URL",
    "JOBCTL_DURABLE",
    "JOBCTL_TIME_FORMAT",
    "JOBCTL_LOG",
    "JOBCTL_LOG_LIMIT",
    "JOBCTL_READ_ONLY",
    "JOBCTL_SESSION_URL",
    "JOBCTL_CONTROL",
)


def program(context: CheckContext) -> Iterator[Finding]:
    """Report the versions that a bug report should name."""
    system = f"{platform.system()} {platform.release()}"
    what = f"jobctl {__version__} on Python {platform.python_version()}, {system}"
    yield Finding("ok", what, sys.executable)


def terminal(context: CheckContext) -> Iterator[Finding]:
    """Check that standard output can show our symbols."""
    encoding = getattr(sys.stdout, "encoding", None) or "ascii"
    try:
        _SYMBOLS.encode(encoding)
    except (UnicodeEncodeError, LookupError):
        what = f"standard output is {encoding}, which lacks our symbols: plain ones stand in"
        yield Finding("info", what, hint="'export LC_ALL=C.UTF-8' brings them back")


def proxies(context: CheckContext) -> Iterator[Finding]:
    """Report proxy variables by name only, because they may contain passwords."""
    found = sorted(name for name in context.env if name.lower() in _PROXIES and context.env[name])
    if found:
        what = (
            f"proxies are set ({', '.join(found)}): hubs on other machines are asked through them"
        )
        yield Finding("info", what, hint="hubs on this machine are not")


def descriptors(context: CheckContext) -> Iterator[Finding]:
    """Check how many files may be open at once."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit != resource.RLIM_INFINITY and limit < _FEW_DESCRIPTORS:
        what = f"only {limit} files may be open at once, and each client of a hub takes one"
        yield Finding("warning", what, hint="raise it with 'ulimit -n 4096'")
