"""The channel of a terminal, once the terminal is gone."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from jobctl.core.log import BOTH
from jobctl.work.run.pseudo_terminal import TerminalChannel


@pytest.fixture
def terminal() -> Iterator[int]:
    """A terminal that a channel writes to."""
    ours, its = os.openpty()
    yield its
    os.close(ours)
    os.close(its)


def test_terminal_that_is_gone_has_no_size_and_no_settings(terminal: int) -> None:
    """SIGCONT follows its hang-up, and the thread may have closed our end by then."""
    channel = TerminalChannel(BOTH, terminal, None)
    try:
        channel._close_read()
        assert not channel.resize()
        channel.mirror()
        channel.restore(last=True)
    finally:
        channel.close()
