"""Opens the hub's page in the user's browser: ``serve --open`` and ``demo --web``."""

from __future__ import annotations

import html
import os
import shutil
import sys
import tempfile
import threading
from contextlib import suppress
from pathlib import Path

from jobctl.cli.messages import note
from jobctl.hub.tickets import TICKET_S

__all__ = ["BrowserOpener"]

_REDIRECT = """\
<!doctype html>
<meta charset="utf-8">
<meta name="referrer" content="no-referrer">
<title>jobctl</title>
<meta http-equiv="refresh" content="0;url={url}">
<p><a href="{url}">Open the jobs</a>
"""


class BrowserOpener:
    """Opens pages until `close`, which removes the files that were needed for it.

    With a ``ticket`` the page is opened signed in: a file that only this user can read leads to it,
    so that the ticket is not on the browser's command line.
    """

    def __init__(self) -> None:
        self._folder: Path | None = None

    def open(self, page: str, ticket: str | None = None) -> None:
        """Open the page in a browser; print a note if there is none. Returns at once."""
        hint = f"open {page} yourself"
        if why := _why_no_browser():
            note(f"no browser can be opened: {why}; {hint}")
            return
        target = page
        if ticket is not None:
            try:
                target = self._redirect(f"{page}login#ticket={ticket}")
            except OSError as error:
                note(f"no browser can be opened: {error.strerror}; {hint}")
                return
        threading.Thread(target=_open, args=(target, hint), daemon=True).start()

    def close(self) -> None:
        """Remove the file that leads to the page, if there is one."""
        folder, self._folder = self._folder, None
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)

    def _redirect(self, url: str) -> str:
        """Return the URL of a file that leads to this one, for as long as the ticket is valid."""
        self.close()
        folder = self._folder = Path(tempfile.mkdtemp(prefix="jobctl-open-"))  # 0700
        file = folder / "open.html"
        fd = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with open(fd, "w", encoding="utf-8") as opened:
            opened.write(_REDIRECT.format(url=html.escape(url)))
        expired = threading.Timer(TICKET_S, shutil.rmtree, (folder,), {"ignore_errors": True})
        expired.daemon = True
        expired.start()
        return file.as_uri()


def _why_no_browser() -> str:
    """Return why there is certainly no browser to open, or an empty string.

    Without a display Python would start a browser for the terminal, which the hub writes to.
    """
    if os.environ.get("BROWSER") or sys.platform in ("darwin", "win32"):
        return ""
    if os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"):
        return ""
    return "there is no display ($DISPLAY, $WAYLAND_DISPLAY or $BROWSER)"


def _open(target: str, hint: str) -> None:
    """Have the browser open it; some return only when it is closed, so this runs in a thread."""
    import webbrowser

    opened = False
    with suppress(webbrowser.Error, OSError, ValueError):
        opened = webbrowser.open(target)
    if not opened:
        note(f"no browser could be opened; {hint}")
