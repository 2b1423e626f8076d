"""The view of ``jobctl watch`` on a terminal, without I/O and without a clock."""

from __future__ import annotations

from jobctl.cli.job_table.frame import Frame, Key, Span
from jobctl.cli.live.act import Act
from jobctl.cli.live.view import LiveView

__all__ = ["Act", "Frame", "Key", "LiveView", "Span"]
