"""``jobctl cancel --url`` and ``jobctl retry --url``: changes through a hub."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jobctl import api, track
from jobctl.errors import ActRefused, Cancelled
from jobctl.reader import acts
from jobctl.reader.http_api import HttpAnswer
from jobctl.stores import Store, open_store
from tests.cli.conftest import Run, hub_on

pytestmark = pytest.mark.slow


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """The store that the hub serves."""
    store = open_store(tmp_path / "served", create=True)
    yield store
    store.close()


@pytest.fixture
def url(tmp_path: Path, store: Store) -> Iterator[str]:
    """A hub that takes acts."""
    with hub_on(tmp_path / "served", "--control") as url:
        yield url


def test_jobs_are_cancelled_and_retried_through_a_hub(run: Run, url: str, store: Store) -> None:
    """By the start of an id too; the history says who asked, and how."""
    api.create(store, id="abc1")
    api.create(store, id="abd2")
    said = run("cancel", "abc", "abd", "--reason", "no need", "--url", url, "-o", "name")
    assert (said.code, said.out, said.err) == (0, "abc1\nabd2\n", "")
    cancelled = store.get("abc1").cancellation
    assert cancelled is not None
    assert cancelled.reason == "no need"
    said = run("retry", "abc1", "--url", url, "-o", "json")
    assert said.code == 0, said.err
    (job,) = json.loads(said.out)["jobs"]
    assert (job["stage"], job["retryCount"]) == ("pending", 1)
    assert job["history"][-1]["via"].endswith("/http")
    assert "via" in run("show", "abc1", "--url", url).out


def test_jobs_are_acknowledged_and_removed_through_a_hub(run: Run, url: str, store: Store) -> None:
    """A job that has not ended stays."""
    api.create(store, id="f1")
    api.fail(store, "f1", "no disk")
    api.create(store, id="p1")
    said = run("ack", "f1", "replaced", "--url", url, "-o", "json")
    assert (said.code, said.err) == (0, "")
    assert json.loads(said.out)["acknowledged"]["note"] == "replaced"
    assert run("ack", "--undo", "f1", "--url", url).code == 0
    assert store.get("f1").acknowledgement is None
    said = run("rm", "f1", "p1", "--url", url, "-o", "name")
    assert (said.code, said.out) == (1, "f1\n")
    assert "job p1 has not ended; cancel it first" in said.err
    assert store.ids() == ["p1"]
    assert run("rm", "p1", "--damaged", "--url", url).code == 2


def test_failure_of_one_does_not_stop_the_others(run: Run, url: str, store: Store) -> None:
    """One line each, and the exit code of the first."""
    api.create(store, id="a1")
    api.create(store, id="b1")
    api.fail(store, "b1", "no")
    said = run("retry", "missing", "a1", "b1", "--url", url, "-o", "name")
    assert (said.code, said.out) == (4, "b1\n")
    assert said.err.count("\n") == 2
    assert "job a1 is" in said.err


def test_command_is_not_run_by_a_hub(run: Run, url: str, store: Store, tmp_path: Path) -> None:
    """The hint is what to type where the directory is."""
    run("run", "--id", "r1", "--dir", str(tmp_path / "served"), "--", "false")
    said = run("retry", "r1", "--url", url)
    assert (said.code, "'jobctl retry --rerun r1' runs it" in said.err) == (1, True)
    said = run("retry", "r1", "--rerun", "--url", url)
    assert (said.code, "a hub never runs a command" in said.err) == (2, True)


def test_worker_ends_the_job_that_is_cancelled(run: Run, url: str, store: Store) -> None:
    """The command waits until it has."""
    ended = threading.Event()

    def work() -> None:
        try:
            with track("etl", id="w1", store=store) as job:
                job.stage("load")
                while True:
                    job.progress(1)
                    time.sleep(0.02)
        except Cancelled:
            ended.set()

    worker = threading.Thread(target=work)
    worker.start()
    while "w1" not in store.ids() or store.get("w1").stage != "load":
        time.sleep(0.01)
    said = run("cancel", "w1", "--url", url)
    worker.join()
    assert (said.code, said.err) == (0, "")
    assert ended.is_set()
    assert store.get("w1").is_cancelled


def test_hub_without_control_is_named(run: Run, store: Store, tmp_path: Path) -> None:
    """And the option that would help."""
    api.create(store, id="a1")
    with hub_on(tmp_path / "served") as url:
        said = run("cancel", "a1", "--url", url)
    assert (said.code, "'jobctl serve --control'" in said.err) == (5, True)
    said = run("cancel", "a1", "--url", url)
    assert (said.code, said.err.count("\n")) == (5, 1)


def test_act_is_sent_again_with_the_same_request_id(monkeypatch: pytest.MonkeyPatch) -> None:
    """After an answer that did not come, and while the hub is busy; not after a refusal."""
    sent: list[str] = []
    answers: list[Any] = [
        {"type": "jobs:refused", "code": "busy", "message": "wait", "retryAfter": 0.01},
        {"type": "jobs:done", "revision": 7},
        {"type": "jobs:refused", "code": "conflict", "message": "no", "hint": None},
    ]

    async def request(url: str, path: str, *, credentials: Any, body: Any) -> HttpAnswer:
        sent.append(body["req"])
        return HttpAnswer(url, 200, json.dumps(answers.pop(0)).encode(), is_hub=True)

    monkeypatch.setattr(acts, "request", request)
    assert asyncio.run(acts.act("ws://hub", "cancel", "a", {"attempt": 0}))["revision"] == 7
    assert len(sent) == 2
    assert len(set(sent)) == 1
    with pytest.raises(ActRefused, match="no"):
        asyncio.run(acts.act("ws://hub", "cancel", "a", {"attempt": 0}))
    assert len(set(sent)) == 2
