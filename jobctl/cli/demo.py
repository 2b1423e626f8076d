"""``jobctl demo``: show everything in five seconds."""

from __future__ import annotations

import os
import shlex
import sys
from shutil import which

from jobctl.cli.common import out
from jobctl.cli.options import Annotated, Option

__all__ = ["EXAMPLE", "demo"]

EXAMPLE = "Example: jobctl demo"

_NEXT = (
    ("jobctl demo --web", "a page full of jobs"),
    ("jobctl serve", "the hub; open its page in a browser"),
    ("jobctl watch", "a live table, in another terminal"),
    ("jobctl run-dummy --count 20 --speed 0.1", "jobs to look at, in a third"),
)


def demo(
    web: Annotated[
        bool, Option("--web", help="Show the page of a hub at work, until Ctrl-C.")
    ] = False,
) -> None:
    """Show a hub, jobs and a live view; leaves nothing behind."""
    if web:
        from jobctl.cli.live_demo_web import show_page

        show_page()
        return
    from jobctl.cli.live_demo import show_all  # slow to import

    show_all()
    out("")
    out("Next, try:")
    if activate := _activate():
        out(f"  {activate:<39} # first, in each terminal")
    for command, what in _NEXT:
        out(f"  {command:<39} # {what}")


def _activate() -> str:
    """Return the command after which the shell finds jobctl; an empty text if it does already."""
    if which("jobctl") is not None:
        return ""
    script = os.path.join(sys.prefix, "bin", "activate")
    if not os.path.exists(script):
        return ""
    here = os.path.join(os.getcwd(), "")
    return f". {shlex.quote(script.removeprefix(here))}"
