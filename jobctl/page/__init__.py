"""What the browser gets: the pages, and the client for pages of one's own."""

from __future__ import annotations

import hashlib
import posixpath
import re
from functools import cache
from importlib import resources

__all__ = ["CLIENT_FILES", "DASHBOARD_FILES", "asset", "files_digest", "modules_of"]

CLIENT_FILES = (
    "client.js", "client.d.ts", "react.js", "react.d.ts", "signals.js", "solid.js", "solid.d.ts",
    "solid2.js", "solid2.d.ts",
)  # fmt: skip
"""The client, for import by any page, and its bindings."""

DASHBOARD_FILES = tuple(
    sorted(
        f"dashboard/{file.name}"
        for file in (resources.files(__name__) / "dashboard").iterdir()
        if file.name.endswith((".js", ".css"))
    )
)
"""The modules and the style sheet of the dashboard."""


@cache
def asset(name: str) -> str:
    """Return the text of one of the files here, as it was when it was first asked for."""
    return (resources.files(__name__) / name).read_text("utf-8")


@cache
def files_digest() -> str:
    """Return 16 hex digits that are others when any file of the client or the dashboard changes."""
    digest = hashlib.sha256()
    for name in (*CLIENT_FILES, *DASHBOARD_FILES):
        digest.update(f"{name}\0{asset(name)}\0".encode())
    return digest.hexdigest()[:16]


_IMPORT = re.compile(r'^(?:import|export|\}) ?[^;"]*from "(\.[^"]+)";$', re.MULTILINE)


@cache
def modules_of(*names: str) -> tuple[str, ...]:
    """Return the modules with these names and all that they import, without dynamic imports."""
    found = list(dict.fromkeys(names))
    for name in found:  # which grows
        for path in _IMPORT.findall(asset(name)):
            other = posixpath.normpath(posixpath.join(posixpath.dirname(name), path))
            if other not in found:
                found.append(other)
    return tuple(found)
