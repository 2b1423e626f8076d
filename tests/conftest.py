"""Fixtures for every test: a clock that stands still, and Hypothesis without chance or hurry."""

from __future__ import annotations

import os

import pytest
from hypothesis import settings

from jobctl import clock as wall_clock
from jobctl import pipeline

# The plain run draws the same examples each time; the deep one looks for new ones.
settings.register_profile("default", derandomize=True, deadline=None, database=None)
settings.register_profile("deep", deadline=None, max_examples=5000, print_blob=True)
_profile = os.environ.get("HYPOTHESIS_PROFILE", "default")
settings.load_profile(_profile if _profile in ("default", "deep") else "default")


class Clock:
    """Both clocks of a test: wall and monotonic time move together, by `advance` alone."""

    def __init__(self, ms: int = 1_767_225_600_000) -> None:  # 2026-01-01T00:00:00.000Z
        self._ms = ms
        self._start_ms = ms

    def now_ms(self) -> int:
        """Milliseconds since 1970, as `jobctl.clock.now_ms`."""
        return self._ms

    def now(self) -> str:
        """The time as job files write it, as `jobctl.clock.now`."""
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
    """Nobody's own settings count in a test, nor the types that another test defined."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.getbasetemp() / "no-settings"))
    monkeypatch.setattr(pipeline, "_defined", {})
    monkeypatch.setattr(pipeline, "_settled", False)
