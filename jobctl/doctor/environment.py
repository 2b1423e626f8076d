"""What is around us: settings, Python, the terminal, proxies, limits."""

from __future__ import annotations

import platform
import resource
import sys
from collections.abc import Iterator

from jobctl._version import __version__
from jobctl.config import is_durable, settings_file
from jobctl.doctor.finding import Case, Finding

__all__ = ["descriptors", "program", "proxies", "settings", "terminal"]

_SYMBOLS = "●◐○✗━─…"
_FEW_DESCRIPTORS = 256
_PROXIES = ("http_proxy", "https_proxy", "all_proxy", "ws_proxy", "wss_proxy", "socks_proxy")


def settings(case: Case) -> Iterator[Finding]:
    """``jobctl.toml`` and the variables: where they are, and that they make sense."""
    file = settings_file(case.cwd)
    durable = is_durable(case.env, case.cwd)
    said = [f"{name}={case.env[name]}" for name in _VARIABLES if case.env.get(name)]
    said += [] if durable is None else ["durable" if durable else "not durable"]
    where = str(file) if file is not None else ""
    yield Finding("ok", "; ".join([f"settings: {'a file' if file else 'no file'}", *said]), where)


_VARIABLES = ("JOBCTL_DIR", "JOBCTL_DURABLE")


def program(case: Case) -> Iterator[Finding]:
    """The versions that a report of a fault should name."""
    system = f"{platform.system()} {platform.release()}"
    what = f"jobctl {__version__} on Python {platform.python_version()}, {system}"
    yield Finding("ok", what, sys.executable)


def terminal(case: Case) -> Iterator[Finding]:
    """Whether standard output can show our symbols."""
    encoding = getattr(sys.stdout, "encoding", None) or "ascii"
    try:
        _SYMBOLS.encode(encoding)
    except (UnicodeEncodeError, LookupError):
        what = f"standard output is {encoding}, which lacks our symbols: plain ones stand in"
        yield Finding("info", what, hint="'export LC_ALL=C.UTF-8' brings them back")


def proxies(case: Case) -> Iterator[Finding]:
    """Proxy variables: they may hold passwords, so their names alone are said."""
    found = sorted(name for name in case.env if name.lower() in _PROXIES and case.env[name])
    if found:
        what = (
            f"proxies are set ({', '.join(found)}): hubs on other machines are asked through them"
        )
        yield Finding("info", what, hint="hubs on this machine are not")


def descriptors(case: Case) -> Iterator[Finding]:
    """How many files may be open at once."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit != resource.RLIM_INFINITY and limit < _FEW_DESCRIPTORS:
        what = f"only {limit} files may be open at once, and each client of a hub takes one"
        yield Finding("warning", what, hint="raise it with 'ulimit -n 4096'")
