"""A full-screen view on a terminal: modes, keys, size, and painting of what changed.

It knows nothing of jobs. `TerminalSession` joins the parts; `KeyDecoder` and `Painter` do no I/O.
The code is ours because the libraries start too slowly: see README, *Performance*.
"""

from __future__ import annotations

from jobctl.cli.terminal.frame import Frame, Key, Span
from jobctl.cli.terminal.session import TerminalSession
from jobctl.cli.terminal.supervisor import supervise

__all__ = ["Frame", "Key", "Span", "TerminalSession", "supervise"]
