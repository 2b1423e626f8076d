"""Fixtures for every test: a clock that stands still, and Hypothesis without chance or hurry."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator

import pytest
from hypothesis import settings

from jobctl import config
from jobctl.core import times as wall_clock

# The plain run draws the same examples each time; the deep one looks for new ones.
settings.register_profile("default", derandomize=True, deadline=None, database=None)
settings.register_profile("deep", deadline=None, max_examples=5000, print_blob=True)
_profile = os.environ.get("HYPOTHESIS_PROFILE", "default")
settings.load_profile(_profile if _profile in ("default", "deep") else "default")


def _undo_inherited_ignores() -> None:
    """Let signals have their default effect in the programs that the tests start.

    ``nohup`` and a shell's ``&`` ignore signals, and whatever they start inherits that. A handler
    that does nothing protects this process as well, but no other: execve(2) resets handlers.
    """
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM):
        if signal.getsignal(number) is signal.SIG_IGN:
            is_interrupt = number == signal.SIGINT
            signal.signal(number, signal.default_int_handler if is_interrupt else lambda *_: None)


_undo_inherited_ignores()


class Clock:
    """Both clocks of a test: wall and monotonic time move together, by `advance` alone."""

    def __init__(self, ms: int = 1_767_225_600_000) -> None:  # 2026-01-01T00:00:00.000Z
        self._ms = ms
        self._start_ms = ms

    def now_ms(self) -> int:
        """Milliseconds since 1970, as `jobctl._clock.now_ms`."""
        return self._ms

    def now(self) -> str:
        """The time as job files write it, as `jobctl._clock.now`."""
        return wall_clock.to_text(self._ms)

    def monotonic(self) -> float:
        """Seconds, as `time.monotonic`."""
        return 1000.0 + (self._ms - self._start_ms) / 1000

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self._ms += round(seconds * 1000)


@pytest.fixture
def clock() -> Clock:
    """A clock that stands at 2026-01-01 until the test moves it."""
    return Clock()


@pytest.fixture(autouse=True)
def own_settings(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the user's nor the system's settings count."""
    nowhere = tmp_path_factory.getbasetemp() / "no-settings"
    monkeypatch.setenv("XDG_CONFIG_HOME", str(nowhere))
    monkeypatch.setattr(config, "_SYSTEM_FILE", str(nowhere / "system.toml"))


@pytest.fixture(autouse=True)
def no_recorder_is_left() -> Iterator[None]:
    """Fail the test whose tracked jobs are still being recorded after its end.

    Their thread would write beside later tests, which then fail in one order and pass in another.
    """
    yield
    recorder = sys.modules.get("jobctl.work.recorder")
    deadline_s = time.monotonic() + 2
    while recorder is not None and recorder._registry:
        if time.monotonic() > deadline_s:
            left = list(recorder._registry)
            recorder._registry.clear()
            pytest.fail(f"a recorder is left: {left}")
        time.sleep(0.005)
