"""``jobctl js``: write the browser's client into a project."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from jobctl.cli.common import out
from jobctl.cli.options import Option
from jobctl.errors import StoreError, UsageError

__all__ = ["EXAMPLE", "js"]

EXAMPLE = "Example: jobctl js --out src/"


def js(
    directory: Annotated[
        Path, Option("--out", metavar="DIR", help="The directory to write to, such as src/.")
    ],
    force: Annotated[
        bool, Option("--force", help="Replace files that differ, such as those of another version.")
    ] = False,
) -> None:
    """Write the client for web pages into a project.

    The files are client.js, and react.js, solid.js and solid2.js over it, with their types. They
    need no build step, and no package besides React or Solid. A hub serves the same files, so a
    page without a project may import http://HUB/client.js instead.
    """
    from jobctl.page import CLIENT_FILES, asset

    texts = {name: asset(name) for name in CLIENT_FILES}
    try:
        if not force:
            differing = [name for name in texts if _differs(directory / name, texts[name])]
            if differing:
                raise UsageError(
                    f"{directory / differing[0]} exists, and differs from that of this version",
                    hint="--force replaces it; or name another --out",
                )
        directory.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            (directory / name).write_text(text, "utf-8")
            out(str(directory / name))
    except OSError as error:
        where = error.filename if isinstance(error, IsADirectoryError) else directory
        raise StoreError(f"cannot write to {where}: {error.strerror}") from error


def _differs(path: Path, text: str) -> bool:
    """Whether the file exists with another content."""
    try:
        return path.read_bytes() != text.encode()
    except FileNotFoundError:
        return False
