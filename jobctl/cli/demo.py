"""``jobctl demo``: show everything in five seconds."""

from __future__ import annotations

from jobctl.cli.common import out

__all__ = ["EXAMPLE", "demo"]

EXAMPLE = "Example: jobctl demo"

_NEXT = (
    ("jobctl serve", "the hub, for browsers and terminals"),
    ("jobctl watch", "a live table, in another terminal"),
    ("jobctl run-dummy --count 20", "something to look at, in a third"),
)


def demo() -> None:
    """Show a hub, jobs and a live view; leaves nothing behind."""
    from jobctl.cli.live_demo import show_all  # slow to import

    show_all()
    out("")
    out("Next, try:")
    for command, what in _NEXT:
        out(f"  {command:<29} # {what}")
