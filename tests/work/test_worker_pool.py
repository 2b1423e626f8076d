"""What Celery's pool does to a task, as the job's error; the pool itself runs in tests/recipes."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace

import pytest

from jobctl.work.worker_pool import explained

ENDED = SystemExit(-241)


@pytest.fixture
def task(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """The current task of a Celery worker without limits."""
    task = SimpleNamespace(
        request=SimpleNamespace(timelimit=None),
        time_limit=None,
        app=SimpleNamespace(conf=SimpleNamespace(task_time_limit=None)),
    )
    celery = ModuleType("celery")
    celery.current_task = task  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "celery", celery)
    monkeypatch.setitem(sys.modules, "billiard", ModuleType("billiard"))
    monkeypatch.setattr(sys, "argv", ["celery", "worker"])
    return task


def test_without_a_pool_an_error_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """An exit code is one."""
    monkeypatch.delitem(sys.modules, "billiard", raising=False)
    assert explained(ENDED, 99) is ENDED
    assert explained(None, 99) is None


@pytest.mark.parametrize("error", [None, ValueError("no"), SystemExit(0), SystemExit("no"),
                                   SystemExit(3), SystemExit(-1), SystemExit(-256)])  # fmt: skip
def test_other_errors_stay(task: SimpleNamespace, error: BaseException | None) -> None:
    """They are the task's own."""
    task.time_limit = 1
    assert explained(error, 99) is error


def test_the_limit_is_found_wherever_it_is_set(
    task: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the order in which the worker looks: message, task, command line, settings."""

    def told(elapsed_s: float) -> str:
        return str(explained(ENDED, elapsed_s))

    assert told(99) == "Terminated by SIGTERM"
    task.app.conf.task_time_limit = 40
    assert (told(39.8), told(30)) == ("Time limit exceeded", "Terminated by SIGTERM")
    for words in (["--time-limit", "30"], ["-A", "work", "--time-limit=30"]):
        monkeypatch.setattr(sys, "argv", ["celery", "worker", *words])
        assert (told(30), told(20)) == ("Time limit exceeded", "Terminated by SIGTERM")
    task.time_limit = 20
    assert (told(20), told(10)) == ("Time limit exceeded", "Terminated by SIGTERM")
    task.request.timelimit = [10, None]
    assert (told(10), told(5)) == ("Time limit exceeded", "Terminated by SIGTERM")
    task.request.timelimit = ["soon", None]
    assert told(99) == "Terminated by SIGTERM"


def test_other_signals_are_named(task: SimpleNamespace) -> None:
    """Whatever time has passed."""
    task.time_limit = 1
    assert str(explained(SystemExit(-(256 - 3)), 99)) == "Terminated by SIGQUIT"
