"""Whether nginx on this machine passes requests on to a hub, by its configuration files.

nginx's ``proxy_pass`` sends no header that tells a passed-on request from one of this machine,
unless it is told to. Apache, Caddy, Traefik and others do by default, and the hub refuses them.
"""

from __future__ import annotations

import glob
import os
import re
import stat

__all__ = ["nginx_passes"]

PATTERNS = tuple(
    f"{root}/{files}"
    for root in ("/etc/nginx", "/usr/local/etc/nginx", "/opt/homebrew/etc/nginx")
    for files in ("nginx.conf", "conf.d/*.conf", "sites-enabled/*", "servers/*")
)
_MAX_FILES = 100
_MAX_BYTES = 256 * 1024


def nginx_passes(port: int) -> list[str]:
    """Return the lines that name this port of loopback, as ``FILE:LINE``.

    A file that cannot be read is skipped.
    """
    line_with_port = re.compile(
        rf"\s*(?:proxy_pass\s+http://|server\s+)"
        rf"(?:127\.\d+\.\d+\.\d+|localhost|\[::1\]):{port}(?!\d)"
    )
    found = []
    for path in [path for pattern in PATTERNS for path in sorted(glob.glob(pattern))][:_MAX_FILES]:
        for number, line in enumerate(_text(path).splitlines(), 1):
            if line_with_port.match(line):
                found.append(f"{path}:{number}")
    return found


def _text(path: str) -> str:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        with open(fd, "rb") as file:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                return ""
            return file.read(_MAX_BYTES).decode("utf-8", "replace")
    except OSError:
        return ""
